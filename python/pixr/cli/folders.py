"""Arguments that name folders, above all the LIBRARY."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["LibraryFolder", "named_folder"]


def named_folder(folder: str) -> Path:
    """The folder of this name. `Path` would take an empty name, as of an unset variable, for the current folder."""
    if not folder:
        raise typer.BadParameter("the name of a folder is empty")
    return Path(folder)


LibraryFolder = Annotated[Path, typer.Argument(metavar="LIBRARY", help="The library's folder.", parser=named_folder)]
