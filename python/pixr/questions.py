"""What can be asked: words, pictures, sounds, clips, moments, vectors; and several of them related in time.

    pixr.then("a dog jumps", "it lands in the water", within=5)
    pixr.while_("a beach", pixr.ask("happy birthday", modes=["audio"]))
    pixr.without("a street at night", "cars")
    pixr.blend(pixr.ask(image="tile.jpg"), ("at night", 0.5), ("people", -0.7))

A question may always be given as plain words. A part of a related question may itself be related, once. `from_dict`
reads questions from the JSON of batches and requests, `parse` from the short form of the command line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from pixr.arguments import check_id, check_names, check_number, check_span
from pixr.convert import MODE_OF
from pixr.errors import InvalidQuery
from pixr.operators import MOST_BYTES
from pixr.surrogates import has_lone_surrogate
from pixr.types import Channel, Mode

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    Picture: TypeAlias = str | os.PathLike[str] | bytes | NDArray[np.uint8]
    File: TypeAlias = str | os.PathLike[str] | bytes

__all__ = ["Ask", "Blend", "Compound", "Question", "Then", "While", "Without", "ask", "blend", "from_dict", "parse"]

DEFAULT_WITHIN_SECONDS = 10.0
MOST_WITHIN_SECONDS = 1_000_000
MOST_WEIGHT = 1_000_000_000  # weights are relative, and the engine's numbers end at some 38 digits
MOST_NESTED = 16  # keeps recursion in bounds; the engine allows fewer, and its error says how many


@dataclass(frozen=True, slots=True)
class Ask:
    """One question; made by `pixr.ask`.

    Raises:
        InvalidQuery: a field has a wrong type, or the words hold half of a surrogate pair or are too long.
    """

    query: str | None = None
    image: Picture | None = None
    audio: File | None = None
    clip: File | None = None
    like: tuple[str, float, float] | None = None
    vectors: Mapping[Channel, ArrayLike] | None = None
    modes: Sequence[Mode] | None = None
    channels: Sequence[Channel] | None = None
    weights: Mapping[Channel, float] | None = None

    def __post_init__(self) -> None:
        # JSON gives fields of any type.
        if self.query is not None:
            _check_words(self.query)
        for name in ("modes", "channels"):
            if getattr(self, name) is not None:
                check_names(name, getattr(self, name))
        for name in ("image", "audio", "clip"):
            given = getattr(self, name)
            is_array = name == "image" and hasattr(given, "__array__")
            if not is_array and not isinstance(given, (str, os.PathLike, bytes, type(None))):
                raise InvalidQuery(f"{name} is {type(given).__name__}, a file or its bytes are expected")
        if self.like is not None:
            _span(self.like)
        for name in ("vectors", "weights"):
            given = getattr(self, name)
            if given is not None and not isinstance(given, Mapping):
                raise InvalidQuery(f"{name} is {type(given).__name__}, values by channel are expected")
        if unknown := set(self.weights or ()) - set(MODE_OF):
            raise InvalidQuery(f"weights: no channel {_quoted(unknown)}; channels are {', '.join(MODE_OF)}")
        for channel, weight in (self.weights or {}).items():
            check_number(f"weights: {channel}", weight, 0, MOST_WEIGHT)

    def __str__(self) -> str:
        """The question in words, for showing."""
        said = [self.query] if self.query else []
        for kind in ("image", "audio", "clip"):
            source = getattr(self, kind)
            if source is not None:
                named = isinstance(source, str | os.PathLike)
                said.append(f"like {Path(source).name}" if named else f"like the given {kind}")
        if self.like is not None:
            said.append("like {} at {:.1f} s".format(*self.like[:2]))
        if self.vectors:
            said.append("near the given vectors")
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class Then:
    """`first`, and then `second`, which begins at most `within` seconds after `first` ends; made by `pixr.then`."""

    first: Question
    second: Question
    within: float = DEFAULT_WITHIN_SECONDS

    def __post_init__(self) -> None:
        check_number("within", self.within, 0, MOST_WITHIN_SECONDS)

    def __str__(self) -> str:
        return f"{_bracketed(self.first)} THEN {_bracketed(self.second)} WITHIN {self.within:g}s"


@dataclass(frozen=True, slots=True)
class While:
    """`first` and `second` at once; made by `pixr.while_`."""

    first: Question
    second: Question

    def __str__(self) -> str:
        return f"{_bracketed(self.first)} WHILE {_bracketed(self.second)}"


@dataclass(frozen=True, slots=True)
class Without:
    """`first` where `second` is not there at the same time; made by `pixr.without`."""

    first: Question
    second: Question

    def __str__(self) -> str:
        return f"{_bracketed(self.first)} NOT {_bracketed(self.second)}"


@dataclass(frozen=True, slots=True)
class Blend:
    """Several questions at once, each as important as its weight; made by `pixr.blend`."""

    parts: tuple[tuple[Question, float], ...]

    def __post_init__(self) -> None:
        for part in self.parts:
            if len(part) != 2:
                raise InvalidQuery("blend: a part is a question, or a question with its weight")
            check_number("blend", part[1], -1, MOST_WEIGHT)

    def __str__(self) -> str:
        return " ".join(f"{weight:+g} {_bracketed(part)}" for part, weight in self.parts)


Compound: TypeAlias = Then | While | Without | Blend
Question: TypeAlias = str | Ask | Then | While | Without | Blend


def ask(
    query: str | None = None,
    *,
    image: Picture | None = None,
    audio: File | None = None,
    clip: File | None = None,
    like: tuple[str, float, float] | None = None,
    vectors: Mapping[Channel, ArrayLike] | None = None,
    modes: Sequence[Mode] | None = None,
    channels: Sequence[Channel] | None = None,
    weights: Mapping[Channel, float] | None = None,
) -> Ask:
    """One question, with the arguments of `Library.search`, to be related to others.

    Raises:
        InvalidQuery: a field has a wrong type, or a weight is for an unknown channel.
    """
    return Ask(query, image, audio, clip, like, vectors, modes, channels, weights)


def then(first: Question, second: Question, within: float = DEFAULT_WITHIN_SECONDS) -> Then:
    """One thing, and then another, which begins at most `within` seconds after the first ends.

    A moment reaches from the start of the first to the end of the second. Its score is the product of both.

    Raises:
        InvalidQuery: `within` is not a number from 0 to 1,000,000.
    """
    return Then(first, second, within)


def while_(first: Question, second: Question) -> While:
    """Two things at once: their moments overlap by at least half of the shorter. The score is the product of both."""
    return While(first, second)


def without(first: Question, second: Question) -> Without:
    """One thing where another is not there at the same time.

    The surer it is that the other is there, the lower the score. Where it is as likely there as not, there is no
    moment.
    """
    return Without(first, second)


def blend(*parts: Question | tuple[Question, float]) -> Blend:
    """Several questions as one. Each part is a question, or a question with its weight, which is 1 by default.

    A weight below zero, down to -1, is for what should not be there. The score is the weighted mean of what is wanted,
    less what is not. A blend has at most 8 parts, at least one of them with a weight above zero.

    Raises:
        InvalidQuery: a part is not a question or a question with its weight, or a weight is not a number of -1 or more.
    """
    return Blend(tuple(part if isinstance(part, tuple) else (part, 1.0) for part in parts))


def asks(question: Question, depth: int = 0) -> Iterator[Ask]:
    """The single questions, in the order in which they are written. `depth` is how many others this one is within.

    Raises:
        InvalidQuery: it is not a question, or is nested deeper than `MOST_NESTED`.
    """
    _check_depth(depth)
    if isinstance(question, str):
        yield Ask(question)
    elif isinstance(question, Ask):
        yield question
    elif isinstance(question, Blend):
        for part, _ in question.parts:
            yield from asks(part, depth + 1)
    elif not isinstance(question, Then | While | Without):
        raise InvalidQuery(f"query is {type(question).__name__}, words or a question are expected")
    else:
        yield from asks(question.first, depth + 1)
        yield from asks(question.second, depth + 1)


def _check_depth(depth: int) -> None:
    if depth > MOST_NESTED:
        raise InvalidQuery("questions are related within related ones too often")


def _quoted(names: Collection[Any]) -> str:
    return ", ".join(sorted(map(repr, names)))


def _check_words(query: Any) -> None:
    if not isinstance(query, str):
        raise InvalidQuery(f"query is {type(query).__name__}, words are expected")
    if has_lone_surrogate(query):
        raise InvalidQuery(f"query: {query!a} holds half of a surrogate pair, which is no character")
    # Here, before it is cut into clauses and encoded, which takes long for a whole book.
    if (byte_len := len(query.encode())) > MOST_BYTES:
        raise InvalidQuery(f"query has {byte_len} bytes, at most {MOST_BYTES} are allowed")


# -- JSON -------------------------------------------------------------------------------------------------------------

_ASKED = ("query", "image", "audio", "clip", "like", "vectors", "modes", "channels", "weights")
_RELATED = ("then", "while", "not", "blend", "within")


def from_dict(value: Mapping[str, Any], folder: str | os.PathLike[str] = ".") -> Question:
    """Read a question from JSON: `{"query": …, "then": …, "within": 8}`.

    A question is asked by `query`, `image`, `audio`, `clip` (paths, relative to `folder`), `like` (`[video id, start,
    end]`), `vectors`, `modes`, `channels` and `weights`. `then` (with `within` seconds), `while` and `not` relate it to
    a second question, which is words or such an object again. `blend` stands alone: a list of `[question, weight]`.
    Parts without `modes` or `channels` take those of the whole. Other fields are ignored beside the whole question, and
    refused within it, where they can only be misspelt.

    Raises:
        InvalidQuery: a field can't be understood; the message names it.
    """
    return _read(value, Path(folder), {})


def _read(value: Any, folder: Path, inherited: Mapping[str, Any], depth: int = 0) -> Question:
    _check_depth(depth)
    if isinstance(value, str):
        return Ask(value, **inherited)
    if not isinstance(value, Mapping):
        raise InvalidQuery(f"a question is words or an object, not {type(value).__name__}")
    known = (*_ASKED, *_RELATED)
    if depth > 0 and (unknown := [name for name in value if name not in known]):
        raise InvalidQuery(f"{unknown[0]}: no such field; a question within another has {', '.join(known)}")
    given = {name: value[name] for name in known if value.get(name) is not None}
    passed: dict[str, Any] = dict(inherited)
    for name in ("modes", "channels"):
        if name in given:
            passed[name] = given[name]
    if "blend" in given:
        parts = given["blend"]
        if not isinstance(parts, list) or not all(isinstance(part, list) and len(part) == 2 for part in parts):
            raise InvalidQuery("blend: a list of [question, weight] is expected")
        if beside := [name for name in given if name not in ("blend", "modes", "channels")]:
            raise InvalidQuery(f"{beside[0]}: beside a `blend` it asks for nothing, put it into one of the parts")
        return Blend(tuple((_read(part, folder, passed, depth + 1), weight) for part, weight in parts))
    relations = [name for name in ("then", "while", "not") if name in given]
    if len(relations) > 1:
        raise InvalidQuery(f"{' and '.join(relations)}: relate two questions by one, and put it into another's `query`")
    first = given.get("query")
    asked = _read(first, folder, passed, depth + 1) if isinstance(first, Mapping) else _ask(given, folder, passed)
    if "within" in given and relations != ["then"]:
        raise InvalidQuery("within: it needs a `then`")
    if not relations:
        return asked
    second = _read(given[relations[0]], folder, passed, depth + 1)
    if relations[0] == "then":
        return Then(asked, second, given.get("within", DEFAULT_WITHIN_SECONDS))
    return While(asked, second) if relations[0] == "while" else Without(asked, second)


def _ask(given: Mapping[str, Any], folder: Path, inherited: Mapping[str, Any]) -> Ask:
    fields: dict[str, Any] = {name: given[name] for name in _ASKED if name in given}
    for name in ("image", "audio", "clip"):
        if name in fields:
            fields[name] = folder / _path(name, fields[name])
    if "like" in fields:
        fields["like"] = _span(fields["like"])
    return Ask(**{**inherited, **fields})


def _path(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise InvalidQuery(f"{name} is {type(value).__name__}, a path is expected")
    if "\0" in value:
        raise InvalidQuery(f"{name}: {value!r} is no path")
    return value


def _span(value: Any) -> tuple[str, float, float]:
    if not isinstance(value, list | tuple) or len(value) != 3 or not isinstance(value[0], str):
        raise InvalidQuery("like: [video id, start, end] is expected")
    video, *span = value
    check_id(video)
    check_span("like", span)
    return video, float(span[0]), float(span[1])


# -- the short form of the command line --------------------------------------------------------------------------------

_MARKS = re.compile(r'"[^"]*"|(?:(?<=\s)|^)(?:THEN|WHILE|NOT|WITHIN)(?=\s|\(|$)|\)')
_SECONDS = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:s|sec|seconds)?\s*")
_HINT = 'such as "a dog THEN a cat WITHIN 5s", "a beach WHILE music" or "(a dog NOT people) THEN a cat"'


def parse(text: str) -> Question:
    """Read `A THEN B WITHIN 8s`, `A WHILE B`, `A NOT B`; a part in brackets may itself be related, once.

    Only words in capitals relate, so a question with "then" in it is a plain one. In quotes they are words like others.

    Raises:
        InvalidQuery: a part is missing, or brackets don't match.
    """
    if not any(mark in ("THEN", "WHILE", "NOT") for _, mark in _marks(text)):
        return text
    question, rest = _expression(text)
    if rest.strip():
        raise InvalidQuery(f"{rest.strip()!r} is left over; write {_HINT}")
    return question


def _expression(text: str, depth: int = 0) -> tuple[Question, str]:
    _check_depth(depth)
    first, rest = _operand(text, depth)
    keyword, rest = _keyword(rest)
    if keyword is None:
        return first, rest
    if keyword == "WITHIN":
        raise InvalidQuery(f"WITHIN needs a THEN before it; write {_HINT}")
    second, rest = _operand(rest, depth)
    if keyword != "THEN":
        return (While(first, second) if keyword == "WHILE" else Without(first, second)), rest
    following, after = _keyword(rest)
    if following != "WITHIN":
        return Then(first, second), rest
    seconds = _SECONDS.match(after)
    if seconds is None:
        raise InvalidQuery(f"WITHIN needs seconds; write {_HINT}")
    return Then(first, second, float(seconds[1])), after[seconds.end() :]


def _operand(text: str, depth: int) -> tuple[Question, str]:
    stripped = text.lstrip()
    if stripped.startswith("("):
        inner, rest = _expression(stripped[1:], depth + 1)
        if not rest.lstrip().startswith(")"):
            raise InvalidQuery(f"a bracket is not closed; write {_HINT}")
        return inner, rest.lstrip()[1:]
    end = next((at for at, _ in _marks(stripped)), len(stripped))
    words, rest = stripped[:end], stripped[end:]
    if not words.strip():
        raise InvalidQuery(f"a part has no words; write {_HINT}")
    return words.strip(), rest


def _marks(text: str) -> Iterator[tuple[int, str]]:
    """The relating words and closing brackets outside of quotes: where each stands, and which it is."""
    return ((found.start(), found[0]) for found in _MARKS.finditer(text) if not found[0].startswith('"'))


def _keyword(text: str) -> tuple[str | None, str]:
    found = re.match(r"\s*(THEN|WHILE|NOT|WITHIN)(?=\s|\(|$)", text)
    return (found[1], text[found.end() :]) if found else (None, text)


def _bracketed(question: Question) -> str:
    return f"({question})" if isinstance(question, Then | While | Without | Blend) else str(question)
