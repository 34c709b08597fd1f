"""Requests about a video's processing."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """To this version."""
    op.add_column("videos", sa.Column("request", sa.String(), nullable=True))
