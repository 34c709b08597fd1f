"""Says what the newest is of what connections follow: an organization's events, a video's record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from pixr.server.database import Database
from pixr.server.models import Event, Organization, VideoRecord

__all__ = ["last_changes", "last_sequence", "last_sequences"]


def last_sequence(database: Database, organization: str) -> int:
    """The number of the organization's last event, 0 if there was none."""
    return last_sequences(database, [organization]).get(organization, 0)


def last_sequences(database: Database, organizations: Sequence[str]) -> dict[str, int]:
    """The number of the last event of each organization that has one."""
    # For each of them one step into the index; grouping would go through all of their events.
    last = select(func.max(Event.sequence)).where(Event.organization_id == Organization.id).scalar_subquery()
    query = select(Organization.id, last).where(Organization.id.in_(organizations))
    with database.read() as session:
        return {id: sequence for id, sequence in session.execute(query).all() if sequence is not None}


def last_changes(database: Database, videos: Sequence[tuple[str, str]]) -> dict[tuple[str, str], datetime]:
    """When each record of a video last changed, by organization and video."""
    query = select(VideoRecord.organization_id, VideoRecord.id, VideoRecord.changed)
    with database.read() as session:
        found = session.execute(query.where(VideoRecord.id.in_([id for _, id in videos]))).all()
    return {(organization, id): changed for organization, id, changed in found}
