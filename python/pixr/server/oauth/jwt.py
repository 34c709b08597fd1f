"""Signed tokens that carry a user's context (`sub`, `org`, `scopes`, `rateLimit`), for browsers and devices.

The server signs its own with ES256 and publishes the key at `/v1/auth/jwks.json`. An organization's own issuer is
accepted if the operator named it (`trusted_issuers`), for that organization alone. The algorithm is always the
issuer's and never what the token says; `none` is not accepted.
"""

from __future__ import annotations

import base64
import json
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

import httpx
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from pydantic_core import from_json
from sqlalchemy.orm import Session

from pixr.server.database import Database
from pixr.server.ids import new_id
from pixr.server.keys import end_of_key, why_ended
from pixr.server.models import Organization
from pixr.server.oauth.tokens import invalid_token
from pixr.server.own_secrets import own_secret
from pixr.server.principal import SCOPES, Principal
from pixr.server.punctual import punctual_client, within
from pixr.server.settings import Settings, TrustedIssuer

__all__ = ["AUDIENCE", "UserTokens"]

log = logging.getLogger("pixr.server.oauth")
AUDIENCE = "pixr"
_ALGORITHM = "ES256"
_NAME = "jwt"
_MAKER = "maker"  # a claim: whose request the token was made at
_LEEWAY_SECONDS = 30
_KEYS_SECONDS = 600
# After this time keys are fetched again if they could not be fetched, or if a token names one that they lack, since the
# issuer may have a new one. Until then the keys from before are used, if there are any.
_AGAIN_SECONDS = 30
_FETCH_SECONDS = 5.0
_MOST_KEY_BYTES = 1 << 20


class UserTokens:
    """Makes and checks tokens."""

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._settings = settings
        self._key = ECKey.import_key(json.loads(own_secret(database, _NAME, _new_key)))
        self._keys = {one.issuer: _Keys() for one in settings.trusted_issuers}

    def public_keys(self) -> dict[str, Any]:
        """The JWKS."""
        key = self._key.as_dict(private=False) | {"alg": _ALGORITHM, "use": "sig", "kid": self._key.kid}
        return {"keys": [key]}

    def issue(
        self,
        organization: str,
        subject: str,
        scopes: Sequence[str],
        seconds: int,
        rate_limit: float | None,
        *,
        maker: str | None = None,
    ) -> str:
        """Make a token for a user of the organization. It ends no later than its `maker`, a key or an OAuth client."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": self._settings.base_url,
            "aud": AUDIENCE,
            "sub": subject,
            "org": organization,
            "scopes": list(scopes),
            "iat": now,
            "nbf": now,
            "exp": now + seconds,
            "jti": new_id("jwt"),
        }
        if rate_limit is not None:
            claims["rateLimit"] = rate_limit
        if maker is not None:
            claims[_MAKER] = maker
        return jwt.encode({"alg": _ALGORITHM, "kid": self._key.kid}, claims, self._key)

    def principal(self, session: Session, token: str) -> Principal:
        """The principal of a token. The session is not used while an issuer's keys are fetched.

        Raises:
            ApiError: INVALID_TOKEN.
        """
        try:
            claims = self._checked(token)
            organization, scopes = claims["org"], claims["scopes"]
            if not isinstance(scopes, list) or not isinstance(claims["sub"], str) or not isinstance(organization, str):
                raise ValueError("claims of the wrong type")
            rate = claims.get("rateLimit")
            limit = float(rate) if rate is not None else None
            if limit is not None and not 0 < limit < 1e9:
                raise ValueError("rateLimit is not a rate")
        except (JoseError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise invalid_token("The token is not valid.") from error
        owner = session.get(Organization, organization)
        if owner is None:
            raise invalid_token("The token is not valid.")
        maker = claims.get(_MAKER, "") if claims["iss"] == self._settings.base_url else ""
        if why := why_ended(session, maker):
            raise invalid_token(why)
        ends = (_instant(claims["exp"] + _LEEWAY_SECONDS), end_of_key(session, maker))
        expires = min((end for end in ends if end is not None), default=None)
        known = [scope for scope in SCOPES if scope in scopes]
        return Principal.of(owner, subject=claims["sub"], scopes=known, rate_limit=limit, expires=expires)

    def _checked(self, token: str) -> dict[str, Any]:
        issuer = self._issuer(_part(token, 1).get("iss"))
        if issuer is None:
            keys, algorithm = KeySet([self._key]), _ALGORITHM
            expected = {"iss": self._settings.base_url, "aud": AUDIENCE}
        else:
            keys, algorithm = self._keys_of(issuer, _part(token, 0).get("kid")), issuer.algorithm
            expected = {"iss": issuer.issuer, "aud": issuer.audience, "org": issuer.organization}
        decoded = jwt.decode(token, keys, algorithms=[algorithm])
        rules: dict[str, Any] = {name: {"essential": True, "value": value} for name, value in expected.items()}
        registry = jwt.JWTClaimsRegistry(
            leeway=_LEEWAY_SECONDS, exp={"essential": True}, sub={"essential": True}, **rules
        )
        registry.validate(decoded.claims)
        return dict(decoded.claims)

    def _issuer(self, name: object) -> TrustedIssuer | None:
        if name == self._settings.base_url:
            return None
        for one in self._settings.trusted_issuers:
            if one.issuer == name:
                return one
        raise ValueError("an issuer that nobody has named")

    def _keys_of(self, issuer: TrustedIssuer, named: object) -> KeySet:
        """The issuer's keys. One thread fetches them; others use the earlier ones meanwhile, or wait for the first."""
        known = self._keys[issuer.issuer]
        if self._clock() >= known.until_for(named):
            waits = _FETCH_SECONDS if known.keys is None else 0.0
            if known.fetching.acquire(timeout=waits):
                try:
                    if self._clock() >= known.until_for(named):  # nobody did meanwhile
                        self._fetch(issuer, known)
                finally:
                    known.fetching.release()
        if known.keys is None:
            raise ValueError("an issuer whose keys are not known")
        return known.keys

    def _fetch(self, issuer: TrustedIssuer, known: _Keys) -> None:
        seconds = _KEYS_SECONDS
        try:
            known.keys = _fetched(issuer)
        except (JoseError, ValueError, KeyError, TypeError, OSError, httpx.HTTPError):
            log.warning("keys could not be fetched", extra={"issuer": issuer.issuer}, exc_info=True)
            seconds = _AGAIN_SECONDS
        known.fetched = self._clock()
        known.until = known.fetched + seconds


@dataclass
class _Keys:
    """The keys of an issuer: when they were fetched, and until when they are good (`clock`)."""

    fetched: float = -math.inf
    until: float = -math.inf
    keys: KeySet | None = None
    fetching: threading.Lock = field(default_factory=threading.Lock)

    def until_for(self, named: object) -> float:
        """How long they may be used for a token that names a key."""
        if self.keys is not None and named not in (None, *(key.kid for key in self.keys)):
            return min(self.until, self.fetched + _AGAIN_SECONDS)
        return self.until


def _fetched(issuer: TrustedIssuer) -> KeySet:
    file = issuer.jwks_file
    content = file.read_bytes() if file is not None else _received(str(issuer.jwks_url))
    keys: KeySet = KeySet.import_key_set(from_json(content))
    return keys


def _received(url: str) -> bytes:
    """Fetch a URL within the limits of time and size for keys."""
    content = b""
    with within(_FETCH_SECONDS), punctual_client(_FETCH_SECONDS) as client, client.stream("GET", url) as answer:
        for block in answer.raise_for_status().iter_bytes(_MOST_KEY_BYTES):
            content += block
            if len(content) > _MOST_KEY_BYTES:
                raise ValueError("an issuer whose keys have no end")
    return content


def _new_key() -> bytes:
    return json.dumps(ECKey.generate_key("P-256", auto_kid=True).as_dict(private=True)).encode()


def _instant(seconds: float) -> datetime | None:
    """The instant of a claim; None if no calendar goes so far."""
    try:
        return datetime.fromtimestamp(seconds, timezone.utc)
    except (OverflowError, ValueError, OSError):
        return None


def _part(token: str, number: int) -> dict[str, Any]:
    """The header (0) or the claims (1) of an unchecked token, only to find out whose keys to check it with."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("not a signed token")
    part = json.loads(base64.urlsafe_b64decode(parts[number] + "=" * (-len(parts[number]) % 4)))
    if not isinstance(part, dict):
        raise TypeError("a part that is no object")
    return part
