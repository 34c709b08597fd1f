"""The table of all error codes of the API, with their statuses and what to do about them.

The documentation's page of errors is made from it. The library's codes (`pixr.errors`) are the same words in capitals.
Bodies are `application/problem+json` (RFC 9457).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm.exc import StaleDataError

from pixr.errors import PixrError, UnreadableVideo

__all__ = ["CODES", "ApiError", "Code", "problem", "problem_of"]

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class Code:
    """A code's status, its title, and what a caller can do."""

    status: int
    title: str
    advice: str


CODES: dict[str, Code] = {
    # who asks
    "AUTHENTICATION_REQUIRED": Code(401, "No credentials", "Send X-API-Key and X-API-Secret, or a bearer token."),
    "INVALID_API_KEY": Code(401, "Invalid API key", "Check key and secret; it may be revoked or expired."),
    "INVALID_TOKEN": Code(401, "Invalid token", "The token is expired, revoked, or not meant for this API."),
    "INSUFFICIENT_SCOPE": Code(403, "Scope is missing", "Use credentials with the scope that the detail names."),
    "FORBIDDEN": Code(403, "Not allowed", "This can't be done with these credentials."),
    "QUOTA_EXCEEDED": Code(402, "Quota used up", "Wait for the next month or change the plan."),
    "RATE_LIMITED": Code(429, "Too many requests", "Wait as many seconds as Retry-After says."),
    # what is asked
    "INVALID_REQUEST": Code(422, "Invalid request", "`errors` points at each field that is wrong."),
    "INVALID_QUERY": Code(422, "Invalid query", "The detail says what has no meaning."),
    "INVALID_FILTER": Code(422, "Invalid filter", "The detail names the part that can't be read."),
    "INVALID_CURSOR": Code(400, "Invalid cursor", "Use `nextCursor` as it came, with the same question."),
    "CURSOR_EXPIRED": Code(410, "Cursor expired", "Search again from the first page."),
    "INVALID_VECTOR": Code(422, "Invalid vector", "Components must be finite and not all zero."),
    "INVALID_SPAN": Code(422, "Invalid span", "A segment needs 0 <= start <= end."),
    "INVALID_VIDEO": Code(422, "Invalid video", "The detail names the field that can't be stored."),
    "INVALID_SIGNATURE": Code(400, "Not genuine", "The webhook was not signed with this secret, or is too old."),
    "INVALID_CAPTIONS": Code(422, "Invalid captions", "The detail names the line that can't be read."),
    "INVALID_BATCH": Code(422, "Invalid batch", "The detail names the column."),
    "DIMENSION_MISMATCH": Code(422, "Wrong dimension", "Give vectors of the dimension of the library's space."),
    "SPACE_MISMATCH": Code(422, "Wrong space", "The library's vectors are of another encoder."),
    "UNREADABLE_VIDEO": Code(422, "Unreadable media", "The file can't be decoded; try to convert it."),
    "UNSUPPORTED_MEDIA": Code(415, "Unsupported media type", "The detail lists what is taken."),
    "PAYLOAD_TOO_LARGE": Code(413, "Body too large", "Send less, or upload in pieces."),
    "RANGE_NOT_SATISFIABLE": Code(416, "Range is not in the file", "`Content-Range` says how long the file is."),
    "REQUEST_TIMEOUT": Code(408, "Too slow", "Send the body faster; an upload goes on where it was."),
    "NOT_FOUND": Code(404, "Not found", "No such path or thing."),
    "MALFORMED_REQUEST": Code(400, "Not an HTTP request", "Use a method of HTTP, and headers of 64 KiB at most."),
    "METHOD_NOT_ALLOWED": Code(405, "Method not allowed", "`Allow` lists the methods of this path."),
    "VIDEO_NOT_FOUND": Code(404, "Video not found", "It was deleted, or never was in this organization."),
    "KEY_NOT_FOUND": Code(404, "Key not found", "It never was in this organization."),
    "WEBHOOK_NOT_FOUND": Code(404, "Endpoint not found", "It was deleted, or never was in this organization."),
    "DELIVERY_NOT_FOUND": Code(404, "Delivery not found", "It is older than 30 days, or not this organization's."),
    "INSPECTOR_NOT_FOUND": Code(404, "Inspector not found", "It was deleted, or never was in this organization."),
    "CONFLICT": Code(409, "Conflict", "The thing is in a state in which this can't be done."),
    # idempotency
    "IDEMPOTENCY_KEY_REUSED": Code(422, "Idempotency key reused", "A new request needs a new key."),
    "IDEMPOTENCY_IN_FLIGHT": Code(409, "Request in flight", "The same request is being answered; ask again."),
    # uploads
    "UPLOAD_NOT_FOUND": Code(404, "Upload not found", "It ended, expired, or never was in this organization."),
    "UPLOAD_EXPIRED": Code(410, "Upload expired", "Begin a new upload."),
    "UPLOAD_OFFSET_MISMATCH": Code(409, "Wrong offset", "Ask HEAD for the offset and go on from there."),
    "UPLOAD_CHECKSUM_MISMATCH": Code(460, "Checksum mismatch", "Send the piece again."),
    "UPLOAD_CHECKSUM_UNSUPPORTED": Code(
        400, "Unknown checksum", "`Tus-Checksum-Algorithm` of OPTIONS lists what is known."
    ),
    "UPLOAD_LOCKED": Code(423, "Upload is being written", "Another request writes to it; ask again."),
    "URL_REFUSED": Code(422, "URL refused", "Only public http and https addresses are fetched."),
    "INSUFFICIENT_STORAGE": Code(507, "No space left", "Tell the operator; what was acknowledged is kept."),
    "PRECONDITION_FAILED": Code(412, "Precondition failed", "The header that the detail names is needed."),
    # the server
    "OVERLOADED": Code(503, "Overloaded", "Too many searches or the like wait; ask again after Retry-After."),
    "UNAVAILABLE": Code(503, "Unavailable", "The server is starting, stopping, or can't reach a part of itself."),
    "LIBRARY_LOCKED": Code(503, "Library is being written", "Others write for long, or many wait to write; ask again."),
    "LIBRARY_NOT_FOUND": Code(500, "Library not found", "Tell the operator: a library's directory is gone."),
    "NOT_A_LIBRARY": Code(500, "Not a library", "Tell the operator: a directory holds something else."),
    "LIBRARY_EXISTS": Code(409, "Library is there already", "Choose another place for the new one."),
    "BACKUP_MISMATCH": Code(409, "Another backup is there", "Choose an empty directory."),
    "SNAPSHOT_NOT_FOUND": Code(404, "Snapshot not found", "It was deleted, or never was in this library."),
    "SNAPSHOT_EXISTS": Code(409, "Snapshot is there already", "Choose another name, or delete it first."),
    "INVALID_NAME": Code(422, "Invalid name", "The detail says which letters are allowed."),
    "CLOSED": Code(503, "Library is closing", "Ask again."),
    "READ_ONLY": Code(500, "Library is read-only", "Tell the operator."),
    "FORMAT_UNSUPPORTED": Code(500, "Unknown format", "Tell the operator: another version wrote the library."),
    "DAMAGED": Code(500, "Damaged library", "Tell the operator: `pixr check` names the file."),
    "IO": Code(500, "Storage error", "Tell the operator: the disk refused."),
    "MODEL_INVALID": Code(500, "Model can't be used", "Tell the operator."),
    "MODEL_DOWNLOAD_FAILED": Code(500, "Model can't be fetched", "Tell the operator: `pixr models pull` says why."),
    "MODEL_NOT_FOUND": Code(500, "Model not found", "Tell the operator."),
    "SPEECH_UNAVAILABLE": Code(500, "No speech recognition", "Tell the operator."),
    "MISSING_EXTRA": Code(501, "Not installed", "The operator has to install what the detail names."),
    "INTERNAL": Code(500, "Internal error", "Report it with the requestId."),
}


class ApiError(Exception):
    """Ends a request with a code of the table."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.errors = list(errors)
        self.headers = dict(headers or {})
        if self.status == 401:  # which never comes without a challenge (RFC 9110, 11.6.1)
            self.headers.setdefault("WWW-Authenticate", "Bearer")

    @property
    def status(self) -> int:
        """The HTTP status of the code."""
        return CODES[self.code].status


def problem_of(error: Exception) -> ApiError:
    """Any exception as an error of the API. Exceptions that were not raised on purpose reveal nothing of themselves."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, PixrError):
        code = error.code.upper()
        headers = {"Retry-After": "1"} if CODES[code].status == 503 else {}
        ours = CODES[code].status >= 500 and code != "MISSING_EXTRA"  # paths and the like belong in the log
        detail = error.reason if isinstance(error, UnreadableVideo) else str(error)  # its text has a path of the server
        return ApiError(code, CODES[code].title if ours else detail, headers=headers)
    if isinstance(error, DataError | UnicodeEncodeError):  # a NUL for PostgreSQL; half of a surrogate pair
        return ApiError("INVALID_REQUEST", "A value of the request can't be stored.")
    if isinstance(error, StaleDataError):  # on PostgreSQL, where another request committed first
        return ApiError("CONFLICT", "It was deleted while this request was at work.")
    if isinstance(error, OperationalError | PoolTimeout):  # others write for too long, or it does not answer
        return ApiError("UNAVAILABLE", "The database can't be reached, or is busy.", headers={"Retry-After": "1"})
    return ApiError("INTERNAL", "Something went wrong in the server.")


def problem(error: ApiError, *, instance: str, request_id: str) -> dict[str, Any]:
    """The body of an error."""
    known = CODES[error.code]
    body: dict[str, Any] = {
        "type": f"/docs/errors/{error.code}",
        "title": known.title,
        "status": known.status,
        "detail": error.detail,
        "instance": instance,
        "code": error.code,
        "requestId": request_id,
    }
    if error.errors:
        body["errors"] = error.errors
    return body
