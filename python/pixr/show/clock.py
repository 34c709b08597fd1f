"""Seconds as people and players read them."""

from __future__ import annotations

import math

__all__ = ["clock", "first_millisecond", "milliseconds_within"]

# A millisecond of a number with a point is not always whole.
_SLACK_MILLISECONDS = 1e-4


def clock(seconds: float, *, tenths: bool = True) -> str:
    """Seconds as `m:ss.t` or `h:mm:ss.t`; `tenths=False` leaves the tenths out.

    Example:
        >>> clock(75.26), clock(3725.0, tenths=False)
        ('1:15.3', '1:02:05')
    """
    units = round(max(seconds, 0.0) * (10 if tenths else 1))
    whole, tenth = divmod(units, 10) if tenths else (units, 0)
    minutes, second = divmod(whole, 60)
    hours, minute = divmod(minutes, 60)
    text = f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
    return f"{text}.{tenth}" if tenths else text


def first_millisecond(seconds: float) -> str:
    """An instant for a player: the first whole millisecond that is not before it, in seconds.

    Rounded to the nearest, it could be before the picture that begins then, and show the last of the shot before.

    Example:
        >>> first_millisecond(1 / 30)
        '0.034'
    """
    return f"{math.ceil(seconds * 1000 - _SLACK_MILLISECONDS) / 1000:.3f}"


def milliseconds_within(start: float, end: float) -> tuple[str, str]:
    """A span for a player: in seconds, cut to whole milliseconds that lie in it.

    Example:
        >>> milliseconds_within(1 / 30, 2 / 3)
        ('0.034', '0.666')
    """
    last = f"{math.floor(end * 1000 + _SLACK_MILLISECONDS) / 1000:.3f}"
    return first_millisecond(start), max(first_millisecond(start), last, key=float)
