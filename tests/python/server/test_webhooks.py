"""Webhooks from cause to receiver, over real sockets; verified by the reference library."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select
from standardwebhooks import Webhook
from starlette.testclient import TestClient

from pixr.server.database import now
from pixr.server.events import record
from pixr.server.maintenance import Maintenance
from pixr.server.models import Delivery, DeliveryAttempt, Event, WebhookEndpoint
from pixr.server.state import ServerState
from pixr.server.webhooks.appearances import record_appearances
from pixr.server.webhooks.body import EXAMPLES
from pixr.server.webhooks.queue import LEASE, ORDERED_ATTEMPTS, SCHEDULE_SECONDS, claim, purge, settle
from pixr.webhooks import sign_body
from tests.python.server.conftest import state_of
from tests.python.server.partner import Partner, code_of
from tests.python.server.receiver import Receiver, receiving, wait_until


@pytest.fixture
def client(start: Callable[..., TestClient]) -> TestClient:
    return start(allowed_networks=["127.0.0.0/8"])


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


def subscribe(partner: Partner, url: str, **more: Any) -> dict[str, Any]:
    made = partner.post("/v1/webhooks/endpoints", json={"url": url, **more})
    assert made.status_code == 201, made.text
    endpoint: dict[str, Any] = made.json()
    return endpoint


def tell(server: ServerState, organization: str, count: int = 1, subject: str | None = "vid_1") -> None:
    """Record events as a cause does."""
    with server.database.write() as session:
        for at in range(count):
            record(session, organization, "video.processing", {"videoId": subject, "at": at}, subject=subject)
    server.courier.wake()


def _attempted(server: ServerState, attempts: int) -> bool:
    return deliveries(server)[0].attempts == attempts


def deliveries(server: ServerState) -> list[Delivery]:
    with server.database.read() as session:
        return list(session.scalars(select(Delivery).order_by(Delivery.sequence)))


def test_what_happens_reaches_the_endpoint_and_the_reference_library_accepts_it(
    acme: Partner, receiver: Receiver
) -> None:
    endpoint = subscribe(acme, receiver.url)
    assert acme.delete("/v1/videos/boat").status_code == 204
    (came,) = receiver.wait_for(1)
    event = Webhook(endpoint["secret"]).verify(came.body, came.headers)
    assert (event["type"], event["data"], event["apiVersion"]) == ("video.deleted", {"videoId": "boat"}, "v1")
    assert event["id"] == came.headers["webhook-id"]
    assert came.headers["x-pixr-signature"] == sign_body(came.body, secret=endpoint["secret"])


def test_an_endpoint_gets_only_the_events_that_it_asked_for(
    acme: Partner, receiver: Receiver, server: ServerState
) -> None:
    subscribe(acme, receiver.url + "/failed", eventTypes=["video.failed"])
    subscribe(acme, receiver.url + "/all")
    tell(server, acme.organization)
    receiver.wait_for(1)
    wait_until(lambda: all(one.status == "delivered" for one in deliveries(server)))
    assert [one.path for one in receiver.requests] == ["/hooks/all"]


def test_a_failed_attempt_is_repeated_under_the_same_id_with_the_same_body(
    acme: Partner, receiver: Receiver, server: ServerState
) -> None:
    receiver.answers = [(500, {}), (200, {})]
    subscribe(acme, receiver.url)
    tell(server, acme.organization)
    receiver.wait_for(1)
    wait_until(lambda: deliveries(server)[0].attempts == 1)
    (waiting,) = deliveries(server)
    assert waiting.status == "pending"
    assert timedelta(seconds=3) < waiting.next_attempt - now() < timedelta(seconds=7)
    with server.database.write() as session:
        session.get_one(Delivery, waiting.id).next_attempt = now()
    first, second = receiver.wait_for(2)
    assert (first.body, first.headers["webhook-id"]) == (second.body, second.headers["webhook-id"])
    wait_until(lambda: deliveries(server)[0].status == "delivered")
    history = acme.get(f"/v1/webhooks/deliveries/{waiting.id}").json()["history"]
    assert [attempt["statusCode"] for attempt in history] == [500, 200]
    assert history[0]["responseBody"] == "ok"


def test_the_waits_are_those_that_are_promised_and_then_the_endpoint_is_disabled(
    acme: Partner, server: ServerState
) -> None:
    """Against a port where nobody listens; each wait is skipped once it has been read."""
    endpoint = subscribe(acme, "http://127.0.0.1:9/")
    tell(server, acme.organization)
    for attempts, usual in enumerate(SCHEDULE_SECONDS[1:], 1):
        wait_until(partial(_attempted, server, attempts))
        (delivery,) = deliveries(server)
        wait = (delivery.next_attempt - now()).total_seconds()
        assert 0.79 * usual - 5 < wait < 1.21 * usual, attempts
        with server.database.write() as session:
            session.get_one(Delivery, delivery.id).next_attempt = now()
    wait_until(lambda: deliveries(server)[0].status == "failed")
    shown = acme.get(f"/v1/webhooks/endpoints/{endpoint['endpointId']}").json()
    assert (shown["enabled"], shown["disabledReason"]) == (False, "no attempt of a delivery succeeded")
    history = acme.get(f"/v1/webhooks/deliveries/{deliveries(server)[0].id}").json()["history"]
    assert len(history) == len(SCHEDULE_SECONDS) == 10
    assert "ConnectError" in history[0]["error"]


def test_an_owner_learns_of_a_disabled_endpoint_through_another(
    acme: Partner, receiver: Receiver, server: ServerState
) -> None:
    subscribe(acme, receiver.url + "/gone", eventTypes=["video.processing"])
    subscribe(acme, receiver.url + "/other", eventTypes=["webhook.disabled"])
    receiver.answers = [(410, {})]
    tell(server, acme.organization)
    gone, told = receiver.wait_for(2)
    assert (gone.path, told.path) == ("/hooks/gone", "/hooks/other")
    assert json.loads(told.body)["data"]["reason"] == "it answered 410 Gone"
    tell(server, acme.organization)
    assert len(receiver.requests) == 2


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(acme: Partner, receiver: Receiver, server: ServerState, status: int) -> None:
    receiver.answers = [(status, {"Retry-After": "600"})]
    subscribe(acme, receiver.url)
    tell(server, acme.organization)
    wait_until(lambda: deliveries(server)[0].attempts == 1)
    assert timedelta(seconds=590) < deliveries(server)[0].next_attempt - now() < timedelta(seconds=601)


def test_a_redirect_is_a_failure_and_is_not_followed(acme: Partner, receiver: Receiver, server: ServerState) -> None:
    receiver.answers = [(302, {"Location": receiver.url + "/elsewhere"})]
    subscribe(acme, receiver.url)
    tell(server, acme.organization)
    wait_until(lambda: deliveries(server)[0].attempts == 1)
    assert [one.path for one in receiver.requests] == ["/hooks"]
    assert deliveries(server)[0].status == "pending"


def test_private_addresses_are_refused_unless_allowed(start: Callable[..., TestClient], receiver: Receiver) -> None:
    """A name that came to lead here, or an endpoint made before its network was refused."""
    partner = partner_of(start(), "Strict")
    endpoint = subscribe(partner, "https://example.com/hooks")
    strict = state_of(partner.client)
    with strict.database.write() as session:
        session.get_one(WebhookEndpoint, endpoint["endpointId"]).url = receiver.url
    tell(strict, partner.organization)
    wait_until(lambda: deliveries(strict)[0].attempts == 1)
    assert receiver.requests == []
    history = partner.get(f"/v1/webhooks/deliveries/{deliveries(strict)[0].id}").json()["history"]
    assert "not public" in history[0]["error"]


def test_a_host_whose_name_is_not_ascii_is_looked_up_and_named_in_ascii(
    acme: Partner, receiver: Receiver, server: ServerState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name went into the header `Host` as it was.

    That ended the attempt before it was one: none was ever told, and the next came each minute for ever.
    """
    look_up, names = socket.getaddrinfo, {"xn--bcher-kva.example": "127.0.0.1"}
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *more, **so: look_up(names.get(host, host), *more, **so))
    subscribe(acme, receiver.url.replace("127.0.0.1", "b\u00fccher.example"))
    tell(server, acme.organization)
    (came,) = receiver.wait_for(1)
    assert came.headers["host"].startswith("xn--bcher-kva.example:")
    wait_until(lambda: deliveries(server)[0].status == "delivered")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:8080",
        "127.1",
        "0x7f000001",
        "10.0.0.7",
        "169.254.169.254",
        "[::1]",
        "[fe80::1]",
        "[::ffff:192.168.1.1]",
        "0.0.0.0",
        "localhost",
        "LOCALHOST.:9000",
    ],
)
def test_an_endpoint_at_a_private_address_is_refused_when_it_is_made_or_changed(
    start: Callable[..., TestClient], host: str
) -> None:
    partner = partner_of(start(), "Strict")
    kept = subscribe(partner, "https://example.com/hooks")
    path = f"/v1/webhooks/endpoints/{kept['endpointId']}"
    for refused in (
        partner.post("/v1/webhooks/endpoints", json={"url": f"http://{host}/hooks"}),
        partner.patch(path, json={"url": f"http://{host}/hooks"}),
    ):
        assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")
        (wrong,) = refused.json()["errors"]
        assert (wrong["pointer"], wrong["code"]) == ("/url", "url")
        assert "not public" in wrong["detail"]
    assert partner.get(path).json()["url"] == "https://example.com/hooks"


@pytest.mark.parametrize("odd", [" ", "\t", "\n", "\r\n", "\x00", "\x7f", "\xa0", "\u2028"])
def test_an_endpoints_url_has_no_spaces_and_control_characters(acme: Partner, odd: str) -> None:
    path = f"/v1/webhooks/endpoints/{subscribe(acme, 'https://example.com/hooks')['endpointId']}"
    for url in (f"https://example.com/{odd}hooks", f"https://example.com/hooks{odd}", f"https://exam{odd}ple.com/"):
        for refused in (acme.post("/v1/webhooks/endpoints", json={"url": url}), acme.patch(path, json={"url": url})):
            assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")
            assert refused.json()["errors"][0]["pointer"] == "/url"


def test_names_allowed_networks_and_own_inspectors_are_taken(acme: Partner) -> None:
    inspector = acme.post("/v1/webhooks/inspector", json={}).json()["url"]
    for url in ("http://127.0.0.1:9/", "http://localhost:9/", "https://hooks.invalid/", inspector):
        subscribe(acme, url)
    refused = acme.post("/v1/webhooks/endpoints", json={"url": "http://10.0.0.7/"})
    assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")


def partner_of(client: TestClient, name: str) -> Partner:
    from pixr.server.keys import create_key
    from pixr.server.organizations import create_organization

    with state_of(client).database.write() as session:
        organization = create_organization(session, name, "enterprise")
        key, secret = create_key(session, organization.id, name="test")
    return Partner(client, organization.id, key.id, secret)


def test_both_secrets_sign_while_one_is_rotated(acme: Partner, receiver: Receiver, server: ServerState) -> None:
    old = subscribe(acme, receiver.url)
    path = f"/v1/webhooks/endpoints/{old['endpointId']}"
    new = acme.post(f"{path}/rotate", json={"overlapSeconds": 60}).json()
    assert new["secret"] != old["secret"]
    assert "secret" not in acme.get(path).json()
    tell(server, acme.organization)
    (came,) = receiver.wait_for(1)
    for secret in (old["secret"], new["secret"]):
        Webhook(secret).verify(came.body, came.headers)
    with server.database.write() as session:
        session.get_one(WebhookEndpoint, old["endpointId"]).previous_expires = now()
    tell(server, acme.organization)
    second = receiver.wait_for(2)[1]
    Webhook(new["secret"]).verify(second.body, second.headers)
    assert " " not in second.headers["webhook-signature"]


def test_a_second_rotation_within_the_overlap_is_refused(acme: Partner) -> None:
    path = f"/v1/webhooks/endpoints/{subscribe(acme, 'https://example.com/hooks')['endpointId']}/rotate"
    assert acme.post(path, json={"overlapSeconds": 60}).status_code == 200
    refused = acme.post(path, json={"overlapSeconds": 60})
    assert (refused.status_code, code_of(refused)) == (409, "CONFLICT")
    assert acme.post(path, json={"overlapSeconds": 0}).status_code == 200


def test_events_of_one_video_arrive_in_order_and_others_side_by_side(
    acme: Partner, receiver: Receiver, server: ServerState
) -> None:
    receiver.delay = 0.05
    subscribe(acme, receiver.url, maxConcurrency=3)
    for video in ("vid_1", "vid_2", "vid_3", "vid_4"):
        tell(server, acme.organization, 4, video)
    came = [json.loads(one.body)["data"] for one in receiver.wait_for(16)]
    for video in ("vid_1", "vid_2", "vid_3", "vid_4"):
        assert [data["at"] for data in came if data["videoId"] == video] == [0, 1, 2, 3]
    assert 1 < receiver.most_at_once <= 3


def test_a_later_event_overtakes_one_that_keeps_failing(acme: Partner, server: ServerState) -> None:
    server.courier.close()
    subscribe(acme, "http://127.0.0.1:9/")
    tell(server, acme.organization, 2)
    for attempt in range(ORDERED_ATTEMPTS):
        with server.database.write() as session:
            claimed = [one.event.data["at"] for one in claim(session, 10)]
            assert claimed == [0], attempt
            (first,) = session.scalars(
                select(Delivery).where(Delivery.attempts == attempt).order_by(Delivery.sequence).limit(1)
            )
            failed = DeliveryAttempt(
                at=now(), milliseconds=1.0, request_headers={}, response_headers={}, error="refused"
            )
            settle(session, first.id, failed)
            first.next_attempt = now()
    with server.database.write() as session:
        assert {one.event.data["at"] for one in claim(session, 10)} == {0, 1}


def test_a_claim_is_nobody_elses_until_its_lease_ends(acme: Partner, server: ServerState) -> None:
    server.courier.close()
    subscribe(acme, "http://127.0.0.1:9/")
    tell(server, acme.organization)
    with server.database.write() as session:
        (mine,) = claim(session, 5)
    with server.database.write() as session:
        assert claim(session, 5) == []
        session.get_one(Delivery, mine.id).lease_expires = now() - LEASE
    with server.database.write() as session:
        assert [one.id for one in claim(session, 5)] == [mine.id]


@pytest.mark.parametrize("state", ["new", "claimed", "failed", "busy"])
def test_a_clock_that_is_set_back_keeps_no_delivery_waiting(acme: Partner, server: ServerState, state: str) -> None:
    """Each waited for as long as the clock was set back, and so did all later ones of its subject."""
    server.courier.close()
    subscribe(acme, "http://127.0.0.1:9/")
    tell(server, acme.organization)
    (mine,) = deliveries(server)
    if state != "new":
        with server.database.write() as session:
            assert [one.id for one in claim(session, 5)] == [mine.id]
    if state in ("failed", "busy"):
        with server.database.write() as session:
            told, status = ({"retry-after": "86400"}, 503) if state == "busy" else ({}, 500)
            attempt = DeliveryAttempt(
                at=now(), milliseconds=1.0, request_headers={}, response_headers=told, status_code=status
            )
            assert settle(session, mine.id, attempt) == "retried"

    def claimed_after(back: timedelta) -> list[str]:
        with server.database.write() as session:
            delivery = session.get_one(Delivery, mine.id)
            delivery.next_attempt += back
            if delivery.lease_expires is not None:
                delivery.lease_expires += back
        Maintenance(server).sweep()
        with server.database.write() as session:
            return [one.id for one in claim(session, 5)]

    assert claimed_after(timedelta(seconds=20)) == [], "clocks may differ a little"
    assert claimed_after(timedelta(days=1)) == [mine.id]


def test_processes_that_claim_together_keep_to_the_concurrency_of_an_endpoint(
    acme: Partner, server: ServerState
) -> None:
    """On PostgreSQL each process claimed as many as the endpoint takes in all."""
    server.courier.close()
    subscribe(acme, "https://example.com/h", maxConcurrency=1)
    for number in range(12):
        tell(server, acme.organization, subject=f"vid_{number}")

    def claim_too() -> int:
        with server.database.write() as session:
            return len(claim(session, 2))

    with ThreadPoolExecutor(1) as pool:
        with server.database.write() as session:
            mine = len(claim(session, 2))
            others = pool.submit(claim_too)
            time.sleep(0.5)
        assert (mine, others.result()) == (1, 0)


def test_whoever_has_nothing_at_work_goes_before_anothers_backlog(
    acme: Partner, client: TestClient, server: ServerState
) -> None:
    """Receivers that were slow, and in time, took all senders for as long as their organization had events waiting."""
    stranger = partner_of(client, "Stranger")
    server.courier.close()
    for partner in (acme, stranger):
        subscribe(partner, "https://example.com/h", maxConcurrency=64)
    for number in range(40):
        tell(server, acme.organization, subject=f"vid_{number}")
    with server.database.write() as session:
        assert len(claim(session, 16)) == 16
    for number in range(2):
        tell(server, stranger.organization, subject=f"vid_{number}")
    with server.database.write() as session:
        assert [one.organization_id for one in claim(session, 1)] == [stranger.organization]
    with server.database.write() as session:
        after = [one.organization_id for one in claim(session, 30)]
    assert (after.count(acme.organization), after.count(stranger.organization)) == (24, 1), "in turn, and none is lost"


def test_what_was_recorded_is_delivered_by_the_next_process(
    start: Callable[..., TestClient], receiver: Receiver
) -> None:
    """The first server is left without closing anything, as a killed one is."""
    first = start(allowed_networks=["127.0.0.0/8"])
    partner = partner_of(first, "Acme")
    subscribe(partner, receiver.url)
    state_of(first).courier.close()
    tell(state_of(first), partner.organization, 3)
    start(allowed_networks=["127.0.0.0/8"])
    came = receiver.wait_for(3)
    assert [json.loads(one.body)["data"]["at"] for one in came] == [0, 1, 2]


def test_an_event_and_its_cause_are_recorded_together_or_not_at_all(acme: Partner, server: ServerState) -> None:
    subscribe(acme, "http://127.0.0.1:9/")

    def change() -> None:
        with server.database.write() as session:
            record(session, acme.organization, "video.deleted", {"videoId": "x"})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        change()
    assert deliveries(server) == []
    with server.database.read() as session:
        assert session.scalars(select(Event)).all() == []


def test_events_can_be_tried_listed_and_replayed(acme: Partner, receiver: Receiver, server: ServerState) -> None:
    endpoint = subscribe(acme, receiver.url)
    path = f"/v1/webhooks/endpoints/{endpoint['endpointId']}"
    sent = acme.post(f"{path}/test", json={"type": "video.failed"})
    assert (sent.status_code, sent.json()["replay"]) == (202, False)
    (came,) = receiver.wait_for(1)
    assert json.loads(came.body)["data"]["test"] is True
    for _ in range(4):
        tell(server, acme.organization)
    receiver.wait_for(5)
    wait_until(lambda: all(one.status == "delivered" for one in deliveries(server)))
    found, cursor = [], None
    while True:
        page = acme.get("/v1/webhooks/deliveries", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        found += [one["deliveryId"] for one in page["deliveries"]]
        cursor = page["pagination"]["nextCursor"]
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 5
    only = acme.get("/v1/webhooks/deliveries", params={"eventType": "video.failed"}).json()["deliveries"]
    assert [one["deliveryId"] for one in only] == [sent.json()["deliveryId"]]
    again = acme.post(f"/v1/webhooks/deliveries/{found[-1]}/replay")
    assert (again.status_code, again.json()["replay"]) == (202, True)
    replayed = receiver.wait_for(6)[5]
    assert replayed.headers["webhook-id"] == came.headers["webhook-id"]
    assert acme.delete(path).status_code == 204
    assert code_of(acme.get(path)) == "WEBHOOK_NOT_FOUND"


def test_a_test_and_its_replay_are_tried_once_and_disable_nothing(
    acme: Partner, receiver: Receiver, server: ServerState
) -> None:
    receiver.answers = [(500, {}), (500, {})]
    path = f"/v1/webhooks/endpoints/{subscribe(acme, receiver.url)['endpointId']}"
    sent = acme.post(f"{path}/test", json={}).json()
    wait_until(lambda: deliveries(server)[0].status == "failed")
    acme.post(f"/v1/webhooks/deliveries/{sent['deliveryId']}/replay")
    wait_until(lambda: deliveries(server)[1].status == "failed")
    assert [(one.replay, one.attempts) for one in deliveries(server)] == [(False, 1), (True, 1)]
    assert acme.get(path).json()["enabled"] is True


def test_deliveries_are_kept_thirty_days(acme: Partner, receiver: Receiver, server: ServerState) -> None:
    subscribe(acme, receiver.url)
    tell(server, acme.organization, 2)
    receiver.wait_for(2)
    wait_until(lambda: all(one.status == "delivered" for one in deliveries(server)))
    with server.database.write() as session:
        for one in session.scalars(select(Delivery).limit(1)):
            one.created = one.event.created = now() - timedelta(days=31)
    with server.database.write() as session:
        assert purge(session) == 1
        assert len(session.scalars(select(Event)).all()) == 1
        assert len(session.scalars(select(DeliveryAttempt)).all()) == 1


@pytest.mark.parametrize(
    "url", ["ftp://example.com/x", "https://", "https://user:pw@example.com/", "not a url at all", "https://a.com/#x"]
)
def test_what_is_no_address_is_refused(acme: Partner, url: str) -> None:
    refused = acme.post("/v1/webhooks/endpoints", json={"url": url})
    assert (refused.status_code, code_of(refused)) == (422, "INVALID_REQUEST")


def test_many_searches_make_one_event_and_each_appearance_is_reported_once(
    acme: Partner, receiver: Receiver, server: ServerState
) -> None:
    subscribe(acme, receiver.url, eventTypes=["video.search_appearance"])
    for _ in range(30):
        assert acme.post("/v1/search", json={"query": "solar panels", "minScore": 0.0}).status_code == 200
    server.search_log.flush()
    with server.database.write() as session:
        assert record_appearances(session, now()) == 1
        assert record_appearances(session, now()) == 0
    server.courier.wake()
    (came,) = receiver.wait_for(1)
    (roof,) = [one for one in json.loads(came.body)["data"]["videos"] if one["videoId"] == "roof"]
    assert roof == {"videoId": "roof", "appearances": 30, "bestRank": 1, "clicks": 0}
    acme.post("/v1/search", json={"query": "solar panels"})
    server.search_log.flush()
    with server.database.write() as session:
        record_appearances(session, now())
    server.courier.wake()
    second = receiver.wait_for(2)[1]
    assert [one["appearances"] for one in json.loads(second.body)["data"]["videos"]] == [1]


def test_every_type_of_event_has_an_example_in_the_specification(client: TestClient) -> None:
    from pixr.server.events import EVENT_TYPES

    assert set(client.get("/openapi.json").json()["webhooks"]) == set(EVENT_TYPES) == set(EXAMPLES)


def test_an_inspector_receives_shows_verifies_and_replays(
    acme: Partner, receiver: Receiver, server: ServerState
) -> None:
    other = subscribe(acme, receiver.url, eventTypes=["video.failed"])
    secret = subscribe(acme, receiver.url, eventTypes=["creator.payout"])["secret"]
    made = acme.post("/v1/webhooks/inspector", json={"secret": secret, "respondWith": 202}).json()
    receive = made["url"].removeprefix(server.settings.base_url)
    event = Webhook(secret)
    with server.database.write() as session:
        known = record(session, acme.organization, "video.processing", {"videoId": "<script>x</script>"})
        event_id = known.id
    body = json.dumps({"type": "<b>", "id": event_id})
    headers = {
        "webhook-id": event_id,
        "webhook-timestamp": str(int(now().timestamp())),
        "webhook-signature": event.sign(event_id, now(), body),
        "x-api-secret": "sk_live_mine",
    }
    assert acme.client.post(receive, content=body, headers=headers).status_code == 202
    assert acme.client.post(receive, content="<script>alert(1)</script>").status_code == 202
    path = f"/v1/webhooks/inspector/{made['inspectorId']}"
    shown = acme.get(path).json()["requests"]
    assert sorted(str(one["signature"]["valid"]) for one in shown) == ["False", "True"]
    assert "sk_live_mine" not in json.dumps(shown)
    page = acme.client.get(made["pageUrl"].removeprefix(server.settings.base_url))
    assert page.status_code == 200
    assert "<script" not in page.text
    assert "signature valid" in page.text
    assert "signature invalid" in page.text
    assert code_of(acme.client.get(f"{path}/page", params={"token": "forged"})) == "INVALID_TOKEN"
    genuine = next(one for one in shown if one["signature"]["valid"])
    again = acme.post(f"{path}/requests/{genuine['requestId']}/replay", json={"endpointId": other["endpointId"]})
    assert again.status_code == 202
    (came,) = receiver.wait_for(1)
    assert came.headers["webhook-id"] == event_id
    Webhook(other["secret"]).verify(came.body, came.headers)
    assert acme.delete(path).status_code == 204
    assert code_of(acme.client.post(receive, content="x")) == "INSPECTOR_NOT_FOUND"
