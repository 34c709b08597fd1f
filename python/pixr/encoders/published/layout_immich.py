"""The layout of immich's exports of OpenCLIP models.

config.json                  OpenCLIP's: text_cfg with context_length, tokenizer_kwargs
textual/model.onnx           textual/tokenizer.json, tokenizer_config.json
visual/model.onnx            visual/preprocess_cfg.json
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixr.encoders.published.description import Cleaning, Description, TextRecipe
from pixr.encoders.published.families import FAMILIES
from pixr.encoders.published.hub_pictures import open_clip_recipe
from pixr.encoders.published.json_files import read_if_there, read_json
from pixr.encoders.published.tokenizer_files import pad_side, pad_token, token_limit
from pixr.encoders.published.weights import choose_weights
from pixr.errors import ModelError

LOOKED_FOR = "visual/model.onnx with preprocess_cfg.json and textual/model.onnx with tokenizer.json (immich)"


def read_immich(folder: Path, precision: str, *, gpu: bool) -> Description | None:
    """Describe a folder of this layout; None if it is of another.

    Raises:
        ModelError: the folder has this layout, and something in it is missing or wrong; names it.
    """
    visual, textual = folder / "visual", folder / "textual"
    if not visual.is_dir() or not textual.is_dir():
        return None
    picture = choose_weights([visual], ["model"], precision, gpu=gpu)
    text = choose_weights([textual], ["model"], precision, gpu=gpu)
    if picture is None or text is None:
        raise ModelError(f"{visual if picture is None else textual}: model.onnx is missing")
    for path in (visual / "preprocess_cfg.json", textual / "tokenizer.json"):
        if not path.is_file():
            raise ModelError(f"{path} is missing")
    config = read_if_there(folder / "config.json")
    text_config: Any = config.get("text_cfg", config.get("model_cfg", {}).get("text_cfg", {}))
    text_config = text_config if isinstance(text_config, dict) else {}
    clean = (text_config.get("tokenizer_kwargs") or {}).get("clean")
    cleanings: dict[str, Cleaning] = {"canonicalize": "canonical", "lower": "lower", "whitespace": "whitespace"}
    family = "open_siglip" if clean == "canonicalize" else "open_clip"
    context = text_config.get("context_length") or token_limit(textual) or 77
    recipe = TextRecipe(
        file=text[0],
        tokenizer=textual / "tokenizer.json",
        max_tokens=int(context),
        padding=FAMILIES[family].padding,
        pad_side=pad_side(textual),
        pad_token=pad_token(textual),
        cleaning=cleanings.get(str(clean), FAMILIES[family].cleaning),
    )
    preprocessing = visual / "preprocess_cfg.json"
    pictures = open_clip_recipe(preprocessing, read_json(preprocessing), picture[0])
    return Description(folder.resolve().name, family, folder, text[1], recipe, picture=pictures)
