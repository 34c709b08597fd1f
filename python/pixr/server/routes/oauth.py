"""`/v1/auth`: OAuth 2.0 (token, authorize, revoke, introspect, metadata), clients, user tokens and JWKS."""

from __future__ import annotations

import base64
from typing import Annotated, Any
from urllib.parse import parse_qsl, urlsplit

from anyio import to_thread
from authlib.oauth2.rfc6749.errors import OAuth2Error
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from pixr.server.answer import json_answer
from pixr.server.errors import ApiError
from pixr.server.instants import rfc3339
from pixr.server.keys import principal_of_key
from pixr.server.limiting import count_failure
from pixr.server.models import OAuthClient
from pixr.server.oauth.clients import create_client, delete_client, list_clients
from pixr.server.oauth.consent import CONSENT_HEADERS, consent_page
from pixr.server.oauth.flows import Flows, FormRequest
from pixr.server.paging import Cursor, Limit, page
from pixr.server.principal import SCOPES, Admin, Principal, check_gives_away
from pixr.server.schemas.oauth import ClientList, ClientRequest, ClientWithSecret, UserToken, UserTokenRequest
from pixr.server.schemas.shape import Stored
from pixr.server.state import Server, ServerState

router = APIRouter(tags=["auth"])

_CONSENT_SECONDS = 600
_PARAMETERS = (
    "response_type",
    "client_id",
    "redirect_uri",
    "scope",
    "state",
    "code_challenge",
    "code_challenge_method",
)
ClientId = Annotated[Stored, Path(alias="clientId", max_length=100, examples=["ocl_7q3k5w4mzy2a6bnd4vhtj3c2ei"])]


_PROBLEM = {"schema": {"$ref": "#/components/schemas/OAuthError"}, "example": {"error": "invalid_client"}}
REFUSED: dict[int | str, dict[str, Any]] = {"4XX": {"content": {"application/json": _PROBLEM}}}


def _form(example: str, *fields: str) -> dict[str, Any]:
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in fields},
        "additionalProperties": {"type": "string"},
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema, "example": example}}
    return {"requestBody": {"required": True, "content": content}}


def _json(example: dict[str, Any]) -> dict[int | str, dict[str, Any]]:
    return {200: {"content": {"application/json": {"schema": {"type": "object"}, "example": example}}}}


PAGE: dict[int | str, dict[str, Any]] = REFUSED | {
    200: {"content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>…"}}},
    302: {"description": "Sent back to `redirect_uri`, with a code or with an error"},
    401: {
        "description": "The page again: key and secret were not right",
        "content": {"text/html": {"schema": {"type": "string"}, "example": "<!doctype html>…"}},
    },
}
TOKEN = {"access_token": "oat_…", "token_type": "Bearer", "expires_in": 3600, "scope": "search"}


@router.post(
    "/v1/auth/token",
    operation_id="getToken",
    response_class=Response,
    openapi_extra=_form(
        "grant_type=client_credentials&scope=search", "grant_type", "scope", "client_id", "client_secret"
    ),
    responses=REFUSED | _json(TOKEN),
)
async def token(request: Request, server: Server) -> Response:
    """Get an access token (RFC 6749): client credentials, authorization code with PKCE, refresh token."""
    return await _endpoint(request, server, lambda flows, asked: flows.create_token_response(asked))


@router.post(
    "/v1/auth/revoke",
    operation_id="revokeToken",
    response_class=Response,
    openapi_extra=_form("token=oat_…", "token", "client_id", "client_secret"),
    responses=REFUSED | _json({}),
)
async def revoke(request: Request, server: Server) -> Response:
    """Revoke an access or refresh token at once (RFC 7009)."""
    return await _endpoint(request, server, lambda flows, asked: flows.create_endpoint_response("revocation", asked))


@router.post(
    "/v1/auth/introspect",
    operation_id="introspectToken",
    response_class=Response,
    openapi_extra=_form("token=oat_…", "token", "client_id", "client_secret"),
    responses=REFUSED | _json({"active": True, "scope": "search", "client_id": "ocl_…"}),
)
async def introspect(request: Request, server: Server) -> Response:
    """Say whether an access token is good, and for what (RFC 7662)."""
    return await _endpoint(request, server, lambda flows, asked: flows.create_endpoint_response("introspection", asked))


@router.get(
    "/v1/auth/authorize",
    operation_id="authorize",
    response_class=HTMLResponse,
    responses=PAGE,
)
async def authorize(request: Request, server: Server) -> Response:
    """Ask the owner of an organization to let a client act for it; the answer is sent to `redirect_uri`."""
    values = {name: value for name, value in request.query_params.items() if name in _PARAMETERS}
    return await to_thread.run_sync(_ask, server, values, None)


@router.post(
    "/v1/auth/authorize",
    operation_id="consent",
    response_class=Response,
    openapi_extra=_form(
        "decision=allow&sealed=…&key=pk_live_…&secret=sk_live_…", "decision", "sealed", "key", "secret"
    ),
    responses=PAGE,
)
async def consent(request: Request, server: Server) -> Response:
    """Take the owner's answer, from the page alone: it carries the request, signed."""
    form = await _values(request)
    values: dict[str, str] = server.signer.open_token(
        form.get("sealed", ""), purpose="consent", max_age=_CONSENT_SECONDS
    )
    return await to_thread.run_sync(_answer, server, values, form, request)


@router.get(
    "/.well-known/oauth-authorization-server",
    operation_id="oauthMetadata",
    response_class=Response,
    responses=_json({"issuer": "https://api.example.com"}),
)
async def metadata(server: Server) -> Response:
    """Say where everything is (RFC 8414)."""
    base = server.settings.base_url
    methods = ["client_secret_basic", "client_secret_post", "none"]
    return json_answer(
        {
            "issuer": base,
            "authorization_endpoint": f"{base}/v1/auth/authorize",
            "token_endpoint": f"{base}/v1/auth/token",
            "revocation_endpoint": f"{base}/v1/auth/revoke",
            "introspection_endpoint": f"{base}/v1/auth/introspect",
            "jwks_uri": f"{base}/v1/auth/jwks.json",
            "scopes_supported": list(SCOPES),
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "grant_types_supported": ["authorization_code", "client_credentials", "refresh_token"],
            "token_endpoint_auth_methods_supported": methods,
            "revocation_endpoint_auth_methods_supported": methods,
            "introspection_endpoint_auth_methods_supported": methods[:2],
            "code_challenge_methods_supported": ["S256"],
        }
    )


@router.get(
    "/v1/auth/jwks.json", operation_id="jwks", response_class=Response, responses=_json({"keys": [{"kty": "EC"}]})
)
async def jwks(server: Server) -> Response:
    """Public keys of the tokens that this server signs."""
    return json_answer(server.user_tokens.public_keys(), headers={"Cache-Control": "public, max-age=600"})


@router.post("/v1/auth/user-tokens", operation_id="createUserToken", status_code=201, response_model=UserToken)
def create_user_token(asked: UserTokenRequest, caller: Admin, server: Server) -> Response:
    """Sign a short-lived token for one of your users, to be used in a browser in place of your key.

    It may have any scope but `admin`, and ends with the key that it was made with at the latest.
    """
    check_gives_away(caller, asked.scopes)
    made = server.user_tokens.issue(
        caller.organization,
        asked.subject,
        asked.scopes,
        asked.expires_in,
        asked.rate_limit,
        maker=caller.subject,
    )
    return json_answer({"token": made, "expiresIn": asked.expires_in}, 201, {"Cache-Control": "no-store"})


@router.get("/v1/auth/clients", operation_id="listClients", response_model=ClientList)
def list_all(caller: Admin, server: Server, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """List the OAuth clients, oldest first, without secrets."""
    with server.database.read() as session:
        found = list_clients(session, caller.organization)
    return json_answer(
        page(server.signer, "clients", found, _shown, of=caller.organization, limit=limit, cursor=cursor)
    )


@router.post("/v1/auth/clients", operation_id="createClient", status_code=201, response_model=ClientWithSecret)
def create(asked: ClientRequest, caller: Admin, server: Server) -> Response:
    """Register an OAuth client. Its secret is shown this once."""
    check_gives_away(caller, asked.scopes)
    with server.database.write() as session:
        client, secret = create_client(
            session,
            caller.organization,
            name=asked.name,
            redirect_uris=asked.redirect_uris,
            scopes=asked.scopes,
            public=asked.public,
        )
    return json_answer(_shown(client) | {"secret": secret}, 201, {"Cache-Control": "no-store"})


@router.delete("/v1/auth/clients/{clientId}", operation_id="deleteClient", status_code=204, response_class=Response)
def delete(client_id: ClientId, caller: Admin, server: Server) -> Response:
    """Delete an OAuth client; its tokens end at once."""
    with server.database.write() as session:
        delete_client(session, caller.organization, client_id)
    return Response(status_code=204)


async def _endpoint(request: Request, server: ServerState, work: Any) -> Response:
    values = await _values(request)
    asked = FormRequest("POST", request.url.path, values, dict(request.headers.items()) | _basic(request))

    def run() -> Response:
        with server.database.write() as session:
            answer: Response = work(Flows(session, server.settings.base_url), asked)
            return answer

    answer: Response = await to_thread.run_sync(run)
    if answer.status_code == 401:  # a client that is not who it says
        count_failure(server, request)
    return answer


def _basic(request: Request) -> dict[str, str]:
    """Authlib looks for the header in its usual spelling, and stumbles over one that is no base64 of UTF-8."""
    given = request.headers.get("authorization", "")
    try:
        base64.b64decode(given.partition(" ")[2].strip()).decode()
    except ValueError:
        return {}
    return {"Authorization": given}


async def _values(request: Request) -> dict[str, str]:
    """The fields of a form. A field that comes twice is refused, as RFC 6749 says."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/x-www-form-urlencoded":
        raise ApiError("UNSUPPORTED_MEDIA", "This takes application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl((await request.body()).decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        raise ApiError("INVALID_REQUEST", "The form can't be read.") from None
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ApiError("INVALID_REQUEST", "A field comes twice.")
    return values


def _ask(server: ServerState, values: dict[str, str], complaint: str | None) -> Response:
    with server.database.read() as session:
        flows = Flows(session, server.settings.base_url)
        asked = FormRequest("GET", "/v1/auth/authorize", values, {})
        try:
            grant = flows.get_consent_grant(asked)
        except OAuth2Error as error:
            response: Response = flows.handle_error_response(asked, error)
            return response
        client: OAuthClient = grant.client.record
        scopes = grant.client.get_allowed_scope(values.get("scope")).split()
        sealed = server.signer.token(values, purpose="consent")
        host = urlsplit(values["redirect_uri"]).netloc
        page = consent_page(client.name, host, scopes, sealed, complaint)
    return HTMLResponse(page, 200 if complaint is None else 401, CONSENT_HEADERS)


def _answer(server: ServerState, values: dict[str, str], form: dict[str, str], request: Request) -> Response:
    owner: Principal | None = None
    if form.get("decision") == "allow":
        count_failure(server, request)
        try:
            with server.database.read() as session:
                owner = principal_of_key(session, form.get("key", ""), form.get("secret", ""))
        except ApiError as error:
            return _ask(server, values, error.detail)
    with server.database.write() as session:
        flows = Flows(session, server.settings.base_url)
        asked = FormRequest("POST", "/v1/auth/authorize", values, {})
        try:
            grant = flows.get_consent_grant(asked)
            asked.user = owner
            made: Response = flows.create_authorization_response(asked, owner, grant)
        except OAuth2Error as error:
            made = flows.handle_error_response(asked, error)
    return made


def _shown(client: OAuthClient) -> dict[str, Any]:
    return {
        "clientId": client.id,
        "name": client.name,
        "public": client.secret_hash is None,
        "redirectUris": client.redirect_uris,
        "scopes": client.scopes,
        "created": rfc3339(client.created),
    }
