"""Confidences as people read them."""

from __future__ import annotations

__all__ = ["shown_confidence"]


def shown_confidence(confidence: float, digits: int = 2) -> str:
    """A confidence with `digits` digits behind the point; one that would read as none is told to be below the least.

    What is told is how often such evidence is right (`pixr.Match.confidence`), which may be next to never where the
    evidence still ranks a moment above others: half of the words of a question, found on the screen.

    Example:
        >>> shown_confidence(0.871), shown_confidence(1e-12), shown_confidence(0.0)
        ('0.87', '<0.01', '0.00')
    """
    least = 10.0**-digits
    return f"<{least:.{digits}f}" if 0.0 < confidence < least / 2 else f"{confidence:.{digits}f}"
