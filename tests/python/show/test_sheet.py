"""The contact sheet: a picture for every moment, taken at its peak."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from pixr.show.sheet import CELL_WIDTH, MARGIN, MODE_COLOURS, PICTURE_HEIGHT, write_sheet
from pixr.types import Hit, Hits, Match, Moment, Timing, Video

av = pytest.importorskip("av")
Image = pytest.importorskip("PIL.Image")
pytest.importorskip("av")

RED, BLUE = (200, 30, 30), (30, 30, 200)


def hits_of(*hits: Hit) -> Hits:
    return Hits(hits, len(hits), "exact", {}, None, 1, Timing(0.0, 0.0, 0.0))


def moment(peak: float, score: float = 0.5, confidence: float = 1.0) -> Moment:
    match = Match(peak, peak + 1, "visual", "frame", confidence, 1.0, score, description="closest concepts: wall")
    return Moment(peak, peak + 1, peak, score, (match,))


@pytest.fixture
def two_colours(tmp_path: Path) -> Path:
    """Four seconds: two of red, two of blue."""
    path = tmp_path / "colours.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 320, 180, "yuv420p", Fraction(1, 10)
        for number in range(40):
            picture = np.full((180, 320, 3), RED if number < 20 else BLUE, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def near(pixel: tuple[int, ...], colour: tuple[int, ...]) -> bool:
    return all(abs(one - other) < 40 for one, other in zip(pixel, colour, strict=True))


def test_each_picture_is_the_frame_at_the_peak(tmp_path: Path, two_colours: Path) -> None:
    video = Video("v", title="Colours", source=str(two_colours))
    out = tmp_path / "sheet.png"
    write_sheet(out, [("colours", hits_of(Hit(video, 0.9, (moment(3.0, 0.9), moment(1.0, 0.4)))))])
    sheet = Image.open(out)
    y = MARGIN + 44 + PICTURE_HEIGHT // 2
    assert near(sheet.getpixel((MARGIN + CELL_WIDTH // 2, y)), BLUE), "the better moment is first"
    assert near(sheet.getpixel((MARGIN + CELL_WIDTH + 16 + CELL_WIDTH // 2, y)), RED)


def test_bars_are_as_long_as_the_confidence(tmp_path: Path) -> None:
    lengths = []
    for confidence in (0.25, 1.0):
        out = tmp_path / f"{confidence}.png"
        write_sheet(out, [("q", hits_of(Hit(Video("v"), 0.5, (moment(0.0, 0.5, confidence),))))])
        colour = tuple(int(MODE_COLOURS["visual"][i : i + 2], 16) for i in (1, 3, 5))
        pixels = np.asarray(Image.open(out))
        lengths.append(int((pixels == colour).all(axis=2).any(axis=0).sum()))
    assert lengths[0] == pytest.approx(lengths[1] / 4, abs=2)


def test_a_missing_source_and_no_hits_still_make_a_sheet(tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    gone = Hit(Video("v", source=str(tmp_path / "gone.mp4")), 0.5, (moment(1.0),))
    write_sheet(out, [("gone", hits_of(gone)), ("nothing", hits_of())])
    assert Image.open(out).size[0] > CELL_WIDTH
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.png"], "no partial file stays behind"


def test_letters_are_drawn_with_a_font_of_the_system_that_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Titles in Chinese were boxes, whatever fonts there were: DejaVu was taken if it was there.

    Few machines that run tests have a Chinese font. Here the system has Liberation alone, and the letter one of its own
    for private use, which DejaVu lacks.
    """
    fonts = Path("/usr/share/fonts/truetype/liberation")
    if shutil.which("fc-match") is None or not fonts.is_dir():
        pytest.skip("needs fontconfig and Liberation")
    (tmp_path / "fonts.conf").write_text(f"<fontconfig><dir>{fonts}</dir><cachedir>{tmp_path}</cachedir></fontconfig>")
    monkeypatch.setenv("FONTCONFIG_FILE", str(tmp_path / "fonts.conf"))

    def drawn(title: str) -> bytes:
        write_sheet(tmp_path / "sheet.png", [("q", hits_of(Hit(Video("v", title=title), 0.5, (moment(1.0),))))])
        with Image.open(tmp_path / "sheet.png") as sheet:
            return bytes(sheet.tobytes())

    assert drawn("\uf005") != drawn("\uf00a"), "both were the box that stands for what is missing"


def test_a_sheet_is_made_without_fontconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "sheet.png"
    write_sheet(out, [("帆", hits_of(Hit(Video("v", title="帆船"), 0.5, (moment(1.0),))))])
    assert Image.open(out).size[0] > CELL_WIDTH


def test_a_picture_fills_its_field(tmp_path: Path, two_colours: Path) -> None:
    """A dark line stood to the right of every picture and below it."""
    out = tmp_path / "sheet.png"
    write_sheet(out, [("q", hits_of(Hit(Video("v", source=str(two_colours)), 0.9, (moment(1.0),))))])
    sheet = Image.open(out)
    top, right = MARGIN + 44, MARGIN + CELL_WIDTH
    assert near(sheet.getpixel((right - 1, top + 90)), RED)
    assert sheet.getpixel((right, top + 90)) == (255, 255, 255)
    assert near(sheet.getpixel((MARGIN + 90, top + PICTURE_HEIGHT - 1)), RED)
    assert sheet.getpixel((MARGIN + 90, top + PICTURE_HEIGHT)) == (243, 244, 246)
