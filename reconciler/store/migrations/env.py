"""Run by Alembic: migrate the connection that the caller has opened, inside the caller's transaction."""

from alembic import context

from reconciler.store import schema

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=schema.METADATA,
    version_table=schema.VERSION_TABLE,
)
context.run_migrations()
