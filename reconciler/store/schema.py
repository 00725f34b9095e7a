"""The tables, as the newest migration leaves them.

Times are text, ISO 8601 in UTC with microseconds and ``Z``: they sort as they are and read the same in both databases.
JSON is text too; nothing is searched inside it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Double, Index, Integer, LargeBinary, MetaData, Table, Text, text

from reconciler.errors import InternalError

VERSIONS: Final = ("0001", "0002", "0003", "0004")
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

VISITS: Final = Table(
    "visits",
    METADATA,
    Column("practice", Text, primary_key=True),  # keyed pseudonym
    Column("appointment", Text, primary_key=True),  # keyed pseudonym
    Column("business", BigInteger, nullable=False),  # of the location
    Column("slug", Text, nullable=False),
    Column("patient", Text),  # keyed pseudonym; null where no patient was needed
    Column("day", Text),  # local day of the location
    Column("start", Text),
    Column("outcome", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("rule", Text, nullable=False),
    Column("compared", Text, nullable=False),  # JSON: configuration vocabulary, dates and counts
    Column("revision", Integer, nullable=False),  # of the configuration in force
    Column("pass_id", Text, nullable=False),
    Column("decided_at", Text, nullable=False),
    Column("backfilled", Boolean, nullable=False),
    Column("state", Text),  # of the outbox; null where nothing was ever to be sent
    Column("intent_at", Text),
    Column("settled_at", Text),
    Column("code", Integer),
    Column("customer_id", Text),
    Column("not_found_times", Integer, nullable=False),
    Column("replans", Integer, nullable=False),
    Column("payload", LargeBinary),  # AES-GCM, bound to the row; gone once confirmed or discarded
    Index("visits_state", "state", "business"),
    Index("visits_business", "business", "decided_at"),
    Index(
        "visits_planned",
        "practice",
        "start",
        "appointment",
        sqlite_where=text("state = 'planned'"),
        postgresql_where=text("state = 'planned'"),
    ),
    Index(
        "visits_one_a_day",
        "business",
        "practice",
        "patient",
        "day",
        unique=True,
        sqlite_where=text("outcome = 'send'"),
        postgresql_where=text("outcome = 'send'"),
    ),
)
"""The ledger. One contact per location, practice, patient and local day: the database itself says no to a second."""

SYNC_LOCATIONS: Final = Table(
    "sync_locations",
    METADATA,
    Column("business", BigInteger, primary_key=True, autoincrement=False),
    Column("slug", Text, nullable=False),
    Column("practice", Text, nullable=False),
    Column("mark", Text),  # instant up to which every visit has an outcome
    Column("last_slot", Text),
    Column("last_pass", Text),
    Column("last_success", Text),
    Column("status", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("next_due", Text),
    Column("floor", Text),  # of a pause that ended: nothing before it is made up
    Index("sync_locations_due", "next_due"),
)

SYNC_PAUSES: Final = Table(
    "sync_pauses",
    METADATA,
    Column("business", BigInteger, primary_key=True, autoincrement=False),  # location or parent; 0: all
    Column("since", Text, nullable=False),
    Column("who", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

SYNC_PRACTICES: Final = Table(
    "sync_practices",
    METADATA,
    Column("practice", Text, primary_key=True),
    Column("authorised", Boolean, nullable=False),
    Column("since", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("names", Text),  # JSON list of the location names that Nextech has
    Column("names_at", Text),
)

PASSES: Final = Table(
    "passes",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("practice", Text, nullable=False),
    Column("kind", Text, nullable=False),  # slot, now, date, backfill
    Column("number", BigInteger, nullable=False),
    Column("started_at", Text, nullable=False),
    Column("finished_at", Text),
    Column("report", Text, nullable=False),  # JSON: counts per location, requests
    Index("passes_started_at", "started_at"),
    Index("passes_practice", "practice", "started_at"),
)

VISIT_DAYS: Final = Table(
    "visit_days",
    METADATA,
    Column("business", BigInteger, primary_key=True, autoincrement=False),
    Column("day", Text, primary_key=True),
    Column("eligible", Integer, nullable=False),
)
"""Eligible visits per local day: what a cap compares with."""

SYNC_META: Final = Table(
    "sync_meta",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)
"""``pass_number`` in ``store`` and in ``ledger_store``, and single facts of the runner."""

SYNC_SLOTS: Final = Table(
    "sync_slots",
    METADATA,
    Column("id", Text, primary_key=True),  # practice and slot: submitting one twice is submitting it once
    Column("practice", Text, nullable=False),
    Column("slot", Text, nullable=False),
    Column("state", Text, nullable=False),  # waiting, running, done, failed, cancelled
    Column("submitted_at", Text, nullable=False),
    Column("started_at", Text),
    Column("finished_at", Text),
    Column("worker", Text),
    Column("attempts", Integer, nullable=False),
    Column("detail", Text, nullable=False),
    Index("sync_slots_state", "state", "submitted_at"),
)
"""What the planner has submitted and what became of it."""

REMINDER_LOCATIONS: Final = Table(
    "reminder_locations",
    METADATA,
    Column("business", BigInteger, primary_key=True, autoincrement=False),
    Column("slug", Text, nullable=False),
    Column("practice", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("mark", Text),  # every change up to this instant was told
    Column("checked_at", Text),  # when everything ahead was last looked at
    Column("cursor", Text),  # of Birdeye's requests
    Column("last_slot", Text),
    Column("last_success", Text),
    Column("next_due", Text),
)

REMINDER_APPOINTMENTS: Final = Table(
    "reminder_appointments",
    METADATA,
    Column("business", BigInteger, primary_key=True, autoincrement=False),  # of the location
    Column("external", Text, primary_key=True),  # keyed pseudonym, as sent to Birdeye
    Column("practice", Text, nullable=False),  # keyed pseudonym
    Column("status", Text),  # Birdeye's word; null: perhaps told, perhaps not
    Column("start", Text, nullable=False),
    Column("ends", Text),
    Column("updated_at", Text, nullable=False),  # as it was told
    Column("vanished", Boolean, nullable=False),  # told as cancelled because it was not there any more
    Column("told_at", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # the appointment's id, AES-GCM, bound to the row
    Index("reminder_appointments_start", "business", "start"),
    Index("reminder_appointments_external", "practice", "external"),
)
"""The appointments that Birdeye was told of."""

APPOINTMENT_REQUESTS: Final = Table(
    "appointment_requests",
    METADATA,
    Column("business", BigInteger, primary_key=True, autoincrement=False),  # of the location
    Column("request", Text, primary_key=True),  # Birdeye's id
    Column("practice", Text, nullable=False),  # keyed pseudonym
    Column("slug", Text, nullable=False),
    Column("kind", Text, nullable=False),  # book, confirm, cancel; empty: not known
    Column("state", Text, nullable=False),  # received, intent, unknown, held, answered, reported
    Column("position", BigInteger, nullable=False),  # in the order of arrival
    Column("received_at", Text, nullable=False),
    Column("intent_at", Text),
    Column("tries", Integer, nullable=False),
    Column("outcome", Text),  # accepted, rejected
    Column("external", Text),  # of the appointment, as sent to Birdeye
    Column("settled_at", Text),
    Column("payload", LargeBinary),  # what was asked and why it was refused, AES-GCM; gone once reported
    Index("appointment_requests_state", "business", "state"),
)
"""What patients asked for through Birdeye, and what became of it in Nextech."""


def to_text(at: datetime) -> str:
    """A time with a zone, as it is stored."""
    if at.tzinfo is None:
        raise InternalError("a time without a zone was about to be stored")
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def from_text(stored: str) -> datetime:
    """A stored time, in UTC."""
    return datetime.fromisoformat(stored)
