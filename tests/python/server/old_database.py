"""A database as an earlier version of the server left it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config

import pixr.server
from pixr.server.database import Database

__all__ = ["old_database"]


def old_database(folder: Path, revision: str) -> Database:
    """A database in a file of `folder` that has been migrated up to `revision`, and no further."""
    database = Database(f"sqlite:///{folder / 'old.db'}")
    config = Config()
    config.set_main_option("script_location", str(Path(pixr.server.__file__).parent / "migrations"))
    with database.engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        connection.commit()
    return database
