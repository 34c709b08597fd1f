"""One table has every code."""

from __future__ import annotations

import inspect

from starlette.testclient import TestClient

import pixr.errors
from pixr.errors import PixrError
from pixr.server.errors import CODES, problem_of
from tests.python.server.partner import Partner, code_of


def test_every_error_of_the_library_has_a_status() -> None:
    kinds = [kind for _, kind in inspect.getmembers(pixr.errors, inspect.isclass) if issubclass(kind, PixrError)]
    assert len(kinds) > 20
    for kind in kinds:
        assert kind.code.upper() in CODES, kind
        assert problem_of(kind("a", "b")).code == kind.code.upper()


def test_what_is_the_servers_fault_tells_no_path() -> None:
    assert "/srv/pixr" not in problem_of(pixr.errors.Damaged("/srv/pixr/parts/1 is damaged")).detail
    assert "secret" not in problem_of(RuntimeError("secret")).detail


def test_unknown_paths_and_methods_are_problems_too(client: TestClient, acme: Partner) -> None:
    assert code_of(client.get("/nowhere")) == "NOT_FOUND"
    wrong = acme.call("PUT", "/v1/videos/roof")
    assert (wrong.status_code, code_of(wrong)) == (405, "METHOD_NOT_ALLOWED")
    assert "allow" in wrong.headers


def test_a_request_id_is_taken_over_unless_it_could_forge_a_line(client: TestClient) -> None:
    assert client.get("/health/live", headers={"X-Request-Id": "mine-1"}).headers["x-request-id"] == "mine-1"
    for forged in ("a b", "x" * 65, 'a"}'):
        assert client.get("/health/live", headers={"X-Request-Id": forged}).headers["x-request-id"].startswith("req_")
