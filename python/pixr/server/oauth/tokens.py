"""Access and refresh tokens: opaque, known by their hashes, revoked at once."""

from __future__ import annotations

from authlib.oauth2.rfc6749 import TokenMixin
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from pixr.server.database import now
from pixr.server.errors import ApiError
from pixr.server.keys import end_of_key, why_ended
from pixr.server.models import OAuthToken
from pixr.server.oauth.clients import hash_of
from pixr.server.principal import Principal

__all__ = ["ACCESS_SECONDS", "REFRESH_SECONDS", "Token", "find_token", "principal_of_token"]

ACCESS_SECONDS = 3600
REFRESH_SECONDS = 30 * 86_400


class Token(TokenMixin):  # type: ignore[misc]
    """A record with the questions of Authlib."""

    def __init__(self, record: OAuthToken) -> None:
        self.record = record

    def check_client(self, client: object) -> bool:
        """Whether the token was issued to the client."""
        return getattr(client, "get_client_id", lambda: None)() == self.record.client_id

    def get_scope(self) -> str:
        """The scopes, with spaces between."""
        return " ".join(self.record.scopes)

    def get_expires_in(self) -> int:
        """For how many seconds the token was issued."""
        return ACCESS_SECONDS

    def is_expired(self) -> bool:
        """Whether the access token has expired."""
        return self.record.expires <= now()

    def is_revoked(self) -> bool:
        """Whether the token was revoked."""
        return self.record.revoked is not None


def find_token(session: Session, secret: str) -> OAuthToken | None:
    """The record of an access or refresh token."""
    hashed = hash_of(secret)
    found: OAuthToken | None = session.scalar(
        select(OAuthToken).where(or_(OAuthToken.hash == hashed, OAuthToken.refresh_hash == hashed))
    )
    return found


def principal_of_token(session: Session, secret: str) -> Principal:
    """The principal of an access token. It ends no later than the key by which its client was allowed to act.

    Raises:
        ApiError: INVALID_TOKEN.
    """
    token = session.get(OAuthToken, hash_of(secret))
    if token is None or token.revoked is not None or token.expires <= now():
        raise invalid_token("The token is expired, revoked, or was never given.")
    if why := why_ended(session, token.subject):
        raise invalid_token(why)
    expires = min(token.expires, end_of_key(session, token.subject) or token.expires)
    return Principal.of(token.organization, subject=token.subject, scopes=token.scopes, expires=expires)


def invalid_token(detail: str) -> ApiError:
    """INVALID_TOKEN, with the challenge of RFC 6750."""
    challenge = f'Bearer error="invalid_token", error_description="{detail}"'
    return ApiError("INVALID_TOKEN", detail, headers={"WWW-Authenticate": challenge})
