"""Cuts moments out of their sources into files of their own.

If a keyframe lies close enough before the moment, packets are copied: nothing is lost, and it is as quick as reading.
If not, or if no container takes them, the pictures are encoded anew from the moment's first on, so that the cut begins
where the moment does. Sound is copied in either case. If the source's container can't be written, or doesn't take the
codecs, the cut is a Matroska file. Sound that Matroska doesn't take either (WMA, ADPCM) is encoded anew.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pixr.errors import UnreadableVideo
from pixr.media.seeking import decode_from, packet_time, packets_from
from pixr.media.tracks import USUAL_FRAME_RATE, decoded, import_av, opened, pictures_of, sound_of, times_are_guessed
from pixr.show.thumbnails import local_file
from pixr.whole_file import whole_file
from pixr.wire import source_name

if TYPE_CHECKING:
    from pixr.types import Hits, Video

__all__ = ["Cut", "cut_moment", "cut_moments"]

# How much earlier than the moment a copy may begin.
SLACK_SECONDS = 0.5
# The picture that is shown when a moment begins is its first, unless the next one comes as soon as this.
_STANDING_SECONDS = 0.1
# Sound is read from so much earlier: right behind a place that was sought there may be none yet, because in an MPEG
# stream the frames of sound are found by trying.
_SETTLING_SECONDS = 1.0
# Times that differ by less than this count as the same: Matroska rounds its time stamps to milliseconds.
_CLOCK_SLACK_SECONDS = 1e-3
WRITABLE = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}


@dataclass(frozen=True)
class Cut:
    """A moment's file, from `start` to `end` in seconds of the source.

    `copied` says that its pictures are the source's own. Then it may begin up to half a second early, and end a few
    pictures late if those before need them to be decoded.
    """

    path: Path
    start: float
    end: float
    copied: bool


@dataclass(frozen=True)
class _Way:
    """A way to write a cut: into which kind of container, and what may be copied rather than encoded anew."""

    container: str
    may_copy_pictures: bool
    may_copy_sound: bool


def cut_moments(folder: Path, hits: Hits) -> list[Cut]:
    """Cut every moment of the hits into `folder`, which is made, named by rank, source and time.

    Moments whose source is not an existing file are left out. An existing cut of the same name is replaced.

    Raises:
        UnreadableVideo: a moment can't be cut; all others were.
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
    """Cut `[start, end)`, in seconds, out of `source` into `out`, to whose name the suffix of its container is added.

    Raises: as `cut_moments`.
    """
    av = import_av()
    first = WRITABLE.get(source.suffix.lower(), "matroska")
    refused: Exception | None = None
    for way in dict.fromkeys(_ways(first)):
        suffix = next(suffix for suffix, name in WRITABLE.items() if name == way.container)
        path = out.with_name(f"{out.name}{suffix}")
        try:
            with whole_file(path) as partial:
                begins, copied = _write(source, start, end, partial, way)
        except (av.error.FFmpegError, ValueError) as error:  # ValueError: the container doesn't take the codec
            refused = error
        else:
            return Cut(path, begins, end, copied)
    raise UnreadableVideo(source, f"it can't be cut: {getattr(refused, 'strerror', None) or refused}")


def _ways(container: str) -> Iterator[_Way]:
    """The ways to try, the best first."""
    yield _Way(container, True, True)
    for may_copy_sound in (True, False):
        for may_copy_pictures in (True, False):
            yield _Way("matroska", may_copy_pictures, may_copy_sound)


def _write(source: Path, start: float, end: float, out: Path, way: _Way) -> tuple[float, bool]:
    """Write the cut; where it begins, in seconds of the source, and whether its pictures are copies."""
    import av

    with opened(os.fspath(source)) as given:
        pictures = pictures_of(given)
        if pictures is None:
            raise UnreadableVideo(source, "it has no pictures")
        sounds = sound_of(given)
        origin = (given.start_time or 0) / av.time_base
        begins, ends = origin + start, origin + end
        key = _key_before(source, begins) if way.may_copy_pictures else None
        copied = key is not None and begins - key <= SLACK_SECONDS
        with av.open(os.fspath(out), "w", format=way.container) as made:
            if copied and key is not None:
                seek_to, begins = begins, key
                shown: Any = made.add_stream_from_template(pictures, opaque=True)  # else only what can be encoded
                heard = _add_sound(made, sounds, way.may_copy_sound)
                for packet in _shown_before(ends, _with_dts(_packets(given, pictures, seek_to, ends))):
                    _mux(made, packet, shown, begins)
            else:
                frames = _frames(given, pictures, begins, ends)
                first = next(frames, None)
                if first is None:
                    raise UnreadableVideo(source, "no picture of the moment can be decoded")
                shown = _add_encoded_pictures(made, pictures, first)
                heard = _add_sound(made, sounds, way.may_copy_sound)
                for frame in chain((first,), frames):
                    made.mux(shown.encode(frame))
                made.mux(shown.encode(None))
            if heard is not None:
                needed = _packets(given, sounds, begins - _SETTLING_SECONDS, ends)
                if way.may_copy_sound:
                    _copy_sound(made, heard, needed, begins)
                else:
                    _encode_sound(made, heard, needed, begins, ends)
    return max(0.0, begins - origin), copied


def _add_encoded_pictures(made: Any, pictures: Any, first: Any) -> Any:
    """A stream of H.264 for pictures like the first one, on the clock of the source's pictures."""
    stream = made.add_stream("libx264", rate=pictures.average_rate or USUAL_FRAME_RATE)
    stream.width, stream.height = (max(2, side // 2 * 2) for side in (first.width, first.height))  # even, as it needs
    stream.pix_fmt = "yuv420p"
    stream.sample_aspect_ratio = _shape_of_points(pictures, first)
    stream.time_base = stream.codec_context.time_base = pictures.time_base
    stream.options = {"crf": "20", "preset": "veryfast"}
    return stream


def _copy_sound(made: Any, stream: Any, packets: Iterable[Any], begins: float) -> None:
    for packet in packets:
        if _time(packet) >= begins:
            _mux(made, packet, stream, begins)


def _encode_sound(made: Any, stream: Any, packets: Iterable[Any], begins: float, ends: float) -> None:
    """Encode what is heard in between, on a clock that is zero where it begins."""
    for frame in decoded(packets):
        if frame.time is not None and begins <= frame.time < ends:
            frame.pts = round((frame.time - begins) / frame.time_base)
            made.mux(stream.encode(frame))
    made.mux(stream.encode(None))


def _add_sound(made: Any, sounds: Any, may_copy: bool) -> Any:
    if sounds is None:
        return None
    return made.add_stream_from_template(sounds) if may_copy else made.add_stream("aac", rate=sounds.rate)


def _key_before(source: Path, seconds: float) -> float | None:
    """When the last keyframe at or before the instant is shown, on the container's clock.

    None if there is none, if seeking led past it, if a copy could not tell when pictures are shown, or if pictures that
    follow it in H.264 are shown before it: without them browsers don't decode the rest.
    """
    found = None
    with opened(os.fspath(source)) as container:
        pictures: Any = pictures_of(container)
        if times_are_guessed(pictures) and pictures.codec_context.has_b_frames:
            return None
        is_h264 = pictures.codec_context.name == "h264"
        for packet, following in pairwise(chain(_packets(container, pictures, seconds, math.inf), (None,))):
            if _time(packet) > seconds + _CLOCK_SLACK_SECONDS:
                break
            if packet.is_keyframe and packet.pts is not None:
                is_open = is_h264 and following is not None and _time(following) < _time(packet)
                found = None if is_open else _time(packet)
    return found


def _packets(container: Any, stream: Any, begins: float, ends: float) -> Iterator[Any]:
    """The packets that are needed for what is shown or heard in this span, in their order, and some before them."""
    for packet in packets_from(container, stream, begins + _CLOCK_SLACK_SECONDS):
        if packet.size == 0 or (packet.dts is None and packet.pts is None):
            continue
        needed = packet.pts if packet.dts is None else packet.dts
        if float(needed * packet.time_base) >= ends:
            break
        if packet.pts is None or float(packet.pts * packet.time_base) < ends or not packet.is_disposable:
            yield packet


def _shown_before(ends: float, packets: Iterable[Any]) -> Iterator[Any]:
    """The packets shown before an instant, and later ones that one of these follows in the file; in their order.

    Only these may be needed for decoding. Those behind all of them would show the beginning of the next shot.
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
    """The packets, each with a time of decoding.

    If pictures are reordered, Matroska gives none to the first ones: they get the ticks just before the first given.
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
    for early in waiting:  # no packet had one
        early.dts = early.pts
    yield from waiting


def _frames(container: Any, stream: Any, begins: float, ends: float) -> Iterator[Any]:
    """The pictures shown in this span, on a clock that is zero where it begins.

    The first is the one that is shown when it begins, if it stays for a while.
    """
    standing, followed = None, False
    for frame in decode_from(container, stream, begins):
        if frame.time is None or frame.time < begins - _CLOCK_SLACK_SECONDS:
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
    """The aspect ratio of the cut's points: if its pictures were turned by a quarter, so were the points."""
    shape: Fraction = given.sample_aspect_ratio or Fraction(1)
    is_turned = (placed.width > placed.height) != (given.width > given.height)
    return 1 / shape if is_turned else shape


def _placed(frame: Any, seconds: float) -> Any:
    """The picture at its time in the cut, turned upright, because the new stream does not say how to turn it."""
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
    if packet.dts is None or _time(packet) < begins - _CLOCK_SLACK_SECONDS:
        return
    offset = round(begins / packet.time_base)
    packet.pts, packet.dts = packet.pts - offset, packet.dts - offset
    packet.stream = stream
    container.mux(packet)


def _time(packet: Any) -> float:
    time = packet_time(packet)
    return -math.inf if time is None else time


def _name(video: Video) -> str:
    """The source's name, as it may be part of a file's name on any system."""
    return re.sub(r"[^\w.-]+", "_", Path(source_name(video)).stem)[:60] or "video"
