"""Ctrl-C, wherever it comes in the first second of a command."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.python.cli.process import Run
from tests.python.clips import make_clip

_INTERRUPTED = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run where it is ignored
class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            signal.raise_signal(signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from pixr.cli import main
main()
"""


@pytest.mark.parametrize("module", ["pixr.cli.console", "numpy.linalg"])
def test_an_interrupt_while_something_is_imported_ends_the_command(run: Run, tmp_path: Path, module: str) -> None:
    """It was a traceback, or a search that went on by words only.

    The native part of onnxruntime imports numpy, and said of an interrupt that numpy can't be imported.
    """
    make_clip(tmp_path / "clip.mp4", ["one"])
    assert run("index", "films.pixr", "clip.mp4", "--no-speech", "--no-screen").returncode == 0
    done = subprocess.run(
        [sys.executable, "-c", _INTERRUPTED.replace("MODULE", repr(module)), "search", "films.pixr", "red"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


_NATIVE_PART = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt as interrupt:  # as pybind11 does, in which onnxruntime is written
    raise ImportError("initialization failed") from interrupt
"""


def test_an_interrupt_while_a_native_module_begins_is_not_an_error_of_its_installation(
    run: Run, tmp_path: Path
) -> None:
    """`pixr index` said that onnxruntime can't be loaded: its native part says of Ctrl-C that it failed to begin."""
    make_clip(tmp_path / "clip.mp4", ["one"])
    (tmp_path / "native").mkdir()
    (tmp_path / "native/onnxruntime.py").write_text(_NATIVE_PART)
    done = run("index", "films.pixr", "clip.mp4", "--no-speech", "--no-screen", PYTHONPATH=str(tmp_path / "native"))
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert not (tmp_path / "films.pixr").exists()
