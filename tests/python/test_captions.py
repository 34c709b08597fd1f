"""Captions: read as others write them, written so that they are read back, and used in place of recognition."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest

import pixr
from pixr.captions import Caption, CaptionFormat, beside, read_captions, write_captions
from pixr.errors import InvalidCaptions, InvalidQuery
from tests.python.clips import make_clip

SAID = [Caption(0.5, 2.25, "Hello & <welcome>, Zoë."), Caption(3661.0, 3662.5, "It goes on.")]

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>First line</i>
second line

2
0:00:03.5 --> 0:00:04.0
Third
3
00:00:05,000 --> 00:00:06,000
{\\an8}Fourth
"""

VTT = """WEBVTT - a title

NOTE not said
STYLE
::cue { color: red }

intro
00:01.000 --> 00:02.500 align:start position:10%
<v Ann>First &amp; <00:01.500><c.loud>second</c>

00:00:00.000 --> 00:00:00.500
Before
"""


@pytest.mark.parametrize("format", get_args(CaptionFormat))
def test_what_is_written_is_read_back(format: CaptionFormat, tmp_path: Path) -> None:
    file = tmp_path / "captions"
    file.write_text(write_captions(SAID, format), encoding="utf-8")
    assert read_captions(file) == SAID


def test_files_of_other_programs_are_read(tmp_path: Path) -> None:
    file = tmp_path / "captions"
    file.write_bytes(b"\xef\xbb\xbf" + SRT.replace("\n", "\r\n").encode())
    assert read_captions(file) == [
        Caption(1.0, 2.5, "First line second line"),
        Caption(3.5, 4.0, "Third"),
        Caption(5.0, 6.0, "Fourth"),
    ]
    file.write_text(VTT, encoding="utf-16")
    assert read_captions(file) == [Caption(0.0, 0.5, "Before"), Caption(1.0, 2.5, "First & second")]
    file.write_text(json.dumps([{"start": 1, "end": 2, "text": " a\nb ", "id": 0}]), encoding="utf-8")
    assert read_captions(file) == [Caption(1.0, 2.0, "a b")]


# By code page: what older films' captions say. Of what is in Latin letters there are several lines.
OF_CODE_PAGES = {
    "cp1251": ["Привет, как дела?", "Я думал, ты уехал вчера."],
    "koi8-r": ["Привет, как дела?", "Я думал, ты уехал вчера."],
    "cp1253": ["Καλημέρα, τι κάνεις;", "Νόμιζα ότι έφυγες χθες."],
    "cp1255": ["שלום, מה שלומך?", "חשבתי שנסעת אתמול."],
    "cp1256": ["مرحبا، كيف حالك؟", "ظننت أنك سافرت أمس."],
    "shift_jis": ["こんにちは、お元気ですか。", "昨日出発したと思っていました。"],
    "euc_jp": ["こんにちは、お元気ですか。", "昨日出発したと思っていました。"],
    "gb18030": ["你好，你怎么样？", "我以为你昨天走了。"],
    "big5": ["你好，你怎麼樣？", "我以為你昨天走了。"],
    "euc_kr": ["안녕하세요, 어떻게 지내세요?", "어제 떠난 줄 알았어요."],
    "cp1250": ["Cześć, jak się masz?", "Myślałem, że wyjechałeś wczoraj.", "Nie, pociąg spóźnił się trzy godziny."],
    "cp1254": ["Merhaba, nasılsın?", "Dün gittiğini sanıyordum.", "Hayır, tren üç saat gecikti."],
    "cp1252": ["Hej, hur mår du?", "Jag trodde att du åkte i går.", "Nej, tåget var tre timmar försenat."],
}


@pytest.mark.parametrize("encoding", OF_CODE_PAGES)
def test_captions_in_the_code_page_of_their_language_are_read(encoding: str, tmp_path: Path) -> None:
    """All were taken for those of Western Europe, and no word of most languages was found."""
    pytest.importorskip("cchardet")
    said = [Caption(float(at), at + 0.5, line) for at, line in enumerate(OF_CODE_PAGES[encoding])]
    file = tmp_path / "captions.srt"
    file.write_bytes(write_captions(said, "srt").encode(encoding))
    assert read_captions(file) == said


def test_few_letters_are_those_of_western_europe(tmp_path: Path) -> None:
    pytest.importorskip("cchardet")
    file = tmp_path / "captions.srt"
    said = [Caption(0.0, 1.0, "Hello – it’s me.")]
    file.write_bytes(write_captions(said, "srt").encode("cp1252"))
    assert read_captions(file) == said


def test_a_damaged_letter_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    lines = OF_CODE_PAGES["cp1251"] * 2
    said = [Caption(float(at), at + 0.5, line) for at, line in enumerate(lines)]
    file = tmp_path / "captions.srt"
    content = write_captions(said, "srt")
    damaged = [*said[:-1], replace(said[-1], text=said[-1].text[:-1] + "\ufffd")]
    file.write_bytes(content.encode()[:-2] + b"\xff\n")
    assert read_captions(file) == damaged
    file.write_bytes(content.encode("utf-16")[:-4] + b"\x00\xdc\n\x00")
    assert read_captions(file) == damaged


YOUTUBE = """WEBVTT
Kind: captions

00:00:00.000 --> 00:00:02.000 align:start position:0%
\x20
hello<00:00:00.500><c> world</c>

00:00:02.000 --> 00:00:02.010 align:start position:0%
hello world
\x20

00:00:02.010 --> 00:00:04.000

a name
00:00:04.000 --> 00:00:05.000
next
"""
OF_FFMPEG = """1
00:00:00,000 --> 00:00:02,000

hello world

2
00:00:02,000 --> 00:00:02,010
hello world
\x20

3
00:00:02,010 --> 00:00:04,000

4
00:00:04,000 --> 00:00:05,000
next
"""


@pytest.mark.parametrize("content", [YOUTUBE, OF_FFMPEG])
def test_what_begins_with_a_line_of_nothing_is_read(content: str, tmp_path: Path) -> None:
    """As YouTube writes captions, and as ffmpeg makes SRT of them: what was said came seconds late, the last never."""
    file = tmp_path / "captions"
    file.write_text(content, encoding="utf-8")
    assert read_captions(file) == [
        Caption(0.0, 2.0, "hello world"),
        Caption(2.0, 2.01, "hello world"),
        Caption(4.0, 5.0, "next"),
    ]


YOUTUBE_ROLLS = """WEBVTT
Kind: captions
Language: en

00:00:00.160 --> 00:00:02.389 align:start position:0%
\x20
so<00:00:00.400><c> today</c><00:00:00.560><c> we're</c><00:00:00.880><c> tiling</c>

00:00:02.389 --> 00:00:02.399 align:start position:0%
so today we're tiling
\x20

00:00:02.399 --> 00:00:04.710 align:start position:0%
so today we're tiling
the<00:00:02.560><c> roof</c><00:00:02.879><c> again</c>

00:00:04.710 --> 00:00:04.720 align:start position:0%
the roof again
\x20

00:00:04.720 --> 00:00:06.150 align:start position:0%
the roof again
&gt;&gt;<00:00:05.000><c> yeah</c>

00:00:06.150 --> 00:00:06.160 align:start position:0%
&gt;&gt; yeah
\x20

00:00:06.160 --> 00:00:07.270 align:start position:0%
&gt;&gt; yeah
&gt;&gt;<00:00:06.500><c> yeah</c>

00:00:07.270 --> 00:00:07.280 align:start position:0%
&gt;&gt; yeah
\x20

00:00:12.000 --> 00:00:14.000 align:start position:0%
\x20
and<00:00:12.400><c> done</c>
"""
YOUTUBE_ROLLS_IN_SRT = """1
00:00:00,160 --> 00:00:02,389
\r
so today we're tiling

2
00:00:02,389 --> 00:00:02,399
so today we're tiling\r
\x20

3
00:00:02,399 --> 00:00:04,710
so today we're tiling\r
the roof again

4
00:00:04,710 --> 00:00:04,720
the roof again\r
\x20

5
00:00:04,720 --> 00:00:06,150
the roof again\r
>> yeah

6
00:00:06,150 --> 00:00:06,160
>> yeah\r
\x20

7
00:00:06,160 --> 00:00:07,270
>> yeah\r
>> yeah

8
00:00:07,270 --> 00:00:07,280
>> yeah\r
\x20

9
00:00:12,000 --> 00:00:14,000
\r
and done
"""
OF_TELEVISION = """1
00:00:10,000 --> 00:00:12,000
>> GOOD EVENING.

2
00:00:12,000 --> 00:00:14,000
>> GOOD EVENING.
A STORM HAS REACHED

3
00:00:14,000 --> 00:00:16,000
>> GOOD EVENING.
A STORM HAS REACHED
THE COAST TONIGHT.

4
00:00:16,000 --> 00:00:18,000
A STORM HAS REACHED
THE COAST TONIGHT.
SCHOOLS ARE CLOSED.
"""
SONG = """1
00:00:00,000 --> 00:00:02,000
Around the world

2
00:00:02,000 --> 00:00:04,000
Around the world

3
00:00:04,000 --> 00:00:06,000
Around the world
Around the world

4
00:00:06,000 --> 00:00:08,000
Around the world
Around the world

5
00:00:08,000 --> 00:00:10,000
and again
"""


@pytest.mark.parametrize("content", [YOUTUBE_ROLLS, YOUTUBE_ROLLS_IN_SRT])
def test_lines_that_roll_are_said_once(content: str, tmp_path: Path) -> None:
    """YouTube shows each line in three captions, and a transcript said all of it three times.

    Who says the same word twice said it twice.
    """
    file = tmp_path / "captions"
    file.write_bytes(content.encode())
    assert read_captions(file) == [
        Caption(0.16, 2.399, "so today we're tiling"),
        Caption(2.399, 4.72, "the roof again"),
        Caption(4.72, 6.16, ">> yeah"),
        Caption(6.16, 7.28, ">> yeah"),
        Caption(12.0, 14.0, "and done"),
    ]


def test_three_lines_that_roll_are_said_once(tmp_path: Path) -> None:
    """As live television has them."""
    file = tmp_path / "captions"
    file.write_text(OF_TELEVISION, encoding="utf-8")
    assert read_captions(file) == [
        Caption(10.0, 12.0, ">> GOOD EVENING."),
        Caption(12.0, 14.0, "A STORM HAS REACHED"),
        Caption(14.0, 16.0, "THE COAST TONIGHT."),
        Caption(16.0, 18.0, "SCHOOLS ARE CLOSED."),
    ]


def test_a_refrain_does_not_roll(tmp_path: Path) -> None:
    file = tmp_path / "captions"
    file.write_text(SONG + SONG.replace("00:00:", "00:01:"), encoding="utf-8")
    once = ["Around the world"] * 2 + ["Around the world Around the world"] * 2 + ["and again"]
    assert [caption.text for caption in read_captions(file)] == once * 2


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("nothing of the kind", "neither"),
        ("1\n00:00:02,000 --> later\nx\n", "line 2"),
        ("1\n00:00:02,000 --> 00:00:01,000\nx\n", "before it starts"),
        ('{"segments": 3}', "list"),
        ('[{"start": 2, "end": 1, "text": "x"}]', "item 0"),
        ("{broken", "not JSON"),
        ("[Script Info]\nTitle: a\n", "ASS captions; SRT"),
        ("[" * 100_000, "not JSON"),
        (f'[{{"start": 0, "end": 1{"0" * 400}, "text": "x"}}]', "item 0"),
    ],
)
def test_the_error_of_a_broken_file_names_the_place(content: str, word: str, tmp_path: Path) -> None:
    file = tmp_path / "captions"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidCaptions, match=word):
        read_captions(file)


def test_captions_beside_a_video_are_found(tmp_path: Path) -> None:
    for name in ("a.mp4", "a.en.srt", "a.vtt", "b[1].mp4", "b[1].vtt", "c.mp4"):
        (tmp_path / name).touch()
    found = [beside(tmp_path / name) for name in ("a.mp4", "b[1].mp4", "c.mp4", "gone/d.mp4")]
    assert [path.name if path else None for path in found] == ["a.en.srt", "b[1].vtt", None, None]


def test_captions_in_capitals_lie_beside_a_video_as_well(tmp_path: Path) -> None:
    """`MOVIE.SRT` beside `MOVIE.AVI`, as old discs have them, was passed over, and speech recognised in its place."""
    for name in ("MOVIE.AVI", "MOVIE.de.SRT", "MOVIE.SRT", "MOVIE 2.SRT"):
        (tmp_path / name).touch()
    assert beside(tmp_path / "MOVIE.AVI") == tmp_path / "MOVIE.SRT"


def test_captions_take_the_place_of_recognition_and_come_out_again(tmp_path: Path) -> None:
    pytest.importorskip("av")
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "clip.mp4", ["one", "two", "three"], seconds=3.0)
    captions = tmp_path / "clip.srt"
    said = [Caption(0.4, 2.6, "We mount the ladder."), Caption(3.2, 5.8, "Nobody speaks of tomatoes.")]
    captions.write_text(write_captions(said, "srt"), encoding="utf-8")
    with pixr.open(tmp_path / "films.pixr") as library:
        video = library.add(clip, captions=captions, screen=False)
        hits = library.search("tomatoes", modes=["audio"])
        assert [(moment.start, moment.end) for moment in hits[0].moments] == [(3.0, 6.0)], "aligned to the shot"
        assert [one.text for one in library.transcript(video.id)] == [one.text for one in said]
        captions.write_text("broken")
        with pytest.raises(InvalidCaptions):
            library.add(clip, captions=captions, screen=False)
        assert len(library.transcript(video.id)) == 2, "what was there stays"


def test_captions_of_one_time_are_all_kept(tmp_path: Path) -> None:
    """Of several who speak at once, each with a caption of the same times, all but one were lost."""
    clip, captions = make_clip(tmp_path / "a.mp4", ["one"], seconds=12.0), tmp_path / "a.srt"
    said = [Caption(4.0, 6.0, text) for text in ("Hello Alice", "Hello Bob", "Hello Carol")]
    captions.write_text(write_captions(said, "srt"))
    with pixr.open(tmp_path / "l.pixr") as library:
        library.add(clip, id="a", captions=captions, screen=False)
        for name in ("Alice", "Bob", "Carol"):
            assert library.search(name, modes=["audio"]).total == 1
        assert " ".join(caption.text for caption in library.transcript("a")) == "Hello Alice Hello Bob Hello Carol"


def test_captions_behind_the_end_of_the_video_are_left_out(tmp_path: Path) -> None:
    """They were moments at 100 s of a video of two: none of them could be shown, or cut."""
    clip, captions = make_clip(tmp_path / "a.mp4", ["one"], seconds=2.0), tmp_path / "a.srt"
    said = [Caption(0.2, 1.0, "giraffe"), Caption(1.5, 3.0, "elephant"), Caption(100.0, 101.0, "zebra")]
    captions.write_text(write_captions(said, "srt"))
    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.warns(RuntimeWarning, match="1 caption is left out, behind the end of the video at 2.0 s"):
            library.add(clip, id="a", captions=captions, screen=False)
        assert [caption.text for caption in library.transcript("a")] == ["giraffe", "elephant"]
        assert library.transcript("a")[-1].end == 2.0
        assert library.search("zebra", modes=["audio"]).total == 0


def test_captions_that_are_not_there_are_named(tmp_path: Path) -> None:
    """The video was once blamed for them, as one that can't be decoded."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "clip.mp4", ["one"])
    missing = tmp_path / "nope.srt"
    with pixr.open(tmp_path / "l.pixr") as library:
        with pytest.raises(InvalidCaptions) as raised:
            library.add(clip, captions=missing, screen=False)
        assert list(library.videos()) == []
    assert str(raised.value) == f"{missing} can't be read: No such file or directory"


@pytest.mark.parametrize("content", [b"", b"\r\n", b"\xef\xbb\xbf", b"\xff\xfe"])
def test_a_file_of_nothing_has_no_captions(tmp_path: Path, content: bytes) -> None:
    """What a recogniser writes where nothing is said, and Pixr itself, was refused as neither SRT nor WebVTT."""
    file = tmp_path / "silent.srt"
    file.write_bytes(content)
    assert read_captions(file) == []
    for format in get_args(CaptionFormat):
        file.write_text(write_captions([], format))
        assert read_captions(file) == []


def test_an_unknown_format_is_refused_as_other_arguments_are() -> None:
    """It was a ValueError without a code."""
    with pytest.raises(InvalidQuery, match="expected srt or vtt or json"):
        write_captions([], "ass")  # type: ignore[arg-type]
