"""Finds the font to draw texts with: one file that has as many of their characters as any on this machine.

Texts of ASCII get DejaVu, or the Latin font that Pillow carries. For others fontconfig is asked, which the desktops of
Linux have, and elsewhere a font of many scripts is looked for by its name. Nothing is fetched: characters that no font
of the machine has are drawn as boxes.
"""

from __future__ import annotations

import string
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont
    from PIL.ImageFont import ImageFont as BitmapFont

    Font: TypeAlias = FreeTypeFont | BitmapFont

__all__ = ["load_fonts"]

_USUAL = "DejaVuSans.ttf"
_OF_MANY_SCRIPTS = "Arial Unicode.ttf"  # where there is no fontconfig: macOS has it
_ASKED_SECONDS = 20
# A pattern is one argument, of at most so many characters: 128 KiB on Linux.
_MOST_CHARACTERS = 10_000


def load_fonts(texts: Iterable[str], sizes: Iterable[int]) -> list[Font]:
    """One font for all of the texts, in each of the sizes, in pixels."""
    characters = {character for text in texts for character in text}
    places = [(_USUAL, 0)]
    if not all(character.isascii() for character in characters):
        places = [*_best(characters), (_USUAL, 0)]
    return [_load(places, size) for size in sizes]


def _best(characters: set[str]) -> list[tuple[str, int]]:
    """File and index of the font that has most of the characters and can be drawn at any size; none if not known."""
    wanted = sorted({*string.ascii_letters, *string.digits, *"–…", *characters})[:_MOST_CHARACTERS]
    charset = " ".join(f"{ord(character):x}" for character in wanted)
    pattern = f"sans-serif:scalable=true:color=false:charset={charset}"
    with suppress(OSError, subprocess.SubprocessError, ValueError):
        asked = ["fc-match", "--format", "%{index} %{file}", pattern]
        answer = subprocess.run(asked, capture_output=True, text=True, timeout=_ASKED_SECONDS, check=True).stdout
        index, _, file = answer.partition(" ")
        return [(file, int(index))]
    return [(_OF_MANY_SCRIPTS, 0)]


def _load(places: Iterable[tuple[str, int]], size: int) -> Font:
    from PIL import ImageFont

    for file, index in places:
        with suppress(OSError):
            return ImageFont.truetype(file, size, index & 0xFFFF)  # above are the instances of a variable font
    return ImageFont.load_default(size)
