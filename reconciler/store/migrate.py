"""Bringing a database to the newest schema, in process and inside the caller's transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from reconciler.store import schema, sqlite

_ADVISORY_LOCK: Final = 0x52434C52
"""Two processes that migrate one PostgreSQL database at once take turns on this number."""


def migrate(connection: Connection) -> None:
    """Run every migration that is missing. All of them take effect with the caller's commit, or none."""
    from alembic import command  # slow to import, and needed once per schema change
    from alembic.config import Config

    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _ADVISORY_LOCK})
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, schema.VERSIONS[-1])
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(f"PRAGMA application_id = {sqlite.APPLICATION_ID}")
