"""Measures whether a confidence means what it says: of matches with 0.7, seven in ten should be right.

A match is right if it overlaps a span that answers the question by at least half of the shorter of both. Only questions
about one mode or about nothing are counted: no channel can be sure of a question that it answers only half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.errors import MissingExtra
from pixr.whole_file import whole_file

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

__all__ = ["BINS", "Bin", "Reliability", "draw_diagram", "reliability"]

BINS = 10


@dataclass(frozen=True)
class Bin:
    """Matches of similar confidence: how many there are, their mean confidence, and the share that is right."""

    count: int
    confidence: float
    right: float


@dataclass(frozen=True)
class Reliability:
    """The reliability of a channel. `error` is the expected calibration error: the mean of |confidence - right|."""

    matches: int
    error: float
    bins: tuple[Bin, ...]

    def to_dict(self) -> dict[str, Any]:
        """The figures in the form of JSON."""
        return asdict(self)


def reliability(matches: Sequence[tuple[float, bool]], bins: int = BINS) -> Reliability:
    """Compute it from each match's confidence and whether it is right, in bins of equal width (Guo et al. 2017)."""
    sorted_into: list[list[tuple[float, bool]]] = [[] for _ in range(bins)]
    for confidence, is_right in matches:
        sorted_into[min(int(confidence * bins), bins - 1)].append((confidence, is_right))
    made = tuple(
        Bin(len(some), sum(c for c, _ in some) / len(some), sum(right for _, right in some) / len(some))
        if some
        else Bin(0, 0.0, 0.0)
        for some in sorted_into
    )
    error = sum(one.count * abs(one.confidence - one.right) for one in made) / len(matches) if matches else 0.0
    return Reliability(len(matches), error, made)


def draw_diagram(path: Path, named: Sequence[tuple[str, Reliability]], columns: int | None = None) -> None:
    """Draw reliability diagrams as a PNG: each bin is a bar as high as the share of its matches that is right.

    Diagrams stand side by side, at most `columns` in a row.

    Raises:
        MissingExtra: Pillow is not installed.
        OSError: the file can't be written.
    """
    try:
        from PIL import Image, ImageDraw, ImageFont
    except ImportError as error:
        raise MissingExtra("pillow", "media", error) from error
    side, gap, top, bottom = 260, 50, 56, 64
    columns = max(1, columns or len(named))
    width, height = min(columns, max(1, len(named))) * (side + gap) + gap, top + side + bottom
    sheet = Image.new("RGB", (width, max(1, -(-len(named) // columns)) * height), "#ffffff")
    draw = ImageDraw.Draw(sheet)
    font, small = ImageFont.load_default(15), ImageFont.load_default(11)
    for number, (name, found) in enumerate(named):
        row, column = divmod(number, columns)
        left, above = gap + column * (side + gap), row * height
        draw.text((left, above + 10), name, "#111827", font)
        draw.text((left, above + 32), f"error {found.error:.3f}, {found.matches} matches", "#6b7280", small)
        _draw_bins(draw, left, above + top, side, found)
        for tick in (0.0, 0.5, 1.0):
            draw.text((left + side * tick - 8, above + top + side + 6), f"{tick:g}", "#6b7280", small)
            draw.text((left - 26, above + top + side * (1 - tick) - 6), f"{tick:g}", "#6b7280", small)
        draw.text((left + side / 2 - 30, above + top + side + 24), "confidence", "#6b7280", small)
        draw.text((left, above + top + side + 42), "bar: share that is right; line: how it should be", "#6b7280", small)
    with whole_file(path) as partial:
        sheet.save(partial, "PNG")


def _draw_bins(draw: ImageDraw, left: int, top: int, side: int, found: Reliability) -> None:
    draw.rectangle((left, top, left + side, top + side), outline="#d1d5db")
    step = side / len(found.bins)
    most = max((one.count for one in found.bins), default=0)
    for at, one in enumerate(found.bins):
        if one.count:
            # The fuller a bin, the darker its bar, since a bar of three matches says little.
            share = 0.25 + 0.75 * (one.count / most) ** 0.5
            shade = "#{:02x}{:02x}{:02x}".format(*(round(255 - (255 - part) * share) for part in (59, 130, 246)))
            x = left + at * step
            draw.rectangle((x + 2, top + side * (1 - one.right), x + step - 2, top + side), fill=shade)
            draw.text((x + 2, top + side * (1 - one.right) - 13), str(one.count), "#6b7280")
            y = top + side * (1 - one.confidence)
            draw.line((x, y, x + step, y), "#dc2626", 2)
    draw.line((left, top + side, left + side, top), "#9ca3af")
