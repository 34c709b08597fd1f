"""Which models there are, whether their files are whole, and how to load them.

The embedded models lie in `pixr/_embedded` with `registry.toml`, which names each file with its length and sha256.
"""

from __future__ import annotations

import hashlib
import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixr.encoders.protocol import EncoderOptions, ImageEncoder, Space, TextEncoder
from pixr.errors import MissingExtra, ModelError, ModelNotFound

EMBEDDED = Path(__file__).resolve().parent.parent / "_embedded"
REGISTRY_FILE = "registry.toml"
DEFAULT_MODEL = "embedded"


@dataclass(frozen=True)
class ModelFile:
    """One file of a model, as it must be."""

    name: str
    byte_len: int
    sha256: str


@dataclass(frozen=True)
class ModelInfo:
    """One model of the registry. `kind` is "visual" or "text"; `folder` is where its files lie."""

    name: str
    kind: str
    space: Space
    licence: str
    source: str
    folder: Path
    files: tuple[ModelFile, ...]

    @property
    def byte_len(self) -> int:
        """Length of all files together."""
        return sum(file.byte_len for file in self.files)


@dataclass(frozen=True)
class ModelStatus:
    """What verifying one file found: `problem` is None where it is whole."""

    model: str
    path: Path
    problem: str | None


@dataclass(frozen=True)
class Encoders:
    """The encoders a library works with; `visual` encodes its words with `text`, so a query runs that network once."""

    visual: ImageEncoder
    text: TextEncoder


def list_models(folder: Path = EMBEDDED) -> list[ModelInfo]:
    """List the models of a folder's registry.

    Raises:
        ModelNotFound: the folder has no registry.
        ModelError: the registry is damaged.
    """
    path = folder / REGISTRY_FILE
    toml = _import_toml()
    try:
        entries = toml.loads(path.read_text(encoding="utf8"))["model"]
        return [_read_model(entry, folder) for entry in entries]
    except FileNotFoundError as error:
        raise ModelNotFound(f"no model registry at {path}") from error
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"cannot read model registry {path}: {error!r}") from error


def verify_models(folder: Path = EMBEDDED) -> list[ModelStatus]:
    """Compare every file with the registry's length and sha256; one status a file, in the registry's order.

    Raises:
        ModelNotFound: the folder has no registry.
        ModelError: the registry is damaged.
    """
    return [
        ModelStatus(model.name, folder / file.name, _find_problem(folder / file.name, file))
        for model in list_models(folder)
        for file in model.files
    ]


def default_encoders(options: EncoderOptions | None = None) -> Encoders:
    """Load the embedded models: no download, no account.

    Raises:
        MissingExtra: onnxruntime, tokenizers or Pillow is not installed.
        ModelNotFound: a file is missing.
        ModelError: a file is damaged.
    """
    from pixr.encoders.concepts import ConceptEncoder
    from pixr.encoders.minilm import MiniLMEncoder

    text = MiniLMEncoder(EMBEDDED, options)
    return Encoders(visual=ConceptEncoder(EMBEDDED, text, options), text=text)


def load_encoders(name: str = DEFAULT_MODEL, options: EncoderOptions | None = None) -> Encoders:
    """Load encoders by name: "embedded", or "concepts", the visual model of the embedded pair.

    Raises:
        ModelNotFound: no model has this name. Says which have.
    """
    known = (DEFAULT_MODEL, "concepts")
    if name not in known:
        raise ModelNotFound(f"no visual model named {name!r}; known: {', '.join(known)}")
    return default_encoders(options)


def _import_toml() -> Any:
    name = "tomllib" if sys.version_info >= (3, 11) else "tomli"
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtra(name, "encoders") from error


def _read_model(entry: dict[str, Any], folder: Path) -> ModelInfo:
    files = tuple(ModelFile(str(file["name"]), int(file["byte_len"]), str(file["sha256"])) for file in entry["file"])
    for file in files:
        if Path(file.name).name != file.name:
            raise ModelError(f"model file {file.name!r} is not a plain file name")
    space = Space.parse(entry["space"])
    if space.dimension != entry["dimension"]:
        raise ModelError(f"model {entry['name']} says dimension {entry['dimension']}, its space {space}")
    return ModelInfo(entry["name"], entry["kind"], space, entry["licence"], entry["source"], folder, files)


def _find_problem(path: Path, expected: ModelFile) -> str | None:
    try:
        byte_len = path.stat().st_size
        if byte_len != expected.byte_len:
            return f"length is {byte_len} bytes, expected {expected.byte_len}"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if digest == expected.sha256 else f"sha256 is {digest}, expected {expected.sha256}"
