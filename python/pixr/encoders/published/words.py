"""The half of a published model that reads words; the whole of a sentence model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pixr.encoders.published.texts import TextTokenizer
from pixr.encoders.published.towers import TEXT_INPUTS, TEXT_OUTPUTS, TOKEN_OUTPUTS, Towers, input_name, output_name
from pixr.encoders.text_cache import TextCache
from pixr.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pixr.encoders.protocol import EncoderOptions, Vectors
    from pixr.encoders.published.description import Pooling, TextRecipe


class Words:
    """Encodes texts, and remembers the last ones. Safe to use from several threads.

    Attributes:
        dimension: of every vector.
    """

    def __init__(self, recipe: TextRecipe, towers: Towers, options: EncoderOptions) -> None:
        """Load tokenizer and model.

        Raises:
            MissingExtra: onnxruntime or tokenizers is not installed.
            ModelNotFound: a file is missing.
            ModelError: a file is damaged, or the model has other inputs or outputs than its recipe says.
        """
        self._recipe, self._towers, self._options = recipe, towers, options
        self._tokenizer = TextTokenizer(recipe)
        model = towers.open(recipe.file)
        self._input = input_name(model, TEXT_INPUTS)
        # An export that pools says so by its output's name; the token vectors count where it doesn't.
        pooled = [name for name in TEXT_OUTPUTS if name in model.outputs and name != "pooler_output"]
        self._pooling: Pooling = "none" if pooled or recipe.output else recipe.pooling
        self._output = output_name(model, recipe.output, TEXT_OUTPUTS if self._pooling == "none" else TOKEN_OUTPUTS)
        shape = model.inputs[self._input].shape
        self._length = shape[1] if len(shape) == 2 else None  # an export of fixed length takes no other
        self.dimension = int(self._encode([""]).shape[1])
        self._cache = TextCache(self.dimension)

    def encode(self, texts: Sequence[str], prefix: str) -> Vectors:
        """Encode texts with `prefix` before each: float32 `(len(texts), dimension)`, unit rows."""
        return self._cache.rows([prefix + text for text in texts], self._encode_all)

    def _encode_all(self, texts: list[str]) -> Vectors:
        import numpy as np

        rows = np.empty((len(texts), self.dimension), np.float32)
        by_length = sorted(range(len(texts)), key=lambda at: len(texts[at]))  # little goes into padding
        for at in range(0, len(by_length), self._options.rows_a_call):
            chosen = by_length[at : at + self._options.rows_a_call]
            rows[chosen] = self._encode([texts[index] for index in chosen])
        return rows

    def _encode(self, texts: Sequence[str]) -> Vectors:
        ids, mask = self._tokenizer.pad(self._tokenizer.rows(texts), self._length)
        states = self._towers.run(self._recipe.file, {self._input: ids, "attention_mask": mask}, self._output)
        wanted = 2 if self._pooling == "none" else 3
        if states.ndim != wanted or len(states) != len(texts):
            raise ModelError(f"{self._recipe.file}: output {self._output} has shape {states.shape}")
        return unit_rows(pool_tokens(states, mask, self._pooling))


def pool_tokens(states: Vectors, mask: NDArray[np.int64], pooling: Pooling) -> Vectors:
    """One vector a text of `(texts, tokens, dimension)`: the mean of what isn't padding, the first, or the last."""
    import numpy as np

    if pooling == "cls":
        return states[:, 0]
    if pooling == "last":
        ends = mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)
        last: Vectors = states[np.arange(len(states)), ends]
        return last
    if pooling == "mean":
        weights = mask[:, :, None].astype(np.float32)
        mean: Vectors = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
        return mean
    return states


def unit_rows(rows: Vectors) -> Vectors:
    """Rows brought to length one."""
    import numpy as np

    scaled: Vectors = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), np.float32(1e-12))
    return scaled
