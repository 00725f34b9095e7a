"""Finding ledger rows by the short id that logs and lists show, whatever their state."""

from __future__ import annotations

from sqlalchemy import Connection, select

from reconciler.store.ledger import Visit, visit_of
from reconciler.store.schema import VISITS

MOST = 20


def by_short_id(connection: Connection, short_id: str) -> tuple[Visit, ...]:
    """The rows whose appointment pseudonym begins so (lower-case hex); at most ``MOST``."""
    end = short_id + "g"  # the first text behind every one that begins so
    query = select(VISITS).where(VISITS.c.appointment >= short_id, VISITS.c.appointment < end)
    found = connection.execute(query.order_by(VISITS.c.appointment).limit(MOST))
    return tuple(visit_of(row) for row in found)
