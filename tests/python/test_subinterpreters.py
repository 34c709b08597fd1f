"""A second interpreter in one process, as mod_wsgi makes them: refused by name, before anything can wait for ever."""

from __future__ import annotations

import subprocess
import sys

import pytest

PROGRAM = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
if "first" in sys.argv:
    import pixr
other = interpreters.create()
told = '''
import sys
sys.path[:] = {path!r}
try:
    import pixr
except ImportError as error:
    print(error, flush=True)
else:
    print("imported", flush=True)
'''
interpreters.run_string(other, told.format(path=sys.path))
interpreters.destroy(other)
import pixr
print(pixr.__version__)
"""


@pytest.mark.parametrize("order", ["first", "second"])
def test_a_subinterpreter_is_refused(order: str) -> None:
    """It got answers of the main interpreter's classes, which were no `pixr.Hit` of its own, or none for ever."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, order], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    told, version = done.stdout.splitlines()
    assert told.startswith("pixr runs in a process's main interpreter only")
    assert version == "0.1.0"
