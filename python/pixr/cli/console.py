"""What the commands write: JSON, plain lines, tables on a terminal, and the one line of an error.

Standard output carries results, standard error carries progress and complaints. Colour and bars appear only on a
terminal, and not where `NO_COLOR` is set.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from pixr.errors import PixrError
from pixr.wire import error_to_dict, json_text

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "complain",
    "console",
    "fail",
    "is_terminal",
    "one_line",
    "print_fields",
    "print_json",
    "print_table",
    "with_code",
]


# What to do about an error that a wrong argument often has, by its code.
_ADVICE = {
    "library_not_found": "is its path right? `pixr index` makes a new one",
    "library_locked": "--lock-timeout SECONDS waits for the other",
    "video_not_found": "`pixr info LIBRARY --videos` lists the ids",
    "snapshot_not_found": "`pixr snapshot list LIBRARY` lists them",
}


def is_terminal(stream: TextIO | None = None) -> bool:
    """Whether a person is watching the stream (standard output by default)."""
    return (stream or sys.stdout).isatty()


def console(stream: TextIO | None = None, width: int | None = None) -> Console:
    """A rich console for the stream, of its own width or of `width` columns. Rich obeys `NO_COLOR` by itself."""
    from rich.console import Console

    return Console(file=stream or sys.stdout, width=width, highlight=False)


def print_json(value: Any) -> None:
    """One JSON document: indented for a person, one line for a pipe."""
    print(json_text(value, indent=2 if is_terminal() else None, encoding=sys.stdout.encoding or "utf-8"))


def complain(message: str) -> None:
    """A line on standard error."""
    print(f"pixr: {one_line(message)}", file=sys.stderr, flush=True)


def fail(error: BaseException | str, *, exit_code: int = 1) -> NoReturn:
    """Say in one line what went wrong, with its stable code, and leave."""
    if isinstance(error, (PixrError, OSError)):
        complain(f"error: {with_code(error)}")
    elif isinstance(error, str):
        complain(f"error: {error}")
    else:
        complain(f"error: {type(error).__name__}: {error} (a bug; --debug shows where)")
    sys.exit(exit_code)


def with_code(error: BaseException) -> str:
    """What went wrong, what to do about it where that is known, and the stable code in brackets."""
    told = error_to_dict(error)
    advice = _ADVICE.get(told["code"])
    return f"{told['detail']}; {advice} [{told['code']}]" if advice else f"{told['detail']} [{told['code']}]"


def one_line(text: str) -> str:
    """The text with line breaks and control characters as spaces, so that no file name can forge output."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def print_table(
    columns: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[str] = (), readable: bool | None = None
) -> None:
    """A table on a terminal; tab-separated lines with a heading in a pipe.

    `right` names columns to align right; `readable` asks for a table, or for lines, whatever the output is.
    """
    if not (is_terminal() if readable is None else readable):
        print("\t".join(columns))
        for row in rows:
            print("\t".join(one_line(cell) for cell in row))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(one_line(cell)) for cell in row))
    console(width=None if is_terminal() else 120).print(table)


def print_fields(value: Any, *, indent: int = 0) -> None:
    """Nested names and values, a line each."""
    pad = "  " * indent
    for key, item in value.items():
        name = one_line(key)
        if isinstance(item, dict) and item:
            print(f"{pad}{name}:")
            print_fields(item, indent=indent + 1)
        elif isinstance(item, list) and item and all(isinstance(entry, dict) for entry in item):
            print(f"{pad}{name}:")
            for entry in item:
                print(f"{pad}  - " + ", ".join(f"{one_line(field)} {_shown(part)}" for field, part in entry.items()))
        else:
            print(f"{pad}{name}: {_shown(item)}")


def _shown(value: Any) -> str:
    if value is None or value in ([], {}, ()):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}" if abs(value) >= 10_000 else str(value)
    if isinstance(value, float):
        return f"{value:,.3f}".rstrip("0").rstrip(".")
    if isinstance(value, (list, tuple)):
        return ", ".join(_shown(item) for item in value)
    return one_line(str(value))
