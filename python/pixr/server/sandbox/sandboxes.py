"""Resets sandboxes: deletes their rows and files, and puts back the test clips, which are indexed once for all of them.

Whoever resets a sandbox that is due takes it for ten minutes, so that it is reset again if a crash cuts that short.
Credentials, webhook endpoints and the used quota are kept. So are idempotency keys: requests under way hold theirs, and
asking again for a reset under the same key must remain one reset.
"""

from __future__ import annotations

import hashlib
import logging
import shutil
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from sqlalchemy import delete, or_, select

import pixr
from pixr.errors import MissingExtra
from pixr.inside import engine_of
from pixr.progress import Source
from pixr.server.database import Database, now
from pixr.server.libraries import Libraries
from pixr.server.models import UPLOADS, Organization, VideoRecord
from pixr.server.pictures import PICTURES
from pixr.server.privacy.holdings import of_organization
from pixr.server.sandbox.clips import write_clips
from pixr.server.settings import Settings

__all__ = ["Sandboxes", "next_morning"]

log = logging.getLogger("pixr.server.sandbox")
_TAKEN_FOR = timedelta(minutes=10)
_LOOK_SECONDS = 2.0
_KEPT = frozenset(
    {
        "api_keys",
        "oauth_clients",
        "oauth_tokens",
        "webhook_endpoints",
        "inspectors",
        "inspector_requests",
        "usage",
        "idempotent_requests",
    }
)
_FILMS = frozenset({".mp4", ".mov", ".mkv", ".webm", ".avi"})


class Sandboxes:
    """The sandboxes of all organizations."""

    def __init__(self, settings: Settings, database: Database, libraries: Libraries) -> None:
        self._settings = settings
        self._database = database
        self._libraries = libraries
        self._looked = 0.0

    def reset_next(self) -> bool:
        """Reset one sandbox that is due. False if none is, or if this was checked just now."""
        if time.monotonic() - self._looked < _LOOK_SECONDS:
            return False
        due = select(Organization).where(
            Organization.sandbox,
            Organization.suspended.is_(None),
            or_(Organization.sandbox_due.is_(None), Organization.sandbox_due <= now()),
        )
        with self._database.read() as session:
            waits = session.scalar(due.limit(1)) is not None
        if not waits:
            self._looked = time.monotonic()
            return False
        with self._database.write() as session:
            found = session.scalar(due.order_by(Organization.id).limit(1).with_for_update(skip_locked=True))
            if found is None:
                return False
            found.sandbox_due = now() + _TAKEN_FOR
            organization = found.id
        try:
            self.reset(organization)
        except Exception:  # it will be due again in ten minutes
            log.warning("a sandbox could not be reset", extra={"organization": organization}, exc_info=True)
        return True

    def reset(self, organization: str) -> int:
        """Make a sandbox as new, and return how many test clips it holds.

        Raises:
            LibraryLocked: it is being written to.
        """
        clips, home = self._indexed(), self._libraries.home(organization)
        uploads = list((home / UPLOADS).glob("*"))
        with self._libraries.writing(organization) as library:
            with self._database.write() as session:
                for table, condition in of_organization(organization):
                    if table.name not in _KEPT:
                        session.execute(delete(table).where(condition))
            if known := engine_of(library).video_ids():
                library.delete(*known)
            count = library.load(clips)
            library.compact()
        shutil.rmtree(home / PICTURES, ignore_errors=True)
        with self._database.write() as session:
            since = select(VideoRecord).where(VideoRecord.organization_id == organization)
            begun = {home / video.place for video in session.scalars(since)}  # since the rows went
            for file in uploads:
                if file not in begun:
                    file.unlink(missing_ok=True)
            done = session.get_one(Organization, organization)
            done.sandbox_reset, done.sandbox_due = now(), next_morning(now())
        log.info("a sandbox was reset", extra={"organization": organization, "clips": count})
        return count

    def _indexed(self) -> Path:
        """The test clips as a file that libraries load. The first reset that needs it makes it."""
        folder = self._settings.data_directory / "sandbox"
        given = self._settings.sandbox_clips
        sources = write_clips(folder) if given is None else _found(given)
        known = repr((self._settings.encoder, self._settings.screen, [str(one.path) for one in sources]))
        made = folder / f"clips-{hashlib.sha256(known.encode()).hexdigest()[:16]}.parquet"
        if made.exists():
            return made
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="indexing-", dir=folder) as place:
            with pixr.open(Path(place) / "library.pixr", encoder=self._settings.encoder) as library:
                self._index(library, sources)
                library.export(Path(place) / "clips.parquet")
            (Path(place) / "clips.parquet").replace(made)
        return made

    def _index(self, library: pixr.Library, sources: Sequence[Source]) -> None:
        for screen in (True, False) if self._settings.screen else (False,):
            try:
                for outcome in library.add_many(sources, speech=False, screen=screen, skip_known=False):
                    if outcome.error is not None:
                        raise outcome.error
                return
            except MissingExtra:
                if not screen:
                    raise


def next_morning(instant: datetime) -> datetime:
    """The next midnight, UTC."""
    day = instant.astimezone(timezone.utc).replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1)


def _found(folder: Path) -> list[Source]:
    """The operator's own clips, with captions that lie beside them under the same name."""
    sources = []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in _FILMS:
            beside = [path.with_suffix(end) for end in (".srt", ".vtt", ".json") if path.with_suffix(end).exists()]
            name = "".join(letter if letter.isalnum() else "_" for letter in path.stem)
            sources.append(
                Source(path.absolute(), id=f"vid_test_{name}", title=path.stem, captions=beside[0] if beside else None)
            )
    return sources
