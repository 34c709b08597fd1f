"""Rates and quotas: exact, shared by processes, and said in headers."""

from __future__ import annotations

import hashlib
import itertools
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.websockets import WebSocketDisconnect

from pixr.server.models import Event
from pixr.server.organizations import create_organization
from pixr.server.rate_limits import RateLimits
from pixr.server.settings import Plan
from pixr.server.state import ServerState
from tests.python.server.conftest import state_of
from tests.python.server.partner import Partner, code_of


class Clock:
    """Time that passes when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def test_twice_the_rate_is_held_for_a_minute_and_then_the_rate(tmp_path: Path) -> None:
    clock = Clock()
    limits = RateLimits(tmp_path / "buckets", clock)
    passed = []
    for _ in range(120):
        passed.append(sum(limits.take("org", 10).allowed for _ in range(40)))
        clock.seconds += 1.0
    assert passed[:59] == [20] * 59
    assert set(passed[62:]) == {10}
    assert sum(passed) == pytest.approx(600 + 120 * 10, abs=20)
    limits.close()


def test_a_refusal_says_when_to_come_back_and_is_right(tmp_path: Path) -> None:
    clock = Clock()
    limits = RateLimits(tmp_path / "buckets", clock)
    while (refused := limits.take("org", 5)).allowed:
        pass
    clock.seconds += refused.retry_seconds - 0.001
    assert not limits.take("org", 5).allowed
    clock.seconds += 0.002
    assert limits.take("org", 5).allowed
    assert limits.take("another", 5).allowed
    limits.close()


def test_answers_to_strangers_tell_of_a_bucket_for_their_address(start: Callable[..., TestClient]) -> None:
    client = start(strangers_per_second=1)
    answers = [client.get("/health/live") for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert [one.headers["X-RateLimit-Remaining"] for one in answers] == ["1", "0", "0"]
    assert answers[0].headers["RateLimit-Policy"] == '"sustained";q=60;w=60, "burst";q=2;w=1'
    assert int(answers[2].headers["Retry-After"]) >= 1
    assert code_of(answers[2]) == "RATE_LIMITED"


def test_headers_tell_both_policies_exactly(tmp_path: Path) -> None:
    clock = Clock()
    limits = RateLimits(tmp_path / "buckets", clock)
    first = limits.take("org", 10).headers()
    assert first == {
        "RateLimit-Policy": '"sustained";q=600;w=60, "burst";q=20;w=1',
        "RateLimit": '"sustained";r=599;t=1, "burst";r=19;t=1',
        "X-RateLimit-Limit": "20",
        "X-RateLimit-Remaining": "19",
        "X-RateLimit-Reset": "1",
    }
    for left in range(18, -1, -1):
        assert limits.take("org", 10).headers()["X-RateLimit-Remaining"] == str(left)
    refused = limits.take("org", 10)
    assert (refused.allowed, refused.headers()["Retry-After"]) == (False, "1")
    limits.close()


def test_processes_share_a_bucket(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from pixr.server.rate_limits import RateLimits;"
        "limits = RateLimits(Path(sys.argv[1]), lambda: 1.0);"
        "print(sum(limits.take('org', 100).allowed for _ in range(150)))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "buckets")]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert sum(int(process.communicate()[0]) for process in processes) == 200


def test_a_busy_partner_is_slowed_and_others_are_not(
    start: Callable[..., TestClient], join: Callable[..., Partner]
) -> None:
    slow, other = join(plan="slow"), join(plan="slow")
    client = start(plans={"slow": Plan(rate=1)}, default_plan="slow")
    busy = Partner(client, slow.organization, slow.key, slow.secret)
    answers = [busy.get("/v1/videos") for _ in range(4)]
    assert answers[0].status_code == answers[1].status_code == 200
    assert answers[0].headers["ratelimit-policy"] == '"sustained";q=60;w=60, "burst";q=2;w=1'
    assert (answers[-1].status_code, code_of(answers[-1])) == (429, "RATE_LIMITED")
    assert int(answers[-1].headers["retry-after"]) >= 1
    assert re.fullmatch(r'"sustained";r=\d+;t=\d+, "burst";r=0;t=\d+', answers[-1].headers["ratelimit"])
    assert Partner(client, other.organization, other.key, other.secret).get("/v1/videos").status_code == 200


def test_guessing_keys_is_slowed(start: Callable[..., TestClient]) -> None:
    client = start(failed_logins_per_second=0.05)
    wrong = {"X-API-Key": "pk_live_x", "X-API-Secret": "y"}
    assert [client.get("/v1/videos", headers=wrong).status_code for _ in range(4)][-1] == 429
    assert client.get("/health/live").status_code == 200


def _connect(client: TestClient, path: str, headers: dict[str, str], *, times: int) -> None:
    for _ in range(times):
        with client.websocket_connect(path, headers=headers):
            pass


def test_guessing_over_sockets_is_slowed(start: Callable[..., TestClient], acme: Partner) -> None:
    """Handshakes, and tokens sent as the first message, were counted nowhere; each held a connection for seconds."""
    client = start(failed_logins_per_second=0.05)
    wrong = {"X-API-Key": "pk_live_x", "X-API-Secret": "y"}
    for path in ("/v1/ws", "/graphql"):
        with pytest.raises(WebSocketDenialResponse) as denied:
            _connect(client, path, wrong, times=4)
        assert code_of(denied.value) == "RATE_LIMITED"
        assert int(denied.value.headers["retry-after"]) >= 1
    with client.websocket_connect("/v1/ws") as socket:
        socket.send_json({"type": "authenticate", "token": "wrong"})
        with pytest.raises(WebSocketDisconnect) as refused:
            socket.receive_json()
        assert (refused.value.code, refused.value.reason) == (4429, "RATE_LIMITED")
    with client.websocket_connect("/v1/ws", headers=acme.headers) as socket:
        assert socket.receive_json()["type"] == "ready", "who knows the secret is not locked out"


def test_messages_of_a_socket_count_against_the_rate(
    start: Callable[..., TestClient], join: Callable[..., Partner]
) -> None:
    """Only searches did: pings and what can't be read were answered as fast as they came."""
    client = start(plans={"slow": Plan(rate=1)}, default_plan="slow")
    slow = join(plan="slow")
    with client.websocket_connect("/v1/ws", headers=slow.headers) as socket:
        assert socket.receive_json()["type"] == "ready"
        for _ in range(5):
            socket.send_json({"type": "ping"})
        answers = [socket.receive_json() for _ in range(5)]
    assert [answer["type"] for answer in answers] == ["pong", *["error"] * 4], (
        "the handshake was one of the burst of two"
    )
    assert answers[-1]["error"]["code"] == "RATE_LIMITED"


def test_a_quota_ends_a_month_after_the_free_calls(
    start: Callable[..., TestClient], join: Callable[..., Partner], server: ServerState
) -> None:
    made = join(plan="tiny")
    client = start(plans={"tiny": Plan(rate=1000, monthly_calls=3)}, default_plan="tiny", free_calls=2)
    partner, usage = Partner(client, made.organization, made.key, made.secret), state_of(client).usage
    for _ in range(5):
        assert partner.get("/v1/videos").status_code == 200
        usage.flush()
    with state_of(client).database.read() as session:
        told = session.scalars(select(Event).where(Event.type == "usage.threshold").order_by(Event.sequence))
        assert [(one.data["percent"], one.data["used"], one.data["limit"]) for one in told] == [(80, 4, 5), (100, 5, 5)]
    refused = partner.get("/v1/videos")
    assert (refused.status_code, code_of(refused)) == (402, "QUOTA_EXCEEDED")
    assert state_of(client).database.is_sqlite == server.database.is_sqlite


def test_an_organization_sees_what_it_used(start: Callable[..., TestClient], join: Callable[..., Partner]) -> None:
    made = join(plan="tiny")
    client = start(plans={"tiny": Plan(rate=1000, monthly_calls=30)}, default_plan="tiny", free_calls=10)
    partner, usage = Partner(client, made.organization, made.key, made.secret), state_of(client).usage
    for _ in range(3):
        partner.get("/v1/videos")
    usage.flush()
    shown = partner.get("/v1/usage").json()
    assert (shown["plan"], shown["calls"], shown["limit"], shown["remaining"]) == ("tiny", 3, 40, 37)
    assert [one["calls"] for one in shown["days"]] == [3]
    assert shown["resets"][8:10] == "01"
    assert shown["resets"][:7] > shown["month"]


def test_a_rate_below_one_a_minute_lets_one_pass_in_its_time(tmp_path: Path) -> None:
    """The bucket of a minute's worth held less than one request, so none ever passed."""
    clock = Clock()
    limits = RateLimits(tmp_path / "buckets", clock)
    hourly = 1 / 3600
    assert [limits.take("org", hourly).allowed for _ in range(3)] == [True, False, False]
    refused = limits.take("org", hourly).headers()
    assert refused["RateLimit-Policy"] == '"sustained";q=1;w=60, "burst";q=1;w=1'
    assert refused["Retry-After"] == "3600"
    clock.seconds += 3599.0
    assert not limits.take("org", hourly).allowed
    clock.seconds += 2.0
    assert limits.take("org", hourly).allowed
    limits.close()


@pytest.fixture
def small(start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Callable[[], Any]]:
    """Makes users of an organization on a plan of 4 requests a second, each with a rate; time stands still."""
    client = start(plans={"small": Plan(rate=4)}, default_plan="small")
    state = state_of(client)
    monkeypatch.setattr(state.rate_limits, "_clock", Clock())
    with state.database.write() as session:
        organization = create_organization(session, "Acme", "small").id

    def user(name: str, rate: float) -> Callable[[], Any]:
        token = state.user_tokens.issue(organization, name, ["videos.read"], 60, rate)
        return lambda: client.get("/v1/videos", headers={"Authorization": f"Bearer {token}"})

    return user


def test_user_tokens_share_the_rate_of_their_organization(small: Callable[..., Callable[[], Any]]) -> None:
    """Twelve tokens of one request a second each made twelve a second, whatever the plan said."""
    answers = [small(f"usr_{number}", 1.0)() for number in range(12)]
    assert [answer.status_code for answer in answers] == [200] * 8 + [429] * 4
    told = [(answer.headers["X-RateLimit-Limit"], answer.headers["X-RateLimit-Remaining"]) for answer in answers]
    assert told[:3] == [("2", "1")] * 3, "the token's own is the tighter one"
    assert told[7:] == [("8", "0")] * 5, "the organization's"


def test_what_a_tokens_own_rate_refuses_costs_its_organization_nothing(small: Callable[..., Callable[[], Any]]) -> None:
    slow = small("slow", 0.05)
    assert [slow().status_code for _ in range(20)] == [200] + [429] * 19
    assert small("other", 3.0)().headers["X-RateLimit-Remaining"] == "5"


def test_no_name_of_a_user_can_be_chosen_to_fill_the_buckets_of_the_organization(
    start: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names whose hashes met shared a slot, which each took from the other with full buckets: both passed always."""

    def slot(name: str) -> int:
        return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest()[:4], "little") % (1 << 14)

    client = start(plans={"small": Plan(rate=4)}, default_plan="small")
    state = state_of(client)
    monkeypatch.setattr(state.rate_limits, "_clock", Clock())
    with state.database.write() as session:
        owner = create_organization(session, "Acme", "small").id
    met = next(name for name in map(str, itertools.count()) if slot(f"{owner}/{name}") == slot(owner))
    token = state.user_tokens.issue(owner, met, ["videos.read"], 60, 3.0)
    headers = {"Authorization": f"Bearer {token}"}
    assert [client.get("/v1/videos", headers=headers).status_code for _ in range(8)] == [200] * 6 + [429] * 2
