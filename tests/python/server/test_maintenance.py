"""What a server does from time to time by itself."""

from __future__ import annotations

import platform
import resource
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from tests.python.server.receiver import wait_until

_BLOCK_BYTES, _BLOCKS = 2000, 100_000


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_memory_that_was_freed_full_of_holes_is_given_back(
    start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred clients left 600 MB of it in a server that used 90 MB, and it was kept for good."""
    monkeypatch.setattr("pixr.server.maintenance._GIVE_BACK_SECONDS", 0.2)
    kept: list[bytes] = []

    def work() -> None:
        blocks = [bytes([number % 255 + 1]) * _BLOCK_BYTES for number in range(_BLOCKS)]
        kept.extend(blocks[::500])

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    held = resident()
    start()
    wait_until(lambda: held - resident() > _BLOCK_BYTES * _BLOCKS / 2, 30)
    assert len(kept) == _BLOCKS / 500
