"""Copies an ONNX model with its denormal weights as zeros.

Channels that a network stopped using during its training are left with weights too small for float32's normal form.
They change no output, but an Intel processor takes a hundred times as long to multiply by one: RapidOCR's detector has
a quarter of a million of them, and spent three quarters of its time on them. onnxruntime's own setting
(`session.set_denormal_as_zero`) acts only on the thread that made the process's first session.

Only the bytes of the weights are changed, in place, so the rest of the model need not be understood or written anew
(https://onnx.ai/onnx/repo-docs/IR.html, https://protobuf.dev/programming-guides/encoding).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

__all__ = ["flush_denormals", "flushed"]

_GRAPH, _INITIALIZER, _DATA_TYPE, _FLOAT_DATA, _RAW_DATA = 7, 5, 2, 4, 9  # field numbers of onnx.proto
_FLOAT: Final = 1
_VARINT, _EIGHT_BYTES, _DELIMITED, _FOUR_BYTES = 0, 1, 2, 5  # wire types


@contextmanager
def flushed(path: Path) -> Iterator[Path]:
    """A copy of the model that exists until the block ends, or the model itself if it has no such weights.

    It is the model itself, too, if it can't be read or copied: whoever loads it reports that better, and a model with
    denormal weights is only slower.
    """
    with ExitStack() as stack:
        given = path
        with suppress(OSError, ValueError):
            model = bytearray(path.read_bytes())
            if flush_denormals(model):
                copy = Path(stack.enter_context(TemporaryDirectory(prefix="pixr-"))) / path.name
                copy.write_bytes(model)
                given = copy
        yield given


def flush_denormals(model: bytearray) -> int:
    """Set the denormal float32 weights of a serialised ONNX model to zero, in place; return how many there were.

    Raises:
        ValueError: the bytes are not a protocol buffer.
    """
    import numpy as np

    count = 0
    for weights in _float_weights(memoryview(model)):
        numbers = np.frombuffer(weights, "<f4")
        denormal = (numbers != 0) & (np.abs(numbers) < np.finfo(np.float32).tiny)
        count += int(denormal.sum())
        numbers[denormal] = 0
    return count


def _float_weights(model: memoryview) -> Iterator[memoryview]:
    """The bytes of each float32 initializer."""
    graphs = (value for number, value in _fields(model) if number == _GRAPH)
    for graph in graphs:
        for number, tensor in _fields(_delimited(graph)):
            if number != _INITIALIZER:
                continue
            fields = dict(_fields(_delimited(tensor)))  # of a repeated field the last one counts
            if fields.get(_DATA_TYPE) == _FLOAT:
                for kept in (_RAW_DATA, _FLOAT_DATA):
                    if kept in fields:
                        yield _delimited(fields[kept])


def _delimited(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a message was expected, got a number")
    return value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Each field's number and value: an integer or bytes."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        if wire == _DELIMITED:
            length, at = _varint(message, at)
        elif wire in (_EIGHT_BYTES, _FOUR_BYTES):
            length = 8 if wire == _EIGHT_BYTES else 4
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        if at + length > len(message):
            raise ValueError(f"a field of {length} bytes at byte {at} of {len(message)}")
        yield key >> 3, message[at : at + length]
        at += length


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number that begins at byte `at`, and where the next field begins."""
    value = 0
    for shift, byte in enumerate(message[at : at + 10]):
        value |= (byte & 0x7F) << (7 * shift)
        if byte < 0x80:
            return value, at + shift + 1
    raise ValueError(f"a number that doesn't end at byte {at}")
