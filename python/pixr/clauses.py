"""Cuts a question into clauses: "a dog on a beach, waves crash" asks two things; one may be seen and the other heard.

Only punctuation that ends a clause cuts: with a space behind it, but for the wide marks of Chinese and Japanese, which
have none. A question with quotes or exclusions is left whole, for what they demand holds for all of it.
"""

from __future__ import annotations

import re

__all__ = ["MAX_CLAUSES", "split_clauses"]

MAX_CLAUSES = 8
LEAST_WORDS = 2

# A run of marks or spaces is tried from its beginning alone: from each of its characters, 8 KiB of spaces took seconds.
_ENDS = re.compile(
    r"(?<![,;:.!?\u2026])[,;:.!?\u2026]+(?:\s+|$)|[\u3002\uff0c\u3001\uff1b\uff1f\uff01]+\s*"
    r"|(?<!\s)\s+[\u2013\u2014-]\s+|(?<!\s)\s*\n\s*"
)
# Characters of scripts that put no space between words.
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")
_OPERATORS = re.compile(r'["\u201c\u201d\u201e\u00ab\u00bb]|(?:^|\s)-\w')


def split_clauses(text: str) -> list[str]:
    """The clauses of a question, in order; empty where it has only one.

    A clause of a single word joins its neighbour ("red, green and blue tiles" is one thought), and what goes beyond
    `MAX_CLAUSES` stays with the last.
    """
    if _OPERATORS.search(text):
        return []
    clauses: list[str] = []
    for piece in filter(None, (piece.strip() for piece in _ENDS.split(text))):
        is_short = _word_count(piece) < LEAST_WORDS
        if clauses and (is_short or _word_count(clauses[-1]) < LEAST_WORDS or len(clauses) == MAX_CLAUSES):
            clauses[-1] = f"{clauses[-1]}, {piece}"
        else:
            clauses.append(piece)
    return clauses if len(clauses) > 1 else []


def _word_count(text: str) -> int:
    """How many words, of which two characters are about one where no spaces are written."""
    return max(len(text.split()), len(_UNSPACED.findall(text)) // 2)
