"""What `tokenizer_config.json` and its neighbours say of a tokenizer: the padding token, and how long a text may be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pixr.encoders.published.description import PadSide
from pixr.encoders.published.json_files import read_if_there

# "No limit" is written as 10^30 or so.
_NO_LIMIT = 1_000_000


def pad_token(folder: Path) -> str | None:
    """The padding token that the files beside a tokenizer name; None if none does."""
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        token: Any = read_if_there(folder / name).get("pad_token")
        if isinstance(token, dict):
            token = token.get("content")
        if isinstance(token, str):
            return token
    return None


def pad_side(folder: Path) -> PadSide:
    """Which end the tokenizer's files say is padded; the right where they say nothing."""
    return "left" if read_if_there(folder / "tokenizer_config.json").get("padding_side") == "left" else "right"


def token_limit(folder: Path) -> int | None:
    """How many tokens the tokenizer's files allow; None if they don't say."""
    value = read_if_there(folder / "tokenizer_config.json").get("model_max_length")
    if isinstance(value, (int, float)) and 0 < value < _NO_LIMIT:
        return int(value)
    return None
