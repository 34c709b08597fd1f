"""URLs that work without credentials, for pictures, players and uploads: each has a token that says whose it is.

Like an organization's keys, they open nothing while it is suspended or once it was deleted.
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
    """The organization that a URL's token is of, and the id of what it opens.

    Raises:
        ApiError: INVALID_TOKEN, or FORBIDDEN if the organization is suspended.
    """
    organization, thing = server.signer.open_token(token, purpose=purpose, max_age=max_age, timed=timed)

    def check() -> None:
        with server.database.read() as session:
            check_serves(session.get(Organization, organization))

    await to_thread.run_sync(check)
    return str(organization), str(thing)
