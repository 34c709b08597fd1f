"""GraphQL is the REST API by another door: same answers, scopes, limits and codes. Asked with the client `gql`."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from pixr.server.events import record
from pixr.server.models import VideoRecord
from pixr.server.settings import Plan
from pixr.server.state import ServerState
from tests.python.server.conftest import fill
from tests.python.server.live import Live
from tests.python.server.partner import Partner, code_of

strawberry = pytest.importorskip("strawberry", reason="GraphQL needs strawberry-graphql (Python 3.11)")

FIND = """
query Find($input: SearchInput!) {
  search(input: $input) {
    searchId snapshot warnings
    results {
      videoId title duration thumbnailUrl
      creator { id name verified }
      relevance {
        score
        moments { timestamp duration peak score }
        matches { timestamp duration type channel confidence contribution description }
      }
    }
    pagination { nextCursor hasMore total totalRelation }
    facets { name values { value count } }
  }
}
"""


def ask(partner: Partner, query: str, **variables: Any) -> dict[str, Any]:
    """What is answered, which has no errors."""
    answer = partner.post("/graphql", json={"query": query, "variables": variables})
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert "errors" not in body, body
    found: dict[str, Any] = body["data"]
    return found


def refusal(partner: Partner, query: str, **variables: Any) -> tuple[str, str]:
    """Code and message of the first error."""
    body = partner.post("/graphql", json={"query": query, "variables": variables}).json()
    error = body["errors"][0]
    return error["extensions"]["code"], error["message"]


def test_a_search_finds_what_the_rest_route_finds(acme: Partner) -> None:
    asked = {"query": "solar harbour", "minScore": 0.0, "modes": ["audio", "text"], "pagination": {"limit": 1}}
    whole = acme.post("/v1/search", json=asked).json()
    found = ask(acme, FIND, input=asked)["search"]
    assert found["results"] == whole["results"] != []
    assert found["pagination"]["total"] == whole["pagination"]["total"] == 2
    assert found["snapshot"] == whole["snapshot"]
    facets = {one["name"]: {each["value"]: each["count"] for each in one["values"]} for one in found["facets"]}
    assert facets == whole["facets"]
    following = asked | {"pagination": {"limit": 1, "cursor": found["pagination"]["nextCursor"]}}
    assert ask(acme, FIND, input=following)["search"]["results"][0]["videoId"] != whole["results"][0]["videoId"]


def test_questions_are_related_and_wrong_ones_are_refused_with_the_code_of_rest(acme: Partner) -> None:
    related = {"query": "solar panels", "then": "cables", "within": 8, "modes": ["audio"]}
    assert [one["videoId"] for one in ask(acme, FIND, input=related)["search"]["results"]] == ["roof"]
    assert refusal(acme, FIND, input={"query": "a", "filters": {"nonsense": 1}})[0] == "INVALID_FILTER"
    assert refusal(acme, FIND, input={"query": "a", "pagination": {"limit": 1001}})[0] == "INVALID_REQUEST"
    assert refusal(acme, FIND, input={"query": "a", "pagination": {"cursor": "x"}})[0] == "INVALID_CURSOR"
    assert refusal(acme, 'query { video(videoId: "nobody") { title } }')[0] == "VIDEO_NOT_FOUND"


@pytest.mark.parametrize(
    "query",
    [
        "query($id: String!) { video(videoId: $id) { title } }",
        "mutation($id: String!) { deleteWebhookEndpoint(endpointId: $id) }",
        'mutation($id: String!) { clickResult(searchId: $id, videoId: "x") }',
    ],
)
def test_a_variable_that_is_no_text_is_the_requests_fault(acme: Partner, query: str) -> None:
    """Half of a surrogate pair was an internal error, with a traceback in the log."""
    body = json.dumps({"query": query, "variables": {"id": "\ud800"}})
    answer = acme.post("/graphql", content=body, headers={"Content-Type": "application/json"})
    assert answer.json()["errors"][0]["extensions"]["code"] == "INVALID_REQUEST"


def test_every_field_of_a_rest_request_can_be_said(client: TestClient) -> None:
    from pixr.server.graphql import inputs
    from pixr.server.schemas.search import SearchRequest
    from pixr.server.schemas.videos import VideoChanges
    from pixr.server.schemas.webhooks import EndpointChanges, EndpointRequest

    pairs: list[tuple[Any, Any]] = [
        (inputs.SearchInput, SearchRequest),
        (inputs.VideoChangesInput, VideoChanges),
        (inputs.WebhookInput, EndpointRequest),
        (inputs.WebhookChangesInput, EndpointChanges),
    ]
    for made, model in pairs:
        names = {field.name for field in made.__strawberry_definition__.fields}
        assert {name.rstrip("_") for name in names} == {name.rstrip("_") for name in model.model_fields}


def test_videos_are_listed_changed_and_deleted(acme: Partner) -> None:
    page = ask(acme, "{ videos(limit: 1) { videos { videoId status tags } pagination { nextCursor hasMore } } }")[
        "videos"
    ]
    assert page["videos"] == [{"videoId": "boat", "status": "completed", "tags": ["sea"]}]
    cursor = page["pagination"]["nextCursor"]
    rest = ask(acme, "query ($c: String) { videos(cursor: $c) { videos { videoId } } }", c=cursor)["videos"]
    assert [one["videoId"] for one in rest["videos"]] == ["roof"]
    change = (
        "mutation ($v: String!, $c: VideoChangesInput!) { updateVideo(videoId: $v, changes: $c) { title metadata } }"
    )
    changed = ask(acme, change, v="roof", c={"title": "New", "metadata": {"year": 2024}})["updateVideo"]
    assert changed == {"title": "New", "metadata": {"year": 2024}}
    many = "mutation ($u: [VideoUpdateInput!]!) { updateVideos(updates: $u) { videoId status error { code } } }"
    outcomes = ask(acme, many, u=[{"videoId": "boat", "title": "B"}, {"videoId": "nobody", "title": "x"}])[
        "updateVideos"
    ]
    assert outcomes == [
        {"videoId": "boat", "status": "updated", "error": None},
        {"videoId": "nobody", "status": "failed", "error": {"code": "VIDEO_NOT_FOUND"}},
    ]
    details = ask(acme, '{ video(videoId: "roof") { analytics { searchabilityScore parts } chapters { start end } } }')
    assert details["video"]["analytics"]["parts"]["title"] > 0
    assert details["video"]["chapters"]
    assert ask(acme, 'mutation { deleteVideo(videoId: "boat") }')["deleteVideo"] == "boat"
    assert acme.get("/v1/videos/boat").status_code == 404


def test_uploads_clicks_and_webhooks_are_those_of_rest(acme: Partner) -> None:
    begin = 'mutation { beginUpload(input: {filename: "a.mp4", size: 3000000000}) { videoId uploadUrl headers } }'
    upload = ask(acme, begin)["beginUpload"]
    assert acme.client.head(upload["uploadUrl"], headers=upload["headers"]).headers["upload-length"] == "3000000000"
    assert ask(acme, "query ($v: String!) { video(videoId: $v) { status } }", v=upload["videoId"])["video"] == {
        "status": "uploading"
    }
    search = ask(acme, FIND, input={"query": "solar"})["search"]["searchId"]
    click = 'mutation ($s: String!) { clickResult(searchId: $s, videoId: "roof") }'
    assert ask(acme, click, s=search) == {"clickResult": True}
    assert ask(acme, "{ searchAnalytics { searchesWithClicks } }")["searchAnalytics"] == {"searchesWithClicks": 1}
    made = ask(
        acme,
        'mutation { createWebhookEndpoint(input: {url: "https://example.com/h"}) { endpointId secret eventTypes } }',
    )["createWebhookEndpoint"]
    assert made["secret"].startswith("whsec_")
    (listed,) = acme.get("/v1/webhooks/endpoints").json()["endpoints"]
    assert listed["endpointId"] == made["endpointId"]
    assert ask(acme, "{ webhookEndpoints { secret } }")["webhookEndpoints"] == [{"secret": None}]


def test_a_new_endpoint_is_returned_whole_with_its_secret(acme: Partner) -> None:
    """Whoever asked when it was made got an error and no secret, which is shown once, and the endpoint was there."""
    fields = "endpointId url description eventTypes maxConcurrency enabled disabledReason created previousSecretExpires"
    asked = f'mutation {{ createWebhookEndpoint(input: {{url: "https://example.com/h"}}) {{ secret {fields} }} }}'
    made = ask(acme, asked)["createWebhookEndpoint"]
    assert made.pop("secret").startswith("whsec_")
    assert acme.get("/v1/webhooks/endpoints").json()["endpoints"] == [made]


def test_scopes_and_tenancy_hold_field_by_field(join: Callable[..., Partner], acme: Partner) -> None:
    reader = join("Reader", scopes=["videos.read"])
    body = reader.post(
        "/graphql", json={"query": '{ videos { videos { videoId } } search(input: {query: "a"}) { snapshot } }'}
    )
    assert body.json()["errors"][0]["extensions"]["code"] == "INSUFFICIENT_SCOPE"
    assert refusal(reader, 'mutation { deleteVideo(videoId: "roof") }')[0] == "INSUFFICIENT_SCOPE"
    assert refusal(reader, '{ video(videoId: "roof") { title } }')[0] == "VIDEO_NOT_FOUND", "it is another's"
    anonymous = acme.client.post("/graphql", json={"query": "{ __typename }"})
    assert (anonymous.status_code, code_of(anonymous)) == (401, "AUTHENTICATION_REQUIRED")
    wrong = acme.client.post("/graphql", json={"query": "{ __typename }"}, headers=acme.headers | {"X-API-Secret": "x"})
    assert (wrong.status_code, code_of(wrong)) == (401, "INVALID_API_KEY")


def test_aliases_are_calls_and_a_refusal_for_now_is_not_kept(
    start: Callable[..., TestClient], join: Callable[..., Partner]
) -> None:
    made = join(plan="slow")
    client = start(plans={"slow": Plan(rate=2)}, default_plan="slow")
    partner = Partner(client, made.organization, made.key, made.secret)
    many = "{" + "".join(f"a{number}: videos {{ pagination {{ hasMore }} }} " for number in range(30)) + "}"
    body = partner.post("/graphql", json={"query": many}).json()
    codes = {error["extensions"]["code"] for error in body["errors"]}
    assert codes == {"RATE_LIMITED"}
    for _ in range(2):
        time.sleep(1)
        again = partner.post("/graphql", json={"query": many}, headers={"Idempotency-Key": "k"})
        assert (again.status_code, "idempotent-replayed" in again.headers) == (200, False), "it was refused for now"
    assert all(error["extensions"]["retryAfter"] >= 1 for error in body["errors"])


DEEP = "{ videos { videos { " + "creator { " * 20 + "id" + " }" * 20 + " } } }"
PAGES = "{ " + " ".join(f"a{n}: videos(limit: 100) {{ videos {{ creator {{ id }} }} }}" for n in range(120)) + " }"
NESTED = (
    "{ videos(limit: 100) { videos { a: analytics { topQueries { query } } b: analytics { topQueries { query } } } } }"
)
FOUND = FIND[FIND.index("(input: $input)") : FIND.rindex("}")]
TWICE = f"query Find($input: SearchInput!) {{ a: search{FOUND} b: search{FOUND} }}"
LITERAL = TWICE.replace("($input: SearchInput!)", "").replace("$input", '{query: "a", pagination: {limit: 1000}}')


@pytest.mark.parametrize(
    ("query", "variables", "says"),
    [
        (DEEP, {}, "too deep"),
        (PAGES, {}, "too costly"),
        (NESTED.replace("topQueries { query }", "topQueries { query } " * 8), {}, "too costly"),
        (TWICE, {"input": {"query": "a", "pagination": {"limit": 1000}}}, "too costly"),
        (LITERAL, {}, "too costly"),
        (PAGES.replace("{", "query ($n: Int = 100) {", 1).replace("limit: 100", "limit: $n"), {}, "too costly"),
        (PAGES.replace("{", "query ($n: Int) {", 1).replace("limit: 100", "limit: $n"), {"n": 100.0}, "too costly"),
        ("{ a " * 1500 + "}" * 1500, {}, "too deep"),
        ("{ " + "__typename " * 5000 + "}", {}, "tokens"),
    ],
)
def test_what_goes_too_deep_or_costs_too_much_is_refused(
    acme: Partner, query: str, variables: dict[str, Any], says: str
) -> None:
    code, message = refusal(acme, query, **variables)
    assert code == "INVALID_QUERY"
    assert says in message


def test_fragments_hide_nothing_and_cannot_be_made_to_take_long(acme: Partner) -> None:
    """Each of sixty fragments spreads the next one twice: 2^60 fields, if they were counted one by one."""
    chain = " ".join(f"fragment f{n} on Query {{ ...f{n + 1} a{n}: __typename ...f{n + 1} }}" for n in range(60))
    last = "fragment f60 on Query { videos(limit: 100) { ...page } }"
    last += " fragment page on VideoPage { videos { creator { id } } }"
    code, message = refusal(acme, f"query {{ ...f0 }} {chain} {last}")
    assert (code, "too costly" in message) == ("INVALID_QUERY", True)
    turning = "query { ...a } fragment a on Query { ...b } fragment b on Query { ...a }"
    assert acme.post("/graphql", json={"query": turning}).json()["errors"][0]["extensions"]["code"] == "INVALID_QUERY"


def test_introspection_is_for_who_may_ask_and_can_be_switched_off(
    acme: Partner, start: Callable[..., TestClient]
) -> None:
    from graphql import build_client_schema, get_introspection_query, validate_schema

    schema = build_client_schema(ask(acme, get_introspection_query(input_value_deprecation=True)))  # type: ignore[arg-type]
    assert validate_schema(schema) == []
    nested = "{ __schema { types { " + "fields { type { " * 6 + "name" + " } }" * 6 + " } } }"
    assert acme.post("/graphql", json={"query": nested}).json()["data"] is None
    closed = start(graphql_introspection=False)
    other = Partner(closed, acme.organization, acme.key, acme.secret)
    assert refusal(other, "{ __schema { types { name } } }")[0] == "INVALID_QUERY"
    typo = other.post("/graphql", json={"query": "{ video { titel } }"}).text
    assert "Did you mean" not in typo


def test_a_request_that_cannot_be_read_says_so_as_the_specification_wants(acme: Partner) -> None:
    spoken = {"Accept": "application/graphql-response+json"}
    good = acme.post("/graphql", json={"query": "{ __typename }"}, headers=spoken)
    assert (good.status_code, good.headers["content-type"]) == (200, spoken["Accept"])
    assert acme.post("/graphql", json={"query": "{ nonsense }"}, headers=spoken).status_code == 400
    assert acme.post("/graphql", json={"query": "{ nonsense }"}).status_code == 200
    assert code_of(acme.post("/graphql", json={"query": "subscription { events { id } }"})) == "INVALID_QUERY"
    assert (
        code_of(acme.post("/graphql", json={"query": "query A { __typename }", "operationName": "B"}))
        == "INVALID_QUERY"
    )
    assert code_of(acme.post("/graphql", json={"quer": "x"})) == "INVALID_REQUEST"
    assert code_of(acme.post("/graphql", json=[{"query": "{ __typename }"}] * 2)) == "INVALID_REQUEST"


def test_an_idempotency_key_holds_for_mutations(acme: Partner) -> None:
    begin = {"query": 'mutation { beginUpload(input: {filename: "a.mp4", size: 10}) { videoId } }'}
    first, second = (acme.post("/graphql", json=begin, headers={"Idempotency-Key": "once"}) for _ in range(2))
    assert first.json() == second.json()
    assert second.headers["idempotent-replayed"] == "true"


def test_the_gql_client_asks_by_http_and_follows_by_websocket(listen: Callable[..., Live]) -> None:
    gql = pytest.importorskip("gql")
    from gql.transport.aiohttp import AIOHTTPTransport
    from gql.transport.websockets import WebsocketsTransport

    live = listen()
    fill(live.state, live.organization)

    async def scene() -> None:
        http = AIOHTTPTransport(url=f"{live.url}/graphql", headers=live.headers)
        async with gql.Client(transport=http, fetch_schema_from_transport=True) as session:
            request = gql.gql(FIND)
            request.variable_values = {"input": {"query": "solar", "modes": ["audio"]}}
            found = await session.execute(request)
            assert [one["videoId"] for one in found["search"]["results"]] == ["roof"]
        address = live.url.replace("http", "ws") + "/graphql"
        credentials = {"X-API-Key": live.headers["X-API-Key"], "X-API-Secret": live.headers["X-API-Secret"]}
        socket = WebsocketsTransport(url=address, init_payload=credentials, subprotocols=["graphql-transport-ws"])
        async with gql.Client(transport=socket) as session:
            search = gql.gql(
                'subscription { search(input: {query: "solar harbour", minScore: 0}) '
                "{ result { videoId } facets { name } done { searchId pagination { total } } } }"
            )
            pieces = [piece["search"] async for piece in session.subscribe(search)]
            assert [next(name for name, body in piece.items() if body is not None) for piece in pieces] == [
                "result",
                "result",
                "facets",
                "done",
            ]
            assert pieces[-1]["done"]["pagination"]["total"] == 2
            events = gql.gql(
                'subscription { events(types: ["video.deleted"], after: 0)'
                " { sequence id type created timestamp apiVersion data } }"
            )
            threading.Timer(0.2, happen, (live.state, live.organization)).start()
            async for told in session.subscribe(events):
                assert told["events"]["data"] == {"videoId": "gone"}
                listed = httpx.get(f"{live.url}/v1/events", headers=live.headers).json()["events"][-1]
                assert told["events"] == listed["event"] | {"sequence": listed["sequence"]}
                break
            follow = gql.gql('subscription { video(videoId: "vid_new") { status progress } }')
            with live.state.database.write() as database:
                database.add(VideoRecord(id="vid_new", organization_id=live.organization, status="queued"))
            threading.Timer(0.5, finish, (live.state,)).start()
            seen = [told["video"]["status"] async for told in session.subscribe(follow)]
            assert seen == ["queued", "failed"]

    asyncio.run(scene())


def happen(state: ServerState, organization: str) -> None:
    with state.database.write() as session:
        record(session, organization, "video.failed", {"videoId": "x"})
        record(session, organization, "video.deleted", {"videoId": "gone"})


def finish(state: ServerState) -> None:
    with state.database.write() as session:
        video = session.get_one(VideoRecord, "vid_new")
        video.status, video.failure_code, video.failure = "failed", "cancelled", "x"


def open_socket(client: TestClient, payload: dict[str, Any] | None) -> dict[str, Any]:
    """What a connection with this `connection_init` is told first."""
    with client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json({"type": "connection_init", "payload": payload or {}})
        answer: dict[str, Any] = socket.receive_json()
        return answer


@pytest.mark.parametrize("after", ["-1", "1.5", "1e300", "9223372036854775808"])
def test_a_subscription_begins_after_the_number_of_an_event(acme: Partner, after: str) -> None:
    """Past what a database counts to, the answer was an internal error; others were cut to something else."""
    with acme.client.websocket_connect(
        "/graphql", subprotocols=["graphql-transport-ws"], headers=acme.headers
    ) as socket:
        socket.send_json({"type": "connection_init"})
        assert socket.receive_json()["type"] == "connection_ack"
        query = f"subscription {{ events(after: {after}) {{ id }} }}"
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": query}})
        told = socket.receive_json()
        error = told["payload"][0] if told["type"] == "error" else told["payload"]["errors"][0]
        assert error["extensions"]["code"] == "INVALID_REQUEST"


def test_a_socket_needs_credentials_and_scopes_and_each_operation_is_a_call(acme: Partner, client: TestClient) -> None:
    from starlette.websockets import WebSocketDisconnect

    refusals: list[dict[str, Any] | None] = [
        None,
        {"Authorization": "Bearer a.b.c"},
        {"X-API-Key": acme.key, "X-API-Secret": "wrong"},
        # Which ended the connection with a traceback in the log, the second on PostgreSQL.
        {"X-API-Key": "\ud800", "X-API-Secret": "\udfff"},
        {"X-API-Key": "\0", "X-API-Secret": "wrong"},
    ]
    for payload in refusals:
        with pytest.raises(WebSocketDisconnect) as refused:
            open_socket(client, payload)
        assert refused.value.code == 4403
    from tests.python.server.test_oauth import user_token

    token = {"Authorization": f"Bearer {user_token(acme)}"}
    with client.websocket_connect("/graphql", subprotocols=["graphql-transport-ws"]) as socket:
        socket.send_json({"type": "connection_init", "payload": token})
        assert socket.receive_json()["type"] == "connection_ack"
        socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": "subscription { events { id } }"}})
        told = socket.receive_json()
        error = told["payload"][0] if told["type"] == "error" else told["payload"]["errors"][0]
        assert error["extensions"]["code"] == "INSUFFICIENT_SCOPE"
