"""Makes one attempt: a signed POST to a checked address. Of the answer only what is worth keeping is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from ipaddress import ip_network

import httpx
from pydantic import IPvAnyNetwork

from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.models import Delivery, DeliveryAttempt
from pixr.server.outbound import check_literal, resolve
from pixr.server.punctual import punctual_client, within
from pixr.server.webhooks.body import event_body, signed_headers
from pixr.server.webhooks.queue import ATTEMPT_SECONDS

__all__ = ["Sender"]

INSPECTOR_PATH = "/v1/webhooks/inspector/"
_KEPT_BYTES = 4096
_KEPT_HEADERS = ("content-type", "retry-after", "location", "server", "date")
_ANYWHERE = (ip_network("0.0.0.0/0"), ip_network("::/0"))


class Sender:
    """Sends deliveries. Safe to use from several threads."""

    def __init__(self, base_url: str, allowed: Sequence[IPvAnyNetwork]) -> None:
        """`allowed` are private networks in which endpoints may be. This server's own inspectors are always allowed."""
        self._own = base_url + INSPECTOR_PATH
        self._allowed = allowed
        self._client = punctual_client(ATTEMPT_SECONDS)

    def check(self, url: str) -> None:
        """Refuse a URL to which nothing would be sent, as far as that is known without looking up its host.

        Raises:
            ApiError: URL_REFUSED.
        """
        check_literal(url, self._networks(url))

    def send(self, delivery: Delivery) -> DeliveryAttempt:
        """Attempt a delivery. Never raises, whatever the other side does."""
        instant, begun = now(), time.monotonic()
        body = event_body(delivery.event)
        headers = signed_headers(delivery.event, body, delivery.endpoint, instant)
        attempt = DeliveryAttempt(at=instant, request_headers=headers, response_headers={}, response_body="")
        try:
            with within(ATTEMPT_SECONDS):
                self._post(delivery.endpoint.url, body, headers, attempt)
        except ApiError as error:
            attempt.error = error.detail
        except httpx.TimeoutException:
            attempt.error = f"no answer within {ATTEMPT_SECONDS:.0f} s"
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            attempt.error = f"{type(error).__name__}: {error}"[:500]
        attempt.milliseconds = (time.monotonic() - begun) * 1e3
        return attempt

    def _post(self, url: str, body: bytes, headers: dict[str, str], attempt: DeliveryAttempt) -> None:
        target = resolve(url, self._networks(url))
        request = self._client.build_request(
            "POST", target.url, content=body, headers=headers | target.headers, extensions=target.extensions
        )
        response = self._client.send(request, stream=True)
        try:
            attempt.status_code = response.status_code
            attempt.response_headers = {
                name: response.headers[name][:500] for name in _KEPT_HEADERS if name in response.headers
            }
            attempt.response_body = _beginning(response).decode("utf-8", "replace").replace("\0", "\ufffd")
        finally:
            response.close()

    def _networks(self, url: str) -> Sequence[IPvAnyNetwork]:
        return _ANYWHERE if url.startswith(self._own) else self._allowed

    def close(self) -> None:
        """Close connections."""
        self._client.close()


def _beginning(response: httpx.Response) -> bytes:
    """The part of a body that is kept. What does not arrive in time is left out."""
    kept = b""
    try:
        for piece in response.iter_raw():
            kept += piece
            if len(kept) >= _KEPT_BYTES:
                break
    except httpx.TimeoutException:
        pass
    return kept[:_KEPT_BYTES]
