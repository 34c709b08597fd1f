"""Puts the commands together, and turns every error into one line and an exit code."""

from __future__ import annotations

import os
import sys
import warnings
from functools import cache
from io import TextIOWrapper
from typing import Annotated, NoReturn

import typer

from pixr.cli import (
    admin,
    backup,
    chapters,
    check,
    compact,
    delete,
    evaluate,
    export,
    index,
    info,
    load,
    models,
    reindex,
    repair,
    restore,
    search,
    serve,
    snapshot,
    transcript,
    update,
)
from pixr.cli.console import complain, fail

__all__ = ["app", "run"]

EPILOG = """\b
Examples:
  pixr index films.pixr holiday/ roof.mp4 --tag diy
  pixr search films.pixr "installing solar panels on a roof"
  pixr search films.pixr --image tile.jpg --modes visual --sheet found.png
  pixr info films.pixr --json
"""

app = typer.Typer(
    name="pixr",
    help="Search inside videos: in words, or with a picture; get back the moments, and why they matched.",
    epilog=EPILOG,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"pixr {version('pixr')}")
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error (any place on the line).")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Options before the command. `--debug` is read in `run`, so that it also works after the command."""


for _command in (index, search, transcript, chapters, info, check, compact, reindex, backup, restore, repair):
    _command.register(app)
for _command in (export, load, update, delete, evaluate, serve):
    _command.register(app)
app.add_typer(snapshot.app, name="snapshot")
app.add_typer(models.app, name="models")
app.add_typer(admin.app, name="admin")


def run() -> NoReturn:
    """Run on `sys.argv`. Never returns, and never shows a traceback without `--debug`."""
    debug = _take_debug(sys.argv)
    _open_closed()
    _write_anything()
    complain_once = cache(complain)
    # Users of the command have no use for the place in the source where a warning was raised.
    warnings.showwarning = lambda message, *_, **__: complain_once(str(message))
    try:
        app(prog_name="pixr")
    except SystemExit as leaving:
        _flush()
        raise leaving
    except Exception as error:
        if debug:
            raise
        fail(error)
    sys.exit(0)


def _open_closed() -> None:
    """Open closed streams (`>&-`) to nowhere. Otherwise the next file that is opened would get what is printed."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - it lasts as long as this


def _write_anything() -> None:
    """Print letters that the terminal's encoding lacks (`LANG=de_DE.ISO-8859-1`) as escapes, as for errors already."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _take_debug(argv: list[str]) -> bool:
    """Remove `--debug` from the arguments before `--`, and say whether it was there."""
    end = argv.index("--") if "--" in argv else len(argv)
    found = "--debug" in argv[:end]
    argv[:end] = [argument for argument in argv[:end] if argument != "--debug"]
    return found


def _flush() -> None:
    """Write what is left, and stay silent if the reader has gone (`pixr search … | head`)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
