"""Counts the calls of each organization by day, and enforces its plan's monthly quota.

Each process adds up its own counts in memory and writes them every second, so a process that is killed loses at most
one second's. The quota is looked up at the same pace, so an organization may exceed it by the calls of one second.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from pixr.server.database import Database, now
from pixr.server.errors import ApiError
from pixr.server.events import record
from pixr.server.ids import repeatable
from pixr.server.models import Organization, UsageDay
from pixr.server.principal import Principal
from pixr.server.settings import Settings

__all__ = ["Usage", "calls_between"]

log = logging.getLogger("pixr.server.usage")
_FLUSH_SECONDS = 1.0
_PERCENTS = (80, 100)


class Usage:
    """The calls of all organizations."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._pending: Counter[tuple[str, str]] = Counter()
        self._used: dict[str, tuple[int, int, str]] = {}  # this month, ever, which month
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_writing, name="pixr-usage", daemon=True)
        self._thread.start()

    def count(self, who: Principal, kind: str = "calls") -> ApiError | None:
        """Count a call, or return the refusal if the month's quota is used up. A refused call is not counted."""
        plan = self._settings.plan(who.plan)
        with self._lock:
            month = f"{now():%Y-%m}"
            used, ever, of_month = self._used.get(who.organization, (-1, 0, month))
            limit = self._limit(who.plan, used, ever)
            waiting = self._pending[who.organization, kind]
            if limit is not None and used >= 0 and of_month == month and used + waiting >= limit:
                return ApiError("QUOTA_EXCEEDED", f"The plan {who.plan!r} has {plan.monthly_calls} calls a month.")
            self._pending[who.organization, kind] += 1
        return None

    def flush(self) -> None:
        """Write what was counted. When this returns, what another thread was writing is written too."""
        with self._writing:
            self._write()

    def _write(self) -> None:
        with self._lock:
            pending, self._pending = self._pending, Counter()
        if not pending:
            return
        try:
            with self._database.write() as session:
                for (organization, kind), count in sorted(pending.items()):
                    _add(session, organization, kind, count)
                totals = {organization: _totals(session, organization) for organization, _ in pending}
                for (organization, kind), count in sorted(pending.items()):
                    if kind == "calls":
                        self._record_thresholds(session, organization, count, *totals[organization])
        except Exception:
            with self._lock:
                self._pending.update(pending)
            raise
        month = f"{now():%Y-%m}"
        with self._lock:
            self._used |= {organization: (*total, month) for organization, total in totals.items()}

    def month(self, who: Principal) -> dict[str, Any]:
        """The month's calls by day, and the plan's limit. Calls that are not written yet are not included."""
        today = _today()
        first = today.replace(day=1)
        with self._database.read() as session:
            used, ever = _totals(session, who.organization)
        limit = self._limit(who.plan, used, ever)
        return {
            "plan": who.plan,
            "month": f"{first:%Y-%m}",
            "calls": used,
            "limit": limit,
            "remaining": None if limit is None else max(0, limit - used),
            "resets": f"{(first + timedelta(days=32)).replace(day=1):%Y-%m-%d}T00:00:00.000Z",
            "days": self.by_day(who.organization, first),
        }

    def by_day(self, organization: str, first: date) -> list[dict[str, Any]]:
        """The calls of each day from `first` on; days without any are left out."""
        with self._database.read() as session:
            days = session.execute(
                select(UsageDay.day, UsageDay.count)
                .where(UsageDay.organization_id == organization, UsageDay.kind == "calls", UsageDay.day >= first)
                .order_by(UsageDay.day)
            ).all()
        return [{"day": day.isoformat(), "calls": count} for day, count in days]

    def _limit(self, plan: str, used: int, ever: int) -> int | None:
        """How many calls are allowed this month: the plan's, and what is left of the free calls that come first."""
        monthly = self._settings.plan(plan).monthly_calls
        return None if monthly is None else monthly + max(0, self._settings.free_calls - (ever - used))

    def _record_thresholds(self, session: Session, organization: str, count: int, used: int, ever: int) -> None:
        """Record `usage.threshold` if the last `count` calls passed a threshold: once a month, over all processes."""
        owner = session.get(Organization, organization)
        limit = self._limit(owner.plan, used, ever) if owner is not None else None
        for percent in _PERCENTS:
            if limit and used - count < limit * percent / 100 <= used:
                data = {"metric": "calls", "used": used, "limit": limit, "percent": percent}
                seed = f"usage.threshold/{organization}/{_today():%Y-%m}/{percent}"
                with repeatable(hashlib.sha256(seed.encode()).digest()):
                    record(session, organization, "usage.threshold", data)

    def close(self) -> None:
        """Write the rest and stop."""
        self._ended.set()
        self._thread.join()
        self.flush()

    def _keep_writing(self) -> None:
        while not self._ended.wait(_FLUSH_SECONDS):
            try:
                self.flush()
            except Exception:  # the counts are kept, and the next second tries again
                log.warning("usage could not be written", exc_info=True)


def calls_between(session: Session, organization: str, first: date, last: date) -> int:
    """How many calls there were from one day to another, inclusive."""
    total = session.scalar(
        select(func.sum(UsageDay.count)).where(
            UsageDay.organization_id == organization,
            UsageDay.kind == "calls",
            UsageDay.day >= first,
            UsageDay.day <= last,
        )
    )
    return int(total or 0)


def _add(session: Session, organization: str, kind: str, count: int) -> None:
    insert: Any = sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    statement = insert(UsageDay).values(organization_id=organization, day=_today(), kind=kind, count=count)
    keys = [UsageDay.organization_id, UsageDay.day, UsageDay.kind]
    more = {"count": UsageDay.count + statement.excluded.count}
    session.execute(statement.on_conflict_do_update(index_elements=keys, set_=more))


def _totals(session: Session, organization: str) -> tuple[int, int]:
    today = _today()
    month = calls_between(session, organization, today.replace(day=1), today)
    return month, calls_between(session, organization, date.min, today)


def _today() -> date:
    return datetime.now(timezone.utc).date()
