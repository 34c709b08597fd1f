"""What a server process holds while it runs, and how routes get it."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Annotated, Any, TypeAlias

from fastapi import Depends
from starlette.requests import Request

from pixr.server.database import Database
from pixr.server.errors import ApiError
from pixr.server.homes import Homes
from pixr.server.known_credentials import KnownCredentials
from pixr.server.latest import last_changes, last_sequences
from pixr.server.libraries import Libraries
from pixr.server.oauth.jwt import UserTokens
from pixr.server.pictures import Pictures
from pixr.server.principal import SCOPES, Principal
from pixr.server.rate_limits import RateLimits
from pixr.server.search_log import SearchLog
from pixr.server.search_pool import SearchPool
from pixr.server.settings import Settings
from pixr.server.signing import Signer
from pixr.server.tracing import end_tracing
from pixr.server.uploads import Uploads
from pixr.server.usage import Usage
from pixr.server.videos import Videos
from pixr.server.watch import Watch
from pixr.server.webhooks.courier import Courier
from pixr.server.webhooks.sender import Sender

__all__ = ["Server", "ServerState", "build_state"]

log = logging.getLogger("pixr.server")
# Each part has at least this long to end, even if the time for all is over, so that what was counted is written.
_LEAST_SECONDS = 0.5
# Threads that one organization may fill, and those that are left to the others then. An organization has all cores to
# search with (`search_concurrency`); as few threads as will do are left beside these, since the others share the cores.
_SEARCHES_A_SPARE = 4
_LINKS_OF_ONE, _LINKS_SPARE = 16, 16
_SLOW_OF_ONE, _SLOW_SPARE = 2, 6
_PICTURES_OF_ONE, _PICTURES_SPARE = 4, 4
# More than `MOST_WRITERS` for one organization, so that its changes leave threads to what it reads.
_VIDEOS_OF_ONE, _VIDEOS_SPARE, _VIDEOS_WAITING = 24, 16, 1000


@dataclass
class ServerState:
    """The parts of a running server. `dev_principal` is who calls without credentials; None except with `--dev`."""

    settings: Settings
    database: Database
    libraries: Libraries
    searches: SearchPool
    links: SearchPool  # what waits for other people's servers, so that searches and requests need not
    signer: Signer
    videos: Videos
    uploads: Uploads
    rate_limits: RateLimits
    usage: Usage
    user_tokens: UserTokens
    known: KnownCredentials
    sender: Sender
    courier: Courier
    search_log: SearchLog
    event_numbers: Watch[str, int]  # of each organization's last event
    video_changes: Watch[tuple[str, str], datetime]  # by organization and video
    pictures: Pictures
    pictures_pool: SearchPool
    videos_pool: SearchPool  # what else reads or writes an organization's files, whose disk may be slow
    slow: SearchPool  # exports and deletions, which may take minutes, so that they do not fill the other threads
    dev_principal: Principal | None = None
    stopping: bool = False
    close_by: float = math.inf  # monotonic
    graphql: Any = None  # the schema, made by the first request for it

    def stop(self) -> None:
        """Take no more requests, and end those that follow events. Called in a signal handler."""
        self.stopping = True
        self.close_by = min(self.close_by, time.monotonic() + self.settings.shutdown_timeout)

    def check_not_stopping(self) -> None:
        """Raise if the server is stopping."""
        if self.stopping:
            raise ApiError("UNAVAILABLE", "The server is stopping.")

    def close(self) -> None:
        """Close everything. What has not ended by `close_by` is left to the end of the process."""
        self.stop()
        for end in (
            self.courier.close,
            self.searches.close,
            self.links.close,
            self.pictures_pool.close,
            self.videos_pool.close,
            self.slow.close,
            self.pictures.close,
            self.usage.close,
            self.search_log.close,
            self.rate_limits.close,
            self.libraries.close,
            self.database.close,
            end_tracing,
        ):
            ending = threading.Thread(target=end, name="pixr-end", daemon=True)
            ending.start()
            ending.join(max(_LEAST_SECONDS, self.close_by - time.monotonic()))
            if ending.is_alive():
                log.warning("a part did not end in time", extra={"part": end.__qualname__})


def build_state(settings: Settings) -> ServerState:
    """Make the parts that `settings` describe, and bring the database up to date."""
    settings.data_directory.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database_url)
    database.migrate()
    libraries = Libraries(
        settings.data_directory,
        Homes(settings.data_directory, settings.regions, database),
        single=settings.library,
        most_open=settings.open_libraries,
        encoder=settings.encoder,
    )
    signer = Signer(database)
    queue, spare = settings.search_queue, -(-settings.search_concurrency // _SEARCHES_A_SPARE)
    videos_pool = SearchPool(_VIDEOS_OF_ONE, _VIDEOS_WAITING, spare=_VIDEOS_SPARE)
    sender = Sender(settings.base_url, settings.allowed_networks)
    state = ServerState(
        settings=settings,
        database=database,
        libraries=libraries,
        searches=SearchPool(settings.search_concurrency, queue, spare=spare),
        links=SearchPool(_LINKS_OF_ONE, queue, spare=_LINKS_SPARE),
        signer=signer,
        videos=Videos(database, libraries, signer, settings.base_url),
        uploads=Uploads(settings, database, libraries, videos_pool),
        rate_limits=RateLimits(settings.data_directory / "rate_limits"),
        usage=Usage(settings, database),
        user_tokens=UserTokens(settings, database),
        known=KnownCredentials(database),
        sender=sender,
        courier=Courier(database, sender, settings.webhook_concurrency),
        search_log=SearchLog(database),
        event_numbers=Watch(partial(last_sequences, database)),
        video_changes=Watch(partial(last_changes, database)),
        pictures=Pictures(),
        pictures_pool=SearchPool(_PICTURES_OF_ONE, queue, spare=_PICTURES_SPARE),
        videos_pool=videos_pool,
        slow=SearchPool(_SLOW_OF_ONE, queue, spare=_SLOW_SPARE),
    )
    if settings.dev:
        from pixr.server.organizations import first_organization

        with database.write() as session:
            owner = first_organization(session, settings)
            state.dev_principal = Principal.of(owner, subject="dev", scopes=SCOPES, environment="test")
    return state


async def _state(request: Request) -> ServerState:
    state: ServerState = request.app.state.server
    return state


Server: TypeAlias = Annotated[ServerState, Depends(_state)]
