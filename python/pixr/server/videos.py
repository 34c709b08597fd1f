"""An organization's videos: what its library holds, joined with the server's own records of what it processes.

The library has the last word on the videos it holds, even on those that were put into it in another way. A record
stands for a video that is not in the library yet, and says how far its processing is.
"""

from __future__ import annotations

import bisect
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from pixr.errors import InvalidInput, VideoNotFound
from pixr.inside import engine_of
from pixr.library import Library
from pixr.server.database import Database, now
from pixr.server.errors import ApiError, problem_of
from pixr.server.events import record
from pixr.server.ids import new_id
from pixr.server.instants import instant_in_url, rfc3339
from pixr.server.libraries import Libraries
from pixr.server.models import VideoRecord
from pixr.server.pictures import PICTURES, pictures_name
from pixr.server.signing import Signer
from pixr.server.storable import flaws
from pixr.show.thumbnails import local_file
from pixr.types import Creator, Video
from pixr.wire import video_to_dict

__all__ = ["UNDER_WAY", "Videos"]

UNDER_WAY = ("uploading", "queued", "processing")

# Names of a video's fields in the library where they differ from the record's.
_RECORD_NAMES = {"metadata": "details"}

# Made once, since SQLAlchemy takes longer to make a query than SQLite takes to answer it.
_OWN = select(VideoRecord).where(
    VideoRecord.organization_id == bindparam("organization"), VideoRecord.id == bindparam("id")
)


@dataclass(frozen=True)
class Videos:
    """The videos of all organizations. Every call names the organization."""

    database: Database
    libraries: Libraries
    signer: Signer
    base_url: str

    def listing(
        self, organization: str, *, cursor: str | None, limit: int, status: str | None = None
    ) -> dict[str, Any]:
        """A page of videos with the cursor of the next.

        Raises:
            ApiError: INVALID_CURSOR.
        """
        name = f"videos:{organization}:{status}"
        after = self.signer.position(cursor, of=name) if cursor else ""
        videos, last = self.page(organization, after=after, limit=limit, status=status)
        following = self.signer.cursor(last, of=name) if last is not None else None
        return {"videos": videos, "pagination": {"nextCursor": following, "hasMore": following is not None}}

    def page(
        self, organization: str, *, after: str, limit: int, status: str | None = None
    ) -> tuple[list[dict[str, Any]], str | None]:
        """Up to `limit` videos with ids greater than `after`, in order of id; and the last id, if more follow."""
        with self.database.read() as session, self.libraries.reading(organization) as library:
            records = {one.id: one for one in session.scalars(_of(organization))}
            held = set(engine_of(library).video_ids())
            statuses = {id: _status(records.get(id), id in held) for id in held | set(records)}
            ids = sorted(id for id, found in statuses.items() if found is not None and status in (None, found))
            begin = bisect.bisect_right(ids, after)
            chosen = ids[begin : begin + limit]
            shown = [self._illustrated(organization, records.get(id), _held(library, id)) for id in chosen]
            last = chosen[-1] if begin + limit < len(ids) else None
            return [one for one in shown if one is not None], last

    def _illustrated(self, organization: str, known: VideoRecord | None, held: Video | None) -> dict[str, Any] | None:
        shown = _shown(known, held)
        if shown is not None and held is not None and held.source:
            shown["thumbnailUrl"] = self.thumbnail_url(organization, held.id, held.duration / 2)
        return shown

    def get(self, organization: str, id: str) -> dict[str, Any]:
        """One video.

        Raises:
            ApiError: VIDEO_NOT_FOUND.
        """
        with self.database.read() as session, self.libraries.reading(organization) as library:
            known = _own(session, organization, id)
            held = _held(library, id)
            shown = self._illustrated(organization, known, held)
            if shown is None:
                raise _not_found(id)
            if held is not None and (known is None or known.status == "processing"):
                count = _segment_count(library, id)
                shown["segments"] = {"count": count, "analyzed": count}
            return shown

    def chapters(self, organization: str, id: str, *, least_seconds: float | None, most: int) -> list[dict[str, Any]]:
        """A video's chapters.

        Raises:
            ApiError: VIDEO_NOT_FOUND.
        """
        self.get(organization, id)
        with self.libraries.reading(organization) as library:
            return [asdict(one) for one in library.chapters(id, least_seconds=least_seconds, most=most)]

    def outcomes(self, organization: str, updates: Sequence[tuple[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """Change several videos, each by itself, and return the outcome of each."""
        return [
            {
                "videoId": id,
                "status": "failed" if failed else "updated",
                "error": {"code": failed.code, "detail": failed.detail} if failed else None,
            }
            for (id, _), failed in zip(updates, self.update_many(organization, updates), strict=True)
        ]

    def source(self, organization: str, id: str) -> tuple[Path, float]:
        """A video's file and duration.

        Raises:
            ApiError: VIDEO_NOT_FOUND, or CONFLICT if there is no file to show.
        """
        with self.database.read() as session, self.libraries.reading(organization) as library:
            known, held = _own(session, organization, id), _held(library, id)
        if held is None:
            raise _not_found(id)
        file = self.libraries.home(organization) / known.file if known and known.file else local_file(held)
        if file is None or not file.is_file():
            raise ApiError("CONFLICT", "The video's file is not here.")
        return file, held.duration

    def pictures_of(self, organization: str, id: str) -> Path:
        """The directory of a video's pictures."""
        return self.libraries.home(organization) / PICTURES / pictures_name(id)

    def thumbnail_url(self, organization: str, id: str, seconds: float) -> str:
        """The URL of the frame at an instant, good without credentials."""
        token = picture_token(self.signer, organization, id)
        return f"{self.base_url}/v1/videos/{quote(id, safe='')}/thumbnail?t={instant_in_url(seconds)}&token={token}"

    def add_url(self, organization: str, url: str, metadata: Mapping[str, Any]) -> str:
        """Queue a video that is to be fetched; its id."""
        id = new_id("vid")
        with self.database.write() as session:
            if session.get(VideoRecord, id) is None:
                session.add(
                    VideoRecord(id=id, organization_id=organization, status="queued", source_url=url, **metadata)
                )
        return id

    def cancel(self, organization: str, id: str) -> None:
        """Stop the processing of a video; it fails with the code CANCELLED. What of it was searchable is so no more.

        A request that is carried out again after a crash (see `ids.repeatable`) finds that it was done.

        Raises:
            ApiError: VIDEO_NOT_FOUND, CONFLICT if it is not waiting or being processed.
        """
        with self.libraries.writing(organization) as library, self.database.write() as session:
            known, held = _find(session, library, organization, id)
            request = new_id("vrq")
            if known is not None and known.request == request:
                return
            if known is None or known.status not in ("queued", "processing"):
                raise ApiError("CONFLICT", "The video is not being processed.")
            known.request = request
            if held is not None:
                library.delete(id)
            known.status, known.failure_code, known.failure = "failed", "cancelled", "It was cancelled."
            known.worker, known.lease_expires, known.finished = None, None, now()
            data = {"videoId": id, "status": "failed", "code": "CANCELLED", "detail": known.failure}
            record(session, organization, "video.failed", data)

    def retry(self, organization: str, id: str) -> None:
        """Process a video once more that failed. One that is carried out again after a crash finds that it was done.

        Raises:
            ApiError: VIDEO_NOT_FOUND, CONFLICT if it did not fail, or nothing is left to process.
        """
        with self.database.write() as session:
            known, request = _own(session, organization, id), new_id("vrq")
            if known is not None and known.request == request:
                return
            if known is None or known.status != "failed":
                session.rollback()
                self.get(organization, id)
                raise ApiError("CONFLICT", "The video did not fail.")
            file = self.libraries.home(organization) / known.place
            if known.source_url is None and not file.is_file():
                raise ApiError("CONFLICT", "The video's file is not here any more; upload it again.")
            known.request, known.status, known.progress, known.attempts = request, "queued", 0.0, 0
            known.failure_code = known.failure = known.finished = known.not_before = None

    def update(self, organization: str, id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change a video's metadata.

        Raises:
            ApiError: VIDEO_NOT_FOUND; CONFLICT where only the record of a video that was uploaded could keep it.
            InvalidInput: the library can't store it.
        """
        (outcome,) = self.update_many(organization, [(id, changes)])
        if outcome is not None:
            raise outcome
        return self.get(organization, id)

    def update_many(self, organization: str, updates: Sequence[tuple[str, Mapping[str, Any]]]) -> list[ApiError | None]:
        """Change several videos, each by itself. The result has an error for each that could not be changed."""
        outcomes: list[ApiError | None] = []
        with self.libraries.writing(organization) as library:
            for id, changes in updates:
                try:
                    self._update(organization, library, id, changes)
                    outcomes.append(None)
                except (ApiError, InvalidInput) as error:
                    outcomes.append(problem_of(error))
        return outcomes

    def _update(self, organization: str, library: Library, id: str, changes: Mapping[str, Any]) -> None:
        for path, why in flaws(changes):
            raise ApiError("INVALID_VIDEO", f"{'.'.join(map(str, path))}: {why}")
        with self.database.write() as session:
            known, held = _find(session, library, organization, id)
            if known is None and "pix_investment" in changes:
                raise ApiError("CONFLICT", "pixInvestment is kept of videos that were given to the server alone.")
            if known is not None:
                for name, value in changes.items():
                    setattr(known, _RECORD_NAMES.get(name, name), value)
            if held is not None and (wanted := library_changes(changes)):
                library.update(id, **wanted)

    def delete(self, organization: str, id: str) -> None:
        """Delete a video, its file and its pictures. Results lose it at once, the library's files with `compact`.

        Raises:
            ApiError: VIDEO_NOT_FOUND.
        """
        with self.libraries.writing(organization) as library, self.database.write() as session:
            known, held = _find(session, library, organization, id)
            if held is not None:
                library.delete(id)
            shutil.rmtree(self.pictures_of(organization, id), ignore_errors=True)
            if known is not None:  # the record goes last: it says which file it is
                (self.libraries.home(organization) / known.place).unlink(missing_ok=True)
                session.delete(known)
            record(session, organization, "video.deleted", {"videoId": id})
        # By now every reader sees the deletion. One that did not yet may have kept a picture in the meantime.
        shutil.rmtree(self.pictures_of(organization, id), ignore_errors=True)


def picture_token(signer: Signer, organization: str, id: str) -> str:
    """The token that opens the pictures of one video. It never changes, so that caches keep them."""
    return signer.lasting_token([organization, id], purpose="picture")


def library_changes(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Changes in the form of `Library.update`, without those that the library does not keep."""
    wanted = {name: value for name, value in changes.items() if name != "pix_investment"}
    if "tags" in wanted:
        wanted["tags"] = tuple(wanted["tags"])
    if wanted.get("creator") is not None:
        wanted["creator"] = Creator(**wanted["creator"])
    return wanted


def _of(organization: str) -> Any:
    return select(VideoRecord).where(VideoRecord.organization_id == organization)


def _own(session: Session, organization: str, id: str) -> VideoRecord | None:
    if "\0" in id:  # PostgreSQL refuses text with a NUL
        return None
    found: VideoRecord | None = session.scalar(_OWN, {"organization": organization, "id": id})
    return found


def _held(library: Library, id: str) -> Video | None:
    try:
        return library.video(id)
    except (VideoNotFound, InvalidInput):  # nor has any video an id that is invalid
        return None


def _find(session: Session, library: Library, organization: str, id: str) -> tuple[VideoRecord | None, Video | None]:
    """A video's record and the video in the library, each if there is one.

    Raises:
        ApiError: VIDEO_NOT_FOUND, if there is neither.
    """
    known, held = _own(session, organization, id), _held(library, id)
    if known is None and held is None:
        raise _not_found(id)
    return known, held


def _not_found(id: str) -> ApiError:
    return ApiError("VIDEO_NOT_FOUND", f"No video {id!r}.")


def _segment_count(library: Library, id: str) -> int:
    """How many segments a video has, without building them as objects."""
    starts = pa.record_batch(engine_of(library).segments([id])).column("start")
    return len(starts) - int(starts.null_count)


def _status(known: VideoRecord | None, held: bool) -> str | None:
    if known is None:
        return "completed" if held else None
    return None if known.status == "completed" and not held else known.status


def _shown(known: VideoRecord | None, held: Video | None) -> dict[str, Any] | None:
    """A video's JSON; None if it was processed and is no longer in the library."""
    status = _status(known, held is not None)
    if status is None:
        return None
    video = held or _recorded(known)
    shown = video_to_dict(video)
    del shown["source"]  # a path on the server
    return shown | {
        "status": status,
        "progress": 1.0 if known is None else known.progress,
        "failure": None
        if known is None or known.failure_code is None
        else {"code": known.failure_code.upper(), "detail": known.failure},
        "duration": video.duration or (known.duration if known else None),
        "resolutions": [f"{min(known.width, known.height)}p"] if known and known.width and known.height else [],
        "pixInvestment": known.pix_investment if known else 0,
        "segments": None if known is None else _segments(known),
        "thumbnailUrl": None,
        "added": rfc3339(known.added) if known else None,
        "warnings": known.warnings if known else [],
    }


def _segments(known: VideoRecord) -> dict[str, int]:
    return {"count": known.segment_count, "analyzed": known.segment_count}


def _recorded(known: VideoRecord | None) -> Video:
    assert known is not None
    return Video(
        id=known.id,
        title=known.title,
        description=known.description,
        tags=tuple(known.tags),
        duration=known.duration or 0.0,
        created=known.created,
        quality=known.quality,
        creator=Creator(**known.creator) if known.creator else None,
        metadata=known.details,
    )
