"""What the ledger forgets, and when. What keeps a patient from being contacted twice goes last, and tells that it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, select, tuple_, update

from reconciler.store.ledger import batched
from reconciler.store.rows import upsert
from reconciler.store.schema import (
    APPOINTMENT_REQUESTS,
    PASSES,
    REMINDER_APPOINTMENTS,
    SYNC_META,
    VISIT_DAYS,
    VISITS,
    from_text,
    to_text,
)

FORGOTTEN: Final = "forgotten_before"
WHOLE_DAY: Final = timedelta(days=2)
"""A row also stood for every other visit of its patient on its local day. That day had ended when the row was decided,
unless a clock was wrong; whatever the clock said, the whole of it is forgotten."""
_OPEN: Final = ("planned", "intent", "unknown", "held")


@dataclass(frozen=True, slots=True)
class Retained:
    """What ``retain`` did."""

    reduced: int
    """Rows that lost everything but keys, outcome and state."""
    deleted: int
    """Rows that are gone."""


def retain(
    connection: Connection, *, now: datetime, retention_days: int, keep_keys_days: int, limit: int = 5_000
) -> Retained:
    """Reduce rows of decisions older than ``retention_days``; delete those older than ``keep_keys_days`` too.

    At most ``limit`` of each at a time. Rows that wait to be sent or for a person stay whole. ``keep_keys_days`` is
    the longest look-back with a margin and not less than ``retention_days``; visits that start before
    ``forgotten_before`` must never be contacted afterwards. Passes and counts per day go after ``retention_days``, and
    so do appointments that Birdeye was told of and requests whose outcome it knows.
    """
    old = to_text(now - timedelta(days=retention_days))
    gone = now - timedelta(days=max(keep_keys_days, retention_days))
    is_done = VISITS.c.state.is_(None) | VISITS.c.state.not_in(_OPEN)
    past = (is_done, VISITS.c.decided_at < to_text(gone), VISITS.c.start.is_(None) | (VISITS.c.start < to_text(gone)))
    doomed = _keys(connection, past, limit)
    if doomed:
        # Before the rows go, so that no crash leaves them gone and nobody told.
        before, bound = forgotten_before(connection), gone + WHOLE_DAY
        if before is None or bound > before:
            upsert(connection, SYNC_META, [{"name": FORGOTTEN, "value": to_text(bound)}])
    for part in batched(doomed):
        connection.execute(delete(VISITS).where(tuple_(VISITS.c.practice, VISITS.c.appointment).in_(part)))
    faded = _keys(connection, (is_done, VISITS.c.decided_at < old, VISITS.c.rule != ""), limit)
    nothing: dict[str, Any] = {"rule": "", "compared": "[]", "customer_id": None, "payload": None}
    for part in batched(faded):
        statement = update(VISITS).where(tuple_(VISITS.c.practice, VISITS.c.appointment).in_(part))
        connection.execute(statement.values(**nothing))
    connection.execute(delete(PASSES).where(PASSES.c.started_at < old))
    day = (now - timedelta(days=retention_days)).date().isoformat()
    connection.execute(delete(VISIT_DAYS).where(VISIT_DAYS.c.day < day))
    connection.execute(delete(REMINDER_APPOINTMENTS).where(REMINDER_APPOINTMENTS.c.start < old))
    is_reported = APPOINTMENT_REQUESTS.c.state == "reported"
    connection.execute(delete(APPOINTMENT_REQUESTS).where(is_reported, APPOINTMENT_REQUESTS.c.settled_at < old))
    return Retained(len(faded), len(doomed))


def _keys(connection: Connection, where: tuple[Any, ...], limit: int) -> list[tuple[str, str]]:
    query = select(VISITS.c.practice, VISITS.c.appointment).where(*where).limit(limit)
    return [(row.practice, row.appointment) for row in connection.execute(query)]


def forgotten_before(connection: Connection) -> datetime | None:
    """Rows of visits that start before this moment may be gone: nothing before it may be contacted."""
    found = connection.execute(select(SYNC_META.c.value).where(SYNC_META.c.name == FORGOTTEN)).scalar_one_or_none()
    return None if found is None else from_text(found)
