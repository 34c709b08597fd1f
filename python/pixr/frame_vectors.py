"""Gives each picture of a segment its vector, without encoding a picture twice."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixr.encoders.protocol import ImageEncoder
    from pixr.media.frames import SampledFrame

__all__ = ["frame_vectors"]


def frame_vectors(encoder: ImageEncoder, frames: Sequence[SampledFrame], last: Any) -> list[Any]:
    """The vector of each picture; one that repeats the picture before it takes that one's vector.

    Args:
        encoder: encodes the pictures that are new, in one call.
        frames: the pictures, in order of time.
        last: the vector of the picture before the first of them, None if there is none.
    """
    is_new = [not frame.repeats_previous or (last is None and at == 0) for at, frame in enumerate(frames)]
    images = [frame.image for frame, fresh in zip(frames, is_new, strict=True) if fresh]
    encoded = iter(encoder.encode_images(images)) if images else iter(())
    vectors = []
    for fresh in is_new:
        last = next(encoded) if fresh else last
        vectors.append(last)
    return vectors
