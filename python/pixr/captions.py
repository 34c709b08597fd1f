"""What is said, with its times, as files: SRT, WebVTT and JSON, in and out.

Captions are read as other programs write them: SRT with commas or points, WebVTT with notes, styles, positions and
voices, JSON as `{"segments": [{"start", "end", "text"}]}` (Whisper's), a list of such objects, or this module's own.

Those of before UTF-8 was usual are in the code page of their language, which their letters tell (`_code_page`).

Captions that roll, as YouTube's and those of live television do, show a line again above the one that is said next.
Each line is kept once, from when it first appears.
"""

from __future__ import annotations

import codecs
import html
import itertools
import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pixr.arguments import check_choice
from pixr.errors import InvalidCaptions, MissingExtra
from pixr.surrogates import has_lone_surrogate

__all__ = ["Caption", "CaptionFormat", "Cue", "beside", "captions_of", "read_captions", "write_captions"]

CaptionFormat = Literal["srt", "vtt", "json"]
MAX_BYTES = 64 << 20
# In UTF-8 with a damaged byte here and there, less than this share of what is not ASCII is no letter. In a text of a
# code page hardly anything is one.
_DAMAGED_SHARE = 0.1
# By words of two or three lines code pages are told apart with a confidence above this; single lines have less.
_SURE = 0.5
_WESTERN = "cp1252"
_BESIDE = (".srt", ".vtt")  # the more wanted first; also in capitals, as cameras and old discs have them

_TIME = r"(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})"
_TIMES = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_SRT_TAG = re.compile(r"</?(?:[ibus]|font)\b[^>]*>|\{\\[^}]*\}", re.IGNORECASE)
_VTT_TAG = re.compile(r"</?[A-Za-z][^>]*>|<\d[\d:.]*>|</>")


@dataclass(frozen=True, slots=True)
class Caption:
    """What is said from `start` to `end`, in seconds."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown from `start` to `end`, in seconds, a line a line on screen, without empty ones."""

    start: float
    end: float
    lines: tuple[str, ...]


def beside(video: str | os.PathLike[str]) -> Path | None:
    """The captions that lie beside a video: `talk.srt` or `talk.vtt`, also `talk.en.srt`; None if there are none."""
    path = Path(video)
    try:
        names = os.listdir(path.parent)
    except OSError:
        return None
    found = [path.with_name(name) for name in names if name.startswith(f"{path.stem}.")]
    captions = [file for file in found if file.suffix.lower() in _BESIDE and file.is_file()]
    return min(captions, key=lambda file: _rank(file, path), default=None)


def _rank(file: Path, video: Path) -> tuple[int, bool, str]:
    return _BESIDE.index(file.suffix.lower()), file.stem != video.stem, file.name


def read_captions(path: str | os.PathLike[str]) -> list[Caption]:
    """Read a file of captions, by its content and not by its name; in order of time, without empty ones.

    A file of nothing is one of no captions, as recognisers write it where nothing is said.

    Raises:
        InvalidCaptions: it is none, or a time in it can't be read; the message has the line.
        MissingExtra: it is in a code page, and cchardet, which tells which, is not installed.
        OSError: it can't be read.
    """
    file = Path(path)
    if file.stat().st_size > MAX_BYTES:
        raise InvalidCaptions(f"{file}: more than {MAX_BYTES >> 20} MB")
    text = _decoded(file.read_bytes())
    stripped = text.lstrip()
    if stripped.startswith("[Script Info]"):
        raise InvalidCaptions(f"{file}: ASS captions; SRT, WebVTT or JSON is read, and most players and ffmpeg convert")
    found = _from_json(text, file) if stripped[:1] in ("{", "[") else _from_lines(text, file)
    return captions_of(found)


def _decoded(raw: bytes) -> str:
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return raw.decode("utf-16", errors="replace")
    text = raw.decode("utf-8-sig", errors="replace")
    if "\ufffd" not in text:
        return text
    letters = [letter for letter in text if not letter.isascii()]
    is_damaged = letters.count("\ufffd") < _DAMAGED_SHARE * len(letters)
    return text if is_damaged else raw.decode(_code_page(raw), errors="replace")


def _code_page(raw: bytes) -> str:
    """The encoding of a text that is not Unicode, as its letters tell; Western Europe's where they are too few."""
    try:
        import cchardet
    except ImportError as error:
        raise MissingExtra("cchardet", "media", error) from error
    guess = cchardet.detect(raw)
    if guess["encoding"] is None or (guess["confidence"] or 0) < _SURE:
        return _WESTERN
    try:
        return codecs.lookup(guess["encoding"]).name
    except LookupError:  # one that Python doesn't know
        return _WESTERN


def captions_of(cues: Iterable[Cue]) -> list[Caption]:
    """What is said by what is shown, in order of time, without empty cues; lines that roll are said once."""
    shown = sorted((cue for cue in cues if cue.lines), key=lambda cue: (cue.start, cue.end))
    return [Caption(cue.start, cue.end, " ".join(cue.lines)) for cue in _unrolled(shown)]


def write_captions(captions: Iterable[Caption], format: CaptionFormat) -> str:
    """The captions as the content of a file; what `read_captions` reads back.

    Raises:
        InvalidQuery: there is no such format.
    """
    check_choice("format", format, CaptionFormat)
    given = list(captions)
    if format == "json":
        segments = [{"start": one.start, "end": one.end, "text": one.text} for one in given]
        return json.dumps({"segments": segments}, ensure_ascii=False, indent=1) + "\n"
    if format == "srt":
        blocks = [
            f"{number}\n{_clock(one.start, ',')} --> {_clock(one.end, ',')}\n{_one_block(one.text)}\n"
            for number, one in enumerate(given, start=1)
        ]
        return "\n".join(blocks)
    blocks = [
        f"{_clock(one.start, '.')} --> {_clock(one.end, '.')}\n{html.escape(_one_block(one.text), quote=False)}\n"
        for one in given
    ]
    return "\n".join(["WEBVTT\n", *blocks])


def _unrolled(cues: list[Cue]) -> list[Cue]:
    """Cues without the lines that the cue before has shown, if they roll.

    They do if, of four cues, one or more begins with lines that end the one before, and adds others. A refrain repeats
    lines as well, but not so often.
    """
    kept = [0, *(_lines_kept(before, cue) for before, cue in itertools.pairwise(cues))]
    rolls = sum(0 < count < len(cue.lines) for count, cue in zip(kept, cues, strict=False))
    if not rolls or 4 * rolls < len(cues):
        return cues
    unrolled: list[Cue] = []
    for count, cue in zip(kept, cues, strict=True):
        if added := cue.lines[count:]:
            unrolled.append(replace(cue, lines=added))
        else:
            unrolled[-1] = replace(unrolled[-1], end=max(unrolled[-1].end, cue.end))
    return unrolled


def _lines_kept(before: Cue, cue: Cue) -> int:
    """How many lines at the end of one cue are those at the beginning of the next."""
    most = min(len(before.lines), len(cue.lines))
    return next((count for count in range(most, 0, -1) if before.lines[-count:] == cue.lines[:count]), 0)


def _from_lines(text: str, file: Path) -> list[Cue]:
    is_vtt = text.lstrip().startswith("WEBVTT")
    lines = text.splitlines()
    cues: list[Cue] = []
    at = 0
    while at < len(lines):
        times = _TIMES.match(lines[at])
        if times is None:
            if "-->" in lines[at]:
                raise InvalidCaptions(
                    f"{file}, line {at + 1}: {lines[at].strip()[:80]!r} has no times that can be read"
                )
            at += 1
            continue
        start, end = _seconds(times.groups()[:4]), _seconds(times.groups()[4:])
        if end < start:
            raise InvalidCaptions(f"{file}, line {at + 1}: it ends at {end} s, before it starts at {start} s")
        said: list[str] = []
        at += 1
        while at < len(lines) and "-->" not in lines[at] and not _ends_block(lines[at], said, is_vtt):
            said.append(lines[at])
            at += 1
        if at < len(lines) and "-->" in lines[at] and said and said[-1].strip().isdigit():
            said.pop()  # a number of an SRT block without an empty line before it
        words = (_VTT_TAG if is_vtt else _SRT_TAG).sub("", "\n".join(said)).split("\n")
        shown = (" ".join((html.unescape(line) if is_vtt else line).split()) for line in words)
        cues.append(Cue(start, end, tuple(filter(None, shown))))
    if not cues and not is_vtt and text.strip():
        raise InvalidCaptions(f"{file}: neither SRT, WebVTT nor JSON captions")
    return cues


def _ends_block(line: str, said: Sequence[str], is_vtt: bool) -> bool:
    """Whether a line is the empty one behind what is said.

    YouTube's WebVTT begins with a line of one space, which is not empty, and what ffmpeg makes SRT of it with an empty
    one.
    """
    return not line if is_vtt else not line.strip() and any(map(str.strip, said))


def _from_json(text: str, file: Path) -> list[Cue]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidCaptions(f"{file}: not JSON ({error})") from None
    items: Any = value.get("segments", value.get("captions")) if isinstance(value, dict) else value
    if not isinstance(items, list):
        raise InvalidCaptions(f'{file}: a list of {{"start", "end", "text"}} is expected, or one named "segments"')
    return [_from_object(item, number, file) for number, item in enumerate(items)]


def _from_object(item: Any, number: int, file: Path) -> Cue:
    try:
        start, end, text = float(item["start"]), float(item["end"]), item["text"]
        if not isinstance(text, str) or has_lone_surrogate(text) or not 0 <= start <= end < float("inf"):
            raise ValueError
    except (KeyError, TypeError, ValueError, OverflowError):
        raise InvalidCaptions(f'{file}, item {number}: "start", "end" (seconds) and "text" are expected') from None
    words = " ".join(text.split())
    return Cue(start, end, (words,) if words else ())


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = parts
    return (
        int(hours or 0) * 3600
        + int(minutes or 0) * 60
        + int(seconds or 0)
        + int((fraction or "0").ljust(3, "0")) / 1000
    )


def _clock(seconds: float, point: str) -> str:
    whole, thousandths = divmod(round(seconds * 1000), 1000)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}{point}{thousandths:03d}"


def _one_block(text: str) -> str:
    """The text without what would end or begin a block."""
    return " ".join(text.split()).replace("-->", "→")
