"""Makes the inputs that fuzzing begins with: what the engine itself wrote, and questions as people ask them.

    python -m tests.fuzz.seeds [FOLDER]

Each target takes its bytes as `src/lib.rs` says: most of them a first byte that tells whether checksums are made right.
"""

from __future__ import annotations

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

GOLDEN = Path(__file__).parent.parent / "golden" / "format-1"
LOG_HEADER, RECORD_HEADER, MANIFEST_HEADER, DELETES_HEADER = 48, 28, 24, 48

FILTERS: list[dict[str, object]] = [
    {},
    {"duration": {"min": 10, "max": 300.5}},
    {"tags": ["diy", "roof"], "quality": "hd"},
    {"created": {"after": "2024-02-29T12:00:00Z", "before": "2026-01-01"}},
    {"metadata": {"rating": {"max": 3}, "place.name": ["garden"], "done": {"exists": True}}},
    {"or": [{"id": ["video-3"]}, {"not": {"creator": "ann"}}, {"and": [{"tags": {"any": ["a"], "all": ["b"]}}]}]},
]
ROOF: dict[str, object] = {"text": {"speech": "roof"}}
QUERIES: list[dict[str, object]] = [
    {"text": {"metadata": 'solar "roof panel"', "speech": "dog ladd* -waltz"}, "limit": 5, "facets": "all"},
    {"vectors": {"frame": [1, 0.5, -2, 0, 1e3, 0.25]}, "effort": 50, "min_score": 0.1, "total": "found"},
    {**ROOF, "vectors": {"frame": [1] * 6}, "facets": {"named": ["tags"]}, "filter": FILTERS[1], "fusion": "max"},
    {**ROOF, "between": [1, 5], "except": {"video": "video-3", "start": 0, "end": 2}, "diversity": 0.4},
    {**ROOF, "weights": {"speech": 0.5}, "channels": ["speech"], "clauses": [ROOF], "moments_per_hit": 2},
    {
        "compound": {
            "then": {"first": {"ask": ROOF}, "second": {"ask": {"text": {"speech": "dog"}}}, "within_seconds": 9}
        }
    },
    {"compound": {"while": {"first": {"ask": ROOF}, "second": {"ask": {"vectors": {"frame": [1] * 6}}}}}},
    {"compound": {"without": {"first": {"ask": ROOF}, "second": {"ask": {"text": {"metadata": "waltz"}}}}}},
]
TEXTS = [
    "solar panel",
    '"solar panel" roof',
    "ladd* -dog",
    "+roof (the OR waltz)",
    "Über den Dächern",
    '"unfinished',
    "",
]


def _records(log: bytes) -> Iterator[bytes]:
    at = LOG_HEADER
    while at + RECORD_HEADER <= len(log):
        (length,) = struct.unpack_from("<I", log, at)
        at += RECORD_HEADER
        yield log[at : at + length]
        at += length


def seeds() -> dict[str, list[bytes]]:
    """Inputs by target."""
    log = next((GOLDEN / "wal").iterdir()).read_bytes()
    manifest = (GOLDEN / "MANIFEST").read_bytes()
    bitmap = next((GOLDEN / "deletes").iterdir()).read_bytes()
    (deleted,) = struct.unpack_from("<I", bitmap, 40)
    records = list(_records(log))
    changes = [
        bytes([section, how, at, 0, 0, 7, 3]) for section in range(0, 40, 3) for how in range(5) for at in (0, 9)
    ]
    texts = [text.encode() for text in TEXTS]
    return {
        "log": [
            b"\0" + log,
            b"\1" + b"".join(struct.pack("<H", len(record)) + record for record in records),
            *(b"\0" + record for record in records),
        ],
        "manifest": [b"\0" + manifest, b"\1" + manifest[MANIFEST_HEADER:]],
        "deletes": [b"\0" + bitmap, bytes([2 * deleted + 1]) + bitmap[DELETES_HEADER:]],
        "part": [*changes[:40], b"".join(changes[::5])],
        "column": [*(b"\0" + each for each in changes[:40]), b"\1" + b"".join(changes[::7])],
        "cursor": [b"eyJhIjoxfQ.AAAA", b"1.2.3", b"A" * 120],
        "filter": [json.dumps(each).encode() for each in FILTERS],
        "query": [json.dumps(each).encode() for each in QUERIES],
        "text": texts,
    }


def write(folder: Path) -> None:
    """Write each input into `folder`/TARGET."""
    for target, inputs in seeds().items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        for number, content in enumerate(inputs):
            (folder / target / f"seed-{number:03}").write_bytes(content)


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "target/fuzz/seeds"))
