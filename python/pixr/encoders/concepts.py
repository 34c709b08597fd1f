"""The embedded picture encoder: pictures and words are compared as weights over concepts.

A classifier (EfficientNet-Lite2, ImageNet-1k) gives a picture's probabilities over 1000 concepts. A text gets weights
over the same concepts, and over their hypernyms, from how close its MiniLM vector is to the words of each. This is
ConSE (Norouzi et al. 2014, https://arxiv.org/abs/1312.5650) the other way round: words are mapped into the pictures'
space. The dot product says how much of what the words ask for is in the picture.

The last component is zero for every picture. A text that resembles no concept keeps most of its length there, so its
cosine with every picture is low, and a query about something that the classifier does not know finds nothing. How much
a text resembles a concept is measured by name and looks, or by looks alone, against the nearest other meaning that the
text may have, a noun of WordNet. If a concept only shares a word with the question, such a meaning is about as near.

`models/build_concepts.py` makes the maps. Costs: one model call for each picture, one MiniLM call for each text.
"""

from __future__ import annotations

import math
import zipfile
from functools import cached_property
from typing import TYPE_CHECKING

from pixr._engine import ByteMatrix, HalfMatrix, squeeze
from pixr.encoders.onnx import OnnxModel
from pixr.encoders.protocol import EncoderOptions, Space
from pixr.encoders.text_cache import TextCache
from pixr.errors import InvalidVector, ModelError, ModelNotFound, SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from pixr.encoders.protocol import Picture, TextEncoder, Vectors

MODEL_FILE = "efficientnet-lite2-int8.onnx"
TABLE_FILE = "concepts.npz"
SIDE = 260  # pixels, the model's input
CLASSES = 1000
QUERY_TEMPERATURE = 0.04  # of the softmax over cosines with the concepts' prototypes
# This share of the cosine with the nearest other meaning is subtracted from the cosine with the best concept.
OTHER_SHARE = 0.4
# A logistic of that difference says how much of a query's length is kept: half of it at the centre.
MATCH_CENTER, MATCH_WIDTH = 0.45, 0.035
# The same for the cosine with a hypernym, such as "dog", which is a kind and not one of the classes.
KIND_CENTER, KIND_WIDTH = 0.53, 0.015
DESCRIBE_ABOVE = 0.05  # probability
DESCRIBE_AT_MOST = 3


class ConceptEncoder:
    """Encodes pictures, and the words to look for them. Safe to use from several threads."""

    space = Space("concepts", "1", CLASSES + 1)

    def __init__(self, folder: Path, text: TextEncoder, options: EncoderOptions | None = None) -> None:
        """Load classifier and concept table from `folder`. `text` encodes the words; it is shared for its cache.

        Raises:
            MissingExtra: onnxruntime or numpy is not installed.
            ModelNotFound: a file is missing.
            ModelError: a file is damaged, or the table was made for another text space.
        """
        self._options = options or EncoderOptions()
        self._text = text
        self._table = ConceptTable(folder / TABLE_FILE)
        self._cache = TextCache(self.space.dimension)
        if self._table.text_dimension != text.space.dimension:
            expected = self._table.text_dimension
            raise ModelError(f"{folder / TABLE_FILE} needs text vectors of {expected} dimensions, got {text.space}")
        self._model = OnnxModel(folder / MODEL_FILE, self._options, inputs=("x",))

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Encode texts: float32 of shape `(len(texts), 1001)`, each row of length one."""
        return self._cache.rows(texts, self._weigh)

    def _weigh(self, texts: list[str]) -> Vectors:
        import numpy as np

        vectors = self._text.encode_text(texts)
        closeness, wanted = self._table.weigh(vectors)
        rows = np.empty((len(texts), self.space.dimension), np.float32)
        # There are few rows, and for few numbers plain arithmetic is faster than numpy.
        named = closeness[:, CLASSES:].max(axis=1, initial=-1.0).tolist()
        for row, left, kind, mixed in zip(rows, self._table.resemble(vectors, closeness), named, wanted, strict=True):
            kept = max(_share(left, MATCH_CENTER, MATCH_WIDTH), _share(kind, KIND_CENTER, KIND_WIDTH))
            np.multiply(mixed, kept / math.sqrt(mixed.dot(mixed)), out=row[:CLASSES])
            row[CLASSES] = math.sqrt(1.0 - kept**2)
        return rows

    def encode_images(self, images: Sequence[Picture]) -> Vectors:
        """Encode RGB pictures (uint8, height x width x 3, any size): float32 `(len(images), 1001)`, unit rows.

        Raises:
            ValueError: a picture has another type or shape, or no pixels.
        """
        import numpy as np

        rows = np.empty((len(images), self.space.dimension), np.float32)
        for at in range(0, len(images), self._options.rows_a_call):
            batch = images[at : at + self._options.rows_a_call]
            logits = self._model.run({"x": preprocess(batch)})
            # The softmax without dividing by its sum, since rows are scaled to length one anyway.
            rows[at : at + len(batch)] = self._place(np.exp(logits - logits.max(axis=1, keepdims=True)))
        return rows

    def pool(self, vectors: Vectors) -> Vectors:
        """Make one vector of a shot's frames, that of their mean probabilities: `(frames, 1001)` in, `(1001,)` out.

        Raises:
            ValueError: there are no frames.
            SpaceMismatch: the vectors have another dimension than this encoder's space.
        """
        if len(vectors) == 0:
            raise ValueError("a shot needs at least one frame to pool")
        row: Vectors = self._place(self._probabilities(vectors).mean(axis=0, keepdims=True))[0]
        return row

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """The same as `encode_text`: this model treats questions and documents alike."""
        return self.encode_text(texts)

    def describe(self, vectors: Vectors) -> list[str | None]:
        """Name what pictures likely show ("closest concepts: tile roof, ladder"), or None if nothing is likely."""
        described: list[str | None] = []
        for row in self._probabilities(vectors):
            likeliest = [index for index in row.argsort()[::-1][:DESCRIBE_AT_MOST] if row[index] >= DESCRIBE_ABOVE]
            names = dict.fromkeys(self._table.names[index] for index in likeliest)
            described.append(f"closest concepts: {', '.join(names)}" if names else None)
        return described

    def _place(self, probabilities: Vectors) -> Vectors:
        import numpy as np

        rows = np.zeros((len(probabilities), self.space.dimension), np.float32)
        placed = self._table.place(probabilities)
        lengths = np.sqrt(np.einsum("nc,nc->n", placed, placed))
        np.divide(placed, lengths[:, None], out=rows[:, :CLASSES])
        return rows

    def _probabilities(self, vectors: Vectors) -> Vectors:
        """Undo `_place`. It scaled rows to length one, but probabilities sum to one, so only rounding is lost."""
        import numpy as np

        if vectors.ndim != 2 or vectors.shape[1] != self.space.dimension:
            raise SpaceMismatch(f"vectors of shape {vectors.shape} are not of space {self.space}")
        concepts = vectors[:, :CLASSES].astype(np.float32, copy=False)
        rows = np.maximum(np.einsum("nd,dc->nc", concepts, self._table.inverse_image_map), 0.0)
        sums = rows.sum(axis=1, keepdims=True)
        probabilities: Vectors = np.divide(rows, sums, out=np.zeros_like(rows), where=sums > 0)
        return probabilities


class ConceptTable:
    """The concepts' names, their prototypes in the text space, and the maps of texts and pictures to a shared space."""

    def __init__(self, path: Path) -> None:
        """Read the table.

        Raises:
            ModelNotFound: there is no such file.
            ModelError: the file is damaged.
        """
        import numpy as np

        if not path.is_file():
            raise ModelNotFound(f"concept table not found: {path}")
        try:
            with np.load(path, allow_pickle=False) as table:
                self.names = [str(name) for name in table["names"]]
                levels = {name: table[name] for name in ("prototypes", "query_map", "descriptions", "others")}
                scales = {name: table[f"{name}_scales"] for name in levels}
                self._image_map: NDArray[np.float16] = table["image_map"].astype(np.float16, copy=False)
                self._to_others: Vectors = table["to_others"].astype(np.float32)
        except (ValueError, KeyError, EOFError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"cannot read concept table {path}: {error}") from error
        count = len(self.names)
        shapes = {name: one.shape for name, one in levels.items()} | {"image_map": self._image_map.shape}
        width, reduced = self._to_others.shape if self._to_others.ndim == 2 else (0, 0)
        expected = {
            "prototypes": (count, width),
            "query_map": (CLASSES, count),
            "descriptions": (CLASSES, width),
            "others": (len(levels["others"]), reduced),
            "image_map": (CLASSES, CLASSES),
        }
        if shapes != expected:
            raise ModelError(f"concept table {path} has shapes {shapes}, expected {expected}")
        self.text_dimension: int = width
        try:
            matrices = {name: ByteMatrix.of(one, scales[name]) for name, one in levels.items()}
        except (InvalidVector, TypeError) as error:
            raise ModelError(f"concept table {path}: {error}") from error
        self._prototypes, self._query_map = matrices["prototypes"], matrices["query_map"]
        self._descriptions, self._others = matrices["descriptions"], matrices["others"]
        # In float16, because that is how libraries store the vectors that it placed.
        self._places = HalfMatrix.of(np.ascontiguousarray(self._image_map.T, "<f2").tobytes(), CLASSES)

    def place(self, probabilities: Vectors) -> Vectors:
        """Map pictures' probabilities, `(pictures, 1000)`, into the shared space; not yet unit rows."""
        return self._places.products(probabilities)

    @cached_property
    def inverse_image_map(self) -> Vectors:
        """The map that undoes `place`, `(1000, 1000)`. Only indexing needs it.

        Raises:
            ModelError: the map can't be undone.
        """
        import numpy as np

        try:
            inverse: Vectors = np.asarray(np.linalg.inv(self._image_map.astype(np.float32)), np.float32)
        except np.linalg.LinAlgError as error:
            raise ModelError(f"the concept table's map of pictures can't be undone: {error}") from error
        return inverse

    def weigh(self, vectors: Vectors) -> tuple[Vectors, Vectors]:
        """Weigh the concepts by text vectors of shape `(texts, text_dimension)`.

        Returns:
            The cosine with each concept's prototype, `(texts, concepts)`, and the weighted concepts in the shared
            space, `(texts, 1000)`.
        """
        return self._prototypes.attend(self._query_map, vectors, QUERY_TEMPERATURE)

    def resemble(self, vectors: Vectors, closeness: Vectors) -> list[float]:
        """How much each text resembles a concept: its cosine with the best, less a share of that with another meaning.

        `closeness` is what `weigh` returned for the same vectors.
        """
        import numpy as np

        if not len(vectors):
            return []
        by_name, by_looks = closeness.max(axis=1).tolist(), self._descriptions.greatest(vectors)
        other = self._others.greatest(np.einsum("td,dk->tk", vectors, self._to_others))
        return [max(name, looks) - OTHER_SHARE * far for name, looks, far in zip(by_name, by_looks, other, strict=True)]


def _share(value: float, center: float, width: float) -> float:
    return 1.0 / (1.0 + math.exp((center - value) / width))


def preprocess(images: Sequence[Picture]) -> NDArray[np.uint8]:
    """Scale whole pictures to the model's input: RGB, uint8 of shape `(n, 260, 260, 3)`.

    Pictures are squeezed to a square. A centre crop would lose what stands at the sides, and finds fewer moments. The
    filter is the same as Pillow's bicubic one, which takes six times as long.

    Raises:
        ValueError: not uint8, not height x width x 3, or no pixels.
    """
    import numpy as np

    for image in images:
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            got = f"{image.dtype} of shape {image.shape}"
            raise ValueError(f"a picture is uint8 of shape (height, width, 3), got {got}")
    return squeeze(images, SIDE)
