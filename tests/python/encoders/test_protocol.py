"""Spaces have one written form, and the embedded encoders keep the protocol."""

from __future__ import annotations

from typing import Any

import pytest

from pixr.encoders import EncoderOptions, Encoders, ImageEncoder, Space, TextEncoder
from pixr.errors import InvalidQuery, ModelError


def test_space_reads_back_what_it_writes() -> None:
    space = Space("concepts", "2.1", 1001)
    assert str(space) == "concepts@2.1/1001"
    assert Space.parse(str(space)) == space


@pytest.mark.parametrize(
    "text", ["", "concepts", "concepts@1", "concepts@1/0", "concepts@1/-3", "a@b@c/3", "a@1/3x", "@1/3"]
)
def test_malformed_spaces_are_refused(text: str) -> None:
    with pytest.raises(ModelError) as caught:
        Space.parse(text)
    assert caught.value.code == "model_invalid"


def test_spaces_that_differ_in_version_are_different() -> None:
    assert Space("minilm", "1", 384) != Space("minilm", "2", 384)


@pytest.mark.parametrize(
    "arguments", [{"threads": 0}, {"threads": "2"}, {"batch_size": 0}, {"batch_size": True}, {"precision": "fp8"}]
)
def test_options_that_cannot_run_are_refused(arguments: dict[str, Any]) -> None:
    """As other arguments are: it was a ValueError without a code, and for a text a TypeError of Python's comparison."""
    with pytest.raises(InvalidQuery, match=next(iter(arguments))):
        EncoderOptions(**arguments)


def test_embedded_encoders_keep_the_protocol(encoders: Encoders) -> None:
    assert isinstance(encoders.visual, ImageEncoder)
    assert isinstance(encoders.text, TextEncoder)
    assert not isinstance(encoders.text, ImageEncoder)
