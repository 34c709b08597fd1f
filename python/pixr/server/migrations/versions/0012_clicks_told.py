"""Clicks that events have told. Those from before count as told."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """To this version."""
    told = sa.Column("clicks_told", sa.Integer(), nullable=False, server_default="0")
    op.add_column("search_appearances", told)
    op.execute("UPDATE search_appearances SET clicks_told = clicks WHERE clicks > 0")
    untold = sa.text("clicks > clicks_told")
    op.create_index(
        "appearances_with_untold_clicks",
        "search_appearances",
        ["organization_id", "created"],
        unique=False,
        sqlite_where=untold,
        postgresql_where=untold,
    )
