"""What the server costs, and what it bears: `make bench-server`, or `python -m benches.server PART` for one part.

load      100 searches a second for five minutes, with an upload and webhooks under way: p99 and errors
overhead  the same questions over HTTP and by the library's own call, in turn: the difference of the medians
limit     searches a second until p99 passes 100 ms, and as many as a bare framework answers in the same run
table     the finished route beside bare FastAPI, Starlette and Litestar, 8 connections, one process

The library has 100,000 segments with pictures and words (`--segments`); the encodings of its 200 questions are kept.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx

import pixr
from benches.server.library import make_library, questions
from benches.server.load import Connection, Outcome, as_fast, at_rate, beside, request

SERVE = [sys.executable, "-c", "from pixr.cli import main; main()", "serve"]
JSON = {"Content-Type": "application/json"}
PIECE_BYTES = 1 << 20


@contextmanager
def serving(library: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """`pixr serve` on the library, its URL and a key."""
    settings = {
        "PIXR_PLANS": '{"bench": {"rate": 100000}}',
        "PIXR_DEFAULT_PLAN": "bench",
        "PIXR_INGEST_WORKERS": "0",
        "PIXR_ALLOWED_NETWORKS": '["127.0.0.0/8"]',
    }
    home = library.with_name("films.server")
    subprocess.run(["rm", "-rf", str(home)], check=True)
    with (library.with_name("server.log")).open("w") as log:
        process = subprocess.Popen(
            [*SERVE, str(library), "--port", "0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **settings},
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    (url,), ((key, secret),) = re.findall(r"http://\S+", line), re.findall(r"(pk_live_\w+) secret (sk_live_\w+)", line)
    try:
        _wait(f"{url}/health/live")
        yield url, {"X-API-Key": key, "X-API-Secret": secret}
    finally:
        process.terminate()
        process.wait()


def _wait(url: str) -> None:
    for _ in range(600):
        try:
            httpx.get(url, timeout=5)
            return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError(url)


@contextmanager
def receiving() -> Iterator[tuple[str, list[float]]]:
    """A receiver of webhooks: its URL, and when something came."""
    came: list[float] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            came.append(time.perf_counter())
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", came
    server.shutdown()


def searches(url: str, headers: dict[str, str]) -> list[bytes]:
    """The questions, each as a request."""
    bodies = [json.dumps({"query": one, "pagination": {"limit": 20}}).encode() for one in questions(200)]
    return [request(url, "POST", "/v1/search", JSON | headers, body) for body in bodies]


def warm(url: str, asked: list[bytes]) -> None:
    """Ask everything once, so that models are loaded and encodings kept."""

    async def scene() -> None:
        connection = Connection(url)
        for one in asked:
            assert await connection.ask(one) == 200

    asyncio.run(scene())


def load(library: Path, seconds: float) -> dict[str, Any]:
    """Searches at a fixed rate while an upload and webhooks are under way."""
    with serving(library) as (url, headers), receiving() as (hook, came):
        asked = searches(url, headers)
        warm(url, asked)
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client:
            endpoint = client.post("/v1/webhooks/endpoints", json={"url": hook}).json()["endpointId"]
        sent = {"pieces": 0, "events": 0}

        async def upload() -> None:
            connection, piece = Connection(url), os.urandom(PIECE_BYTES)
            async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60) as client:
                body = {"filename": "a.mp4", "size": PIECE_BYTES * 4096}
                begun = (await client.post("/v1/videos/upload/init", json=body)).json()
            path = begun["uploadUrl"].removeprefix(url)
            for number in range(4096):
                told = {"Tus-Resumable": "1.0.0", "Content-Type": "application/offset+octet-stream"}
                offset = {"Upload-Offset": str(number * PIECE_BYTES)}
                assert await connection.ask(request(url, "PATCH", path, told | offset, piece)) == 204
                sent["pieces"] += 1
                await asyncio.sleep(0.25)

        async def tell() -> None:
            connection = Connection(url)
            test = request(url, "POST", f"/v1/webhooks/endpoints/{endpoint}/test", JSON | headers, b"{}")
            while True:
                assert await connection.ask(test) == 202
                sent["events"] += 1
                await asyncio.sleep(0.2)

        async def scene() -> Outcome:
            work = asyncio.ensure_future(at_rate(url, asked, 100, seconds))
            return await beside(work, lambda: asyncio.ensure_future(upload()), lambda: asyncio.ensure_future(tell()))

        outcome = asyncio.run(scene())
        time.sleep(2)
        print(
            f"load: {outcome}; {sent['pieces']} pieces of 1 MiB, {len(came)} of {sent['events']} webhooks", flush=True
        )
        return {
            "answers": len(outcome.milliseconds),
            "errors": len(outcome.errors),
            "p50": outcome.percentile(0.5),
            "p99": outcome.percentile(0.99),
            "p999": outcome.percentile(0.999),
            **sent,
            "delivered": len(came),
        }


def overhead(library: Path, seconds: float) -> dict[str, Any]:
    """HTTP and the library's own call in turn, one at a time."""
    with serving(library) as (url, headers), pixr.open(library, read_only=True) as direct:
        asked, texts = searches(url, headers), questions(200)
        warm(url, asked)
        for text in texts:
            direct.search(text, limit=20)
        calls: list[float] = []
        answers: list[float] = []

        async def scene() -> None:
            connection = Connection(url)
            ended = time.perf_counter() + seconds
            while (at := time.perf_counter()) < ended:
                number = len(calls)
                direct.search(texts[number % 200], limit=20, facets=True)  # as a request without `facets` asks
                calls.append((time.perf_counter() - at) * 1e3)
                at = time.perf_counter()
                assert await connection.ask(asked[number % 200]) == 200
                answers.append((time.perf_counter() - at) * 1e3)

        asyncio.run(scene())
    call, answer = statistics.median(calls), statistics.median(answers)
    print(f"overhead: {answer - call:.2f} ms at the median ({answer:.2f} by HTTP, {call:.2f} by the call)", flush=True)
    return {"http_p50": answer, "call_p50": call, "overhead_p50": answer - call}


def limit(library: Path, step_seconds: float) -> dict[str, Any]:
    """The rate at which p99 passes 100 ms."""
    with serving(library) as (url, headers):
        asked = searches(url, headers)
        warm(url, asked)
        found, body = 0.0, httpx.post(f"{url}/v1/search", json={"query": questions(1)[0]}, headers=headers).content
        for rate in (20, 30, 40, 50, 60, 80, 100, 120, 140, 160, 180, 200, 225, 250, 275, 300, 350, 400, 450, 500):
            outcome = asyncio.run(at_rate(url, asked, rate, step_seconds))
            print(f"  {rate}/s: {outcome}", flush=True)
            if outcome.percentile(0.99) > 100 or outcome.errors:
                break
            found = rate
    bare = _bare("fastapi", library, body)
    print(f"limit: {found:.0f}/s, {found / bare.rate:.3f} of bare FastAPI's {bare.rate:.0f}/s", flush=True)
    return {"rate": found, "bare": bare.rate, "ratio": found / bare.rate}


def table(library: Path, seconds: float) -> dict[str, Any]:
    """The finished route beside bare ones."""
    rows: dict[str, Any] = {}
    with serving(library) as (url, headers):
        asked = searches(url, headers)
        warm(url, asked)
        body = httpx.post(f"{url}/v1/search", json={"query": questions(1)[0]}, headers=headers).content
        rows["POST /v1/search"] = asyncio.run(as_fast(url, asked, 8, seconds))
        listed = [request(url, "GET", "/v1/videos/video-000000", headers)]
        rows["GET /v1/videos/{id}"] = asyncio.run(as_fast(url, listed, 8, seconds))
        live = [request(url, "GET", "/health/live", {})]
        rows["GET /health/live"] = asyncio.run(as_fast(url, live, 8, seconds))
    for name in ("fastapi", "litestar", "starlette"):
        if find_spec(name) is None:
            print(f"table: {name} is not installed, and is left out")
            continue
        rows[f"bare {name}"] = _bare(name, library, body, seconds)
    print(f"table ({len(body)} bytes an answer):")
    for name, outcome in rows.items():
        print(
            f"  {name:22} {outcome.rate:8.0f}/s   p50 {outcome.percentile(0.5):6.2f}"
            f"   p99 {outcome.percentile(0.99):6.2f} ms"
        )
    return {
        name: {"rate": one.rate, "p50": one.percentile(0.5), "p99": one.percentile(0.99)} for name, one in rows.items()
    }


def _bare(name: str, library: Path, body: bytes, seconds: float = 5.0) -> Outcome:
    file = library.with_name("body.json")
    file.write_bytes(body)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = subprocess.Popen([sys.executable, "-m", "benches.server.bare", name, str(port), str(file)])
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url)
        return asyncio.run(as_fast(url, searches(url, {}), 8, seconds))
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Measure, print, and write `report.json` beside the library."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["overhead", "table", "limit", "load"])
    parser.add_argument("--segments", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=300.0, help="of `load`")
    parser.add_argument("--out", type=Path, default=Path("target/bench-server"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    library = asked.out.absolute() / "films.pixr"
    make_library(library, asked.segments)
    measure = {
        "load": lambda: load(library, asked.seconds),
        "overhead": lambda: overhead(library, 40.0),
        "limit": lambda: limit(library, 8.0),
        "table": lambda: table(library, 6.0),
    }
    report = {part: measure[part]() for part in asked.parts if part != "build"}
    (asked.out / "report.json").write_text(json.dumps(report, indent=1), encoding="utf8")


if __name__ == "__main__":
    main()
