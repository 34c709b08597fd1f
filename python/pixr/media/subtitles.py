"""Reads the text subtitles that lie in a file, as tracks of their own beside its pictures and sound.

FFmpeg turns every text format (`mov_text`, SRT, ASS and SSA, WebVTT) into events of ASS, of which the words are kept.
Pictures of letters, as discs and broadcasts have them, are not read. Times are those of the container's clock, which
pictures and sound share.

`subtitles_of` leaves out tracks that don't say what is said: those marked as forced, which translate only what is
foreign in a film, as commentary, as the words of songs or as descriptions of what is seen.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass, replace
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from pixr.captions import Cue
from pixr.errors import UnreadableVideo
from pixr.languages import language_code
from pixr.media.tracks import import_av, opened, packets_of, pictures_of, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from av.container import InputContainer

__all__ = ["SubtitleTrack", "Subtitles", "choose_subtitles", "read_subtitles", "subtitles_of"]

_TEXT_CODECS = frozenset(("mov_text", "srt", "subrip", "ass", "ssa", "webvtt", "text"))
_NOT_DIALOGUE = re.compile(r"\b(?:forced|signs|songs|lyrics|commentary)\b", re.IGNORECASE)
_FOR_DEAF = re.compile(r"\b(?:sdh|hearing|deaf)\b", re.IGNORECASE)
# How long a subtitle is shown at the most, if the file doesn't say.
_UNKNOWN_LENGTH_SECONDS = 5.0
# A film's subtitles take a hundredth of that. Each takes memory beside its text.
_MOST_BYTES, _BYTES_OF_A_CUE = 16 << 20, 64

_DRAWING = re.compile(r"\{[^}]*\\p[1-9][^}]*\}.*?(?=\{[^}]*\\p0[^}]*\}|\Z)", re.DOTALL)
_OVERRIDE = re.compile(r"\{[^}]*\}")
_FIELDS_BEFORE_TEXT = 8


@dataclass(frozen=True, slots=True)
class SubtitleTrack:
    """A track of text subtitles.

    Attributes:
        index: of the stream in the file.
        language: a code such as "de"; None where it isn't named.
        is_default: whether the file marks it to be shown.
        for_deaf: whether it tells of sounds as well, for those who can't hear.
    """

    index: int
    language: str | None
    is_default: bool
    for_deaf: bool


@dataclass(frozen=True, slots=True)
class Subtitles:
    """What a track shows, in order of time; `damage` says what is missing, None if nothing is."""

    cues: tuple[Cue, ...]
    damage: str | None = None


def subtitles_of(container: InputContainer) -> tuple[SubtitleTrack, ...]:
    """The tracks of text subtitles that say what is said, in the file's order."""
    from av.stream import Disposition

    others = Disposition.forced | Disposition.comment | Disposition.lyrics | Disposition.karaoke
    others |= Disposition.descriptions
    tracks = []
    for stream in container.streams.subtitles:
        marks, title = stream.disposition, stream.metadata.get("title", "")
        # PyAV has no context for a codec it doesn't know, which its types don't say.
        codec = getattr(stream.codec_context, "name", None)
        if codec not in _TEXT_CODECS or marks & others or _NOT_DIALOGUE.search(title):
            continue
        for_deaf = bool(marks & Disposition.hearing_impaired or _FOR_DEAF.search(title))
        is_default = bool(marks & Disposition.default)
        tracks.append(SubtitleTrack(stream.index, language_code(stream.language), is_default, for_deaf))
    return tuple(tracks)


def choose_subtitles(
    tracks: Sequence[SubtitleTrack], *, asked: str | None, sound: str | None, recognises: Callable[[str], bool]
) -> SubtitleTrack | None:
    """The track that says what is said; None if what is said should be recognised instead.

    It is of the language that was asked for, or else of the sound's, or of none that is named. Where no language was
    asked for and the sound's can't be recognised, a translation is better than nothing. Of several, those not made for
    the deaf come first, of these the one marked as default, and then the first in the file.

    Args:
        tracks: to choose from.
        asked: the code of the language that was asked for.
        sound: that of the sound, None if it isn't named.
        recognises: says whether the language of a code can be recognised. It is asked only if that decides.
    """
    wanted = language_code(asked) or sound
    fitting = [track for track in tracks if wanted is None or track.language in (None, wanted)]
    if tracks and not fitting and asked is None and sound is not None and not recognises(sound):
        fitting = list(tracks)

    def rank(track: SubtitleTrack) -> tuple[bool, bool, bool, int]:
        return wanted is not None and track.language != wanted, track.for_deaf, not track.is_default, track.index

    return min(fitting, key=rank, default=None)


def read_subtitles(path: str, index: int, on_packet: Callable[[], None] = lambda: None) -> Subtitles:
    """What the track at `index` shows. `on_packet` is called while the file is read, for its pictures' packets too.

    Raises:
        UnreadableVideo: none of it can be read, or less than can't.
        MissingExtra: PyAV is not installed.
    """
    av = import_av()
    cues: list[Cue] = []
    room, failed, damage = _MOST_BYTES, 0, None
    try:
        with opened(path) as container:
            zero = (container.start_time or 0) / av.time_base
            for packet in _packets(container, index, on_packet):
                room -= packet.size + _BYTES_OF_A_CUE
                if room < 0:
                    damage = f"they are longer than {_MOST_BYTES >> 20} MB"
                    break
                try:
                    cues += _cues(packet, zero)
                except (av.error.FFmpegError, ValueError):
                    failed += 1
    except (av.error.FFmpegError, OSError) as error:
        damage = reason_of(error)
    if failed:
        damage = damage or f"{failed} of them can't be decoded: damaged"
    if damage and len(cues) <= failed:
        raise UnreadableVideo(path, damage)
    return Subtitles(tuple(_with_ends(cues)), damage)


def _packets(container: InputContainer, index: int, on_packet: Callable[[], None]) -> Iterator[Any]:
    """The packets of one stream. Those of the pictures are read as well, since subtitles may lie far apart."""
    pictures = pictures_of(container)
    for packet in packets_of(container, container.streams[index], *([] if pictures is None else [pictures])):
        on_packet()
        if packet.stream.index == index and packet.pts is not None and packet.time_base is not None:
            yield packet


def _cues(packet: Any, zero: float) -> Iterator[Cue]:
    """What a packet shows. Where it doesn't say until when, the end is its start.

    Raises:
        av.error.FFmpegError, ValueError: it can't be decoded.
    """
    start = max(0.0, float(packet.pts * packet.time_base) - zero)
    end = start + float((packet.duration or 0) * packet.time_base)
    for event in packet.decode():
        lines = _lines(event.ass.decode(errors="replace"))
        if lines and isfinite(start) and isfinite(end):
            yield Cue(start, max(start, end), lines)


def _lines(event: str) -> tuple[str, ...]:
    """The words of an event of ASS, without its marks and drawings, a line a line on screen."""
    text = event.split(",", _FIELDS_BEFORE_TEXT)[-1]
    words = _OVERRIDE.sub("", _DRAWING.sub("", text)).replace("\\h", " ")
    return tuple(filter(None, (" ".join(line.split()) for line in re.split(r"\\[Nn]|\n", words))))


def _with_ends(cues: Iterable[Cue]) -> Iterator[Cue]:
    """The cues in order of time. One that doesn't say how long it is shown ends where the next begins, or soon."""
    ordered = sorted(cues, key=lambda cue: cue.start)
    starts = [cue.start for cue in ordered]
    for cue in ordered:
        if cue.end > cue.start:
            yield cue
        else:
            at = bisect_right(starts, cue.start)
            following = starts[at] if at < len(starts) else inf
            yield replace(cue, end=min(following, cue.start + _UNKNOWN_LENGTH_SECONDS))
