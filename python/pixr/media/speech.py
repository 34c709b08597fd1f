"""Recognises speech with faster-whisper: chunks of sound in, utterances out, as they are said.

Sound is gathered until about half a minute is there, cut at the longest pause near the end, and recognised on its
own: a Whisper window always costs thirty seconds of encoder, so full ones are cheapest, and none begins in the middle
of a word. Stretches in which nothing is heard are never given to the recogniser. Decoding runs at temperature 0, so
the same sound gives the same words. Beam search costs a quarter of the speed of greedy decoding and halves the
sentences that are not found. Pieces are recognised one after the other: batching saved a seventh of the time and cost
a point and a half of recall, since it forgoes Whisper's own second look at where a segment ends.

Pieces don't depend on each other, so several are recognised at once, each on one thread: two threads on one piece wait
for each other and cost two thirds more processor time. What is heard does not depend on how many there are.

ctranslate2 releases the GIL. One recogniser serves any number of threads; they share its `thread_count`.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from pixr.errors import MissingExtra, SpeechUnavailable, UnreadableVideo
from pixr.media.audio import SAMPLE_RATE_HZ
from pixr.media.silence import quiet_stretches
from pixr.media.speech_model import find_speech_model
from pixr.media.utterances import Span, Utterance, Word, split_utterances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pixr.media.audio import AudioChunk

_PIECE_SECONDS = 29.0
_LEAST_PIECE_SECONDS = 15.0
_SHORTEST_SOUND_SECONDS = 0.3
_NO_SPEECH = 0.6
_LEAST_LOG_PROBABILITY = -1.0
_MOST_COMPRESSION = 2.4


def _no_cuts(_: float) -> Sequence[float]:
    return ()


class SpeechRecogniser:
    """Holds the model.

    Args:
        folder: a CTranslate2 Whisper model; None takes the pinned `tiny.en`, downloading it once.
        thread_count: pieces recognised at the same time; None for one a core.
        language: as Whisper's code, or None to detect it for each piece (the pinned model knows English only).

    Raises:
        SpeechUnavailable: no weights, or they can't be loaded; the message says why.
        MissingExtra: faster-whisper is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        thread_count: int | None = None,
        beam_size: int = 5,
        language: str | None = "en",
        download: bool = True,
    ) -> None:
        try:
            from faster_whisper import WhisperModel
        except ModuleNotFoundError as error:
            raise MissingExtra("faster-whisper", "speech") from error
        path = find_speech_model(folder, download=download)
        self._thread_count = thread_count or os.cpu_count() or 1
        try:
            self._model: Any = WhisperModel(
                str(path),
                device="cpu",
                compute_type="int8",
                cpu_threads=1,
                num_workers=self._thread_count,
                local_files_only=True,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise SpeechUnavailable(f"the speech model in {path} can't be loaded: {error}") from error
        self._threads = ThreadPoolExecutor(self._thread_count, thread_name_prefix="pixr-speech-piece")
        self._beam_size = beam_size
        self._language = language

    def transcribe(
        self, chunks: Iterable[AudioChunk], cuts_until: Callable[[float], Sequence[float]] = _no_cuts
    ) -> Iterator[Utterance]:
        """Yield what is said, in order of time.

        `cuts_until(seconds)` gives the shot boundaries up to an instant at least, and may wait until they are known: a
        short pause at one of them separates utterances. Pieces are read ahead of what is yielded, one a thread.
        """
        ahead: deque[tuple[float, list[Span], Future[list[Word]]]] = deque()
        broken: UnreadableVideo | None = None
        try:
            try:
                for start_seconds, samples in cut_pieces(chunks):
                    quiet = quiet_stretches(samples)
                    seconds = len(samples) / SAMPLE_RATE_HZ
                    if _sound_seconds(seconds, quiet) < _SHORTEST_SOUND_SECONDS:
                        continue
                    pauses = [(start_seconds + begin, start_seconds + end) for begin, end in quiet]
                    words = self._threads.submit(self._words, start_seconds, samples)
                    ahead.append((start_seconds + seconds, pauses, words))
                    while len(ahead) > self._thread_count or (ahead and ahead[0][2].done()):
                        yield from _split(*ahead.popleft(), cuts_until)
            except UnreadableVideo as error:
                broken = error  # what came before it is whole
            while ahead:
                yield from _split(*ahead.popleft(), cuts_until)
            if broken is not None:
                raise broken
        finally:
            for _, _, words in ahead:
                words.cancel()

    def _words(self, start_seconds: float, samples: NDArray[np.float32]) -> list[Word]:
        segments, _ = self._model.transcribe(
            samples,
            language=self._language,
            beam_size=self._beam_size,
            temperature=0.0,
            condition_on_previous_text=False,
            word_timestamps=True,
            vad_filter=False,
        )
        words: list[Word] = []
        for segment in segments:
            unsure = segment.no_speech_prob > _NO_SPEECH and segment.avg_logprob < _LEAST_LOG_PROBABILITY
            if unsure or segment.compression_ratio > _MOST_COMPRESSION:
                continue
            for word in segment.words or ():
                text = word.word.strip()
                if text:
                    begin, end = start_seconds + float(word.start), start_seconds + float(word.end)
                    # Whisper hands out hyphenated and split words as several; a leading blank marks a new one.
                    if words and not word.word.startswith(" "):
                        last = words.pop()
                        text, begin = last.text + text, last.start_seconds
                    words.append(Word(begin, end, text, float(word.probability)))
        return words


def _split(
    end_seconds: float,
    pauses: Sequence[Span],
    words: Future[list[Word]],
    cuts_until: Callable[[float], Sequence[float]],
) -> list[Utterance]:
    return split_utterances(words.result(), pauses, cuts_until(end_seconds))


def _sound_seconds(seconds: float, quiet: Sequence[Span]) -> float:
    return seconds - sum(end - begin for begin, end in quiet)


def cut_pieces(chunks: Iterable[AudioChunk]) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Join chunks and cut them at pauses into pieces of at most 29 s: `(start_seconds, samples)`.

    Silence at the beginning of a piece is dropped. A hole in the sound always separates pieces.
    """
    import numpy as np

    start = 0.0
    held: NDArray[np.float32] = np.empty(0, np.float32)
    for chunk in chunks:
        if len(held) and abs(start + len(held) / SAMPLE_RATE_HZ - chunk.start_seconds) > 0.05:
            yield start, held
            held = held[:0]
        if not len(held):
            start = chunk.start_seconds
        held = np.concatenate((held, chunk.as_float()))
        while True:
            quiet = quiet_stretches(held)
            if quiet and quiet[0][0] < 0.05 and quiet[0][1] > 0.5:
                dropped = int((quiet[0][1] - 0.2) * SAMPLE_RATE_HZ)
                held = held[dropped:]
                start += dropped / SAMPLE_RATE_HZ
                continue
            if len(held) < _PIECE_SECONDS * SAMPLE_RATE_HZ:
                break
            at = int(_best_cut(quiet) * SAMPLE_RATE_HZ)
            yield start, held[:at]
            held = held[at:]
            start += at / SAMPLE_RATE_HZ
    if len(held):
        yield start, held


def _best_cut(quiet: Sequence[Span]) -> float:
    """The middle of the longest pause in the later half of a piece, or its end if there is none."""
    inside = [(end - begin, (begin + end) / 2) for begin, end in quiet]
    inside = [(length, middle) for length, middle in inside if _LEAST_PIECE_SECONDS <= middle <= _PIECE_SECONDS]
    # A long pause is a better place; among like ones the later, since a fuller window wastes less.
    return max(inside, key=lambda pause: min(pause[0], 1.0) + 0.02 * pause[1])[1] if inside else _PIECE_SECONDS
