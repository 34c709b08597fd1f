"""What is said is taken from a file's own subtitles, where they fit the sound and can be read."""

from __future__ import annotations

import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

import pixr
from pixr.errors import SpeechUnavailable, UnreadableVideo
from pixr.ingest_options import SpeechOptions
from pixr.languages import language_code
from pixr.media import probe_video
from pixr.media.sandbox import open_subtitles
from pixr.media.speech_model import find_speech_model
from pixr.media.subtitles import SubtitleTrack, choose_subtitles
from tests.python.cli.process import COMMAND
from tests.python.media.videos import cut_video

pytest.importorskip("av")
if shutil.which("ffmpeg") is None:
    pytest.skip("ffmpeg, which makes the files, is not installed", allow_module_level=True)

SAID = "1\n00:00:00,000 --> 00:00:01,500\n{}\n\n2\n00:00:02,000 --> 00:00:02,500\n<i>We mount</i>\nthe panels.\n"
STYLED = """[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, Alignment, Encoding
Style: Default,Arial,16,&Hffffff,2,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
Dialogue: 0,0:00:00.00,0:00:01.50,Default,Ann,0,0,0,,{\\an8}A ladder, at the{this is a note}\\hwall.
Dialogue: 0,0:00:01.00,0:00:01.50,Default,,0,0,0,,{\\pos(2,2)\\p1}m 0 0 l 100 0 100 100{\\p0}
Dialogue: 0,0:00:02.00,0:00:02.50,Default,,0,0,0,,{\\i1}We mount{\\i0}\\Nthe panels.
"""
PLAIN = SAID.format("A ladder, at the wall.")
WORDS = ["A ladder, at the wall.", "We mount the panels."]


def film(path: Path, *tracks: tuple[str | bytes, str], sound: str = "und", codec: str = "", marks: str = "") -> Path:
    """Four seconds with a tone and subtitles, each given as its text and its language. `marks` are ffmpeg's options."""
    made = ["ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", "testsrc=size=160x120:rate=10:duration=4"]
    made += ["-f", "lavfi", "-i", "sine=duration=4"]
    for number, (text, _) in enumerate(tracks):
        given = path.with_name(f"{path.stem}-{number}.srt")
        given.write_bytes(text if isinstance(text, bytes) else text.encode())
        made += ["-i", str(given)]
    for number in range(2 + len(tracks)):
        made += ["-map", str(number)]
    made += ["-metadata:s:a:0", f"language={sound}", "-c:v", "libvpx" if path.suffix == ".webm" else "mpeg4"]
    for number, (_, language) in enumerate(tracks):
        made += [f"-metadata:s:s:{number}", f"language={language}"]
    subprocess.run([*made, *(["-c:s", codec] if codec else []), *marks.split(), str(path)], check=True)
    return path


def said(library: pixr.Library, path: Path, **options: object) -> list[str]:
    video = library.add(path, screen=False, **options)  # type: ignore[arg-type]
    return [caption.text for caption in library.transcript(video.id)]


@pytest.fixture
def without_recogniser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "no-folder").write_text("the recogniser can't be kept here")
    monkeypatch.setenv("PIXR_CACHE_DIR", str(tmp_path / "no-folder"))


@pytest.mark.usefixtures("without_recogniser")
@pytest.mark.parametrize(
    ("name", "codec", "text"),
    [
        ("film.mp4", "mov_text", PLAIN),
        ("film.mkv", "subrip", PLAIN),
        ("film.mkv", "ass", STYLED),
        ("film.webm", "webvtt", PLAIN),
    ],
)
def test_subtitles_in_a_file_say_what_is_said(tmp_path: Path, name: str, codec: str, text: str) -> None:
    """A film with its own subtitles had no speech where none could be recognised, and guessed words where it could."""
    path = film(tmp_path / name, (text, "eng"), codec=codec)
    with pixr.open(tmp_path / "films.pixr") as library, warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is missing, though no speech can be recognised
        video = library.add(path, screen=False)
        assert [caption.text for caption in library.transcript(video.id)] == WORDS
        (hit,) = library.search("mount the panels", modes=["audio"])
        assert hit.moments[0].start <= 2.0 < hit.moments[0].end
    cues = open_subtitles(path, probe_video(path).subtitles[0]).cues
    assert [cue.start for cue in cues] == pytest.approx([0.0, 2.0], abs=0.05)
    assert [cue.end for cue in cues] == pytest.approx([1.5, 2.5], abs=0.05)


def test_what_is_given_comes_first_and_what_is_not_asked_for_is_left_out(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", (PLAIN, "eng"))
    captions = tmp_path / "other.srt"
    captions.write_text("1\n00:00:01,000 --> 00:00:02,000\nA given line.\n")
    with pixr.open(tmp_path / "films.pixr") as library:
        assert said(library, path, captions=captions) == ["A given line."]
        assert said(library, path, speech=False) == []
        assert said(library, path, speech=SpeechOptions(subtitles=False)) == []
        assert said(library, path) == WORDS


def test_the_speech_model_is_left_alone_until_a_video_needs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was loaded, or fetched, for films that all had subtitles; those in a language that it lacks were refused."""
    wanted: list[object] = []

    def watched(folder: str | None, *, download: bool) -> Path:
        wanted.append(folder)
        return find_speech_model(folder, download=download)

    monkeypatch.setattr("pixr.media.speech.find_speech_model", watched)
    english = film(tmp_path / "english.mkv", (PLAIN, "eng"), sound="eng")
    german = film(tmp_path / "german.mkv", (PLAIN, "ger"), sound="ger")
    unheard, french = cut_video(tmp_path / "unheard.mp4", [1, 2]), film(tmp_path / "french.mkv", sound="fre")
    with pixr.open(tmp_path / "films.pixr") as library:
        assert said(library, english) == WORDS
        assert said(library, unheard) == []
        assert said(library, german, speech=SpeechOptions(language="de")) == WORDS
        assert wanted == []
        pytest.importorskip("faster_whisper")
        with pytest.raises(SpeechUnavailable):
            library.add(french, screen=False, speech=SpeechOptions(language="fr"))
        assert len(wanted) == 1
        assert library.info()["videos"] == 3


def test_the_command_leaves_subtitles_alone_where_it_is_told_to(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", (PLAIN, "eng"))
    for name, options, expected in (("with", [], WORDS), ("without", ["--no-subtitles"], [])):
        made = tmp_path / f"{name}.pixr"
        subprocess.run([*COMMAND, "index", str(made), str(path), "--no-screen", *options], check=True, timeout=120)
        with pixr.open(made) as library:
            (video,) = library.videos()
            assert [caption.text for caption in library.transcript(video.id)] == expected


def test_subtitles_in_another_language_than_the_sound_are_a_translation(tmp_path: Path) -> None:
    """They are taken only where the sound's own words can't be had: the embedded model knows English only."""
    english = film(tmp_path / "english.mkv", (PLAIN, "fre"), sound="eng")
    japanese = film(tmp_path / "japanese.mkv", (PLAIN, "fre"), sound="jpn")
    with pixr.open(tmp_path / "films.pixr") as library:
        assert said(library, english) == []
        assert said(library, japanese) == WORDS
        assert said(library, japanese, speech=SpeechOptions(language="en")) == []


def test_of_several_the_dialogue_in_the_language_of_the_sound_is_taken(tmp_path: Path) -> None:
    def line(words: str) -> str:
        return SAID.format(words)

    path = film(
        tmp_path / "film.mkv",
        (line("forced"), "ger"),
        (line("for the deaf"), "ger"),
        (line("comment"), "ger"),
        (line("songs"), "ger"),
        (line("first"), "ger"),
        (line("default"), "ger"),
        (line("english"), "eng"),
        sound="deu",
        marks="-disposition:s:0 default+forced -disposition:s:1 default+hearing_impaired -disposition:s:2 comment "
        "-metadata:s:s:3 title=Signs&Songs -disposition:s:5 default -disposition:s:6 default",
    )
    info = probe_video(path)

    def chosen(asked: str | None = None, without: tuple[str, ...] = ()) -> str | None:
        shown = {track: open_subtitles(path, track).cues[0].lines[0] for track in info.subtitles}
        left = [track for track, words in shown.items() if words not in without]
        track = choose_subtitles(left, asked=asked, sound=info.sound_language, recognises="de".__eq__)
        return None if track is None else shown[track]

    assert info.sound_language == "de"
    assert chosen() == "default"
    assert chosen(without=("default",)) == "first"
    assert chosen(without=("default", "first")) == "for the deaf"
    assert chosen(without=("default", "first", "for the deaf")) is None
    assert chosen("en") == "english"
    assert chosen("fr") is None


def test_tracks_without_a_language_fit_after_those_that_have_the_right_one() -> None:
    unnamed, english = SubtitleTrack(2, None, True, False), SubtitleTrack(3, "en", False, False)
    both = (unnamed, english)
    assert choose_subtitles(both, asked=None, sound="en", recognises="en".__eq__) == english
    assert choose_subtitles(both, asked=None, sound="fr", recognises="en".__eq__) == unnamed
    assert choose_subtitles(both, asked=None, sound=None, recognises="en".__eq__) == unnamed
    assert choose_subtitles((), asked=None, sound="fr", recognises=lambda _: False) is None


@pytest.mark.parametrize(
    ("tag", "code"), [("ger", "de"), ("deu", "de"), ("de-AT", "de"), ("JPN", "ja"), ("und", None), ("", None)]
)
def test_languages_are_known_by_all_their_codes(tag: str, code: str | None) -> None:
    assert language_code(tag) == code


def test_chapters_are_no_subtitles(tmp_path: Path) -> None:
    """MP4 keeps the titles of chapters in a track of text."""
    marks = tmp_path / "chapters.txt"
    marks.write_text(";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1\nSTART=0\nEND=4\ntitle=The beginning\n")
    plain, path = film(tmp_path / "plain.mp4"), tmp_path / "film.mp4"
    inputs = ["-i", str(plain), "-i", str(marks), "-map", "0", "-map_metadata", "1"]
    subprocess.run(["ffmpeg", "-v", "error", *inputs, "-c", "copy", str(path)], check=True)
    assert b"The beginning" in path.read_bytes()
    assert probe_video(path).subtitles == ()


@pytest.mark.usefixtures("without_recogniser")
def test_subtitles_that_cannot_be_read_are_warned_of_and_what_is_left_is_kept(tmp_path: Path) -> None:
    """Letters of an old code page, which FFmpeg copies but doesn't decode."""
    two, three = "Stra\xdfe".encode("cp1252"), "3\n00:00:03,000 --> 00:00:03,500\nThe end.\n"
    some = film(
        tmp_path / "some.mkv", (PLAIN.encode().replace(b"A ladder", two) + b"\n" + three.encode(), "eng"), codec="copy"
    )
    none = film(
        tmp_path / "none.mkv", (PLAIN.encode().replace(b"ladder", two).replace(b"mount", two), "eng"), codec="copy"
    )
    with pixr.open(tmp_path / "films.pixr") as library:
        first, second = library.add_many([some, none], screen=False, jobs=1)
        assert [first.status, second.status] == ["added", "added"]
        assert first.warnings == ("indexed without some of its subtitles: 1 of them can't be decoded: damaged",)
        assert first.video is not None
        assert [caption.text for caption in library.transcript(first.video.id)] == [WORDS[1], "The end."]
        without, unheard = second.warnings
        assert without == "indexed without its subtitles: 2 of them can't be decoded: damaged"
        assert unheard.startswith("indexed without speech: ")


def test_a_cut_file_keeps_the_subtitles_that_it_has(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mkv", (PLAIN, "eng"))
    cut = tmp_path / "cut.mkv"
    content = whole.read_bytes()
    cut.write_bytes(content[: content.index(b"We mount")])
    (track,) = probe_video(cut).subtitles
    assert [cue.lines for cue in open_subtitles(cut, track).cues] == [(WORDS[0],)]


def test_subtitles_longer_than_any_films_are_left_out(tmp_path: Path) -> None:
    """A stranger's file may hold gigabytes of them."""
    line = "far too long " * 80_000
    cues = "".join(f"{n}\n00:00:{n:02},000 --> 00:00:{n:02},900\n{line}\n\n" for n in range(20))
    path = film(tmp_path / "film.mkv", (cues, "eng"), codec="copy")
    (track,) = probe_video(path).subtitles
    read = open_subtitles(path, track)
    assert read.damage == "they are longer than 16 MB"
    assert 0 < sum(len(line) for cue in read.cues for line in cue.lines) < 16 << 20


def test_a_decoder_without_memory_is_told_of(tmp_path: Path) -> None:
    path = film(tmp_path / "film.mkv", (PLAIN, "eng"))
    (track,) = probe_video(path).subtitles
    with pytest.raises(UnreadableVideo):
        open_subtitles(path, track, memory_byte_limit=64 << 20)
