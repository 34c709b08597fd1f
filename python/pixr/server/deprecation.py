"""Announces what will be removed, by headers on answers of deprecated paths (RFC 9745, RFC 8594) and by an event.

The setting `deprecations` lists paths, in which `{name}` stands for any part. If a whole version (`/v1`) is
deprecated, every organization gets the event `version.sunset`, once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from email.utils import format_datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixr.server.events import record
from pixr.server.ids import new_id, repeatable
from pixr.server.instants import rfc3339
from pixr.server.models import Event, Organization
from pixr.server.settings import Deprecation

__all__ = ["Deprecations", "announce", "find_deprecation"]

_VERSION = re.compile(r"/(v\d+)")


class Deprecations:
    """Puts `Deprecation`, `Sunset` and `Link` on answers of deprecated paths."""

    def __init__(self, app: ASGIApp, deprecations: Sequence[Deprecation]) -> None:
        self._app = app
        self._deprecations = deprecations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        found = None
        if scope["type"] == "http":
            found = find_deprecation(self._deprecations, scope["method"], scope["path"])
        if found is None:
            await self._app(scope, receive, send)
            return
        headers = _headers(found)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in headers:
                    sent.append(name, value)
            await send(message)

        await self._app(scope, receive, answer)


def find_deprecation(deprecations: Sequence[Deprecation], method: str, path: str) -> Deprecation | None:
    """The deprecation of this path; if there are several, the one with the longest path."""
    for one in sorted(deprecations, key=lambda one: -len(one.path)):
        pattern = "/".join("[^/]+" if part.startswith("{") else re.escape(part) for part in one.path.split("/"))
        if one.method in (None, method) and re.fullmatch(f"{pattern}(/.*)?", path):
            return one
    return None


def announce(session: Session, deprecations: Sequence[Deprecation]) -> int:
    """Record `version.sunset` for every organization that has not had it, and return how many events that were."""
    announced = 0
    for one in deprecations:
        version = _VERSION.fullmatch(one.path)
        if version is None or one.sunset is None:
            continue
        data = {"version": version[1], "sunset": rfc3339(one.sunset), "successor": one.successor}
        seeds = {
            organization: hashlib.sha256(f"version.sunset/{data}/{organization}".encode()).digest()
            for organization in session.scalars(select(Organization.id).where(Organization.suspended.is_(None)))
        }
        known = set(session.scalars(select(Event.id).where(Event.type == "version.sunset")))
        for organization, seed in sorted(seeds.items()):
            with repeatable(seed):
                before = new_id("evt") in known
            if not before:
                with repeatable(seed):
                    record(session, organization, "version.sunset", data)
                announced += 1
    return announced


def _headers(one: Deprecation) -> list[tuple[str, str]]:
    headers = [("Deprecation", f"@{int(one.deprecated.timestamp())}")]
    if one.sunset is not None:
        headers.append(("Sunset", format_datetime(one.sunset, usegmt=True)))
    for name, url in (("deprecation", one.documentation), ("sunset", one.documentation)):
        if url is not None and (name != "sunset" or one.sunset is not None):
            headers.append(("Link", f'<{url}>; rel="{name}"; type="text/html"'))
    if one.successor is not None:
        headers.append(("Link", f'<{one.successor}>; rel="successor-version"'))
    return headers
