"""The commands of the guides work as they stand."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.python.clips import make_clip
from tests.python.server.conftest import fill
from tests.python.server.live import Live
from tests.python.server.test_processing import worker_of

pytest.importorskip("av")
GUIDES = Path(__file__).parents[3] / "docs" / "guides"


def commands(name: str) -> str:
    return "\n".join(re.findall(r"```sh\n(.*?)```", (GUIDES / name).read_text(encoding="utf8"), flags=re.DOTALL))


def test_every_guide_is_linked_and_every_link_leads_somewhere() -> None:
    page = (GUIDES.parent / "SERVER.md").read_text(encoding="utf8")
    for guide in GUIDES.glob("*.md"):
        assert f"guides/{guide.name}" in page
        for link in re.findall(r"\]\(([^)#:]+\.md)\)", guide.read_text(encoding="utf8")):
            assert (GUIDES / link).exists(), (guide.name, link)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_commands_of_each_guide_run(listen: Callable[..., Live], tmp_path: Path) -> None:
    live = listen()
    fill(live.state, live.organization)
    make_clip(tmp_path / "roof.mp4", ["one"], seconds=1.0)
    worker = worker_of(live.state)
    working = threading.Thread(target=worker.run)
    working.start()
    key, secret = live.headers.values()
    environment = {"PATH": "/usr/bin:/bin", "PIXR": live.url, "KEY": key, "SECRET": secret}
    said = {}
    try:
        for name in ("uploads", "searching", "pagination", "limits", "errors", "webhooks"):
            command = ["bash", "-euo", "pipefail", "-c", commands(f"{name}.md")]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
            )
            assert done.returncode == 0, (name, done.stderr, done.stdout[-2000:])
            said[name] = done.stdout
    finally:
        worker.stopping.set()
        working.join()
    assert said["searching"].count('"videoId":"roof"') >= 6
    assert '"tags":{"diy":' in said["searching"]
    assert "event: done" in said["searching"]
    assert "whsec_" in said["webhooks"]
    assert len(set(re.findall(r'"videoId":"(\w+)"', said["pagination"]))) >= 2
    assert "ratelimit-policy" in said["limits"].lower()
    assert '"remaining":' in said["limits"]
