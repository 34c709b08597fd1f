"""Runs Whisper over several pieces of sound at once: window after window of each, decoded together.

A window often ends in the middle of a sentence, so the next one begins where the last whole word ended (Radford et al.
2022, https://arxiv.org/abs/2212.04356, section 3.8; faster-whisper's loop for one file does the same). The pieces'
windows are decoded side by side, since each step of the decoder reads all of its weights, for one piece or for three.
Three things differ from faster-whisper's loop at temperature 0:

- If nothing is heard in the rest of a piece, it is left out: a window costs the same, however little is in it.
- A window for which the model repeats itself over and over is read again as two halves, split at a pause. Otherwise
  half a minute of speech would be lost.
- What was said before is not given to the model as a prompt.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pixr.media.mel import FRAMES_PER_SECOND, log_mel
from pixr.media.silence import quiet_stretches

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from pixr.media.utterances import Span

_WINDOW_FRAMES = 3000
_SHORTEST_SOUND_SECONDS = 0.3
_SHORTEST_HALVED_SECONDS = 8.0
_LATEST_FIRST_STAMP = 50  # in steps of 0.02 s
_STAMP_FRAMES = 2
_NO_SPEECH = 0.6
_LEAST_LOG_PROBABILITY = -1.0
_MOST_COMPRESSION = 2.4
_PREPENDED, _APPENDED = "\"'“¿([{-", "\"'.。,，!！?？:：”)]}、"


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word; its times count from its piece's first sample, and `text` keeps the blank that begins a new word."""

    start_seconds: float
    end_seconds: float
    text: str
    probability: float


@dataclass
class _Piece:
    """A piece that is being read. The next window reads from `seek` to `stop`, counted in spectrogram frames."""

    mel: NDArray[np.float32]
    quiet: list[Span]
    language: str
    seek: int = 0
    stop: int = 0
    last_word_end: float = 0.0
    words: list[HeardWord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stop = self.frame_count

    @property
    def frame_count(self) -> int:
        return int(self.mel.shape[1])

    @property
    def window_frames(self) -> int:
        return min(_WINDOW_FRAMES, self.stop - self.seek)

    def skip_quiet_rest(self) -> None:
        """Move to the end of the part being read if nothing is heard up to there."""
        if self.stop - self.seek < _SHORTEST_SOUND_SECONDS * FRAMES_PER_SECOND:
            self.stop = self.frame_count
        begin, end = self.seek / FRAMES_PER_SECOND, self.frame_count / FRAMES_PER_SECOND
        quiet = sum(max(0.0, min(end, until) - max(begin, since)) for since, until in self.quiet)
        if end - begin - quiet < _SHORTEST_SOUND_SECONDS:
            self.seek = self.stop = self.frame_count

    def halve(self) -> bool:
        """Make the next window end at the longest pause in the middle half of this one. False if it is too short."""
        length = self.window_frames / FRAMES_PER_SECOND
        if length < _SHORTEST_HALVED_SECONDS:
            return False
        begin = self.seek / FRAMES_PER_SECOND
        inside = [
            (until - since, (since + until) / 2)
            for since, until in self.quiet
            if begin + 0.25 * length <= (since + until) / 2 <= begin + 0.75 * length
        ]
        middle = max(inside)[1] if inside else begin + length / 2
        self.stop = round(middle * FRAMES_PER_SECOND)
        return True


class WindowReader:
    """Reads pieces with a `faster_whisper.WhisperModel`. Safe to use from as many threads as the model has workers."""

    def __init__(self, model: Any, *, beam_size: int, language: str | None) -> None:
        self._model = model
        self._beam_size = beam_size
        self._language = language
        self._filters: NDArray[np.float32] = model.feature_extractor.mel_filters

    def read(self, pieces: Sequence[NDArray[np.float32]]) -> list[list[HeardWord]]:
        """The words of each piece, 16 kHz sound. A piece's words hardly depend on which others it is read with."""
        states = [self._begin(samples) for samples in pieces]
        for state in states:
            state.skip_quiet_rest()
        while waiting := [state for state in states if state.seek < state.frame_count]:
            self._read_windows(waiting)
            for state in waiting:
                state.skip_quiet_rest()
        return [state.words for state in states]

    def _begin(self, samples: NDArray[np.float32]) -> _Piece:
        mel = log_mel(samples, self._filters)
        language = self._language or "en"
        if not self._model.model.is_multilingual:
            language = "en"
        elif self._language is None:
            language = self._model.detect_language(features=mel)[0]
        return _Piece(mel, quiet_stretches(samples), language)

    def _read_windows(self, pieces: Sequence[_Piece]) -> None:
        import ctranslate2
        import numpy as np

        encoded = [self._encode(piece) for piece in pieces]
        tokenizers = [self._tokenizer(piece.language) for piece in pieces]
        together = encoded[0]
        if len(encoded) > 1:
            together = ctranslate2.StorageView.from_array(np.concatenate([np.asarray(one) for one in encoded]))
        results = self._model.model.generate(
            together,
            [list(tokenizer.sot_sequence) for tokenizer in tokenizers],
            beam_size=self._beam_size,
            return_scores=True,
            return_no_speech_prob=True,
            suppress_tokens=_suppressed(tokenizers[0]),
            max_initial_timestamp_index=_LATEST_FIRST_STAMP,
        )
        for piece, output, tokenizer, result in zip(pieces, encoded, tokenizers, results, strict=True):
            self._take(piece, output, tokenizer, result)

    def _encode(self, piece: _Piece) -> Any:
        import numpy as np

        window = np.zeros((len(piece.mel), _WINDOW_FRAMES), np.float32)
        window[:, : piece.window_frames] = piece.mel[:, piece.seek : piece.seek + piece.window_frames]
        return self._model.encode(window)

    def _take(self, piece: _Piece, encoded: Any, tokenizer: Any, result: Any) -> None:
        """Take what one window says, and move the piece to where its next window begins."""
        tokens: list[int] = result.sequences_ids[0]
        began, frame_count = piece.seek, piece.window_frames
        if _compression(tokenizer.decode(tokens)) > _MOST_COMPRESSION:
            if not piece.halve():
                piece.seek += frame_count
            return
        log_probability = result.scores[0] * len(tokens) / (len(tokens) + 1)
        if result.no_speech_prob > _NO_SPEECH and log_probability < _LEAST_LOG_PROBABILITY:
            piece.seek += frame_count
            return
        segments, read_until, done = _split(tokens, tokenizer.timestamp_begin, began, frame_count)
        self._model.add_word_timestamps(
            [segments],
            tokenizer,
            encoded,
            frame_count,
            _PREPENDED,
            _APPENDED,
            last_speech_timestamp=piece.last_word_end,
        )
        words = [word for segment in segments for word in segment["words"]]
        if words:
            piece.last_word_end = words[-1]["end"]
            if not done and piece.last_word_end * FRAMES_PER_SECOND > began:
                read_until = round(piece.last_word_end * FRAMES_PER_SECOND)
        piece.words += [
            HeardWord(float(word["start"]), float(word["end"]), word["word"], float(word["probability"]))
            for segment in segments
            if segment["start"] != segment["end"]
            for word in segment["words"]
        ]
        piece.seek = max(began + _STAMP_FRAMES, read_until)

    def _tokenizer(self, language: str) -> Any:
        from faster_whisper.tokenizer import Tokenizer

        multilingual = self._model.model.is_multilingual
        return Tokenizer(self._model.hf_tokenizer, multilingual, task="transcribe", language=language)


def _split(tokens: list[int], first_stamp: int, began: int, frame_count: int) -> tuple[list[dict[str, Any]], int, bool]:
    """The segments between time stamps, in seconds of the piece; the frame read up to; whether the window is finished.

    A single stamp at the end says that the model has finished the window. Otherwise what follows the last pair of
    stamps is incomplete and left out.
    """

    def seconds(token: int) -> float:
        return (began + (token - first_stamp) * _STAMP_FRAMES) / FRAMES_PER_SECOND

    done = len(tokens) >= 2 and tokens[-2] < first_stamp <= tokens[-1]
    pairs = [at for at in range(1, len(tokens)) if tokens[at - 1] >= first_stamp and tokens[at] >= first_stamp]
    window_end = began + frame_count
    if not pairs:
        stamps = [token for token in tokens if token > first_stamp]
        end = seconds(stamps[-1]) if stamps else window_end / FRAMES_PER_SECOND
        return [{"seek": began, "start": began / FRAMES_PER_SECOND, "end": end, "tokens": tokens}], window_end, done
    segments = []
    start = 0
    for end_at in (*pairs, *((len(tokens),) if done else ())):
        said = tokens[start:end_at]
        segments.append({"seek": began, "start": seconds(said[0]), "end": seconds(said[-1]), "tokens": said})
        start = end_at
    read_until = window_end if done else began + (tokens[start - 1] - first_stamp) * _STAMP_FRAMES
    return segments, read_until, done


def _compression(text: str) -> float:
    data = text.strip().encode()
    return len(data) / len(zlib.compress(data))


def _suppressed(tokenizer: Any) -> list[int]:
    names = ("transcribe", "translate", "sot", "sot_prev", "sot_lm", "no_speech")
    return sorted({*tokenizer.non_speech_tokens, *(getattr(tokenizer, name) for name in names)})
