"""Traces: what each part of the server did, without what was asked. Read with the exporter of OpenTelemetry's SDK."""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from pixr.server import tracing
from pixr.server.models import VideoRecord
from pixr.server.settings import InvalidSettings, load_settings
from pixr.server.state import ServerState
from tests.python.server.partner import Partner
from tests.python.server.test_processing import worker_of

pytest.importorskip("opentelemetry.sdk", reason="the extra otel is not installed")
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode


@pytest.fixture
def spans() -> Iterator[Callable[[], list[ReadableSpan]]]:
    """What was traced so far."""
    provider, kept = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    tracing.trace_with(provider)
    yield lambda: list(kept.get_finished_spans())
    tracing.trace_with(None)


Spans = Callable[[], list[ReadableSpan]]


def test_a_search_has_its_stages_and_goes_on_with_the_callers_trace(acme: Partner, spans: Spans) -> None:
    trace, parent = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    headers = {"traceparent": f"00-{trace}-{parent}-01"}
    answer = acme.post("/v1/search", json={"query": "planted words about solar"}, headers=headers)
    found = {one.name: one for one in spans()}
    assert set(found) == {"POST /v1/search", "wait", "search", "encode", "match"}
    request = found["POST /v1/search"]
    assert request.kind == SpanKind.SERVER
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == parent
    assert {f"{one.context.trace_id:032x}" for one in found.values()} == {trace}
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST",
        "http.route": "/v1/search",
        "http.response.status_code": 200,
        "pixr.request_id": answer.headers["x-request-id"],
        "pixr.organization": acme.organization,
    }
    parents = {name: one.parent.span_id if one.parent else None for name, one in found.items()}
    assert parents["search"] == parents["wait"] == request.context.span_id
    assert parents["encode"] == parents["match"] == found["search"].context.span_id
    assert (found["search"].attributes or {})["pixr.search_id"] == answer.json()["searchId"]
    for stage in ("encode", "match"):
        assert within(found["search"], found[stage])
    assert "planted" not in "".join(one.to_json() for one in found.values())


def within(whole: ReadableSpan, part: ReadableSpan) -> bool:
    assert whole.start_time is not None
    assert whole.end_time is not None
    assert part.start_time is not None
    assert part.end_time is not None
    slack = 2_000_000  # two clocks measure
    return whole.start_time - slack <= part.start_time <= part.end_time <= whole.end_time + slack


def test_what_goes_wrong_has_its_code(acme: Partner, spans: Spans) -> None:
    acme.post("/v1/search", json={"query": "a", "filters": {"nonsense": 1}})
    found = {one.name: one for one in spans()}
    assert found["search"].status.status_code == StatusCode.ERROR
    assert (found["search"].attributes or {})["error.type"] == "INVALID_FILTER"
    assert not found["search"].events, "no message of an exception, which may quote the question"
    assert found["POST /v1/search"].status.status_code == StatusCode.UNSET, "the server did what it should"


def test_a_job_that_fails_is_traced_with_what_it_did(acme: Partner, server: ServerState, spans: Spans) -> None:
    with server.database.write() as session:
        url = "http://127.0.0.1:9/private.mp4"
        video = VideoRecord(id="vid_t", organization_id=acme.organization, status="queued", source_url=url)
        session.add(video)
    assert worker_of(server).work_once()
    found = {one.name: one for one in spans()}
    assert {"ingest", "fetch"} == set(found)
    assert dict(found["ingest"].attributes or {}) == {
        "pixr.video": "vid_t",
        "pixr.organization": acme.organization,
        "pixr.attempt": 1,
        "error.type": "URL_REFUSED",
    }
    assert found["fetch"].parent is not None
    assert found["fetch"].parent.span_id == found["ingest"].context.span_id


def test_a_delivery_is_traced(start: Callable[..., TestClient], join: Callable[..., Partner], spans: Spans) -> None:
    made = join("Hooked")
    client = start(allowed_networks=["127.0.0.0/8"])
    partner = Partner(client, made.organization, made.key, made.secret)
    hook = partner.post("/v1/webhooks/endpoints", json={"url": "http://127.0.0.1:9/h"}).json()["endpointId"]
    partner.post(f"/v1/webhooks/endpoints/{hook}/test", json={})
    deadline = time.monotonic() + 20
    while not (found := [one for one in spans() if one.name == "webhook"]) and time.monotonic() < deadline:
        time.sleep(0.05)
    (sent,) = found
    told = dict(sent.attributes or {})
    assert (sent.kind, told["pixr.endpoint"], told["pixr.event_type"]) == (SpanKind.CLIENT, hook, "video.processed")
    assert told["pixr.outcome"] == told["error.type"] == "failed"


def test_a_collector_gets_what_was_traced(tmp_path: Path) -> None:
    """Over OTLP, into a collector that counts bytes."""
    got: list[tuple[str, int]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, len(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as there:
        threading.Thread(target=there.serve_forever, daemon=True).start()
        tracing.start_tracing(load_settings(data=tmp_path, traces=f"http://127.0.0.1:{there.server_port}"), "api")
        with tracing.span("something", {"pixr.video": "vid_x"}):
            pass
        tracing.end_tracing()
        there.shutdown()
    assert [path for path, _ in got] == ["/v1/traces"]
    assert got[0][1] > 50


def test_without_the_package_it_is_said_what_to_install(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from pixr.cli import main\n"
        f"sys.argv = ['pixr', 'serve', '--data', {str(tmp_path)!r}, '--port', '0']\n"
        "main()"
    )
    environment = {"PIXR_TRACES": "http://127.0.0.1:4318", "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 1
    assert "pip install 'pixr[otel]'" in done.stderr
    assert "Traceback" not in done.stderr
    with pytest.raises(InvalidSettings, match="traces"):
        load_settings(data=tmp_path, traces="collector:4318")
