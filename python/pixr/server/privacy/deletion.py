"""Deletes what is held about a user or an organization, from the files too, and makes a receipt of what was deleted.

After a crash, asking again finds what is left: files are deleted before the rows that say whose they are, rows about a
user's videos before the library forgets whose videos they are, and an organization's keys last.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import delete

from pixr.errors import VideoNotFound
from pixr.inside import engine_of
from pixr.library import Library
from pixr.server.database import Database, now
from pixr.server.events import record
from pixr.server.ids import new_id
from pixr.server.instants import rfc3339
from pixr.server.libraries import Libraries
from pixr.server.models import Organization, PrivacyReceipt, UsageDay
from pixr.server.organizations import find_sandbox
from pixr.server.pictures import PICTURES, pictures_name
from pixr.server.privacy.export import videos_of_user
from pixr.server.privacy.files import files_of_organization, files_of_videos, kind_of_file
from pixr.server.privacy.holdings import of_organization, of_user
from pixr.server.webhooks.inspectors import forget_videos

__all__ = ["delete_organization", "delete_user"]

BACKUPS = "The server makes no backups; those of the operator expire as the operator's own retention says."


def delete_user(database: Database, libraries: Libraries, organization: str, user: str) -> dict[str, Any]:
    """Delete a user's videos and all rows about the user. Returns the receipt."""
    home = libraries.home(organization)
    with libraries.writing(organization) as library:
        videos = videos_of_user(database, library, organization, user)
        files = _unlink(home, files_of_videos(database, home, organization, videos))
        with database.write() as session:
            rows = {"inspector_requests": forget_videos(session, organization, videos)}
            for table, condition in of_user(organization, user, videos):
                rows[table.name] = session.execute(delete(table).where(condition)).rowcount  # type: ignore[attr-defined]
        removed = _from_library(library, videos)
    for name in map(pictures_name, videos):  # from readers that kept a picture before they saw the deletion
        shutil.rmtree(home / PICTURES / name, ignore_errors=True)
    return _receipt(database, organization, "user", rows, removed, files)


def delete_organization(database: Database, libraries: Libraries, organization: str) -> dict[str, Any]:
    """Delete everything of an organization, its keys and sandbox too. Only its id, suspended, and the receipt remain.

    A sandbox that is deleted by itself is as new afterwards, but for what it has used of its quota.
    """
    with database.write() as session:
        sandbox = find_sandbox(session, organization)
        if sandbox is not None:  # before it is emptied, or it might be filled again
            sandbox.suspended = now()
    if sandbox is not None:
        delete_organization(database, libraries, sandbox.id)
    home = libraries.home(organization)
    with libraries.writing(organization) as library:
        files = _unlink(home, files_of_organization(home))
        removed = _from_library(library, engine_of(library).video_ids())
        with database.write() as session:
            rows = {}
            emptied = session.get_one(Organization, organization)
            goes_on = emptied.sandbox and emptied.suspended is None
            for table, condition in of_organization(organization):
                if table.name == UsageDay.__tablename__ and goes_on:
                    continue
                rows[table.name] = session.execute(delete(table).where(condition)).rowcount  # type: ignore[attr-defined]
            emptied.branding = {}
            if emptied.sandbox:
                emptied.sandbox_due = now()
            else:
                emptied.name, emptied.suspended = "deleted", now()
    libraries.forget(organization)
    if libraries.path(organization).is_relative_to(home):
        shutil.rmtree(home, ignore_errors=True)
    return _receipt(database, organization, "organization", rows, removed, files)


def _from_library(library: Library, videos: Sequence[str]) -> dict[str, Any]:
    """Delete videos from the library and its files, and return how much was deleted of each kind."""
    segments, deleted = 0, 0
    for id in videos:
        with suppress(VideoNotFound):  # on its way in
            segments += len(library.segments(id))
            library.delete(id)
            deleted += 1
    compacted = library.compact()
    return {"videos": deleted, "segments": segments, "libraryFiles": len(compacted["removed_files"])}


def _unlink(home: Path, files: Sequence[Path]) -> dict[str, int]:
    gone = {"count": 0, "bytes": 0, "uploads": 0, "pictures": 0, "others": 0}
    for path in files:
        with suppress(FileNotFoundError):  # somebody else was first
            byte_len = path.stat().st_size
            path.unlink()
            gone["bytes"] += byte_len
            for kind in ("count", kind_of_file(home, path)):
                gone[kind] += 1
    for folder in {path.parent for path in files} - {home}:
        with suppress(OSError):  # others are in it
            folder.rmdir()
    return gone


def _receipt(
    database: Database,
    organization: str,
    scope: str,
    rows: dict[str, int],
    library: dict[str, Any],
    files: dict[str, int],
) -> dict[str, Any]:
    instant = now()
    receipt: dict[str, Any] = {
        "receiptId": new_id("rcp"),
        "scope": scope,
        "completed": rfc3339(instant),
        "library": {**library, "includes": "segments, vectors and texts, compacted out of the files"},
        "rows": {name: count for name, count in sorted(rows.items()) if count},
        "files": files,
        "backups": BACKUPS,
    }
    with database.write() as session:
        if (known := session.get(PrivacyReceipt, receipt["receiptId"])) is not None:  # see `ids.repeatable`
            return known.receipt
        session.add(
            PrivacyReceipt(id=receipt["receiptId"], organization_id=organization, created=instant, receipt=receipt)
        )
        data = {"receiptId": receipt["receiptId"], "videos": library["videos"]}
        record(session, organization, "privacy.deleted", data)
    database.forget()
    return receipt
