"""Memory that was freed is used again where the process is the indexer's own, and still given back in the end."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

BLOCK_BYTES, TIMES = 54 << 20, 20
PROGRAM = f"""
import ctypes, resource, sys, threading
from pixr.media import freed_memory

def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()

def work():
    for _ in range({TIMES}):
        block = ctypes.create_string_buffer({BLOCK_BYTES})
        ctypes.memset(block, 1, {BLOCK_BYTES})
        del block

ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # PR_SET_THP_DISABLE: pages are counted
if sys.argv[1] == "keep":
    freed_memory.keep_freed()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(2):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
held = resident()
freed_memory._given_at[0] -= 60
freed_memory.give_back()
print(faults, held - resident())
"""


def run(mode: str) -> tuple[int, int]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True)
    faults, returned = map(int, done.stdout.split())
    return faults, returned


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_large_blocks_are_used_again_and_given_back_when_asked() -> None:
    pages = BLOCK_BYTES // 4096
    faults, returned = run("keep")
    assert faults < 3 * pages, "one block's pages, however often it is asked for"
    assert returned > BLOCK_BYTES / 2
    untouched, _ = run("leave")
    assert untouched > 20 * pages, "else nothing is gained"
