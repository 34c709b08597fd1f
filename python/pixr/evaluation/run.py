"""Asks a library every question of a ground truth, as a whole and by its parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from pixr.convert import MODE_OF
from pixr.errors import InvalidQuery, PixrError
from pixr.evaluation.ground_truth import Judged, Span
from pixr.evaluation.measures import DEPTH, Measures, measure
from pixr.evaluation.reliability import Reliability, reliability
from pixr.inside import engine_of
from pixr.questions import Ask, asks, from_dict
from pixr.types import Channel, Fusion
from pixr.wire import source_name

if TYPE_CHECKING:
    from pixr.library import Library
    from pixr.types import Hits

__all__ = ["Evaluation", "evaluate"]

NOTHING = "nothing"

Found = list[tuple[Judged, list[Span]]]


@dataclass
class Evaluation:
    """What was measured. `families` is for the questions as they are; `channels` and `fusions` are an ablation.

    In `channels[channel][family]` the questions were asked of that channel alone; in `fusions[fusion][family]` those of
    several channels, with another fusion. `reliability` is by channel. `errors` are about questions that failed.
    """

    families: dict[str, Measures] = field(default_factory=dict)
    channels: dict[str, dict[str, Measures]] = field(default_factory=dict)
    fusions: dict[str, dict[str, Measures]] = field(default_factory=dict)
    reliability: dict[str, Reliability] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """What was measured, in the form of JSON."""

        def written(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: written(item) for name, item in value.items()}
            return value.to_dict() if hasattr(value, "to_dict") else value

        parts = (self.families, self.channels, self.fusions, self.reliability)
        names = ("families", "channels", "fusions", "reliability")
        return {**{name: written(part) for name, part in zip(names, parts, strict=True)}, "errors": self.errors}


def evaluate(
    library: Library,
    judged: Iterable[Judged],
    nothing: Sequence[str] = (),
    *,
    ablation: bool = False,
    anywhere: bool = False,
    on_question: Callable[[], None] | None = None,
) -> Evaluation:
    """Ask every question and measure what is found.

    Args:
        library: the library to ask.
        judged: the questions.
        nothing: more questions, in words, about nothing that the library holds.
        ablation: also ask the questions of each channel alone, and with each fusion.
        anywhere: ask the whole library, even questions about one video.
        on_question: called after each question.
    """
    questions = [*judged, *(Judged(f"n{at}", NOTHING, {"query": text}, ()) for at, text in enumerate(nothing))]
    asker = _Asker(library, anywhere, on_question)
    made = Evaluation(errors=asker.errors)
    matches: dict[str, list[tuple[float, bool]]] = {}
    made.families = _by_family(asker.ask(questions, matches))
    made.reliability = {channel: reliability(found) for channel, found in sorted(matches.items())}
    if ablation:
        for channel in asker.channels():
            made.channels[channel] = _by_family(asker.ask(_asked_of(channel, questions)))
        several = [one for one in questions if len(_channels_of(one)) > 1]
        for fusion in get_args(Fusion):
            made.fusions[fusion] = _by_family(asker.ask(several, fusion=fusion))
    return made


class _Asker:
    def __init__(self, library: Library, anywhere: bool, on_question: Callable[[], None] | None) -> None:
        self.errors: list[str] = []
        self._library = library
        self._anywhere = anywhere
        self._on_question = on_question
        self._ids: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for video in library.videos():
            name = source_name(video)
            self._names[video.id] = name
            for known in (name, Path(name).stem, video.id):
                self._ids.setdefault(known, video.id)

    def channels(self) -> list[Channel]:
        """The channels for which the library holds something: vectors of a space, or words."""
        settings = json.loads(engine_of(self._library).settings())
        held = set(settings["calibrations"]) | set(settings["spaces"])
        return [channel for channel in MODE_OF if channel in held]

    def ask(
        self,
        questions: Iterable[Judged],
        matches: dict[str, list[tuple[float, bool]]] | None = None,
        **options: Any,
    ) -> Found:
        found: Found = []
        for one in questions:
            right = [Span(self._ids.get(span.video, span.video), span.start, span.end) for span in one.relevant]
            hits = self._search(one, options)
            moments = [Span(hit.video.id, moment.start, moment.end) for hit in hits or () for moment in hit.moments]
            resolved = Judged(one.id, one.family, one.question, tuple(right), one.within, one.folder)
            found.append((resolved, moments[:DEPTH]))
            if matches is not None and hits is not None and (not right or len(_modes_of(one)) == 1):
                _collect(hits, right, matches)
            if self._on_question is not None:
                self._on_question()
        return found

    def _search(self, one: Judged, options: dict[str, Any]) -> Hits | None:
        try:
            question = from_dict(one.question, one.folder)
            within = None
            if one.within is not None and not self._anywhere:
                within = self._ids.get(one.within)
                if within is None:
                    raise InvalidQuery(f"the library has no video {one.within}")
            filters = one.question.get("filters")
            return self._library.search(question, limit=DEPTH, moments=DEPTH, video=within, filters=filters, **options)
        except (PixrError, OSError) as error:
            self.errors.append(f"{one.id}: {error}")
            return None


def _asked_of(channel: Channel, questions: Iterable[Judged]) -> list[Judged]:
    """The questions that involve the channel, changed to ask it alone."""
    alone = []
    for one in questions:
        if channel in _channels_of(one):
            question = {name: value for name, value in one.question.items() if name != "modes"}
            alone.append(
                Judged(one.id, one.family, question | {"channels": [channel]}, one.relevant, one.within, one.folder)
            )
    return alone


def _channels_of(one: Judged) -> set[str]:
    """The channels that a question asks, if it is a single question in words; else none."""
    try:
        question = from_dict(one.question, one.folder)
    except InvalidQuery:
        return set()
    if not isinstance(question, Ask) or question.query is None or question.image is not None:
        return set()
    if question.channels is not None:
        return set(question.channels)
    modes = question.modes if question.modes is not None else tuple(dict.fromkeys(MODE_OF.values()))
    return {channel for channel, mode in MODE_OF.items() if mode in modes}


def _modes_of(one: Judged) -> set[str]:
    try:
        single = list(asks(from_dict(one.question, one.folder)))
    except InvalidQuery:
        return set()
    asked = _channels_of(one)
    return {mode for channel, mode in MODE_OF.items() if channel in asked} if len(single) == 1 else set()


def _collect(hits: Hits, right: Sequence[Span], matches: dict[str, list[tuple[float, bool]]]) -> None:
    counted: set[tuple[str, str, float, float]] = set()
    for hit in hits:
        for match in (match for moment in hit.moments for match in moment.matches):
            key = (match.channel, hit.video.id, match.start, match.end)
            if key in counted or match.channel == "metadata":
                continue  # metadata belongs to no time
            counted.add(key)
            is_right = any(
                span.video == hit.video.id and _covers((match.start, match.end), (span.start, span.end))
                for span in right
            )
            matches.setdefault(match.channel, []).append((match.confidence, is_right))


def _covers(one: tuple[float, float], other: tuple[float, float]) -> bool:
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared > 0 and shared >= min(one[1] - one[0], other[1] - other[0]) / 2


def _by_family(found: Found) -> dict[str, Measures]:
    families: dict[str, list[tuple[Sequence[Span], Sequence[Span]]]] = {}
    for one, moments in found:
        families.setdefault(one.family, []).append((moments, one.relevant))
    return {family: measure(answered) for family, answered in sorted(families.items())}
