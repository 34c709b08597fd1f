"""Indexes one video, from its file to rows in the library.

    decode ─┬▶ visual: encode frames, pool a shot       ─┐
            └▶ screen: read words where pictures changed ─┤
    sound  ─┬▶ speech: read or recognise, align to shots ─┼▶ rows ─▶ engine
            └▶ sound: encode what else is heard          ─┘

- *Threads.* Each arrow runs on its own thread, and the queues between them are short, so memory does not grow with the
  video. The heavy work (decoder processes, onnxruntime, ctranslate2) releases the GIL. Every model call uses one
  thread: stages, pieces of speech and videos side by side keep the cores busy, and never wait for each other inside a
  call. What is found does not depend on the number of threads.
- *Long videos.* What is ready is stored while the rest is processed. Such a video has no content hash yet, so that an
  interrupted run starts it again.
- *Replaced and refused videos.* A video that is replaced stays as it was until the new one is whole. Nothing is kept of
  a video that is refused after all.
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pixr.convert import video_from_json, video_to_text
from pixr.errors import PixrError, UnreadableVideo, VideoNotFound
from pixr.frame_vectors import frame_vectors
from pixr.ingest.content import Cancelled, content_hash
from pixr.ingest.found import CutsSoFar, Found
from pixr.ingest.spoken import Spoken, without_sound
from pixr.ingest.tools import Tools
from pixr.inside import engine_of
from pixr.media.freed_memory import give_back
from pixr.progress import Outcome, Progress, Source, Stage
from pixr.source_files import file_state
from pixr.types import Video

if TYPE_CHECKING:
    from pixr.library import Library
    from pixr.media.frames import VideoInfo
    from pixr.media.sandbox import SegmentStream
    from pixr.media.segments import CutSegment

__all__ = ["HashedSource", "OnProgress", "VideoRun"]

# Segments between two stages: enough to keep both busy, few enough to bound memory.
_QUEUE_LENGTH = 8
# The first part of a long video is stored after this much work, and again each time the number of segments doubled.
_INTERIM_SECONDS = 30.0

# The least short side of a picture, in pixels, for each name of a quality.
_HEIGHT_OF_QUALITY = {"4k": 2160, "hd": 720, "sd": 1}

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class HashedSource:
    """A source, and what is known about it before it is decoded.

    Attributes:
        source: what to index.
        video: its metadata.
        digest: the hash of its content.
        state: the file's state before it was hashed, so that a later change is noticed.
    """

    source: Source
    video: Video
    digest: str
    state: tuple[int, ...]


class VideoRun:
    """The indexing of one video."""

    def __init__(
        self,
        library: Library,
        hashed: HashedSource,
        tools: Tools,
        stop: threading.Event,
        on_progress: OnProgress | None,
    ) -> None:
        self._library = library
        self._hashed = hashed
        self._source = hashed.source
        self._video = hashed.video
        self._tools = tools
        self._cancelled = stop
        self._failed = threading.Event()
        self._cuts = CutsSoFar()
        self._on_progress = on_progress
        self._found = Found()
        self._seconds: dict[str, float] = {}
        self._errors: list[BaseException] = []
        self._warnings = [] if tools.no_screen is None else [tools.no_screen]
        self._info: VideoInfo | None = None
        self._spoken: Spoken | None = None
        self._stored_at = time.monotonic()
        self._stored_segments = 0

    def run(self) -> Outcome:
        """Index the video.

        Raises:
            UnreadableVideo: it can't be decoded, or the file changed meanwhile.
            Cancelled: the run was stopped.
        """
        from pixr.media.sandbox import open_segments

        visual: queue.Queue[CutSegment | None] = queue.Queue(_QUEUE_LENGTH)
        screen: queue.Queue[CutSegment | None] = queue.Queue(_QUEUE_LENGTH)
        with open_segments(self._source.path) as stream:
            self._info = stream.info
            workers = [
                threading.Thread(target=self._guard, args=(self._read_visual, visual), name="pixr-visual"),
                threading.Thread(target=self._guard, args=(self._read_screen, screen), name="pixr-screen"),
                threading.Thread(target=self._guard, args=(self._read_speech,), name="pixr-speech"),
                threading.Thread(target=self._guard, args=(self._read_sound,), name="pixr-sound"),
            ]
            for worker in workers:
                worker.start()
            try:
                self._decode(stream, (visual, screen))
            except BaseException:
                self._failed.set()
                raise
            finally:
                self._cuts.know_until(float("inf"))
                for waiting in (visual, screen):
                    waiting.put(None)
                for worker in workers:
                    worker.join()
        if self._errors:
            raise self._errors[0]
        if self._cancelled.is_set():
            raise Cancelled
        if stream.broken_reason is not None:
            self._warnings.append(stream.broken_reason)
        self._check_unchanged()
        is_written = self._spoken is not None and self._spoken.is_written
        if is_written and (late := self._found.end_captions(self._duration())):
            count = "1 caption is" if late == 1 else f"{late} captions are"
            self._warnings.append(f"{count} left out, behind the end of the video at {self._duration():.1f} s")
        video = self._store(complete=True)
        self._report("store", video.duration, finished=True)
        return Outcome(self._source, "added", video, warnings=tuple(self._warnings), stage_seconds=dict(self._seconds))

    def take_back(self) -> None:
        """Delete what was already stored of a video that is refused after all."""
        if not self._stored_segments:
            return
        with suppress(PixrError):  # the caller should get the error for which the video was refused
            if self._library.video(self._video.id).content_hash is None:
                self._library.delete(self._video.id)

    def _check_unchanged(self) -> None:
        """Refuse a file that was changed or replaced while it was read, since its hash would not fit what was found.

        A file that is gone by now was read whole before.
        """
        path = self._source.path
        now = file_state(path)
        if now and now != self._hashed.state and content_hash(path) != self._hashed.digest:
            raise UnreadableVideo(path, "it changed while it was indexed")

    # -- stages, each on its own thread -------------------------------------------------------------------------------

    def _decode(self, stream: SegmentStream, queues: tuple[queue.Queue[CutSegment | None], ...]) -> None:
        busy, begun = 0.0, time.perf_counter()
        for segment in stream:
            busy += time.perf_counter() - begun
            if segment.shot_start_seconds == segment.start_seconds:
                self._cuts.add(segment.start_seconds)
            self._found.shots.append((segment.start_seconds, segment.end_seconds))
            self._cuts.know_until(segment.end_seconds)
            for waiting in queues:
                waiting.put(segment)
            self._report("decode", segment.end_seconds)
            if self._cancelled.is_set() or self._failed.is_set():
                break
            begun = time.perf_counter()
        self._seconds["decode"] = busy
        self._report("decode", stream.decoded_until_seconds, finished=True)

    def _read_visual(self, segments: queue.Queue[CutSegment | None]) -> None:
        busy, last = 0.0, None
        for segment in _drain(segments):
            begun = time.perf_counter()
            if not self._failed.is_set():
                last = self._encode(segment, last)
            busy += time.perf_counter() - begun
            self._seconds["visual"] = busy
            self._report("visual", segment.end_seconds)
            self._store_interim()
        self._report("visual", self._duration(), finished=True)

    def _encode(self, segment: CutSegment, last: Any) -> Any:
        """Encode a segment's pictures. `last` is the vector of the picture before; returns that of the last picture."""
        import numpy as np

        encoder = self._tools.encoders.visual
        vectors = frame_vectors(encoder, segment.frames, last)
        pooled = encoder.pool(np.stack(vectors))
        described = encoder.describe(pooled[None, :])[0]
        self._found.frames.append((segment.start_seconds, segment.end_seconds, pooled, described))
        return vectors[-1]

    def _read_screen(self, segments: queue.Queue[CutSegment | None]) -> None:
        reader = self._tools.screen
        if reader is not None:
            reader.forget()
        busy = 0.0
        for segment in _drain(segments):
            if reader is None or self._failed.is_set():
                continue
            begun = time.perf_counter()
            self._found.screen.extend(reader.read(segment))
            busy += time.perf_counter() - begun
            self._seconds["screen"] = busy
            self._report("screen", segment.end_seconds)
        if reader is not None:
            self._report("screen", self._duration(), finished=True)

    def _read_speech(self) -> None:
        if self._info is None:
            return
        self._spoken = spoken = Spoken(self._source, self._info, self._tools, self._warn)
        if not spoken.is_asked:
            return
        begun = time.perf_counter()
        for utterance in spoken.utterances(self._cuts.until):
            if self._cancelled.is_set() or self._failed.is_set():
                return
            self._found.utterances.append(utterance)
            self._seconds["speech"] = time.perf_counter() - begun
            self._report("speech", utterance.end_seconds)
        self._seconds["speech"] = time.perf_counter() - begun
        self._report("speech", self._duration(), finished=True)

    def _read_sound(self) -> None:
        encoder = self._tools.encoders.sound
        if encoder is None or self._info is None or not self._info.has_audio:
            return
        from pixr.media.sandbox import open_audio
        from pixr.media.sounds import hear

        begun = time.perf_counter()
        try:
            for heard in hear(open_audio(self._source.path, sample_rate_hz=encoder.sample_rate_hz), encoder):
                if self._cancelled.is_set() or self._failed.is_set():
                    return
                self._found.sounds.append(heard)
                self._seconds["sound"] = time.perf_counter() - begun
                self._report("sound", heard.end_seconds)
        except UnreadableVideo as error:
            self._warn(without_sound(error))
        self._report("sound", self._duration(), finished=True)

    def _warn(self, warning: str) -> None:
        """Warn, once if several stages notice, and go on without the rest."""
        if warning not in self._warnings:
            self._warnings.append(warning)

    def _guard(self, stage: Callable[..., None], *arguments: Any) -> None:
        try:
            stage(*arguments)
        except BaseException as error:  # noqa: BLE001 - a thread's error is the run's error
            self._errors.append(error)
            self._failed.set()
            for waiting in arguments:
                for _ in _drain(waiting):
                    pass

    # -- storing ------------------------------------------------------------------------------------------------------

    def _store_interim(self) -> None:
        ready = len(self._found.frames)
        elapsed = time.monotonic() - self._stored_at
        if elapsed < _INTERIM_SECONDS or ready < 2 * self._stored_segments or self._failed.is_set():
            return
        if not self._stored_segments and self._is_there():
            return  # an existing video is replaced in one step, once the new one is whole
        self._store(complete=False)
        self._stored_at = time.monotonic()
        self._stored_segments = ready

    def _is_there(self) -> bool:
        try:
            self._library.video(self._video.id)
        except VideoNotFound:
            return False
        return True

    def _store(self, *, complete: bool) -> Video:
        import json

        begun = time.perf_counter()
        video = self._describe(complete=complete)
        engine = engine_of(self._library)
        rows = self._found.rows(video, self._source.title, self._tools.encoders.text)
        engine.put(video_to_text(video), rows.batch())
        self._seconds["store"] = self._seconds.get("store", 0.0) + time.perf_counter() - begun
        return video_from_json(json.loads(engine.video(video.id)))

    def _describe(self, *, complete: bool) -> Video:
        height = min(self._info.width, self._info.height) if self._info else 0
        measured = next((quality for quality, least in _HEIGHT_OF_QUALITY.items() if height >= least), None)
        return replace(
            self._video,
            duration=self._duration(),
            quality=self._video.quality or measured,
            content_hash=self._hashed.digest if complete else None,
        )

    def _duration(self) -> float:
        seen = max((end for _, end in list(self._found.shots)), default=0.0)
        return max(seen, self._info.duration_seconds if self._info else 0.0)

    def _report(self, stage: Stage, seconds_done: float, *, finished: bool = False) -> None:
        give_back()  # here, because every stage calls this after each piece of work
        if self._on_progress is not None:
            with suppress(queue.Full):
                self._on_progress(
                    Progress(os.fspath(self._source.path), stage, seconds_done, self._duration(), finished)
                )


def _drain(waiting: queue.Queue[CutSegment | None]) -> Iterator[CutSegment]:
    while (segment := waiting.get()) is not None:
        yield segment
