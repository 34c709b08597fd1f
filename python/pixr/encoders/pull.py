"""Puts published models on this machine, and tells whether they are still what was first pulled.

    models/NAME/          the files, as they lie in the repository
    models/.NAME.part/    while they are fetched
    models/lock.json      by name: repository, commit, and every file's length and SHA-256

The first pull records; every later one, and `verify_pulled`, compares. A branch is resolved once: later pulls take the
commit in the lock.
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
    """What was recorded of a model at its first pull."""

    repository: str
    commit: str
    precision: str
    files: tuple[ModelFile, ...]


def models_folder() -> Path:
    """Where pulled models lie. It may not exist yet."""
    return cache_folder() / "models"


def pulled_folder(name: str) -> Path:
    """Where a model lies once it is pulled."""
    return models_folder() / name


def pull(
    model: PublishedModel,
    hub: Hub | None = None,
    *,
    precision: str = "auto",
    offline: bool = False,
    on_bytes: OnBytes | None = None,
) -> Locked:
    """Fetch a model's files, or those that are missing or damaged, and return what the lock says of it.

    Args:
        model: which.
        hub: where from.
        precision: which of its ONNX files; a model that is here in another is replaced.
        offline: fetch nothing.
        on_bytes: told of progress: path, bytes so far, bytes in all.

    Raises:
        ModelNotFound: `offline`, and it isn't here; or it isn't published in this precision.
        ModelDownloadFailed: a file can't be fetched. What came so far is kept for the next call.
        ModelError: a file differs from what was recorded at the first pull, or from what the server says it is.
    """
    if precision == "auto":
        precision = "fp32"
    known = read_lock().get(model.name)
    if known is not None and known.precision != precision:
        known = None
    folder = pulled_folder(model.name)
    if known is not None and not problems(known, folder):
        return known
    if offline:
        raise ModelNotFound(f"{model.name} is not here, or not whole, and nothing is fetched offline")
    part = models_folder() / f".{model.name}.part"
    expected = {file.name: file for file in known.files} if known is not None else {}
    commit = known.commit if known is not None else _commit_under_way(part)
    recorded: list[ModelFile] = []
    for path in model.files_of(precision):
        target = part / path
        if path in expected and find_problem(folder / path, expected[path]) is None:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / path, target)
        elif not target.is_file():  # else an earlier call brought it
            fetched = (hub or Hub()).fetch(model.repository, commit or model.revision, path, target, on_bytes)
            _check(model, path, target, fetched.sha256, expected.get(path))
            if fetched.commit and commit and fetched.commit != commit:
                raise ModelError(f"{model.name}: {path} is of commit {fetched.commit}, the files before of {commit}")
            if fetched.commit and not commit:
                commit = fetched.commit
                (part / _COMMIT_FILE).write_text(commit, encoding="utf8")
        recorded.append(ModelFile(path, target.stat().st_size, sha256_of(target, remembered=False)))
    locked = known or Locked(model.repository, commit, precision, tuple(recorded))
    (part / _COMMIT_FILE).unlink(missing_ok=True)
    _put_in_place(part, folder)
    _record(model.name, locked)
    return locked


def verify_pulled() -> list[ModelStatus]:
    """Compare every file of every pulled model with the lock; one status a file.

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
    """How a folder differs from the lock, every byte read; one line a file that does."""
    found = ((file.name, find_problem(folder / file.name, file)) for file in locked.files)
    return [f"{name}: {problem}" for name, problem in found if problem is not None]


def read_lock() -> dict[str, Locked]:
    """What is recorded, by name.

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


def _check(model: PublishedModel, path: str, target: Path, said: str | None, expected: ModelFile | None) -> None:
    """A file that isn't what was recorded, or what the server says it is, is thrown away."""
    problem = find_problem(target, expected) if expected is not None else None
    if problem is None and said is not None and sha256_of(target, remembered=False) != said:
        problem = f"sha256 is {sha256_of(target, remembered=False)}, the server says {said}"
    if problem is not None:
        target.unlink()
        raise ModelError(f"{model.name}: {path}: {problem}")


def _commit_under_way(part: Path) -> str:
    """What the branch stood for when a pull began that isn't finished."""
    path = part / _COMMIT_FILE
    return path.read_text(encoding="utf8") if path.is_file() else ""


def _put_in_place(part: Path, folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    try:
        os.replace(part, folder)
    except OSError as error:
        raise ModelDownloadFailed(f"{folder}: {error}") from error


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
