"""Finds out whether a picture shows anything that the last kept one did not.

A signature is the mean colour of up to 32 × 24 cells. Two pictures are near-duplicates if no cell differs by more than
a few levels, and all of them together by hardly any. Noise from recompression stays below that; one changed line on a
slide does not. Each picture is compared with the last one that was *kept*, so slow drift adds up and is noticed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_ROWS, _COLUMNS = 24, 32


def picture_signature(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean colour of each cell of a grid over an RGB picture: rows × columns × 3, levels 0 to 255."""
    import numpy as np

    height, width = image.shape[:2]
    rows = np.linspace(0, height, min(_ROWS, height) + 1).astype(np.intp)[:-1]
    columns = np.linspace(0, width, min(_COLUMNS, width) + 1).astype(np.intp)[:-1]
    sums = np.add.reduceat(np.add.reduceat(image, rows, axis=0, dtype=np.uint32), columns, axis=1)
    heights = np.diff(np.append(rows, height))[:, None, None]
    widths = np.diff(np.append(columns, width))[None, :, None]
    means: NDArray[np.float32] = (sums / (heights * widths)).astype(np.float32)
    return means


class DuplicateFilter:
    """Remembers the last kept picture."""

    def __init__(self, *, most_cell_levels: float = 6.0, most_mean_levels: float = 1.5) -> None:
        self._most_cell_levels = most_cell_levels
        self._most_mean_levels = most_mean_levels
        self._kept: NDArray[np.float32] | None = None

    def repeats(self, image: NDArray[np.uint8]) -> bool:
        """True if `image` shows what the last kept picture shows; otherwise it becomes the last kept one."""
        import numpy as np

        signature = picture_signature(image)
        if self._kept is not None and self._kept.shape == signature.shape:
            moved = np.abs(signature - self._kept)
            if float(moved.max()) <= self._most_cell_levels and float(moved.mean()) <= self._most_mean_levels:
                return True
        self._kept = signature
        return False
