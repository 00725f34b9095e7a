"""What people do with ledger rows: list those that wait for them, have one sent again, give one up.

Functions run inside the caller's transaction; the audit record of an action is the caller's (``workflow.holding``).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Select, select, update

from reconciler.core.ledger_rules import KEEPS_PAYLOAD, MOVES, State
from reconciler.core.phi import Phi
from reconciler.errors import UsageError
from reconciler.store.ledger import COLUMNS, Visit, visit_of
from reconciler.store.ledger_keys import LedgerKeys
from reconciler.store.ledger_outbox import open_payload
from reconciler.store.schema import VISITS, to_text

SHORTEST_ID: Final = 8
RESENT: Final = "resend"
"""The rule of a row that a person had sent again."""


@dataclass(frozen=True, slots=True)
class HeldVisit:
    """A row that waits for a person, with its appointment id in clear, for the operator's eyes."""

    visit: Visit
    appointment_id: Phi[str] | None
    """None where the payload cannot be opened."""
    has_contact: bool
    """Can it be sent again?"""


def held(
    connection: Connection,
    *,
    keys: LedgerKeys,
    states: Collection[State] = ("held", "unknown"),
    businesses: Collection[int] | None = None,
) -> tuple[HeldVisit, ...]:
    """Rows in these states, by location, start and appointment."""
    query: Select[Any] = select(*COLUMNS, VISITS.c.payload).where(VISITS.c.state.in_(states))
    if businesses is not None:
        query = query.where(VISITS.c.business.in_(businesses))
    query = query.order_by(VISITS.c.business, VISITS.c.start, VISITS.c.appointment)
    found = []
    for row in connection.execute(query):
        opened = open_payload(row, keys)
        clear = {} if opened is None else opened.reveal()
        appointment = clear.get("appointment")
        has_contact = isinstance(clear.get("body"), dict)
        shown = Phi(appointment) if isinstance(appointment, str) else None
        found.append(HeldVisit(visit_of(row), shown, has_contact))
    return tuple(found)


def find(connection: Connection, ids: Sequence[str]) -> tuple[Visit, ...]:
    """The outbox rows with these ids (the start of an appointment's pseudonym, 8 digits or more), each once.

    Raises ``UsageError`` for one that names no row or several.
    """
    found: dict[tuple[str, str], Visit] = {}
    for given in ids:
        it = given.strip().lower()
        if len(it) < SHORTEST_ID or not set(it) <= set("0123456789abcdef"):
            raise UsageError("an id is 8 or more hex digits", hint="copy it from `reconciler held list`")
        query = select(*COLUMNS).where(VISITS.c.state.is_not(None), VISITS.c.appointment.startswith(it)).limit(2)
        rows = connection.execute(query).all()
        if len(rows) != 1:
            what = "no visit" if not rows else "several visits"
            raise UsageError(f"the id {it} names {what}", hint="copy it from `reconciler held list`")
        visit = visit_of(rows[0])
        found[visit.practice, visit.appointment] = visit
    return tuple(found.values())


def move(connection: Connection, visits: Sequence[Visit], to: State, *, keys: LedgerKeys, now: datetime) -> int:
    """Make a person's move (``planned`` or ``discarded``); how many rows.

    Raises ``UsageError``, changing nothing, where a row's state has no such move or nothing could be sent.
    """
    for it in visits:
        if it.state is None or MOVES.get((it.state, to)) != "person":
            word = "sent again" if to == "planned" else "discarded"
            raise UsageError(f"the visit {it.id} is {it.state}: it cannot be {word}; nothing was changed")
        row = connection.execute(select(VISITS).where(*_is(it)).with_for_update()).one_or_none()
        if row is None:
            raise UsageError(f"the visit {it.id} changed meanwhile; nothing was changed", hint="list and try again")
        opened = open_payload(row, keys)
        if to == "planned" and (opened is None or not isinstance(opened.reveal().get("body"), dict)):
            raise UsageError(
                f"the visit {it.id} has no contact that could be sent ({it.reason or it.state}); nothing was changed",
                hint="discard it",
            )
    # A person who has looked begins anew: what is unknown afterwards may be planned again once more.
    changes: dict[str, Any] = {"state": to, "not_found_times": 0, "replans": 0, "code": None}
    changes["settled_at"] = None if to == "planned" else to_text(now)
    if to == "planned":
        changes |= {"rule": RESENT, "reason": "", "compared": "[]"}
    if to not in KEEPS_PAYLOAD:
        changes["payload"] = None
    return sum(connection.execute(update(VISITS).where(*_is(it)).values(**changes)).rowcount for it in visits)


def _is(it: Visit) -> tuple[Any, ...]:
    return (VISITS.c.practice == it.practice, VISITS.c.appointment == it.appointment, VISITS.c.state == it.state)
