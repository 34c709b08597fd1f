"""Memory while a video of ten hours is indexed, from its first second to its last.

    python -m benches.eval.longvideo WORK [--hours 10] [--every 5]

The video is made in WORK unless it is there: ten minutes (320 by 180, 10 pictures a second, 75 photographs of 8 s that
are panned over, so that every second shows something new), again and again. In the first of the ten minutes
sentences are spoken, half a second apart; then it is silent, since recognising speech takes most of the time and
holds no more memory for being longer. It needs `../shared/eval`, ffmpeg and espeak-ng.

`pixr index` runs with default settings as a process of its own. Every few seconds the PSS of it and of its children
(`smaps_rollup`: what is shared counts once in all) goes to `memory.csv`; the greatest is what counts. `VmHWM`, the
kernel's own record of each process's greatest resident memory, is told beside it: a peak between two looks shows there.
"""

from __future__ import annotations

import argparse
import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import pixr

EVAL = Path(__file__).resolve().parents[3] / "shared" / "eval"
WIDTH, HEIGHT, PICTURES_A_SECOND = 320, 180, 10
PHOTOGRAPHS, SHOT_SECONDS = 75, 8
SPOKEN_SECONDS, RATE_HZ = 60, 16_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--hours", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=5.0, help="seconds between two looks at memory")
    parser.add_argument("--photos", type=Path, default=EVAL, help="folder with photos/ and photos.tsv")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    video = given.work / f"{given.hours:g}-hours.mp4"
    if not video.exists():
        make_video(video, given.photos, round(given.hours * 3600 / (PHOTOGRAPHS * SHOT_SECONDS)))
    library = given.work / "long.pixr"
    shutil.rmtree(library, ignore_errors=True)
    report(watch(video, library, given.work / "memory.csv", given.every), library)


def make_video(path: Path, data: Path, times: int) -> None:
    """Ten minutes, so many times over."""
    lines = [line.split("\t") for line in (data / "photos.tsv").read_text(encoding="utf8").splitlines()]
    sound = path.with_suffix(".pcm")
    sound.write_bytes(speak([line[2] for line in lines], path.with_suffix(".wav")).tobytes())
    once, listed = path.with_suffix(".once.mp4"), path.with_suffix(".txt")
    command = ["ffmpeg", "-y", "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}",
               "-r", str(PICTURES_A_SECOND), "-i", "-", "-f", "s16le", "-ar", str(RATE_HZ), "-ac", "1",
               "-i", str(sound),
               "-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-c:a", "aac", str(once)]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE) as encoder:
        assert encoder.stdin is not None
        step = len(lines) // PHOTOGRAPHS
        for line in lines[: step * PHOTOGRAPHS : step]:
            for picture in pan(data / "photos" / line[0]):
                encoder.stdin.write(picture)
    listed.write_text(f"file '{once.resolve()}'\n" * times, encoding="utf8")
    partial = path.with_suffix(".partial.mp4")
    joined = ["ffmpeg", "-y", "-v", "error", "-f", "concat", "-safe", "0", "-i", str(listed), "-c", "copy"]
    subprocess.run([*joined, str(partial)], check=True)
    partial.replace(path)


def speak(sentences: list[str], scratch: Path) -> NDArray[np.int16]:
    """Sentences for as long as is spoken, then silence to the end of the ten minutes."""
    samples = np.zeros(PHOTOGRAPHS * SHOT_SECONDS * RATE_HZ, np.int16)
    at = 0
    for sentence in sentences:
        subprocess.run(["espeak-ng", "-s", "165", "-w", str(scratch), sentence], check=True)
        raw = ["ffmpeg", "-v", "error", "-i", str(scratch), "-ac", "1", "-ar", str(RATE_HZ), "-f", "s16le", "-"]
        said = np.frombuffer(subprocess.run(raw, check=True, capture_output=True).stdout, np.int16)
        if at + len(said) > SPOKEN_SECONDS * RATE_HZ:
            break
        samples[at : at + len(said)] = said
        at += len(said) + RATE_HZ // 2
    return samples


def pan(photograph: Path) -> Iterator[bytes]:
    """The pictures of one shot, from one corner of the photograph to the other."""
    image = Image.open(photograph).convert("RGB")
    scale = 1.15 * max(WIDTH / image.width, HEIGHT / image.height)
    image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    count = SHOT_SECONDS * PICTURES_A_SECOND
    for number in range(count):
        left, top = ((side - shown) * number // count for side, shown in zip(image.size, (WIDTH, HEIGHT), strict=True))
        yield image.crop((left, top, left + WIDTH, top + HEIGHT)).tobytes()


def watch(video: Path, library: Path, table: Path, every_seconds: float) -> list[tuple[float, float, float, float]]:
    """Index, and look at memory: seconds since the start, megabytes of all processes, of the first, of its children.

    Raises:
        RuntimeError: indexing failed.
    """
    began = time.monotonic()
    rows: list[tuple[float, float, float, float]] = []
    peaks: dict[int, float] = {}
    run = "import sys; from pixr.cli import main; sys.exit(main())"  # the `pixr` command, wherever it was installed
    indexing = subprocess.Popen([sys.executable, "-c", run, "index", str(library), str(video)])
    with table.open("w", newline="", encoding="utf8") as file:
        writer = csv.writer(file)
        writer.writerow(("seconds", "all_mb", "indexer_mb", "decoders_mb"))
        while indexing.poll() is None:
            own = field_mb(indexing.pid, "smaps_rollup", "Pss:")
            children = descendants(indexing.pid)
            theirs = sum(field_mb(child, "smaps_rollup", "Pss:") for child in children)
            for process in (indexing.pid, *children):
                peaks[process] = max(peaks.get(process, 0.0), field_mb(process, "status", "VmHWM:"))
            rows.append((time.monotonic() - began, own + theirs, own, theirs))
            writer.writerow([f"{value:.1f}" for value in rows[-1]])
            file.flush()
            with suppress(subprocess.TimeoutExpired):
                indexing.wait(every_seconds)
    if indexing.returncode:
        raise RuntimeError(f"pixr index ended with {indexing.returncode}")
    first, *others = sorted(peaks.items())
    print(f"greatest resident memory: indexer {first[1]:.0f} MB, others {[round(peak) for _, peak in others]} MB")
    return rows


def descendants(process: int) -> list[int]:
    """The processes that a process started, and those that they did."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    found, waiting = [], [process]
    while waiting:
        one = waiting.pop()
        children = [child for child, parent in parents.items() if parent == one]
        found += children
        waiting += children
    return found


def field_mb(process: int, file: str, name: str) -> float:
    """A figure of a process's memory; nothing of one that has just ended."""
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{process}/{file}").read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def report(rows: list[tuple[float, float, float, float]], library: Path) -> None:
    """Print the peak, how memory stood in each tenth of the run, and what was found."""
    with pixr.open(library, create=False, read_only=True) as opened:
        for video in opened.videos():
            print(f"{video.duration / 3600:.2f} hours indexed in {rows[-1][0]:.0f} s: {opened.info()}")
    at, peak, own, theirs = max(rows, key=lambda row: row[1])
    print(
        f"greatest PSS {peak:.0f} MB ({own:.0f} indexer, {theirs:.0f} decoders) after {at:.0f} s, of {len(rows)} looks"
    )
    tenths = np.array_split(np.array([row[1] for row in rows]), 10)
    print("greatest of each tenth (MB):", ", ".join(f"{tenth.max():.0f}" for tenth in tenths if len(tenth)))
    times = os.times()
    print(f"processor time: {times.children_user + times.children_system:.0f} s")


if __name__ == "__main__":
    main()
