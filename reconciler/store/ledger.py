"""The ledger: the last decision on every visit, and what became of those that were to be sent.

Functions run inside the caller's transaction. Practices, appointments and patients are keyed pseudonyms
(``sync.pseudonyms``); what is in clear of a person stands only in payloads, sealed and bound to their row.
One contact per location business, practice, patient and local day is the database's own rule (``visits_one_a_day``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from typing import Any, Final, Literal, TypeVar

from sqlalchemy import Connection, Row, func, select, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from reconciler.core.decide import Decision, Recorded, is_final
from reconciler.core.ledger_rules import State
from reconciler.core.phi import Phi
from reconciler.errors import InternalError
from reconciler.store.ledger_keys import LedgerKeys, payload_aad
from reconciler.store.rows import json_from_text
from reconciler.store.schema import SYNC_LOCATIONS, VISITS, from_text, to_text

T = TypeVar("T")

CHUNK: Final = 400
"""Parameters of one ``IN``: well below what either database takes."""
DUPLICATE: Final = Decision("skipped", "duplicate_visit", "one contact a day")
OPTED_OUT: Final = Decision("skipped", "opted_out", "opt-out feed")
"""Of a visit that was to be sent, once its patient had opted out meanwhile."""

Effect = Literal["new", "again", "kept", "duplicate"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One decided visit, to be recorded."""

    appointment: str
    """Pseudonym."""
    business: int
    """Of the location."""
    slug: str
    decision: Decision
    revision: int
    """Of the configuration in force."""
    patient: str | None = None
    """Pseudonym."""
    day: date | None = None
    """Local day of the location."""
    start: datetime | None = None
    payload: Phi[dict[str, Any]] | None = field(default=None, repr=False)
    """For ``send`` (with ``appointment`` and ``body``, see ``payload``) and ``held`` (``appointment`` alone)."""


@dataclass(frozen=True, slots=True)
class Result:
    """What recording an entry did, and how the visit stands now."""

    entry: Entry
    effect: Effect
    """``new`` or decided ``again``: recorded as given; ``kept``: the earlier decision is final and stands;
    ``duplicate``: the guard of one contact a day stopped it, recorded as skipped."""
    outcome: str
    reason: str
    state: State | None
    """Of the outbox; None where nothing was ever to be sent."""

    @property
    def is_planned(self) -> bool:
        """Will ``deliver`` send it?"""
        return self.state == "planned"

    @property
    def is_already_sent(self) -> bool:
        """Was it contacted by an earlier pass?"""
        return self.effect == "kept" and self.state == "confirmed"


@dataclass(frozen=True, slots=True)
class Visit:
    """A row as it stands, without its payload."""

    practice: str
    appointment: str
    business: int
    slug: str
    outcome: str
    reason: str
    rule: str
    compared: tuple[tuple[str, Any], ...]
    revision: int
    pass_id: str
    decided_at: datetime
    is_backfilled: bool
    day: date | None
    start: datetime | None
    state: State | None
    intent_at: datetime | None
    settled_at: datetime | None
    code: int | None
    customer_id: str | None
    not_found_times: int
    replans: int

    @property
    def recorded(self) -> Recorded:
        """As ``core.decide.is_final`` takes it."""
        return Recorded(self.outcome, self.reason, self.state is not None, self.is_backfilled)

    @property
    def id(self) -> str:
        """How a person names the row: the start of the appointment's pseudonym."""
        return self.appointment[:12]


def payload(
    appointment_id: Phi[str], body: Phi[dict[str, Any]] | None = None, visit: Mapping[str, Any] | None = None
) -> Phi[dict[str, Any]]:
    """What is sealed: the appointment id in clear and, where a contact was made, the body of its check-in.

    ``visit``: what filters look at, as it was read, so that narrower ones can be applied to a row that still waits.
    """
    sealed = {"appointment": appointment_id.reveal(), "body": None if body is None else body.reveal()}
    return Phi(sealed if visit is None else sealed | {"visit": dict(visit)})


def record(
    connection: Connection,
    practice: str,
    entries: Iterable[Entry],
    *,
    keys: LedgerKeys,
    pass_id: str,
    now: datetime,
    backfill: bool = False,
) -> tuple[Result, ...]:
    """Record the decisions on a page of visits, in the order given: one result for each.

    A ``send`` becomes ``planned`` with its payload sealed, ``held`` is held from the start; with ``backfill`` neither
    ever is sent: the decision is recorded and final. A visit whose last decision is final keeps it. An appointment may
    be given once. Raises ``StoreError`` where the ledger key was rotated meanwhile.
    """
    given = tuple(entries)
    if len({it.appointment for it in given}) != len(given):
        raise InternalError("an appointment was given twice")
    keys.ensure_current(connection)
    recording = _Recording(connection, practice, keys, pass_id, now, backfill)
    known = last(connection, practice, (it.appointment for it in given))
    fresh = [it for it in given if it.appointment not in known]
    results = {it.appointment: recording.again(it, known[it.appointment]) for it in given if it.appointment in known}
    results |= recording.insert(fresh)
    return tuple(results[it.appointment] for it in given)


@dataclass(frozen=True, slots=True)
class _Recording:
    """One call of ``record``."""

    connection: Connection
    practice: str
    keys: LedgerKeys
    pass_id: str
    now: datetime
    backfill: bool

    def insert(self, entries: Sequence[Entry]) -> dict[str, Result]:
        """Rows of visits that had none. The database says which of them it took."""
        if not entries:
            return {}
        dialect = postgresql.insert if self.connection.dialect.name == "postgresql" else sqlite.insert
        statement = dialect(VISITS).on_conflict_do_nothing()
        self.connection.execute(statement, [self._row(it, it.decision) for it in entries])
        found = last(self.connection, self.practice, (it.appointment for it in entries))
        missing = [it for it in entries if it.appointment not in found]
        if missing:  # the guard of one contact a day took none of these
            self.connection.execute(statement, [self._row(it, DUPLICATE) for it in missing])
            found |= last(self.connection, self.practice, (it.appointment for it in missing))
        results = {}
        for it in entries:
            row = found.get(it.appointment)
            if row is None:
                raise InternalError("a decision was taken neither as it is nor as a duplicate")
            ours = row.pass_id == self.pass_id and row.decided_at == self.now
            effect: Effect = "kept" if not ours else "new" if row.reason == it.decision.reason else "duplicate"
            results[it.appointment] = _result(it, row, effect)
        return results

    def again(self, entry: Entry, row: Visit) -> Result:
        """A visit that has a row: decided anew unless its last decision is final."""
        if is_final(row.recorded):
            return _result(entry, row, "kept")
        effect: Effect = "again"
        if not self._update(entry, entry.decision, row):
            effect = "duplicate"
            self._update(entry, DUPLICATE, row)
        after = last(self.connection, self.practice, (entry.appointment,))[entry.appointment]
        if after.pass_id != self.pass_id or after.decided_at != self.now:
            effect = "kept"  # another process decided it between our look and our change
        return _result(entry, after, effect)

    def _update(self, entry: Entry, decision: Decision, row: Visit) -> bool:
        """Whether the guard let the change through."""
        same = (
            VISITS.c.practice == self.practice,
            VISITS.c.appointment == entry.appointment,
            VISITS.c.state.is_(None),
            VISITS.c.decided_at == to_text(row.decided_at),
        )
        try:
            with self.connection.begin_nested():
                self.connection.execute(update(VISITS).where(*same).values(**self._row(entry, decision)))
        except IntegrityError:
            return False
        return True

    def _row(self, entry: Entry, decision: Decision) -> dict[str, Any]:
        state: State | None = None
        if not self.backfill and decision is entry.decision:
            state = {"send": "planned", "held": "held"}.get(decision.outcome)  # type: ignore[assignment]
        sealed = None
        if state is not None:
            if entry.payload is None:
                raise InternalError(f"a visit to be {decision.outcome} has no payload")
            text = entry.payload.map(lambda it: json.dumps(it, separators=(",", ":")).encode())
            sealed = self.keys.seal(text, payload_aad(self.practice, entry.appointment, entry.business))
        return {
            "practice": self.practice,
            "appointment": entry.appointment,
            "business": entry.business,
            "slug": entry.slug,
            "patient": entry.patient,
            "day": None if entry.day is None else entry.day.isoformat(),
            "start": None if entry.start is None else to_text(entry.start),
            "outcome": decision.outcome,
            "reason": decision.reason,
            "rule": decision.rule,
            "compared": json.dumps(decision.compared, separators=(",", ":"), ensure_ascii=False),
            "revision": entry.revision,
            "pass_id": self.pass_id,
            "decided_at": to_text(self.now),
            "backfilled": self.backfill,
            "state": state,
            "intent_at": None,
            "settled_at": None,
            "code": None,
            "customer_id": None,
            "not_found_times": 0,
            "replans": 0,
            "payload": sealed,
        }


def _result(entry: Entry, row: Visit, effect: Effect) -> Result:
    return Result(entry, effect, row.outcome, row.reason, row.state)


def last(connection: Connection, practice: str, appointments: Iterable[str]) -> dict[str, Visit]:
    """The rows of these appointments, by pseudonym; those never decided are missing."""
    found: dict[str, Visit] = {}
    for part in batched(appointments):
        query = select(*COLUMNS).where(VISITS.c.practice == practice, VISITS.c.appointment.in_(part))
        found |= {row.appointment: visit_of(row) for row in connection.execute(query)}
    return found


def practices(connection: Connection) -> tuple[str, ...]:
    """Every practice that has a row, sorted."""
    return tuple(sorted(connection.execute(select(VISITS.c.practice).distinct()).scalars()))


def why(
    connection: Connection, appointments: Iterable[tuple[str, str]], *, business: int | None = None
) -> tuple[Visit, ...]:
    """The rows of (practice, appointment) pairs, which the caller makes for every known practice; of one location."""
    found = []
    for part in batched(appointments):
        pairs = tuple_(VISITS.c.practice, VISITS.c.appointment).in_(part)
        query = select(*COLUMNS).where(pairs).order_by(VISITS.c.practice, VISITS.c.appointment)
        if business is not None:
            query = query.where(VISITS.c.business == business)
        found += [visit_of(row) for row in connection.execute(query)]
    return tuple(found)


def counts(connection: Connection, businesses: Sequence[int] | None = None) -> dict[int, dict[State, int]]:
    """Rows of the outbox by location and state."""
    query = select(VISITS.c.business, VISITS.c.state, func.count()).where(VISITS.c.state.is_not(None))
    if businesses is not None:
        query = query.where(VISITS.c.business.in_(businesses))
    found: dict[int, dict[State, int]] = {}
    for business, state, count in connection.execute(query.group_by(VISITS.c.business, VISITS.c.state)):
        found.setdefault(business, {})[state] = count
    return found


def knows(connection: Connection, business: int) -> bool:
    """Has this ledger ever seen the location?"""
    marks = select(SYNC_LOCATIONS.c.business).where(SYNC_LOCATIONS.c.business == business)
    visits = select(VISITS.c.business).where(VISITS.c.business == business).limit(1)
    return any(connection.execute(it).first() is not None for it in (marks, visits))


COLUMNS: Final[tuple[Any, ...]] = tuple(it for it in VISITS.columns if it is not VISITS.c.payload)
"""What ``visit_of`` takes."""


def visit_of(row: Row[Any]) -> Visit:
    """A row of ``COLUMNS`` as a value."""
    return Visit(
        practice=row.practice,
        appointment=row.appointment,
        business=row.business,
        slug=row.slug,
        outcome=row.outcome,
        reason=row.reason,
        rule=row.rule,
        compared=tuple((name, tuple(it) if isinstance(it, list) else it) for name, it in json_from_text(row.compared)),
        revision=row.revision,
        pass_id=row.pass_id,
        decided_at=from_text(row.decided_at),
        is_backfilled=bool(row.backfilled),
        day=None if row.day is None else date.fromisoformat(row.day),
        start=moment(row.start),
        state=row.state,
        intent_at=moment(row.intent_at),
        settled_at=moment(row.settled_at),
        code=row.code,
        customer_id=row.customer_id,
        not_found_times=row.not_found_times,
        replans=row.replans,
    )


def moment(stored: str | None) -> datetime | None:
    """A stored time, or None."""
    return None if stored is None else from_text(stored)


def batched(values: Iterable[T]) -> Iterator[list[T]]:
    """In lists of at most ``CHUNK``."""
    rest = iter(values)
    while part := list(islice(rest, CHUNK)):
        yield part
