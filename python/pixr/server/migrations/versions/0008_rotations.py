"""Rotations."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """To this version."""
    op.add_column("api_keys", sa.Column("rotation", sa.String(), nullable=True))
    op.add_column("webhook_endpoints", sa.Column("rotation", sa.String(), nullable=True))
