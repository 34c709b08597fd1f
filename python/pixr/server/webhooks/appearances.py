"""Records `video.search_appearance`: one event a minute for each organization, with the videos that searches showed.

Only organizations with an endpoint that wants the event get it. Each event begins where the one before ended, so every
appearance is reported once. Appearances older than the time for which events are kept are left out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from pixr.server.database import now
from pixr.server.events import record
from pixr.server.instants import rfc3339
from pixr.server.models import Event, Organization, SearchAppearance, WebhookEndpoint
from pixr.server.webhooks.queue import KEPT_DAYS

__all__ = ["record_appearances"]

TYPE: Final = "video.search_appearance"
MOST_VIDEOS = 500
# Searches are logged in batches, up to half a second late.
_SETTLED = timedelta(seconds=2)


def record_appearances(session: Session, until: datetime | None = None) -> int:
    """Record what was shown up to `until`, by default two seconds ago. Returns how many events that were.

    An event names the 500 videos that appeared most often.
    """
    until = until or now() - _SETTLED
    wanting: dict[str, datetime] = {}
    for endpoint in session.scalars(select(WebhookEndpoint).where(WebhookEndpoint.disabled.is_(None))):
        if not endpoint.event_types or TYPE in endpoint.event_types:
            known = wanting.get(endpoint.organization_id, endpoint.created)
            wanting[endpoint.organization_id] = min(known, endpoint.created)
    return sum(_record(session, organization, since, until) for organization, since in sorted(wanting.items()))


def _record(session: Session, organization: str, since: datetime, until: datetime) -> bool:
    # The lock lets one of several processes record the event, and the others find it there. Rows that merely refer to
    # the organization need not wait.
    session.scalar(select(Organization.id).where(Organization.id == organization).with_for_update(key_share=True))
    last = session.scalar(
        select(Event)
        .where(Event.organization_id == organization, Event.type == TYPE, Event.data["test"].as_boolean().is_not(True))
        .order_by(Event.sequence.desc())
        .limit(1)
    )
    since = max(since, until - timedelta(days=KEPT_DAYS))
    if last is not None:
        since = max(since, datetime.fromisoformat(str(last.data["to"]).replace("Z", "+00:00")))
    shown = session.execute(
        select(
            SearchAppearance.video_id,
            func.count(),
            func.min(SearchAppearance.position),
            func.sum(SearchAppearance.clicks),
        )
        .where(
            SearchAppearance.organization_id == organization,
            SearchAppearance.created > since,
            SearchAppearance.created <= until,
        )
        .group_by(SearchAppearance.video_id)
        .order_by(func.count().desc(), SearchAppearance.video_id)
        .limit(MOST_VIDEOS)
    ).all()
    if not shown:
        return False
    videos = [
        {"videoId": video, "appearances": count, "bestRank": rank, "clicks": int(clicks)}
        for video, count, rank, clicks in shown
    ]
    # To the microsecond: the next event begins here.
    ends = until.isoformat(timespec="microseconds").replace("+00:00", "Z")
    record(session, organization, TYPE, {"from": rfc3339(since), "to": ends, "videos": videos})
    return True
