"""A folder with a manifest of Pixr's own, `pixr.toml`, that states everything; for exports of no published layout.

[model]
name = "my-clip"            # of the space
family = "clip"             # how texts are treated where [text] doesn't say; see `families.py`
[text]
file = "text.onnx"          # and every other field of `TextRecipe`
tokenizer = "tokenizer.json"
max_tokens = 77
[picture]                   # or [sound]: every field of `PictureRecipe` or `SoundRecipe`
file = "picture.onnx"
height = 224
width = 224
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, fields, replace
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

from pixr.encoders.published.description import Description, PictureRecipe, SoundRecipe, TextRecipe
from pixr.encoders.published.families import FAMILIES
from pixr.encoders.toml_files import read_toml
from pixr.errors import ModelError

LOOKED_FOR = "pixr.toml (a manifest of its own)"
FILE_NAME = "pixr.toml"

_Recipe = TypeVar("_Recipe", TextRecipe, PictureRecipe, SoundRecipe)


def read_manifest(folder: Path, precision: str, *, gpu: bool) -> Description | None:  # noqa: ARG001 - files are named
    """Describe a folder with a manifest; None if it has none.

    Raises:
        ModelError: the manifest has an unknown field, a value of another kind, or names a file that isn't there.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    values = read_toml(path)
    if unknown := set(values) - {"model", "text", "picture", "sound"}:
        raise ModelError(f"{path}: unknown table {', '.join(sorted(unknown))}")
    model = values.get("model", {})
    family = str(model.get("family", "sentence"))
    if family not in FAMILIES:
        raise ModelError(f"{path}: no family {family!r}; known are {', '.join(FAMILIES)}")
    if "text" not in values:
        raise ModelError(f"{path}: [text] is missing; every model reads words")
    text = _read(path, "text", values["text"], TextRecipe)
    traits = FAMILIES[family]
    given = set(values["text"])
    text = replace(
        text,
        padding=text.padding if "padding" in given else traits.padding,
        cleaning=text.cleaning if "cleaning" in given else traits.cleaning,
        pooling=text.pooling if "pooling" in given else traits.pooling,
    )
    picture = _read(path, "picture", values["picture"], PictureRecipe) if "picture" in values else None
    if picture is not None and picture.edge == 0 and picture.height == picture.width:
        picture = replace(picture, edge=picture.height)
    sound = _read(path, "sound", values["sound"], SoundRecipe) if "sound" in values else None
    name = str(model.get("name") or folder.resolve().name)
    return Description(name, family, folder, "as named", text, picture, sound)


def _read(path: Path, table: str, values: Any, kind: Callable[..., _Recipe]) -> _Recipe:
    if not isinstance(values, dict):
        raise ModelError(f"{path}: {table} is not a table")
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    hints = get_type_hints(kind)
    if unknown := set(values) - set(known):
        raise ModelError(f"{path}: [{table}] has no {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    if missing := [name for name, field in known.items() if field.default is MISSING and name not in values]:
        raise ModelError(f"{path}: [{table}] needs {', '.join(missing)}")
    return kind(**{name: _value(path, f"{table}.{name}", value, hints[name]) for name, value in values.items()})


def _value(path: Path, name: str, value: Any, hint: Any) -> Any:
    if hint is Path:
        file = path.parent / str(value)
        if not file.is_file():
            raise ModelError(f"{path}: {name} is {value!r}, and there is no such file")
        return file
    choices = get_args(hint)
    if choices and all(isinstance(choice, str) for choice in choices):
        if value not in choices:
            raise ModelError(f"{path}: {name} is {value!r}, expected one of {', '.join(choices)}")
        return value
    if choices and type(None) not in choices:
        if not isinstance(value, list) or len(value) != 3 or not all(isinstance(item, (int, float)) for item in value):
            raise ModelError(f"{path}: {name} is {value!r}, expected three numbers")
        return tuple(float(item) for item in value)
    if hint in (int, float) and isinstance(value, (int, float)) and not isinstance(value, bool):
        return hint(value)
    if hint not in (int, float) and isinstance(value, str):
        return value
    raise ModelError(f"{path}: {name} is {value!r}, which is of the wrong kind")
