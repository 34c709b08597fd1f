"""What the commands write: JSON, plain lines, tables on a terminal, and the one line of an error.

Standard output carries results, standard error carries progress and complaints. Colour and bars appear only on a
terminal, and not where `NO_COLOR` is set.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, TextIO

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


# The columns between two cells of a table, and beside them all.
_GAP, _EDGES = 3, 2
# How long words may be that a table leaves whole if it can, ids at best; on a narrow terminal it is a table only then.
_WHOLE, _WIDE = (24, 16, 8), 60


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
    """A table on a terminal, or each row by itself if that is too narrow; tab-separated lines with a heading in a pipe.

    `right` names columns to align right; `readable` asks for a table, or for lines, whatever the output is.
    """
    if not (is_terminal() if readable is None else readable):
        print("\t".join(columns))
        for row in rows:
            print("\t".join(one_line(cell) for cell in row))
        return
    shown = [[one_line(cell) for cell in row] for row in rows]
    place = console(width=None if is_terminal() else 120)
    widths = _column_widths([columns, *shown], place.width)
    if widths is None:
        _print_rows(place, columns, shown)
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column, width in zip(columns, widths, strict=True):
        justify: Literal["left", "right"] = "right" if column in right else "left"
        table.add_column(column, justify=justify, width=width, overflow="fold")
    for row in shown:
        table.add_row(*map(Text, row))
    place.print(table)


def _column_widths(lines: Sequence[Sequence[str]], width: int) -> list[int] | None:
    """How wide the columns of a table of `width` are, so that as few words are broken as can be.

    None where shorter words than those of `_WHOLE` would be: from `_WIDE` on the last of them, below the first. What is
    left goes to the columns that need it most.
    """
    from rich.cells import cell_len

    columns = list(zip(*lines, strict=True))
    wanted = [max(map(cell_len, column)) for column in columns]
    longest = [max(cell_len(word) for cell in column for word in cell.split(" ")) for column in columns]
    room = min(sum(wanted), width - _EDGES - _GAP * (len(columns) - 1))
    for whole in _WHOLE if width >= _WIDE else _WHOLE[:1]:
        given = [min(length, whole) for length in longest]
        if sum(given) <= room:
            for _ in range(room - sum(given)):
                given[max(range(len(given)), key=lambda at: wanted[at] / max(given[at], 1))] += 1
            return given
    return None


def _print_rows(place: Console, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Each row by itself, a line for each of its cells that is not empty."""
    from rich.table import Table
    from rich.text import Text

    for row in rows:
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column()
        table.add_column(overflow="fold")
        for column, cell in zip(columns, row, strict=True):
            if cell:
                table.add_row(Text(column, style="bold"), Text(cell))
        place.print(table)
        place.print()


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
