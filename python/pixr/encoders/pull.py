"""Downloads published models to this machine, and checks that they are still what was first pulled.

    models/NAME/          the files, as they lie in the repository
    models/.NAME.part/    the files while they are fetched
    models/lock.json      for each name: repository, commit, and every file's length and SHA-256

The first pull writes the lock. Every later one, and `verify_pulled`, compares with it. A branch is resolved once: later
pulls fetch the commit in the lock.
"""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pixr.encoders.cache import cache_folder
from pixr.encoders.digests import sha256_of
from pixr.encoders.hub import Hub, OnBytes
from pixr.encoders.registry import ModelFile, ModelStatus, PublishedModel, find_problem
from pixr.errors import ModelDownloadFailed, ModelError, ModelNotFound

LOCK_FILE: Final = "lock.json"
_COMMIT_FILE: Final = ".commit"


@dataclass(frozen=True)
class Locked:
    """What was recorded about a model at its first pull."""

    repository: str
    commit: str
    precision: str
    files: tuple[ModelFile, ...]


def models_folder() -> Path:
    """The folder of pulled models. It may not exist yet."""
    return cache_folder() / "models"


def pulled_folder(name: str) -> Path:
    """The folder of a model once it is pulled."""
    return models_folder() / name


def pull(
    model: PublishedModel,
    hub: Hub | None = None,
    *,
    precision: str = "auto",
    offline: bool = False,
    on_bytes: OnBytes | None = None,
) -> Locked:
    """Fetch a model's files, or those that are missing or damaged, and return its entry in the lock.

    Args:
        model: the model to fetch.
        hub: where to fetch it from.
        precision: which of its ONNX files to take. If it is here in another precision, it is replaced.
        offline: fetch nothing.
        on_bytes: called as bytes arrive, with the path, the bytes so far, and the bytes in all.

    Raises:
        ModelNotFound: `offline`, and it isn't here; or it isn't published in this precision.
        ModelDownloadFailed: a file can't be fetched. What arrived so far is kept for the next call.
        ModelError: a file differs from what was recorded at the first pull, or from what the server says it is.
    """
    precision = "fp32" if precision == "auto" else precision
    known = read_lock().get(model.name)
    if known is not None and known.precision != precision:
        known = None
    folder = pulled_folder(model.name)
    if known is not None and not problems(known, folder):
        return known
    if offline:
        raise ModelNotFound(f"{model.name} is not here, or not whole, and nothing is fetched offline")
    gathering = _Gathering(model, known, hub or Hub(), on_bytes)
    files = tuple(gathering.add(path) for path in model.files_of(precision))
    locked = known or Locked(model.repository, gathering.commit, precision, files)
    gathering.put_in_place()
    _record(model.name, locked)
    return locked


class _Gathering:
    """The folder in which a model's files are put together, all of one commit, before it takes its final place.

    It outlives an interrupted pull, and so does the commit that the branch stood for.
    """

    def __init__(self, model: PublishedModel, known: Locked | None, hub: Hub, on_bytes: OnBytes | None) -> None:
        self._model = model
        self._hub = hub
        self._on_bytes = on_bytes
        self._final = pulled_folder(model.name)
        self._folder = models_folder() / f".{model.name}.part"
        self._commit_file = self._folder / _COMMIT_FILE
        self._expected = {file.name: file for file in known.files} if known is not None else {}
        self.commit = known.commit if known is not None else self._commit_before()

    def add(self, path: str) -> ModelFile:
        """Copy a file that is already in its final place and whole, else fetch it, and return what it is."""
        target, expected = self._folder / path, self._expected.get(path)
        if expected is not None and find_problem(self._final / path, expected) is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._final / path, target)
        elif not target.is_file():  # else an earlier pull fetched it
            self._fetch(path, target)
        return ModelFile(path, target.stat().st_size, sha256_of(target, remembered=False))

    def put_in_place(self) -> None:
        """Replace the model's folder with this one."""
        self._commit_file.unlink(missing_ok=True)
        if self._final.exists():
            shutil.rmtree(self._final)
        try:
            os.replace(self._folder, self._final)
        except OSError as error:
            raise ModelDownloadFailed(f"{self._final}: {error}") from error

    def _fetch(self, path: str, target: Path) -> None:
        name, revision = self._model.name, self.commit or self._model.revision
        fetched = self._hub.fetch(self._model.repository, revision, path, target, self._on_bytes)
        if problem := _problem_of_fetched(target, fetched.sha256, self._expected.get(path)):
            target.unlink()
            raise ModelError(f"{name}: {path}: {problem}")
        if fetched.commit and self.commit and fetched.commit != self.commit:
            raise ModelError(f"{name}: {path} is of commit {fetched.commit}, the files before of {self.commit}")
        if fetched.commit and not self.commit:
            self.commit = fetched.commit
            self._commit_file.write_text(self.commit, encoding="utf8")

    def _commit_before(self) -> str:
        """The commit that an interrupted pull began with; empty if there was none."""
        return self._commit_file.read_text(encoding="utf8") if self._commit_file.is_file() else ""


def verify_pulled() -> list[ModelStatus]:
    """Compare every file of every pulled model with the lock; one status for each file.

    Raises:
        ModelError: the lock is damaged.
    """
    return [
        ModelStatus(name, path, find_problem(path, file))
        for name, locked in read_lock().items()
        for file in locked.files
        for path in (pulled_folder(name) / file.name,)
    ]


def problems(locked: Locked, folder: Path) -> list[str]:
    """How a folder differs from the lock, by every byte; one line for each file that does."""
    found = ((file.name, find_problem(folder / file.name, file)) for file in locked.files)
    return [f"{name}: {problem}" for name, problem in found if problem is not None]


def read_lock() -> dict[str, Locked]:
    """The entries of the lock, by name; none if nothing was pulled yet.

    Raises:
        ModelError: the file is damaged.
    """
    path = models_folder() / LOCK_FILE
    try:
        values: Any = json.loads(path.read_text(encoding="utf8"))
        return {
            str(name): Locked(
                str(entry["repository"]),
                str(entry["commit"]),
                str(entry["precision"]),
                tuple(ModelFile(str(f["name"]), int(f["byte_len"]), str(f["sha256"])) for f in entry["files"]),
            )
            for name, entry in values.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"cannot read the lock of pulled models {path}: {error!r}") from error


def _problem_of_fetched(target: Path, announced_sha256: str | None, expected: ModelFile | None) -> str | None:
    """How a file differs from what was recorded at the first pull, or from what the server announced."""
    if expected is not None and (problem := find_problem(target, expected)) is not None:
        return problem
    sha256 = sha256_of(target, remembered=False) if announced_sha256 is not None else None
    return None if sha256 == announced_sha256 else f"sha256 is {sha256}, the server says {announced_sha256}"


def _record(name: str, locked: Locked) -> None:
    path = models_folder() / LOCK_FILE
    entries = read_lock() | {name: locked}
    text = json.dumps(
        {
            key: {
                "repository": entry.repository,
                "commit": entry.commit,
                "precision": entry.precision,
                "files": [vars(file) for file in entry.files],
            }
            for key, entry in sorted(entries.items())
        },
        indent=1,
    )
    scratch = path.with_suffix(".tmp")
    with scratch.open("w", encoding="utf8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)
