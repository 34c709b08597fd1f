"""The command as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

COMMAND = [sys.executable, "-c", "from pixr.cli import main; main()"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@dataclass(frozen=True)
class Screen:
    """What a command left on a terminal."""

    returncode: int
    text: str
