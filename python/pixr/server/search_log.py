"""Records what was searched, found and clicked, for analytics.

Records are written in batches twice a second, so that searches do not wait for them. A process that is killed loses the
last half second. While the database can't be reached, records wait. One that it can't store is dropped, so that it does
not hold up the others. `maintenance.py` deletes records older than an organization's retention.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from anyio import to_thread
from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import DataError, IntegrityError, StatementError

from pixr.server.database import Database, now
from pixr.server.errors import ApiError
from pixr.server.ids import new_id
from pixr.server.models import Organization, SearchAppearance, SearchRecord
from pixr.server.principal import Principal
from pixr.types import Hits

__all__ = ["SearchLog"]

log = logging.getLogger("pixr.server.searches")
_FLUSH_SECONDS = 0.5
# After this time other processes have written the searches that they answered.
_OTHERS_SECONDS = 2 * _FLUSH_SECONDS
_MOST_WAITING = 20_000
_SWEPT_AT_ONCE = 1_000
_TOP_QUERIES = 20


@dataclass(frozen=True)
class _Answered:
    record: dict[str, Any]
    appearances: list[dict[str, Any]]


class SearchLog:
    """The searches of all organizations."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._waiting: list[_Answered] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="pixr-search-log", daemon=True)
        self._thread.start()

    def add(self, who: Principal, query: str | None, hits: Hits, places: Sequence[int]) -> str:
        """Record a page of results, each with its place among all results. Returns the id of the search."""
        id, instant = new_id("srch"), now()
        record = {
            "id": id,
            "organization_id": who.organization,
            "subject": _storable(who.subject),
            "query": None if query is None else _storable(query),
            "total": hits.total,
            "milliseconds": hits.timing.total,
            "created": instant,
        }
        appearances = [
            {
                "search_id": id,
                "video_id": hit.video.id,
                "organization_id": who.organization,
                "position": position,
                "score": hit.score,
                "clicks": 0,
                "created": instant,
            }
            for position, hit in zip(places, hits, strict=True)
        ]
        with self._lock:
            if len(self._waiting) < _MOST_WAITING:
                self._waiting.append(_Answered(record, appearances))
        return id

    async def click(self, organization: str, search: str, video: str) -> None:
        """Count a click on a result.

        Another process may have answered the search and not written it yet, so it is looked up twice.

        Raises:
            ApiError: NOT_FOUND, if no such search of this organization showed this video.
        """
        await to_thread.run_sync(self.flush)
        try:
            await to_thread.run_sync(self._count_click, organization, search, video)
        except ApiError:
            await asyncio.sleep(_OTHERS_SECONDS)
            await to_thread.run_sync(self._count_click, organization, search, video)

    def _count_click(self, organization: str, search: str, video: str) -> None:
        with self._database.write() as session:
            shown = session.get(SearchAppearance, (search, video), with_for_update=True)
            if shown is None or shown.organization_id != organization:
                raise ApiError("NOT_FOUND", "No such search, or it did not show this video.")
            shown.clicks += 1

    def of_video(self, organization: str, video: str, since: datetime) -> dict[str, Any]:
        """How often a video appeared and was clicked, at which place, and for which queries."""
        mine = (
            SearchAppearance.organization_id == organization,
            SearchAppearance.video_id == video,
            SearchAppearance.created >= since,
        )
        with self._database.read() as session:
            count, clicks, position = session.execute(
                select(func.count(), func.sum(SearchAppearance.clicks), func.avg(SearchAppearance.position)).where(
                    *mine
                )
            ).one()
            queries = session.execute(
                select(SearchRecord.query, func.count(), func.sum(SearchAppearance.clicks))
                .join(SearchAppearance, SearchAppearance.search_id == SearchRecord.id)
                .where(*mine, SearchRecord.query.is_not(None))
                .group_by(SearchRecord.query)
                .order_by(func.count().desc(), SearchRecord.query)
                .limit(_TOP_QUERIES)
            ).all()
        return _rates(count, clicks) | {
            "averagePosition": float(position) if position is not None else None,
            "topQueries": [
                {"query": query, "appearances": shown, "clicks": int(clicked or 0)} for query, shown, clicked in queries
            ],
        }

    def by_video(self, organization: str, since: datetime, limit: int) -> dict[str, Any]:
        """How often results were shown and clicked, overall and for the videos that appeared most often."""
        shown = (SearchAppearance.organization_id == organization, SearchAppearance.created >= since)
        counted = (func.count(), func.sum(SearchAppearance.clicks), func.avg(SearchAppearance.position))
        with self._database.read() as session:
            count, clicks, _ = session.execute(select(*counted).where(*shown)).one()
            rows = session.execute(
                select(SearchAppearance.video_id, *counted)
                .where(*shown)
                .group_by(SearchAppearance.video_id)
                .order_by(func.count().desc(), SearchAppearance.video_id)
                .limit(limit)
            ).all()
        return _rates(count, clicks) | {
            "videos": [
                {"videoId": video, **_rates(times, clicked), "averagePosition": float(position)}
                for video, times, clicked, position in rows
            ]
        }

    def of_organization(self, organization: str, since: datetime) -> dict[str, Any]:
        """How many searches there were, for what most often, and for what without results."""
        mine = (SearchRecord.organization_id == organization, SearchRecord.created >= since)
        shown = (SearchAppearance.organization_id == organization, SearchAppearance.created >= since)
        with self._database.read() as session:
            count, milliseconds = session.execute(
                select(func.count(), func.avg(SearchRecord.milliseconds)).where(*mine)
            ).one()
            empty = session.scalar(select(func.count()).where(*mine, SearchRecord.total == 0)) or 0
            clicked = (
                session.scalar(
                    select(func.count(SearchAppearance.search_id.distinct())).where(*shown, SearchAppearance.clicks > 0)
                )
                or 0
            )

            def top(*conditions: Any) -> list[dict[str, Any]]:
                found = session.execute(
                    select(SearchRecord.query, func.count())
                    .where(*mine, SearchRecord.query.is_not(None), *conditions)
                    .group_by(SearchRecord.query)
                    .order_by(func.count().desc(), SearchRecord.query)
                    .limit(_TOP_QUERIES)
                ).all()
                return [{"query": query, "count": times} for query, times in found]

            return {
                "searches": count,
                "searchesWithoutResults": empty,
                "searchesWithClicks": clicked,
                "clickThroughRate": clicked / count if count else 0.0,
                "averageMilliseconds": float(milliseconds) if milliseconds is not None else None,
                "topQueries": top(),
                "queriesWithoutResults": top(SearchRecord.total == 0),
            }

    def sweep(self) -> int:
        """Delete searches older than their organization's retention, and return how many there were.

        A thousand at a time, so that others need not wait long to write.
        """
        with self._database.read() as session:
            kept = session.execute(select(Organization.id, Organization.retention_days)).all()
        return sum(self._sweep(organization, now() - timedelta(days=days)) for organization, days in kept)

    def _sweep(self, organization: str, before: datetime) -> int:
        late = (
            select(SearchRecord.id)
            .where(SearchRecord.organization_id == organization, SearchRecord.created < before)
            .order_by(SearchRecord.created)
            .limit(_SWEPT_AT_ONCE)
        )
        gone, more = 0, True
        while more and not self._ended.is_set():
            with self._database.write() as session:
                found = session.scalars(late).all()
                session.execute(delete(SearchRecord).where(SearchRecord.id.in_(found)))
            gone += len(found)
            more = len(found) == _SWEPT_AT_ONCE
        return gone

    def flush(self) -> None:
        """Write what is waiting. When this returns, what another thread was writing is written too.

        Never raises: what can't be written now goes on waiting, and the log says so.
        """
        try:
            with self._writing:
                self._write()
        except Exception:
            log.warning("searches could not be written and wait", exc_info=True)

    def flush_everywhere(self) -> None:
        """Flush, and wait until other processes have written the searches that they answered before this call."""
        self.flush()
        time.sleep(_OTHERS_SECONDS)

    def forget(self, organization: str, subject: str | None = None) -> None:
        """Drop the waiting records of an organization, or only those of one of its users."""
        with self._lock:
            self._waiting = [
                one
                for one in self._waiting
                if one.record["organization_id"] != organization or subject not in (None, one.record["subject"])
            ]

    def _write(self) -> None:
        with self._lock:
            waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        try:
            try:
                with self._database.write() as session:
                    _insert(session.connection(), waiting)
            except Exception as error:
                if not _is_of_a_row(error):
                    raise
                self._write_each(waiting)
        except Exception:
            with self._lock:
                self._waiting = (waiting + self._waiting)[:_MOST_WAITING]
            raise

    def _write_each(self, waiting: list[_Answered]) -> None:
        """Write a batch record by record, and drop for good those that the database refuses."""
        refused: list[str] = []
        with self._database.write() as session:
            for one in waiting:
                try:
                    with session.begin_nested():
                        _insert(session.connection(), [one])
                except Exception as error:
                    if not _is_of_a_row(error):
                        raise
                    refused.append(type(error).__name__)
        # Their content is not logged, since it holds what users wrote.
        log.warning("%d of %d searches can't be stored and are dropped: %s", len(refused), len(waiting), set(refused))

    def close(self) -> None:
        """Write the rest and stop."""
        self._ended.set()
        self._thread.join()
        self.flush()

    def _keep_writing(self) -> None:
        while not self._ended.wait(_FLUSH_SECONDS):
            self.flush()


def _storable(text: str) -> str:
    """Text that both databases accept: PostgreSQL refuses a NUL."""
    return text.replace("\0", "\ufffd")


def _insert(rows: Connection, answered: list[_Answered]) -> None:
    """Insert without the object mapper, which takes a third longer."""
    rows.execute(insert(SearchRecord), [one.record for one in answered])
    if shown := [row for one in answered for row in one.appearances]:
        rows.execute(insert(SearchAppearance), shown)


def _is_of_a_row(error: Exception) -> bool:
    """Whether a row can never be stored. Other errors, such as a lost connection, may go away."""
    return isinstance(error, DataError | IntegrityError | ValueError | OverflowError) or type(error) is StatementError


def _rates(appearances: int, clicks: Any) -> dict[str, Any]:
    clicked = int(clicks or 0)  # PostgreSQL sums to a decimal, and nothing to null
    rate = clicked / appearances if appearances else 0.0
    return {"appearances": appearances, "clicks": clicked, "clickThroughRate": rate}
