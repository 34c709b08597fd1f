"""The operators of a question: marks that say how words must occur, `"in quotes"`, `-excluded`, `begin*`.

The engine reads them (`rust/engine/text/query.rs`). Encoders are given a question without them. In what was heard in an
example, dashes and quotation marks are no operators, and are taken out before it is asked.
"""

from __future__ import annotations

import re

__all__ = ["MOST_BYTES", "MOST_WORDS", "as_words", "without_operators"]

# The most that the engine takes of one question.
MOST_WORDS = 256
MOST_BYTES = 8 * 1024

_QUOTES = '"\u201c\u201d\u201e\u00ab\u00bb'
_QUOTED = rf"[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]"
_DEMANDS = re.compile(rf"{_QUOTED}|(?<![^\s{_QUOTES}])-(?:{_QUOTED}|[^\W\d_][^\s{_QUOTES}]*)|[{_QUOTES}]")
_MARKS = re.compile(rf"[{_QUOTES}*]")
_DASHES = re.compile(r"(?<!\S)-+")
# From Thai on each character counts as a word: scripts without spaces have words of one character.
_WORD = re.compile(r"[^\W_\u0e00-\U0010ffff]+|[\u0e00-\U0010ffff]")


def without_operators(text: str) -> str:
    """What a question is about: without quotation marks, and without what it excludes.

    Example:
        >>> without_operators('a "wooden boat" at sea -storm -"at night"')
        'a wooden boat at sea'
    """
    if not _DEMANDS.search(text):
        return text
    return " ".join(_DEMANDS.sub(lambda found: f" {found[1] or ''} ", text).split())


def as_words(text: str) -> str:
    """What is said somewhere, as a question without operators: as many of its first words as may be asked.

    Example:
        >>> as_words('-Where? -"To the harbour," he said.')
        'Where? To the harbour, he said.'
    """
    plain = " ".join(_DASHES.sub("", _MARKS.sub(" ", text)).split())
    for count, found in enumerate(_WORD.finditer(plain)):
        if count == MOST_WORDS:
            plain = plain[: found.start()]
            break
    return plain.encode()[:MOST_BYTES].decode(errors="ignore").strip()
