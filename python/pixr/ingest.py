"""From a file to rows in the library: the only module that knows every step.

    decode ─┬▶ visual: encode frames, pool a shot       ─┐
            └▶ screen: read words where pictures changed ─┤
    sound  ─┬▶ speech: recognise, align to shots         ─┼▶ rows ─▶ engine
            └▶ sound: encode what else is heard          ─┘

Each arrow runs on its own thread, and the queues between them are short, so memory does not grow with the video. The
heavy work (decoder processes, onnxruntime, ctranslate2) lets go of the GIL. Every model call keeps to one thread: the
cores are filled by stages, pieces of speech and videos side by side, which never wait for each other inside a call.
What is found does not depend on how many there are. What is ready of a long video is stored while the rest is
processed; such a video has no content hash yet, so that an interrupted run begins it anew. A video that is replaced
stays as it was until the new one is whole, and of one that is refused after all nothing stays.
"""

from __future__ import annotations

import hashlib
import os
import queue
import stat
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.convert import check_video, tags_of, video_from_json, video_to_text
from pixr.errors import (
    InvalidCaptions,
    InvalidVideo,
    MissingExtra,
    PixrError,
    SpeechUnavailable,
    UnreadableVideo,
    VideoNotFound,
)
from pixr.ingest_options import ScreenOptions, SpeechOptions
from pixr.known_content import KnownContent
from pixr.media.freed_memory import give_back
from pixr.progress import Outcome, Progress, Source, Stage
from pixr.rows import Rows
from pixr.source_files import file_state, is_title_of, path_to_source, source_to_path, title_of
from pixr.titles import metadata_words
from pixr.types import Video

if TYPE_CHECKING:
    from pixr.encoders.load import Encoders
    from pixr.library import Library
    from pixr.media.frames import VideoInfo
    from pixr.media.sandbox import SegmentStream
    from pixr.media.screen import ScreenReader, ScreenText
    from pixr.media.segments import CutSegment
    from pixr.media.sounds import HeardSound
    from pixr.media.speech import SpeechRecogniser
    from pixr.media.utterances import Utterance

# Segments between two stages: enough to keep both busy, few enough to bound memory.
_QUEUE_LENGTH = 8
# The first part of a long video is stored after so many seconds of work, later ones each time it has doubled.
_INTERIM_SECONDS = 30.0
# Each video at work takes two decoder processes and its queues, about a third of a gigabyte.
_MOST_JOBS = 8
# For pictures, speech and what else is heard.
_DECODERS_A_VIDEO = 3
# A cut so far behind a piece of speech may still tell of its last pause.
_CUT_SLACK_SECONDS = 0.2

OnProgress = Callable[[Progress], None]


class Cancelled(Exception):
    """The run was stopped. What it stored of a long video stays, without a content hash."""


@dataclass
class Tools:
    """Models of one worker. The screen reader keeps state, so each has its own; the others are shared.

    `no_speech` and `no_screen` say why one that was asked for can't be had.
    """

    encoders: Encoders
    speech: SpeechRecogniser | None
    screen: ScreenReader | None
    no_speech: str | None = None
    no_screen: str | None = None


def default_jobs() -> int:
    """How many videos are at work at the same time: enough that one's end, which fills one core, overlaps another."""
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
    """Index sources, `jobs` at a time, and yield what became of each, in the order in which they end.

    Raises:
        MissingExtra: a package without which nothing can be indexed is not installed.
    """
    known = KnownContent(library.videos(), skip=skip_known)
    jobs = jobs or default_jobs()
    stop = threading.Event()
    toolbox = Toolbox(library, speech=speech, screen=screen)

    def one(source: Source) -> Outcome:
        try:
            return _index(library, source, toolbox.tools, known, stop, on_progress)
        except (UnreadableVideo, ValueError, OSError) as error:
            if isinstance(error, PixrError):
                return Outcome(source, "failed", error=error)
            return Outcome(source, "failed", error=UnreadableVideo(source.path, str(error)))

    pending: set[Future[Outcome]] = set()
    with ThreadPoolExecutor(max_workers=max(1, jobs), thread_name_prefix="pixr-ingest") as pool:
        try:
            for source in sources:
                pending.add(pool.submit(one, source))
                if len(pending) > jobs:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            while pending:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        finally:
            # Also on Ctrl-C and when the caller stops listening: what runs ends at its next segment.
            stop.set()
            for future in pending:
                future.cancel()


class Toolbox:
    """Loads what indexing needs, once for all workers, when the first asks. Models run on one thread a call.

    Speech or screen text that can't be had is left out, with a warning.
    """

    def __init__(self, library: Library, *, speech: bool | SpeechOptions, screen: bool | ScreenOptions) -> None:
        self._library = library
        self._speech = speech
        self._screen = screen
        self._lock = threading.Lock()
        self._local = threading.local()
        self._shared: Tools | None = None

    def tools(self) -> Tools:
        """The tools of the thread that asks.

        Raises:
            MissingExtra, ModelNotFound, ModelError: the encoders can't be loaded.
        """
        if not hasattr(self._local, "tools"):
            with self._lock:
                if self._shared is None:
                    self._shared = self._load()
                reader = self._load_screen() if self._shared.screen is None else self._shared.screen
                self._local.tools = replace(self._shared, screen=reader)
                self._shared.screen = None  # the first worker took the one that was made to see whether it can be had
        made: Tools = self._local.tools
        return made

    def _load(self) -> Tools:
        from pixr.calibration import prepare
        from pixr.encoders.sound_labels import SoundLabelEncoder, may_hold_words
        from pixr.media.sandbox import start_decoders

        start_decoders(_DECODERS_A_VIDEO)  # while models load
        encoders = self._library.indexing_encoders()
        if isinstance(encoders.sound, SoundLabelEncoder) and not encoders.sound.can_hear():
            encoders = replace(encoders, sound=None)
        prepare(self._library.engine, encoders)
        self._library.remember_encoders()
        recogniser = reader = no_speech = no_screen = None
        if self._speech:
            try:
                from pixr.media.speech import SpeechRecogniser

                said = self._speech if isinstance(self._speech, SpeechOptions) else SpeechOptions()
                gate = may_hold_words if said.gate and SoundLabelEncoder.can_hear() else None
                recogniser = SpeechRecogniser(said.model, language=said.language, gate=gate)
            except (SpeechUnavailable, MissingExtra) as error:
                no_speech = f"indexed without speech: {error}"
        try:
            reader = self._load_screen()
        except MissingExtra as error:
            self._screen = False
            no_screen = f"indexed without words on screen: {error}"
        return Tools(encoders, recogniser, reader, no_speech, no_screen)

    def _load_screen(self) -> ScreenReader | None:
        if not self._screen:
            return None
        from pixr.media.screen import ScreenReader

        asked = self._screen if isinstance(self._screen, ScreenOptions) else ScreenOptions()
        return ScreenReader(thread_count=1, languages=asked.languages, model=asked.model)


def content_hash(path: str | os.PathLike[str], stop: threading.Event | None = None) -> str:
    """SHA-256 of a file, hex. A long one on a slow disk takes minutes, which `stop` ends.

    Raises:
        UnreadableVideo: it can't be read, or is a pipe, a socket or a device, which may never end.
        Cancelled: `stop` was set.
    """
    digest = hashlib.sha256()
    try:
        mode = os.stat(path).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise UnreadableVideo(path, "it is not a regular file")
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                if stop is not None and stop.is_set():
                    raise Cancelled
                digest.update(block)
    except OSError as error:
        raise UnreadableVideo(path, error.strerror or str(error)) from error
    return digest.hexdigest()


def _found_again(library: Library, known: KnownContent, video: Video, path: str | os.PathLike[str]) -> Video:
    """The video, with where its file is now if that is no more where it was: pictures of it are taken from there.

    Another video that was indexed from there says that it was replaced.
    """
    source = path_to_source(path)
    if not video.source or not video.content_hash or video.source == source:
        return video
    before = source_to_path(video.source)
    if before is None or (before.exists() and not known.before(video.source, video.content_hash)):
        return video
    changes = {"source": source}
    if is_title_of(video.title, before):
        changes["title"] = title_of(path)
    try:
        return library.update(video.id, **changes)
    except VideoNotFound:  # deleted since this run began
        return video


def _index(
    library: Library,
    source: Source,
    tools: Callable[[], Tools],
    known: KnownContent,
    stop: threading.Event,
    on_progress: OnProgress | None,
) -> Outcome:
    _check_paths(source)
    before = file_state(source.path)
    digest = content_hash(source.path, stop)
    told = _told(source, digest)
    check_video(told)
    same = known.claim(digest)
    if same is not None:
        return Outcome(source, "skipped", video=_found_again(library, known, same, source.path))
    outcome = None
    try:
        models = tools()
        if stop.is_set():  # while they were loaded
            raise Cancelled
        run = _Run(library, source, told, digest, before, models, stop, on_progress)
        try:
            outcome = run.run()
        except Cancelled:
            raise
        except Exception:
            run.take_back()
            raise
        if outcome.video is not None:
            outcome = replace(outcome, warnings=(*outcome.warnings, *known.warnings(outcome.video, told.source)))
        return outcome
    finally:
        known.release(digest, None if outcome is None else outcome.video)


def _check_paths(source: Source) -> None:
    given: dict[str, Any] = {"path": source.path, "captions": "" if source.captions is None else source.captions}
    for name, path in given.items():
        if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
            raise InvalidVideo(f"{name} is {type(path).__name__}, a path is expected")
    if not os.fspath(source.path):  # not the folder that one happens to be in
        raise InvalidVideo("path is empty")


def _told(source: Source, digest: str) -> Video:
    """What is known of a video before it is decoded."""
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


@dataclass
class _Found:
    """What the stages have found so far; appended to by their threads, read by the one that stores."""

    frames: list[tuple[float, float, Any, str | None]] = field(default_factory=list)
    shots: list[tuple[float, float]] = field(default_factory=list)
    screen: list[ScreenText] = field(default_factory=list)
    utterances: list[Utterance] = field(default_factory=list)
    sounds: list[HeardSound] = field(default_factory=list)


class CutsSoFar:
    """The shot boundaries of one video, written by the thread that decodes, read by the one that hears."""

    def __init__(self) -> None:
        self._cuts: list[float] = []
        self._until_seconds = 0.0
        self._changed = threading.Condition()

    def add(self, cut_seconds: float) -> None:
        """Take the next cut."""
        with self._changed:
            self._cuts.append(cut_seconds)

    def know_until(self, seconds: float) -> None:
        """Say that every cut before an instant has been given."""
        with self._changed:
            self._until_seconds = seconds
            self._changed.notify_all()

    def until(self, seconds: float) -> list[float]:
        """The cuts up to an instant and a little beyond. Waits until they are known, so they are always the same."""
        until = seconds + _CUT_SLACK_SECONDS
        with self._changed:
            self._changed.wait_for(lambda: self._until_seconds > until)
            return [cut for cut in self._cuts if cut <= until]


class _Run:
    """One video under way."""

    def __init__(
        self,
        library: Library,
        source: Source,
        told: Video,
        digest: str,
        before: tuple[int, ...],
        tools: Tools,
        stop: threading.Event,
        on_progress: OnProgress | None,
    ) -> None:
        self._library = library
        self._source = source
        self._told = told
        self._digest = digest
        self._before = before
        self._tools = tools
        self._cancelled = stop
        self._failed = threading.Event()
        self._cuts = CutsSoFar()
        self._on_progress = on_progress
        self._found = _Found()
        self._seconds: dict[str, float] = {}
        self._errors: list[BaseException] = []
        self._warnings = [] if tools.no_screen is None else [tools.no_screen]
        self._info: VideoInfo | None = None
        self._stored_at = time.monotonic()
        self._stored_segments = 0

    def run(self) -> Outcome:
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
                    self._put(waiting, None)
                for worker in workers:
                    worker.join()
        if self._errors:
            raise self._errors[0]
        if self._cancelled.is_set():
            raise Cancelled
        if stream.broken_reason is not None:
            self._warnings.append(stream.broken_reason)
        self._check_unchanged()
        self._end_captions()
        video = self._store(complete=True)
        self._tell("store", video.duration, finished=True)
        return Outcome(self._source, "added", video, warnings=tuple(self._warnings), stage_seconds=dict(self._seconds))

    def take_back(self) -> None:
        """Delete what was stored so far of a video that is refused after all."""
        if not self._stored_segments:
            return
        with suppress(PixrError):  # why it is refused is what the caller hears
            if self._library.video(self._told.id).content_hash is None:
                self._library.delete(self._told.id)

    def _check_unchanged(self) -> None:
        """Refuse a file that was written to or replaced: what was found is of no one content, least of all its hash's.

        One that is gone was read while it was there.
        """
        path = self._source.path
        now = file_state(path)
        if now and now != self._before and content_hash(path) != self._digest:
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
                self._put(waiting, segment)
            self._tell("decode", segment.end_seconds)
            if self._cancelled.is_set() or self._failed.is_set():
                break
            begun = time.perf_counter()
        self._seconds["decode"] = busy
        self._tell("decode", stream.decoded_until_seconds, finished=True)

    def _read_visual(self, segments: queue.Queue[CutSegment | None]) -> None:
        busy, last = 0.0, None
        for segment in _drain(segments):
            begun = time.perf_counter()
            if not self._failed.is_set():
                last = self._encode(segment, last)
            busy += time.perf_counter() - begun
            self._seconds["visual"] = busy
            self._tell("visual", segment.end_seconds)
            self._store_interim()
        self._tell("visual", self._duration(), finished=True)

    def _encode(self, segment: CutSegment, last: Any) -> Any:
        """Encode a segment's pictures; one that repeats the picture before it takes that one's vector."""
        import numpy as np

        encoder = self._tools.encoders.visual
        fresh = [not frame.repeats_previous or (last is None and at == 0) for at, frame in enumerate(segment.frames)]
        new = [frame.image for frame, is_new in zip(segment.frames, fresh, strict=True) if is_new]
        encoded = iter(encoder.encode_images(new)) if new else iter(())
        vectors = []
        for is_new in fresh:
            last = next(encoded) if is_new else last
            vectors.append(last)
        pooled = encoder.pool(np.stack(vectors))
        described = encoder.describe(pooled[None, :])[0]
        self._found.frames.append((segment.start_seconds, segment.end_seconds, pooled, described))
        return last

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
            self._tell("screen", segment.end_seconds)
        if reader is not None:
            self._tell("screen", self._duration(), finished=True)

    def _read_captions(self, path: str | os.PathLike[str]) -> None:
        """What is said from a file, in place of recognition."""
        from pixr.captions import read_captions
        from pixr.media.utterances import Utterance

        try:
            captions = read_captions(path)
        except OSError as error:
            raise InvalidCaptions(f"{os.fspath(path)} can't be read: {error.strerror or error}") from error
        for caption in captions:
            self._found.utterances.append(Utterance(caption.start, caption.end, caption.text, 1.0))
        self._tell("speech", self._duration(), finished=True)

    def _end_captions(self) -> None:
        """Leave out captions behind the end of the video, where nothing can be shown, and end the others there."""
        if self._source.captions is None:
            return
        end, given = self._duration(), self._found.utterances
        within = [one for one in given if one.start_seconds < end]
        self._found.utterances = [replace(one, end_seconds=min(one.end_seconds, end)) for one in within]
        if late := len(given) - len(within):
            count = "1 caption is" if late == 1 else f"{late} captions are"
            self._warnings.append(f"{count} left out, behind the end of the video at {end:.1f} s")

    def _read_speech(self) -> None:
        if self._source.captions is not None:
            self._read_captions(self._source.captions)
            return
        if self._info is None or not self._info.has_audio:
            return
        if self._tools.speech is None:
            if self._tools.no_speech is not None:
                self._warnings.append(self._tools.no_speech)
            return
        from pixr.media.sandbox import open_audio

        begun = time.perf_counter()
        try:
            for utterance in self._tools.speech.transcribe(open_audio(self._source.path), self._cuts.until):
                if self._cancelled.is_set() or self._failed.is_set():
                    return
                self._found.utterances.append(utterance)
                self._seconds["speech"] = time.perf_counter() - begun
                self._tell("speech", utterance.end_seconds)
        except UnreadableVideo as error:
            # The pictures may be whole where the sound is not.
            self._warnings.append(f"indexed without the rest of its sound: {error.reason}")
        self._seconds["speech"] = time.perf_counter() - begun
        self._tell("speech", self._duration(), finished=True)

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
                self._tell("sound", heard.end_seconds)
        except UnreadableVideo as error:
            warning = f"indexed without the rest of its sound: {error.reason}"
            if warning not in self._warnings:
                self._warnings.append(warning)
        self._tell("sound", self._duration(), finished=True)

    def _guard(self, stage: Callable[..., None], *arguments: Any) -> None:
        try:
            stage(*arguments)
        except BaseException as error:  # noqa: BLE001 - a thread's error is the run's error
            self._errors.append(error)
            self._failed.set()
            for waiting in arguments:
                for _ in _drain(waiting):
                    pass

    def _put(self, waiting: queue.Queue[CutSegment | None], segment: CutSegment | None) -> None:
        waiting.put(segment)

    # -- storing ------------------------------------------------------------------------------------------------------

    def _store_interim(self) -> None:
        ready = len(self._found.frames)
        elapsed = time.monotonic() - self._stored_at
        if elapsed < _INTERIM_SECONDS or ready < 2 * self._stored_segments or self._failed.is_set():
            return
        if not self._stored_segments and self._is_there():
            return  # it is replaced in one step, by what is whole
        self._store(complete=False)
        self._stored_at = time.monotonic()
        self._stored_segments = ready

    def _is_there(self) -> bool:
        try:
            self._library.video(self._told.id)
        except VideoNotFound:
            return False
        return True

    def _store(self, *, complete: bool) -> Video:
        import json

        begun = time.perf_counter()
        video = self._describe(complete=complete)
        engine = self._library.engine
        rows = self._rows(video)
        engine.put(video_to_text(video), rows.batch())
        self._seconds["store"] = self._seconds.get("store", 0.0) + time.perf_counter() - begun
        return video_from_json(json.loads(engine.video(video.id)))

    def _rows(self, video: Video) -> Rows:
        from pixr.media.utterances import align_to_shots, join_simultaneous

        text = self._tools.encoders.text
        rows = Rows(video.id)
        for start, end, vector, description in list(self._found.frames):
            rows.add(start, end, "frame", vector=vector, description=description)
        for seen in list(self._found.screen):
            rows.add(seen.start_seconds, seen.end_seconds, "screen", text=seen.text)
        said = join_simultaneous(align_to_shots(list(self._found.utterances), list(self._found.shots)))
        vectors = text.encode_documents([utterance.text for utterance in said]) if said else ()
        for utterance, vector in zip(said, vectors, strict=True):
            rows.add(utterance.start_seconds, utterance.end_seconds, "speech", text=utterance.text, vector=vector)
        for heard in list(self._found.sounds):
            rows.add(
                heard.start_seconds, heard.end_seconds, "sound", vector=heard.vector, description=heard.description
            )
        words = metadata_words(self._source.title, video.description, video.tags)
        if words:
            rows.add(0.0, video.duration, "metadata", vector=text.encode_documents([words])[0])
        return rows

    def _describe(self, *, complete: bool) -> Video:
        height = min(self._info.width, self._info.height) if self._info else 0
        measured = "4k" if height >= 2160 else "hd" if height >= 720 else "sd" if height else None
        return replace(
            self._told,
            duration=self._duration(),
            quality=self._told.quality or measured,
            content_hash=self._digest if complete else None,
        )

    def _duration(self) -> float:
        seen = max((end for _, end in list(self._found.shots)), default=0.0)
        return max(seen, self._info.duration_seconds if self._info else 0.0)

    def _tell(self, stage: Stage, seconds_done: float, *, finished: bool = False) -> None:
        give_back()  # every stage comes by here after a piece of work
        if self._on_progress is not None:
            with suppress(queue.Full):
                self._on_progress(
                    Progress(os.fspath(self._source.path), stage, seconds_done, self._duration(), finished)
                )


def _drain(waiting: queue.Queue[CutSegment | None]) -> Iterator[CutSegment]:
    while (segment := waiting.get()) is not None:
        yield segment
