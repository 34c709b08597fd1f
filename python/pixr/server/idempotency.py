"""`Idempotency-Key` on POST and PATCH: a request is carried out once, and repeats of it get the same answer.

A request claims its key (organization, method, path and key) before it is carried out, and holds it for as long as that
takes. Meanwhile the same request is refused with 409, and another body under the same key with 422. Then the answer is
kept for a day. If the process dies in between, the next request finds that the hold has run out and is carried out with
the same seed. So it makes the same ids as the first (`ids.repeatable`), and finds what that one had finished instead of
doing it twice. Answers that say "not now" are not kept: 429, 5xx and the like, or, where the status can't say so, those
with `not_now` in the request's state.

A caller who lacks the scope of a route is refused by the route, and never gets an answer that was kept for another
caller. Where the needed scopes depend on the body (GraphQL), a request with other scopes is another request.

Answers may hold secrets, so they are encrypted with a key that is derived from the idempotency key, of which the
database has only a hash. The bodies of uploads are not looked at, since they may have gigabytes, whatever their headers
say: a piece is identified by its offset, and a new upload by its headers.
"""

from __future__ import annotations

import asyncio
import base64
import email.message
import hashlib
import logging
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from anyio import to_thread
from cryptography.fernet import Fernet
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.context import send_problem
from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.ids import repeatable
from pixr.server.models import IdempotentRequest, Organization
from pixr.server.openapi import find_route, scope_of
from pixr.server.principal import Principal
from pixr.server.tus import PATH as UPLOADS

if TYPE_CHECKING:
    from pixr.server.state import ServerState

__all__ = ["NOT_KEPT", "Idempotency", "sweep"]

log = logging.getLogger("pixr.server")
# How long an answer is kept.
KEPT = timedelta(hours=24)
# How long a hold lasts without being renewed. Then the same request may claim the key. Clocks may differ as much.
HELD = timedelta(seconds=60)
_LONGEST_KEY = 255
_KEPT_HEADERS = (
    "content-type",
    "location",
    "cache-control",
    "x-video-id",
    "upload-offset",
    "upload-expires",
)
_TRIES = 5
# These tell one upload from another, since the body is not looked at.
_DESCRIBING_HEADERS = ("upload-length", "upload-metadata")
# Statuses that say "not now" or "not you": the same request may be answered differently later.
NOT_KEPT = (401, 402, 403, 408, 409, 423, 425, 429)


@dataclass(frozen=True)
class _Claim:
    """A claimed key: its row in the database, and the cipher for the answer."""

    held: IdempotentRequest
    cipher: Fernet


class Idempotency:
    """The layer inside `Authentication` and `Limiting`."""

    def __init__(self, app: ASGIApp, server: ServerState) -> None:
        self._app = app
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http" or scope["method"] not in ("POST", "PATCH"):
            await self._app(scope, receive, send)
            return
        headers, who = Headers(scope=scope), scope["state"]["principal"]
        key, is_upload = headers.get("idempotency-key"), scope["path"].startswith(UPLOADS)
        if key is None or not isinstance(who, Principal) or (is_upload and scope["method"] == "PATCH"):
            await self._app(scope, receive, send)
            return
        route = find_route(scope)
        needed = None if route is None else scope_of(route)
        if needed is not None and needed not in who.scopes:
            await self._app(scope, receive, send)
            return
        if not 0 < len(key) <= _LONGEST_KEY or not key.isprintable():
            await send_problem(scope, receive, send, ApiError("INVALID_REQUEST", "The idempotency key is not usable."))
            return
        body = b"" if is_upload else await _whole_body(receive)
        if body is None:
            return
        described = "\n".join(headers.get(name, "") for name in _DESCRIBING_HEADERS)
        content = _content(headers.get("content-type", ""), body)
        fingerprint = hashlib.sha256(b"\n".join((scope["query_string"], described.encode(), content))).digest()
        scopes = () if needed is not None else sorted(who.scopes)
        named = "\n".join((who.organization, scope["method"], scope["path"], key, *scopes)).encode()
        id, cipher = hashlib.sha256(named).hexdigest(), Fernet(_cipher_key(named))
        try:
            held = await to_thread.run_sync(self._take, id, who.organization, fingerprint)
        except ApiError as refusal:
            await send_problem(scope, receive, send, refusal)
            return
        if held.status is not None:
            kept = cipher.decrypt(held.body or b"")
            again = Response(kept, held.status, {**(held.headers or {}), "Idempotent-Replayed": "true"})
            await again(scope, receive, send)
            return
        await self._carry_out(scope, receive if is_upload else _replay(body, receive), send, _Claim(held, cipher))

    async def _carry_out(self, scope: Scope, receive: Receive, send: Send, claim: _Claim) -> None:
        """Serve a request, and keep the answer before it is sent, so that whoever got it can get it again."""
        start: Message = {}
        parts: list[bytes] = []

        async def answer(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            parts.append(message.get("body", b""))
            if message.get("more_body", False):
                return
            status = 503 if scope["state"].get("not_now") else start["status"]
            await to_thread.run_sync(self._keep, claim, status, _headers(start), b"".join(parts))
            await send(start)
            await send({"type": "http.response.body", "body": b"".join(parts)})

        done = False
        holding = asyncio.ensure_future(self._go_on_holding(claim.held.id))
        try:
            with repeatable(claim.held.seed):
                await self._app(scope, receive, answer)
            done = True
        finally:
            holding.cancel()
            if not done:
                await to_thread.run_sync(self._let_go, claim.held.id)

    async def _go_on_holding(self, id: str) -> None:
        """Renew a hold until this is cancelled. The hold of a process that dies runs out."""
        while True:
            await asyncio.sleep(HELD.total_seconds() / 4)
            try:
                await to_thread.run_sync(self._renew, id)
            except SQLAlchemyError:  # the next renewal may succeed before the hold runs out
                log.warning("a hold could not be renewed", exc_info=True)

    def _renew(self, id: str) -> None:
        with self._server.database.write() as session:
            known = session.get(IdempotentRequest, id, with_for_update=True)
            if known is not None and known.status is None and known.held_until > now():  # else it was let go
                known.held_until = now() + HELD

    def _take(self, id: str, organization: str, fingerprint: bytes) -> IdempotentRequest:
        for _ in range(_TRIES):  # again if another request's hold was deleted or ran out between the two
            if held := self._begin(id, organization, fingerprint) or self._resume(id, fingerprint):
                return held
        raise _in_flight()

    def _begin(self, id: str, organization: str, fingerprint: bytes) -> IdempotentRequest | None:
        """Claim a key if it is free; None if it is not."""
        fresh = _hold(id, organization, fingerprint, secrets.token_bytes(32))
        try:
            with self._server.database.write() as session:
                expired = IdempotentRequest.expires < now()
                session.execute(delete(IdempotentRequest).where(IdempotentRequest.id == id, expired))
                session.add(fresh)
        except IntegrityError:
            return None
        return fresh

    def _resume(self, id: str, fingerprint: bytes) -> IdempotentRequest | None:
        """The kept answer, or a claim on a hold that has run out; None if the key is free."""
        with self._server.database.write() as session:
            known = session.get(IdempotentRequest, id, with_for_update=True)
            if known is None or known.expires < now():
                return None
            if known.fingerprint != fingerprint:
                raise ApiError("IDEMPOTENCY_KEY_REUSED", "The key was used for a request with another body.")
            if known.status is not None:
                return known
            instant = now()
            if instant < known.held_until <= instant + 2 * HELD:  # later than that only if the clock was set back
                raise _in_flight()
            known.held_until = now() + HELD
            return known

    def _keep(self, claim: _Claim, status: int, headers: dict[str, str], body: bytes) -> None:
        """Keep an answer, even if the request itself deleted its hold, unless the organization is closed."""
        held = claim.held
        if status >= 500 or status in NOT_KEPT:
            self._let_go(held.id)
            return
        with self._server.database.write() as session:
            known = session.get(IdempotentRequest, held.id)
            if known is None:
                organization = session.get(Organization, held.organization_id)
                if organization is None or organization.suspended is not None:
                    return
                known = _hold(held.id, held.organization_id, held.fingerprint, held.seed)
                session.add(known)
            known.status, known.headers, known.body = status, headers, claim.cipher.encrypt(body)

    def _let_go(self, id: str) -> None:
        """End a hold, so that the next request may try at once, with the same seed."""
        with self._server.database.write() as session:
            known = session.get(IdempotentRequest, id)
            if known is not None and known.status is None:
                known.held_until = now()


def _in_flight() -> ApiError:
    return ApiError("IDEMPOTENCY_IN_FLIGHT", "The same request is at work.", headers={"Retry-After": "1"})


def _hold(id: str, organization: str, fingerprint: bytes, seed: bytes) -> IdempotentRequest:
    return IdempotentRequest(
        id=id,
        organization_id=organization,
        fingerprint=fingerprint,
        seed=seed,
        held_until=now() + HELD,
        expires=now() + KEPT,
    )


def sweep(session: Any) -> int:
    """Delete answers that are older than a day, and return how many there were."""
    return int(session.execute(delete(IdempotentRequest).where(IdempotentRequest.expires < now())).rowcount)


async def _whole_body(receive: Receive) -> bytes | None:
    """The body, or None if the caller left before its end: then nothing is carried out, and the key stays free."""
    parts, more = [], True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


def _content(content_type: str, body: bytes) -> bytes:
    """What tells a body from another: a form's parts without the boundary, which clients choose anew for each try."""
    header = email.message.Message()
    header["content-type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        return body
    parts = body.split(b"--" + boundary.encode())
    return b"".join(b"%d\n%b" % (len(part), part) for part in parts)


def _replay(body: bytes, receive: Receive) -> Receive:
    """A `receive` that returns a body which was already read, and then whatever comes."""
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _cipher_key(named: bytes) -> bytes:
    return base64.urlsafe_b64encode(hashlib.sha256(b"answer\n" + named).digest())


def _headers(start: Message) -> dict[str, str]:
    headers = Headers(raw=start["headers"])
    return {name: headers[name] for name in _KEPT_HEADERS if name in headers}
