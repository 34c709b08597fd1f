"""Cuts moments out of their sources into files of their own.

Packets are copied where a picture that stands by itself lies close enough before the moment: no loss, and as quick as
reading. Else, and where no container takes them, the pictures are encoded anew from the moment's first on, so that a
cut begins where the moment does; sound is copied in either case. Where the source's container can't be written, or
doesn't take the codecs, the cut is a Matroska file. Sound that this doesn't take either (WMA, ADPCM) is encoded anew.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.errors import MissingExtra, UnreadableVideo
from pixr.media.seeking import decode_from, packet_time, packets_from
from pixr.media.tracks import decoded, pictures_of, sound_of, tells_only_when_decoded
from pixr.show.thumbnails import local_file
from pixr.whole_file import whole_file
from pixr.wire import source_name

if TYPE_CHECKING:
    from pixr.types import Hits, Video

__all__ = ["Cut", "cut_moment", "cut_moments"]

SLACK_SECONDS = 0.5
# A picture that was there before a moment is its first, unless the next comes as soon as this.
_STANDING_SECONDS = 0.1
# What comes first behind a place that was sought may be no sound: in an MPEG stream its frames are found by trying.
_SETTLING_SECONDS = 1.0
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
        UnreadableVideo: a moment can't be cut; all others are.
        MissingExtra: PyAV is not installed.
        OSError: a file can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cuts = []
    refused: UnreadableVideo | None = None
    for rank, hit in enumerate(hits, start=1):
        source = local_file(hit.video)
        if source is None:
            continue
        for number, moment in enumerate(hit.moments, start=1):
            name = f"{rank:02d}-{number:02d}-{_name(hit.video)}-{moment.start:.2f}-{moment.end:.2f}"
            try:
                cuts.append(cut_moment(source, moment.start, moment.end, folder / name))
            except UnreadableVideo as error:
                refused = refused or error
    if refused is not None:
        raise refused
    return cuts


def cut_moment(source: Path, start: float, end: float, out: Path) -> Cut:
    """Cut `[start, end)`, in seconds, out of `source` into `out`, whose ending is chosen here.

    Raises: as `cut_moments`.
    """
    try:
        import av
    except ImportError as error:
        raise MissingExtra("av", "media", error) from error
    av.logging.set_level(None)
    first = WRITABLE.get(source.suffix.lower(), "matroska")
    refused: Exception | None = None
    last = "matroska"
    ways = ((first, True, True), (last, True, True), (last, False, True), (last, True, False), (last, False, False))
    for kind, may_copy, may_copy_sound in dict.fromkeys(ways):
        suffix = next(suffix for suffix, name in WRITABLE.items() if name == kind)
        path = out.with_name(f"{out.name}{suffix}")
        try:
            with whole_file(path) as partial:
                begins, copied = _write(source, start, end, partial, kind, may_copy, may_copy_sound)
        except (av.error.FFmpegError, ValueError) as error:  # ValueError: the container doesn't take the codec
            refused = error
        else:
            return Cut(path, begins, end, copied)
    raise UnreadableVideo(source, f"it can't be cut: {getattr(refused, 'strerror', None) or refused}")


def _write(
    source: Path, start: float, end: float, out: Path, kind: str, may_copy: bool, may_copy_sound: bool
) -> tuple[float, bool]:
    import av

    with av.open(os.fspath(source), metadata_errors="ignore") as given:
        pictures = pictures_of(given)
        if pictures is None:
            raise UnreadableVideo(source, "it has no pictures")
        sounds = sound_of(given)
        origin = (given.start_time or 0) / av.time_base
        begins, ends = origin + start, origin + end
        key = _key_before(source, begins) if may_copy else None
        copied = key is not None and begins - key <= SLACK_SECONDS
        with av.open(os.fspath(out), "w", format=kind) as made:
            if copied and key is not None:
                seek_to, begins = begins, key
                shown: Any = made.add_stream_from_template(pictures, opaque=True)  # else only what can be encoded
                heard = _add_sound(made, sounds, may_copy_sound)
                for packet in _shown_before(ends, _with_dts(_packets(given, pictures, seek_to, ends))):
                    _mux(made, packet, shown, begins)
            else:
                frames = _frames(given, pictures, begins, ends)
                first = next(frames, None)
                if first is None:
                    raise UnreadableVideo(source, "no picture of the moment can be decoded")
                shown = made.add_stream("libx264", rate=pictures.average_rate or Fraction(25))
                shown.width, shown.height = max(2, first.width // 2 * 2), max(2, first.height // 2 * 2)
                shown.pix_fmt = "yuv420p"
                shown.sample_aspect_ratio = _shape_of_points(pictures, first)
                shown.time_base = shown.codec_context.time_base = pictures.time_base
                shown.options = {"crf": "20", "preset": "veryfast"}
                heard = _add_sound(made, sounds, may_copy_sound)
                for frame in chain((first,), frames):
                    made.mux(shown.encode(frame))
                made.mux(shown.encode(None))
            if heard is not None and may_copy_sound:
                for packet in _packets(given, sounds, begins - _SETTLING_SECONDS, ends):
                    if _time(packet) >= begins:
                        _mux(made, packet, heard, begins)
            elif heard is not None:
                for heard_frame in decoded(_packets(given, sounds, begins - _SETTLING_SECONDS, ends)):
                    if heard_frame.time is not None and begins <= heard_frame.time < ends:
                        heard_frame.pts = round((heard_frame.time - begins) / heard_frame.time_base)
                        made.mux(heard.encode(heard_frame))
                made.mux(heard.encode(None))
    return max(0.0, begins - origin), copied


def _add_sound(made: Any, sounds: Any, may_copy: bool) -> Any:
    if sounds is None:
        return None
    return made.add_stream_from_template(sounds) if may_copy else made.add_stream("aac", rate=sounds.rate)


def _key_before(source: Path, seconds: float) -> float | None:
    """When the last picture at or before the instant that stands by itself is shown, on the container's clock.

    None as well where seeking led past it, and where a copy could not tell when pictures are shown.
    """
    import av

    found = None
    with av.open(os.fspath(source), metadata_errors="ignore") as container:
        pictures: Any = pictures_of(container)
        if tells_only_when_decoded(pictures) and pictures.codec_context.has_b_frames:
            return None
        for packet in _packets(container, pictures, seconds, math.inf):
            if _time(packet) > seconds + 1e-3:
                break
            if packet.is_keyframe and packet.pts is not None:
                found = _time(packet)
    return found


def _packets(container: Any, stream: Any, begins: float, ends: float) -> Iterator[Any]:
    """The packets that are needed for what is shown or heard in between, in their order, and some before these."""
    for packet in packets_from(container, stream, begins + 1e-3):
        if packet.size == 0 or (packet.dts is None and packet.pts is None):
            continue
        needed = packet.pts if packet.dts is None else packet.dts
        if float(needed * packet.time_base) >= ends:
            break
        if packet.pts is None or float(packet.pts * packet.time_base) < ends or not packet.is_disposable:
            yield packet


def _shown_before(ends: float, packets: Iterable[Any]) -> Iterator[Any]:
    """The packets shown before an instant, in their order, and of later ones those that stand before one of them.

    Only these may be needed to decode it. What stands behind all would show the beginning of the next shot.
    """
    later: list[Any] = []
    for packet in packets:
        if _time(packet) >= ends - 1e-6:
            later.append(packet)
            continue
        yield from later
        later.clear()
        yield packet


def _with_dts(packets: Iterable[Any]) -> Iterator[Any]:
    """The packets, each with a time of decoding: where pictures are reordered, Matroska tells none for the first ones.

    They get the ticks just before the first that is told.
    """
    waiting: list[Any] = []
    for packet in packets:
        if packet.dts is None:
            waiting.append(packet)
            continue
        for before, early in enumerate(reversed(waiting), start=1):
            early.dts = packet.dts - before
        yield from waiting
        waiting.clear()
        yield packet
    for early in waiting:  # they are all that there is
        early.dts = early.pts
    yield from waiting


def _frames(container: Any, stream: Any, begins: float, ends: float) -> Iterator[Any]:
    """The pictures that are shown in between, on a clock that is zero where it begins.

    One that was there before, and stands for a while, is the first.
    """
    standing, followed = None, False
    for frame in decode_from(container, stream, begins):
        if frame.time is None or frame.time < begins - 1e-3:
            standing = frame
            continue
        if frame.time >= ends:
            break
        if not followed and standing is not None and frame.time - begins > _STANDING_SECONDS:
            yield _placed(standing, 0.0)
        followed = True
        yield _placed(frame, frame.time - begins)
    if not followed and standing is not None:
        yield _placed(standing, 0.0)


def _shape_of_points(given: Any, placed: Any) -> Fraction:
    """That of the cut's points, which lie on their side where its pictures were turned by a quarter."""
    shape: Fraction = given.sample_aspect_ratio or Fraction(1)
    is_turned = (placed.width > placed.height) != (given.width > given.height)
    return 1 / shape if is_turned else shape


def _placed(frame: Any, seconds: float) -> Any:
    """The picture at its time in the cut, turned as the container says: a new stream says nothing of it."""
    placed = frame
    if turns := round(frame.rotation / 90) % 4:
        import av
        import numpy as np

        upright = np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), turns))
        placed = av.VideoFrame.from_ndarray(upright, format="rgb24")
        placed.time_base = frame.time_base
    placed.pts = round(seconds / placed.time_base)
    placed.pict_type = 0
    return placed


def _mux(container: Any, packet: Any, stream: Any, begins: float) -> None:
    if packet.dts is None or _time(packet) < begins - 1e-3:
        return
    offset = round(begins / packet.time_base)
    packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
    packet.stream = stream
    container.mux(packet)


def _time(packet: Any) -> float:
    time = packet_time(packet)
    return -math.inf if time is None else time


def _name(video: Video) -> str:
    """The source's name as a part of a file's name anywhere."""
    return re.sub(r"[^\w.-]+", "_", Path(source_name(video)).stem)[:60] or "video"
