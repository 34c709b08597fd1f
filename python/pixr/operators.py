"""What in a question is no word but says how words must stand: `"in quotes"`, `-excluded`, `begin*`.

The engine reads them (`rust/engine/text/query.rs`). What is encoded is what is meant without them.
"""

from __future__ import annotations

import re

__all__ = ["wanted"]

_QUOTES = '"\u201c\u201d\u201e\u00ab\u00bb'
_QUOTED = rf"[{_QUOTES}]([^{_QUOTES}]*)[{_QUOTES}]"
_DEMANDS = re.compile(rf"{_QUOTED}|(?<![^\s{_QUOTES}])-(?:{_QUOTED}|[^\W\d_][^\s{_QUOTES}]*)|[{_QUOTES}]")


def wanted(text: str) -> str:
    """What a question is about: without quotation marks, and without what it excludes.

    Example:
        >>> wanted('a "wooden boat" at sea -storm -"at night"')
        'a wooden boat at sea'
    """
    if not _DEMANDS.search(text):
        return text
    return " ".join(_DEMANDS.sub(lambda found: f" {found[1] or ''} ", text).split())
