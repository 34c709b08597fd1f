"""The database of accounts, uploads and events: SQLite (WAL) or PostgreSQL, through SQLAlchemy.

A session is one transaction. `write()` takes SQLite's writer lock at its beginning, so that what was read in it still
holds when it ends, and so that two processes wait for each other instead of failing. Whoever waits for that lock looks
for it ever more seldom and is overtaken by others, so the threads of a process take turns before they ask for it.
Sessions block, so use them off the event loop.
"""

from __future__ import annotations

import re
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, ClassVar

from sqlalchemy import (
    Connection,
    DateTime,
    Dialect,
    Double,
    Engine,
    TypeDecorator,
    create_engine,
    event,
    make_url,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import DeclarativeBase, Session

from pixr.server.turns import Turns

__all__ = ["Base", "Database", "Utc", "now"]

LOCK_WAIT_SECONDS = 15
_FOUR_MIB = 4 << 20
_WRITTEN_TABLE = re.compile(r'\s*(?:INSERT(?:\s+OR\s+\w+)?\s+INTO|UPDATE|DELETE\s+FROM)\s+"?(\w+)', re.IGNORECASE)


class Base(DeclarativeBase):
    """The base class of all tables."""

    # What SQLAlchemy 2.1 takes for them, and 2.0, the last for Python 3.10, does not.
    type_annotation_map: ClassVar[dict[Any, Any]] = {float: Double}


class Utc(TypeDecorator[datetime]):
    """An instant. In Python it always has the time zone UTC, even if the database does not keep it."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Into the database."""
        return None if value is None else value.astimezone(timezone.utc)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Out of the database."""
        if value is None:
            return None
        # SQLite does not keep the zone; PostgreSQL returns that of the connection, under any name.
        return value.replace(tzinfo=timezone.utc) if value.tzinfo is None else value.astimezone(timezone.utc)


def now() -> datetime:
    """The present instant, in UTC."""
    return datetime.now(timezone.utc)


@dataclass
class _Writing:
    """A transaction that writes: to which tables, and whether it is the process's turn at SQLite."""

    tables: set[str] = field(default_factory=set)
    has_turn: bool = False


class Database:
    """Sessions on one database."""

    def __init__(self, url: str, *, pool_size: int = 20) -> None:
        """Connect to `sqlite:///path` or `postgresql://…`. `migrate` makes the tables."""
        parsed = make_url(url)
        self.is_sqlite = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite:
            if parsed.database:
                Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
            options: dict[str, Any] = {"connect_args": {"timeout": LOCK_WAIT_SECONDS, "check_same_thread": False}}
        else:
            parsed = parsed.set(drivername="postgresql+psycopg")
            options = {"pool_pre_ping": True}
        options["hide_parameters"] = True  # exceptions are logged, and users' data must not be
        self.engine: Engine = create_engine(parsed, pool_size=pool_size, max_overflow=20, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _configure_sqlite)
            event.listen(self.engine, "begin", self._begin_sqlite)
        event.listen(self.engine, "before_cursor_execute", self._note_table)
        self._writing = self.engine.execution_options(pixr_writes=True)
        self._counting = threading.Lock()
        self._written: Counter[str] = Counter()
        self._turns = Turns()  # of those who write to SQLite
        self._thread = threading.local()  # `writing`: what this thread is at

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only reads."""
        with Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that is committed at the end, or rolled back by an exception."""
        around, writing = getattr(self._thread, "writing", None), _Writing()
        self._thread.writing = writing
        try:
            with Session(self._writing, expire_on_commit=False) as session, session.begin():
                yield session
        finally:
            self._thread.writing = around
            if writing.has_turn:
                self._turns.hand_on()
            with self._counting:
                self._written.update(writing.tables)

    def written(self, *tables: str) -> int:
        """How many transactions of this process have written to these tables and ended, summed over the tables."""
        return sum(self._written[table] for table in tables)

    def _note_table(self, _connection: Connection, _cursor: Any, statement: str, *_rest: Any) -> None:
        writing: _Writing | None = getattr(self._thread, "writing", None)
        if writing is not None and (found := _WRITTEN_TABLE.match(statement)):
            writing.tables.add(found[1])

    def _begin_sqlite(self, connection: Connection) -> None:
        statement = "BEGIN IMMEDIATE" if connection.get_execution_options().get("pixr_writes", False) else "BEGIN"
        writing: _Writing | None = getattr(self._thread, "writing", None)
        if writing is not None and statement != "BEGIN":
            if not self._turns.take(LOCK_WAIT_SECONDS):
                raise OperationalError(statement, None, sqlite3.OperationalError("database is locked"))
            writing.has_turn = True
        connection.exec_driver_sql(statement)

    def migrate(self) -> None:
        """Bring the tables up to date with `models.py`. Several processes may call this at once."""
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self._writing.connect() as connection:
            if self.is_sqlite:
                # Making a table anew must not delete the rows that refer to it. This can't be switched off inside a
                # transaction, so the connection is used for nothing else.
                connection.detach()
                connection.connection.cursor().execute("PRAGMA foreign_keys = OFF").close()
            else:
                connection.execute(text("SELECT pg_advisory_xact_lock(7233241)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()

    def ping(self) -> None:
        """Raise if the database does not answer."""
        with self.engine.connect() as connection:
            connection.execute(text("SELECT 1"))

    def forget(self) -> None:
        """Remove deleted rows from the files too: fold in SQLite's log, or vacuum PostgreSQL's tables."""
        with self.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)" if self.is_sqlite else "VACUUM")

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _configure_sqlite(connection: sqlite3.Connection, record: object) -> None:  # noqa: ARG001
    connection.isolation_level = None  # `_begin_sqlite` begins transactions
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        "secure_delete = ON",
        f"mmap_size = {_FOUR_MIB}",
    ):
        connection.execute(f"PRAGMA {pragma}").close()
