"""An organization's files beside its library: uploads and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from pixr.server.among import among
from pixr.server.database import Database
from pixr.server.models import UPLOADS, VideoRecord
from pixr.server.pictures import PICTURES, pictures_name

__all__ = ["files_of_organization", "files_of_videos", "kind_of_file"]


def files_of_organization(home: Path) -> list[Path]:
    """All files in the organization's directory but the library's own."""
    found = sorted(home.rglob("*")) if home.is_dir() else []
    return [path for path in found if path.is_file() and path.relative_to(home).parts[0] != "library.pixr"]


def files_of_videos(database: Database, home: Path, organization: str, videos: Sequence[str]) -> list[Path]:
    """The uploads of some videos, their pictures, and what is named for one of them."""
    query = select(VideoRecord.file).where(VideoRecord.organization_id == organization, among(VideoRecord.id, videos))
    with database.read() as session:
        uploads = {home / file for file in session.scalars(query) if file}
    wanted = {*videos, *map(pictures_name, videos)}
    return [
        path
        for path in files_of_organization(home)
        if path in uploads or any(part.partition(".")[0] in wanted for part in path.relative_to(home).parts)
    ]


def kind_of_file(home: Path, path: Path) -> str:
    """What a receipt calls a file: "pictures", "uploads" or "others"."""
    first = path.relative_to(home).parts[0]
    return first if first in (PICTURES, UPLOADS) else "others"
