"""The layout of Hugging Face's exporters: optimum, transformers.js and sentence-transformers.

config.json                   model_type and the halves' sizes
tokenizer.json                tokenizer_config.json, special_tokens_map.json
preprocessor_config.json      of pictures or sound
onnx/text_model*.onnx         onnx/vision_model*.onnx, onnx/audio_model*.onnx
onnx/model*.onnx              where both halves, or a text model, are one file; also in the folder itself
modules.json, 1_Pooling/      of sentence-transformers: pooling, and prompts
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from pixr.encoders.published.description import Cleaning, Description, Pooling, SoundRecipe, TextRecipe
from pixr.encoders.published.families import FAMILIES, MODEL_TYPES, POSITIONS_FROM_PADDING
from pixr.encoders.published.hub_pictures import picture_recipe
from pixr.encoders.published.hub_sentences import pooling_of, prefixes_of
from pixr.encoders.published.json_files import integer, read_if_there, read_json
from pixr.encoders.published.tokenizer_files import pad_side, pad_token, token_limit
from pixr.encoders.published.weights import choose_weights
from pixr.errors import ModelError

LOOKED_FOR = (
    "config.json and tokenizer.json with onnx/model*.onnx or onnx/text_model*.onnx and vision_model*.onnx or "
    "audio_model*.onnx (optimum, transformers.js, sentence-transformers)"
)


def read_hub(folder: Path, precision: str, *, gpu: bool) -> Description | None:
    """Describe a folder of this layout; None if it is of another.

    Raises:
        ModelError: the folder has this layout, and something in it is missing or wrong; names it.
    """
    if not (folder / "config.json").is_file() or not (folder / "tokenizer.json").is_file():
        return None
    config = read_json(folder / "config.json")
    places = [folder / "onnx", folder]

    def find(*stems: str) -> tuple[Path, str] | None:
        return choose_weights(places, stems, precision, gpu=gpu)

    model_type = str(config.get("model_type", ""))
    family = MODEL_TYPES.get(model_type, "sentence")
    if family == "siglip" and _is_gemma(folder):
        family = "siglip2"  # models of fixed size keep the older type
    other_half = {"clap": "audio_model", "sentence": "text_model"}.get(family, "vision_model")
    text, half, whole = find("text_model"), find(other_half), find("model")
    if text is None and half is None and whole is None:
        return None
    if text is None or half is None:
        if whole is None:
            missing = "text_model" if text is None else other_half
            raise ModelError(
                f"{folder}: {model_type or 'the model'} needs onnx/{missing}*.onnx, or one onnx/model*.onnx"
            )
        text = half = whole
    words = _text_recipe(folder, config, family, text[0])
    name, chosen = _name(folder, config), text[1]
    if family == "sentence":
        return Description(name, family, folder, chosen, words)
    preprocessing = folder / "preprocessor_config.json"
    if not preprocessing.is_file():
        raise ModelError(f"{folder}: {model_type} needs preprocessor_config.json, which is missing")
    if family == "clap":
        return Description(name, family, folder, chosen, words, sound=_sound_recipe(preprocessing, half[0]))
    return Description(name, family, folder, chosen, words, picture=picture_recipe(preprocessing, half[0]))


def _text_recipe(folder: Path, config: dict[str, Any], family: str, file: Path) -> TextRecipe:
    traits = FAMILIES[family]
    pooling: Pooling = pooling_of(folder) or traits.pooling
    query_prefix, document_prefix = prefixes_of(folder)
    cleaning: Cleaning = traits.cleaning
    return TextRecipe(
        file=file,
        tokenizer=folder / "tokenizer.json",
        max_tokens=_max_tokens(folder, config, family),
        padding=traits.padding,
        pad_side=pad_side(folder),
        pad_token=pad_token(folder),
        cleaning=cleaning,
        pooling=pooling,
        query_prefix=query_prefix,
        document_prefix=document_prefix,
    )


def _max_tokens(folder: Path, config: dict[str, Any], family: str) -> int:
    said = read_if_there(folder / "sentence_bert_config.json").get("max_seq_length")
    if isinstance(said, int) and said > 0:
        return said
    text = config.get("text_config", config)
    text = text if isinstance(text, dict) else {}
    reserved = FAMILIES[family].reserved_positions
    if family == "sentence" and config.get("model_type") in POSITIONS_FROM_PADDING:
        reserved = 2
    positions = text.get("max_position_embeddings")
    limits = [token_limit(folder)]
    if isinstance(positions, int) and positions > reserved:
        limits.append(positions - reserved)
    known = [limit for limit in limits if limit is not None]
    if FAMILIES[family].padding == "full" and isinstance(positions, int):
        return positions
    # Configurations written as what differs from a default leave CLIP's 77 and SigLIP's 64 out.
    return min(known) if known else {"siglip": 64, "siglip2": 64, "clip": 77}.get(family, 512)


def _sound_recipe(path: Path, file: Path) -> SoundRecipe:
    values = read_json(path)
    fused = values.get("truncation", "fusion") == "fusion"
    padding = values.get("padding", "repeatpad")
    if padding not in ("repeatpad", "repeat", "pad"):
        raise ModelError(f"{path}: padding is {padding!r}, expected repeatpad, repeat or pad")
    return SoundRecipe(
        file=file,
        sample_rate_hz=integer(path, {"sampling_rate": 48_000} | values, "sampling_rate"),
        window=integer(path, {"fft_window_size": 1024} | values, "fft_window_size"),
        hop=integer(path, {"hop_length": 480} | values, "hop_length"),
        bands=integer(path, {"feature_size": 64} | values, "feature_size"),
        low_hz=float(values.get("frequency_min", 0)),
        high_hz=float(values.get("frequency_max", 14_000)),
        max_seconds=float(values.get("max_length_s", 10)),
        mel_scale="htk" if fused else "slaney",
        long_sound="fusion" if fused else "crop",
        short_sound=cast("Any", padding),
    )


def _is_gemma(folder: Path) -> bool:
    kind = str(read_if_there(folder / "tokenizer_config.json").get("tokenizer_class", ""))
    return kind.startswith(("Gemma", "Siglip2"))


def _name(folder: Path, config: dict[str, Any]) -> str:
    said = config.get("_name_or_path")
    name = said.rstrip("/").rpartition("/")[2] if isinstance(said, str) and said.strip("/.") else ""
    return name or folder.resolve().name
