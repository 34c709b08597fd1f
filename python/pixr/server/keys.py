"""Makes, checks, rotates and revokes API keys. A secret is returned once, by the call that makes it."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.ids import new_id, new_secret
from pixr.server.instants import rfc3339
from pixr.server.models import CLIENT_PREFIX, ApiKey, OAuthClient, Organization
from pixr.server.organizations import find_sandbox, sandbox_of
from pixr.server.principal import SCOPES, Principal

__all__ = [
    "check_overlap",
    "create_key",
    "end_of_key",
    "list_keys",
    "principal_of_key",
    "revoke_key",
    "rotate_key",
    "why_ended",
]

Environment = Literal["live", "test"]

# What a secret is compared with if there is no key of that id, so that this takes equally long.
_NO_HASH = hashlib.sha256(b"no such key").digest()


def create_key(
    session: Session,
    organization: str,
    *,
    name: str,
    environment: Environment | None = None,
    scopes: Sequence[str] = SCOPES,
    expires: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Make a key and its secret, which is not kept. A test key acts on the organization's sandbox; the default is live.

    Raises:
        ApiError: FORBIDDEN, if a live key is asked for in a sandbox.
    """
    owner = session.get_one(Organization, organization)
    environment = environment or ("test" if owner.sandbox else "live")
    if environment == "test":
        sandbox_of(session, owner)
    elif owner.sandbox:
        raise ApiError("FORBIDDEN", "A sandbox has test keys alone.")
    secret = new_secret(f"sk_{environment}")
    key = ApiKey(
        id=new_id(f"pk_{environment}"),
        organization_id=organization,
        name=name,
        environment=environment,
        secret_hash=_hash(secret),
        scopes=[scope for scope in SCOPES if scope in scopes],
        expires=expires,
    )
    return session.merge(key), secret


def principal_of_key(session: Session, id: str, secret: str) -> Principal:
    """The principal of a key.

    Raises:
        ApiError: INVALID_API_KEY, whatever is wrong with it.
    """
    key = None if "\0" in id else session.get(ApiKey, id)  # PostgreSQL refuses text with a NUL
    offered = _hash(secret)
    matches = hmac.compare_digest(offered, key.secret_hash if key else _NO_HASH)
    instant = now()
    ends = [key.expires] if key is not None and key.expires is not None else []
    if key is not None and key.previous_hash is not None and key.previous_expires is not None:
        previous = hmac.compare_digest(offered, key.previous_hash)
        matches |= previous
        ends += [key.previous_expires] if previous else []
    expires = min(ends, default=None)
    if key is None or not matches or key.revoked is not None or (expires is not None and expires <= instant):
        raise ApiError("INVALID_API_KEY", "The API key or its secret is not valid.")
    who = Principal.of(
        key.organization, subject=key.id, scopes=key.scopes, environment=key.environment, expires=expires
    )
    if key.environment == "test" and not key.organization.sandbox:
        sandbox = find_sandbox(session, key.organization_id)
        if sandbox is None:
            raise ApiError("INVALID_API_KEY", "The key's sandbox is gone.")
        return replace(who, organization=sandbox.id)
    return who


def why_ended(session: Session, id: str) -> str | None:
    """Why a token that was made with a key is no longer valid: the key was revoked or has expired. None if it is valid.

    The same holds for tokens of an OAuth client that was deleted. Any other id is valid.
    """
    key = session.get(ApiKey, id)
    if key is not None and (key.revoked is not None or (key.expires is not None and key.expires <= now())):
        return "The key that the token was made with has ended."
    if id.startswith(f"{CLIENT_PREFIX}_") and session.get(OAuthClient, id) is None:
        return "The client that the token was made by was deleted."
    return None


def end_of_key(session: Session, id: str) -> datetime | None:
    """When a key will end by itself; None if never, or if it is no key's id."""
    key = session.get(ApiKey, id)
    return None if key is None else key.expires


def list_keys(session: Session, organization: str) -> list[ApiKey]:
    """The organization's keys, oldest first."""
    query = select(ApiKey).where(ApiKey.organization_id == organization).order_by(ApiKey.created, ApiKey.id)
    return list(session.scalars(query))


def rotate_key(session: Session, organization: str, id: str, overlap: timedelta) -> tuple[ApiKey, str]:
    """Give a key a new secret. The one before stays valid for `overlap`; if that is zero, all earlier ones end at once.

    A request that is carried out again after a crash (see `ids.repeatable`) replaces the secret that nobody received,
    and changes nothing else.

    Raises:
        ApiError: KEY_NOT_FOUND; CONFLICT if it is revoked, or while a secret from before the last rotation is valid.
    """
    key = _own(session, organization, id)
    session.refresh(key, with_for_update={"of": ApiKey})  # of two rotations at once the second sees the first
    if key.revoked is not None:
        raise ApiError("CONFLICT", "The key is revoked.")
    rotation = new_id("rot")
    if key.rotation != rotation:
        check_overlap(key.previous_expires, overlap)
        key.previous_hash, key.previous_expires, key.rotation = key.secret_hash, now() + overlap, rotation
    secret = new_secret(f"sk_{key.environment}")
    key.secret_hash = _hash(secret)
    return key, secret


def check_overlap(previous_expires: datetime | None, overlap: timedelta) -> None:
    """Refuse to rotate while a secret from before the last rotation is still valid: there is room for only one.

    Raises:
        ApiError: CONFLICT.
    """
    if overlap and previous_expires is not None and previous_expires > now():
        raise ApiError(
            "CONFLICT",
            f"A secret from before the last rotation is valid until {rfc3339(previous_expires)}; rotate after that, "
            "or with an overlap of 0, which ends both at once.",
        )


def revoke_key(session: Session, organization: str, id: str) -> ApiKey:
    """End a key at once. Revoking twice changes nothing.

    Raises:
        ApiError: KEY_NOT_FOUND.
    """
    key = _own(session, organization, id)
    key.revoked = key.revoked or now()
    return key


def _own(session: Session, organization: str, id: str) -> ApiKey:
    key = session.get(ApiKey, id)
    if key is None or key.organization_id != organization:
        raise ApiError("KEY_NOT_FOUND", f"No key {id!r}.")
    return key


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()
