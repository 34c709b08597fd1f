"""Recognises speech with faster-whisper: takes chunks of sound, and gives utterances.

Sound is gathered for about half a minute, cut at the longest pause near the end, and each piece is recognised on its
own. Encoding a Whisper window always costs as much as thirty seconds of sound, so full windows are cheapest, and a cut
at a pause means that none begins in the middle of a word. Stretches in which nothing is heard are never given to the
recogniser. Decoding runs at temperature 0, so the same sound gives the same words. Beam search costs a quarter of the
speed of greedy decoding and halves the number of sentences that are not found. A few pieces of a file are decoded
together (`pixr.media.speech_windows`), always the same ones, so what is heard does not depend on anything else that is
running.

Several such groups are recognised at once, each on one thread: two threads on one window wait for each other and cost
two thirds more processor time.

ctranslate2 releases the GIL. One recogniser serves any number of threads, which share its `thread_count`.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixr.errors import MissingExtra, SpeechUnavailable, UnreadableVideo
from pixr.media.audio import SAMPLE_RATE_HZ
from pixr.media.silence import quiet_stretches
from pixr.media.speech_model import find_speech_model
from pixr.media.speech_windows import HeardWord, WindowReader
from pixr.media.utterances import Span, Utterance, Word, split_utterances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pixr.media.audio import AudioChunk

_PIECE_SECONDS = 29.0
_LEAST_PIECE_SECONDS = 15.0
_SHORTEST_SOUND_SECONDS = 0.3
_HOLE_SECONDS = 0.05
_START_SECONDS = 0.05
# Silence at the start of a piece that is longer than the first is cut down to the second.
_LONG_SILENCE_SECONDS, _KEPT_SILENCE_SECONDS = 0.5, 0.2
# Three take a fifth less of the decoder's time than two. More save little, and leave short videos to a single thread.
_PIECES_TOGETHER = 3


@dataclass(frozen=True, slots=True)
class _Piece:
    start_seconds: float
    samples: NDArray[np.float32]
    quiet: list[Span]


def _no_cuts(_: float) -> Sequence[float]:
    return ()


class SpeechRecogniser:
    """Holds the model.

    Args:
        folder: a CTranslate2 Whisper model, or the name of one that was pulled; None takes the pinned `tiny.en`, which
            is downloaded once.
        thread_count: how many groups of pieces are recognised at the same time; None for one a core.
        language: Whisper's code of it, or None to detect it for each piece (the pinned model knows English only).
        gate: says whether a piece of 16 kHz sound may hold words; the others are left out.

    Attributes:
        languages: Whisper's codes of those that the model knows.

    Raises:
        SpeechUnavailable: there are no weights, or they can't be loaded; the message says why.
        MissingExtra: faster-whisper is not installed.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        thread_count: int | None = None,
        beam_size: int = 5,
        language: str | None = None,
        download: bool = True,
        gate: Callable[[NDArray[np.float32]], bool] | None = None,
    ) -> None:
        try:
            from faster_whisper import WhisperModel
        except ImportError as error:
            raise MissingExtra("faster-whisper", "speech", error) from error
        path = find_speech_model(folder, download=download)
        self._thread_count = thread_count or os.cpu_count() or 1
        try:
            model: Any = WhisperModel(
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
        if language is not None and language not in (known := model.supported_languages):
            raise SpeechUnavailable(
                f"the speech model in {path} knows no {language!r}; it knows {', '.join(known)}"
                + ("" if len(known) > 1 else ": name another model, such as whisper-small (--speech-model)")
            )
        self.languages: tuple[str, ...] = tuple(model.supported_languages)
        self._gate = gate
        self._reader = WindowReader(model, beam_size=beam_size, language=language)

    def transcribe(
        self, chunks: Iterable[AudioChunk], cuts_until: Callable[[float], Sequence[float]] = _no_cuts
    ) -> Iterator[Utterance]:
        """Yield what is said, in order of time.

        `cuts_until(seconds)` returns the shot boundaries up to that time at least, and may wait until they are known. A
        short pause at such a boundary separates utterances. Groups of pieces are read ahead, one on each thread.
        """
        ahead: deque[tuple[list[_Piece], Future[list[list[HeardWord]]]]] = deque()
        broken: UnreadableVideo | None = None
        try:
            groups = _group(_sounding(cut_pieces(chunks), self._gate))
            while True:
                try:
                    group = next(groups, None)
                except UnreadableVideo as error:
                    broken, group = error, None  # what came before it is whole
                if group is None:
                    break
                ahead.append((group, self._threads.submit(self._reader.read, [piece.samples for piece in group])))
                while len(ahead) > self._thread_count or (ahead and ahead[0][1].done()):
                    yield from _split(*ahead.popleft(), cuts_until)
            while ahead:
                yield from _split(*ahead.popleft(), cuts_until)
            if broken is not None:
                raise broken
        finally:
            for _, words in ahead:
                words.cancel()


def _sounding(
    pieces: Iterable[tuple[float, NDArray[np.float32]]], gate: Callable[[NDArray[np.float32]], bool] | None
) -> Iterator[_Piece]:
    """The pieces in which anything is heard and that pass the gate."""
    for start_seconds, samples in pieces:
        quiet = quiet_stretches(samples)
        seconds = len(samples) / SAMPLE_RATE_HZ
        sounds = seconds - sum(end - begin for begin, end in quiet) >= _SHORTEST_SOUND_SECONDS
        if sounds and (gate is None or gate(samples)):
            yield _Piece(start_seconds, samples, quiet)


def _group(pieces: Iterator[_Piece]) -> Iterator[list[_Piece]]:
    """Groups of pieces to be read together. If the sound breaks off, the pieces before that are still a group."""
    group: list[_Piece] = []
    broken: UnreadableVideo | None = None
    try:
        for piece in pieces:
            group.append(piece)
            if len(group) == _PIECES_TOGETHER:
                yield group
                group = []
    except UnreadableVideo as error:
        broken = error
    if group:
        yield group
    if broken is not None:
        raise broken


def _split(
    pieces: Sequence[_Piece],
    heard: Future[list[list[HeardWord]]],
    cuts_until: Callable[[float], Sequence[float]],
) -> Iterator[Utterance]:
    for piece, words in zip(pieces, heard.result(), strict=True):
        pauses = [(piece.start_seconds + begin, piece.start_seconds + end) for begin, end in piece.quiet]
        cuts = cuts_until(piece.start_seconds + len(piece.samples) / SAMPLE_RATE_HZ)
        yield from split_utterances(_join(words, piece.start_seconds), pauses, cuts)


def _join(heard: Iterable[HeardWord], start_seconds: float) -> list[Word]:
    """Join parts into whole words. Whisper splits words, hyphenated ones too; a leading blank marks a new one."""
    words: list[Word] = []
    for part in heard:
        text = part.text.strip()
        if not text:
            continue
        begin, end = start_seconds + part.start_seconds, start_seconds + part.end_seconds
        if words and not part.text.startswith(" "):
            last = words.pop()
            text, begin = last.text + text, last.start_seconds
        words.append(Word(begin, end, text, part.probability))
    return words


def cut_pieces(chunks: Iterable[AudioChunk]) -> Iterator[tuple[float, NDArray[np.float32]]]:
    """Join chunks and cut them at pauses into pieces of at most 29 s: `(start_seconds, samples)`.

    Long silence at the beginning of a piece is dropped. A hole in the sound always separates pieces.
    """
    import numpy as np

    start = 0.0
    held: NDArray[np.float32] = np.empty(0, np.float32)
    for chunk in chunks:
        if len(held) and abs(start + len(held) / SAMPLE_RATE_HZ - chunk.start_seconds) > _HOLE_SECONDS:
            yield start, held
            held = held[:0]
        if not len(held):
            start = chunk.start_seconds
        held = np.concatenate((held, chunk.as_float()))
        while True:
            quiet = quiet_stretches(held)
            if quiet and quiet[0][0] < _START_SECONDS and quiet[0][1] > _LONG_SILENCE_SECONDS:
                dropped = int((quiet[0][1] - _KEPT_SILENCE_SECONDS) * SAMPLE_RATE_HZ)
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
    """The middle of the longest pause in the second half of a piece, or its end if there is no pause."""
    inside = [(end - begin, (begin + end) / 2) for begin, end in quiet]
    inside = [(length, middle) for length, middle in inside if _LEAST_PIECE_SECONDS <= middle <= _PIECE_SECONDS]
    # Longer pauses are better, and of similar ones the later, since a fuller window wastes less.
    return max(inside, key=lambda pause: min(pause[0], 1.0) + 0.02 * pause[1])[1] if inside else _PIECE_SECONDS
