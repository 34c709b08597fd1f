"""The same faults on Pixr, tantivy, LanceDB, usearch and Chroma; prints a table in Markdown.

    python -m benches.faults [--engines pixr,tantivy] [--kills 20] [--flips 60] [--out faults-peers.json]

- kill -9: a process stores rows one by one and says which are stored; it is killed at a random moment. Lost rows, and
  directories that do not open any more.
- flipped bits: one bit of one file of a closed directory of 60 rows, chosen by lot over all bytes. Whether the answers
  are the same, an error tells, the answers differ, or the process dies.
- full disk: rows are stored on a small tmpfs until one fails; then room is made. Whether the error is one, the open
  handle goes on, and everything that was stored is there.
- two writers: a second process opens the same directory to write, and both store rows at once.

Every try runs in a process of its own. Linux only.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benches.faults.engines import ENGINES, dump

ROWS = 60
TIMEOUT = 60


def _child(role: str, engine: str, directory: Path, *more: str, **options: Any) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "benches.faults",
        "--role",
        role,
        "--engines",
        engine,
        "--at",
        str(directory),
        *more,
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def _ask(engine: str, directory: Path) -> tuple[str, str]:
    """Open the directory in a process and ask everything: `("ok", answers)`, `("error", text)`, `("died", how)`."""
    process = _child("ask", engine, directory)
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "died", "hangs"
    if process.returncode < 0:
        return "died", f"signal {-process.returncode}"
    if "panicked at" in err:
        return "died", "panic"
    if process.returncode != 0:
        return "error", (err.strip().splitlines() or ["no text"])[-1]
    return "ok", out.strip().splitlines()[-1]


def kills(engine: str, count: int) -> dict[str, int]:
    """Kill a process that stores rows."""
    lots = random.Random(7)
    outcome = {"kills": count, "rows": 0, "lost": 0, "unreadable": 0}
    for _ in range(count):
        with tempfile.TemporaryDirectory() as place:
            process = _child("store", engine, Path(place))
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(lots.uniform(0.05, 1.5))
            process.kill()
            stored = {int(line) for line in process.communicate()[0].splitlines() if line.strip().isdigit()}
            outcome["rows"] += len(stored)
            how, text = _ask(engine, Path(place))
            if how != "ok":
                outcome["unreadable"] += 1
            else:
                outcome["lost"] += len(stored - set(json.loads(text)[0]))
    return outcome


def flips(engine: str, count: int) -> dict[str, int]:
    """Flip one bit at a time."""
    lots = random.Random(11)
    outcome = {"flips": count, "same": 0, "told": 0, "wrong": 0, "died": 0}
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        whole.mkdir()
        made = _child("make", engine, whole)
        _, err = made.communicate()
        assert made.returncode == 0, err
        how, expected = _ask(engine, whole)
        assert how == "ok", expected
        files = [path for path in sorted(whole.rglob("*")) if path.is_file() and path.stat().st_size]
        sizes = [path.stat().st_size for path in files]
        for _ in range(count):
            copy = Path(place) / "copy"
            shutil.copytree(whole, copy)
            target = copy / lots.choices(files, sizes)[0].relative_to(whole)
            data = bytearray(target.read_bytes())
            data[lots.randrange(len(data))] ^= 1 << lots.randrange(8)
            target.write_bytes(data)
            how, text = _ask(engine, copy)
            same = how == "ok" and text == expected
            outcome["same" if same else {"ok": "wrong", "error": "told", "died": "died"}[how]] += 1
            shutil.rmtree(copy)
    return outcome


def full_disk(engine: str) -> dict[str, Any]:
    """Fill a tmpfs of 64 megabytes."""
    with tempfile.TemporaryDirectory() as place:
        script = 'mount -t tmpfs -o size=64m pixr "$0" || exit 77; shift 0; exec "$@"'
        command = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, place]
        command += [sys.executable, "-m", "benches.faults", "--role", "fill", "--engines", engine, "--at", place]
        try:
            result = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
        except subprocess.TimeoutExpired:
            return {"outcome": "hangs"}
        if result.returncode == 77:
            return {"outcome": "not tried: no tmpfs may be mounted here"}
        if result.returncode != 0:
            return {"outcome": f"died: {result.returncode} {(result.stderr.strip().splitlines() or [''])[-1][:200]}"}
        return dict(json.loads(result.stdout.strip().splitlines()[-1]))


def two_writers(engine: str) -> dict[str, Any]:
    """Let two processes write at once."""
    with tempfile.TemporaryDirectory() as place:
        first = _child("store", engine, Path(place), "--count", "20", "--hold", stdin=subprocess.PIPE)
        assert first.stdout is not None
        begin = "".join(first.stdout.readline() for _ in range(20))
        second = _child("store", engine, Path(place), "--from", "500", "--count", "40")
        try:
            out_second, err_second = second.communicate(timeout=TIMEOUT)
            out_first, _ = first.communicate("go on\n", timeout=TIMEOUT)
        except subprocess.TimeoutExpired:
            first.kill()
            second.kill()
            return {"outcome": "hangs"}
        refused = second.returncode != 0
        stored = {int(line) for line in (begin + out_first + out_second).splitlines() if line.strip().isdigit()}
        how, text = _ask(engine, Path(place))
        lost = len(stored - set(json.loads(text)[0])) if how == "ok" else len(stored)
        told = (err_second.strip().splitlines() or [""])[-1][:160] if refused else ""
        return {"refused": refused, "error": told, "stored": len(stored), "lost": lost}


def _store(engine: str, directory: Path, start: int, count: int | None, *, hold: bool) -> None:
    """Store rows and say so; with `hold`, twice as many, the second half when told to go on."""
    store = ENGINES[engine](directory)
    row = start
    while count is None or row < start + count:
        store.add(row)
        print(row, flush=True)
        row += 1
    if hold and count is not None:
        sys.stdin.readline()
        for later in range(row, row + count):
            store.add(later)
            print(later, flush=True)
    store.close()


def _fill(engine: str, directory: Path) -> None:
    ballast = directory / "ballast"
    ballast.write_bytes(bytes(8 << 20))
    store = ENGINES[engine](directory)
    stored: set[int] = set()
    error = ""
    # Most of the room is taken beforehand, so that some dozen rows fill the rest.
    store.add(0)
    stored.add(0)
    with (directory / "more").open("wb") as more:
        try:
            while True:
                more.write(bytes(1 << 16))
                more.flush()
        except OSError:
            pass
    size = (directory / "more").stat().st_size
    os.truncate(directory / "more", max(0, size - (96 << 10)))
    for row in range(1, 20_000):
        try:
            store.add(row)
            stored.add(row)
        except Exception as failure:  # noqa: BLE001 (every engine has errors of its own)
            error = f"{type(failure).__name__}: {failure}".splitlines()[0][:160]
            break
    (directory / "more").unlink()
    ballast.unlink()
    goes_on = True
    try:
        store.add(30_000)
        stored.add(30_000)
    except Exception:  # noqa: BLE001 (as above)
        goes_on = False
    with contextlib.suppress(Exception):
        store.close()
    how, text = _ask(engine, directory)
    lost = len(stored - set(json.loads(text)[0])) if how == "ok" else len(stored)
    print(json.dumps({"error": error, "goes_on": goes_on, "stored": len(stored), "lost": lost, "opens": how == "ok"}))


def main() -> None:
    parser = argparse.ArgumentParser(description="The same faults on several engines.")
    parser.add_argument("--engines", default=",".join(ENGINES))
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--flips", type=int, default=60)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--role", choices=["store", "make", "ask", "fill"])
    parser.add_argument("--at", type=Path)
    parser.add_argument("--from", type=int, default=0, dest="start")
    parser.add_argument("--count", type=int)
    parser.add_argument("--hold", action="store_true")
    chosen = parser.parse_args()
    names = chosen.engines.split(",")
    if chosen.role == "store":
        return _store(names[0], chosen.at, chosen.start, chosen.count, hold=chosen.hold)
    if chosen.role == "make":
        store = ENGINES[names[0]](chosen.at)
        for row in range(ROWS):
            store.add(row)
        return store.close()
    if chosen.role == "ask":
        store = ENGINES[names[0]](chosen.at)
        print(dump(store.rows(), store.answer()))
        return store.close()
    if chosen.role == "fill":
        return _fill(names[0], chosen.at)
    results: dict[str, dict[str, Any]] = {}
    for name in names:
        results[name] = {
            "kill": kills(name, chosen.kills),
            "flip": flips(name, chosen.flips),
            "full": full_disk(name),
            "writers": two_writers(name),
        }
        print(json.dumps({name: results[name]}), flush=True)
        if chosen.out:
            chosen.out.write_text(json.dumps(results, indent=1))
    return None


if __name__ == "__main__":
    main()
