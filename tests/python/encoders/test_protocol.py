"""Spaces have one written form, and the embedded encoders keep the protocol."""

from __future__ import annotations

import pytest

from pixr.encoders import EncoderOptions, Encoders, ImageEncoder, Space, TextEncoder
from pixr.errors import ModelError


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


@pytest.mark.parametrize("arguments", [{"threads": 0}, {"batch_size": 0}])
def test_options_that_cannot_run_are_refused(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        EncoderOptions(**arguments)  # type: ignore[arg-type]


def test_embedded_encoders_keep_the_protocol(encoders: Encoders) -> None:
    assert isinstance(encoders.visual, ImageEncoder)
    assert isinstance(encoders.text, TextEncoder)
    assert not isinstance(encoders.text, ImageEncoder)
