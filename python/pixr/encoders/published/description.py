"""What must be known about a published model to run it as its authors do. Layout readers make it, encoders use it."""

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
        padding: whether texts are padded to the longest one of a call, or always to `max_tokens`.
        pad_side: which end of a row is padded.
        pad_token: the padding token; None for the one that the tokenizer's file names.
        cleaning: how a text is cleaned before it is tokenized.
        pooling: how token vectors become one; "none" if the model does it.
        output: the ONNX output to take; None for the first known name.
        query_prefix: put before questions.
        document_prefix: put before texts that questions look for.
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
        height: the height of the model's input, in pixels.
        width: its width.
        resize: "shortest" scales the shorter side to `edge` and crops, "longest" scales the longer side and pads with
            `fill`, "squash" scales both, "none" only crops.
        edge: pixels, for "shortest"; 0 covers a frame that isn't square.
        resample: Pillow's filter.
        crop_rounding: where an odd number of pixels is cropped, the first side loses the lesser half ("down") or the
            even one ("even", as torchvision rounds).
        scale: what levels of 0 to 255 are multiplied by.
        mean: subtracted after that, by channel.
        std: divided by after that, by channel.
        fill: the level of the padding.
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
        sample_rate_hz: the sample rate of the model's input.
        window: samples in one Fourier transform.
        hop: samples from one transform to the next.
        bands: the number of mel bands.
        low_hz: where the bands begin.
        high_hz: where they end.
        max_seconds: how much sound the model takes at once.
        mel_scale: "slaney" (with bands of equal area) or "htk".
        long_sound: how longer sound is treated, as in the model's training: "crop" takes its middle, "fusion" four
            views, the whole and three parts.
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
    """Everything that is known about a published model.

    Attributes:
        name: the name of its space, without "@" and "/".
        family: a key of `families.FAMILIES`.
        folder: the model's folder.
        precision: the precision of the chosen files, such as "fp32".
        text: how it encodes texts, which every model does.
        picture: how it encodes pictures; None if it does not.
        sound: how it encodes sound; None if it does not.
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
        """Every file that a vector depends on, except files of external weights."""
        parts = [self.text.file, self.text.tokenizer]
        parts += [recipe.file for recipe in (self.picture, self.sound) if recipe is not None]
        return tuple(dict.fromkeys(parts))
