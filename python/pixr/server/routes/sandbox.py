"""`/v1/sandbox`: what test keys act on."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session
from starlette.responses import Response

from pixr.server.answer import json_answer
from pixr.server.database import now
from pixr.server.instants import rfc3339
from pixr.server.models import Organization
from pixr.server.organizations import find_organization, sandbox_of
from pixr.server.principal import Admin, VideoReader
from pixr.server.schemas.sandbox import SandboxShape
from pixr.server.state import Server

router = APIRouter(prefix="/v1/sandbox", tags=["sandbox"])


@router.get("", operation_id="getSandbox", response_model=SandboxShape)
def get(caller: VideoReader, server: Server) -> Response:
    """Say when the sandbox was reset, and when it will be. With a live key too."""
    with server.database.write() as session:
        return json_answer(_shown(_own(session, caller.organization)))


@router.post("/reset", operation_id="resetSandbox", status_code=202, response_model=SandboxShape)
def reset(caller: Admin, server: Server) -> Response:
    """Make the sandbox as new, in the background: videos, searches and events go, the test clips come back."""
    with server.database.write() as session:
        sandbox = _own(session, caller.organization)
        sandbox.sandbox_due = now()
        return json_answer(_shown(sandbox), 202)


def _own(session: Session, organization: str) -> Organization:
    found = find_organization(session, organization)
    assert found is not None
    return sandbox_of(session, found)


def _shown(sandbox: Organization) -> dict[str, Any]:
    due = sandbox.sandbox_due or now()
    return {
        "organization": sandbox.id,
        "ready": sandbox.sandbox_reset is not None and due > now(),
        "lastReset": rfc3339(sandbox.sandbox_reset),
        "nextReset": rfc3339(due),
    }
