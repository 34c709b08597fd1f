"""The `pixr` command: one file per command, `app.py` puts them together.

Only the standard library and typer are imported before a command runs; each command imports what it needs inside its
function, which keeps `pixr search` under a second.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command line on `sys.argv` and leave with its exit code: 0, 1 on failure, 2 on misuse, 130 on Ctrl-C."""
    try:
        try:
            import typer  # noqa: F401 - its absence is told in one line
        except ImportError:
            print("pixr: typer is not installed; pip install 'pixr[cli]'", file=sys.stderr)
            sys.exit(1)
        from pixr.cli.app import run

        run()
    except KeyboardInterrupt:  # also while the commands are being imported
        sys.exit(130)
