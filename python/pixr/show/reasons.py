"""Which of a moment's matches are worth naming where there is little room."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixr.types import Match, Moment

__all__ = ["reasons"]

# Less than this part of the score is no reason: faint evidence only tells equals from each other.
_LEAST_SHARE = 0.02


def reasons(moment: Moment) -> list[Match]:
    """The matches that made the score, the strongest first; at least one, and those that took from it."""
    ordered = sorted(moment.matches, key=lambda match: -match.contribution)
    least = _LEAST_SHARE * moment.score
    return [match for at, match in enumerate(ordered) if at == 0 or abs(match.contribution) >= least]
