"""`/v1/export` and `/v1/privacy`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator

from pixr.server.schemas.shape import RequestShape, ResponseShape, Stored
from pixr.server.schemas.videos import ListPagination

__all__ = ["DeletionRequest", "Receipt", "ReceiptList"]

RECEIPT_EXAMPLE: dict[str, Any] = {
    "receiptId": "rcp_7q3k5w4mzy2a6bnd4vhtj3c2ei",
    "scope": "user",
    "completed": "2026-11-24T08:00:00.000Z",
    "library": {
        "videos": 3,
        "segments": 212,
        "libraryFiles": 4,
        "includes": "segments, vectors and texts, compacted out of the files",
    },
    "rows": {"events": 9, "videos": 3},
    "files": {"count": 6, "bytes": 1_048_576, "uploads": 3, "pictures": 3, "others": 0},
    "backups": "The server makes no backups; those of the operator expire as the operator's own retention says.",
}


class DeletionRequest(RequestShape):
    """What to delete. The organization's own id confirms that all of it is meant."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"scope": "user", "userId": "usr_1"}]})

    scope: Literal["user", "organization"]
    user_id: Stored | None = Field(default=None, min_length=1, max_length=200)
    confirm: str | None = Field(default=None, max_length=200, description="the organization's id, to delete all of it")

    @model_validator(mode="after")
    def _agree(self) -> DeletionRequest:
        if (self.scope == "user") != (self.user_id is not None):
            raise ValueError("userId goes with the scope user, and only with it")
        return self


class LibraryRemoved(ResponseShape):
    """What went from the library."""

    videos: int
    segments: int
    library_files: int
    includes: str


class FilesRemoved(ResponseShape):
    """Files that went: uploads, pictures (thumbnails and sprites), and others."""

    count: int
    bytes: int
    uploads: int = 0
    pictures: int = 0
    others: int = 0


class Receipt(ResponseShape):
    """Proof of a deletion."""

    model_config = ConfigDict(json_schema_extra={"examples": [RECEIPT_EXAMPLE]})

    receipt_id: str
    scope: Literal["user", "organization"]
    completed: datetime
    library: LibraryRemoved
    rows: dict[str, int]
    files: FilesRemoved
    backups: str


class ReceiptList(ResponseShape):
    """Receipts, newest first."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"receipts": [RECEIPT_EXAMPLE], "pagination": {"nextCursor": None, "hasMore": False}},
            ]
        }
    )

    receipts: list[Receipt]
    pagination: ListPagination
