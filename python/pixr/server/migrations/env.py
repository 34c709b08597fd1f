"""Runs migrations on the connection that `Database.migrate` gives."""

from alembic import context

import pixr.server.models  # noqa: F401 - fills the metadata
from pixr.server.database import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    transactional_ddl=False,  # the caller's transaction holds all of it
    render_as_batch=True,
)
context.run_migrations()
