"""What every encoder promises: vectors of one space, with one unit row for each input.

An encoder turns texts, pictures or sound into float32 rows of length one. Rows of two spaces are never compared: the
engine refuses, and names both. Encoders of pictures and sound also understand text, so that words can look for them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias, get_args, runtime_checkable

from pixr.arguments import check_whole_number
from pixr.errors import InvalidQuery, ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors: TypeAlias = NDArray[np.float32]
    Picture: TypeAlias = NDArray[np.uint8]
    Sound: TypeAlias = NDArray[np.float32]

Precision: TypeAlias = Literal["fp32", "fp16", "int8", "q4", "q4f16"]
PRECISIONS: Final[tuple[Precision, ...]] = get_args(Precision)
DEFAULT_BATCH: Final = 8
_MOST: Final = 1_000_000

_SPACE = re.compile(r"(?P<name>[^@/]+)@(?P<version>[^@/]+)/(?P<dimension>[1-9][0-9]*)")


@dataclass(frozen=True)
class Space:
    """The space that vectors belong to: an encoder's name, version and dimension, written `name@version/dimension`.

    The version changes whenever the same input would get a different vector.
    """

    name: str
    version: str
    dimension: int

    def __post_init__(self) -> None:
        if not _SPACE.fullmatch(str(self)):
            raise ModelError(f"not a space: {self!s}; expected name@version/dimension with a dimension above zero")

    def __str__(self) -> str:
        return f"{self.name}@{self.version}/{self.dimension}"

    @classmethod
    def parse(cls, text: str) -> Space:
        """Read the written form back.

        Raises:
            ModelError: the text is not `name@version/dimension`.
        """
        match = _SPACE.fullmatch(text)
        if match is None:
            raise ModelError(f"not a space: {text!r}; expected name@version/dimension with a dimension above zero")
        return cls(match["name"], match["version"], int(match["dimension"]))


@dataclass(frozen=True)
class EncoderOptions:
    """How encoders run.

    Attributes:
        threads: how many threads one model call uses. None leaves it to onnxruntime (one for each physical core), or
            for a published model to a short measurement, which is remembered.
        providers: execution providers, the preferred one first: "cuda", "tensorrt", "coreml", "openvino", "directml",
            "cpu" or onnxruntime's own names. Those that are not available are left out with a warning, and the
            processor always comes last.
        batch_size: how many pictures or texts go into one model call. It bounds memory, not how many you may pass. None
            means 8, or for a published model what was measured.
        precision: which of a published model's files to use: "auto" for the right one for this machine, or one of
            "fp32", "fp16", "int8", "q4", "q4f16".

    Raises:
        InvalidQuery: `threads` or `batch_size` is no whole number above zero, or there is no such `precision`.
    """

    threads: int | None = None
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    batch_size: int | None = None
    precision: str = "auto"

    def __post_init__(self) -> None:
        for name in ("threads", "batch_size"):
            if getattr(self, name) is not None:
                check_whole_number(name, getattr(self, name), 1, _MOST)
        if self.precision not in ("auto", *PRECISIONS):
            raise InvalidQuery(f"precision must be auto, {', '.join(PRECISIONS)}; got {self.precision!r}")

    @property
    def rows_a_call(self) -> int:
        """`batch_size`, or its default."""
        return self.batch_size or DEFAULT_BATCH


@runtime_checkable
class TextEncoder(Protocol):
    """Turns texts into vectors."""

    @property
    def space(self) -> Space:
        """The space of every vector this encoder returns."""
        ...

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Encode questions: float32 of shape `(len(texts), space.dimension)`, unit rows."""
        ...

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """Encode texts that questions look for, in the same form. Some models put another prefix before these."""
        ...

    def describe(self, vectors: Vectors) -> list[str | None]:
        """Describe in words what each vector stands for; None where nothing is known."""
        ...


@runtime_checkable
class ImageEncoder(TextEncoder, Protocol):
    """Turns pictures into vectors, and texts into vectors of the same space."""

    def encode_images(self, images: Sequence[Picture]) -> Vectors:
        """Encode RGB pictures (uint8, height x width x 3, any size): float32 `(len(images), dimension)`, unit rows.

        Raises:
            ValueError: a picture has another type or shape, or no pixels.
        """
        ...

    def pool(self, vectors: Vectors) -> Vectors:
        """Make one vector of the frames of a shot: `(frames, dimension)` in, a unit vector `(dimension,)` out.

        Raises:
            ValueError: there are no frames.
            SpaceMismatch: the vectors have another dimension than this encoder's space.
        """
        ...


@runtime_checkable
class SoundEncoder(TextEncoder, Protocol):
    """Turns sound into vectors, and texts into vectors of the same space."""

    @property
    def sample_rate_hz(self) -> int:
        """The sample rate that the encoder takes."""
        ...

    @property
    def window_seconds(self) -> float:
        """How much sound one indexed vector stands for."""
        ...

    def encode_sounds(self, sounds: Sequence[Sound]) -> Vectors:
        """Encode mono sound (float32 in [-1, 1], any length above zero): float32 `(len(sounds), dimension)`, unit rows.

        Raises:
            ValueError: a sound has another shape, or no samples.
        """
        ...
