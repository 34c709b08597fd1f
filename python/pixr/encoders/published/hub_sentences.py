"""Reads what sentence-transformers keeps beside a text model: its modules, pooling, and prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from pixr.encoders.published.description import Pooling
from pixr.encoders.published.json_files import read_if_there, read_json
from pixr.errors import ModelError

_FLAGS: Final[dict[str, Pooling]] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_lasttoken": "last",
}
_NAMES: Final[dict[str, Pooling]] = {"cls": "cls", "mean": "mean", "lasttoken": "last"}
_KNOWN_MODULES: Final = ("Transformer", "Pooling", "Normalize")


def pooling_of(folder: Path) -> Pooling | None:
    """How token vectors are pooled, as `modules.json` and `1_Pooling/config.json` say; None if neither is there.

    Raises:
        ModelError: they ask for something that isn't known.
    """
    _check_modules(folder / "modules.json")
    path = folder / "1_Pooling" / "config.json"
    if not path.is_file():
        return None
    values = read_json(path)
    wanted = [key for key, value in values.items() if key.startswith("pooling_mode_") and value is True]
    named = values.get("pooling_mode")
    if isinstance(named, str) and named in _NAMES:
        return _NAMES[named]
    if len(wanted) != 1 or wanted[0] not in _FLAGS:
        raise ModelError(f"{path}: asks for {wanted or named}, expected one of {', '.join(_FLAGS)}")
    return _FLAGS[wanted[0]]


def prefixes_of(folder: Path) -> tuple[str, str]:
    """What stands before a question, and before a text that may answer it; empty where nothing is said."""
    values = read_if_there(folder / "config_sentence_transformers.json")
    prompts = values.get("prompts")
    prompts = prompts if isinstance(prompts, dict) else {}
    default = prompts.get(values.get("default_prompt_name"), "")

    def first(*names: str) -> str:
        return next((text for name in names if isinstance(text := prompts.get(name), str) and text), str(default or ""))

    return first("query"), first("document", "passage")


def _check_modules(path: Path) -> None:
    if not path.is_file():
        return
    try:
        modules: Any = json.loads(path.read_text(encoding="utf8"))
        kinds = [str(module["type"]).rpartition(".")[2] for module in modules]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ModelError(f"cannot read {path}: {error!r}") from error
    unknown = [kind for kind in kinds if kind not in _KNOWN_MODULES]
    if unknown:
        raise ModelError(f"{path}: module {', '.join(unknown)} is not supported; known are {', '.join(_KNOWN_MODULES)}")
