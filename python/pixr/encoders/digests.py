"""SHA-256 of model files. It is remembered by path, length and modification time: hashing a gigabyte takes a second."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from pixr.encoders.cache import cache_folder, write_atomically

_FILE_NAME = "digests.json"


def sha256_of(path: Path, *, remembered: bool = True) -> str:
    """Hexadecimal SHA-256 of a file. With `remembered`, it is not computed again if the file has not changed since.

    Raises:
        OSError: it can't be read.
    """
    status = path.stat()
    key = f"{path.resolve()}|{status.st_size}|{status.st_mtime_ns}"
    store = cache_folder() / _FILE_NAME
    known = _read(store) if remembered else {}
    if key in known:
        return known[key]
    with path.open("rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    found = digest.hexdigest()
    if remembered:
        known[key] = found
        write_atomically(store, json.dumps(known))
    return found


def _read(path: Path) -> dict[str, str]:
    try:
        values = json.loads(path.read_text(encoding="utf8"))
    except (OSError, ValueError):
        return {}  # never written, or a write that was cut off: hash again
    return {str(key): str(value) for key, value in values.items()} if isinstance(values, dict) else {}
