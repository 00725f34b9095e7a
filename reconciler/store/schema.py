"""The tables, as the newest migration leaves them.

Times are text, ISO 8601 in UTC with microseconds and ``Z``: they sort as they are and read the same in both databases.
JSON is text too; nothing is searched inside it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text

from reconciler.errors import InternalError

VERSIONS: Final = ("0001",)
"""Every schema version there has been, oldest first; each is the revision of one file in ``migrations/versions``."""

VERSION_TABLE: Final = "reconciler_version"

METADATA: Final = MetaData()

OBJECTS: Final = Table(
    "receipts",
    METADATA,
    Column("kind", Text, primary_key=True),
    Column("business", BigInteger, primary_key=True, autoincrement=False),
    Column("group_key", BigInteger, primary_key=True, autoincrement=False),  # the group id; -1 where there is none
    Column("slug", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("commit", Text),
    Column("created", Boolean, nullable=False),
    Column("was_active", Boolean, nullable=False),
    Column("fields", Text, nullable=False),
    Index("receipts_slug", "slug"),
)

IN_FORCE: Final = Table(
    "in_force",
    METADATA,
    Column("slug", Text, primary_key=True),
    Column("business", BigInteger, nullable=False),
    Column("revision", Integer, nullable=False),
    Column("at", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("commit", Text),
    Column("document", Text, nullable=False),
)

IN_FORCE_HISTORY: Final = Table(
    "in_force_history",
    METADATA,
    Column("business", BigInteger, primary_key=True, autoincrement=False),
    Column("revision", Integer, primary_key=True, autoincrement=False),
    Column("slug", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("plan_id", Text, nullable=False),
    Column("commit", Text),
    Column("document", Text, nullable=False),
)

INTENTS: Final = Table(
    "intents",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("plan_id", Text, nullable=False),
    Column("change_id", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("business", BigInteger, nullable=False),
    Column("slug", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("at", Text, nullable=False),
    Column("groups_before", Text, nullable=False),
    Column("fields", Text, nullable=False),
    Column("settled", Boolean, nullable=False),  # false: no outcome yet, or an unknown one
    Column("outcome", Text),
    Column("outcome_at", Text),
    Column("detail", Text, nullable=False),
    Column("group_id", BigInteger),
    Index("intents_settled", "settled"),
)

RUNS: Final = Table(
    "runs",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("operation", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("plan_id", Text),
    Column("commit", Text),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    Column("exit_code", Integer),
    Column("summary", Text, nullable=False),
    Index("runs_started_at", "started_at"),
)

DRIFT_SEEN: Final = Table(
    "drift_seen",
    METADATA,
    Column("slug", Text, primary_key=True),
    Column("object", Text, primary_key=True),
    Column("path", Text, primary_key=True),
    Column("live", Text, nullable=False),
    Column("first_seen", Text, nullable=False),
)

WEEKLY_COUNTS: Final = Table(
    "weekly_counts",
    METADATA,
    Column("business", BigInteger, primary_key=True, autoincrement=False),
    Column("iso_week", Text, primary_key=True),
    Column("counts", Text, nullable=False),
)

LEASES: Final = Table(
    "leases",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("token", BigInteger, nullable=False),  # counts up with every holder and never goes back
    Column("lease_id", Text),  # null: free
    Column("operation", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("run_url", Text),
    Column("commit", Text),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("boot_id", Text, nullable=False),
    Column("pid_namespace", Text, nullable=False),
    Column("process_started", Text, nullable=False),
    Column("acquired_at", Text, nullable=False),
    Column("beat_at", Text, nullable=False),
    Column("beat_elapsed", Double, nullable=False),  # seconds since that host's boot
    Column("lease_seconds", Double, nullable=False),
)

AUDIT: Final = Table(
    "audit",
    METADATA,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("entry", Text, nullable=False),
    Column("hash", Text, nullable=False),
)

AUDIT_HEAD: Final = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),  # always 1
    Column("seq", BigInteger, nullable=False),
    Column("hash", Text, nullable=False),
)

KEYS: Final = Table(
    "keys",
    METADATA,
    Column("name", Text, primary_key=True),  # receipt, ledger
    Column("check_value", LargeBinary, nullable=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("rotated_at", Text),
)


def to_text(at: datetime) -> str:
    """A time with a zone, as it is stored."""
    if at.tzinfo is None:
        raise InternalError("a time without a zone was about to be stored")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(text: str) -> datetime:
    """A stored time, in UTC."""
    return datetime.fromisoformat(text)
