"""The program of the decoding process that `pixr.media.sandbox` starts.

It reads requests from its input, one JSON document a line, and writes messages to its output: a four-byte length, a
JSON header of that length, then `byte_len` bytes of pixels or samples. Decoders are native code that is fed bytes from
strangers, and any harm they do is done here. When the input ends, because the parent closed it or died, the process
ends at once, even in the middle of native code: a thread waits for just that. PR_SET_PDEATHSIG would not do, since it
acts when the parent's *thread* ends, and a pipeline's threads come and go.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import queue
import struct
import sys
import threading
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, BinaryIO

from pixr.errors import MissingExtra, UnreadableVideo

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from pixr.media.frames import VideoFrames
    from pixr.media.segments import CutSegment

_TICK_SECONDS = 0.5


class MessageWriter:
    """Writes messages; see the module for their form."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._last = time.monotonic()

    def write(self, header: dict[str, Any], *payload: memoryview | bytes) -> None:
        """Send one message."""
        header["byte_len"] = sum(len(part) for part in payload)
        text = json.dumps(header).encode()
        self._stream.write(struct.pack("<I", len(text)) + text)
        for part in payload:
            self._stream.write(part)
        self._stream.flush()
        self._last = time.monotonic()

    def tick(self) -> None:
        """Send a sign of progress, if nothing was sent for a while."""
        if time.monotonic() - self._last > _TICK_SECONDS:
            self.write({"kind": "tick"})


def _send_segments(request: dict[str, Any], writer: MessageWriter) -> None:
    from pixr.media.boxes import has_unread_fragments
    from pixr.media.frames import VideoFrames, probe
    from pixr.media.segments import CutOptions, SegmentCutter
    from pixr.media.tracks import USUAL_FRAME_RATE

    path = request["path"]
    options = CutOptions(**request["options"])
    info = probe(path)
    writer.write({"kind": "info", "info": asdict(info)})
    frames = VideoFrames(
        path,
        info,
        short_side=options.short_side_pixels,
        analysis_rate=options.analysis_rate,
        thread_count=request["thread_count"],
    )
    cutter = SegmentCutter(options, frames.between)
    for segment in cutter.cut(_ticking(frames, writer)):
        _send_segment(segment, writer)
    if frames.decoded_until_seconds < frames.end_seconds:  # it broke off: its last picture counts for one frame only
        end_seconds = frames.decoded_until_seconds + 1.0 / (info.frame_rate or USUAL_FRAME_RATE)
    else:
        end_seconds = frames.end_seconds
    for segment in cutter.finish(end_seconds):
        _send_segment(segment, writer)
    writer.write(
        {
            "kind": "done",
            "decoded_until": end_seconds,
            "expected_until": frames.end_seconds,
            "jumped_back": frames.jumped_back_seconds,
            "gap": frames.gap_seconds,
            "unread": has_unread_fragments(path),
            "skipped": frames.skipped_seconds,
            "skipped_from": frames.skipped_from_seconds,
        }
    )


def _ticking(frames: VideoFrames, writer: MessageWriter) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    for picture in frames:
        writer.tick()
        yield picture


def _send_segment(segment: CutSegment, writer: MessageWriter) -> None:
    import numpy as np

    writer.write(
        {
            "kind": "segment",
            "shot": segment.shot,
            "start": segment.start_seconds,
            "end": segment.end_seconds,
            "shot_start": segment.shot_start_seconds,
            "skipped": segment.skipped_frame_count,
            "frames": [[f.timestamp_seconds, f.repeats_previous, *f.image.shape[:2]] for f in segment.frames],
        },
        *(np.ascontiguousarray(f.image).data.cast("B") for f in segment.frames),
    )


def _send_audio(request: dict[str, Any], writer: MessageWriter) -> None:
    from pixr.media.audio import decode_audio

    chunks = decode_audio(
        request["path"], chunk_seconds=request["chunk_seconds"], sample_rate_hz=request["sample_rate_hz"]
    )
    for chunk in chunks:
        writer.write({"kind": "audio", "start": chunk.start_seconds}, chunk.samples.tobytes())
    writer.write({"kind": "done"})


def _send_subtitles(request: dict[str, Any], writer: MessageWriter) -> None:
    from pixr.media.subtitles import read_subtitles

    read = read_subtitles(request["path"], request["index"], writer.tick)
    cues = json.dumps([[cue.start, cue.end, cue.lines] for cue in read.cues])
    writer.write({"kind": "subtitles", "damage": read.damage}, cues.encode())
    writer.write({"kind": "done"})


def _send_info(request: dict[str, Any], writer: MessageWriter) -> None:
    from pixr.media.frames import probe

    writer.write({"kind": "info", "info": asdict(probe(request["path"]))})
    writer.write({"kind": "done"})


_TASKS = {"segments": _send_segments, "audio": _send_audio, "subtitles": _send_subtitles, "probe": _send_info}


def _limit_memory(byte_count: int) -> None:
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (byte_count, byte_count))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _read_requests(requests: queue.Queue[dict[str, Any]]) -> None:
    try:
        for line in sys.stdin.buffer:
            requests.put(json.loads(line))
    finally:
        os._exit(0)


def main() -> None:
    """Serve requests until the input ends."""
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # a native library that prints must not break the messages
    _limit_memory(int(sys.argv[1]))
    requests: queue.Queue[dict[str, Any]] = queue.Queue()
    threading.Thread(target=_read_requests, args=(requests,), daemon=True).start()
    writer = MessageWriter(output)
    with contextlib.suppress(ImportError):  # a request says which package is missing
        for package in ("numpy", "av"):  # loaded now, before the first request needs them
            importlib.import_module(package)
    while True:
        request = requests.get()
        try:
            _TASKS[request["task"]](request, writer)
        except UnreadableVideo as error:
            writer.write({"kind": "error", "reason": error.reason})
        except MissingExtra as error:
            writer.write({"kind": "missing", "package": error.package, "extra": error.extra, "reason": error.reason})
        except BrokenPipeError:
            os._exit(0)
        except MemoryError:
            writer.write({"kind": "error", "reason": "it needs more memory than a decoder may use"})
        except Exception as error:  # noqa: BLE001 - the parent must hear of a bug too, and this process must live
            writer.write({"kind": "error", "reason": f"{type(error).__name__}: {error}"})
