"""Writes a migration from what `models.py` says beyond the migrations: `python -m pixr.server.migrations.new NAME`.

Read what it wrote before committing it: renames look like a column that goes and another that comes. It is made against
SQLite, and the tests run it on PostgreSQL too.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from alembic.autogenerate import produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations.ops import UpgradeOps

from pixr.server.database import Base, Database

VERSIONS = Path(__file__).parent / "versions"
TEMPLATE = '''"""{title}."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = {before}


def upgrade() -> None:
    """To this version."""
{body}
'''


def main(name: str) -> Path:
    """Write the file, and say where."""
    known = sorted(path.stem.partition("_")[0] for path in VERSIONS.glob("[0-9]*.py"))
    revision = f"{int(known[-1]) + 1 if known else 1:04}"
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/empty.db")
        if known:
            database.migrate()
        with database.engine.connect() as connection:
            context = MigrationContext.configure(connection)
            operations = produce_migrations(context, Base.metadata).upgrade_ops
        database.close()
    assert isinstance(operations, UpgradeOps)
    if operations.is_empty():
        raise SystemExit("nothing to migrate")
    body = render_python_code(operations, migration_context=context)
    body = re.sub(r"pixr\.server\.database\.Utc\(timezone=True\)", "sa.DateTime(timezone=True)", body)
    body = "\n".join(line for line in f"    {body.lstrip()}".splitlines() if "alembic" not in line)
    path = VERSIONS / f"{revision}_{name}.py"
    before = repr(known[-1]) if known else "None"
    title = name.replace("_", " ").capitalize()
    path.write_text(TEMPLATE.format(title=title, revision=revision, before=before, body=body))
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(path)], check=True)
    return path


if __name__ == "__main__":
    import pixr.server.models  # noqa: F401 - fills the metadata

    print(main(sys.argv[1]))
