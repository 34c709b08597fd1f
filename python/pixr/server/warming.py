"""Loads models while nobody waits for them, so that the first search of a process finds them loaded.

A process has each model once, and its libraries nearly always use the same ones. So only the models of one library are
loaded here, the first that holds vectors. If another library uses others, the first search that needs them loads them.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from sqlalchemy import select

from pixr.errors import MissingExtra
from pixr.inside import encoders_of, engine_of
from pixr.server.models import Organization
from pixr.spaces import spaces_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pixr.server.state import ServerState

__all__ = ["Warming"]

log = logging.getLogger("pixr.server.warming")
_END_SECONDS = 2.0


class Warming:
    """A thread that loads models once and ends."""

    def __init__(self, server: ServerState) -> None:
        self._server = server
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="pixr-warming", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Begin no further library."""
        self._ended.set()

    def join(self) -> None:
        """Wait briefly for the thread: a process that ends while a model is being loaded may crash."""
        self._thread.join(_END_SECONDS)

    def warm(self) -> bool:
        """Load the models of the first library that holds vectors, and use them once; False if there is none.

        Raises:
            PixrError: they can't be loaded.
        """
        libraries = self._server.libraries
        for organization in self._organizations():
            if self._ended.is_set():
                return False
            if not libraries.path(organization).exists():
                continue
            with libraries.reading(organization) as library:
                if spaces_of(engine_of(library)):
                    for encoder in encoders_of(library).loaded().all:
                        encoder.encode_text(["warm"])
                    return True
        return False

    def _organizations(self) -> Sequence[str]:
        """The organizations whose libraries to look at: no more than are kept open."""
        settings = self._server.settings
        if settings.library is not None:
            return [""]
        served = select(Organization.id).where(Organization.suspended.is_(None)).order_by(Organization.created)
        with self._server.database.read() as session:
            return session.scalars(served.limit(settings.open_libraries)).all()

    def _run(self) -> None:
        try:
            self.warm()
        except MissingExtra as error:  # words can be searched without models
            log.info("no models were loaded", extra={"detail": str(error)})
        except Exception:  # a search that needs them will report it
            if not self._ended.is_set():
                log.warning("the models could not be loaded ahead of the first search", exc_info=True)
