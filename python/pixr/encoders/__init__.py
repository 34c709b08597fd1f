"""Models that turn pictures, sound and words into vectors. No model library is loaded until a model is."""

from pixr.encoders.load import Encoders, default_encoders, load_encoder, load_encoders
from pixr.encoders.protocol import EncoderOptions, ImageEncoder, SoundEncoder, Space, TextEncoder
from pixr.encoders.registry import (
    ModelFile,
    ModelInfo,
    ModelStatus,
    PublishedModel,
    list_models,
    published_models,
    verify_models,
)

__all__ = [
    "EncoderOptions",
    "Encoders",
    "ImageEncoder",
    "ModelFile",
    "ModelInfo",
    "ModelStatus",
    "PublishedModel",
    "SoundEncoder",
    "Space",
    "TextEncoder",
    "default_encoders",
    "list_models",
    "load_encoder",
    "load_encoders",
    "published_models",
    "verify_models",
]
