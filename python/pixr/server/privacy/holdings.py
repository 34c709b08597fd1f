"""Finds the rows of the database that belong to an organization, or are about one of its users or videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Table, or_, select

from pixr.server.among import among
from pixr.server.database import Base

__all__ = ["SECRET_COLUMNS", "kept_of_organization", "of_organization", "of_user"]

# Never exported, not even to their owner.
SECRET_COLUMNS = frozenset(
    {"secret", "secret_hash", "previous_hash", "previous_secret", "value", "hash", "refresh_hash"}
)
# Receipts are proofs; they outlive what they are about. Organizations are emptied, not removed.
_RECEIPTS = "privacy_receipts"


def of_organization(organization: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Each table with the condition for its rows of the organization, those that refer to others first."""
    for table in reversed(Base.metadata.sorted_tables):
        if table.name != _RECEIPTS and (condition := _owned(table, organization)) is not None:
            yield table, condition


def kept_of_organization(organization: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """The same for what remains when everything else of the organization is deleted: itself and its receipts."""
    tables = Base.metadata.tables
    yield tables["organizations"], tables["organizations"].columns["id"] == organization
    yield tables[_RECEIPTS], tables[_RECEIPTS].columns["organization_id"] == organization


def _owned(table: Table, organization: str) -> ColumnElement[bool] | None:
    """Whose rows are the organization's by themselves, or as part of one that is."""
    if "organization_id" in table.columns:
        return table.columns["organization_id"] == organization
    for key in table.foreign_keys:
        whole = key.column.table
        if "organization_id" in whole.columns:
            return key.parent.in_(select(key.column).where(whole.columns["organization_id"] == organization))
    return None


def of_user(organization: str, user: str, videos: Sequence[str]) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Each table with the condition for its rows about the user or about one of `videos`, which are the user's."""
    for table, owned in of_organization(organization):
        columns = table.columns
        about: list[ColumnElement[bool]] = []
        if table.name == "videos":
            about.append(among(columns["id"], videos))
        if "video_id" in columns:
            about.append(among(columns["video_id"], videos))
        if "subject" in columns:
            about.append(among(columns["subject"], [user, *videos]))
        if table.name == "idempotent_requests":  # kept answers may quote anything; what is at work has none yet
            yield table, owned & columns["status"].is_not(None)
        elif about:
            yield table, owned & or_(*about)
