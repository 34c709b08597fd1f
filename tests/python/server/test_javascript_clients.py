"""Clients that others wrote in JavaScript, unmodified: tus-js-client, eventsource, graphql-ws, Postman's newman.

`make clients` installs them into `tests/clients`; `tests/clients/package-lock.json` says which versions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from pixr.server.models import VideoRecord
from tests.python.server.conftest import fill
from tests.python.server.live import Live

CLIENTS = Path(__file__).parents[2] / "clients"
INSTALLED = (CLIENTS / "node_modules").is_dir() and shutil.which("node") is not None

pytestmark = pytest.mark.skipif(not INSTALLED, reason="the JavaScript clients are not installed: make clients")


def node(*arguments: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(["node", *arguments], cwd=CLIENTS, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.mark.parametrize("way", ["endpoint", "uploadUrl"])
def test_tus_js_client_uploads_stops_and_goes_on(listen: Callable[..., Live], tmp_path: Path, way: str) -> None:
    """Both ways to begin: by tus itself with a key, and by `upload/init`, whose URL needs no key."""
    live, file = listen(), tmp_path / "roof.mp4"
    file.write_bytes(os.urandom(300_000))
    if way == "endpoint":
        asked: dict[str, Any] = {"endpoint": f"{live.url}/v1/videos/upload/tus", "headers": live.headers}
    else:
        body = {"filename": "films/roof é.mp4", "size": 300_000, "metadata": {"title": "Solar install"}}
        begun = httpx.post(f"{live.url}/v1/videos/upload/init", json=body, headers=live.headers).json()
        asked = {"uploadUrl": begun["uploadUrl"], "headers": {}}
    told = json.loads(node("tus.mjs", json.dumps(asked | {"file": str(file)})).stdout)
    assert told["stopped"]["offsets"] == [65536, 131072]
    assert told["finished"]["offsets"] == [196608, 262144, 300_000]
    with live.state.database.read() as session:
        (video,) = session.query(VideoRecord)
    assert (video.title, video.filename, video.status) == ("Solar install", "roof é.mp4", "queued")
    assert (live.state.libraries.home(live.organization) / str(video.file)).read_bytes() == file.read_bytes()


def test_an_event_source_reads_a_search_and_learns_when_it_is_complete(listen: Callable[..., Live]) -> None:
    """When the stream ends it comes back with the last id, as its specification says, and a 204 sends it home."""
    live = listen()
    fill(live.state, live.organization)
    body = {"query": "solar harbour", "minScore": 0.0}
    asked = {"url": f"{live.url}/v1/search", "headers": live.headers, "body": body}
    told = json.loads(node("events.mjs", json.dumps(asked)).stdout)
    assert [event["name"] for event in told["events"]] == ["result", "result", "facets", "done"]
    whole = httpx.post(f"{live.url}/v1/search", json=body, headers=live.headers).json()
    assert [event["data"] for event in told["events"][:2]] == whole["results"]
    assert told["asked"] == [None, told["events"][-1]["id"]]
    assert told["code"] == 204


def test_graphql_ws_asks_and_follows_a_search_to_its_end(listen: Callable[..., Live]) -> None:
    live = listen()
    fill(live.state, live.organization)
    pieces = "{ result { videoId } facets { name } done { pagination { total } } }"
    operations = [
        {"query": '{ video(videoId: "roof") { title status } }'},
        {
            "query": f"subscription($input: SearchInput!) {{ search(input: $input) {pieces} }}",
            "variables": {"input": {"query": "solar harbour", "minScore": 0}},
        },
    ]
    asked = {"url": live.url.replace("http", "ws") + "/graphql", "credentials": live.headers, "operations": operations}
    told = json.loads(node("graphql.mjs", json.dumps(asked)).stdout)
    assert told[0] == [{"data": {"video": {"title": "Solar install", "status": "completed"}}}]
    found = [answer["data"]["search"] for answer in told[1]]
    assert [next(name for name, body in one.items() if body is not None) for one in found] == [
        "result",
        "result",
        "facets",
        "done",
    ]
    assert found[-1]["done"]["pagination"]["total"] == 2


def test_newman_runs_the_postman_collection(listen: Callable[..., Live], tmp_path: Path) -> None:
    """Every request goes out as Postman sends it; those without an id of something that is not there succeed."""
    live = listen()
    fill(live.state, live.organization)
    collection, report = tmp_path / "postman.json", tmp_path / "report.json"
    collection.write_bytes(httpx.get(f"{live.url}/postman.json", timeout=60).content)
    variables = {"baseUrl": live.url, "apiKey": live.headers["X-API-Key"], "apiSecret": live.headers["X-API-Secret"]}
    given = [part for name, value in variables.items() for part in ("--env-var", f"{name}={value}")]
    command = ["node_modules/newman/bin/newman.js", "run", str(collection), *given, "--ignore-redirects"]
    node(*command, "--reporters", "json", "--reporter-json-export", str(report))
    sent = json.loads(report.read_text(encoding="utf8"))["run"]["executions"]
    answers = {one["item"]["name"]: (one["request"], one["response"]["code"]) for one in sent}
    folders = json.loads(collection.read_text(encoding="utf8"))["item"]
    assert len(answers) == sum(len(folder["item"]) for folder in folders)
    assert not {name: code for name, (_, code) in answers.items() if code >= 500}
    raw = {item["name"]: item["request"]["url"]["raw"] for folder in folders for item in folder["item"]}
    needs_no_id = {
        name: code
        for name, (request, code) in answers.items()
        if "/:" not in raw[name] and request["method"] in ("GET", "OPTIONS")
    }
    assert {code for name, code in needs_no_id.items() if name != "Authorize"} <= {200, 204}, needs_no_id
    assert [answers[name][1] for name in ("Search", "Begin upload", "Create key")] == [200, 201, 201]
