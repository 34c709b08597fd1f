"""Folders that commands are told, above all the LIBRARY that they are about."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["LibraryFolder", "named_folder"]


def named_folder(folder: str) -> Path:
    """A folder with a name: of an empty one `Path` makes the current folder, where a script's variable was not set."""
    if not folder:
        raise typer.BadParameter("the name of a folder is empty")
    return Path(folder)


LibraryFolder = Annotated[Path, typer.Argument(metavar="LIBRARY", help="The library's folder.", parser=named_folder)]
