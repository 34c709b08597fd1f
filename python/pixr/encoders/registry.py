"""The registry of models: those that come with pixr, and published ones that it knows by name.

`pixr/_embedded/registry.toml` has a `[[model]]` for each embedded model, with every file's length and sha256, and a
`[[published]]` for each model that `pixr models pull` can fetch: its source, size, licence and purpose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from pixr.encoders.digests import sha256_of
from pixr.encoders.protocol import Space
from pixr.encoders.toml_files import read_toml
from pixr.errors import ModelError, ModelNotFound

EMBEDDED: Final = Path(__file__).resolve().parent.parent / "_embedded"
REGISTRY_FILE: Final = "registry.toml"

Kind: TypeAlias = Literal["visual", "text", "sound", "speech"]


@dataclass(frozen=True)
class ModelFile:
    """One file of a model, and what it must be."""

    name: str
    byte_len: int
    sha256: str


@dataclass(frozen=True)
class ModelInfo:
    """One model that comes with pixr. `kind` is "visual" or "text"; `folder` is where its files lie."""

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
class PublishedModel:
    """A model that can be pulled by name.

    Attributes:
        name: its name in pixr.
        kind: what it is for: "visual" (frames), "text" (speech and metadata), "sound", or "speech" (recognition).
        repository: owner and name on the hub.
        revision: a commit, tag or branch. The lock file has the commit that a branch stood for at the first pull.
        files: paths in the repository, in full precision if there are several.
        optional_files: by precision, the files that take the place of the ONNX files in `files`.
        megabytes: the approximate size of `files`, as published, not measured here.
        dimension: the dimension of its vectors; 0 for speech recognition.
        licence: the SPDX identifier, or the licence's name.
        languages: "en", "multilingual", or a list.
        good_for: its purpose, in one line.
        text: fields of its text recipe that no file in the repository states, such as prefixes.
    """

    name: str
    kind: Kind
    repository: str
    revision: str
    files: tuple[str, ...]
    megabytes: int
    dimension: int
    licence: str
    languages: str
    good_for: str
    optional_files: dict[str, tuple[str, ...]] = field(default_factory=dict)
    text: dict[str, Any] = field(default_factory=dict)

    def files_of(self, precision: str) -> tuple[str, ...]:
        """The paths to fetch for a precision ("auto" is full precision).

        Raises:
            ModelNotFound: it isn't published in that precision; the message names those that it is published in.
        """
        if precision in ("auto", "fp32"):
            return self.files
        if precision not in self.optional_files:
            known = ", ".join(("fp32", *self.optional_files))
            raise ModelNotFound(f"{self.name} is known in {known}, not in {precision}")
        shared = tuple(path for path in self.files if not path.endswith((".onnx", ".onnx_data")))
        return shared + self.optional_files[precision]


@dataclass(frozen=True)
class ModelStatus:
    """The result of verifying one file: `problem` is None if the file is whole."""

    model: str
    path: Path
    problem: str | None


def list_models(folder: Path = EMBEDDED) -> list[ModelInfo]:
    """List the embedded models of a folder's registry.

    Raises:
        ModelNotFound: the folder has no registry.
        ModelError: the registry is damaged.
    """
    return [_read_model(entry, folder) for entry in _entries(folder, "model")]


def published_models(folder: Path = EMBEDDED) -> list[PublishedModel]:
    """List the models that can be pulled by name. Raises what `list_models` does."""
    return [_read_published(entry, folder) for entry in _entries(folder, "published")]


def verify_models(folder: Path = EMBEDDED) -> list[ModelStatus]:
    """Compare every embedded file with the registry's length and sha256; one status for each, in the registry's order.

    Raises:
        ModelNotFound: the folder has no registry.
        ModelError: the registry is damaged.
    """
    return [
        ModelStatus(model.name, folder / file.name, find_problem(folder / file.name, file))
        for model in list_models(folder)
        for file in model.files
    ]


def find_problem(path: Path, expected: ModelFile) -> str | None:
    """How a file differs from what it must be, by every byte; None if it does not."""
    try:
        byte_len = path.stat().st_size
        if byte_len != expected.byte_len:
            return f"length is {byte_len} bytes, expected {expected.byte_len}"
        digest = sha256_of(path, remembered=False)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return None if digest == expected.sha256 else f"sha256 is {digest}, expected {expected.sha256}"


def _entries(folder: Path, table: str) -> list[dict[str, Any]]:
    path = folder / REGISTRY_FILE
    try:
        values = read_toml(path)
    except FileNotFoundError as error:
        raise ModelNotFound(f"no model registry at {path}") from error
    entries = values.get(table, [] if table == "published" else None)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ModelError(f"cannot read model registry {path}: {table} is not a list of tables")
    return entries


def _read_model(entry: dict[str, Any], folder: Path) -> ModelInfo:
    try:
        files = tuple(
            ModelFile(str(file["name"]), int(file["byte_len"]), str(file["sha256"])) for file in entry["file"]
        )
        space = Space.parse(entry["space"])
        dimension = entry["dimension"]
        made = ModelInfo(entry["name"], entry["kind"], space, entry["licence"], entry["source"], folder, files)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(f"cannot read model registry {folder / REGISTRY_FILE}: {error!r}") from error
    for file in files:
        if Path(file.name).name != file.name:
            raise ModelError(f"model file {file.name!r} is not a plain file name")
    if space.dimension != dimension:
        raise ModelError(f"model {made.name} says dimension {dimension}, its space {space}")
    return made


def _read_published(entry: dict[str, Any], folder: Path) -> PublishedModel:
    values = dict(entry)
    try:
        values["files"] = tuple(values["files"])
        values["optional_files"] = {name: tuple(paths) for name, paths in values.get("optional_files", {}).items()}
        made = PublishedModel(**values)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"cannot read model registry {folder / REGISTRY_FILE}: {error!r}") from error
    for path in (*made.files, *(path for paths in made.optional_files.values() for path in paths)):
        if path.startswith("/") or ".." in Path(path).parts:
            raise ModelError(f"model {made.name}: {path!r} leads out of its folder")
    return made
