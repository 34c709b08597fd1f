"""Cuts moments out of their sources into files of their own.

Packets are copied where a picture that stands by itself lies close enough before the moment: no loss, and as quick as
reading. Else the pictures are encoded anew from the moment's first on, so that a cut begins where the moment does;
sound is copied in either case. Where the source's container can't be written, or doesn't take the codecs, the cut is a
Matroska file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.errors import MissingExtra, UnreadableVideo
from pixr.show.thumbnails import local_file
from pixr.wire import source_name

if TYPE_CHECKING:
    from pixr.types import Hits, Video

__all__ = ["Cut", "cut_moment", "cut_moments"]

SLACK_SECONDS = 0.5
WRITABLE = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


@dataclass(frozen=True)
class Cut:
    """A moment's file, from `start` to `end` in seconds of the source.

    `copied` says that its pictures are the source's own; then it may begin up to half a second early, and end a few
    pictures late where those before need them.
    """

    path: Path
    start: float
    end: float
    copied: bool


def cut_moments(folder: Path, hits: Hits) -> list[Cut]:
    """Cut every moment of the hits into `folder`, which is made, named by rank, source and time.

    Moments whose source is not a file that is there are left out. An existing file of the same name is replaced.

    Raises:
        UnreadableVideo: a source can't be read.
        MissingExtra: PyAV is not installed.
        OSError: a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cuts = []
    for rank, hit in enumerate(hits, start=1):
        source = local_file(hit.video)
        if source is None:
            continue
        for number, moment in enumerate(hit.moments, start=1):
            name = f"{rank:02d}-{number:02d}-{_name(hit.video)}-{moment.start:.2f}-{moment.end:.2f}"
            cuts.append(cut_moment(source, moment.start, moment.end, folder / name))
    return cuts


def cut_moment(source: Path, start: float, end: float, out: Path) -> Cut:
    """Cut `[start, end)`, in seconds, out of `source` into `out`, whose ending is chosen here.

    Raises: as `cut_moments`.
    """
    try:
        import av
    except ImportError:
        raise MissingExtra("av", "media") from None
    av.logging.set_level(None)
    first = WRITABLE.get(source.suffix.lower(), "matroska")
    refused: Exception | None = None
    for kind in dict.fromkeys((first, "matroska")):
        suffix = next(suffix for suffix, name in WRITABLE.items() if name == kind)
        path = out.with_name(f"{out.name}{suffix}")
        partial = path.with_name(f".{path.name}.partial")
        try:
            begins, copied = _write(source, start, end, partial, kind)
            os.replace(partial, path)
        except (av.error.FFmpegError, ValueError) as error:  # ValueError: the container doesn't take the codec
            refused = error
        else:
            return Cut(path, begins, end, copied)
        finally:
            partial.unlink(missing_ok=True)
    raise UnreadableVideo(source, f"it can't be cut: {getattr(refused, 'strerror', None) or refused}")


def _write(source: Path, start: float, end: float, out: Path, kind: str) -> tuple[float, bool]:
    import av

    with av.open(os.fspath(source), metadata_errors="ignore") as given:
        if not given.streams.video:
            raise UnreadableVideo(source, "it has no pictures")
        origin = (given.start_time or 0) / av.time_base
        key = _key_before(given, origin + start)
        copied = key is not None and origin + start - key <= SLACK_SECONDS
        begins = key if copied and key is not None else origin + start
        with av.open(os.fspath(out), "w", format=kind) as made:
            pictures: Any = given.streams.video[0]
            sounds: Any = given.streams.audio[0] if given.streams.audio else None
            if copied:
                shown: Any = made.add_stream_from_template(pictures)
            else:
                rate = pictures.average_rate or Fraction(25)
                shown = made.add_stream("libx264", rate=rate)
                shown.width, shown.height, shown.pix_fmt = pictures.width // 2 * 2, pictures.height // 2 * 2, "yuv420p"
                shown.time_base = shown.codec_context.time_base = pictures.time_base
                shown.options = {"crf": "20", "preset": "veryfast"}
            heard: Any = made.add_stream_from_template(sounds) if sounds is not None else None
            for packet in _packets(given, pictures, begins, origin + end, key):
                if copied:
                    _mux(made, packet, shown, begins)
                else:
                    for frame in packet.decode():
                        if frame.time is not None and begins - 1e-3 <= frame.time < origin + end:
                            frame.pts = round((frame.time - begins) / frame.time_base)
                            frame.pict_type = 0
                            made.mux(shown.encode(frame))
            if not copied:
                made.mux(shown.encode(None))
            if heard is not None:
                for packet in _packets(given, sounds, begins, origin + end, begins):
                    if _time(packet) >= begins:
                        _mux(made, packet, heard, begins)
    return max(0.0, begins - origin), copied


def _key_before(container: Any, seconds: float) -> float | None:
    """When the last picture at or before the instant that stands by itself is shown, on the container's clock."""
    stream = container.streams.video[0]
    container.seek(int((seconds + 1e-3) / stream.time_base), stream=stream, backward=True)
    found = None
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        time = float(packet.pts * packet.time_base)
        if time > seconds + 1e-3:
            break
        if packet.is_keyframe:
            found = time
    return found


def _packets(container: Any, stream: Any, begins: float, ends: float, seek_to: float | None) -> Iterator[Any]:
    """The packets that are needed for what is shown or heard in between, in their order."""
    container.seek(int((begins if seek_to is None else seek_to) / stream.time_base), stream=stream, backward=True)
    for packet in container.demux(stream):
        if packet.dts is None:
            yield from () if packet.size else (packet,)  # an empty packet flushes the decoder
            continue
        if float(packet.dts * packet.time_base) >= ends:
            break
        if packet.pts is None or float(packet.pts * packet.time_base) < ends or not packet.is_disposable:
            yield packet


def _mux(container: Any, packet: Any, stream: Any, begins: float) -> None:
    if packet.size == 0 or packet.dts is None or _time(packet) < begins - 1e-3:
        return
    offset = round(begins / packet.time_base)
    packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
    packet.stream = stream
    container.mux(packet)


def _time(packet: Any) -> float:
    at = packet.pts if packet.pts is not None else packet.dts
    return float("-inf") if at is None else float(at * packet.time_base)


def _name(video: Video) -> str:
    """The source's name as a part of a file's name anywhere."""
    return re.sub(r"[^\w.-]+", "_", Path(source_name(video)).stem)[:60] or "video"
