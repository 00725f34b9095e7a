"""The PostgreSQL side of ``database``: connections with deadlines, and what its errors mean."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, Final

from sqlalchemy import URL, Engine, create_engine, event
from sqlalchemy.exc import DBAPIError

from reconciler.errors import SettingsError

CONNECT_SECONDS: Final = 10
STATEMENT_SECONDS: Final = 60
"""Every statement has a deadline; so has waiting for a lock (half of it) and a transaction left open."""


def shown(url: URL) -> str:
    """Host and database, without user, password and options."""
    where = f"{url.host or 'local'}:{url.port}" if url.port else url.host or "local"
    return f"postgresql://{where}/{url.database or ''}"


def engine(url: URL, *, write: bool) -> Engine:
    """Connections with deadlines. Raises ``SettingsError`` where the driver is not installed."""
    if find_spec("psycopg") is None:
        raise SettingsError(
            "the setting `store` names PostgreSQL, and its driver is not installed",
            hint="pip install 'reconciler[postgres]'",
        )
    made = create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=STATEMENT_SECONDS,
        connect_args={
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "reconciler",
            "tcp_user_timeout": STATEMENT_SECONDS * 1000,
        },
    )

    @event.listens_for(made, "connect")
    def configure(connection: Any, _record: Any) -> None:
        # Not as start-up options: connection poolers in front of the server refuse those.
        autocommit = connection.autocommit
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = '{STATEMENT_SECONDS}s'")
            cursor.execute(f"SET lock_timeout = '{STATEMENT_SECONDS // 2}s'")
            cursor.execute(f"SET idle_in_transaction_session_timeout = '{STATEMENT_SECONDS * 5}s'")
            cursor.execute("SET synchronous_commit = on")
            cursor.execute("SET timezone = 'UTC'")
            if not write:
                cursor.execute("SET default_transaction_read_only = on")
        connection.autocommit = autocommit

    return made


_MEANING: Final = (
    ("28", "refuses this user or password", "check the user and the password in `RECONCILER_STORE`"),
    ("3D000", "has no such database", "create it, or correct the name in `RECONCILER_STORE`"),
    ("42501", "does not allow this to this user", "grant CREATE and USAGE on the schema, and rights on its tables"),
    ("53100", "cannot be written: the disk is full; this step was not recorded", "free some space"),
    ("53300", "accepts no more connections", "wait, or raise max_connections"),
    ("53", "is out of resources; this step was not recorded", None),
    ("25006", "is read-only; this step was not recorded", "is this a standby?"),
    ("55P03", "is locked by another process; this step was not recorded", "wait for it to end, then repeat"),
    ("57014", "took too long to answer; this step was not recorded", None),
    ("57P", "is shutting down; this step was not recorded", "wait for it to come back, then repeat"),
    ("XX", "is damaged, or the server has a defect", "see the server's log"),
)


def explain(error: DBAPIError) -> tuple[str, str | None]:
    """What happened, to follow ``the store HOST/DATABASE``, and what to do. Never the server's own text."""
    state = str(getattr(error.orig, "sqlstate", None) or "")
    for prefix, what, hint in _MEANING:
        if state.startswith(prefix):
            return what, hint
    name = type(error.orig).__name__
    if not state and name in ("OperationalError", "ConnectionTimeout", "InterfaceError"):
        text = str(error.orig).lower()
        if "password" in text or "authentication" in text or "no pg_hba.conf entry" in text:
            return _MEANING[0][1:]
        if 'database "' in text and "does not exist" in text:
            return _MEANING[1][1:]
        return "cannot be reached, or the connection broke", "is the server up, and is it this host and port?"
    return f"refused a statement ({state or name}); this step was not recorded", None
