"""Gives what is said in one video: by the captions that were given, else by the file's subtitles, else by ear."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from pixr.errors import InvalidCaptions, UnreadableVideo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from pixr.captions import Caption
    from pixr.ingest.tools import Hearing, Tools
    from pixr.media.frames import VideoInfo
    from pixr.media.utterances import Utterance
    from pixr.progress import Source

__all__ = ["Spoken", "without_sound"]


class Spoken:
    """What is said in a video.

    Args:
        source: the video, and maybe captions for it.
        info: what its header says.
        tools: what recognises speech.
        warn: is told what had to be left out.

    Attributes:
        is_written: whether it was taken from captions or subtitles, and not recognised. Known once it was iterated.
    """

    def __init__(self, source: Source, info: VideoInfo, tools: Tools, warn: Callable[[str], None]) -> None:
        self._source = source
        self._info = info
        self._tools = tools
        self._warn = warn
        self.is_written = False

    @property
    def is_asked(self) -> bool:
        """Whether anything is to be found of what is said."""
        return self._source.captions is not None or self._tools.hearing is not None

    def utterances(self, cuts_until: Callable[[float], Sequence[float]]) -> Iterator[Utterance]:
        """What is said, in order of time. `cuts_until` is as for `SpeechRecogniser.transcribe`.

        Raises:
            InvalidCaptions: the given captions can't be read.
        """
        if self._source.captions is not None:
            written: Iterable[Caption] = self._given(self._source.captions)
            self.is_written = True
        else:
            written = self._subtitles()
            self.is_written = bool(written)
        if self.is_written:
            yield from _as_utterances(written)
        else:
            yield from self._recognised(cuts_until)

    def _given(self, path: str | os.PathLike[str]) -> list[Caption]:
        from pixr.captions import read_captions

        try:
            return read_captions(path)
        except OSError as error:
            raise InvalidCaptions(f"{os.fspath(path)} can't be read: {error.strerror or error}") from error

    def _subtitles(self) -> list[Caption]:
        """What the file's own subtitles say, if it has any that fit and they can be read; else nothing."""
        from pixr.captions import captions_of
        from pixr.media.sandbox import open_subtitles
        from pixr.media.subtitles import choose_subtitles

        hearing = self._tools.hearing
        if hearing is None or not hearing.options.subtitles:
            return []
        track = choose_subtitles(
            self._info.subtitles,
            asked=hearing.options.language,
            sound=self._info.sound_language,
            recognises=lambda language: language in _languages(hearing),
        )
        if track is None:
            return []
        try:
            read = open_subtitles(self._source.path, track)
        except UnreadableVideo as error:
            self._warn(f"indexed without its subtitles: {error.reason}")
            return []
        if read.damage is not None:
            self._warn(f"indexed without some of its subtitles: {read.damage}")
        return captions_of(read.cues)

    def _recognised(self, cuts_until: Callable[[float], Sequence[float]]) -> Iterator[Utterance]:
        from pixr.media.sandbox import open_audio

        hearing = self._tools.hearing
        if hearing is None or not self._info.has_audio:
            return
        recogniser = hearing.recogniser()
        if recogniser is None:
            self._warn(hearing.why_not)
            return
        try:
            yield from recogniser.transcribe(open_audio(self._source.path), cuts_until)
        except UnreadableVideo as error:
            self._warn(without_sound(error))


def _languages(hearing: Hearing) -> tuple[str, ...]:
    recogniser = hearing.recogniser()
    return () if recogniser is None else recogniser.languages


def without_sound(error: UnreadableVideo) -> str:
    """The warning of a video whose sound can't be read to its end. The pictures may be whole."""
    return f"indexed without the rest of its sound: {error.reason}"


def _as_utterances(captions: Iterable[Caption]) -> Iterator[Utterance]:
    from pixr.media.utterances import Utterance

    for caption in captions:
        yield Utterance(caption.start, caption.end, caption.text, 1.0)
