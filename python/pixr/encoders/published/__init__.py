"""Models as their authors publish them: CLIP, SigLIP, jina-clip, CLAP and sentence models in ONNX.

`layouts` finds out what a folder holds, `description` is what is known then, `encoders` obey it.
"""

from pixr.encoders.published.description import Description, PictureRecipe, SoundRecipe, TextRecipe
from pixr.encoders.published.encoders import PictureTextEncoder, PublishedEncoder, SentenceEncoder, SoundTextEncoder
from pixr.encoders.published.layouts import describe_folder
from pixr.encoders.published.load import load_folder

__all__ = [
    "Description",
    "PictureRecipe",
    "PictureTextEncoder",
    "PublishedEncoder",
    "SentenceEncoder",
    "SoundRecipe",
    "SoundTextEncoder",
    "TextRecipe",
    "describe_folder",
    "load_folder",
]
