"""Brings a picture to what a model sees: resize, crop or pad, scale, normalise; Pillow does the resampling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pixr.encoders.published.description import PictureRecipe
from pixr.errors import MissingExtra

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def preprocess(image: NDArray[np.uint8], recipe: PictureRecipe) -> NDArray[np.float32]:
    """Prepare one RGB picture (uint8, height x width x 3): float32 of shape `(3, recipe.height, recipe.width)`.

    Raises:
        ValueError: the picture has another type or shape, or no pixels.
        MissingExtra: Pillow is not installed.
    """
    import numpy as np

    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtra("pillow", "encoders", error) from error
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise ValueError(f"expected an RGB picture of uint8, height x width x 3; got {image.dtype} of {image.shape}")
    picture: Any = Image.fromarray(np.ascontiguousarray(image))
    for size in resizing_steps(picture.width, picture.height, recipe):
        picture = picture.resize(size, getattr(Image.Resampling, recipe.resample.upper()))
    framed = _frame(np.asarray(picture), recipe).astype(np.float32)
    scaled = framed * np.float32(recipe.scale)
    normalised = (scaled - np.asarray(recipe.mean, np.float32)) / np.asarray(recipe.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))


def resizing_steps(width: int, height: int, recipe: PictureRecipe) -> list[tuple[int, int]]:
    """The sizes that a picture is brought to one after the other, each an axis alone: `(width, height)`.

    Pillow rounds between the axes, and which it takes first depends on its version. So this chooses: columns first
    where an upright picture is squashed, else rows.
    """
    to_width, to_height = resized_size(width, height, recipe)
    columns_first = recipe.resize == "squash" and height * to_width > width * to_height
    between = (width, to_height) if columns_first else (to_width, height)
    return [between, (to_width, to_height)]


def resized_size(width: int, height: int, recipe: PictureRecipe) -> tuple[int, int]:
    """The size that a picture is brought to before it is cropped or padded: `(width, height)`."""
    if recipe.resize == "none":
        return width, height
    if recipe.resize == "squash":
        return recipe.width, recipe.height
    if recipe.resize == "longest":
        ratio = max(height / recipe.height, width / recipe.width)
        return max(1, round(width / ratio)), max(1, round(height / ratio))
    if recipe.edge == 0:
        ratio = min(height / recipe.height, width / recipe.width)
        return round(width / ratio), round(height / ratio)
    short, long = min(width, height), max(width, height)
    longer = int(recipe.edge * long / short)
    return (recipe.edge, longer) if width <= height else (longer, recipe.edge)


def _frame(pixels: NDArray[np.uint8], recipe: PictureRecipe) -> NDArray[np.uint8]:
    """Crop the middle, or pad around it, on each axis."""
    import numpy as np

    for axis, wanted in ((0, recipe.height), (1, recipe.width)):
        missing = wanted - pixels.shape[axis]
        if missing > 0:
            around = [(0, 0)] * 3
            around[axis] = (missing // 2, missing - missing // 2)
            pixels = np.pad(pixels, around, constant_values=recipe.fill)
        elif missing < 0:
            first = round(-missing / 2) if recipe.crop_rounding == "even" else -missing // 2
            pixels = pixels.take(range(first, first + wanted), axis=axis)
    return pixels
