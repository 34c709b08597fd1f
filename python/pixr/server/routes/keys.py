"""`/v1/auth/keys`: list, create, rotate, revoke."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from pixr.server.answer import json_answer
from pixr.server.instants import rfc3339
from pixr.server.keys import create_key, list_keys, revoke_key, rotate_key
from pixr.server.models import ApiKey
from pixr.server.paging import Cursor, Limit, page
from pixr.server.principal import Admin, check_gives_away
from pixr.server.schemas.keys import KeyList, KeyRequest, KeyShape, KeyWithSecret, RotateRequest
from pixr.server.schemas.shape import Stored
from pixr.server.state import Server

router = APIRouter(prefix="/v1/auth/keys", tags=["auth"])

KeyId = Annotated[Stored, Path(alias="keyId", max_length=100, examples=["pk_live_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]


@router.get("", operation_id="listKeys", response_model=KeyList)
def list_all(caller: Admin, server: Server, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """List the organization's keys, oldest first, without secrets."""
    with server.database.read() as session:
        found = list_keys(session, caller.organization)
    return json_answer(page(server.signer, "keys", found, _shown, of=caller.organization, limit=limit, cursor=cursor))


@router.post("", operation_id="createKey", status_code=201, response_model=KeyWithSecret)
def create(asked: KeyRequest, caller: Admin, server: Server) -> Response:
    """Create a key. Its secret is shown this once. No key has scopes that its maker lacks."""
    check_gives_away(caller, asked.scopes)
    with server.database.write() as session:
        key, secret = create_key(
            session,
            caller.organization,
            name=asked.name,
            environment=asked.environment,
            scopes=asked.scopes,
            expires=asked.expires,
        )
    return json_answer(_shown(key) | {"secret": secret}, 201, {"Cache-Control": "no-store"})


@router.post("/{keyId}/rotate", operation_id="rotateKey", response_model=KeyWithSecret)
def rotate(key_id: KeyId, asked: RotateRequest, caller: Admin, server: Server) -> Response:
    """Give a key a new secret, shown this once; the old one stays valid for `overlapSeconds`.

    Until that ends a key is rotated again with an overlap of 0 alone, which ends both old secrets at once. Whoever
    lacks one of the key's scopes is refused, for the secret would give it.
    """
    with server.database.write() as session:
        key, secret = rotate_key(session, caller.organization, key_id, timedelta(seconds=asked.overlap_seconds))
        check_gives_away(caller, key.scopes)
    return json_answer(_shown(key) | {"secret": secret}, headers={"Cache-Control": "no-store"})


@router.delete("/{keyId}", operation_id="revokeKey", response_model=KeyShape)
def revoke(key_id: KeyId, caller: Admin, server: Server) -> Response:
    """Revoke a key at once."""
    with server.database.write() as session:
        return json_answer(_shown(revoke_key(session, caller.organization, key_id)))


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "keyId": key.id,
        "name": key.name,
        "environment": key.environment,
        "scopes": key.scopes,
        "created": rfc3339(key.created),
        "expires": rfc3339(key.expires),
        "revoked": rfc3339(key.revoked),
        "previousSecretExpires": rfc3339(key.previous_expires),
    }
