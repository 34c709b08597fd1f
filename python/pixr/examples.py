"""Turns an example (a sound, a clip, or a moment of the library) into vectors and words to ask each channel with."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from pixr.errors import InvalidQuery, MissingExtra, SpeechUnavailable
from pixr.operators import as_words
from pixr.rows import rows_of
from pixr.spaces import is_not_spoken, space_name
from pixr.types import Channel

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pixr import _engine
    from pixr.encoders.load import Encoders
    from pixr.media.audio import AudioChunk
    from pixr.media.speech import SpeechRecogniser
    from pixr.questions import File

__all__ = ["Example", "from_clip", "from_moment", "from_sound"]

# How much of an example is looked at and listened to.
EXAMPLE_SECONDS = 120.0


@dataclass(frozen=True)
class Example:
    """What an example asks each channel: a vector of shape (dimension,), words, or both.

    `alike` are the channels whose vector was made from their own medium, as of `frame` from a picture, not from words.
    """

    vectors: Mapping[Channel, NDArray[np.float32]] = field(default_factory=dict)
    texts: Mapping[Channel, str] = field(default_factory=dict)
    alike: frozenset[Channel] = frozenset()


def from_moment(engine: _engine.Library, id: str, start: float, end: float) -> Example:
    """What is stored of a moment: the mean vectors of its pictures, sounds and speech, and the words that are said.

    A segment belongs to the moment if they overlap by at least half of the shorter.

    Raises:
        VideoNotFound: there is no such video.
        InvalidQuery: nothing is stored of that span.
    """
    rows = [row for row in rows_of(engine, id) if _overlaps((row["start"], row["end"]), (start, end))]
    vectors: dict[Channel, NDArray[np.float32]] = {}
    for channel in ("frame", "sound", "speech"):
        found = [row[f"{channel}.vector"] for row in rows if row.get(f"{channel}.vector") is not None]
        if found:
            vectors[channel] = _mean(found)
    said = [row["speech.text"] for row in sorted(rows, key=lambda row: row["start"]) if row.get("speech.text")]
    if not vectors and not said:
        raise InvalidQuery(f"like: nothing is known of {id} from {start} to {end} s")
    return Example(vectors, _asked_words(" ".join(said)), frozenset({"frame", "sound"}))


def from_clip(
    clip: File, encoders: Encoders, spaces: Mapping[Channel, Any], channels: Sequence[Channel], warnings: list[str]
) -> Example:
    """What the first two minutes of a video show, and what is heard in them if a channel of sound is asked.

    Raises:
        UnreadableVideo: it can't be decoded.
        MissingExtra: a media package is not installed.
    """
    from pixr.media.sandbox import open_segments

    vectors: dict[Channel, NDArray[np.float32]] = {}
    with _as_file(clip, ".mp4") as path:
        if "frame" in channels and _speaks(encoders.visual, spaces, "frame", warnings):
            frames: list[Any] = []
            with open_segments(path) as stream:
                for segment in stream:
                    if segment.start_seconds >= EXAMPLE_SECONDS:
                        break
                    frames += [frame.image for frame in segment.frames]
            vectors["frame"] = encoders.visual.pool(encoders.visual.encode_images(frames))
        heard = Example()
        if "speech" in channels or "sound" in channels:
            heard = from_sound(path, encoders, spaces, channels, warnings)
    return Example({**vectors, **heard.vectors}, heard.texts, frozenset({"frame", "sound"}))


def from_sound(
    sound: File, encoders: Encoders, spaces: Mapping[Channel, Any], channels: Sequence[Channel], warnings: list[str]
) -> Example:
    """What is said in the first two minutes of a sound, and what else is heard if an encoder of sounds is there.

    Raises:
        UnreadableVideo: it can't be decoded.
        MissingExtra: a media package is not installed.
    """
    from pixr.media.sandbox import open_audio
    from pixr.media.sounds import hear

    vectors: dict[Channel, NDArray[np.float32]] = {}
    texts: dict[Channel, str] = {}
    with _as_file(sound, ".wav") as path:
        hearing = encoders.sound
        if "sound" in channels and hearing is not None and _speaks(hearing, spaces, "sound", warnings):
            chunks = open_audio(path, sample_rate_hz=hearing.sample_rate_hz)
            heard = [one.vector for one in hear(_beginning(chunks), hearing)]
            if heard:
                vectors["sound"] = _mean(heard)
        if "speech" in channels:
            said = _recognise(path, warnings)
            if said:
                texts = _asked_words(said)
                if _speaks(encoders.text, spaces, "speech", warnings):
                    vectors["speech"] = encoders.text.encode_text([said])[0]
    if not vectors and not texts and "frame" not in channels:
        if hearing is None:
            warnings.append("nothing is said in the sound, and no model of sounds is there to hear what else it is")
        else:
            warnings.append("nothing is said in the sound, and nothing else is heard in it")
    return Example(vectors, texts, frozenset({"sound"}))


def _asked_words(said: str) -> dict[Channel, str]:
    """What is said, as a question to the channel `speech`; empty if it has no words."""
    words = as_words(said)
    return {"speech": words} if words else {}


def _recognise(path: str | os.PathLike[str], warnings: list[str]) -> str:
    from pixr.media.sandbox import open_audio

    try:
        recogniser = _recogniser()
    except (SpeechUnavailable, MissingExtra) as error:
        warnings.append(f"asked without what is said: {error}")
        return ""
    return " ".join(utterance.text for utterance in recogniser.transcribe(_beginning(open_audio(path))))


@lru_cache(maxsize=1)
def _recogniser() -> SpeechRecogniser:
    from pixr.media.speech import SpeechRecogniser

    return SpeechRecogniser()


def _beginning(chunks: Iterator[AudioChunk]) -> Iterator[AudioChunk]:
    return takewhile(lambda chunk: chunk.start_seconds < EXAMPLE_SECONDS, chunks)


def _speaks(encoder: Any, spaces: Mapping[Channel, Any], channel: Channel, warnings: list[str]) -> bool:
    space = spaces.get(channel)
    if space is None:
        return False
    held = space_name(space)
    if str(encoder.space) != held:
        warnings.append(is_not_spoken(channel, held))
        return False
    return True


def _mean(vectors: Sequence[Any]) -> NDArray[np.float32]:
    import numpy as np

    mean = np.asarray(vectors, np.float32).mean(axis=0)
    unit: NDArray[np.float32] = mean / max(float(np.linalg.norm(mean)), 1e-12)
    return unit


def _overlaps(one: tuple[float, float], other: tuple[float, float]) -> bool:
    if one[0] == one[1] or other[0] == other[1]:  # an instant lies in a span from its start to before its end
        latest_start, latest_end = max(one[0], other[0]), max(one[1], other[1])
        return latest_start <= min(one[1], other[1]) and (latest_start < latest_end or one == other)
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return shared > 0 and shared >= min(one[1] - one[0], other[1] - other[0]) / 2


@contextmanager
def _as_file(source: File, suffix: str) -> Iterator[str | os.PathLike[str]]:
    """The path of a file, or of one that holds the bytes for the time being."""
    if not isinstance(source, bytes):
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, f"given{suffix}")
        with open(path, "wb") as file:
            file.write(source)
        yield path
