"""The page that plays moments: safe, self-contained, and pointing at the right place."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from pixr.show.page import write_page
from pixr.types import Hit, Hits, Match, Moment, Timing, Video
from tests.python.clips import make_clip
from tests.python.server.browser import CHROMIUM, browsing

EVIL = "<script>alert(1)</script>\"'&"


def hits_of(*hits: Hit) -> Hits:
    return Hits(hits, len(hits), "exact", {}, None, 7, Timing(3.0, 1.0, 4.0))


def moment(start: float, end: float, description: str | None = None, **match: Any) -> Moment:
    one = Match(start, end, "audio", "speech", 0.8, 1.0, 0.7, description=description, **match)
    return Moment(start, end, start + 0.5, 0.7, (one,))


class Outline(HTMLParser):
    """Every tag with its attributes, and the text outside style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._skipping = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._skipping = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._skipping = False

    def handle_data(self, data: str) -> None:
        self.text += "" if self._skipping else data


def test_every_text_is_escaped(tmp_path: Path) -> None:
    video = Video("v", title=EVIL, source=str(tmp_path / EVIL.replace("/", "_")))
    write_page(tmp_path / "page.html", [(EVIL, hits_of(Hit(video, 0.7, (moment(1, 2, EVIL),))))])
    outline = Outline((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert [tag for tag, _ in outline.tags].count("script") == 1
    assert outline.text.count(EVIL) >= 3, "query, title and description are shown as they are"


def test_the_player_seeks_to_the_best_moment_by_a_relative_path(tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    clip = tmp_path / "clips" / "a b#1.mp4"
    clip.write_bytes(b"not a video")
    found = hits_of(Hit(Video("v", source=str(clip)), 0.7, (moment(12.5, 15), moment(1, 2))))
    (tmp_path / "out").mkdir()
    pytest.importorskip("av")
    write_page(tmp_path / "out" / "page.html", [("q", found)])
    outline = Outline((tmp_path / "out" / "page.html").read_text(encoding="utf-8"))
    players = [attributes for tag, attributes in outline.tags if tag == "video"]
    assert [player["src"] for player in players] == ["../clips/a%20b%231.mp4#t=12.500,15.000"]
    buttons = [attributes for tag, attributes in outline.tags if tag == "button"]
    assert [(b["data-start"], b["data-end"]) for b in buttons] == [("12.500", "15.000"), ("1.000", "2.000")]
    assert [button["aria-pressed"] for button in buttons] == ["false", "false"], "which one plays was seen, not said"


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [("q", hits_of(Hit(Video("v"), 0.7, (moment(0, 1),))))])
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", (tmp_path / "page.html").read_text(encoding="utf-8"))


def test_words_of_the_query_are_marked(tmp_path: Path) -> None:
    found = hits_of(Hit(Video("v"), 0.7, (moment(0, 1, "a <b> roof", highlights=((6, 10),)),)))
    write_page(tmp_path / "page.html", [("roof", found)])
    assert "a &lt;b&gt; <mark>roof</mark>" in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_no_hits_say_so(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [("nothing", hits_of())])
    assert "No such moment." in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_a_source_that_is_gone_leaves_a_note(tmp_path: Path) -> None:
    found = hits_of(Hit(Video("v", source=str(tmp_path / "gone.mp4")), 0.7, (moment(0, 1),)))
    write_page(tmp_path / "page.html", [("q", found)])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "gone.mp4 is not there any more" in Outline(page).text
    assert "<video" not in page


def test_a_name_that_no_file_can_have_leaves_a_note(tmp_path: Path) -> None:
    """The page was refused for one video whose file can't be looked at, as in a folder of somebody else."""
    found = hits_of(Hit(Video("v", source=str(tmp_path / ("n" * 300))), 0.7, (moment(0, 1),)))
    write_page(tmp_path / "page.html", [("q", found)])
    assert "is not there any more" in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("source", [None, "rtsp://camera/1"])
def test_what_never_was_a_file_is_not_said_to_be_gone(tmp_path: Path, source: str | None) -> None:
    write_page(tmp_path / "page.html", [("q", hits_of(Hit(Video("v", source=source), 0.7, (moment(0, 1),))))])
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "has no file that can be played" in page
    assert "not there any more" not in page


@pytest.mark.parametrize("source", ["HTTPS://example.com/a.mp4", "HTTPS://example.com/a.mp4#t=9"])
def test_an_address_is_played_from_the_moment_on(tmp_path: Path, source: str) -> None:
    """One in capitals was said to be gone, and behind a fragment of its own the moment's was none."""
    write_page(tmp_path / "page.html", [("q", hits_of(Hit(Video("v", source=source), 0.7, (moment(1, 2),))))])
    outline = Outline((tmp_path / "page.html").read_text(encoding="utf-8"))
    players = [attributes["src"] for tag, attributes in outline.tags if tag == "video"]
    assert players == ["HTTPS://example.com/a.mp4#t=1.000,2.000"]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_is_as_wide_as_a_telephone_whatever_a_title_says(tmp_path: Path) -> None:
    """Cards were wider than small screens, and a long name without a space hid the score and what followed."""
    long = Video("v", title="GX010123_" * 40, source=str(tmp_path / ("gone_" * 40)))
    right_to_left = Video("w", title="שלום (עולם)", source="https://localhost/none.mp4")
    found = hits_of(Hit(long, 0.7, (moment(0, 1),)), Hit(right_to_left, 0.6, (moment(0, 1, "مرحبا."),)))
    write_page(tmp_path / "page.html", [("word" * 80, found)])
    with browsing() as tab:
        tab.resize(320)
        tab.open((tmp_path / "page.html").as_uri())
        assert tab.value("document.documentElement.scrollWidth") == 320
        edges = "[...document.querySelectorAll('h3 *, .gone *')].map(one => one.getBoundingClientRect().right)"
        assert max(tab.value(edges)) <= 320 - 16
        first_lines = "[...document.querySelectorAll('h3')].map(one => one.lastChild.getBoundingClientRect().top - "
        assert tab.value(first_lines + "one.getBoundingClientRect().top < 20)") == [True, True]
        ways = "[...document.querySelectorAll('h3 span:first-child, .said')].map(one => getComputedStyle(one)"
        assert tab.value(ways + ".direction)") == ["ltr", "rtl", "rtl"]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_the_button_of_the_moment_that_plays_says_so(tmp_path: Path) -> None:
    """A border alone showed it, which no screen reader reads."""
    (tmp_path / "clip.mp4").write_bytes(b"not a video")
    found = hits_of(Hit(Video("v", source=str(tmp_path / "clip.mp4")), 0.7, (moment(0, 1), moment(2, 3))))
    pytest.importorskip("av")
    write_page(tmp_path / "page.html", [("q", found)])
    with browsing() as tab:
        tab.open((tmp_path / "page.html").as_uri())
        pressed = "[...document.querySelectorAll('button')].map(one => one.ariaPressed)"
        assert tab.value(pressed) == ["false", "false"]
        assert tab.value("document.querySelectorAll('button')[1].click(), " + pressed) == ["false", "true"]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_no_button_says_that_its_moment_plays_when_it_does_not(tmp_path: Path) -> None:
    """One that was played to its end, paused or refused said so until another was clicked."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "clip.mp4", ["one", "two"])
    gone = make_clip(tmp_path / "gone.mp4", ["one"])
    moments = (moment(2, 2.5), moment(1, 1.5))
    found = hits_of(*(Hit(Video(one.stem, source=str(one)), 0.7, moments) for one in (clip, gone)))
    write_page(tmp_path / "page.html", [("q", found)])
    gone.unlink()
    with browsing() as tab:
        tab.open((tmp_path / "page.html").as_uri())
        pressed = "[...document.querySelectorAll('button')].map(one => one.ariaPressed).join()"
        tab.value("var [video, gone] = document.querySelectorAll('video'); video.play(), null")
        tab.wait_for(f"{pressed} == 'true,false,false,false'", 20)
        tab.wait_for("video.paused && video.currentTime >= 2.5", 20)
        assert tab.value(pressed) == "false,false,false,false"
        tab.value("video.play(), null")
        tab.wait_for("video.ended", 20)
        assert tab.value(pressed) == "false,false,false,false", "what follows is not its moment"
        tab.value("document.querySelectorAll('button')[1].click()")
        tab.wait_for(f"!video.seeking && video.currentTime > 1 && {pressed} == 'false,true,false,false'", 20)
        tab.value("video.pause()")
        tab.wait_for(f"{pressed} == 'false,false,false,false'", 20)
        tab.value("document.querySelectorAll('button')[2].click()")
        tab.wait_for("gone.error !== null && !document.querySelectorAll('.refused')[1].hidden", 20)
        assert tab.value(pressed) == "false,false,false,false"


def test_faint_evidence_is_not_told_as_none(tmp_path: Path) -> None:
    """It read "screen 0.00" beside a score of 0.23, for a page on which one of two words stands."""
    out = tmp_path / "page.html"
    faint = Match(0.0, 2.0, "text", "screen", 1e-12, 1.0, 0.23, description="HELLO")
    write_page(out, [("q", hits_of(Hit(Video("v"), 0.23, (Moment(0.0, 2.0, 0.5, 0.23, (faint,)),))))])
    page = out.read_text(encoding="utf-8")
    assert "screen &lt;0.01</span>" in page
    assert "confidence &lt;0.01, contributes" in page


def test_a_page_says_how_many_of_the_videos_it_shows(tmp_path: Path) -> None:
    """It said 1000 videos above twenty."""
    found = Hits((Hit(Video("v"), 0.7, (moment(0, 1),)),), 1000, "exact", {}, None, 7, Timing(3.0, 1.0, 4.0))
    write_page(tmp_path / "page.html", [("q", found)])
    assert "1 of 1000 videos," in Outline((tmp_path / "page.html").read_text(encoding="utf-8")).text


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_nothing_is_asked_for_before_it_is_played(tmp_path: Path) -> None:
    """A page of a thousand videos asked for all of them at once, and had not loaded after a minute."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "clip.mp4", ["one", "two"])
    videos = Video("v", source=str(clip)), Video("w", source="http://localhost:9/none.mp4")
    write_page(tmp_path / "page.html", [("q", hits_of(*(Hit(one, 0.7, (moment(2.5, 3),)) for one in videos)))])
    address = (tmp_path / "page.html").as_uri()
    with browsing() as tab:
        tab.open(address)
        assert [url for url in tab.asked if not url.startswith("data:")] == [address]
        tab.value("document.querySelector('video').play()")
        tab.wait_for("document.querySelector('video').currentTime >= 2.5", 20)
        assert clip.as_uri() in tab.asked
        assert tab.complaints == []


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_what_is_played_is_heard_and_alone(tmp_path: Path) -> None:
    """Every player was mute, also that of words that were said, and went on while another played."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "clip.mp4", ["one", "two"])
    found = hits_of(*(Hit(Video(id, source=str(clip)), 0.7, (moment(0, 4),)) for id in "vw"))
    write_page(tmp_path / "page.html", [("q", found)])
    with browsing() as tab:
        tab.open((tmp_path / "page.html").as_uri())
        paused = "[...document.querySelectorAll('video')].map(one => one.paused)"
        tab.value("document.querySelectorAll('button')[0].click()")
        tab.wait_for("document.querySelector('video').currentTime > 0", 20)
        tab.value("document.querySelectorAll('button')[1].click()")
        tab.wait_for("document.querySelectorAll('video')[1].currentTime > 0", 20)
        assert tab.value(paused) == [True, False]
        assert tab.value("[...document.querySelectorAll('video')].map(one => one.muted)") == [False, False]


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_what_can_not_be_played_says_so_and_keeps_its_picture(tmp_path: Path) -> None:
    """A click on the moment of an AVI left a black field without a word, and so did that of a file gone since."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "old <b>.avi", ["one", "two"])
    write_page(tmp_path / "page.html", [("q", hits_of(Hit(Video("v", source=str(clip)), 0.7, (moment(1, 2),))))])
    with browsing() as tab:
        tab.open((tmp_path / "page.html").as_uri())
        assert "can't be played" not in tab.value("document.body.innerText")
        tab.value("document.querySelector('button').click()")
        tab.wait_for('document.body.innerText.includes("old <b>.avi can\'t be played here")', 20)
        assert tab.value("document.querySelector('video').poster").startswith("data:image/jpeg")
        assert tab.value("document.querySelector('.refused a').href") == clip.as_uri()
        assert tab.complaints == []


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
@pytest.mark.parametrize("frame", [10, 25, 41])
def test_a_moment_begins_with_its_own_first_picture(tmp_path: Path, frame: int) -> None:
    """Rounded to the nearest millisecond, a third of a second is before the picture that begins then."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "clip.mp4", ["one", "two"], rate=30)
    found = hits_of(Hit(Video("v", source=str(clip)), 0.7, (moment(frame / 30, frame / 30 + 1),)))
    write_page(tmp_path / "page.html", [("q", found)])
    with browsing() as tab:
        tab.open((tmp_path / "page.html").as_uri())
        tell = "var tell = (_, {mediaTime}) => { shown = mediaTime; video.requestVideoFrameCallback(tell) }"
        tab.value(f"var video = document.querySelector('video'), shown; {tell}; tell(0, {{}}); video.preload = 'auto'")
        tab.wait_for("shown > 0 && !video.seeking", 20)  # the first of all may be shown before it seeks
        assert round(tab.value("shown") * 30) == frame


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
def test_a_page_runs_no_script_but_its_own(tmp_path: Path) -> None:
    write_page(tmp_path / "page.html", [("q", hits_of(Hit(Video("v"), 0.7, (moment(0, 1),))))])
    with browsing() as tab:
        tab.open((tmp_path / "page.html").as_uri())
        assert tab.complaints == []
        added = "const one = document.createElement('script'); one.text = 'ran = true'; document.body.append(one);"
        assert tab.value(f"var ran = false; {added} ran") is False
        assert tab.value("fetch('data:,x').then(() => 'sent', () => 'refused')") == "refused"
        assert all("Content Security Policy" in one for one in tab.complaints)
