"""What the reminders remember: where a location stands, which appointments Birdeye was told of, what patients asked for.

Functions run inside the caller's transaction. Ids of appointments and everything that a patient asked for are sealed
(``LedgerKeys``); the rest are keyed pseudonyms, times and states.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, func, select, update

from reconciler.core.phi import Phi
from reconciler.errors import StoreError
from reconciler.store.ledger import batched, moment
from reconciler.store.ledger_keys import LedgerKeys, appointment_aad, request_aad
from reconciler.store.rows import insert_new, upsert
from reconciler.store.schema import (
    APPOINTMENT_REQUESTS,
    REMINDER_APPOINTMENTS,
    REMINDER_LOCATIONS,
    from_text,
    to_text,
)
from reconciler.store.sync_marks import LocationState

RequestState = Literal["received", "intent", "unknown", "held", "answered", "reported"]
OPEN: Final = ("received", "intent", "unknown", "held", "answered")
"""States in which something is left to do."""


@dataclass(frozen=True, slots=True)
class ReminderState:
    """Where the reminders of one location stand."""

    business: int
    slug: str
    practice: str
    """Pseudonym. A location on another practice id begins anew."""
    status: str
    detail: str = ""
    mark: datetime | None = None
    """Every change up to this instant was told."""
    checked_at: datetime | None = None
    """When everything ahead was last looked at."""
    cursor: str | None = None
    """Of Birdeye's requests: everything before is recorded here."""
    last_slot: datetime | None = None
    last_success: datetime | None = None
    next_due: datetime | None = None

    @property
    def flow(self) -> LocationState:
        """As the planner reads a location."""
        return LocationState(
            self.business,
            self.slug,
            self.practice,
            self.status,
            self.detail,
            last_slot=self.last_slot,
            next_due=self.next_due,
        )


def locations(connection: Connection) -> dict[int, ReminderState]:
    """Every location whose reminders ever ran, by business."""
    return {
        row.business: ReminderState(
            business=row.business,
            slug=row.slug,
            practice=row.practice,
            status=row.status,
            detail=row.detail,
            mark=moment(row.mark),
            checked_at=moment(row.checked_at),
            cursor=row.cursor,
            last_slot=moment(row.last_slot),
            last_success=moment(row.last_success),
            next_due=moment(row.next_due),
        )
        for row in connection.execute(select(REMINDER_LOCATIONS))
    }


def put(connection: Connection, state: ReminderState) -> None:
    """Record a location."""
    row = {
        "business": state.business,
        "slug": state.slug,
        "practice": state.practice,
        "status": state.status,
        "detail": state.detail,
        "mark": _text(state.mark),
        "checked_at": _text(state.checked_at),
        "cursor": state.cursor,
        "last_slot": _text(state.last_slot),
        "last_success": _text(state.last_success),
        "next_due": _text(state.next_due),
    }
    upsert(connection, REMINDER_LOCATIONS, [row])


# appointments ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AppointmentRow:
    """One appointment that Birdeye was told of, or is about to be told of."""

    business: int
    external: str
    """Pseudonym, as sent."""
    practice: str
    status: str | None
    """Birdeye's word; None: it was about to be told, and whether it was is not known."""
    start: datetime
    end: datetime | None
    updated_at: datetime
    is_vanished: bool = False


def known(connection: Connection, practice: str, externals: Iterable[str]) -> dict[tuple[int, str], AppointmentRow]:
    """The rows of these appointments of a practice, by business and external id."""
    found = {}
    table = REMINDER_APPOINTMENTS
    for part in batched(externals):
        query = select(*_PLAIN).where(table.c.practice == practice, table.c.external.in_(part))
        for row in connection.execute(query):
            found[row.business, row.external] = _appointment(row)
    return found


def ahead(
    connection: Connection, business: int, practice: str, *, after: datetime, to: datetime
) -> list[AppointmentRow]:
    """What Birdeye knows of a location from ``after`` to ``to`` and was not told to be cancelled, by start."""
    table = REMINDER_APPOINTMENTS
    query = select(*_PLAIN).where(
        table.c.business == business,
        table.c.practice == practice,
        table.c.start > to_text(after),
        table.c.start <= to_text(to),
        table.c.status.is_(None) | (table.c.status != "cancelled"),
    )
    return [_appointment(row) for row in connection.execute(query.order_by(table.c.start, table.c.external))]


def one(connection: Connection, business: int, practice: str, external: str) -> AppointmentRow | None:
    """One appointment of a location."""
    return known(connection, practice, [external]).get((business, external))


def reveal_id(connection: Connection, keys: LedgerKeys, row: AppointmentRow) -> Phi[str]:
    """Nextech's id of an appointment."""
    table = REMINDER_APPOINTMENTS
    query = select(table.c.sealed).where(table.c.business == row.business, table.c.external == row.external)
    sealed = connection.execute(query).scalar_one()
    return keys.open(bytes(sealed), appointment_aad(row.business, row.external)).map(lambda it: it.decode())


def announce(
    connection: Connection,
    keys: LedgerKeys,
    rows: Iterable[tuple[AppointmentRow, Phi[str]]],
    *,
    now: datetime,
) -> None:
    """Record appointments before Birdeye is told of them for the first time, so that one that vanishes is known.

    Each with Nextech's id. Those that are known stay as they are.
    """
    keys.ensure_current(connection)
    for row, ident in rows:
        sealed = keys.seal(ident.map(str.encode), appointment_aad(row.business, row.external))
        insert_new(connection, REMINDER_APPOINTMENTS, _values(row, now) | {"sealed": sealed})


def told(connection: Connection, rows: Iterable[AppointmentRow], *, now: datetime) -> None:
    """Record what Birdeye knows now."""
    table = REMINDER_APPOINTMENTS
    for row in rows:
        values = _values(row, now)
        where = (table.c.business == row.business) & (table.c.external == row.external)
        connection.execute(update(table).where(where).values(**values))


def _values(row: AppointmentRow, now: datetime) -> dict[str, Any]:
    return {
        "business": row.business,
        "external": row.external,
        "practice": row.practice,
        "status": row.status,
        "start": to_text(row.start),
        "ends": _text(row.end),
        "updated_at": to_text(row.updated_at),
        "vanished": row.is_vanished,
        "told_at": to_text(now),
    }


_PLAIN: Final = [it for it in REMINDER_APPOINTMENTS.c if it.name != "sealed"]


def _appointment(row: Row[Any]) -> AppointmentRow:
    return AppointmentRow(
        business=row.business,
        external=row.external,
        practice=row.practice,
        status=row.status,
        start=from_text(row.start),
        end=moment(row.ends),
        updated_at=from_text(row.updated_at),
        is_vanished=bool(row.vanished),
    )


def appointment_counts(connection: Connection) -> dict[int, dict[str, int]]:
    """How many appointments of each status Birdeye was told of, by business; ``unknown`` where nobody knows."""
    table = REMINDER_APPOINTMENTS
    query = select(table.c.business, table.c.status, func.count()).group_by(table.c.business, table.c.status)
    found: dict[int, dict[str, int]] = {}
    for business, status, count in connection.execute(query):
        found.setdefault(business, {})[status or "unknown"] = count
    return found


# requests --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request of a patient and how far it is."""

    business: int
    request: str
    """Birdeye's id."""
    practice: str
    slug: str
    kind: str
    state: RequestState
    received_at: datetime
    intent_at: datetime | None = None
    tries: int = 0
    outcome: str | None = None
    external: str | None = None
    payload: Phi[Mapping[str, Any]] | None = None
    """``item``: as Birdeye gave it; ``patient``: Nextech's id of the patient it was booked for; ``reason``."""


def receive(
    connection: Connection,
    keys: LedgerKeys,
    items: Sequence[tuple[str, str, Phi[Any]]],
    *,
    business: int,
    practice: str,
    slug: str,
    now: datetime,
) -> int:
    """Record requests (id, kind, item), in order; how many are new. One that is known is never taken a second time."""
    keys.ensure_current(connection)
    table = APPOINTMENT_REQUESTS
    query = select(func.coalesce(func.max(table.c.position), 0)).where(table.c.business == business)
    position = int(connection.execute(query).scalar_one())
    new = 0
    for ident, kind, item in items:
        position += 1
        row = {
            "business": business,
            "request": ident,
            "practice": practice,
            "slug": slug,
            "kind": kind,
            "state": "received",
            "position": position,
            "received_at": to_text(now),
            "intent_at": None,
            "tries": 0,
            "outcome": None,
            "external": None,
            "settled_at": None,
            "payload": _sealed(keys, business, ident, Phi({"item": item.reveal()})),
        }
        new += insert_new(connection, table, row)
    return new


def open_requests(connection: Connection, keys: LedgerKeys, business: int, practice: str) -> list[RequestRow]:
    """The requests of a location that are not reported yet, in order, with what was asked."""
    table = APPOINTMENT_REQUESTS
    query = select(table).where(table.c.business == business, table.c.practice == practice, table.c.state.in_(OPEN))
    return [_request(keys, row) for row in connection.execute(query.order_by(table.c.position))]


def put_request(connection: Connection, keys: LedgerKeys, row: RequestRow, *, now: datetime) -> None:
    """Record how far a request is; what was asked is forgotten once its outcome is reported."""
    table = APPOINTMENT_REQUESTS
    payload = None
    if row.state != "reported" and row.payload is not None:
        keys.ensure_current(connection)
        payload = _sealed(keys, row.business, row.request, row.payload)
    values = {
        "state": row.state,
        "intent_at": _text(row.intent_at),
        "tries": row.tries,
        "outcome": row.outcome,
        "external": row.external,
        "settled_at": to_text(now) if row.outcome is not None else None,
        "payload": payload,
    }
    where = (table.c.business == row.business) & (table.c.request == row.request)
    connection.execute(update(table).where(where).values(**values))


def request_counts(connection: Connection) -> dict[int, Counter[str]]:
    """Requests by business and state; a reported one by its outcome."""
    table = APPOINTMENT_REQUESTS
    columns = (table.c.business, table.c.state, table.c.outcome)
    found: dict[int, Counter[str]] = {}
    for business, state, outcome, count in connection.execute(select(*columns, func.count()).group_by(*columns)):
        found.setdefault(business, Counter())[outcome if state == "reported" else state] += count
    return found


def _request(keys: LedgerKeys, row: Row[Any]) -> RequestRow:
    payload = None
    if row.payload is not None:
        opened = keys.open(bytes(row.payload), request_aad(row.business, row.request))
        payload = opened.map(_loaded)
    return RequestRow(
        business=row.business,
        request=row.request,
        practice=row.practice,
        slug=row.slug,
        kind=row.kind,
        state=row.state,
        received_at=from_text(row.received_at),
        intent_at=moment(row.intent_at),
        tries=row.tries,
        outcome=row.outcome,
        external=row.external,
        payload=payload,
    )


def _loaded(text: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise StoreError("the ledger holds a request that cannot be read")
    return found


def _sealed(keys: LedgerKeys, business: int, request: str, payload: Phi[Mapping[str, Any]]) -> bytes:
    text = payload.map(lambda it: json.dumps(dict(it), ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return keys.seal(text, request_aad(business, request))


def _text(at: datetime | None) -> str | None:
    return None if at is None else to_text(at)
