"""URLs that are good without credentials: pictures, players and uploads, each with a token that says whose it is.

They are as good as the organization's keys: none opens anything while it is suspended, or once it was deleted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anyio import to_thread

from pixr.server.models import Organization
from pixr.server.principal import check_serves

if TYPE_CHECKING:
    from pixr.server.state import ServerState

__all__ = ["open_url"]


async def open_url(
    server: ServerState, token: str, *, purpose: str, max_age: float | None = None, timed: bool = True
) -> tuple[str, str]:
    """The organization, and which of its things the token of a URL is for.

    Raises:
        ApiError: INVALID_TOKEN; FORBIDDEN, the organization is suspended.
    """
    organization, thing = server.signer.open_token(token, purpose=purpose, max_age=max_age, timed=timed)

    def check() -> None:
        with server.database.read() as session:
            check_serves(session.get(Organization, organization))

    await to_thread.run_sync(check)
    return str(organization), str(thing)
