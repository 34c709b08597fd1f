"""Shows a progress bar for each file that is fetched, and nothing at all in a pipe."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from pixr.cli.console import is_terminal

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["PullProgress"]


class PullProgress:
    """Bars on standard error, one a file. Use as a context manager."""

    def __init__(self, model: str) -> None:
        """`model` is shown before each file's name."""
        self._model = model
        self._tasks: dict[str, TaskID] = {}
        self._bars: Progress | None = None
        if is_terminal(sys.stderr):
            from rich.console import Console
            from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

            columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
            self._bars = Progress(*columns, console=Console(stderr=True))

    def __enter__(self) -> PullProgress:
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def bytes(self, path: str, received: int, total: int | None) -> None:
        """Show how much of a file has arrived."""
        if self._bars is None:
            return
        if path not in self._tasks:
            self._tasks[path] = self._bars.add_task(f"{self._model}: {path}", total=total)
        self._bars.update(self._tasks[path], completed=received, total=total)
