"""Records `video.search_appearance`: one event a minute for each organization, with the videos that searches showed.

Only organizations with an endpoint that wants the event get it. Each event begins where the one before ended, so every
appearance is reported once. So is every click: with an appearance is kept how many of its clicks were told. What was
shown before there was an endpoint, or longer ago than events are kept, is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
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
_MOST_CLICKED = 10_000


def record_appearances(session: Session, until: datetime | None = None) -> int:
    """Record what was shown up to `until`, by default two seconds ago, and clicked since. Returns how many events.

    An event names the 500 videos that appeared most often. Clicks on others wait for the next.
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
    first = since = max(since, until - timedelta(days=KEPT_DAYS))
    if last is not None:
        since = max(since, datetime.fromisoformat(str(last.data["to"]).replace("Z", "+00:00")))
    videos = _shown(session, organization, since, until)
    _add_clicks(videos, _untold(session, organization, first, until))
    if not videos:
        return False
    # To the microsecond: the next event begins here.
    ends = until.isoformat(timespec="microseconds").replace("+00:00", "Z")
    told = [{"videoId": video, **counts} for video, counts in videos.items()]
    record(session, organization, TYPE, {"from": rfc3339(since), "to": ends, "videos": told})
    return True


def _shown(session: Session, organization: str, since: datetime, until: datetime) -> dict[str, dict[str, int]]:
    """The videos that appeared most often, in this order, and how often and how high they did."""
    shown = session.execute(
        select(SearchAppearance.video_id, func.count(), func.min(SearchAppearance.position))
        .where(
            SearchAppearance.organization_id == organization,
            SearchAppearance.created > since,
            SearchAppearance.created <= until,
        )
        .group_by(SearchAppearance.video_id)
        .order_by(func.count().desc(), SearchAppearance.video_id)
        .limit(MOST_VIDEOS)
    ).all()
    return {video: {"appearances": count, "bestRank": rank, "clicks": 0} for video, count, rank in shown}


def _untold(session: Session, organization: str, first: datetime, until: datetime) -> Sequence[SearchAppearance]:
    """Appearances with clicks that no event has told, the oldest first. One that is being changed waits."""
    return session.scalars(
        select(SearchAppearance)
        .where(
            SearchAppearance.organization_id == organization,
            SearchAppearance.created > first,
            SearchAppearance.created <= until,
            SearchAppearance.clicks > SearchAppearance.clicks_told,
        )
        .order_by(SearchAppearance.created)
        .limit(_MOST_CLICKED)
        .with_for_update(skip_locked=True)
    ).all()


def _add_clicks(videos: dict[str, dict[str, int]], clicked: Sequence[SearchAppearance]) -> None:
    """Tell clicks with the videos that were shown, and with no appearance those that were shown earlier."""
    for one in clicked:
        if one.video_id not in videos and len(videos) < MOST_VIDEOS:
            videos[one.video_id] = {"appearances": 0, "bestRank": one.position, "clicks": 0}
        if (told := videos.get(one.video_id)) is not None:
            if told["appearances"] == 0:
                told["bestRank"] = min(told["bestRank"], one.position)
            told["clicks"] += one.clicks - one.clicks_told
            one.clicks_told = one.clicks
