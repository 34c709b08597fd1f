"""Signs what clients bring back, such as cursors and embed tokens. The secret is made once and kept in the database."""

from __future__ import annotations

import secrets
from typing import Any

from itsdangerous import BadData, SignatureExpired, URLSafeSerializer, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode

from pixr.server.database import Database
from pixr.server.errors import ApiError
from pixr.server.own_secrets import own_secret

__all__ = ["Signer"]

_NAME = "signing"


class Signer:
    """Signs values for a purpose. What was signed for one purpose is not accepted for another."""

    def __init__(self, database: Database) -> None:
        self._secret = own_secret(database, _NAME, lambda: secrets.token_bytes(32))

    def cursor(self, position: Any, *, of: str) -> str:
        """A cursor for a position in the list `of`."""
        return str(URLSafeSerializer(self._secret, salt=f"cursor:{of}").dumps(position))

    def position(self, cursor: str, *, of: str) -> Any:
        """The position that `cursor` was made from.

        Raises:
            ApiError: INVALID_CURSOR.
        """
        try:
            _refuse_other_spellings(cursor)
            return URLSafeSerializer(self._secret, salt=f"cursor:{of}").loads(cursor)
        except BadData:
            raise ApiError("INVALID_CURSOR", "The cursor is forged, damaged, or of another list.") from None

    def token(self, value: Any, *, purpose: str) -> str:
        """A token that carries a value and the time at which it was made."""
        return str(URLSafeTimedSerializer(self._secret, salt=purpose).dumps(value))

    def lasting_token(self, value: Any, *, purpose: str) -> str:
        """A token that carries a value, does not expire, and is the same each time."""
        return str(URLSafeSerializer(self._secret, salt=purpose).dumps(value))

    def open_token(self, token: str, *, purpose: str, max_age: float | None = None, timed: bool = True) -> Any:
        """The value that the token carries, if it is not older than `max_age` seconds.

        Raises:
            ApiError: INVALID_TOKEN.
        """
        try:
            _refuse_other_spellings(token)
            if not timed:
                return URLSafeSerializer(self._secret, salt=purpose).loads(token)
            return URLSafeTimedSerializer(self._secret, salt=purpose).loads(token, max_age=max_age)  # type: ignore[arg-type]
        except SignatureExpired:
            raise ApiError("INVALID_TOKEN", "The token has expired.") from None
        except BadData:
            raise ApiError("INVALID_TOKEN", "The token is not valid.") from None


def _refuse_other_spellings(signed: str) -> None:
    """Raise BadData if the signature is not spelt as `Signer` spells it.

    Some bits of base64's last letter are unused, so several letters there decode to the same bytes. What comes before
    the signature is signed letter by letter, and has no other spelling.
    """
    signature = signed.rpartition(".")[2]
    if base64_encode(base64_decode(signature)).decode() != signature:
        raise BadData("the signature has another spelling")
