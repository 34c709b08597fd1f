"""Turns texts into rows of token numbers as a model was trained on them: cleaned, cut and padded its way."""

from __future__ import annotations

import html
import importlib
import re
import string
from typing import TYPE_CHECKING, Any

from pixr.encoders.published.description import Cleaning, TextRecipe
from pixr.errors import MissingExtra, ModelError, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)
_BLANKS = re.compile(r"\s+")


def clean(text: str, cleaning: Cleaning) -> str:
    """Clean a text as the family's authors do before tokenizing.

    OpenCLIP also repairs mis-decoded characters with ftfy; that is not done here.
    """
    if cleaning == "none":
        return text
    if cleaning == "lower":
        return text.lower()
    if cleaning == "lower_punctuation":
        return _BLANKS.sub(" ", text.translate(_NO_PUNCTUATION).lower()).strip()
    text = html.unescape(html.unescape(text)).strip()
    if cleaning == "canonical":
        text = text.replace("_", " ").translate(_NO_PUNCTUATION).lower()
    return _BLANKS.sub(" ", text).strip()


class TextTokenizer:
    """A tokenizer with its model's limits. Safe to use from several threads."""

    def __init__(self, recipe: TextRecipe) -> None:
        """Load `tokenizer.json`.

        Raises:
            MissingExtra: tokenizers is not installed.
            ModelNotFound: there is no such file.
            ModelError: it is damaged, or doesn't know the padding token.
        """
        try:
            tokenizers = importlib.import_module("tokenizers")
        except ImportError as error:
            raise MissingExtra("tokenizers", "encoders", error) from error
        path = recipe.tokenizer
        if not path.is_file():
            raise ModelNotFound(f"tokenizer file not found: {path}")
        try:
            self._tokenizer: Any = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelError(f"cannot load tokenizer {path}: {error}") from error
        self._recipe = recipe
        self._pad_id = self._find_pad_id()
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(recipe.max_tokens)

    def rows(self, texts: Sequence[str]) -> list[NDArray[np.int64]]:
        """Token numbers of each text, not padded."""
        import numpy as np

        cleaned = [clean(text, self._recipe.cleaning) for text in texts]
        return [np.asarray(encoding.ids, np.int64) for encoding in self._tokenizer.encode_batch(cleaned)]

    def pad(
        self, rows: Sequence[NDArray[np.int64]], length: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Put rows into one array: numbers and mask, both `(len(rows), length)`; None for what the recipe says."""
        import numpy as np

        if length is None:
            full = self._recipe.padding == "full"
            length = self._recipe.max_tokens if full else max((len(row) for row in rows), default=1)
        ids = np.full((len(rows), max(1, length)), self._pad_id, np.int64)
        mask = np.zeros_like(ids)
        for at, row in enumerate(rows):
            first = ids.shape[1] - len(row) if self._recipe.pad_side == "left" else 0
            ids[at, first : first + len(row)] = row
            mask[at, first : first + len(row)] = 1
        return ids, mask

    def _find_pad_id(self) -> int:
        token, said = self._recipe.pad_token, self._tokenizer.padding
        if token is not None:
            number = self._tokenizer.token_to_id(token)
            if number is None:
                raise ModelError(f"{self._recipe.tokenizer} doesn't know the padding token {token!r}")
            return int(number)
        if said is not None:
            return int(said["pad_id"])
        return next((n for n in map(self._tokenizer.token_to_id, ("[PAD]", "<pad>")) if n is not None), 0)
