"""The models that indexing needs, loaded once for all videos, and the speech model only if one of them needs it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pixr.errors import MissingExtra, SpeechUnavailable
from pixr.ingest_options import ScreenOptions, SpeechOptions
from pixr.inside import encoders_of, engine_of

if TYPE_CHECKING:
    from pixr.encoders.load import Encoders
    from pixr.library import Library
    from pixr.media.screen import ScreenReader
    from pixr.media.speech import SpeechRecogniser

__all__ = ["Hearing", "Toolbox", "Tools"]

# How many processes decode one video: for its pictures, for speech, and for other sounds.
_DECODERS_A_VIDEO = 3


class Hearing:
    """What recognises speech, loaded when the first video needs it: none does whose words are all written already.

    If speech can't be recognised, videos are indexed without, with a warning. Where a speech model or a language was
    asked for, that is an error: what is indexed without is skipped ever after.

    Attributes:
        options: how what is said is found.
        why_not: the warning, once it is known that speech can't be recognised; else empty.
    """

    def __init__(self, options: SpeechOptions) -> None:
        self.options = options
        self.why_not = ""
        self._lock = threading.Lock()
        self._recogniser: SpeechRecogniser | None = None

    def recogniser(self) -> SpeechRecogniser | None:
        """The recogniser, one for all videos; None if speech can't be recognised.

        Raises:
            SpeechUnavailable, MissingExtra: it can't with the model or the language that was asked for.
        """
        with self._lock:
            if self._recogniser is None and not self.why_not:
                try:
                    self._recogniser = self._load()
                except (SpeechUnavailable, MissingExtra) as error:
                    if self.options.is_named:
                        raise
                    self.why_not = f"indexed without speech: {error}"
            return self._recogniser

    def _load(self) -> SpeechRecogniser:
        from pixr.encoders.sound_labels import SoundLabelEncoder, may_hold_words
        from pixr.media.speech import SpeechRecogniser

        gate = may_hold_words if self.options.gate and SoundLabelEncoder.can_hear() else None
        return SpeechRecogniser(self.options.model, language=self.options.language, gate=gate)


@dataclass
class Tools:
    """The models of one worker. The screen reader keeps state, so each worker has its own; the others are shared.

    `hearing` is None if what is said is not to be found. `no_screen` says why words on screen can't be read, though
    that was asked for.
    """

    encoders: Encoders
    hearing: Hearing | None
    screen: ScreenReader | None
    no_screen: str | None = None


class Toolbox:
    """Loads the models when the first worker asks, once for all of them. Each model call runs on one thread.

    If words on screen can't be read, videos are indexed without, with a warning.
    """

    def __init__(self, library: Library, *, speech: bool | SpeechOptions, screen: bool | ScreenOptions) -> None:
        self._library = library
        self._speech = speech
        self._screen = screen
        self._lock = threading.Lock()
        self._local = threading.local()
        self._shared: Tools | None = None

    def tools(self) -> Tools:
        """The calling thread's tools.

        Raises:
            MissingExtra, ModelNotFound, ModelError: the encoders can't be loaded.
        """
        if not hasattr(self._local, "tools"):
            with self._lock:
                if self._shared is None:
                    self._shared = self._load()
                reader = self._load_screen() if self._shared.screen is None else self._shared.screen
                self._local.tools = replace(self._shared, screen=reader)
                self._shared.screen = None  # the first worker took the one that was loaded as a trial
        made: Tools = self._local.tools
        return made

    def _load(self) -> Tools:
        from pixr.calibration import prepare
        from pixr.encoders.sound_labels import SoundLabelEncoder
        from pixr.media.sandbox import start_decoders

        start_decoders(_DECODERS_A_VIDEO)  # while models load
        encoders = encoders_of(self._library).for_indexing()
        if isinstance(encoders.sound, SoundLabelEncoder) and not encoders.sound.can_hear():
            encoders = replace(encoders, sound=None)
        prepare(engine_of(self._library), encoders)
        encoders_of(self._library).remember()
        hearing = reader = no_screen = None
        if self._speech:
            hearing = Hearing(self._speech if isinstance(self._speech, SpeechOptions) else SpeechOptions())
        try:
            reader = self._load_screen()
        except MissingExtra as error:
            self._screen = False
            no_screen = f"indexed without words on screen: {error}"
        return Tools(encoders, hearing, reader, no_screen)

    def _load_screen(self) -> ScreenReader | None:
        if not self._screen:
            return None
        from pixr.media.screen import ScreenReader

        asked = self._screen if isinstance(self._screen, ScreenOptions) else ScreenOptions()
        return ScreenReader(thread_count=1, languages=asked.languages, model=asked.model)
