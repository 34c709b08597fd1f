"""Whether disk, memory, open files and latency stay level in a library that stays the same size.

    python -m benches.longrun --operations 1000000 --out longrun

writes `longrun/longrun.csv` and, with matplotlib, `longrun/longrun.png`, and prints the first and last tenth side by
side. A write adds ten videos of one segment (a 384-dimensional vector, a sentence), the next deletes the ten oldest:
each video is one operation. Queries in words and by a vector are timed between. With --seconds it stops in time and
says how far it got.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

import pixr

DIMENSION = 384
BATCH = 10
WORDS = ("roof", "ladder", "harbour", "dog", "beach", "train", "forest", "kitchen", "market", "bridge", "storm")
COLUMNS = ("operations", "seconds", "segments", "disk_mb", "memory_mb", "open_files", "mappings", "parts", "search_ms")


def batch(first: int, rng: np.random.Generator) -> pa.RecordBatch:
    """Ten videos of one segment each, numbered from `first`."""
    vectors = rng.normal(size=(BATCH, DIMENSION)).astype("float32")
    said = [" ".join(rng.choice(WORDS, 8)) for _ in range(BATCH)]
    return pa.record_batch(
        {
            "video_id": [f"video-{first + at:09}" for at in range(BATCH)],
            "start": [0.0] * BATCH,
            "end": [5.0] * BATCH,
            "frame": pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), DIMENSION),
            "speech": said,
        }
    )


def disk_bytes(folder: Path) -> int:
    """What the files take, while files come and go."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks * 512
        except FileNotFoundError:
            continue
    return total


def memory_bytes() -> int:
    """Anonymous memory of this process: mapped files are the system's cache and counted on disk."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def search_ms(library: pixr.Library, rng: np.random.Generator) -> float:
    """Median of twenty searches, half by words, half by a vector."""
    times = []
    for at in range(20):
        begun = time.perf_counter()
        if at % 2:
            library.search(" ".join(rng.choice(WORDS, 2)), channels=["speech"], min_score=0.0)
        else:
            library.search(vectors={"frame": rng.normal(size=DIMENSION).astype("float32")}, min_score=0.0)
        times.append((time.perf_counter() - begun) * 1e3)
    return statistics.median(times)


def run(library: pixr.Library, operations: int, live: int, seconds: float, points: int) -> list[dict[str, float]]:
    """The measurements, one a point."""
    rng = np.random.default_rng(7)
    written = deleted = 0
    while written < live:
        library.add_segments(batch(written, rng))
        written += BATCH
    begun, done, rows = time.monotonic(), 0, []
    every = max(operations // points // (2 * BATCH), 1) * 2 * BATCH
    while done < operations and time.monotonic() - begun < seconds:
        library.add_segments(batch(written, rng))
        written += BATCH
        library.delete(*(f"video-{number:09}" for number in range(deleted, deleted + BATCH)))
        deleted += BATCH
        done += 2 * BATCH
        if done % every == 0:
            info = library.info()
            values = (
                done,
                time.monotonic() - begun,
                info["segments"],
                disk_bytes(library.path) / 1e6,
                memory_bytes() / 1e6,
                len(list(Path("/proc/self/fd").iterdir())),
                sum(str(library.path) in line for line in Path("/proc/self/maps").read_text().splitlines()),
                info["parts"],
                search_ms(library, rng),
            )
            rows.append(dict(zip(COLUMNS, values, strict=True)))
            print(" ".join(f"{name} {value:.1f}" for name, value in rows[-1].items()), flush=True)
    return rows


def plot(rows: list[dict[str, float]], path: Path) -> None:
    """Disk, memory, open files and latency over the operations."""
    try:
        import matplotlib as mpl
    except ImportError:
        print("no plot: pip install matplotlib")
        return

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    shown = {"disk_mb": "disk (MB)", "memory_mb": "memory (MB)", "open_files": "open files", "search_ms": "search (ms)"}
    figure, axes = plt.subplots(len(shown), 1, sharex=True, figsize=(9, 9), layout="constrained")
    for axis, (name, label) in zip(axes, shown.items(), strict=True):
        axis.plot([row["operations"] for row in rows], [row[name] for row in rows], linewidth=1)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
    axes[-1].set_xlabel("adds and deletes")
    axes[0].set_title(f"{rows[-1]['segments']:,.0f} segments, {rows[-1]['operations']:,.0f} adds and deletes")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Run, write, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--live", type=int, default=20_000, help="segments that stay")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("longrun"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="pixr-longrun-", dir=options.out) as folder,
        pixr.open(Path(folder) / "library", sync="group") as library,
    ):
        rows = run(library, options.operations, options.live, options.seconds, options.points)
    with (options.out / "longrun.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    plot(rows, options.out / "longrun.png")
    tenth = max(len(rows) // 10, 1)
    print(f"\n{rows[-1]['operations']:,.0f} of {options.operations:,} operations; median of the first and last tenth:")
    for name in COLUMNS[2:]:
        first, last = (statistics.median(row[name] for row in part) for part in (rows[:tenth], rows[-tenth:]))
        print(f"{name:>12} {first:12.1f} {last:12.1f} {last / first if first else 1:8.2f}")


if __name__ == "__main__":
    main()
