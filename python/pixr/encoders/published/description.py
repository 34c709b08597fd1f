"""What must be known of a published model to run it as its authors do. Layout readers make it, encoders obey it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

Padding: TypeAlias = Literal["longest", "full"]
PadSide: TypeAlias = Literal["left", "right"]
Cleaning: TypeAlias = Literal["none", "whitespace", "lower", "lower_punctuation", "canonical"]
Pooling: TypeAlias = Literal["none", "mean", "cls", "last"]
Resize: TypeAlias = Literal["shortest", "squash", "longest", "none"]
Resample: TypeAlias = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
CropRounding: TypeAlias = Literal["down", "even"]
MelScale: TypeAlias = Literal["slaney", "htk"]
LongSound: TypeAlias = Literal["crop", "fusion"]


@dataclass(frozen=True)
class TextRecipe:
    """How words become a vector.

    Attributes:
        file: the ONNX file; one that holds both halves of a model is named in both recipes.
        tokenizer: `tokenizer.json`.
        max_tokens: longer texts are cut, special tokens included.
        padding: to the longest text of a call, or always to `max_tokens`.
        pad_side: which end of a row is padded.
        pad_token: what is padded with; None for what the tokenizer's file says.
        cleaning: what is done to a text before the tokenizer sees it.
        pooling: how token vectors become one; "none" where the model does it.
        output: the ONNX output to take; None for the first known name.
        query_prefix: put before words that look for something.
        document_prefix: put before words that are looked for.
    """

    file: Path
    tokenizer: Path
    max_tokens: int
    padding: Padding = "longest"
    pad_side: PadSide = "right"
    pad_token: str | None = None
    cleaning: Cleaning = "none"
    pooling: Pooling = "none"
    output: str | None = None
    query_prefix: str = ""
    document_prefix: str = ""


@dataclass(frozen=True)
class PictureRecipe:
    """How a picture becomes a vector.

    Attributes:
        file: the ONNX file.
        height: of what the model sees, in pixels.
        width: likewise.
        resize: "shortest" brings the shorter side to `edge` and crops, "longest" the longer side and pads with `fill`,
            "squash" both, "none" crops only.
        edge: pixels, for "shortest"; 0 covers a frame that isn't square.
        resample: Pillow's filter.
        crop_rounding: where an odd number of pixels is cropped, the first side loses the lesser half ("down") or the
            even one ("even", as torchvision rounds).
        scale: what a level of 0 to 255 is multiplied with.
        mean: subtracted after that, by channel.
        std: divided by after that, by channel.
        fill: level of what is padded.
        output: the ONNX output to take; None for the first known name.
    """

    file: Path
    height: int
    width: int
    resize: Resize = "shortest"
    edge: int = 0
    resample: Resample = "bicubic"
    crop_rounding: CropRounding = "down"
    scale: float = 1 / 255
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    fill: int = 0
    output: str | None = None


@dataclass(frozen=True)
class SoundRecipe:
    """How sound becomes a vector: log-mel bands as CLAP computes them.

    Attributes:
        file: the ONNX file.
        sample_rate_hz: what the model hears.
        window: samples of one Fourier transform.
        hop: samples from one to the next.
        bands: mel bands.
        low_hz: where the bands begin.
        high_hz: and end.
        max_seconds: what the model hears at once.
        mel_scale: "slaney" (with bands of equal area) or "htk".
        long_sound: what becomes of longer sound: its middle, or four views (the whole and three parts), as the model
            was trained.
        short_sound: "repeatpad", "repeat" or "pad".
        output: the ONNX output to take; None for the first known name.
    """

    file: Path
    sample_rate_hz: int = 48_000
    window: int = 1024
    hop: int = 480
    bands: int = 64
    low_hz: float = 50.0
    high_hz: float = 14_000.0
    max_seconds: float = 10.0
    mel_scale: MelScale = "slaney"
    long_sound: LongSound = "crop"
    short_sound: Literal["repeatpad", "repeat", "pad"] = "repeatpad"
    output: str | None = None


@dataclass(frozen=True)
class Description:
    """A published model, whole.

    Attributes:
        name: of its space, without "@" and "/".
        family: a key of `families.FAMILIES`.
        folder: where it lies.
        precision: of the files chosen, such as "fp32".
        text: every model reads words.
        picture: None where it knows no pictures.
        sound: None where it knows no sound.
    """

    name: str
    family: str
    folder: Path
    precision: str
    text: TextRecipe
    picture: PictureRecipe | None = None
    sound: SoundRecipe | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file that a vector depends on, without those of external weights."""
        parts = [self.text.file, self.text.tokenizer]
        parts += [recipe.file for recipe in (self.picture, self.sound) if recipe is not None]
        return tuple(dict.fromkeys(parts))
