"""Turns a question into what the engine is asked of each channel: words as they are, everything else as vectors.

A question is encoded once for each space that the asked channels hold. Encoders and media code are loaded by the first
question that needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, get_args

from pixr.clauses import split_clauses
from pixr.convert import MODE_OF
from pixr.errors import InvalidQuery, MissingExtra, SpaceMismatch
from pixr.operators import wanted
from pixr.questions import Ask, Blend, Question, Then, While, asks
from pixr.spaces import is_not_spoken, space_name, spaces_of
from pixr.types import Channel, Mode

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from pixr import _engine
    from pixr.encoders.load import Encoders
    from pixr.encoders.protocol import Vectors
    from pixr.examples import Example
    from pixr.questions import Picture

__all__ = ["MODES", "Asker", "Request"]

MODES: dict[Mode, tuple[Channel, ...]] = {
    mode: tuple(channel for channel, of in MODE_OF.items() if of == mode) for mode in get_args(Mode)
}
# Those that words are asked of as they are.
TEXT_CHANNELS: tuple[Channel, ...] = ("metadata", "screen", "speech")


@dataclass
class Request:
    """What the engine is given for a question: JSON, and beside it the vectors of it or of its parts.

    `clauses` and `parts` are what the answer's numbers of clauses and parts stand for.
    """

    request: dict[str, Any]
    vectors: dict[str, bytes] = field(default_factory=dict)
    clause_vectors: list[dict[str, bytes]] = field(default_factory=list)
    part_vectors: list[tuple[dict[str, bytes], list[dict[str, bytes]]]] = field(default_factory=list)
    clauses: list[str] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


class Asker:
    """Turns questions to one library into what its engine is asked.

    Args:
        engine: the library's.
        encoders: gives the library's encoders, and loads them at the first call.
        renewed: gives those that are on record now: the library may have been reindexed with others since.
    """

    def __init__(
        self, engine: _engine.Library, encoders: Callable[[], Encoders], renewed: Callable[[], Encoders]
    ) -> None:
        self._engine = engine
        self._encoders = encoders
        self._renewed = renewed

    def request(self, question: Question, **passed: Any) -> Request:
        """Encode a question. `modes`, `channels` and `weights` hold for the parts that say nothing else.

        Raises:
            InvalidQuery, SpaceMismatch, MissingExtra, UnreadableVideo, VideoNotFound.
        """
        warnings: list[str] = []
        given = {name: value for name, value in passed.items() if value is not None}
        if isinstance(question, str | Ask):
            asked = self._ask(_filled(question, given), warnings)
            return Request(
                asked.request(), asked.vectors, asked.clause_vectors, clauses=asked.clauses, warnings=warnings
            )
        vectors: list[tuple[dict[str, bytes], list[dict[str, bytes]]]] = []
        compound = self._relate(question, given, warnings, vectors)
        return Request(
            {"compound": compound},
            part_vectors=vectors,
            parts=[str(part) for part in asks(question)],
            warnings=list(dict.fromkeys(warnings)),
        )

    def _relate(
        self,
        question: Question,
        passed: Mapping[str, Any],
        warnings: list[str],
        vectors: list[tuple[dict[str, bytes], list[dict[str, bytes]]]],
    ) -> dict[str, Any]:
        """A related question as the engine takes it. `passed` holds for parts that say nothing else.

        The parts' vectors are added to `vectors` in the order in which the parts are written.
        """

        def part(of: Question) -> dict[str, Any]:
            if isinstance(of, str | Ask):
                asked = self._ask(_filled(of, passed), warnings)
                vectors.append((asked.vectors, asked.clause_vectors))
                return {"ask": asked.request()}
            return {"compound": self._relate(of, passed, warnings, vectors)}

        if isinstance(question, Blend):
            return {"blend": {"parts": [[part(of), weight] for of, weight in question.parts]}}
        if isinstance(question, str | Ask):
            raise InvalidQuery("one question has nothing to be related to")
        both: dict[str, Any] = {"first": part(question.first), "second": part(question.second)}
        if isinstance(question, Then):
            return {"then": {**both, "within_seconds": question.within}}
        return {"while" if isinstance(question, While) else "without": both}

    def _ask(self, ask: Ask, warnings: list[str]) -> _Asked:
        """Encode one question for the channels that it is asked of."""
        asked = _Asked()
        if ask.vectors:
            for channel, vector in ask.vectors.items():
                asked.vectors[channel] = _vector_bytes(channel, vector)
        said = ask.query if ask.query is not None and ask.query.strip() else None
        channels = _channels(ask)
        asked.weights = {channel: weight for channel, weight in (ask.weights or {}).items() if channel in channels}
        if said is not None:
            asked.text = {channel: said for channel in channels if channel in TEXT_CHANNELS}
            asked.clauses = split_clauses(said)
            asked.clause_vectors = [{} for _ in asked.clauses]
        if ask.like is not None:
            from pixr.examples import from_moment

            asked.take(from_moment(self._engine, *ask.like), channels)
        if ask.audio is not None or ask.clip is not None:
            from pixr.examples import from_clip, from_sound

            spaces = spaces_of(self._engine)
            if ask.audio is not None:
                asked.take(from_sound(ask.audio, self._encoders(), spaces, channels, warnings), channels)
            if ask.clip is not None:
                asked.take(from_clip(ask.clip, self._encoders(), spaces, channels, warnings), channels)
        if said is not None or ask.image is not None:
            self._encode(said, ask.image, channels, asked, warnings)
        asked.channels = [channel for channel in channels if channel in asked.text or channel in asked.vectors]
        if not asked.channels:
            if not any((said, ask.image is not None, ask.audio, ask.clip, ask.like, ask.vectors)):
                raise InvalidQuery("the query asks for nothing: give words, an image or vectors")
            if not channels:
                raise InvalidQuery("the query names no mode or channel to ask")
            raise InvalidQuery("; ".join(warnings) or f"nothing can be asked of {', '.join(channels)}")
        asked.weights = {channel: weight for channel, weight in asked.weights.items() if channel in asked.channels}
        return asked

    def _encode(
        self,
        query: str | None,
        image: Picture | None,
        channels: list[Channel],
        asked: _Asked,
        warnings: list[str],
    ) -> None:
        """Encode the question once for each space that the asked channels hold."""
        spaces = {channel: space for channel, space in spaces_of(self._engine).items() if channel in channels}
        if image is not None and "frame" in channels and "frame" not in spaces:
            warnings.append("the image was not asked: the library holds no vectors of pictures")
        if not spaces or all(channel in asked.vectors for channel in spaces):
            return
        try:
            encoders = self._encoders()
        except MissingExtra as error:
            if not asked.text or image is not None:
                raise
            warnings.append(f"searched by words only: {error}")
            return
        held_spaces = {channel: space_name(space) for channel, space in spaces.items()}
        if set(held_spaces.values()) - {str(one.space) for one in encoders.all}:
            encoders = self._renewed()
        meant = wanted(query) if query is not None else ""
        if query is not None and not meant:
            warnings.append("the question says nothing to look for")
        encoded: dict[str, Vectors] = {}
        for channel, held in held_spaces.items():
            if channel in asked.vectors:
                continue
            encoder = next((one for one in encoders.all if str(one.space) == held), None)
            if encoder is None:
                detail = is_not_spoken(channel, held)
                if channel not in asked.text and len(channels) == 1:
                    raise SpaceMismatch(
                        f"{detail}; give vectors, open with that encoder, or change it with `pixr reindex`"
                    )
                warnings.append(detail)
            elif image is not None and channel == "frame":
                from pixr.media.pictures import load_picture

                asked.vectors[channel] = encoders.visual.encode_images([load_picture(image)])[0].tobytes()
                asked.alike.append(channel)
            elif meant:
                if held not in encoded:
                    encoded[held] = encoder.encode_text([meant, *asked.clauses])
                whole, *parts = encoded[held]
                asked.vectors[channel] = whole.tobytes()
                for vectors, part in zip(asked.clause_vectors, parts, strict=True):
                    vectors[channel] = part.tobytes()


class _Asked:
    """What the engine is asked, by channel, as far as the question was read."""

    __slots__ = ("alike", "channels", "clause_vectors", "clauses", "text", "vectors", "weights")

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.alike: list[Channel] = []
        self.text: dict[Channel, str] = {}
        self.vectors: dict[str, bytes] = {}
        self.weights: dict[Channel, float] = {}
        self.clauses: list[str] = []
        self.clause_vectors: list[dict[str, bytes]] = []

    def take(self, example: Example, channels: Sequence[Channel]) -> None:
        """Add what an example says to what is asked of these channels; what was asked already stays."""
        for channel, vector in example.vectors.items():
            if channel in channels and channel not in self.vectors:
                self.vectors[channel] = _vector_bytes(channel, vector)
                if channel in example.alike:
                    self.alike.append(channel)
        for channel, text in example.texts.items():
            if channel in channels:
                self.text.setdefault(channel, text)

    def request(self) -> dict[str, Any]:
        """The engine's JSON; vectors go beside it as bytes."""
        return {
            "text": self.text,
            "clauses": [{"text": dict.fromkeys(self.text, clause)} for clause in self.clauses],
            "alike": self.alike,
            "weights": self.weights,
            "channels": self.channels,
        }


def _filled(question: str | Ask, passed: Mapping[str, Any]) -> Ask:
    """The question, asked of what is passed on where it says nothing itself."""
    one = Ask(question) if isinstance(question, str) else question
    says = one.modes is not None or one.channels is not None
    kept = {
        name: value
        for name, value in passed.items()
        if getattr(one, name) is None and not (says and name in ("modes", "channels"))
    }
    return replace(one, **kept)


def _channels(ask: Ask) -> list[Channel]:
    """The channels to ask, in their order."""
    if ask.channels is not None:
        wanted = set(ask.channels)
    elif ask.modes is not None:
        if unknown := [mode for mode in ask.modes if mode not in MODES]:
            raise InvalidQuery(f"no mode {', '.join(map(repr, unknown))}; modes are {', '.join(MODES)}")
        wanted = {channel for mode in ask.modes for channel in MODES[mode]}
    elif ask.query is not None and ask.query.strip():
        wanted = set(MODE_OF)
    else:
        wanted = set()
        if ask.image is not None or ask.clip is not None or ask.like is not None:
            wanted |= set(MODES["visual"])
        if ask.audio is not None:
            wanted |= set(MODES["audio"])
    wanted |= set(ask.vectors or ())
    if foreign := wanted - set(MODE_OF):
        raise InvalidQuery(f"no channel {', '.join(map(repr, sorted(foreign)))}; channels are {', '.join(MODE_OF)}")
    return [channel for channel in MODE_OF if channel in wanted]


def _vector_bytes(channel: Channel, vector: ArrayLike) -> bytes:
    import numpy as np

    try:
        given = np.asarray(vector)
        # Numpy makes floats of dates and of texts, leaves out the imaginary part, and what is under a mask.
        if np.ma.is_masked(vector) or not (given.dtype == object or np.can_cast(given.dtype, "<f4", "same_kind")):
            raise TypeError(f"got {'masked ' * np.ma.is_masked(vector)}{given.dtype}")
        with np.errstate(over="raise"):
            array = np.ascontiguousarray(given, dtype="<f4")
    except FloatingPointError:
        raise InvalidQuery(f"vectors: {channel} has a number that is more than a 32-bit float holds") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidQuery(f"vectors: {channel} is not a list of numbers: {error}") from None
    if array.ndim != 1:
        raise InvalidQuery(f"vectors: {channel} has shape {array.shape}, expected (dimension,)")
    return array.tobytes()
