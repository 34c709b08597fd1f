"""What the binding makes answers with."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError, fields

import pytest

from pixr import makers
from pixr.types import Creator, Hit, Match, Moment, Video

MATCH = (1.0, 2.0, "visual", "frame", 0.5, 1.0, 0.3, 0.2, None, "closest concepts: cat", ((1, 2),), None, None)
VIDEO = ("a", "A cat", "", ("pets",), 4.0, None, "hd", Creator("c", "C", True), None, None, {"lens": 35})


def test_what_is_made_is_the_frozen_type_itself() -> None:
    match, moment = makers.match(*MATCH), makers.moment(1.0, 2.0, 1.5, 0.5, (Match(*MATCH),))  # type: ignore[arg-type]
    hit = makers.hit(makers.video(*VIDEO), 0.5, (moment,))
    assert (match, moment) == (Match(*MATCH), Moment(1.0, 2.0, 1.5, 0.5, (match,)))  # type: ignore[arg-type]
    assert hit == Hit(Video(*VIDEO), 0.5, (moment,))
    assert makers.creator("c", "C", True) == Creator("c", "C", True)
    for made, frozen in ((match, Match), (moment, Moment), (hit, Hit), (hit.video, Video)):
        assert type(made) is frozen
        assert [field.name for field in fields(made)] == [field.name for field in fields(frozen)]
        assert pickle.loads(pickle.dumps(made)) == made
        assert repr(made).startswith(frozen.__name__ + "(")
    with pytest.raises(FrozenInstanceError):
        match.start = 3.0
