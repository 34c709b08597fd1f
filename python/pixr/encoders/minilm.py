"""The embedded text encoder: all-MiniLM-L6-v2 with int8 weights.

A text's vector is the mean of its token vectors, scaled to length one, as sentence-transformers does it (Reimers and
Gurevych 2019, https://arxiv.org/abs/1908.10084). Texts are cut at 256 word pieces, which is what the model was trained
on. Texts of similar length are encoded together, so that little time is lost on padding.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.encoders.onnx import OnnxModel
from pixr.encoders.protocol import EncoderOptions, Space
from pixr.encoders.text_cache import CACHED_TEXTS, TextCache
from pixr.errors import MissingExtra, ModelError, ModelNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixr.encoders.protocol import Vectors

MODEL_FILE = "minilm-l6-v2-int8.onnx"
TOKENIZER_FILE = "minilm-l6-v2-tokenizer.json"
MAX_TOKENS = 256


class MiniLMEncoder:
    """Encodes sentences as 384-dimensional unit vectors.

    The last `cached_texts` texts are remembered, so a query that is repeated, or shared by several channels, runs the
    network once. Safe to use from several threads.
    """

    space = Space("minilm", "1", 384)

    def __init__(
        self, folder: Path, options: EncoderOptions | None = None, *, cached_texts: int = CACHED_TEXTS
    ) -> None:
        """Load model and tokenizer from `folder`.

        Raises:
            MissingExtra: onnxruntime or tokenizers is not installed.
            ModelNotFound: a file is missing.
            ModelError: a file is damaged.
        """
        self._options = options or EncoderOptions()
        self._tokenizer = _load_tokenizer(folder / TOKENIZER_FILE)
        self._model = OnnxModel(
            folder / MODEL_FILE, self._options, inputs=("input_ids", "attention_mask", "token_type_ids")
        )
        self._cache = TextCache(self.space.dimension, cached_texts)
        self.network_calls = 0

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Encode texts: float32 of shape `(len(texts), 384)`, unit rows. Even an empty text has a vector."""
        return self._cache.rows(texts, self._encode)

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """The same as `encode_text`: this model treats questions and documents alike."""
        return self.encode_text(texts)

    def describe(self, vectors: Vectors) -> list[str | None]:
        """None for every row: nothing is known to say about a sentence's vector."""
        return [None] * len(vectors)

    def _encode(self, texts: list[str]) -> Vectors:
        import numpy as np

        tokens = [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]
        rows = np.empty((len(texts), self.space.dimension), np.float32)
        by_length = sorted(range(len(texts)), key=lambda index: len(tokens[index]))
        for at in range(0, len(by_length), self._options.rows_a_call):
            chosen = by_length[at : at + self._options.rows_a_call]
            ids = np.zeros((len(chosen), len(tokens[chosen[-1]])), np.int64)
            mask = np.zeros_like(ids)
            for row, index in enumerate(chosen):
                ids[row, : len(tokens[index])] = tokens[index]
                mask[row, : len(tokens[index])] = 1
            states = self._model.run({"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)})
            if states.shape != (*ids.shape, self.space.dimension):
                raise ModelError(
                    f"{self._model.path}: output {states.shape}, expected {(*ids.shape, self.space.dimension)}"
                )
            if not mask.all():
                states = states * mask[:, :, None].astype(np.float32)
            sums = states.sum(axis=1)
            rows[chosen] = sums / np.linalg.norm(sums, axis=1, keepdims=True)
            self.network_calls += 1
        return rows


def _load_tokenizer(path: Path) -> Any:
    try:
        tokenizers = importlib.import_module("tokenizers")
    except ImportError as error:
        raise MissingExtra("tokenizers", "encoders", error) from error
    if not path.is_file():
        raise ModelNotFound(f"tokenizer file not found: {path}")
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception
        raise ModelError(f"cannot load tokenizer {path}: {error}") from error
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.no_padding()
    return tokenizer
