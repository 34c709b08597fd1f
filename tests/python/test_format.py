"""A library's files, read by what `FORMAT.md` says of them and by nothing else."""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import pixr

FORMAT = (Path(__file__).parents[2] / "rust" / "engine" / "FORMAT.md").read_text(encoding="utf-8")


def remainder(byte: int) -> int:
    """Of CRC-32C, of one byte."""
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


REMAINDERS = [remainder(byte) for byte in range(256)]


def checksum(data: bytes) -> int:
    """CRC-32C."""
    state = 0xFFFFFFFF
    for byte in data:
        state = state >> 8 ^ REMAINDERS[(state ^ byte) & 0xFF]
    return state ^ 0xFFFFFFFF


def first_column(heading: str) -> list[str]:
    """What the first column of the table below a heading, or below a line that begins so, has."""
    below = FORMAT.split(heading, 1)[1]
    table = re.findall(r"(?:^\|.*\n)+", below, re.MULTILINE)[0]
    return [line.split("|")[1].strip(" `") for line in table.splitlines()[2:]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A library that is open: parts, one with a deleted video, and a log with every kind of record but one."""
    path = tmp_path_factory.mktemp("format") / "films.pixr"
    with pixr.open(path) as library:
        for video in "abcdefg":
            library.add_segments(segments(video), videos=[{"id": video, "title": f"Film {video}"}])
            if video == "f":
                library.commit()
        library.delete("a")
        library.commit()
        library.add_segments(segments("h"), videos=[{"id": "h"}])
        library.update("b", title="Another")
        library.delete("h")
        library._engine.set_space("sound", "own", "1", 4)
        yield path


def segments(video: str) -> pa.RecordBatch:
    vectors = pa.FixedSizeListArray.from_arrays(pa.array([1.0, 2.0, 2.0, 0.0] * 2, pa.float32()), 4)
    return pa.record_batch(
        {
            "video_id": [video] * 2,
            "start": [0.0, 5.0],
            "end": [5.0, 10.0],
            "frame.vector": vectors,
            "frame.description": ["a roof", None],
            "speech": ["we mount the panels", None],
        }
    )


def test_the_manifest_is_what_its_table_says(folder: Path) -> None:
    data = (folder / "MANIFEST").read_bytes()
    magic, check, version, length = struct.unpack_from("<8sIIQ", data)
    assert (magic, check, version, length) == (b"PIXRMANI", checksum(data[12:]), 1, len(data) - 24)
    manifest = json.loads(data[24:])
    assert sorted(manifest) == sorted(first_column("The body, all keys required, others refused:"))
    assert [part["deleted_count"] for part in manifest["parts"]] == [1, 0]


def test_every_record_of_the_log_is_of_a_kind_that_the_table_names(folder: Path) -> None:
    kinds = [int(kind) for kind in first_column("An operation is a")]
    (path,) = (folder / "wal").iterdir()
    data = path.read_bytes()
    header = struct.unpack_from("<8sIIQQ8sII", data)
    salt = header[5]
    assert header == (b"PIXRWLOG", 1, 0, int(path.stem), header[4], salt, 0, checksum(data[:44]))
    at, sequence, found = 48, header[4], []
    while at < len(data):
        length, of_payload, number, durable, of_header = struct.unpack_from("<IIQQI", data, at)
        payload = data[at + 28 : at + 28 + length]
        assert (of_payload, of_header) == (checksum(payload), checksum(salt + data[at : at + 24]))
        assert number == sequence > durable
        found.append(payload[0])
        at, sequence = at + 28 + length, sequence + 1
    assert kinds == list(range(7))
    assert found == [1, 2, 3, 4], "segments, a title, a deletion, a space"
    synced = (folder / "SYNCED").read_bytes()
    told = (b"PIXRSYNC", 1, 0, int(path.stem), salt, sequence - 1, 0, checksum(synced[:44]))
    assert struct.unpack("<8sIIQ8sQII", synced) == told


class Fields:
    """Reads the fields of an operation, as the list below the table of operations says."""

    CHANNELS = ("frame", "metadata", "screen", "speech", "sound")

    def __init__(self, payload: bytes) -> None:
        self.rest = payload

    def take(self, length: int) -> bytes:
        assert length <= len(self.rest)
        taken, self.rest = self.rest[:length], self.rest[length:]
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def varint(self) -> int:
        low = self.byte()
        return low if low < 128 else low - 128 + (self.varint() << 7)

    def text(self) -> str:
        return self.take(self.varint()).decode()

    def optional_text(self) -> str | None:
        return self.text() if self.byte() else None

    def segments(self) -> list[tuple[float, float, list[Any]]]:
        return [(*struct.unpack("<dd", self.take(16)), self.evidence()) for _ in range(self.varint())]

    def evidence(self) -> list[Any]:
        found = []
        for _ in range(self.varint()):
            channel = self.CHANNELS[self.byte()]
            vector = self.take(self.varint()) if self.byte() else b""
            components = [round(value, 3) for value in struct.unpack(f"<{len(vector) // 2}e", vector)]
            found.append((channel, components, self.optional_text(), self.optional_text()))
        return found


def test_the_fields_of_an_operation_are_those_that_its_table_names(folder: Path) -> None:
    """The document said what an operation means, but not in which order its fields come, nor how lists are written."""
    (path,) = (folder / "wal").iterdir()
    data = path.read_bytes()
    at, payloads = 48, []
    while at < len(data):
        length = struct.unpack_from("<I", data, at)[0]
        payloads.append(Fields(data[at + 28 : at + 28 + length]))
        at += 28 + length
    overlay, update, delete, set_space = payloads
    vector = [0.333, 0.667, 0.667, 0.0]
    first = [("frame", vector, None, "a roof"), ("speech", [], "we mount the panels", None)]
    assert (overlay.byte(), overlay.varint(), overlay.text()) == (1, 1, "h")
    assert json.loads(overlay.optional_text() or "")["id"] == "h"
    assert overlay.segments() == [(0.0, 5.0, first), (5.0, 10.0, [("frame", vector, None, None)])]
    assert (update.byte(), json.loads(update.text())["title"]) == (2, "Another")
    assert (delete.byte(), delete.varint(), delete.text()) == (3, 1, "h")
    assert (set_space.byte(), Fields.CHANNELS[set_space.byte()]) == (4, "sound")
    assert (set_space.text(), set_space.text(), set_space.varint()) == ("own", "1", 4)
    assert not any(operation.rest for operation in payloads)


def test_every_section_of_a_part_is_one_that_the_table_names(folder: Path) -> None:
    """`description/<channel>` was in no table, and nothing said what a record of the log holds."""
    named = [re.sub("<channel>", "*", name) for name in first_column("### Sections of a part")]
    parts = sorted((folder / "parts").iterdir())
    assert len(parts) == 2
    for path in parts:
        data = path.read_bytes()
        magic, version, count, number, length, at, rest, zero, check, own = struct.unpack_from("<8sIIQQQQQII", data)
        assert (magic, version, number, length, zero) == (b"PIXRPART", 1, int(path.stem), len(data), 0)
        assert (at + rest, check, own) == (length, checksum(data[at:]), checksum(data[:60]))
        end, directory = 64, at
        for _ in range(count):
            name_end = at + 2 + struct.unpack_from("<H", data, at)[0]
            name = data[at + 2 : name_end].decode()
            assert any(fnmatchcase(name, pattern) for pattern in named), name
            start, size = struct.unpack_from("<QQ", data, name_end)
            assert start % 64 == 0
            assert not any(data[end:start])
            end = start + size
            blocks = range(start, end, 65_536)
            checks = struct.unpack_from(f"<{len(blocks)}I", data, name_end + 16)
            assert checks == tuple(checksum(data[block : min(block + 65_536, end)]) for block in blocks)
            at = name_end + 16 + 4 * len(blocks)
        assert at == length
        assert not any(data[end:directory])


def test_a_bitmap_of_deletions_is_what_its_table_says(folder: Path) -> None:
    (path,) = (folder / "deletes").iterdir()
    data = path.read_bytes()
    part, number = map(int, path.stem.split("-"))
    told = (b"PIXRDELS", 1, checksum(data[48:]), part, number, len(data) - 48, 1, checksum(data[:44]))
    assert struct.unpack_from("<8sIIQQQII", data) == told
