"""Which rows of the database belong to an organization, or are about one of its users or videos."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlalchemy import ColumnElement, Table, or_

from pixr.server.database import Base

__all__ = ["SECRET_COLUMNS", "of_organization", "of_user"]

# Never given out, not even to whom they belong.
SECRET_COLUMNS = frozenset(
    {"secret", "secret_hash", "previous_hash", "previous_secret", "value", "token_hash", "code_hash"}
)
# Receipts are proofs; they outlive what they are about. Organizations are emptied, not removed.
_KEPT = frozenset({"privacy_receipts"})


def of_organization(organization: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Each table with the condition for its rows of the organization, those that refer to others first."""
    for table in reversed(Base.metadata.sorted_tables):
        if table.name in _KEPT:
            continue
        if "organization_id" in table.columns:
            yield table, table.columns["organization_id"] == organization


def of_user(organization: str, user: str, videos: Sequence[str]) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Each table with the condition for its rows about the user or about one of `videos`, which are the user's."""
    for table, owned in of_organization(organization):
        columns = table.columns
        about: list[ColumnElement[bool]] = []
        if table.name == "videos":
            about.append(columns["id"].in_(videos))
        if "video_id" in columns:
            about.append(columns["video_id"].in_(videos))
        if "subject" in columns:
            about.append(columns["subject"].in_([user, *videos]))
        if table.name == "idempotent_requests":  # kept answers may quote anything; what is at work has none yet
            yield table, owned & columns["status"].is_not(None)
        elif about:
            yield table, owned & or_(*about)
