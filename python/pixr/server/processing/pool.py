"""Keeps worker processes running: starts them, replaces those that died, and stops them with the server."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
import time

__all__ = ["WorkerPool"]

log = logging.getLogger("pixr.server.pool")
_PAUSES = (0.5, 2.0, 10.0, 60.0)
_STEADY_SECONDS = 60.0


class WorkerPool:
    """Runs `count` processes, whose settings are in this process's environment."""

    def __init__(self, count: int) -> None:
        self._stopping = threading.Event()
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._threads = [
            threading.Thread(target=self._keep, args=(number,), name=f"pixr-pool-{number}", daemon=True)
            for number in range(count)
        ]

    def start(self) -> None:
        """Start all processes."""
        for thread in self._threads:
            thread.start()

    def stop(self, seconds: float) -> None:
        """Ask all processes to end, and kill those left after `seconds`. Their videos are claimed again later."""
        self._stopping.set()
        for process in list(self._processes.values()):
            process.terminate()
        deadline = time.monotonic() + seconds
        for process in list(self._processes.values()):
            try:
                process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _keep(self, number: int) -> None:
        failures = 0
        while not self._stopping.is_set():
            begun = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "pixr.server.processing.worker", str(os.getpid())], stdin=subprocess.DEVNULL
            )
            self._processes[number] = process
            if self._stopping.is_set():
                process.terminate()
            code = process.wait()
            _forget(process.pid)
            if self._stopping.is_set():
                return
            failures = 0 if time.monotonic() - begun > _STEADY_SECONDS else failures + 1
            pause = _PAUSES[min(failures, len(_PAUSES) - 1)]
            log.warning("a worker ended", extra={"exit_code": code, "next_in_seconds": pause})
            self._stopping.wait(pause)


def _forget(pid: int) -> None:
    """Remove the gauges of a process that ended from the metrics, but keep its counters."""
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        from prometheus_client import multiprocess

        multiprocess.mark_process_dead(pid)  # type: ignore[no-untyped-call]
