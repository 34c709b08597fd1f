"""Seconds as people read them."""

from __future__ import annotations

__all__ = ["clock"]


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
