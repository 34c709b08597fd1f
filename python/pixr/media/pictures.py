"""Pictures that a question is asked with."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

from pixr.errors import InvalidQuery, MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# A picture with more pixels is refused before it is decoded: a few kilobytes can claim gigabytes.
MAX_PIXELS = 100_000_000


def load_picture(source: str | os.PathLike[str] | bytes | NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Read a picture as RGB uint8 of shape (height, width, 3), turned upright as its EXIF says.

    Args:
        source: a file, its bytes, or an array, which is returned as it is.

    Raises:
        InvalidQuery: it can't be read, or has more than `MAX_PIXELS` pixels.
        MissingExtra: Pillow is not installed.
    """
    import numpy as np

    if isinstance(source, np.ndarray):
        if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or 0 in source.shape:
            raise InvalidQuery(f"image: {source.dtype} of shape {source.shape}, expected uint8 (height, width, 3)")
        return source
    try:
        from PIL import Image, ImageOps, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtra("pillow", "encoders", error) from error
    name = "image" if isinstance(source, bytes) else os.fspath(source)
    opened: Any = io.BytesIO(source) if isinstance(source, bytes) else source
    try:
        with Image.open(opened) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise InvalidQuery(f"{name}: {picture.width} × {picture.height} pixels, at most {MAX_PIXELS} are read")
            return np.asarray(ImageOps.exif_transpose(picture).convert("RGB"))
    except UnidentifiedImageError:
        raise InvalidQuery(f"{name} is not a picture") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InvalidQuery(f"{name} can't be read: {error}") from error
