"""What earlier passes left planned: looked at once more before it may be sent, and closed where it may not be.

Functions run inside the caller's transaction. Every change names the state it comes from, so that a row that somebody
else has claimed meanwhile stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, func, or_, select, update

from reconciler.core.decide import Decision
from reconciler.core.phi import Phi
from reconciler.store.ledger import COLUMNS, Visit, batched, visit_of
from reconciler.store.ledger_keys import LedgerKeys
from reconciler.store.ledger_outbox import open_payload
from reconciler.store.schema import VISITS, to_text

Closing = Literal["backfilled", "decided", "discarded", "held"]
"""``backfilled``: recorded and never contacted; ``decided``: by a rule, as if it had never been planned;
``discarded``: never made up; ``held``: for a person, with its payload."""

LEDGER_WAS_OLDER: Final = "ledger_was_older"
"""Why a row is held that a ledger which is not the newest had planned: it may have been sent since."""


@dataclass(frozen=True, slots=True)
class Closed:
    """One planned row that is not to be sent, and why."""

    visit: Visit
    closing: Closing
    decision: Decision
    """What ``why`` answers from now on; its outcome counts where the row is ``decided``."""

    @property
    def after(self) -> Visit:
        """The row as it stands once it is closed."""
        if self.closing == "held":
            return replace(self.visit, state="held", reason=self.decision.reason)
        if self.closing == "discarded":
            return replace(self.visit, state="discarded")
        if self.closing == "backfilled":
            return replace(self.visit, state=None, is_backfilled=True)
        return replace(self.visit, state=None, outcome=self.decision.outcome, reason=self.decision.reason)


def waiting(connection: Connection, practice: str, businesses: Collection[int]) -> tuple[Visit, ...]:
    """The planned rows of these locations, without their payloads; earliest visit first."""
    query = select(*COLUMNS).where(
        VISITS.c.practice == practice, VISITS.c.state == "planned", VISITS.c.business.in_(businesses)
    )
    return tuple(visit_of(row) for row in connection.execute(query.order_by(VISITS.c.start, VISITS.c.appointment)))


def held_for_age(connection: Connection, practice: str, businesses: Collection[int]) -> tuple[Visit, ...]:
    """Rows that are held because the ledger was not the newest: a backfill of their day decides them."""
    query = select(*COLUMNS).where(
        VISITS.c.practice == practice,
        VISITS.c.state == "held",
        VISITS.c.reason == LEDGER_WAS_OLDER,
        VISITS.c.business.in_(businesses),
    )
    return tuple(visit_of(row) for row in connection.execute(query.order_by(VISITS.c.start, VISITS.c.appointment)))


def count(connection: Connection, practice: str, businesses: Collection[int], *, day: date | None) -> dict[int, int]:
    """How many planned rows each location has, of one local day where one is given."""
    query = select(VISITS.c.business, func.count().label("number")).where(
        VISITS.c.practice == practice, VISITS.c.state == "planned", VISITS.c.business.in_(businesses)
    )
    if day is not None:
        query = query.where(VISITS.c.day == day.isoformat())
    return {row.business: row.number for row in connection.execute(query.group_by(VISITS.c.business))}


def seen(
    connection: Connection, practice: str, appointments: Sequence[str], *, keys: LedgerKeys
) -> dict[str, dict[str, Any]]:
    """What the payloads of these rows keep of the visit as it was read (see ``ledger.payload``); without it none."""
    columns: tuple[Any, ...] = (VISITS.c.practice, VISITS.c.appointment, VISITS.c.business, VISITS.c.payload)
    found: dict[str, dict[str, Any]] = {}
    for part in batched(appointments):
        query = select(*columns).where(VISITS.c.practice == practice, VISITS.c.appointment.in_(part))
        for row in connection.execute(query):
            opened: Phi[dict[str, Any]] | None = open_payload(row, keys)
            kept = None if opened is None else opened.reveal().get("visit")
            if isinstance(kept, dict):
                found[row.appointment] = kept
    return found


def close(
    connection: Connection, closed: Sequence[Closed], *, pass_id: str, revision: int, now: datetime
) -> tuple[Closed, ...]:
    """Close rows of one location; those that were still as they had been found."""
    return tuple(it for it in closed if _close(connection, it, pass_id, revision, now))


def _close(connection: Connection, it: Closed, pass_id: str, revision: int, now: datetime) -> bool:
    decision = it.decision
    changes: dict[str, Any] = {"pass_id": pass_id, "decided_at": to_text(now)}
    if it.closing in ("decided", "held"):
        changes |= {"reason": decision.reason, "rule": decision.rule, "revision": revision}
        changes["compared"] = json.dumps(decision.compared, separators=(",", ":"), ensure_ascii=False)
    if it.closing == "held":
        # Its outcome stays ``send``: no other visit of the patient's day may be contacted instead.
        changes |= {"state": "held", "settled_at": to_text(now)}
    elif it.closing == "discarded":
        changes |= {"state": "discarded", "settled_at": to_text(now), "payload": None}
    elif it.closing == "backfilled":
        changes |= {"state": None, "settled_at": None, "payload": None, "backfilled": True}
    else:
        changes |= {"state": None, "settled_at": None, "payload": None, "outcome": decision.outcome}
    statement = update(VISITS).where(
        VISITS.c.practice == it.visit.practice,
        VISITS.c.appointment == it.visit.appointment,
        VISITS.c.state == it.visit.state,
    )
    return connection.execute(statement.values(**changes)).rowcount == 1


def mark_backfilled(connection: Connection, practice: str, business: int, first: date, last: date) -> int:
    """Rows of these days that nobody knows the fate of are backfilled too: not to be planned again. How many."""
    statement = update(VISITS).where(
        VISITS.c.practice == practice,
        VISITS.c.business == business,
        or_(VISITS.c.state == "unknown", VISITS.c.state == "intent"),
        VISITS.c.day >= first.isoformat(),
        VISITS.c.day <= last.isoformat(),
    )
    return connection.execute(statement.values(backfilled=True)).rowcount
