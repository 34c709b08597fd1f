"""What a table and a contact sheet name as reasons."""

from __future__ import annotations

import pixr
from pixr.show.reasons import reasons


def match(channel: pixr.Channel, contribution: float) -> pixr.Match:
    return pixr.Match(
        mode="text", channel=channel, start=0.0, end=4.0, confidence=0.5, weight=1.0, contribution=contribution
    )


def moment(*matches: pixr.Match) -> pixr.Moment:
    return pixr.Moment(start=0.0, end=4.0, peak=2.0, score=0.5, matches=matches)


def test_what_hardly_adds_to_the_score_is_no_reason() -> None:
    strong, faint, against = match("speech", 0.49), match("screen", 0.002), match("frame", -0.1)
    assert reasons(moment(faint, against, strong)) == [strong, against]


def test_there_is_always_a_reason() -> None:
    assert reasons(moment(match("metadata", 0.0))) == [match("metadata", 0.0)]
    assert reasons(moment()) == []
