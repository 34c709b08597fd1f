"""A server that is told to stop ends in time, whatever its threads wait for."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from pixr.server.settings import load_settings
from pixr.server.state import build_state

STUCK = """
import signal, threading
from concurrent.futures import ThreadPoolExecutor
from pixr.server.stop_signals import on_stop_signal
told = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: None)
on_stop_signal(told.set, 1.0)
ThreadPoolExecutor(1).submit(threading.Event().wait)
print("ready", flush=True)
assert told.wait(60)
print("told", flush=True)
"""


def test_a_process_whose_threads_never_end_is_ended() -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
            assert process.stdout.readline() == "told\n"
            assert process.wait(timeout=20) == -signal.SIGALRM
        finally:
            process.kill()


def test_parts_that_do_not_end_are_not_waited_for(database_url: str, tmp_path: Path) -> None:
    state = build_state(load_settings(data=tmp_path / "data", database=database_url, shutdown_timeout=0.5))
    over = threading.Event()
    state.courier._pool.submit(over.wait)
    state.searches._threads.submit(over.wait)
    begun = time.monotonic()
    try:
        ending = threading.Thread(target=state.close, daemon=True)
        ending.start()
        ending.join(15)
        assert not ending.is_alive()
        assert time.monotonic() - begun < 10
    finally:
        over.set()
