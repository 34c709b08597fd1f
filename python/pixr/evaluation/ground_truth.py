"""Reads questions whose answers are known, in the formats in which they are published.

| format | a line | asked |
| --- | --- | --- |
| pixr | `{"id", "family", "query", …, "relevant": [{"video", "start", "end"}]}`, maybe none | of the library |
| qvhighlights | `{"qid", "query", "vid", "duration", "relevant_windows": [[start, end]]}` | of the video |
| tvr | `{"desc_id", "desc", "vid_name", "ts": [start, end], "type": "v", "t" or "vt"}` | of the library |
| charades-sta | `VIDEO START END##a sentence.` | of the video |

A video is named like its file, without the suffix, or by its id in the library. Questions about one video can be asked
of the whole library as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from pixr.errors import InvalidQuery
from pixr.surrogates import has_lone_surrogate

__all__ = ["Format", "Judged", "Span", "read_ground_truth", "read_lines"]

Format = Literal["pixr", "qvhighlights", "tvr", "charades-sta"]
_CHARADES = re.compile(r"(\S+)\s+(\d+(?:\.\d+)?)\s+(\d+(?:\.\d+)?)\s*##\s*(.+)")
_TVR_MODES = {"v": ["visual"], "t": ["audio"], "vt": ["visual", "audio"]}


@dataclass(frozen=True, slots=True)
class Span:
    """A part of a video, in seconds."""

    video: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Judged:
    """A question in the form of `pixr.questions.from_dict`, and every span that answers it, if any does.

    `within` names the video that the question is about; None stands for the whole library.
    """

    id: str
    family: str
    question: Mapping[str, Any]
    relevant: tuple[Span, ...]
    within: str | None = None
    folder: Path = field(default_factory=Path)


def read_ground_truth(path: Path, format: Format | None = None) -> list[Judged]:
    """Read a file. If no format is given, the first line decides.

    Raises:
        InvalidQuery: a line is not of that format; the message has its number.
        OSError: it can't be read.
    """
    lines = read_lines(path)
    if not lines:
        raise InvalidQuery(f"{path} is empty")
    read = _READERS[format or _format_of(lines[0][1], path)]
    judged = []
    for number, line in lines:
        try:
            judged.append(read(line, number, path))
        except (KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError) as error:
            raise InvalidQuery(f"{path}, line {number}: {type(error).__name__}: {error}") from None
    return judged


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file that are not blank, with their numbers.

    Raises:
        InvalidQuery: a line is not UTF-8; the message has its number.
        OSError: it can't be read.
    """
    # Bytes that are not UTF-8 become lone surrogates, so that the line they are in is known.
    with path.open(encoding="utf-8-sig", errors="surrogateescape") as file:
        lines = [(number, line.strip()) for number, line in enumerate(file, 1) if line.strip()]
    for number, line in lines:
        if has_lone_surrogate(line):
            raise InvalidQuery(f"{path}, line {number}: not UTF-8")
    return lines


def _format_of(line: str, path: Path) -> Format:
    if _CHARADES.fullmatch(line.strip()):
        return "charades-sta"
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        if "relevant" in value:
            return "pixr"
        if "relevant_windows" in value:
            return "qvhighlights"
        if "vid_name" in value:
            return "tvr"
    raise InvalidQuery(f"{path}: of no known format; there are {', '.join(get_args(Format))}")


def _pixr(line: str, number: int, path: Path) -> Judged:
    value = json.loads(line)
    relevant = tuple(Span(one["video"], float(one["start"]), float(one["end"])) for one in value["relevant"])
    family = str(value.get("family", "all"))
    return Judged(str(value.get("id", number)), family, value, relevant, folder=path.parent)


def _qvhighlights(line: str, number: int, _: Path) -> Judged:
    value = json.loads(line)
    video = value["vid"]
    relevant = tuple(Span(video, float(start), float(end)) for start, end in value["relevant_windows"])
    return Judged(str(value.get("qid", number)), "qvhighlights", {"query": value["query"]}, relevant, video)


def _tvr(line: str, number: int, _: Path) -> Judged:
    value = json.loads(line)
    start, end = value["ts"]
    question: dict[str, Any] = {"query": value["desc"]}
    if value.get("type") in _TVR_MODES:
        question["modes"] = _TVR_MODES[value["type"]]
    family = f"tvr {value['type']}" if "type" in value else "tvr"
    relevant = (Span(value["vid_name"], float(start), float(end)),)
    return Judged(str(value.get("desc_id", number)), family, question, relevant)


def _charades(line: str, number: int, _: Path) -> Judged:
    found = _CHARADES.fullmatch(line.strip())
    if found is None:
        raise ValueError("VIDEO START END##SENTENCE is expected")
    video, start, end, sentence = found.groups()
    relevant = (Span(video, float(start), float(end)),)
    return Judged(str(number), "charades-sta", {"query": sentence}, relevant, video)


_READERS: dict[Format, Callable[[str, int, Path], Judged]] = {
    "pixr": _pixr,
    "qvhighlights": _qvhighlights,
    "tvr": _tvr,
    "charades-sta": _charades,
}
