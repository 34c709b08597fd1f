"""Reads `preprocessor_config.json` of pictures, in its older and newer spellings, and jina-clip's of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, cast

from pixr.encoders.published.description import PictureRecipe, Resample, Resize
from pixr.encoders.published.json_files import integer, read_json, three
from pixr.errors import ModelError

_IMAGENET_HALF: Final = (0.5, 0.5, 0.5)
_RESAMPLE: Final[tuple[Resample, ...]] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
# Processors that bring both sides to the size given as one number; the others bring the shorter side to it.
_SQUASHING: Final = ("Siglip", "ViT", "BlipImage")


def picture_recipe(path: Path, file: Path) -> PictureRecipe:
    """Read how pictures are prepared.

    Raises:
        ModelError: something needed is missing or of another kind; names it.
    """
    values = read_json(path)
    if "resize_mode" in values or "interpolation" in values:
        return open_clip_recipe(path, values, file)
    kind = str(values.get("image_processor_type") or values.get("feature_extractor_type") or "")
    if kind.startswith("Siglip2ImageProcessor"):
        raise ModelError(f"{path}: models that see pictures in their own proportions (naflex) are not supported")
    resize, edge, size = _size(path, values, kind)
    height, width = size
    if values.get("do_center_crop", resize == "shortest"):
        height, width = _sides(path, values, "crop_size", edge)
    elif resize == "shortest":
        raise ModelError(f"{path}: resizes the shorter side and doesn't crop, so pictures have no one size")
    rescale = values.get("do_rescale", True)
    normalise = values.get("do_normalize", True)
    zeros, ones = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return PictureRecipe(
        file=file,
        height=height,
        width=width,
        resize=resize if values.get("do_resize", True) else "none",
        edge=edge,
        resample=_resample(path, values),
        scale=float(values.get("rescale_factor", 1 / 255)) if rescale else 1.0,
        mean=cast("Any", three(path, values, "image_mean", _IMAGENET_HALF) if normalise else zeros),
        std=cast("Any", three(path, values, "image_std", _IMAGENET_HALF) if normalise else ones),
    )


def open_clip_recipe(path: Path, values: dict[str, Any], file: Path) -> PictureRecipe:
    """Read OpenCLIP's spelling: `size`, `resize_mode`, `interpolation`, `mean`, `std`, `fill_color`.

    Raises: as `picture_recipe`.
    """
    size = values.get("size", 224)
    height, width = size if isinstance(size, list) and len(size) == 2 else (size, size)
    made = {"height": height, "width": width}
    mode = values.get("resize_mode", "shortest")
    if mode not in ("shortest", "squash", "longest"):
        raise ModelError(f"{path}: resize_mode is {mode!r}, expected shortest, squash or longest")
    resample = values.get("interpolation", "bicubic")
    if resample == "random":  # while training; never when asking
        resample = "bicubic"
    if resample not in _RESAMPLE:
        raise ModelError(f"{path}: interpolation is {resample!r}, expected one of {', '.join(_RESAMPLE)}")
    fill = values.get("fill_color", 0)
    height, width = integer(path, made, "height"), integer(path, made, "width")
    return PictureRecipe(
        file=file,
        height=height,
        width=width,
        resize=cast("Resize", mode),
        edge=height if height == width else 0,
        resample=cast("Resample", resample),
        crop_rounding="even",
        mean=cast("Any", three(path, values, "mean", (0.48145466, 0.4578275, 0.40821073))),
        std=cast("Any", three(path, values, "std", (0.26862954, 0.26130258, 0.27577711))),
        fill=int(fill) if isinstance(fill, (int, float)) else 0,
    )


def _size(path: Path, values: dict[str, Any], kind: str) -> tuple[Resize, int, tuple[int, int]]:
    size = values.get("size", 224)
    if isinstance(size, dict) and "shortest_edge" in size:
        edge = integer(path, size, "shortest_edge")
        return "shortest", edge, (edge, edge)
    if isinstance(size, dict):
        height, width = integer(path, size, "height"), integer(path, size, "width")
        return "squash", min(height, width), (height, width)
    edge = integer(path, {"size": size}, "size")
    return ("squash" if kind.startswith(_SQUASHING) else "shortest"), edge, (edge, edge)


def _sides(path: Path, values: dict[str, Any], key: str, default: int) -> tuple[int, int]:
    size = values.get(key, default)
    if isinstance(size, dict) and "shortest_edge" not in size:
        return integer(path, size, "height"), integer(path, size, "width")
    edge = integer(
        path, size if isinstance(size, dict) else {key: size}, "shortest_edge" if isinstance(size, dict) else key
    )
    return edge, edge


def _resample(path: Path, values: dict[str, Any]) -> Resample:
    number = values.get("resample", 3)
    if not isinstance(number, int) or not 0 <= number < len(_RESAMPLE):
        raise ModelError(f"{path}: resample is {number!r}, expected 0 to {len(_RESAMPLE) - 1}")
    return _RESAMPLE[number]
