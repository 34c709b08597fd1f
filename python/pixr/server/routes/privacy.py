"""`/v1/export` and `/v1/privacy`: everything that is held, as a file; deletions and their receipts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import select
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from pixr.server.answer import json_answer
from pixr.server.errors import ApiError
from pixr.server.models import PrivacyReceipt
from pixr.server.paging import Cursor, Limit, page
from pixr.server.principal import Admin
from pixr.server.privacy.deletion import delete_organization, delete_user
from pixr.server.privacy.export import write_export
from pixr.server.schemas.privacy import DeletionRequest, Receipt, ReceiptList
from pixr.server.schemas.shape import Stored
from pixr.server.state import Server, ServerState

router = APIRouter(tags=["privacy"])

_BLOCK_BYTES = 1 << 16


@router.get(
    "/v1/export",
    operation_id="exportData",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {"example": "PK…"}}, "description": "A ZIP file"}},
)
async def export(
    caller: Admin, server: Server, user_id: Annotated[Stored | None, Query(alias="userId", max_length=200)] = None
) -> Response:
    """Get everything that is held about the organization, or about one of its users, as a ZIP file."""
    whose = caller.organization
    made = await server.slow.run(whose, lambda: write_export(server.database, server.libraries, whose, user=user_id))
    headers = {"Content-Disposition": 'attachment; filename="pixr-export.zip"', "Cache-Control": "no-store"}
    return StreamingResponse(
        _blocks(made), media_type="application/zip", headers=headers, background=BackgroundTask(made.close)
    )


@router.post("/v1/privacy/deletions", operation_id="deletePersonalData", response_model=Receipt)
async def delete(asked: DeletionRequest, caller: Admin, server: Server) -> Response:
    """Delete a user's data, or all of the organization's; the receipt says what went, and is kept."""
    return await server.slow.run(caller.organization, lambda: _delete(server, caller.organization, asked))


@router.get("/v1/privacy/receipts", operation_id="listPrivacyReceipts", response_model=ReceiptList)
def receipts(caller: Admin, server: Server, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """List the receipts of deletions, newest first."""
    query = select(PrivacyReceipt).where(PrivacyReceipt.organization_id == caller.organization)
    with server.database.read() as session:
        found = list(session.scalars(query.order_by(PrivacyReceipt.created.desc(), PrivacyReceipt.id.desc())))
    whose = caller.organization
    return json_answer(
        page(server.signer, "receipts", found, _shown, of=whose, limit=limit, cursor=cursor, newest_first=True)
    )


def _shown(one: PrivacyReceipt) -> dict[str, Any]:
    return one.receipt


def _blocks(file: IO[bytes]) -> Iterator[bytes]:
    while block := file.read(_BLOCK_BYTES):
        yield block


def _delete(server: ServerState, organization: str, asked: DeletionRequest) -> Response:
    server.search_log.flush_everywhere()  # what waits to be written has to be there to be deleted
    if asked.scope == "organization":
        if asked.confirm != organization:
            raise ApiError("INVALID_REQUEST", "`confirm` has to be the organization's id.")
        server.search_log.forget(organization)  # what could not be written is not to come after the deletion
        return json_answer(delete_organization(server.database, server.libraries, organization))
    assert asked.user_id is not None
    server.search_log.forget(organization, asked.user_id)
    return json_answer(delete_user(server.database, server.libraries, organization, asked.user_id))
