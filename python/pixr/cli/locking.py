"""The option of every command that writes: how long to wait for another writer."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["LockTimeout"]

LockTimeout = Annotated[
    float,
    typer.Option(min=0, metavar="SECONDS", help="Wait so long for another writer; at once an error if not given."),
]
