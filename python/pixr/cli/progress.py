"""Progress bars of `pixr index`: one for each video under way and one for all. In a pipe there is nothing at all."""

from __future__ import annotations

import os
import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from pixr.cli.console import console, is_terminal, one_line

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = ["IndexProgress", "Step"]


class Step(Protocol):
    """What the library reports while it works (`pixr.ingest.Progress`)."""

    @property
    def video(self) -> str:
        """The source's name."""

    @property
    def stage(self) -> str:
        """What is being done: decode, visual, speech, screen, store."""

    @property
    def seconds_done(self) -> float:
        """How many seconds of the video this stage has done."""

    @property
    def seconds_total(self) -> float:
        """Seconds of the video."""

    @property
    def finished(self) -> bool:
        """Whether this stage is done."""


class IndexProgress:
    """Bars on standard error while videos are indexed. Use as a context manager.

    A video's bar stands for all of its stages: they overlap, so it shows the mean of how far each has come.
    """

    def __init__(self, total: int, stages: tuple[str, ...]) -> None:
        """`total` videos to index, each through `stages`."""
        self._total = total
        self._stages = stages
        self._shares: dict[str, dict[str, float]] = {}
        self._tasks: dict[str, TaskID] = {}
        self._bars: Bars | None = _bars() if is_terminal(sys.stderr) and total else None
        self._overall: TaskID | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> IndexProgress:
        if self._bars is not None:
            self._bars.start()
            self._overall = self._bars.add_task("all", total=self._total, note="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def step(self, step: Step) -> None:
        """Show how far a video has come. Cheap enough to be called for every frame, from any thread."""
        if self._bars is None or not step.video:
            return
        with self._lock:
            shares = self._shares.setdefault(step.video, dict.fromkeys(self._stages, 0.0))
            share = step.seconds_done / step.seconds_total if step.seconds_total > 0 else 0.0
            shares[step.stage] = 1.0 if step.finished else min(max(share, shares.get(step.stage, 0.0)), 1.0)
            task = self._tasks.get(step.video)
            if task is None:
                task = self._bars.add_task(_name(step.video), total=1.0, note="")
                self._tasks[step.video] = task
            slowest = min(shares, key=lambda stage: shares[stage])
            self._bars.update(task, completed=sum(shares.values()) / len(shares), note=slowest)

    def note(self, source: str, text: str) -> None:
        """Show a note beside a source that is not being indexed yet, such as how much of it was fetched."""
        if self._bars is None:
            return
        task = self._tasks.get(source)
        if task is None:
            self._tasks[source] = self._bars.add_task(_name(source), total=None, note=text)
        else:
            self._bars.update(task, note=text)

    def done(self, *names: str) -> None:
        """Count a source as done, whatever its outcome, and remove the bars under each of its names."""
        if self._bars is None or self._overall is None:
            return
        for name in {*names, *(os.path.basename(name) for name in names)}:
            self._shares.pop(name, None)
            task = self._tasks.pop(name, None)
            if task is not None:
                self._bars.remove_task(task)
        self._bars.advance(self._overall)

    def print(self, line: str) -> None:
        """A line above the bars on a terminal; a plain line on standard error in a pipe."""
        if self._bars is None:
            print(f"pixr: {one_line(line)}", file=sys.stderr, flush=True)
        else:
            from rich.text import Text

            self._bars.console.print(Text(one_line(line)))


def _name(source: str) -> str:
    name = one_line(os.path.basename(source.rstrip("/")) or source)
    return name if len(name) <= 32 else f"{name[:15]}…{name[-16:]}"


def _bars() -> Bars:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TaskProgressColumn,
        TextColumn,
        TimeElapsedColumn,
    )
    from rich.text import Text

    class Done(ProgressColumn):
        """Videos for the overall bar, percent for a single one."""

        def __init__(self) -> None:
            super().__init__()
            self._count, self._percent = MofNCompleteColumn(), TaskProgressColumn()

        def render(self, task: Task) -> Text:
            return self._count.render(task) if task.description == "all" else self._percent.render(task)

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        Done(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
        console=console(sys.stderr),
        transient=True,
    )
