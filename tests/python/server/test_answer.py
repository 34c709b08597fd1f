"""Answers have the bytes that `pydantic_core.to_json` makes, whatever writes them."""

from __future__ import annotations

import random
import struct
from datetime import datetime, timezone
from typing import Any

import pytest
from pydantic_core import to_json

from pixr.server.answer import json_answer


@pytest.mark.parametrize(
    "body",
    [
        {"title": "Über 太陽 \U0001f31e \"'\\/\n\t\u2028\x7f", "none": None, "yes": True, "nested": {"a": [1, ()]}},
        {"metadata": {"past 64 bits": 2**70, "and within": -(2**63)}},
        {"when": datetime(2026, 11, 24, 9, 30, tzinfo=timezone.utc)},
        {1: "a name that is a number"},
    ],
)
def test_an_answer_is_written_as_before(body: dict[Any, Any]) -> None:
    assert json_answer(body).body == to_json(body)


def test_numbers_are_written_with_the_same_digits() -> None:
    chance = random.Random(1)
    bits = [struct.unpack("<d", struct.pack("<Q", chance.getrandbits(64)))[0] for _ in range(20_000)]
    scores = [chance.random() * 10 ** chance.randint(-9, 9) for _ in range(20_000)]
    whole = [float(10**power) for power in range(30)]
    numbers = [one for one in bits + scores + whole if abs(one) < float("inf")]
    assert json_answer(numbers).body == to_json(numbers)
