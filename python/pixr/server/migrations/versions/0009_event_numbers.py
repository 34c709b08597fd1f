"""Event numbers: SQLite gives none twice from now on, as PostgreSQL does.

The table is made anew, which is how SQLite changes one; `Database.migrate` sees to it that no other row goes with the
old one.
"""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """To this version."""
    if op.get_bind().dialect.name == "sqlite":
        counting = {"sqlite_autoincrement": True}
        with op.batch_alter_table("events", recreate="always", table_kwargs=counting):
            pass
