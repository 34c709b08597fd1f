r"""Half of a surrogate pair in a text: no character, so it can't be stored, and can't be written as UTF-8.

JSON may hold one (`"\ud800"`), and Python puts one for each byte of a file's name that is not UTF-8.
"""

from __future__ import annotations

__all__ = ["has_lone_surrogate"]


def has_lone_surrogate(text: str) -> bool:
    """Whether the text holds half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return True
    return False
