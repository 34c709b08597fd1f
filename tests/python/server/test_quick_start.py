"""The quick start of docs/SERVER.md works as it stands."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.python.clips import make_clip
from tests.python.server.live import Live
from tests.python.server.test_processing import worker_of

pytest.importorskip("av")
PAGE = Path(__file__).parents[3] / "docs" / "SERVER.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_quick_start_uploads_finds_and_shows_a_video(listen: Callable[..., Live], tmp_path: Path) -> None:
    live = listen()
    make_clip(tmp_path / "roof.mp4", ["one", "two"], seconds=1.0)
    (script,) = re.findall(r"```sh\n(.*?)```", PAGE.read_text(encoding="utf8"), flags=re.DOTALL)
    worker = worker_of(live.state)
    working = threading.Thread(target=worker.run)
    working.start()
    key, secret = live.headers.values()
    environment = {"PATH": "/usr/bin:/bin", "PIXR": live.url, "KEY": key, "SECRET": secret}
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    finally:
        worker.stopping.set()
        working.join()
    assert done.returncode == 0, done.stderr
    assert '"title":"Solar install"' in done.stdout
    assert "event: done" in done.stdout
    assert "searchabilityScore" in done.stdout
    assert (tmp_path / "roof.webp").read_bytes()[8:12] == b"WEBP"
