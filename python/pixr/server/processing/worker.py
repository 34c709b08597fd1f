"""A process that takes videos from the queue and puts them into their libraries, one after the other.

The library's lock is held only while something is written (`LeasedEngine`), so that videos can be deleted and updated
meanwhile. Files are read by decoder processes with limits of their own (`pixr.media.sandbox`).
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import httpx

from pixr.errors import InvalidInput, MissingExtra, PixrError, UnreadableVideo
from pixr.inside import engine_of
from pixr.library import Library
from pixr.media.freed_memory import keep_freed
from pixr.progress import Outcome, Progress, Source
from pixr.server.database import Database
from pixr.server.errors import ApiError
from pixr.server.homes import Homes
from pixr.server.libraries import VISIBLE_SECONDS, Libraries, SharedEncoders, SharedLibraryEncoders, open_to_write
from pixr.server.metrics import INGEST_VIDEOS
from pixr.server.models import VideoRecord
from pixr.server.processing.fetch import fetch
from pixr.server.processing.queue import Queue
from pixr.server.sandbox.sandboxes import Sandboxes
from pixr.server.settings import Settings
from pixr.server.tracing import end_tracing, span, start_tracing
from pixr.server.videos import library_changes
from pixr.types import Creator

if TYPE_CHECKING:
    from pixr import _engine
    from pixr.encoders.load import Encoders

__all__ = ["IndexingEncoders", "Worker", "main"]

log = logging.getLogger("pixr.server.worker")
_POLL_SECONDS = 0.5
_MOST_SERVED = 100
# Fetching counts as this share of a video's progress.
_FETCHING_SHARE = 0.2
_TAKEN_AWAY = "it was deleted, cancelled or given to another worker"
_CHANGEABLE = ("title", "description", "tags", "created", "quality", "creator")


class LeasedEngine:
    """A handle of the engine that takes the library's lock for each call and releases it afterwards.

    `check` is called under the lock, and raises if the work must stop. Deleting a video takes the same lock, so nothing
    of it is stored afterwards.
    """

    def __init__(self, path: Path, encoder: str | None, check: Callable[[], None]) -> None:
        self._path = path
        self._encoder = encoder
        self._check = check

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Any:
            with open_to_write(self._path, self._encoder) as library:
                self._check()
                return getattr(engine_of(library), name)(*arguments)

        return call


def _open_leased(path: Path, encoders: IndexingEncoders, check: Callable[[], None]) -> Library:
    """Open a library that takes its lock for single calls only, with encoders that outlive it."""
    engine = cast("_engine.Library", LeasedEngine(path, encoders.encoder, check))
    return Library(engine, path, SharedLibraryEncoders(path, encoders))


class IndexingEncoders(SharedEncoders):
    """Models that use one thread for each call."""

    def _load(self, names: Any) -> Encoders:
        from pixr.encoders.load import load_encoders
        from pixr.encoders.protocol import EncoderOptions

        return load_encoders(names, EncoderOptions(threads=1))


class _GivenUp(BaseException):
    """The work must stop."""


class Worker:
    """Processes videos, one at a time."""

    def __init__(
        self, settings: Settings, database: Database, libraries: Libraries, encoders: IndexingEncoders | None = None
    ) -> None:
        """`encoders` are those of another worker in the same process, if there is one."""
        self.id = f"{socket.gethostname()}:{os.getpid()}:{threading.get_ident()}"
        self.stopping = threading.Event()
        self._settings = settings
        self._libraries = libraries
        self._queue = Queue(database, settings.ingest_attempts)
        self._encoders = encoders or IndexingEncoders(settings.encoder)
        self._served: list[str] = []  # organizations, the last one last
        self._sandboxes = Sandboxes(settings, database, libraries)

    def run(self) -> None:
        """Work until `stopping` is set. A video under way is then given back, and another worker finishes it."""
        while not self.stopping.is_set():
            if not self.work_once() and not self._sandboxes.reset_next():
                self.stopping.wait(_POLL_SECONDS)

    def work_once(self) -> bool:
        """Process the next video; False if none is waiting."""
        video = self._queue.claim(self.id, self._served)
        if video is None:
            return False
        others = [one for one in self._served if one != video.organization_id]
        self._served = [*others, video.organization_id][-_MOST_SERVED:]
        begun = time.monotonic()
        job = _Job(video, self._queue, self.id, self._settings, self.stopping)
        about: dict[str, str | int] = {
            "pixr.video": video.id,
            "pixr.organization": video.organization_id,
            "pixr.attempt": video.attempts,
        }
        try:
            with span("ingest", about, kind="consumer"):
                self._process(video, job)
        except _GivenUp as reason:
            INGEST_VIDEOS.labels("left").inc()
            log.info("given up", extra={"video": video.id, "reason": str(reason)})
            if self.stopping.is_set():
                self._queue.give_back(video.id, self.id)
        except Exception as error:
            final = isinstance(error, (InvalidInput, MissingExtra, ApiError)) and not isinstance(error, OSError)
            code = getattr(error, "code", "internal")
            log.warning("processing failed", extra={"video": video.id, "code": code}, exc_info=not final)
            self._queue.fail(video.id, self.id, code, _reason(error), final=final)
            INGEST_VIDEOS.labels("failed").inc()
        else:
            INGEST_VIDEOS.labels("completed").inc()
            log.info("processed", extra={"video": video.id, "seconds": round(time.monotonic() - begun, 2)})
        finally:
            job.end()
            self._drop_file_of_deleted(video)
        return True

    def _process(self, video: VideoRecord, job: _Job) -> None:
        home = self._libraries.home(video.organization_id)
        file = home / video.place
        if video.file is None:
            file.parent.mkdir(parents=True, exist_ok=True)
            with span("fetch"):
                self._fetch(video, file, job)
        with span("index"):
            outcome = self._index(video, file, job)
            if outcome.error is not None:
                raise outcome.error
        assert outcome.video is not None
        path = self._libraries.path(video.organization_id)
        with span("complete"), open_to_write(path, self._encoders.encoder) as library:
            # Requests that change a video hold the library too, so this is all that they changed. It is stored before
            # the video is complete: nobody would take up what is missing after that.
            known = self._queue.held(video.id, self.id)
            changes = _changed(video, known) if known is not None else {}
            if changes:
                library.update(video.id, **library_changes(changes))
            facts: dict[str, Any] = {
                "file": video.place,
                "duration": outcome.video.duration,
                "quality": changes.get("quality", outcome.video.quality),
                "segment_count": len(library.segments(video.id)),
                "warnings": list(outcome.warnings),
                **_size(file),
            }
            if known is None or self._queue.complete(video.id, self.id, facts) is None:
                if not self._queue.wants(video.id):  # deleted or cancelled while it was stored
                    library.delete(video.id)
                raise _GivenUp(_TAKEN_AWAY)
        time.sleep(VISIBLE_SECONDS)

    def _fetch(self, video: VideoRecord, path: Path, job: _Job) -> None:
        assert video.source_url is not None
        fetch(
            video.source_url,
            path,
            most_bytes=self._settings.max_upload_bytes,
            seconds=self._settings.fetch_seconds,
            allowed=self._settings.allowed_networks,
            on_bytes=job.fetched,
            check=job.check,
            free_bytes=self._settings.free_bytes,
        )

    def _drop_file_of_deleted(self, video: VideoRecord) -> None:
        """Remove a fetched file if its video was deleted meanwhile, perhaps before the file was there to be removed."""
        if not self._queue.knows(video.id):
            (self._libraries.home(video.organization_id) / video.place).unlink(missing_ok=True)

    def _index(self, video: VideoRecord, path: Path, job: _Job) -> Outcome:
        source = Source(
            path,
            id=video.id,
            title=video.title or Path(video.filename or video.source_url or video.id).stem,
            description=video.description,
            tags=tuple(video.tags),
            created=video.created,
            quality=video.quality,
            creator=Creator(**video.creator) if video.creator else None,
            metadata=video.details,
        )
        library = _open_leased(self._libraries.path(video.organization_id), self._encoders, job.check_held)
        library.path.parent.mkdir(parents=True, exist_ok=True)
        outcomes = library.add_many(
            [source],
            speech=self._settings.speech,
            screen=self._settings.screen,
            jobs=1,
            skip_known=False,
            on_progress=job.indexed,
        )
        return next(iter(outcomes))


class _Job:
    """A video that is being processed: renews its lease, adds up progress, and says when to stop."""

    def __init__(
        self, video: VideoRecord, queue: Queue, worker: str, settings: Settings, stopping: threading.Event
    ) -> None:
        self._video = video.id
        self._queue = queue
        self._worker = worker
        self._settings = settings
        self._stopping = stopping
        self._deadline = time.monotonic() + settings.ingest_seconds
        self._stages: dict[str, float] = {}
        self._base = 0.0
        self._reason: str | None = None
        self._ended = threading.Event()
        threading.Thread(target=self._beat, name="pixr-lease", daemon=True).start()

    def fetched(self, got: int, total: int | None) -> None:
        """Take the progress of fetching, which counts as a fifth of the whole."""
        self._base = _FETCHING_SHARE
        self._stages["fetch"] = got / total if total else 0.0
        self.check()

    def indexed(self, progress: Progress) -> None:
        """Take the progress of a stage of indexing."""
        if progress.seconds_total > self._settings.max_video_seconds:
            raise UnreadableVideo(progress.video, f"it is longer than {self._settings.max_video_seconds:g} s")
        if time.monotonic() > self._deadline:
            raise UnreadableVideo(progress.video, f"processing took longer than {self._settings.ingest_seconds:g} s")
        part = 1.0 if progress.finished else progress.seconds_done / max(progress.seconds_total, 1e-9)
        self._stages[progress.stage] = min(part, 1.0)
        self.check()

    def end(self) -> None:
        """Stop renewing the lease."""
        self._ended.set()

    def check(self) -> None:
        """Raise if the work must stop."""
        if self._reason is not None:
            raise _GivenUp(self._reason)

    def check_held(self) -> None:
        """Raise if, by the database, this worker no longer has the video."""
        if not self._queue.holds(self._video, self._worker):
            raise _GivenUp(_TAKEN_AWAY)

    def _beat(self) -> None:
        while not self._ended.wait(1.0):
            try:
                if self._stopping.is_set():
                    self._reason = "the worker is stopping"
                elif not self._queue.renew(self._video, self._worker, self._progress(), 0):
                    self._reason = _TAKEN_AWAY
            except Exception:  # the next beat may succeed, and a lease lasts for many
                log.warning("a lease could not be renewed", exc_info=True)

    def _progress(self) -> float:
        indexed = [part for stage, part in dict(self._stages).items() if stage in ("decode", "visual", "speech")]
        whole = sum(indexed) / len(indexed) if indexed else 0.0
        fetched = self._base * self._stages.get("fetch", 0.0)
        return min(0.99, fetched + (1 - self._base) * whole)


def _changed(before: VideoRecord, after: VideoRecord) -> dict[str, Any]:
    """What requests changed while the video was processed."""
    changes = {name: getattr(after, name) for name in _CHANGEABLE if getattr(after, name) != getattr(before, name)}
    if after.details != before.details:
        changes["metadata"] = after.details
    return changes


def _size(path: Path) -> dict[str, int]:
    from pixr.media.sandbox import open_segments

    with open_segments(path) as stream:
        return {"width": stream.info.width, "height": stream.info.height}


def _reason(error: Exception) -> str:
    """What a partner learns about an error, without the server's paths."""
    if isinstance(error, UnreadableVideo):
        return error.reason
    if isinstance(error, (PixrError, ApiError)) and not isinstance(error, OSError):
        return str(error)
    if isinstance(error, httpx.TransportError):
        return f"It could not be fetched: {type(error).__name__}."
    return "Something went wrong in the server."


def main() -> None:
    """Run a worker process with the settings in `PIXR_SERVER_SETTINGS`. It ends on SIGTERM, or when its parent does.

    The parent's id is passed, not looked up, since it may be dead before this begins.
    """
    from pixr.server.logs import configure_logging
    from pixr.server.serve import settings_of_environment

    keep_freed()
    settings = settings_of_environment()
    configure_logging(settings.log_level)
    start_tracing(settings, "ingest")
    database = Database(settings.database_url)
    homes = Homes(settings.data_directory, settings.regions, database)
    libraries = Libraries(
        settings.data_directory, homes, single=settings.library, most_open=1, encoder=settings.encoder
    )
    worker = Worker(settings, database, libraries)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: worker.stopping.set())
    threading.Thread(target=_follow, args=(int(sys.argv[1]), worker.stopping), daemon=True).start()
    worker.run()
    end_tracing()


def _follow(parent: int, stopping: threading.Event) -> None:
    while os.getppid() == parent:
        time.sleep(1.0)
    stopping.set()


if __name__ == "__main__":
    main()
