"""Schemathesis against a listening server: every operation, all checks, also in sequences that follow one another.

It makes requests from the specification, right ones and wrong ones, and finds answers that the specification does not
allow. `schemathesis.toml` says what is expected where a schema can't say it. `make fuzz-server` asks thousands of
times; `PIXR_FUZZ_SEED` for other requests than the last time's.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from pixr.server.principal import SCOPES
from tests.python.server.conftest import fill
from tests.python.server.live import Live

pytest.importorskip("schemathesis")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
SLOW = bool(os.environ.get("PIXR_SLOW_TESTS"))
# The slow profile asks each operation, and each sequence of operations, so many times.
EXAMPLES = 60 if SLOW else 1
SEED = os.environ.get("PIXR_FUZZ_SEED", "1")
PHASES = "examples,coverage,fuzzing,stateful" if SLOW else "examples,fuzzing,stateful"


def test_no_answer_is_outside_of_the_specification(listen: Callable[..., Live], tmp_path: Path) -> None:
    """Asked with a user token: a key among the operations' ids would sooner or later be revoked by its own request."""
    live = listen(failed_logins_per_second=100_000)
    fill(live.state, live.organization)
    token = live.state.user_tokens.issue(live.organization, "schemathesis", SCOPES, 86_400, None)
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run"]
    command += [f"{live.url}/openapi.json", "--checks", "all", "--phases", PHASES, "--max-examples", str(EXAMPLES)]
    command += [
        "--header",
        f"Authorization: Bearer {token}",
        "--seed",
        os.environ.get("PIXR_FUZZ_SEED", "1"),
        "--no-color",
        "--continue-on-failure",
    ]
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(CONFIGURATION.parent)}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=3000,
        check=False,
    )
    asked = re.search(r"(\d+) generated", done.stdout)
    assert asked is not None, done.stdout + done.stderr
    print(done.stdout[-2000:])
    assert done.returncode == 0, done.stdout
    assert int(asked[1]) >= (2000 if SLOW else 100)
    assert httpx.get(f"{live.url}/health/ready").status_code == 200
