"""The server's own secrets. The first process that needs one makes it, for all of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite

from pixr.server.database import Database
from pixr.server.models import Secret

__all__ = ["own_secret"]


def own_secret(database: Database, name: str, make: Callable[[], bytes]) -> bytes:
    """The secret of this name. If several processes make it at once, all of them get the same one."""
    with database.write() as session:
        kept = session.get(Secret, name)
        if kept is None:
            insert: Any = sqlite.insert if database.is_sqlite else postgresql.insert
            session.execute(insert(Secret).values(name=name, value=make()).on_conflict_do_nothing())
            kept = session.get_one(Secret, name)
        return kept.value
