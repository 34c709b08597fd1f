"""Sandboxes."""

from datetime import datetime, timezone

import sqlalchemy as sa
from alembic import op

from pixr.server.ids import new_id

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """To this version."""
    op.add_column("organizations", sa.Column("sandbox_of", sa.String(), nullable=True))
    op.add_column("organizations", sa.Column("sandbox_reset", sa.DateTime(timezone=True), nullable=True))
    op.add_column("organizations", sa.Column("sandbox_due", sa.DateTime(timezone=True), nullable=True))
    op.create_index(op.f("ix_organizations_sandbox_of"), "organizations", ["sandbox_of"], unique=True)
    # Test keys that are there already get the sandbox that they act on from now on.
    connection, made = op.get_bind(), []
    keyed = sa.text(
        "SELECT id, name, plan, region, retention_days FROM organizations"
        " WHERE id IN (SELECT organization_id FROM api_keys WHERE environment = 'test')"
    )
    instant = datetime.now(timezone.utc)
    for row in connection.execute(keyed).mappings():
        changed = {"id": new_id("org_test"), "name": f"{row['name']} (sandbox)", "sandbox_of": row["id"]}
        made.append({**row, **changed, "sandbox": True, "branding": {}, "created": instant, "sandbox_due": instant})
    if made:
        names = ("id", "name", "plan", "region", "retention_days", "sandbox_of")
        table = sa.table(
            "organizations",
            *(sa.column(name) for name in names),
            sa.column("sandbox", sa.Boolean),
            sa.column("branding", sa.JSON),
            sa.column("created", sa.DateTime(timezone=True)),
            sa.column("sandbox_due", sa.DateTime(timezone=True)),
        )
        op.bulk_insert(table, made)
