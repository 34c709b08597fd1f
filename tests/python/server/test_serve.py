"""`pixr serve` and `pixr admin` as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

import pixr
from pixr.cli.app import app
from pixr.server.metrics_directory import claim_metrics_directory

COMMAND = [sys.executable, "-c", "from pixr.cli import main; main()"]


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own: the line that it prints, and the process."""
    process = subprocess.Popen(
        [*COMMAND, "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PIXR_LOG_LEVEL": "warning"},
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline(), process
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
        assert process.returncode in (0, -signal.SIGTERM), errors


def _url(line: str) -> str:
    return str(re.findall(r"http://\S+", line)[0])


def test_the_first_start_of_a_library_prints_keys_and_the_next_does_not(tmp_path: Path) -> None:
    library = tmp_path / "films.pixr"
    with pixr.open(library):
        pass
    with serving(library) as (line, _):
        key, secret = re.findall(r"(pk_live_\w+) secret (sk_live_\w+)", line)[0]
        headers = {"X-API-Key": key, "X-API-Secret": secret}
        answer = httpx.get(f"{_url(line)}/v1/videos", headers=headers, timeout=60)
        assert answer.json()["videos"] == []
        assert re.search(r"pk_test_\w+ secret sk_test_\w+", line)
    with serving(library) as (line, _):
        assert "secret" not in line
        assert httpx.get(f"{_url(line)}/v1/videos", headers=headers, timeout=60).status_code == 200


def test_several_processes_answer_and_count_together(tmp_path: Path) -> None:
    with serving("--data", tmp_path, "--workers", "2", "--dev") as (line, _):
        for _ in range(8):
            with httpx.Client(timeout=60) as client:
                assert client.get(f"{_url(line)}/v1/videos").status_code == 200
        assert _counted(line) == ["8"]


def test_a_second_server_of_the_same_data_leaves_the_metrics_of_the_first(tmp_path: Path) -> None:
    """Each start emptied the directory that all shared: the first server's counters were gone."""
    lost = tmp_path / "metrics" / "counter_1.db"
    lost.parent.mkdir()
    lost.touch()
    command = ("--data", tmp_path, "--workers", "2", "--dev")
    with serving(*command) as (first, _):
        for _ in range(3):
            assert httpx.get(f"{_url(first)}/v1/videos", timeout=60).status_code == 200
        with serving(*command) as (second, _):
            assert httpx.get(f"{_url(second)}/v1/videos", timeout=60).status_code == 200
            assert (_counted(first), _counted(second)) == (["3"], ["1"])
        assert _counted(first) == ["3"]
    kept = claim_metrics_directory(tmp_path)
    assert {one.name for one in kept.parent.iterdir()} == {"lock", kept.name}, "servers that ended leave nothing"


def _counted(line: str) -> list[str]:
    """How many lists of videos the metrics of a server tell of."""
    metrics = httpx.get(f"{_url(line)}/metrics", timeout=60).text
    return re.findall(r'duration_seconds_count{method="GET",route="/v1/videos",status="200"} (\d+)', metrics)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stream_of_events_does_not_hold_up_the_end(tmp_path: Path, workers: str) -> None:
    with serving("--data", tmp_path, "--workers", workers, "--dev") as (line, process):
        headers = {"Accept": "text/event-stream"}
        with httpx.stream("GET", f"{_url(line)}/v1/events", headers=headers, timeout=60) as answer:
            pieces = answer.iter_raw()
            assert next(pieces) == b": following\n\n"
            process.send_signal(signal.SIGTERM)
            begun = time.monotonic()
            assert list(pieces) == [], "it ends as a whole answer does"
            assert time.monotonic() - begun < 10, "half of `shutdown_timeout`"


@pytest.mark.parametrize("path", ["/v1/ws", "/graphql"])
def test_a_message_on_a_socket_is_no_larger_than_a_body(tmp_path: Path, path: str) -> None:
    """16 MB of JSON came in 16 kB, compressed, and all others waited for three seconds while it was read."""
    message = '{"type": "ping", "pad": "%s"}'
    with serving("--data", tmp_path, "--dev") as (line, _):
        url = _url(line).replace("http", "ws", 1) + path
        protocols = [Subprotocol("graphql-transport-ws")] if path == "/graphql" else None
        with connect(url, subprotocols=protocols, open_timeout=60) as socket:
            socket.send(message % ("a" * (1 << 19)))
            socket.recv(timeout=60)
        with connect(url, subprotocols=protocols, open_timeout=60) as socket:
            socket.send(message % ("a" * (1 << 20)))
            with pytest.raises(ConnectionClosedError) as closed:
                _read_three(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1009


def _read_three(socket: ClientConnection) -> None:
    for _ in range(3):
        socket.recv(timeout=60)


def _admin(data: Path, *arguments: str) -> Any:
    done = CliRunner().invoke(app, ["admin", "--data", str(data), *arguments, "--json"])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_the_operator_manages_organizations_and_keys(tmp_path: Path) -> None:
    made = _admin(tmp_path, "create-organization", "Acme", "--plan", "startup")
    assert made["liveKey"]["keyId"].startswith("pk_live_")
    changed = _admin(tmp_path, "change-organization", made["id"], "--retention-days", "7", "--suspend")
    assert (changed["retentionDays"], changed["suspended"] is not None) == (7, True)
    key = _admin(tmp_path, "create-key", made["id"], "--scope", "search", "--days", "1")
    assert key["scopes"] == ["search"]
    assert _admin(tmp_path, "rotate-key", key["keyId"])["secret"] != key["secret"]
    assert _admin(tmp_path, "revoke-key", key["keyId"])["revoked"] is not None
    assert len(_admin(tmp_path, "keys", made["id"])["keys"]) == 3
    assert [one["name"] for one in _admin(tmp_path, "organizations")["organizations"]] == ["Acme"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create-organization", "A", "--plan", "gold"], "INVALID_REQUEST"),
        (["create-organization", "A", "--region", "mars"], "INVALID_REQUEST"),
        (["create-key", "org_none", "--scope", "everything"], "INVALID_REQUEST"),
        (["keys", "org_none"], "NOT_FOUND"),
        (["revoke-key", "pk_none"], "KEY_NOT_FOUND"),
    ],
)
def test_what_an_operator_cannot_have_has_a_code(tmp_path: Path, arguments: list[str], code: str) -> None:
    """Only what the services refused had one, not what the command line looked for itself."""
    done = CliRunner().invoke(app, ["admin", "--data", str(tmp_path), *arguments])
    assert done.exit_code in (1, 2)
    assert isinstance(done.exception, SystemExit), done.exception
    assert done.stderr.endswith(f" [{code}]\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["serve"], "give a LIBRARY to serve"),
        (["serve", "x.pixr", "--port", "99999"], "port: Input should be less than or equal to 65535"),
        (["serve", "x.pixr", "--dev", "--host", "0.0.0.0"], "loopback only"),
        (["admin", "--data", "DATA", "create-organization", "A", "--plan", "gold"], "no plan 'gold'"),
    ],
)
def test_what_cannot_be_served_is_said_in_a_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    arguments = [str(tmp_path) if one == "DATA" else one for one in arguments]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code not in (0, None)
    assert isinstance(done.exception, SystemExit), done.exception
    assert message in done.stderr
