"""The `pixr` command: one file per command, `app.py` puts them together.

Only the standard library and typer are imported before a command runs; each command imports what it needs inside its
function, which keeps `pixr search` under a second.
"""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the command line on `sys.argv` and leave with its exit code: 0, 1 on failure, 2 on misuse."""
    from pixr.cli.app import run

    run()
