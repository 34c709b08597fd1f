"""Requests that the server sends end in time, whoever answers them and however slowly."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.testclient import TestClient

from pixr.errors import UnreadableVideo
from pixr.server.database import now
from pixr.server.models import Delivery, Event, WebhookEndpoint
from pixr.server.processing.fetch import fetch
from pixr.server.webhooks.sender import Sender
from pixr.webhooks import new_secret
from tests.python.server.dripping import dripping
from tests.python.server.partner import Partner, code_of

HERE = [ip_network("127.0.0.0/8")]
WAYS = ["headers", "body", "silence", "silent-body"]


class CalledOff(BaseException):
    """What the worker raises is no `Exception` either."""


@pytest.fixture
def slow() -> Iterator[str]:
    with dripping() as url:
        yield url


def fetched(url: str, path: Path, seconds: float, check: Callable[[], None] = lambda: None) -> None:
    fetch(url, path, most_bytes=1 << 30, seconds=seconds, allowed=HERE, on_bytes=lambda *_: None, check=check)


@pytest.mark.parametrize("way", WAYS)
def test_fetching_ends_in_time(slow: str, tmp_path: Path, way: str) -> None:
    begun = time.monotonic()
    with pytest.raises(UnreadableVideo) as late:
        fetched(f"{slow}/{way}", tmp_path / "file", 0.7)
    assert late.value.reason == "fetching it took too long"
    assert time.monotonic() - begun < 3
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("way", WAYS)
def test_fetching_is_called_off_also_while_nothing_comes(slow: str, tmp_path: Path, way: str) -> None:
    begun = time.monotonic()

    def check() -> None:
        if time.monotonic() - begun > 0.5:
            raise CalledOff

    with pytest.raises(CalledOff):
        fetched(f"{slow}/{way}", tmp_path / "file", 60, check)
    assert time.monotonic() - begun < 4
    assert not (tmp_path / "file").exists()


def test_an_encrypted_connection_ends_in_time_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = certified(tmp_path / "pair.pem")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    ours = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr("pixr.server.punctual.httpx.create_ssl_context", lambda **_: ours)
    begun, came = time.monotonic(), list[int]()

    def on_bytes(got: int, total: int | None) -> None:
        came.append(got)

    with dripping(theirs) as url, pytest.raises(UnreadableVideo) as late:
        fetch(f"{url}/body", tmp_path / "file", most_bytes=1 << 30, seconds=1.5, allowed=HERE, on_bytes=on_bytes)
    assert late.value.reason == "fetching it took too long"
    assert came[:2] == [1, 2], "each piece is told when it comes"
    assert time.monotonic() - begun < 4


def certified(path: Path) -> Path:
    """A key and its certificate for this machine's own address, in one file."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


def test_a_search_by_a_link_gives_up_in_time(
    start: Callable[..., TestClient], join: Callable[..., Partner], slow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pixr.server.searching._LINK_SECONDS", 0.7)
    made = join()
    partner = Partner(start(allowed_networks=["127.0.0.0/8"]), made.organization, made.key, made.secret)
    for way in ("headers", "body"):
        begun = time.monotonic()
        answer = partner.post("/v1/search", json={"image": {"url": f"{slow}/{way}"}})
        assert (answer.status_code, code_of(answer)) == (422, "UNREADABLE_VIDEO")
        assert "took too long" in answer.json()["detail"]
        assert time.monotonic() - begun < 4


@pytest.mark.parametrize("way", WAYS)
def test_an_attempt_of_a_webhook_ends_in_time(slow: str, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr("pixr.server.webhooks.sender.ATTEMPT_SECONDS", 1.0)
    endpoint = WebhookEndpoint(id="we_1", url=f"{slow}/{way}", secret=new_secret())
    event = Event(id="evt_1", type="video.deleted", created=now(), data={}, organization_id="o")
    sender = Sender("http://nowhere.example", HERE)
    begun = time.monotonic()
    attempt = sender.send(Delivery(id="d_1", event=event, endpoint=endpoint))
    sender.close()
    assert time.monotonic() - begun < 4
    if "body" in way:
        assert (attempt.status_code, attempt.error) == (200, None), "it was answered"
    else:
        assert (attempt.status_code, attempt.error) == (None, "no answer within 1 s")
