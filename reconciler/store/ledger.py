"""The ledger: the last decision on every visit, and what became of those that were to be sent.

Functions run inside the caller's transaction. Practices, appointments and patients are keyed pseudonyms
(``sync.pseudonyms``); what is in clear of a person stands only in payloads, sealed and bound to their row.
One contact per location business, practice, patient and local day is the database's own rule (``visits_one_a_day``).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final, Literal, cast

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from reconciler.core.decide import Decision, Recorded, is_final
from reconciler.core.ledger_rules import State
from reconciler.core.phi import Phi
from reconciler.errors import InternalError
from reconciler.store.ledger_keys import LedgerKeys, payload_aad
from reconciler.store.rows import json_from_text
from reconciler.store.schema import VISITS, from_text, to_text

CHUNK: Final = 400
"""Parameters of one ``IN``: well below what either database takes."""
DUPLICATE: Final = Decision("skipped", "duplicate_visit", "one contact a day")

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


def payload(appointment_id: Phi[str], body: Phi[dict[str, Any]] | None = None) -> Phi[dict[str, Any]]:
    """What is sealed: the appointment id in clear and, where a contact was made, the body of its check-in."""
    return Phi({"appointment": appointment_id.reveal(), "body": None if body is None else body.reveal()})


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
    raise InternalError("not built yet")


def last(connection: Connection, practice: str, appointments: Iterable[str]) -> dict[str, Visit]:
    """The rows of these appointments, by pseudonym; those never decided are missing."""
    raise InternalError("not built yet")


def practices(connection: Connection) -> tuple[str, ...]:
    """Every practice that has a row, sorted."""
    raise InternalError("not built yet")


def why(
    connection: Connection, appointments: Iterable[tuple[str, str]], *, business: int | None = None
) -> tuple[Visit, ...]:
    """The rows of (practice, appointment) pairs, which the caller makes for every known practice; of one location."""
    raise InternalError("not built yet")


def counts(connection: Connection, businesses: Sequence[int] | None = None) -> dict[int, dict[State, int]]:
    """Rows of the outbox by location and state."""
    raise InternalError("not built yet")


def knows(connection: Connection, business: int) -> bool:
    """Has this ledger ever seen the location?"""
    raise InternalError("not built yet")
