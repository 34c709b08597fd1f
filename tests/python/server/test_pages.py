"""The pages as Chromium shows them: nothing is loaded from elsewhere, nothing is refused by the page's own policy.

`PIXR_SCREENSHOTS` names a directory for pictures to look at.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from tests.python.clips import make_clip
from tests.python.server.below import below_a_path
from tests.python.server.browser import CHROMIUM, Tab, browsing
from tests.python.server.conftest import fill
from tests.python.server.live import Live
from tests.python.server.receiver import wait_until

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@pytest.fixture
def live(listen: Callable[..., Live]) -> Live:
    return listen()


@pytest.fixture
def tab() -> Iterator[Tab]:
    with browsing() as opened:
        yield opened


def look(tab: Tab, name: str) -> None:
    """Leave a picture, if somebody wants to look."""
    if place := os.environ.get("PIXR_SCREENSHOTS"):
        Path(place).mkdir(parents=True, exist_ok=True)
        Path(place, f"{name}.png").write_bytes(tab.picture())


def check(tab: Tab, live: Live, *, elsewhere: str = "") -> None:
    origins = {"{0.scheme}://{0.netloc}".format(urlsplit(url)) for url in tab.asked if url.startswith("http")}
    assert origins <= {live.url, elsewhere}, "something is loaded from elsewhere"
    assert tab.complaints == []


def post(live: Live, path: str, body: dict[str, Any]) -> Any:
    return httpx.post(f"{live.url}{path}", json=body, headers=live.headers, timeout=60).raise_for_status().json()


def test_the_reference_shows_every_operation(live: Live, tab: Tab) -> None:
    tab.open(f"{live.url}/docs")
    document = httpx.get(f"{live.url}/openapi.json", timeout=60).json()
    count = sum(len(operations) for operations in document["paths"].values())
    tab.wait_for(f"document.querySelectorAll('.opblock').length >= {count}")
    look(tab, "docs")
    tab.value("document.querySelector('#operations-search-search .opblock-summary-control').click()")
    tab.wait_for("document.querySelector('#operations-search-search .opblock-body') !== null")
    look(tab, "docs-operation")
    check(tab, live)


def test_the_reference_tries_calls_under_whatever_name_it_was_opened(live: Live, tab: Tab) -> None:
    """Its policy refused each, since the specification names one address: "Failed to fetch" through a tunnel."""
    url = live.url.replace("127.0.0.1", "localhost")
    tab.open(f"{url}/docs")
    operation = "#operations-health-health"
    tab.wait_for(f"document.querySelector('{operation} .opblock-summary-control') !== null")
    for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
        tab.wait_for(f"document.querySelector('{operation} {button}') !== null")
        tab.value(f"document.querySelector('{operation} {button}').click()")
    answer = f"document.querySelector('{operation} .live-responses-table')?.innerText"
    tab.wait_for(f"{answer} !== undefined", 20)
    look(tab, "docs-tried")
    assert "200" in tab.value(f"document.querySelector('{operation} .live-responses-table tbody').innerText")
    assert tab.value(f"document.querySelector('{operation} .request-url').innerText").strip().endswith(f"{url}/health")
    assert {"{0.scheme}://{0.netloc}".format(urlsplit(one)) for one in tab.asked if one.startswith("http")} == {url}
    assert tab.complaints == []
    assert httpx.get(f"{url}/openapi.json", timeout=60).json()["servers"] == [{"url": live.url}], "for generators"


def test_the_reference_is_dark_where_dark_is_asked_for(live: Live, tab: Tab) -> None:
    tab.darken()
    tab.open(f"{live.url}/docs")
    tab.wait_for("document.querySelector('#operations-health-health') !== null")
    look(tab, "docs-dark")
    background = tab.value("getComputedStyle(document.documentElement).backgroundColor")
    assert max(map(int, re.findall(r"\d+", background)[:3])) < 64
    check(tab, live)


def test_all_pages_work_below_a_path(listen: Callable[..., Live], tab: Tab, tmp_path: Path) -> None:
    """Behind a proxy that serves several by one name, the reference was empty and the player had no video."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "roof.mp4", ["one", "two"], seconds=2.0)
    with below_a_path() as proxy:
        live = listen(public_url=proxy.url)
        proxy.target = live.url
        fill(live.state, live.organization)
        with live.state.libraries.writing(live.organization) as library:
            library.update("roof", source=str(clip), duration=4.0)
        tab.open(f"{proxy.url}/")
        operation = "#operations-health-health"
        for button in (".opblock-summary-control", ".try-out__btn", ".execute"):
            tab.wait_for(f"document.querySelector('{operation} {button}') !== null")
            tab.value(f"document.querySelector('{operation} {button}').click()")
        tab.wait_for(f"document.querySelector('{operation} .live-responses-table') !== null", 20)
        look(tab, "docs-below")
        assert tab.value("location.href.split('#')[0]") == f"{proxy.url}/docs"
        shown = f"document.querySelector('{operation} .request-url').innerText"
        assert tab.value(shown).strip().endswith(f"\n{proxy.url}/health")
        tab.open(f"{proxy.url}/docs/errors")
        for link in ("a[href$=RATE_LIMITED]", "a[href$=errors]"):
            tab.value(f"document.querySelector('{link}').click()")
            tab.wait_for(f"document.readyState === 'complete' && !document.querySelector('{link}')")
        assert tab.value("location.href") == f"{proxy.url}/docs/errors"
        code = httpx.get(f"{proxy.url}/v1/videos/roof/embed?t=2.5", headers=live.headers, timeout=60).json()
        tab.open(code["url"])
        tab.wait_for("document.querySelector('video').readyState >= 2")
        assert [one for one in tab.complaints if not one.endswith("/favicon.ico")] == [], (
            "which lies outside of the path"
        )
        tus = live.headers | {"Tus-Resumable": "1.0.0", "Upload-Length": "5"}
        made = httpx.post(f"{proxy.url}/v1/videos/upload/tus", headers=tus, timeout=60)
        assert httpx.head(made.headers["location"], headers=tus, timeout=60).headers["upload-offset"] == "0"


@pytest.mark.parametrize("path", ["/docs/errors", "/docs/errors/RATE_LIMITED"])
def test_errors_have_pages(live: Live, tab: Tab, path: str) -> None:
    tab.open(live.url + path)
    assert "RATE_LIMITED" in tab.value("document.body.innerText")
    look(tab, path.strip("/").replace("/", "-"))
    tab.resize(320)
    assert tab.value("document.documentElement.scrollWidth") == 320, "as wide as a small telephone"
    look(tab, path.strip("/").replace("/", "-") + "-narrow")
    check(tab, live)


@pytest.mark.parametrize("answer", ["allow", "deny"])
def test_consent_is_given_or_refused_by_hand(live: Live, tab: Tab, answer: str) -> None:
    """A wrong secret is told on the page; the right one sends back with a code, a refusal with an error."""
    callback = f"{live.url}/callback"
    wanted = {"name": "Editor & <b>Co</b>", "redirectUris": [callback], "scopes": ["search", "videos.read"]}
    values = {
        "response_type": "code",
        "client_id": post(live, "/v1/auth/clients", wanted)["clientId"],
        "redirect_uri": callback,
        "scope": "search videos.read",
        "state": "s",
        "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
        "code_challenge_method": "S256",
    }
    tab.open(f"{live.url}/v1/auth/authorize?{urlencode(values)}")
    assert tab.value("document.querySelector('h1').innerText") == "Allow Editor & <b>Co</b>?"
    look(tab, "consent")
    key, secret = live.headers.values()
    fields = "for (const [n, v] of Object.entries({})) document.querySelector(`[name=${{n}}]`).value = v;"
    press = f"document.querySelector('button[value={answer}]').click()"
    if answer == "allow":
        tab.value(fields.format(f"{{key: '{key}', secret: 'wrong'}}") + press)
        tab.wait_for("document.querySelector('[role=alert]') !== null")
        look(tab, "consent-wrong")
        tab.complaints.clear()  # the browser tells of the status 401
    tab.value(fields.format(f"{{key: '{key}', secret: '{secret}'}}") + press)
    tab.wait_for("location.pathname === '/callback'")
    query = parse_qs(tab.value("location.search")[1:])
    assert query["state"] == ["s"]
    assert ("code" in query, query.get("error")) == ((True, None) if answer == "allow" else (False, ["access_denied"]))


def test_an_inspector_shows_what_came_and_whether_it_was_genuine(live: Live, tab: Tab) -> None:
    inspector = post(live, "/v1/webhooks/inspector", {})
    tab.open(inspector["pageUrl"])
    assert "0 received" in tab.value("document.body.innerText")
    endpoint = post(live, "/v1/webhooks/endpoints", {"url": inspector["url"]})
    known = post(live, "/v1/webhooks/inspector", {"secret": endpoint["secret"]})
    changed = {"url": known["url"]}
    path = f"{live.url}/v1/webhooks/endpoints/{endpoint['endpointId']}"
    httpx.patch(path, json=changed, headers=live.headers, timeout=60).raise_for_status()
    post(live, f"/v1/webhooks/endpoints/{endpoint['endpointId']}/test", {"type": "video.processed"})
    httpx.post(known["url"], content='{"type": "<script>alert(1)</script>"}', timeout=60)
    shown = f"{live.url}/v1/webhooks/inspector/{known['inspectorId']}"
    wait_until(lambda: len(httpx.get(shown, headers=live.headers).json()["requests"]) == 2)
    tab.open(known["pageUrl"])
    text = tab.value("document.body.innerText")
    assert "signature valid" in text
    assert "signature invalid" in text
    assert "<script>alert(1)</script>" in text
    tab.value("for (const one of document.querySelectorAll('summary')) one.click()")
    assert "webhook-id" in tab.value("document.body.innerText")
    look(tab, "inspector")
    check(tab, live)


def test_a_player_shows_the_moment_and_seeks_when_its_page_says_so(live: Live, tab: Tab, tmp_path: Path) -> None:
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "roof.mp4", ["one", "two"], seconds=2.0)
    fill(live.state, live.organization)
    with live.state.libraries.writing(live.organization) as library:
        library.update("roof", source=str(clip), duration=4.0)
    code = httpx.get(f"{live.url}/v1/videos/roof/embed?t=2.5", headers=live.headers, timeout=60).json()
    page = httpx.get(code["url"], timeout=60).text
    poster = unescape(re.findall(r'poster="([^"]+)"', page)[0])
    wait_until(lambda: httpx.get(poster, timeout=60).status_code == 200, 120)  # made when it is first asked for
    tab.open(code["url"])
    assert tab.value("document.documentElement.scrollHeight <= innerHeight"), "nothing to scroll"
    tab.wait_for("document.querySelector('video').readyState >= 2")
    tab.wait_for("Math.abs(document.querySelector('video').currentTime - 2.5) < 0.2")
    look(tab, "player")
    tab.value("window.postMessage({seek: 0.5}, '*')")
    tab.wait_for("document.querySelector('video').currentTime < 2")
    assert not tab.value("document.querySelector('.refused').checkVisibility()")
    check(tab, live)


def test_a_player_says_what_it_can_not_play(live: Live, tab: Tab, tmp_path: Path) -> None:
    """An AVI was a player that did nothing, and so was a file that is gone; an old link was JSON amid a page."""
    pytest.importorskip("av")
    clip = make_clip(tmp_path / "roof.avi", ["one", "two"])
    fill(live.state, live.organization)
    with live.state.libraries.writing(live.organization) as library:
        library.update("roof", source=str(clip), duration=4.0)
    url = httpx.get(f"{live.url}/v1/videos/roof/embed", headers=live.headers, timeout=60).json()["url"]
    tab.open(url)
    tab.wait_for('document.body.innerText.includes("This video can\'t be played here.")', 20)
    look(tab, "player-avi")
    check(tab, live)
    clip.unlink()
    for address, reason in ((url, "The video's file is not here."), (f"{live.url}/embed/x", "The token is not valid.")):
        tab.open(address)
        assert tab.value("document.body.innerText") == f"This video can't be shown. {reason}"
        look(tab, "player-refused")
        assert not any("Content Security Policy" in one for one in tab.complaints)
        assert httpx.get(address, timeout=60).headers["content-type"] == "application/problem+json"
