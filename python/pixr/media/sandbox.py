"""Decodes in a process of its own, so that no file can crash, hang or starve the caller.

`open_segments` and `open_audio` return what `decoder_child` sends, as plain iterators, and `open_subtitles` a whole
track. If a decoder dies, that raises `UnreadableVideo` with the signal's name. One that makes no progress for
`stall_seconds` (longer on a crowded machine) is killed, and raises the same. The operating system limits its memory to
`memory_byte_limit`, where there is `setrlimit`. Processes are kept for the next file, since starting one takes a few
tenths of a second; one that misbehaved, or whose iterator was closed early, is killed.

What is under way is bounded: one segment or audio chunk in the queue and one in the pipe. Decoding runs beside the
caller and does not need the caller's GIL.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import queue
import signal
import struct
import subprocess
import sys
import threading
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pixr.captions import Cue
from pixr.errors import MissingExtra, UnreadableVideo
from pixr.media.audio import SAMPLE_RATE_HZ, AudioChunk
from pixr.media.frames import SampledFrame, VideoInfo
from pixr.media.segments import CutOptions, CutSegment
from pixr.media.subtitles import Subtitles, SubtitleTrack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_MEMORY_BYTE_LIMIT = 4 << 30
_STALL_SECONDS = 30.0
_LARGEST_HEADER_BYTES = 16 << 20
# A video counts as cut short if more than a second is missing, and more than this share of its claimed length.
_MISSING_SECONDS, _MISSING_SHARE = 1.0, 0.02
_LISTS = (b"#EXTM3U", b"ffconcat")  # how HLS and FFmpeg's lists of files begin
_MOST_IDLE = 6  # three for each of two videos
# The first entry of `sys.path` is the current folder, where a stranger's `json.py` may lie beside a stranger's video.
_PROGRAM = "import sys; del sys.path[0]; sys.path.append(sys.argv[2]); import pixr.media.decoder_child as c; c.main()"

_Message = tuple[dict[str, Any], bytes]


class _Decoder:
    """One child process, its pipes, and a thread that reads its messages."""

    def __init__(self, memory_byte_limit: int) -> None:
        environment = dict(os.environ, OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")
        package_root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        self.memory_byte_limit = memory_byte_limit
        self.process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, str(memory_byte_limit), package_root],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.messages: queue.Queue[_Message | None] = queue.Queue(maxsize=1)
        self._closing = threading.Event()
        threading.Thread(target=self._read, name="pixr-decoder-reader", daemon=True).start()

    def ask(self, request: dict[str, Any]) -> None:
        """Send a request. If the child is dead, reading its answer shows it."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()

    def kill(self) -> None:
        """End the process at once and wait for it."""
        self._closing.set()
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _read(self) -> None:
        stream = self.process.stdout
        assert stream is not None
        try:
            while True:
                prefix = stream.read(4)
                if len(prefix) < 4:
                    break
                (header_len,) = struct.unpack("<I", prefix)
                if header_len > _LARGEST_HEADER_BYTES:
                    break
                header = json.loads(stream.read(header_len))
                payload = stream.read(header["byte_len"])
                if len(payload) < header["byte_len"]:
                    break
                self._put((header, payload))
        except (OSError, ValueError):
            pass
        self._put(None)

    def _put(self, message: _Message | None) -> None:
        while not self._closing.is_set():
            try:
                self.messages.put(message, timeout=0.2)
                return
            except queue.Full:
                continue


_idle: list[_Decoder] = []
_idle_lock = threading.Lock()
_idle_owner = os.getpid()


def start_decoders(count: int) -> None:
    """Start decoders until `count` are idle, without waiting for them: each takes a few tenths of a second to start."""
    with _idle_lock:
        missing = min(count, _MOST_IDLE) - len(_idle_here())
    for _ in range(missing):
        _give_back(_Decoder(_MEMORY_BYTE_LIMIT))


def _take_decoder(memory_byte_limit: int) -> _Decoder:
    with _idle_lock:
        idle = _idle_here()
        for decoder in idle:
            if decoder.memory_byte_limit == memory_byte_limit and decoder.process.poll() is None:
                idle.remove(decoder)
                return decoder
    return _Decoder(memory_byte_limit)


def _give_back(decoder: _Decoder) -> None:
    with _idle_lock:
        idle = _idle_here()
        if len(idle) < _MOST_IDLE:
            idle.append(decoder)
            return
    decoder.kill()


def _idle_here() -> list[_Decoder]:
    """The idle decoders of this process; after a fork there are none. The caller must hold the lock."""
    global _idle_owner  # noqa: PLW0603 - the list belongs to this process, and so does its owner
    if _idle_owner != os.getpid():
        _idle.clear()
        _idle_owner = os.getpid()
    return _idle


@atexit.register
def close_idle_decoders() -> None:
    """End the processes that are kept for later. They would also end by themselves, with this process."""
    with _idle_lock:
        decoders, _idle[:] = _idle[:], []
    for decoder in decoders:
        decoder.kill()


def _check_file(path: str) -> None:
    """Refuse what can be refused without a decoder."""
    try:
        if os.path.isdir(path):
            raise UnreadableVideo(path, "it is a directory")
        if os.path.exists(path) and not os.path.isfile(path):
            raise UnreadableVideo(path, "it is not a regular file")  # opening a pipe waits for a writer
        with open(path, "rb") as file:
            head = file.read(len(max(_LISTS, key=len)))
    except OSError as error:
        raise UnreadableVideo(path, error.strerror or str(error)) from error
    if not head:
        raise UnreadableVideo(path, "the file is empty")
    if head.startswith(_LISTS):
        raise UnreadableVideo(path, "it is a playlist, which only names other files")


def _converse(path: str, request: dict[str, Any], stall_seconds: float, memory_byte_limit: int) -> Iterator[_Message]:
    _check_file(path)
    decoder = _take_decoder(memory_byte_limit)
    finished = False
    try:
        decoder.ask({"path": os.path.abspath(path), **request})
        while True:
            try:
                message = decoder.messages.get(timeout=(waited := stall_seconds * _crowding()))
            except queue.Empty:
                raise UnreadableVideo(path, f"decoding made no progress for {waited:.0f} s") from None
            if message is None:
                raise UnreadableVideo(path, _death(decoder.process.wait()))
            header = message[0]
            kind = header["kind"]
            if kind == "error":
                finished = True
                raise UnreadableVideo(path, header["reason"])
            if kind == "missing":
                finished = True
                raise MissingExtra(header["package"], header["extra"], header["reason"])
            if kind == "done":
                finished = True
                yield message
                return
            if kind != "tick":
                yield message
    finally:
        if finished:
            _give_back(decoder)
        else:
            decoder.kill()


def _crowding() -> float:
    """How many times longer than usual everything takes, because others want the cores too: 1 if there is room.

    Without it, healthy decoders were given up on where ten processes shared a core.
    """
    try:
        wanted = os.getloadavg()[0]
    except (AttributeError, OSError):  # Windows has none
        return 1.0
    return max(1.0, wanted / (os.cpu_count() or 1))


def _death(code: int) -> str:
    if code < 0:
        try:
            return f"the decoder crashed on it ({signal.Signals(-code).name})"
        except ValueError:
            return f"the decoder crashed on it (signal {-code})"
    return f"the decoder gave up on it (exit code {code})"


class SegmentStream:
    """The segments of one video, in order, as they are decoded. `info` is known from the beginning.

    Iterate once; `close` (or leaving a `with` block) ends decoding early. After the last segment,
    `decoded_until_seconds` says how far decoding came, and `broken_reason` says what is missing, or is None.
    """

    def __init__(self, path: str, messages: Iterator[_Message]) -> None:
        self._path = path
        self._messages = messages
        header = next(messages)[0]
        self.info = _info(header)
        self.decoded_until_seconds = 0.0
        self.broken_reason: str | None = None

    def __iter__(self) -> Iterator[CutSegment]:
        for header, payload in self._messages:
            if header["kind"] == "done":
                self._finish(header)
                return
            self.decoded_until_seconds = header["end"]
            yield _segment(header, payload)

    def _finish(self, header: dict[str, Any]) -> None:
        self.decoded_until_seconds = header["decoded_until"]
        expected = max(header["expected_until"], self.info.pictures_end_seconds)
        if expected - self.decoded_until_seconds > max(_MISSING_SECONDS, _MISSING_SHARE * expected):
            reached = self.decoded_until_seconds
            self.broken_reason = f"the pictures end at {reached:.1f} s of {expected:.1f} s: damaged or cut short"
        elif header["skipped"] > _MISSING_SECONDS:
            at = f"{header['skipped_from']:.1f} s"
            self.broken_reason = f"{header['skipped']:.1f} s of its pictures, from {at} on, can't be decoded: damaged"
        elif header["jumped_back"] is not None:
            at = f"{header['jumped_back']:.1f} s"
            self.broken_reason = f"its time stamps jump back at {at}: what follows is left out until they pass it"
        elif header["gap"] is not None:
            after, until = header["gap"]
            self.broken_reason = f"it has no pictures from {after:.1f} s to {until:.1f} s: damaged, or put together"
        elif header["unread"]:
            self.broken_reason = f"what follows {self.decoded_until_seconds:.1f} s can't be read: damaged"

    def close(self) -> None:
        """Stop decoding. The decoding process is killed if it was not done."""
        close = getattr(self._messages, "close", None)
        if close is not None:
            close()

    def __enter__(self) -> SegmentStream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _segment(header: dict[str, Any], payload: bytes) -> CutSegment:
    import numpy as np

    frames, offset = [], 0
    for timestamp, repeats, height, width in header["frames"]:
        byte_len = height * width * 3
        image = np.frombuffer(payload, np.uint8, byte_len, offset).reshape(height, width, 3)
        frames.append(SampledFrame(timestamp, image, repeats))
        offset += byte_len
    return CutSegment(
        header["shot"], header["start"], header["end"], header["shot_start"], tuple(frames), header["skipped"]
    )


def open_segments(
    path: str | os.PathLike[str],
    options: CutOptions | None = None,
    *,
    thread_count: int = 1,
    stall_seconds: float = _STALL_SECONDS,
    memory_byte_limit: int = _MEMORY_BYTE_LIMIT,
) -> SegmentStream:
    """Decode a video in a process of its own and cut it into segments.

    Raises (here, or while iterating):
        UnreadableVideo: with the reason.
        MissingExtra: PyAV is not installed.
    """
    name = os.fspath(path)
    request = {"task": "segments", "options": asdict(options or CutOptions()), "thread_count": thread_count}
    return SegmentStream(name, _converse(name, request, stall_seconds, memory_byte_limit))


def open_audio(
    path: str | os.PathLike[str],
    *,
    chunk_seconds: float = 10.0,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    stall_seconds: float = _STALL_SECONDS,
    memory_byte_limit: int = _MEMORY_BYTE_LIMIT,
) -> Iterator[AudioChunk]:
    """Decode a file's sound in a process of its own; nothing if it has none. Raises what `open_segments` does."""
    import numpy as np

    name = os.fspath(path)
    request = {"task": "audio", "chunk_seconds": chunk_seconds, "sample_rate_hz": sample_rate_hz}
    for header, payload in _converse(name, request, stall_seconds, memory_byte_limit):
        if header["kind"] == "audio":
            yield AudioChunk(header["start"], np.frombuffer(payload, np.int16), sample_rate_hz)


def open_subtitles(
    path: str | os.PathLike[str],
    track: SubtitleTrack,
    *,
    stall_seconds: float = _STALL_SECONDS,
    memory_byte_limit: int = _MEMORY_BYTE_LIMIT,
) -> Subtitles:
    """Read a track of subtitles in a process of its own. Raises what `open_segments` does."""
    request = {"task": "subtitles", "index": track.index}
    cues: tuple[Cue, ...] = ()
    damage = None
    for header, payload in _converse(os.fspath(path), request, stall_seconds, memory_byte_limit):
        if header["kind"] == "subtitles":
            cues = tuple(Cue(start, end, tuple(lines)) for start, end, lines in json.loads(payload))
            damage = header["damage"]
    return Subtitles(cues, damage)


def probe_video(path: str | os.PathLike[str], *, stall_seconds: float = _STALL_SECONDS) -> VideoInfo:
    """Read a video's header in a process of its own. Raises what `open_segments` does."""
    name = os.fspath(path)
    answers = _converse(name, {"task": "probe"}, stall_seconds, _MEMORY_BYTE_LIMIT)
    (info,) = (_info(header) for header, _ in answers if header["kind"] == "info")
    return info


def _info(header: dict[str, Any]) -> VideoInfo:
    given = header["info"]
    return VideoInfo(**{**given, "subtitles": tuple(SubtitleTrack(**track) for track in given["subtitles"])})
