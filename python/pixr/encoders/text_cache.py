"""Remembers the vectors of recent texts, so a query that is repeated or serves several channels is encoded once."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pixr.encoders.protocol import Vectors

CACHED_TEXTS = 1024


class TextCache:
    """Remembers the last `size` texts. Safe to use from several threads, but two may encode the same text at once."""

    def __init__(self, dimension: int, size: int = CACHED_TEXTS) -> None:
        self._dimension = dimension
        self._size = size
        self._known: OrderedDict[str, Vectors] = OrderedDict()
        self._lock = threading.Lock()

    def rows(self, texts: Sequence[str], encode: Callable[[list[str]], Vectors]) -> Vectors:
        """Return a row for each text: float32 of shape `(len(texts), dimension)`.

        `encode` is called once, with the unknown texts without repeats, or not at all if every text is known.
        """
        import numpy as np

        rows = np.zeros((len(texts), self._dimension), np.float32)
        missing: dict[str, list[int]] = {}
        with self._lock:
            for index, text in enumerate(texts):
                known = self._known.get(text)
                if known is None:
                    missing.setdefault(text, []).append(index)
                else:
                    self._known.move_to_end(text)
                    rows[index] = known
        if not missing:
            return rows
        new_texts = list(missing)
        new_rows = encode(new_texts)
        for text, row in zip(new_texts, new_rows, strict=True):
            rows[missing[text]] = row
        with self._lock:
            for text, row in zip(new_texts[-self._size :], new_rows[-self._size :], strict=True):
                self._known[text] = row.copy()
            while len(self._known) > self._size:
                self._known.popitem(last=False)
        return rows
