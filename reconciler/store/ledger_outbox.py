"""What is to be sent: claimed durably before its first request, settled after it, looked up where nobody knows.

Functions run inside the caller's transaction. Every change names the state it comes from and the attempt it is about,
so that of two processes one changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, bindparam, func, literal_column, select, update

from reconciler.core.ledger_rules import KEEPS_PAYLOAD, State
from reconciler.core.phi import Phi
from reconciler.errors import InternalError, StoreError
from reconciler.store.ledger import OPTED_OUT, batched
from reconciler.store.ledger_keys import LedgerKeys, payload_aad
from reconciler.store.rows import json_from_text
from reconciler.store.schema import VISITS, from_text, to_text

FROM: Final[Mapping[State, tuple[State, ...]]] = {
    # An answer that comes after the row was given up for unknown is still an answer. One that says "sent" counts even
    # after the row was planned again or held: otherwise the patient would be contacted once more.
    "confirmed": ("intent", "unknown", "planned", "held"),
    "failed": ("intent",),
    "planned": ("intent",),
    "unknown": ("intent",),
    "held": ("unknown",),
}
"""From which states an outcome of a request takes a row."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that is ours to send, or to look up."""

    practice: str
    appointment: str
    business: int
    slug: str
    intent_at: datetime
    body: Phi[dict[str, Any]] | None = field(repr=False)
    """Of the check-in; None where the payload is damaged or has no contact."""
    not_found_times: int = 0
    replans: int = 0
    is_opted_out: bool = False
    """Given up instead of claimed: its contact had opted out. Nothing may be sent."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a claimed row."""

    practice: str
    appointment: str
    intent_at: datetime
    """Of the attempt that this is about: a later attempt is left alone."""
    state: State
    at: datetime
    code: int | None = None
    customer_id: str | None = None


def claim(
    connection: Connection,
    practice: str,
    businesses: Collection[int],
    *,
    keys: LedgerKeys,
    limit: int,
    now: datetime,
    day: date | None = None,
    has_opted_out: Callable[[Claimed], bool] = lambda it: False,
) -> tuple[Claimed, ...]:
    """Move up to ``limit`` rows from ``planned`` to ``intent``, earliest visit first, and open them; of ``day`` alone.

    Those of whom ``has_opted_out`` says so become ``discarded`` for good instead, and are returned as such.
    """
    keys.ensure_current(connection)
    # The state in so many words, not as a parameter: only so does SQLite use the partial index.
    is_planned = VISITS.c.state == literal_column("'planned'")
    planned = [VISITS.c.practice == practice, is_planned, VISITS.c.business.in_(businesses)]
    if day is not None:
        planned.append(VISITS.c.day == day.isoformat())
    query = select(*_OPENED).where(*planned).order_by(VISITS.c.start, VISITS.c.appointment).limit(limit)
    found = connection.execute(query.with_for_update(skip_locked=True)).all()
    if not found:
        return ()
    opened = [_claimed(row, keys, now) for row in found]
    opened = [replace(it, body=None, is_opted_out=True) if has_opted_out(it) else it for it in opened]
    at = to_text(now)
    intent = {"state": "intent", "intent_at": at, "settled_at": None}
    # An attempt of another pass is remembered: its answer may still come, and says what it says.
    given_up = {"state": "discarded", "settled_at": at, "payload": None, "outcome": OPTED_OUT.outcome}
    given_up |= {"reason": OPTED_OUT.reason, "rule": OPTED_OUT.rule, "compared": "[]"}
    for values, chosen in ((intent, False), (given_up, True)):
        for part in batched(it.appointment for it in opened if it.is_opted_out is chosen):
            statement = update(VISITS).where(*planned, VISITS.c.appointment.in_(part))
            if connection.execute(statement.values(**values)).rowcount != len(part):
                raise InternalError("planned rows changed hands while they were claimed")
    return tuple(opened)


_OPENED: Final[tuple[Any, ...]] = (
    VISITS.c.practice,
    VISITS.c.appointment,
    VISITS.c.business,
    VISITS.c.slug,
    VISITS.c.intent_at,
    VISITS.c.not_found_times,
    VISITS.c.replans,
    VISITS.c.payload,
)


def _claimed(row: Row[Any], keys: LedgerKeys, intent_at: datetime) -> Claimed:
    opened = open_payload(row, keys)
    body = None if opened is None else opened.reveal().get("body")
    return Claimed(
        practice=row.practice,
        appointment=row.appointment,
        business=row.business,
        slug=row.slug,
        intent_at=intent_at,
        body=Phi(body) if isinstance(body, dict) else None,
        not_found_times=row.not_found_times,
        replans=row.replans,
    )


def open_payload(row: Row[Any], keys: LedgerKeys) -> Phi[dict[str, Any]] | None:
    """The payload of a row with ``practice``, ``appointment``, ``business``, ``payload``; None where it is damaged."""
    if row.payload is None:
        return None
    try:
        opened = keys.open(bytes(row.payload), payload_aad(row.practice, row.appointment, row.business))
        document = json_from_text(opened.reveal().decode())
    except (StoreError, UnicodeDecodeError):
        return None
    return Phi(document) if isinstance(document, dict) else None


def settle(connection: Connection, settlements: Iterable[Settlement]) -> int:
    """Record outcomes of requests; how many rows changed. Payloads go where the state keeps none."""
    changed = 0
    by_state: dict[State, list[Settlement]] = {}
    for it in settlements:
        by_state.setdefault(it.state, []).append(it)
    for state, group in by_state.items():
        statement = _SETTLE[state]
        for it in group:
            values = {
                "of": it.practice,
                "one": it.appointment,
                "attempt": to_text(it.intent_at),
                "to_at": to_text(it.at),
                "to_code": it.code,
                "to_customer": it.customer_id,
            }
            changed += connection.execute(statement, values).rowcount
    return changed


def _settling(state: State, before: tuple[State, ...]) -> Any:
    # Released as never sent, the attempt is forgotten: the next one is a new one.
    changes: dict[str, Any] = {"state": state, "settled_at": None if state == "planned" else bindparam("to_at")}
    changes |= {"code": bindparam("to_code"), "customer_id": bindparam("to_customer")}
    if state not in KEEPS_PAYLOAD:
        changes["payload"] = None
    row = (VISITS.c.practice == bindparam("of"), VISITS.c.appointment == bindparam("one"))
    attempt = VISITS.c.intent_at == bindparam("attempt")
    return update(VISITS).where(*row, attempt, VISITS.c.state.in_(before)).values(**changes)


_SETTLE: Final[Mapping[State, Any]] = {state: _settling(state, before) for state, before in FROM.items()}


def adopt_orphans(connection: Connection, practice: str, *, now: datetime) -> int:
    """Intents that a dead process left behind are unknown from now on. Only under the practice's lease.

    From *now*, not from the intent: the dead process may have sent its last request a moment ago.
    """
    orphans = update(VISITS).where(VISITS.c.practice == practice, VISITS.c.state == "intent")
    return connection.execute(orphans.values(state="unknown", settled_at=to_text(now), not_found_times=0)).rowcount


def unknown_due(
    connection: Connection,
    practice: str,
    *,
    keys: LedgerKeys,
    before: datetime,
    limit: int,
    after: tuple[datetime, str] | None = None,
) -> tuple[tuple[datetime, Claimed], ...]:
    """Unknown rows whose last request ended, or was found unfinished, at this moment or before it; oldest first.

    Each with that moment. ``after``: go on behind (moment, appointment) of the last one.
    """
    query: Select[Any] = select(*_OPENED, VISITS.c.settled_at).where(
        VISITS.c.practice == practice, VISITS.c.state == "unknown", VISITS.c.settled_at <= to_text(before)
    )
    if after is not None:
        since = to_text(after[0])
        query = query.where(
            (VISITS.c.settled_at > since) | ((VISITS.c.settled_at == since) & (VISITS.c.appointment > after[1]))
        )
    query = query.order_by(VISITS.c.settled_at, VISITS.c.appointment).limit(limit)
    return tuple(
        (from_text(row.settled_at), _claimed(row, keys, from_text(row.intent_at))) for row in connection.execute(query)
    )


def resolve(connection: Connection, it: Claimed, to: State | None, *, now: datetime, customer_id: str | None) -> bool:
    """What a look-up found: the row's next state, or None where it was not found for the first time; if it changed.

    ``planned`` counts as one more plan of the same contact.
    """
    row = (VISITS.c.practice == it.practice, VISITS.c.appointment == it.appointment, VISITS.c.state == "unknown")
    statement = update(VISITS).where(*row, VISITS.c.intent_at == to_text(it.intent_at))
    changes: dict[str, Any] = {"not_found_times": it.not_found_times + 1} if to is None else {"state": to}
    if to in {"confirmed", "held"}:
        changes |= {"settled_at": to_text(now), "customer_id": customer_id}
    if to == "planned":
        changes |= {"settled_at": None, "not_found_times": 0, "replans": VISITS.c.replans + 1}
    if to is not None and to not in KEEPS_PAYLOAD:
        changes["payload"] = None
    return connection.execute(statement.values(**changes)).rowcount == 1


def has_rival(connection: Connection, it: Claimed) -> bool:
    """Another visit of the same patient may have caused what Birdeye's log shows since this row's intent."""
    ours = VISITS.alias()
    same = (ours.c.practice == it.practice, ours.c.appointment == it.appointment)
    patient = select(ours.c.patient).where(*same).scalar_subquery()
    query = select(VISITS.c.appointment).where(
        VISITS.c.practice == it.practice,
        VISITS.c.patient == patient,
        VISITS.c.appointment != it.appointment,
        VISITS.c.intent_at.is_not(None),
        VISITS.c.settled_at.is_(None) | (VISITS.c.settled_at >= to_text(it.intent_at)),
    )
    return connection.execute(query.limit(1)).first() is not None


def is_of_another(connection: Connection, it: Claimed, customer_id: str) -> bool:
    """Is this contact of Birdeye's known as another patient's, or did another visit of this one make it?"""
    ours = VISITS.alias()
    same = (ours.c.practice == it.practice, ours.c.appointment == it.appointment)
    patient = select(ours.c.patient).where(*same).scalar_subquery()
    is_other = (VISITS.c.practice != it.practice) | (VISITS.c.patient != patient) | VISITS.c.patient.is_(None)
    not_this = (VISITS.c.practice != it.practice) | (VISITS.c.appointment != it.appointment)
    query = select(VISITS.c.appointment).where(VISITS.c.customer_id == customer_id, is_other, not_this)
    return connection.execute(query.limit(1)).first() is not None


def next_unknown(connection: Connection, practice: str) -> datetime | None:
    """Since when the oldest unknown row of a practice is unknown; None where there is none."""
    query = select(func.min(VISITS.c.settled_at)).where(VISITS.c.practice == practice, VISITS.c.state == "unknown")
    found = connection.execute(query).scalar_one()
    return None if found is None else from_text(found)


def discard_planned(connection: Connection, businesses: Sequence[int], *, now: datetime) -> int:
    """What was planned when these locations stopped being contacted is never made up; how many rows."""
    statement = update(VISITS).where(VISITS.c.state == "planned", VISITS.c.business.in_(businesses))
    return connection.execute(statement.values(state="discarded", settled_at=to_text(now), payload=None)).rowcount
