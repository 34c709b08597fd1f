"""What is known of the machine, the commit and the memory of processes."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benches.peers.protocol import CORES

SIMD = ("sse4_2", "f16c", "fma", "avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_vpopcntdq",
        "amx_int8", "asimd", "asimddp", "asimdhp", "i8mm", "bf16", "sve")  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


def describe() -> dict[str, Any]:
    """Command, commit, date, and what this machine is."""
    information = _cpu_information()
    flags = set(information.get("flags", information.get("Features", "")).split())
    return {
        "command": f"make bench-peers ARGS={shlex.quote(shlex.join(sys.argv[1:]))}",
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "cpu": information.get("model name") or platform.processor() or platform.machine(),
        "cpu_family": f"{information.get('vendor_id', '')} {information.get('cpu family', '')}".strip(),
        "simd": [name for name in SIMD if name in flags],
        "cores": CORES,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def commit(*paths: str) -> str:
    """The last commit, or the last that changed `paths`; with a plus where the sources differ from it."""
    changed = _git("status", "--porcelain", "--", *(paths or ("rust", "python", "benches", "Cargo.lock")))
    return f"{_git('log', '-1', '--format=%h', '--', *paths) or 'unknown'}{'+' if changed else ''}"


def resident_mb() -> dict[str, float]:
    """Memory of this process and its descendants: all that is resident, and how much of that are pages of files.

    Pages of a mapped file count as soon as they were touched. Empty where there is no /proc.
    """
    total = mapped = 0.0
    for process in _family(os.getpid()):
        try:
            status = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
        except OSError:
            continue
        kilobytes = {
            line.split(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith(("VmRSS", "RssFile"))
        }
        total += float(kilobytes.get("VmRSS", 0)) / 1e3
        mapped += float(kilobytes.get("RssFile", 0)) / 1e3
    return {"resident_mb": total * 1.024, "mapped_mb": mapped * 1.024}


def disk_mb(directory: Path) -> float:
    """Bytes that all files below `directory` take."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 1e6


def drop_pages(directory: Path) -> bool:
    """Write all files below `directory` to disk and ask the system to forget their pages. False where it can't."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in directory.rglob("*"):
        if path.is_file():
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(handle)
    return True


def use_one_core() -> bool:
    """Keep this process, and all that it starts from now on, on one core. False where the system can't."""
    if not hasattr(os, "sched_setaffinity"):
        return False
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    return True


def _family(process: int) -> Iterator[int]:
    yield process
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
    except OSError:
        return
    for task in tasks:
        try:
            children = (task / "children").read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in children:
            yield from _family(int(child))


def _cpu_information() -> dict[str, str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n\n")[0].splitlines()
    except OSError:
        return {}
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _git(*words: str) -> str:
    """What git says; nothing where there is none, or no repository."""
    try:
        found = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return found.stdout.strip()
