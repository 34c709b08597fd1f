"""Indexes several sources at a time, skips those that are known already, and reports the outcome of each."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pixr.arguments import check_whole_number
from pixr.convert import check_video, tags_of
from pixr.errors import InvalidCaptions, InvalidVideo, ModelError, PixrError, UnreadableVideo, VideoNotFound
from pixr.ingest.content import Cancelled, content_hash
from pixr.ingest.known_content import KnownContent
from pixr.ingest.tools import Toolbox, Tools
from pixr.ingest.video import HashedSource, OnProgress, VideoRun
from pixr.ingest_options import ScreenOptions, SpeechOptions
from pixr.progress import Outcome, Source
from pixr.source_files import file_state, is_title_of, path_to_source, source_to_path, title_of
from pixr.types import Video

if TYPE_CHECKING:
    from pixr.library import Library

__all__ = ["ingest"]

# Each video at work takes two decoder processes and its queues, about a third of a gigabyte.
_MOST_JOBS = 8
_MOST_JOBS_ASKED = 1_000_000


def default_jobs() -> int:
    """How many videos to index at a time. The end of a video keeps only one core busy, so another should overlap it."""
    cores = os.cpu_count() or 1
    return 1 if cores == 1 else min(max(2, cores // 2), _MOST_JOBS)


def ingest(
    library: Library,
    sources: Iterable[Source],
    *,
    speech: bool | SpeechOptions,
    screen: bool | ScreenOptions,
    jobs: int | None,
    skip_known: bool,
    on_progress: OnProgress | None,
) -> Iterator[Outcome]:
    """Index sources, `jobs` at a time, and yield the outcome of each, in the order in which they end.

    Raises:
        MissingExtra: a package without which nothing can be indexed is not installed.
        ModelError, ModelNotFound: a model can't be loaded or used.
        SpeechUnavailable: speech can't be recognised with the model or the language of `SpeechOptions`.
        InvalidQuery: `jobs` is no whole number from 1 on.
    """
    if jobs is not None:
        check_whole_number("jobs", jobs, 1, _MOST_JOBS_ASKED)
    known = KnownContent(library.videos(), skip=skip_known)
    jobs = jobs or default_jobs()
    stop = threading.Event()
    toolbox = Toolbox(library, speech=speech, screen=screen)

    run = _Run(library, toolbox.tools, known, stop, on_progress)
    pending: set[Future[Outcome]] = set()
    pool = ThreadPoolExecutor(max_workers=jobs, thread_name_prefix="pixr-ingest")
    listener = threading.get_ident()
    try:
        for source in sources:
            pending.add(pool.submit(run.index, source))
            if len(pending) > jobs:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    finally:
        # This also happens on Ctrl-C and when the caller stops listening. Running videos end at their next segment.
        stop.set()
        running = [future for future in pending if not future.cancel()]
        # Only the thread that listened waits for the workers. A generator in a cycle of references is closed by the
        # thread that collects it, which may hold something that a worker needs in order to begin or end.
        pool.shutdown(wait=False)
        if threading.get_ident() == listener:
            wait(running)


def _found_again(library: Library, known: KnownContent, video: Video, path: str | os.PathLike[str]) -> Video:
    """The video, with its file's new path if it was moved, since thumbnails are taken from there.

    It was moved if its old path does not exist any more, or if another video has since been indexed from there.
    """
    source = path_to_source(path)
    if not video.source or not video.content_hash or video.source == source:
        return video
    before = source_to_path(video.source)
    if before is None or (os.path.exists(before) and not known.before(video.source, video.content_hash)):
        return video
    changes = {"source": source}
    if is_title_of(video.title, before):
        changes["title"] = title_of(path)
    try:
        return library.update(video.id, **changes)
    except VideoNotFound:  # deleted since this run began
        return video


def _kept_warnings(library: Library, source: Source, video: Video) -> tuple[str, ...]:
    """Warnings that a known video keeps its own metadata and captions where different ones are given."""
    given = {
        "id": source.id or video.id,
        "title": source.title or video.title,
        "description": source.description or video.description,
        "tags": tuple(source.tags) or video.tags,
        "created": source.created or video.created,
        "quality": source.quality or video.quality,
        "creator": source.creator or video.creator,
        "metadata": {**video.metadata, **source.metadata},
    }
    other = [name for name, value in given.items() if value != getattr(video, name)]
    there, warnings = f"it is there already as {video.id}, and keeps", []
    if other:
        warnings.append(f"{there} its {', '.join(other)}: `pixr update` and `Library.update` change them")
    if source.captions is not None and _is_news(library, video, source.captions):
        warnings.append(f"{there} what is said in it: delete it, and index it with {os.fspath(source.captions)} again")
    return tuple(warnings)


def _is_news(library: Library, video: Video, path: str | os.PathLike[str]) -> bool:
    """Whether captions say anything that the video's transcript does not."""
    from pixr.captions import read_captions

    try:
        given = read_captions(path)
        said = _in_one_line(caption.text for caption in library.transcript(video.id))
    except (InvalidCaptions, OSError):
        return True
    except VideoNotFound:  # deleted since this run began
        return False
    # Captions after the video's end were left out when it was indexed.
    return any(_in_one_line([one.text]) not in said for one in given if one.start < video.duration)


def _in_one_line(texts: Iterable[str]) -> str:
    return " ".join(" ".join(texts).split())


@dataclass(frozen=True)
class _Run:
    """What the videos of one call of `ingest` share."""

    library: Library
    tools: Callable[[], Tools]
    known: KnownContent
    stop: threading.Event
    on_progress: OnProgress | None

    def index(self, source: Source) -> Outcome:
        """Index one source. What is wrong with it is in the outcome; a model that can't be used ends the run."""
        try:
            return self._index(source)
        except ModelError:  # no other source could be indexed either
            raise
        except (UnreadableVideo, ValueError, OSError) as error:
            if isinstance(error, PixrError):
                return Outcome(source, "failed", error=error)
            return Outcome(source, "failed", error=UnreadableVideo(source.path, str(error)))

    def _index(self, source: Source) -> Outcome:
        _check_paths(source)
        state = file_state(source.path)
        digest = content_hash(source.path, self.stop)
        hashed = HashedSource(source, _described(source, digest), digest, state)
        check_video(hashed.video)
        same = self.known.claim(digest)
        if same is not None:
            found = _found_again(self.library, self.known, same, source.path)
            return Outcome(source, "skipped", video=found, warnings=_kept_warnings(self.library, source, found))
        outcome = None
        try:
            outcome = self._index_new(hashed)
            return outcome
        finally:
            self.known.release(digest, None if outcome is None else outcome.video)

    def _index_new(self, hashed: HashedSource) -> Outcome:
        """Index content that the library does not hold."""
        tools = self.tools()
        if self.stop.is_set():  # while they were loaded
            raise Cancelled
        video_run = VideoRun(self.library, hashed, tools, self.stop, self.on_progress)
        try:
            outcome = video_run.run()
        except Cancelled:
            raise
        except Exception:
            video_run.take_back()
            raise
        if outcome.video is None:
            return outcome
        return replace(outcome, warnings=(*outcome.warnings, *self.known.warnings(outcome.video, hashed.video.source)))


def _check_paths(source: Source) -> None:
    given: dict[str, Any] = {"path": source.path, "captions": "" if source.captions is None else source.captions}
    for name, path in given.items():
        if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
            raise InvalidVideo(f"{name} is {type(path).__name__}, a path is expected")
    if not os.fspath(source.path):  # an empty path would mean the current folder
        raise InvalidVideo("path is empty")


def _described(source: Source, digest: str) -> Video:
    """A video's metadata, as far as they are known before it is decoded."""
    id = source.id or f"vid_{digest[:20]}"
    return Video(
        id=id,
        title=source.title or title_of(source.path),
        description=source.description,
        tags=tags_of(id, source.tags),
        created=source.created,
        quality=source.quality,
        creator=source.creator,
        source=path_to_source(source.path),
        metadata=source.metadata,
    )
