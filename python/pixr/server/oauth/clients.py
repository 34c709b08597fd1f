"""Registered clients, as Authlib asks about them."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749 import ClientMixin
from sqlalchemy import select
from sqlalchemy.orm import Session

from pixr.server.errors import ApiError
from pixr.server.ids import new_id, new_secret
from pixr.server.models import CLIENT_PREFIX, OAuthClient
from pixr.server.principal import SCOPES

__all__ = ["Client", "create_client", "delete_client", "hash_of", "list_clients"]


def hash_of(secret: str) -> bytes:
    """What is kept of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).digest()


class Client(ClientMixin):  # type: ignore[misc]
    """A record with the questions of Authlib."""

    def __init__(self, record: OAuthClient) -> None:
        self.record = record

    def get_client_id(self) -> str:
        """The id of the client."""
        return self.record.id

    def get_default_redirect_uri(self) -> str | None:
        """There is none: the request must name one."""
        return None

    def get_allowed_scope(self, scope: str | None) -> str:
        """The requested scopes that the client may have, or if none is requested, all that it may have."""
        asked = scope.split() if scope else self.record.scopes
        return " ".join(one for one in SCOPES if one in asked and one in self.record.scopes)

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        """Whether a URI is registered, letter by letter."""
        return redirect_uri in self.record.redirect_uris

    def check_client_secret(self, client_secret: str) -> bool:
        """Whether a secret is the client's. It is compared in constant time."""
        kept = self.record.secret_hash
        return kept is not None and hmac.compare_digest(hash_of(client_secret), kept)

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:  # noqa: ARG002 - the same for all
        """Whether the client may use a method: one with a secret must use the secret."""
        return (method == "none") == (self.record.secret_hash is None)

    def check_grant_type(self, grant_type: str) -> bool:
        """Whether the client may use a grant: client credentials need a secret."""
        if grant_type == "client_credentials":
            return self.record.secret_hash is not None
        return grant_type in ("authorization_code", "refresh_token")

    def check_response_type(self, response_type: str) -> bool:
        """Only the authorization code: there is no implicit grant."""
        return response_type == "code"


def create_client(
    session: Session,
    organization: str,
    *,
    name: str,
    redirect_uris: Sequence[str],
    scopes: Sequence[str],
    public: bool,
) -> tuple[OAuthClient, str | None]:
    """Register a client. Returns it and its secret, which is None for a public client.

    Raises:
        ApiError: INVALID_REQUEST, a redirect URI that tokens must not be sent to.
    """
    for uri in redirect_uris:
        if not _is_redirect(uri):
            raise ApiError("INVALID_REQUEST", f"{uri!r} is not https, nor http on the same machine.")
    secret = None if public else new_secret("ocs")
    client = OAuthClient(
        id=new_id(CLIENT_PREFIX),
        organization_id=organization,
        name=name,
        secret_hash=hash_of(secret) if secret else None,
        redirect_uris=list(redirect_uris),
        scopes=[scope for scope in SCOPES if scope in scopes],
    )
    return session.merge(client), secret


def _is_redirect(uri: str) -> bool:
    if not uri.isascii() or not uri.isprintable() or " " in uri:  # it becomes a header
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    local = parts.hostname in ("localhost", "127.0.0.1", "::1")
    safe = parts.scheme == "https" or (parts.scheme == "http" and local)
    return safe and bool(parts.hostname) and not parts.fragment


def list_clients(session: Session, organization: str) -> list[OAuthClient]:
    """The organization's clients, oldest first."""
    query = select(OAuthClient).where(OAuthClient.organization_id == organization)
    return list(session.scalars(query.order_by(OAuthClient.created, OAuthClient.id)))


def delete_client(session: Session, organization: str, id: str) -> None:
    """Delete a client. Its tokens end at once, and so do the user tokens that it made.

    Raises:
        ApiError: NOT_FOUND.
    """
    client = session.get(OAuthClient, id)
    if client is None or client.organization_id != organization:
        raise ApiError("NOT_FOUND", f"No client {id!r}.")
    session.delete(client)
