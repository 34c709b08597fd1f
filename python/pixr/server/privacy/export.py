"""Exports everything that is held about an organization or a user as a ZIP file.

database/TABLE.jsonl   a JSON object a row, without secrets
library/videos.jsonl   the videos as the API shows them
library/library.parquet   segments with vectors and texts; `pixr import` reads it back (organization only)
library/segments.jsonl segments of the user's videos (user only)
files/…                uploads, thumbnails
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import zipfile
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import IO, Any

from sqlalchemy import select

from pixr.encoder_choice import Choice, recall
from pixr.errors import VideoNotFound
from pixr.inside import engine_of
from pixr.library import Library
from pixr.parquet import export
from pixr.scratch import scratch_folder
from pixr.server.database import Database
from pixr.server.disk_room import check_room, refusing_full_disk
from pixr.server.instants import rfc3339
from pixr.server.libraries import Libraries
from pixr.server.models import VideoRecord
from pixr.server.privacy.files import files_of_organization, files_of_videos
from pixr.server.privacy.holdings import SECRET_COLUMNS, kept_of_organization, of_organization, of_user
from pixr.types import Segment
from pixr.wire import video_to_dict

__all__ = ["videos_of_user", "write_export"]


@refusing_full_disk()
def write_export(database: Database, libraries: Libraries, organization: str, *, user: str | None = None) -> IO[bytes]:
    """Write the file and return it, open at its beginning. It is deleted when it is closed.

    Raises:
        ApiError: INSUFFICIENT_STORAGE; what was written of it is gone.
    """
    made = tempfile.TemporaryFile(prefix="pixr-export-")  # noqa: SIM115 - whoever gets it closes it
    try:
        _write(made, database, libraries, organization, user)
        made.seek(0)
    except BaseException:
        made.close()
        raise
    return made


def _write(made: IO[bytes], database: Database, libraries: Libraries, organization: str, user: str | None) -> None:
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive, libraries.reading(organization) as library:
        videos = videos_of_user(database, library, organization, user) if user is not None else None
        _write_rows(archive, database, organization, user, videos)
        _write_library(archive, library, videos)
        home = libraries.home(organization)
        files = files_of_organization(home) if videos is None else files_of_videos(database, home, organization, videos)
        check_room(Path(tempfile.gettempdir()), sum(map(_byte_len, files)))
        for path in files:
            with suppress(FileNotFoundError):  # deleted meanwhile
                archive.write(path, f"files/{path.relative_to(home)}")


def _byte_len(path: Path) -> int:
    with suppress(FileNotFoundError):  # deleted meanwhile
        return path.stat().st_size
    return 0


def videos_of_user(database: Database, library: Library, organization: str, user: str) -> list[str]:
    """The ids of videos that the user created, in the library or on their way into it."""
    found = {video.id for video in library.videos() if video.creator is not None and video.creator.id == user}
    with database.read() as session:
        for known in session.scalars(select(VideoRecord).where(VideoRecord.organization_id == organization)):
            if known.creator is not None and known.creator.get("id") == user:
                found.add(known.id)
    return sorted(found)


def _write_rows(
    archive: zipfile.ZipFile, database: Database, organization: str, user: str | None, videos: list[str] | None
) -> None:
    whole = (*of_organization(organization), *kept_of_organization(organization))
    holdings = whole if user is None else of_user(organization, user, videos or [])
    with database.read() as session:
        for table, condition in holdings:
            shown = [column for column in table.columns if column.name not in SECRET_COLUMNS]
            rows = session.execute(select(*shown).where(condition)).mappings()
            lines = [json.dumps(dict(row), default=_plain, ensure_ascii=False) for row in rows]
            if lines:
                archive.writestr(f"database/{table.name}.jsonl", "\n".join(lines) + "\n")


def _write_library(archive: zipfile.ZipFile, library: Library, videos: list[str] | None) -> None:
    ids = engine_of(library).video_ids() if videos is None else videos
    lines, segments = [], []
    for id in ids:
        with suppress(VideoNotFound):  # on its way in, or deleted meanwhile
            shown = video_to_dict(library.video(id))
            shown.pop("source", None)
            lines.append(json.dumps(shown, ensure_ascii=False))
            if videos is not None:
                segments += [
                    json.dumps({"videoId": id, **_segment(one)}, ensure_ascii=False) for one in library.segments(id)
                ]
    archive.writestr("library/videos.jsonl", "".join(f"{line}\n" for line in lines))
    if videos is not None:
        archive.writestr("library/segments.jsonl", "".join(f"{line}\n" for line in segments))
        return
    with scratch_folder(Path(tempfile.gettempdir()), "pixr-export-") as folder:
        parquet = folder / "library.parquet"
        export(engine_of(library), parquet, _named(recall(library.path)))
        archive.write(parquet, "library/library.parquet")


def _named(choice: Choice | None) -> Choice | None:
    """The encoders' names, unless one is a folder: where the server keeps its models is not for others to see."""
    return None if choice is None or any(os.path.isabs(name) for name in choice.names) else choice


def _segment(segment: Segment) -> dict[str, Any]:
    return {
        "start": segment.start,
        "end": segment.end,
        "channels": list(segment.channels),
        "texts": dict(segment.texts),
    }


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return str(value)
