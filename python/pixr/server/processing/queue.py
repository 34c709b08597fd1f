"""Decides who processes which video. The queue is the table of videos: those queued, or whose worker's lease ran out.

A lease is renewed every few seconds. A video that several workers died of is given up. A worker that has to stop gives
its video back, and that does not count as an attempt. A lease or pause that ends later than any that is made now was
made before the clock was set back, and does not count. Clocks of several machines may differ by the length of a lease.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import case, func, or_, select
from sqlalchemy.orm import Session

from pixr.server.database import Database, now
from pixr.server.events import record
from pixr.server.models import VideoRecord

__all__ = ["LEASE_SECONDS", "Queue"]

LEASE_SECONDS = 30
_RETRY_SECONDS = (5, 60, 600)


@dataclass(frozen=True)
class Queue:
    """The videos that wait to be processed.

    Organizations of which no video is being processed go first, then those that the worker has not served lately, then
    the oldest video. So one video that is uploaded behind a thousand of somebody else's waits until one worker is free,
    and not for the thousand, even if there is only one worker.
    """

    database: Database
    most_attempts: int

    def claim(self, worker: str, lately: Sequence[str] = ()) -> VideoRecord | None:
        """Take the next video for `worker`, or None if none waits.

        `lately` are the organizations that it has served, the most recent last.
        """
        turns = {organization: number for number, organization in enumerate(lately, start=1)}
        turn = [case(turns, value=VideoRecord.organization_id, else_=0)] if turns else []
        while True:
            with self.database.write() as session:
                instant = now()
                is_held = VideoRecord.lease_expires.between(instant, instant + timedelta(seconds=2 * LEASE_SECONDS))
                longest = timedelta(seconds=max(_RETRY_SECONDS) + LEASE_SECONDS)
                pauses = VideoRecord.not_before.is_not(None) & VideoRecord.not_before.between(
                    instant, instant + longest
                )
                at_work = select(VideoRecord.organization_id).where(VideoRecord.status == "processing", is_held)
                served = session.scalars(at_work.distinct()).all()
                video = session.scalar(
                    select(VideoRecord)
                    .where(
                        or_(
                            (VideoRecord.status == "queued") & ~pauses,
                            (VideoRecord.status == "processing") & ~is_held,
                        )
                    )
                    .order_by(VideoRecord.organization_id.in_(served), *turn, VideoRecord.added, VideoRecord.id)
                    .limit(1)
                    .with_for_update(skip_locked=True)
                )
                if video is None:
                    return None
                if video.attempts >= self.most_attempts:
                    _fail(session, video, "worker_lost", "Its processing ended without a word, several times.")
                    continue
                first = video.attempts == 0 and video.status == "queued"  # not one that was given back
                video.status, video.worker, video.progress = "processing", worker, 0.0
                video.lease_expires = now() + timedelta(seconds=LEASE_SECONDS)
                video.attempts += 1
                if first:
                    record(session, video.organization_id, "video.processing", {"videoId": video.id})
                return video

    def renew(self, id: str, worker: str, progress: float, segment_count: int) -> bool:
        """Renew the lease. False if the work must stop: the video was deleted, cancelled or given to another worker."""
        with self.database.write() as session:
            video = _held(session, id, worker)
            if video is None:
                return False
            video.lease_expires = now() + timedelta(seconds=LEASE_SECONDS)
            video.progress = max(video.progress, progress)
            video.segment_count = max(video.segment_count, segment_count)
            return True

    def held(self, id: str, worker: str) -> VideoRecord | None:
        """The video's record as it is now, if this worker has the video."""
        with self.database.read() as session:
            video = session.get(VideoRecord, id)
            return video if _is_held(video, worker) else None

    def holds(self, id: str, worker: str) -> bool:
        """Whether this worker has the video."""
        return self.held(id, worker) is not None

    def wants(self, id: str) -> bool:
        """Whether the video belongs into its library: it was not deleted, cancelled or given up."""
        with self.database.read() as session:
            video = session.get(VideoRecord, id)
            return video is not None and video.status != "failed"

    def knows(self, id: str) -> bool:
        """Whether the video has a record. It has none once it was deleted."""
        with self.database.read() as session:
            return session.get(VideoRecord, id) is not None

    def give_back(self, id: str, worker: str) -> None:
        """Let another worker take the video at once, as if this one had never taken it."""
        with self.database.write() as session:
            video = _held(session, id, worker)
            if video is not None:
                video.worker, video.lease_expires, video.attempts = None, now(), video.attempts - 1

    def complete(self, id: str, worker: str, facts: dict[str, Any]) -> VideoRecord | None:
        """Record that the video is searchable, with its event. None if this worker no longer has the video."""
        with self.database.write() as session:
            video = _held(session, id, worker)
            if video is None:
                return None
            for name, value in facts.items():
                setattr(video, name, value)
            video.status, video.progress, video.finished = "completed", 1.0, now()
            video.worker = video.lease_expires = video.failure_code = video.failure = None
            record(session, video.organization_id, "video.processed", processed_data(video))
            return video

    def fail(self, id: str, worker: str, code: str, detail: str, *, final: bool) -> None:
        """Record that it failed, for good or to be tried again after a while."""
        with self.database.write() as session:
            video = _held(session, id, worker)
            if video is None:
                return
            if final or video.attempts >= self.most_attempts:
                _fail(session, video, code, detail)
                return
            pause = _RETRY_SECONDS[min(video.attempts, len(_RETRY_SECONDS)) - 1]
            video.status, video.worker, video.lease_expires = "queued", None, None
            video.not_before = now() + timedelta(seconds=pause)
            video.warnings = [*video.warnings, f"attempt {video.attempts}: {detail}"]

    def waiting(self) -> int:
        """How many videos are waiting."""
        with self.database.read() as session:
            return session.scalar(select(func.count()).where(VideoRecord.status == "queued")) or 0


def processed_data(video: VideoRecord) -> dict[str, Any]:
    """The data of the event `video.processed`."""
    side = min(video.width, video.height) if video.width and video.height else None
    return {
        "videoId": video.id,
        "status": video.status,
        "duration": video.duration,
        "resolutions": [f"{side}p"] if side else [],
        "pixInvested": video.pix_investment,
        "segments": {"count": video.segment_count, "analyzed": video.segment_count},
    }


def _held(session: Session, id: str, worker: str) -> VideoRecord | None:
    video = session.get(VideoRecord, id, with_for_update=True)
    return video if _is_held(video, worker) else None


def _is_held(video: VideoRecord | None, worker: str) -> bool:
    return video is not None and video.worker == worker and video.status == "processing"


def _fail(session: Session, video: VideoRecord, code: str, detail: str) -> None:
    video.status, video.failure_code, video.failure = "failed", code, detail
    video.worker, video.lease_expires, video.finished = None, None, now()
    data = {"videoId": video.id, "status": "failed", "code": code.upper(), "detail": detail}
    record(session, video.organization_id, "video.failed", data)
