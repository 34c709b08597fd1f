"""Models that turn pictures and words into vectors. Importing this loads no model library; loading a model does."""

from pixr.encoders.protocol import EncoderOptions, ImageEncoder, Space, TextEncoder
from pixr.encoders.registry import (
    Encoders,
    ModelFile,
    ModelInfo,
    ModelStatus,
    default_encoders,
    list_models,
    load_encoders,
    verify_models,
)

__all__ = [
    "EncoderOptions",
    "Encoders",
    "ImageEncoder",
    "ModelFile",
    "ModelInfo",
    "ModelStatus",
    "Space",
    "TextEncoder",
    "default_encoders",
    "list_models",
    "load_encoders",
    "verify_models",
]
