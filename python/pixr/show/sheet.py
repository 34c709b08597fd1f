"""Contact sheet: one image with a picture of every moment, when it is, how sure, and why.

One band a query; in it a cell a moment: the frame at the moment's peak, the video's title, the span of time, a bar for
the score, and one bar for each match with what it says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pixr.errors import MissingExtra
from pixr.show.clock import clock
from pixr.show.fonts import load_fonts
from pixr.show.reasons import reasons
from pixr.show.thumbnails import Thumbnails
from pixr.types import Hit, Hits, Moment
from pixr.whole_file import whole_file
from pixr.wire import source_name

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

    from pixr.show.fonts import Font

__all__ = ["FORMATS", "MODE_COLOURS", "write_sheet"]

# The format of a sheet by the ending of its file, in small letters.
FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", "": "PNG"}

MODE_COLOURS = {"visual": "#3b82f6", "text": "#d97706", "audio": "#059669"}
INK, FAINT, PAPER, CARD, SCORE = "#111827", "#6b7280", "#ffffff", "#f3f4f6", "#111827"
PICTURE_GROUND, NO_PICTURE_INK, BAR_GROUND = "#1f2937", "#9ca3af", "#d1d5db"
COLUMNS, CELL_WIDTH, PICTURE_HEIGHT, GAP, MARGIN = 4, 320, 180, 16, 24
LINE_HEIGHT, MATCH_LINES, PADDING = 20, 4, 10
CELL_HEIGHT = PICTURE_HEIGHT + (3 + MATCH_LINES) * LINE_HEIGHT + 12
CONFIDENCE_WIDTH, CONFIDENCE_GAP = 48, 8
HEADING_HEIGHT, EMPTY_HEIGHT, MAX_MOMENTS = 44, 36, 24


@dataclass(frozen=True)
class _Fonts:
    heading: Font
    text: Font
    small: Font


@dataclass(frozen=True)
class _Canvas:
    """The sheet, and what everything on it is drawn with."""

    sheet: Image
    draw: ImageDraw
    fonts: _Fonts
    thumbnails: Thumbnails


def write_sheet(path: Path, sections: Sequence[tuple[str, Hits]], *, per_section: int = MAX_MOMENTS) -> None:
    """Write the moments of each `(query, hits)` as an image at `path`, at most `per_section` of each, best video first.

    The ending of `path` says in which of `FORMATS`. The file appears whole or not at all. A moment whose source can't
    be read any more has an empty picture.

    Raises:
        MissingExtra: Pillow is not installed.
        OSError: the file can't be written.
        ValueError: there is no format of this ending.
    """
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"{path}: the name of a contact sheet ends with .png or .jpg")
    try:
        from PIL import Image, ImageDraw
    except ImportError as error:
        raise MissingExtra("pillow", "media", error) from error
    moments = [(query, _best(hits, per_section)) for query, hits in sections]
    heights = [-(-len(found) // COLUMNS) * (CELL_HEIGHT + GAP) or EMPTY_HEIGHT for _, found in moments]
    width = 2 * MARGIN + COLUMNS * CELL_WIDTH + (COLUMNS - 1) * GAP
    height = 2 * MARGIN + sum(HEADING_HEIGHT + taken for taken in heights)
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    fonts = _Fonts(*load_fonts(_texts(moments), (22, 15, 13)))
    canvas = _Canvas(sheet, draw, fonts, Thumbnails(CELL_WIDTH))
    top = MARGIN
    for (query, found), taken in zip(moments, heights, strict=True):
        draw.text((MARGIN, top + 6), _fit(draw, query, fonts.heading, width - 2 * MARGIN), INK, fonts.heading)
        top += HEADING_HEIGHT
        if not found:
            draw.text((MARGIN, top), "no such moment", FAINT, fonts.text)
        for number, (hit, moment) in enumerate(found):
            row, column = divmod(number, COLUMNS)
            corner = MARGIN + column * (CELL_WIDTH + GAP), top + row * (CELL_HEIGHT + GAP)
            _draw_cell(canvas, corner, hit, moment)
        top += taken
    with whole_file(path) as partial:
        sheet.save(partial, FORMATS[path.suffix.lower()], quality=90)


def _texts(moments: Sequence[tuple[str, list[tuple[Hit, Moment]]]]) -> Iterator[str]:
    """Everything that is written on a sheet and comes from outside."""
    for query, found in moments:
        yield query
        for hit, moment in found:
            yield hit.video.title or source_name(hit.video)
            yield from (match.description or match.part or "" for match in moment.matches)


def _best(hits: Hits, count: int) -> list[tuple[Hit, Moment]]:
    """First every video's best moment, then further ones, so that a sheet shows many videos."""
    ranked = [(rank, place, hit, m) for place, hit in enumerate(hits) for rank, m in enumerate(hit.moments)]
    ranked.sort(key=lambda entry: (entry[0] > 0, -entry[3].score, entry[1], entry[0]))
    return [(hit, moment) for _, _, hit, moment in ranked[:count]]


def _draw_cell(canvas: _Canvas, corner: tuple[int, int], hit: Hit, moment: Moment) -> None:
    """Draw a moment: its picture, then a line each for its video, its times and score, a bar, and its matches."""
    draw, fonts = canvas.draw, canvas.fonts
    left, top = corner
    draw.rectangle((left, top, left + CELL_WIDTH - 1, top + CELL_HEIGHT - 1), fill=CARD)
    _draw_picture(canvas, corner, hit, moment)
    x, y, room = left + PADDING, top + PICTURE_HEIGHT + 6, CELL_WIDTH - 2 * PADDING
    draw.text((x, y), _fit(draw, hit.video.title or source_name(hit.video), fonts.text, room), INK, fonts.text)
    y += LINE_HEIGHT
    draw.text((x, y), f"{clock(moment.start)} – {clock(moment.end)}", FAINT, fonts.small)
    score = f"{moment.score:.2f}"
    draw.text((x + room - draw.textlength(score, fonts.small), y), score, INK, fonts.small)
    y += LINE_HEIGHT
    _draw_bar(draw, (x, y + 2, x + room, y + 8), moment.score, SCORE)
    _draw_matches(canvas, (x, y + LINE_HEIGHT - 4), room, moment)


def _draw_picture(canvas: _Canvas, corner: tuple[int, int], hit: Hit, moment: Moment) -> None:
    """Draw the frame at the moment's peak, as large as fits, in the middle of its field."""
    left, top = corner
    field = (left, top, left + CELL_WIDTH - 1, top + PICTURE_HEIGHT - 1)  # the last points are part of it
    canvas.draw.rectangle(field, fill=PICTURE_GROUND)
    picture = canvas.thumbnails.at(hit.video, moment.peak)
    if picture is None:
        place = (left + 8, top + PICTURE_HEIGHT // 2 - 8)
        canvas.draw.text(place, "no picture", NO_PICTURE_INK, canvas.fonts.small)
        return
    scale = min(CELL_WIDTH / picture.width, PICTURE_HEIGHT / picture.height)
    picture = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))))
    place = (left + (CELL_WIDTH - picture.width) // 2, top + (PICTURE_HEIGHT - picture.height) // 2)
    canvas.sheet.paste(picture, place)


def _draw_matches(canvas: _Canvas, corner: tuple[int, int], room: int, moment: Moment) -> None:
    """Draw a line for each match: a bar for its confidence, and what it says."""
    x, y = corner
    draw, font = canvas.draw, canvas.fonts.small
    indent = CONFIDENCE_WIDTH + CONFIDENCE_GAP
    ordered = reasons(moment)
    for match in ordered[:MATCH_LINES]:
        _draw_bar(draw, (x, y + 5, x + CONFIDENCE_WIDTH, y + 13), match.confidence, MODE_COLOURS[match.mode])
        said = match.description or match.part
        text = f"{match.channel}: {said}" if said else match.channel
        draw.text((x + indent, y), _fit(draw, text, font, room - indent), INK, font)
        y += LINE_HEIGHT
    if len(ordered) > MATCH_LINES:
        draw.text((x + room - 24, y - LINE_HEIGHT), f"+{len(ordered) - MATCH_LINES}", FAINT, font)


def _draw_bar(draw: ImageDraw, box: tuple[int, int, int, int], share: float, colour: str) -> None:
    """Fill a share of a box: left, top, right, bottom."""
    left, top, right, bottom = box
    draw.rectangle(box, fill=BAR_GROUND)
    filled = round((right - left) * min(max(share, 0.0), 1.0))
    if filled:
        draw.rectangle((left, top, left + filled, bottom), fill=colour)


def _fit(draw: ImageDraw, text: str, font: Font, width: float) -> str:
    """As much of the text as fits, with an ellipsis where it was cut."""
    line = " ".join(text.split())
    if draw.textlength(line, font) <= width:
        return line
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        if draw.textlength(line[:middle].rstrip() + "…", font) <= width:
            low = middle
        else:
            high = middle - 1
    return line[:low].rstrip() + "…"
