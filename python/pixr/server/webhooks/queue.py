"""The queue of deliveries: which are due, and what the outcome of an attempt means for the delivery and its endpoint.

Events are delivered at least once: a delivery is taken under a lease, and if the lease ends without an outcome, because
the process was killed, it is due again. Events of one subject reach an endpoint in order at first: each waits for the
pending ones before it, until those have failed `ORDERED_ATTEMPTS` times. After that, late is better than never.

Organizations of which no delivery is under way go first, so that one organization's slow receivers hold up another for
no longer than one attempt.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import BindParameter, Integer, Select, and_, bindparam, delete, exists, func, or_, select, text, update
from sqlalchemy.orm import Session, aliased

from pixr.server.database import Utc, now
from pixr.server.events import record
from pixr.server.models import Delivery, DeliveryAttempt, Event, InspectorRequest, WebhookEndpoint
from pixr.server.whole_numbers import whole_number

__all__ = [
    "ATTEMPT_SECONDS",
    "KEPT_DAYS",
    "SCHEDULE_SECONDS",
    "any_due",
    "bring_forward",
    "claim",
    "disable",
    "purge",
    "settle",
]

MINUTE, HOUR = 60.0, 3600.0
# From one attempt to the next, the first at once.
SCHEDULE_SECONDS: Sequence[float] = (
    0.0,
    5.0,
    5 * MINUTE,
    30 * MINUTE,
    2 * HOUR,
    5 * HOUR,
    10 * HOUR,
    14 * HOUR,
    20 * HOUR,
    24 * HOUR,
)
JITTER = 0.2
ATTEMPT_SECONDS = 15.0
LEASE = timedelta(seconds=4 * ATTEMPT_SECONDS)
ORDERED_ATTEMPTS = 3
LONGEST_WAIT = timedelta(hours=24)
KEPT_DAYS = 30
_GONE = 410
_BUSY = (429, 503)
_TURN = text("SELECT pg_advisory_xact_lock(7233243)")


def any_due(session: Session) -> bool:
    """Whether any delivery is due now. Cheap, and takes no lock."""
    return session.scalar(_statements().any_due, {"instant": now()}) is not None


def claim(session: Session, most: int) -> list[Delivery]:
    """Claim up to `most` deliveries to attempt now, each under a lease, so that no other process gets it meanwhile.

    Only one process claims at a time, or each would send an endpoint as much at once as it may get from all together.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(_TURN)
    instant, statements = now(), _statements()
    leased, at_work = Counter[str](), set[str]()
    for endpoint, organization, count in session.execute(statements.held, {"instant": instant}):
        leased[endpoint] = count
        at_work.add(organization)
    claimed: list[Delivery] = []
    for passed_over in ([*at_work], []) if at_work else ([],):
        asked = {"instant": instant, "most": 4 * most, "passed_over": passed_over}
        for delivery in session.scalars(statements.due, asked):
            if len(claimed) == most:
                return claimed
            if leased[delivery.endpoint_id] >= delivery.endpoint.max_concurrency:
                continue
            leased[delivery.endpoint_id] += 1
            delivery.lease_expires = instant + LEASE
            claimed.append(delivery)
    return claimed


def settle(session: Session, id: str, attempt: DeliveryAttempt) -> str:
    """Record an attempt and act on it: "delivered", "retried", "failed", or "gone" if it was deleted meanwhile."""
    delivery = session.get(Delivery, id)
    if delivery is None:
        return "gone"
    attempt.delivery_id = id
    session.add(attempt)
    delivery.attempts += 1
    delivery.lease_expires = None
    status, instant = attempt.status_code, now()
    if status is not None and 200 <= status < 300:
        delivery.status, delivery.finished = "delivered", instant
        return "delivered"
    if status == _GONE:
        delivery.status, delivery.finished = "failed", instant
        disable(session, delivery.endpoint, "it answered 410 Gone")
        return "failed"
    tried_once = delivery.replay or delivery.event.data.get("test") is True
    if tried_once or delivery.attempts >= len(SCHEDULE_SECONDS):
        delivery.status, delivery.finished = "failed", instant
        if not tried_once:
            disable(session, delivery.endpoint, "no attempt of a delivery succeeded")
        return "failed"
    delivery.next_attempt = instant + _wait(delivery.attempts, attempt, instant)
    return "retried"


def disable(session: Session, endpoint: WebhookEndpoint, reason: str) -> None:
    """Stop sending to an endpoint, and say so to its owner, in the endpoint itself and through the other endpoints."""
    if endpoint.disabled is not None:
        return
    endpoint.disabled, endpoint.disabled_reason = now(), reason
    session.flush()
    data = {"endpointId": endpoint.id, "url": endpoint.url, "reason": reason}
    record(session, endpoint.organization_id, "webhook.disabled", data, subject=endpoint.id)


def bring_forward(session: Session) -> int:
    """Make due now what waits or is leased for longer than any delivery that is written now, and return how many.

    The clock was set back meanwhile. Clocks of several machines may differ by the length of a lease.
    """
    soon = now() + LEASE
    # Only such receivers say for themselves when the next attempt shall be.
    busy = exists().where(DeliveryAttempt.delivery_id == Delivery.id, DeliveryAttempt.status_code.in_(_BUSY))
    scheduled = (
        (Delivery.attempts == attempts) & (Delivery.next_attempt > soon + timedelta(seconds=seconds * (1 + JITTER)))
        for attempts, seconds in enumerate(SCHEDULE_SECONDS)
    )
    is_late = or_(
        ~busy & or_(*scheduled),
        Delivery.next_attempt > soon + LONGEST_WAIT * (1 + JITTER),
        Delivery.lease_expires > soon + LEASE,
    )
    late = update(Delivery).where(Delivery.status == "pending", is_late).values(next_attempt=now(), lease_expires=None)
    done = session.execute(late, execution_options={"synchronize_session": False})
    return int(done.rowcount)  # type: ignore[attr-defined]


def purge(session: Session) -> int:
    """Delete deliveries, with their attempts, and what inspectors received, after 30 days. Returns how many."""
    before = now() - timedelta(days=KEPT_DAYS)
    gone = session.execute(delete(Delivery).where(Delivery.created < before)).rowcount  # type: ignore[attr-defined]
    session.execute(delete(InspectorRequest).where(InspectorRequest.received < before))
    undelivered = exists().where(Delivery.sequence == Event.sequence)
    session.execute(delete(Event).where(Event.created < before, ~undelivered))
    return int(gone)


class _Statements(NamedTuple):
    """Statements about an `instant`: is any delivery due, how many has each endpoint under way, which `most` to claim.

    Deliveries of organizations that are `passed_over` are not claimed.
    """

    any_due: Select[str]
    held: Select[str, str, int]
    due: Select[Delivery]


@cache
def _statements() -> _Statements:
    """The statements, built once: that takes longer than running them, and every delivery looks at the queue."""
    instant: BindParameter[datetime] = bindparam("instant", type_=Utc())
    earlier, other = aliased(Delivery), aliased(Delivery)
    waits = exists().where(
        earlier.endpoint_id == Delivery.endpoint_id,
        earlier.subject == Delivery.subject,
        earlier.sequence < Delivery.sequence,
        earlier.status == "pending",
        earlier.replay.is_(False),
        earlier.attempts < ORDERED_ATTEMPTS,
    )
    is_due = (
        WebhookEndpoint.disabled.is_(None),
        Delivery.status == "pending",
        Delivery.next_attempt <= instant,
        or_(Delivery.lease_expires.is_(None), Delivery.lease_expires <= instant),
        ~and_(Delivery.replay.is_(False), waits),
    )
    leased = (
        select(func.count())
        .where(other.endpoint_id == Delivery.endpoint_id, other.status == "pending", other.lease_expires > instant)
        .scalar_subquery()
    )
    return _Statements(
        any_due=select(Delivery.id).join(Delivery.endpoint).where(*is_due).limit(1),
        held=select(Delivery.endpoint_id, Delivery.organization_id, func.count())
        .where(Delivery.status == "pending", Delivery.lease_expires > instant)
        .group_by(Delivery.endpoint_id, Delivery.organization_id),
        due=select(Delivery)
        .join(Delivery.endpoint)
        .where(
            *is_due,
            WebhookEndpoint.max_concurrency > func.coalesce(leased, 0),
            Delivery.organization_id.not_in(bindparam("passed_over", expanding=True)),
        )
        .order_by(Delivery.next_attempt, Delivery.sequence)
        .limit(bindparam("most", type_=Integer()))
        .with_for_update(skip_locked=True, of=Delivery),
    )


def _wait(attempts: int, attempt: DeliveryAttempt, instant: datetime) -> timedelta:
    seconds = SCHEDULE_SECONDS[attempts] * random.uniform(1 - JITTER, 1 + JITTER)
    wait = timedelta(seconds=seconds)
    if attempt.status_code in _BUSY:
        wait = max(wait, _retry_after(attempt.response_headers.get("retry-after", ""), instant))
    return min(wait, LONGEST_WAIT * (1 + JITTER))


def _retry_after(value: str, instant: datetime) -> timedelta:
    """The wait in the header (RFC 9110 §10.2.3: seconds or a date), at most a day; none if it can't be read."""
    try:
        seconds = whole_number(value)
        wait = parsedate_to_datetime(value) - instant if seconds is None else timedelta(seconds=seconds)
    except (ValueError, TypeError, OverflowError):
        return timedelta(0)
    return min(max(wait, timedelta(0)), LONGEST_WAIT)
