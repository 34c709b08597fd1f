"""Collects what is found in a video while it is indexed, and makes rows of it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pixr.rows import Rows
from pixr.titles import metadata_words

if TYPE_CHECKING:
    from pixr.encoders.protocol import TextEncoder
    from pixr.media.screen import ScreenText
    from pixr.media.sounds import HeardSound
    from pixr.media.utterances import Utterance
    from pixr.types import Video

__all__ = ["CutsSoFar", "Found"]

# A cut this long after a piece of speech may still belong to its last pause.
_CUT_SLACK_SECONDS = 0.2


@dataclass
class Found:
    """What the stages have found so far. Their threads append to it, and the thread that stores reads it."""

    frames: list[tuple[float, float, Any, str | None]] = field(default_factory=list)
    shots: list[tuple[float, float]] = field(default_factory=list)
    screen: list[ScreenText] = field(default_factory=list)
    utterances: list[Utterance] = field(default_factory=list)
    sounds: list[HeardSound] = field(default_factory=list)

    def end_captions(self, end_seconds: float) -> int:
        """Drop captions after the end of the video, where nothing can be shown, and cut the others off there.

        Returns:
            How many were dropped.
        """
        given = self.utterances
        within = [one for one in given if one.start_seconds < end_seconds]
        self.utterances = [replace(one, end_seconds=min(one.end_seconds, end_seconds)) for one in within]
        return len(given) - len(within)

    def rows(self, video: Video, title: str, text: TextEncoder) -> Rows:
        """What was found in a video so far, as rows. `title` is the given title, or empty."""
        from pixr.media.utterances import align_to_shots, join_simultaneous

        rows = Rows(video.id)
        for start, end, vector, description in list(self.frames):
            rows.add(start, end, "frame", vector=vector, description=description)
        for seen in list(self.screen):
            rows.add(seen.start_seconds, seen.end_seconds, "screen", text=seen.text)
        said = join_simultaneous(align_to_shots(list(self.utterances), list(self.shots)))
        vectors = text.encode_documents([utterance.text for utterance in said]) if said else ()
        for utterance, vector in zip(said, vectors, strict=True):
            rows.add(utterance.start_seconds, utterance.end_seconds, "speech", text=utterance.text, vector=vector)
        for heard in list(self.sounds):
            rows.add(
                heard.start_seconds, heard.end_seconds, "sound", vector=heard.vector, description=heard.description
            )
        words = metadata_words(title, video.description, video.tags)
        if words:
            rows.add(0.0, video.duration, "metadata", vector=text.encode_documents([words])[0])
        return rows


class CutsSoFar:
    """The shot boundaries of one video: the decoding thread writes them, the one that recognises speech reads them."""

    def __init__(self) -> None:
        self._cuts: list[float] = []
        self._until_seconds = 0.0
        self._changed = threading.Condition()

    def add(self, cut_seconds: float) -> None:
        """Add the next cut."""
        with self._changed:
            self._cuts.append(cut_seconds)

    def know_until(self, seconds: float) -> None:
        """Declare that every cut before `seconds` was added."""
        with self._changed:
            self._until_seconds = seconds
            self._changed.notify_all()

    def until(self, seconds: float) -> list[float]:
        """The cuts up to `seconds` and a little beyond. Waits until all are known, so the result is always the same."""
        until = seconds + _CUT_SLACK_SECONDS
        with self._changed:
            self._changed.wait_for(lambda: self._until_seconds > until)
            return [cut for cut in self._cuts if cut <= until]
