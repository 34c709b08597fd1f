"""The folder of downloaded models and of what was measured on them, and how files in it are replaced."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def cache_folder() -> Path:
    """`$PIXR_CACHE_DIR`, else `$XDG_CACHE_HOME/pixr`, else `~/.cache/pixr`. It may not exist yet."""
    named = os.environ.get("PIXR_CACHE_DIR")
    if named:
        return Path(named)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "pixr"


def write_atomically(path: Path, text: str) -> None:
    """Replace a file in one step. Failing to write is ignored: it only costs time later."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w", encoding="utf8") as file:
            file.write(text)
        os.replace(name, path)
