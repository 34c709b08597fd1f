"""The grants and endpoints of OAuth 2.0: Authlib on our records, in one transaction for each request."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.errors import InvalidRequestError, InvalidScopeError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant, ClientCredentialsGrant, RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc7636 import CodeChallenge
from authlib.oauth2.rfc7662 import IntrospectionEndpoint
from pydantic_core import to_json
from sqlalchemy import select, update
from sqlalchemy.orm import Session
from starlette.responses import Response

from pixr.server.database import now
from pixr.server.ids import new_id, new_secret
from pixr.server.keys import why_ended
from pixr.server.models import OAuthClient, OAuthCode, OAuthToken
from pixr.server.oauth.clients import Client, hash_of
from pixr.server.oauth.tokens import ACCESS_SECONDS, REFRESH_SECONDS, Token, find_token
from pixr.server.principal import SCOPES, Principal

__all__ = ["Flows", "FormRequest"]

_CODE_SECONDS = 60
_METHODS = ["client_secret_basic", "client_secret_post", "none"]


class FormRequest(OAuth2Request):  # type: ignore[misc]
    """A request in the form that Authlib reads: query, form and headers."""

    def __init__(self, method: str, path: str, values: Mapping[str, str], headers: Mapping[str, str]) -> None:
        # TLS ends at the operator's proxy, or the request never left the machine: see docs/SERVER.md.
        super().__init__(method, f"https://server{path}?{urlencode(values)}", headers=headers)
        self.payload = BasicOAuth2Payload(dict(values))
        self._values = dict(values)

    @property
    def form(self) -> dict[str, str]:
        """The values of the form."""
        return self._values

    @property
    def args(self) -> dict[str, str]:
        """The values of the query."""
        return self._values


class Flows(AuthorizationServer):  # type: ignore[misc]
    """The authorization server for one request. `issuer` is this server's URL."""

    def __init__(self, session: Session, issuer: str) -> None:
        super().__init__(scopes_supported=list(SCOPES))
        self.session = session
        self.issuer = issuer
        generator = BearerTokenGenerator(
            lambda **_: new_secret("oat"), lambda **_: new_secret("ort"), lambda *_: ACCESS_SECONDS
        )
        self.register_token_generator("default", generator)
        self.register_grant(_ClientCredentials)
        self.register_grant(_Code, [_RequiredChallenge()])
        self.register_grant(_Refresh)
        self.register_endpoint(_Revocation)
        self.register_endpoint(_Introspection)

    def query_client(self, client_id: str) -> Client | None:
        """A client by its id."""
        found = None if "\0" in client_id else self.session.get(OAuthClient, client_id)  # PostgreSQL can't be asked
        return None if found is None else Client(found)

    def save_token(self, token: Mapping[str, Any], request: OAuth2Request) -> None:
        """Store the hashes of a new token."""
        owner, refresh = request.user, token.get("refresh_token")
        client: OAuthClient = request.client.record
        before: Token | None = request.refresh_token
        self.session.add(
            OAuthToken(
                hash=hash_of(token["access_token"]),
                refresh_hash=hash_of(refresh) if refresh else None,
                family=(before.record.family if before else None) or new_id("otf"),
                organization_id=owner.organization if owner else client.organization_id,
                client_id=client.id,
                subject=owner.subject if owner else client.id,
                scopes=token.get("scope", "").split(),
                expires=now() + timedelta(seconds=token["expires_in"]),
                refresh_expires=now() + timedelta(seconds=REFRESH_SECONDS) if refresh else None,
            )
        )

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Do nothing: nobody listens to Authlib's signals."""

    def create_oauth2_request(self, request: OAuth2Request) -> OAuth2Request:
        """The request itself, which is already one of Authlib's."""
        return request

    def handle_response(self, status: int, body: Any, headers: Any) -> Response:
        """A response of the web framework."""
        made = dict(headers)
        if isinstance(body, dict):
            made |= {"Content-Type": "application/json", "Cache-Control": "no-store"}
            return Response(to_json(body), status, made)
        return Response(body or "", status, made)


class _RequiredChallenge(CodeChallenge):  # type: ignore[misc]
    """Demands PKCE with S256 from every client."""

    SUPPORTED_CODE_CHALLENGE_METHOD = ("S256",)

    def __init__(self) -> None:
        super().__init__(required=True)

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        """Refuse requests without a challenge, and plain ones."""
        data = grant.request.payload.data
        if not data.get("code_challenge") or data.get("code_challenge_method") != "S256":
            raise InvalidRequestError("PKCE is required: code_challenge with code_challenge_method=S256")
        super().validate_code_challenge(grant, redirect_uri)


def _check_scope(grant: Any) -> None:
    """Refuse to make a token with none of the requested scopes, which would be useless.

    Raises:
        InvalidScopeError: the client has none of the requested scopes.
    """
    asked: str | None = grant.request.payload.scope
    if asked and not grant.request.client.get_allowed_scope(asked):
        raise InvalidScopeError("The client has none of these scopes.")


class _ClientCredentials(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

    def validate_token_request(self) -> None:
        super().validate_token_request()
        _check_scope(self)


class _Code(AuthorizationCodeGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS

    def validate_authorization_request(self) -> str:
        redirect_uri: str = super().validate_authorization_request()
        try:
            _check_scope(self)
        except InvalidScopeError as error:
            error.redirect_uri = redirect_uri
            raise
        return redirect_uri

    def generate_authorization_code(self) -> str:
        return new_secret("oac")

    def save_authorization_code(self, code: str, request: OAuth2Request) -> None:
        """Save a code for the requested scopes that both its owner and the client have."""
        owner: Principal = request.user
        allowed = request.client.get_allowed_scope(request.payload.scope).split()
        self.server.session.add(
            OAuthCode(
                hash=hash_of(code),
                organization_id=owner.organization,
                client_id=request.client.get_client_id(),
                subject=owner.subject,
                scopes=[scope for scope in allowed if scope in owner.scopes],
                redirect_uri=request.payload.redirect_uri or "",
                code_challenge=request.payload.data["code_challenge"],
                code_challenge_method="S256",
                expires=now() + timedelta(seconds=_CODE_SECONDS),
            )
        )

    def query_authorization_code(self, code: str, client: Client) -> Any:
        found = self.server.session.get(OAuthCode, hash_of(code), with_for_update=True)
        if found is None or found.client_id != client.get_client_id() or found.expires <= now():
            return None
        return None if why_ended(self.server.session, found.subject) else _Granted(found)

    def delete_authorization_code(self, authorization_code: _Granted) -> None:
        self.server.session.delete(authorization_code.record)

    def authenticate_user(self, authorization_code: _Granted) -> Any:
        return authorization_code


class _Granted:
    """An authorization code, and the owner for whom it acts."""

    def __init__(self, record: OAuthCode | OAuthToken) -> None:
        self.record = record
        self.organization = record.organization_id
        self.subject = record.subject
        self.code_challenge = getattr(record, "code_challenge", None)
        self.code_challenge_method = getattr(record, "code_challenge_method", None)

    def get_redirect_uri(self) -> str:
        return getattr(self.record, "redirect_uri", "")

    def get_scope(self) -> str:
        return " ".join(self.record.scopes)


class _Refresh(RefreshTokenGrant):  # type: ignore[misc]
    """A refresh token can be used once; the answer has the next one.

    If one is used again, a thief may be using it, or its owner after a thief did. These can't be told apart, so all
    tokens that came from it end (RFC 9700, section 4.14.2).
    """

    TOKEN_ENDPOINT_AUTH_METHODS = _METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> Token | None:
        query = select(OAuthToken).where(OAuthToken.refresh_hash == hash_of(refresh_token))
        # Locked until it is revoked, or two requests at once would both find it valid.
        found = self.server.session.scalar(query.with_for_update(of=OAuthToken))
        if found is None or why_ended(self.server.session, found.subject):
            return None
        if found.revoked is not None:
            if found.family is not None and found.client_id == self.request.client.get_client_id():
                self._end_family(found.family)
            return None
        late = found.refresh_expires is None or found.refresh_expires <= now()
        return None if late else Token(found)

    def authenticate_user(self, refresh_token: Token) -> Any:
        return _Granted(refresh_token.record)

    def revoke_old_credential(self, refresh_token: Token) -> None:
        refresh_token.record.revoked = now()

    def _end_family(self, family: str) -> None:
        living = (OAuthToken.family == family, OAuthToken.revoked.is_(None))
        self.server.session.execute(update(OAuthToken).where(*living).values(revoked=now()))


class _Revocation(RevocationEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = _METHODS

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:  # noqa: ARG002
        found = find_token(self.server.session, token_string)
        return None if found is None else Token(found)

    def revoke_token(self, token: Token, request: OAuth2Request) -> None:  # noqa: ARG002
        token.record.revoked = token.record.revoked or now()


class _Introspection(IntrospectionEndpoint):  # type: ignore[misc]
    CLIENT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

    def check_permission(self, token: Token, client: Client, request: OAuth2Request) -> bool:  # noqa: ARG002
        own: bool = token.check_client(client)
        return own or token.record.organization_id == client.record.organization_id

    def query_token(self, token_string: str, token_type_hint: str | None) -> Token | None:  # noqa: ARG002
        found = find_token(self.server.session, token_string)
        if found is None or found.hash != hash_of(token_string) or why_ended(self.server.session, found.subject):
            return None
        return Token(found)

    def introspect_token(self, token: Token) -> dict[str, Any]:
        record = token.record
        return {
            "active": True,
            "client_id": record.client_id,
            "token_type": "Bearer",
            "scope": token.get_scope(),
            "sub": record.subject,
            "org": record.organization_id,
            "iss": self.server.issuer,
            "exp": int(record.expires.timestamp()),
            "iat": int(record.issued.timestamp()),
        }
