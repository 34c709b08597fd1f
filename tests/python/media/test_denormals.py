"""Denormal weights become zeros, and nothing else of a model changes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from hypothesis import given
from hypothesis import strategies as some

from pixr.media.denormals import flush_denormals, flushed
from pixr.media.screen_model import of_the_wheel

TINY = float(np.finfo(np.float32).tiny)
FLOAT, DOUBLE = 1, 11


def delimited(number: int, value: bytes) -> bytes:
    return bytes([number << 3 | 2]) + varint(len(value)) + value


def varint(value: int) -> bytes:
    head = bytearray()
    while value >= 0x80:
        head.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*head, value])


def tensor(data_type: int, field: int, weights: bytes) -> bytes:
    return b"\x10" + varint(data_type) + delimited(field, weights) + delimited(8, b"a name")


def model(*tensors: bytes) -> bytearray:
    """Three fields before the graph, one of each other wire type, as a model may have."""
    graph = delimited(2, b"graph") + b"".join(delimited(5, one) for one in tensors)
    return bytearray(b"\x08\x0a" + b"\x15four" + b"\x19eighteig" + delimited(7, graph) + delimited(14, b"metadata"))


@pytest.mark.parametrize("field", [4, 9], ids=["float_data", "raw_data"])
def test_only_what_is_denormal_becomes_zero(field: int) -> None:
    weights = np.array([1.0, TINY, TINY / 2, -TINY / 2, 0.0, 1e-45, -1e-30, np.nan, np.inf], "<f4")
    others = np.array([5e-324, 1.0], "<f8").tobytes()
    given_model = model(tensor(FLOAT, field, weights.tobytes()), tensor(DOUBLE, 9, others))
    expected = weights.copy()
    expected[[2, 3, 5]] = 0.0
    assert flush_denormals(given_model) == 3
    assert given_model == model(tensor(FLOAT, field, expected.tobytes()), tensor(DOUBLE, 9, others))
    assert flush_denormals(given_model) == 0


def test_the_detector_finds_the_same_without_them() -> None:
    source = of_the_wheel("det")
    picture = np.random.default_rng(1).standard_normal((1, 3, 64, 96), np.float32)

    def found(path: Path) -> np.ndarray:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (answer,) = session.run(None, {session.get_inputs()[0].name: picture})
        return np.asarray(answer)

    with flushed(source) as copy:
        assert copy != source
        assert flush_denormals(bytearray(copy.read_bytes())) == 0
        np.testing.assert_allclose(found(copy), found(source), atol=1e-6)
    assert not copy.exists()


@pytest.mark.parametrize("content", [bytes(model(tensor(FLOAT, 9, bytes(8)))), b"no model at all", b"", None])
def test_a_model_without_any_or_that_is_none_is_given_as_it_is(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with flushed(path) as same:
        assert same == path


def test_where_no_copy_can_be_made_the_model_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(model(tensor(FLOAT, 9, np.array([TINY / 2], "<f4").tobytes())))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    with flushed(path) as same:
        assert same == path


@given(some.binary(max_size=200), some.integers(0, 400))
def test_damaged_models_keep_their_length(junk: bytes, cut: int) -> None:
    whole = model(tensor(FLOAT, 9, np.full(20, TINY / 2, "<f4").tobytes()))
    for damaged in (bytearray(junk), whole[:cut], whole[:cut] + junk):
        length = len(damaged)
        with contextlib.suppress(ValueError):
            flush_denormals(damaged)
        assert len(damaged) == length
