"""Turns a question into what the engine is asked of each channel: words as they are, everything else as vectors.

A question is encoded once for each space that the asked channels hold. Encoders and media code are loaded by the first
question that needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias, get_args

from pixr.clauses import split_clauses
from pixr.convert import MODE_OF
from pixr.errors import InvalidQuery, MissingExtra, SpaceMismatch
from pixr.operators import without_operators
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
# Channels that match the words themselves, not only their meaning.
TEXT_CHANNELS: tuple[Channel, ...] = ("metadata", "screen", "speech")

# A question's vectors by channel, and those of each of its clauses.
QuestionVectors: TypeAlias = tuple[dict[str, bytes], list[dict[str, bytes]]]


@dataclass
class Request:
    """What the engine is given for a question: JSON, and beside it the question's vectors or those of its parts.

    The engine answers with numbers of clauses and parts, which `clauses` and `parts` turn into words.
    """

    request: dict[str, Any]
    vectors: dict[str, bytes] = field(default_factory=dict)
    clause_vectors: list[dict[str, bytes]] = field(default_factory=list)
    part_vectors: list[QuestionVectors] = field(default_factory=list)
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
        """Encode a question. Parts without `modes`, `channels` or `weights` take those that are passed.

        Raises:
            InvalidQuery, SpaceMismatch, MissingExtra, UnreadableVideo, VideoNotFound.
        """
        given = {name: value for name, value in passed.items() if value is not None}
        if isinstance(question, str | Ask):
            asked = self._ask(_filled(question, given))
            return Request(
                asked.request(), asked.vectors, asked.clause_vectors, clauses=asked.clauses, warnings=asked.warnings
            )
        parts: list[_Asked] = []
        compound = self._relate(question, given, parts)
        return Request(
            {"compound": compound},
            part_vectors=[(part.vectors, part.clause_vectors) for part in parts],
            parts=[str(part) for part in asks(question)],
            warnings=list(dict.fromkeys(warning for part in parts for warning in part.warnings)),
        )

    def _relate(self, question: Question, passed: Mapping[str, Any], parts: list[_Asked]) -> dict[str, Any]:
        """A related question as the engine takes it. `passed` fills in what a part leaves out.

        The encoded parts are added to `parts` in the order in which they are written.
        """

        def part(of: Question) -> dict[str, Any]:
            if isinstance(of, str | Ask):
                asked = self._ask(_filled(of, passed))
                parts.append(asked)
                return {"ask": asked.request()}
            return {"compound": self._relate(of, passed, parts)}

        if isinstance(question, Blend):
            return {"blend": {"parts": [[part(of), weight] for of, weight in question.parts]}}
        if isinstance(question, str | Ask):
            raise InvalidQuery("one question has nothing to be related to")
        both: dict[str, Any] = {"first": part(question.first), "second": part(question.second)}
        if isinstance(question, Then):
            return {"then": {**both, "within_seconds": question.within}}
        return {"while" if isinstance(question, While) else "without": both}

    def _ask(self, ask: Ask) -> _Asked:
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
                asked.take(from_sound(ask.audio, self._encoders(), spaces, channels, asked.warnings), channels)
            if ask.clip is not None:
                asked.take(from_clip(ask.clip, self._encoders(), spaces, channels, asked.warnings), channels)
        if said is not None or ask.image is not None:
            self._encode(said, ask.image, channels, asked)
        asked.channels = [channel for channel in channels if channel in asked.text or channel in asked.vectors]
        if not asked.channels:
            if not any((said, ask.image is not None, ask.audio, ask.clip, ask.like, ask.vectors)):
                raise InvalidQuery("the query asks for nothing: give words, an image or vectors")
            if not channels:
                raise InvalidQuery("the query names no mode or channel to ask")
            raise InvalidQuery("; ".join(asked.warnings) or f"nothing can be asked of {', '.join(channels)}")
        asked.weights = {channel: weight for channel, weight in asked.weights.items() if channel in asked.channels}
        return asked

    def _encode(self, query: str | None, image: Picture | None, channels: list[Channel], asked: _Asked) -> None:
        """Encode the question once for each space that the asked channels hold."""
        spaces = {channel: space for channel, space in spaces_of(self._engine).items() if channel in channels}
        if image is not None and "frame" in channels and "frame" not in spaces:
            asked.warnings.append("the image was not asked: the library holds no vectors of pictures")
        if not spaces or all(channel in asked.vectors for channel in spaces):
            return
        try:
            encoders = self._encoders()
        except MissingExtra as error:
            if not asked.text or image is not None:
                raise
            asked.warnings.append(f"searched by words only: {error}")
            return
        held_spaces = {channel: space_name(space) for channel, space in spaces.items()}
        if set(held_spaces.values()) - {str(one.space) for one in encoders.all}:
            encoders = self._renewed()  # the library may have been reindexed with others
        meant = without_operators(query) if query is not None else ""
        if query is not None and not meant:
            asked.warnings.append("the question says nothing to look for")
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
                asked.warnings.append(detail)
            elif image is not None and channel == "frame":
                from pixr.media.pictures import load_picture

                asked.vectors[channel] = encoders.visual.encode_images([load_picture(image)])[0].tobytes()
                asked.alike.append(channel)
            elif meant:
                if held not in encoded:
                    encoded[held] = encoder.encode_text([meant, *asked.clauses])
                asked.take_words(channel, encoded[held])


class _Asked:
    """What the engine is asked, by channel, as far as the question was read; and what could not be asked."""

    __slots__ = ("alike", "channels", "clause_vectors", "clauses", "text", "vectors", "warnings", "weights")

    def __init__(self) -> None:
        self.channels: list[Channel] = []
        self.alike: list[Channel] = []
        self.text: dict[Channel, str] = {}
        self.vectors: dict[str, bytes] = {}
        self.weights: dict[Channel, float] = {}
        self.clauses: list[str] = []
        self.clause_vectors: list[dict[str, bytes]] = []
        self.warnings: list[str] = []

    def take_words(self, channel: Channel, encoded: Vectors) -> None:
        """Ask a channel by the vector of the question's words and those of its clauses, in this order."""
        whole, *clauses = encoded
        self.vectors[channel] = whole.tobytes()
        for vectors, clause in zip(self.clause_vectors, clauses, strict=True):
            vectors[channel] = clause.tobytes()

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
    """The question, with what is passed in place of what it leaves out."""
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
        named = set(ask.channels)
    elif ask.modes is not None:
        if unknown := [mode for mode in ask.modes if mode not in MODES]:
            raise InvalidQuery(f"no mode {', '.join(map(repr, unknown))}; modes are {', '.join(MODES)}")
        named = {channel for mode in ask.modes for channel in MODES[mode]}
    elif ask.query is not None and ask.query.strip():
        named = set(MODE_OF)
    else:
        named = set()
        if ask.image is not None or ask.clip is not None or ask.like is not None:
            named |= set(MODES["visual"])
        if ask.audio is not None:
            named |= set(MODES["audio"])
    named |= set(ask.vectors or ())
    if foreign := named - set(MODE_OF):
        raise InvalidQuery(f"no channel {', '.join(map(repr, sorted(foreign)))}; channels are {', '.join(MODE_OF)}")
    return [channel for channel in MODE_OF if channel in named]


def _vector_bytes(channel: Channel, vector: ArrayLike) -> bytes:
    import numpy as np

    try:
        given = np.asarray(vector)
        # Numpy makes floats of dates and of texts, leaves out the imaginary part, and what is under a mask. To look for
        # a mask loads a module, which takes as long as several searches: only what may have one is asked.
        is_masked = given is not vector and isinstance(vector, np.ndarray) and np.ma.is_masked(vector)
        if is_masked or not (given.dtype == object or np.can_cast(given.dtype, "<f4", "same_kind")):
            raise TypeError(f"got {'masked ' * is_masked}{given.dtype}")
        with np.errstate(over="raise"):
            array = np.ascontiguousarray(given, dtype="<f4")
    except FloatingPointError:
        raise InvalidQuery(f"vectors: {channel} has a number that is more than a 32-bit float holds") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidQuery(f"vectors: {channel} is not a list of numbers: {error}") from None
    if array.ndim != 1:
        raise InvalidQuery(f"vectors: {channel} has shape {array.shape}, expected (dimension,)")
    return array.tobytes()
