"""What the reminders of a pass work with: the ports to Birdeye and Nextech, and one location that takes part."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from reconciler.clients.appointments import Answer, RequestPage
from reconciler.clients.nextech_writes import Written
from reconciler.core.decide_rules import LocationRules
from reconciler.core.phi import Phi
from reconciler.core.reminder_report import ReminderReport
from reconciler.core.reminders import Span
from reconciler.core.sync_report import Status
from reconciler.core.timing import Slot
from reconciler.store.reminders import ReminderState
from reconciler.sync.places import Place


class Appointments(Protocol):
    """What the reminders need of ``clients.appointments.AppointmentsClient``."""

    def upsert(self, business: int, api_key: str, external_id: str, body: Mapping[str, Any]) -> Answer:
        """Tell Birdeye of an appointment; never raises for what the other side does."""

    def requests(self, business: int, api_key: str, cursor: str | None) -> RequestPage:
        """What patients asked for after a cursor."""

    def result(self, business: int, api_key: str, request_id: str, body: Mapping[str, Any]) -> Answer:
        """Tell Birdeye what became of it."""


class EmrReads(Protocol):
    """What the reminders read by ``clients.nextech.NextechClient``."""

    def appointments(
        self,
        practice_id: str,
        *,
        start: date,
        end: date,
        location_name: str | None = None,
        updated_since: datetime | None = None,
    ) -> Iterator[Any]:
        """Pages of appointments."""

    def patients(self, practice_id: str, identifiers: Iterable[str]) -> Iterator[Any]:
        """Pages of patients."""

    def locations(self, practice_id: str) -> Iterator[Any]:
        """Pages of locations."""

    def take_requests(self, practice_id: str) -> dict[str, int]:
        """Requests by endpoint since the last time."""


class EmrWrites(Protocol):
    """What the reminders need of ``clients.nextech_writes.NextechWrites``."""

    def by_id(self, practice_id: str, ids: Sequence[str]) -> Iterator[Any]:
        """Pages of appointments with these ids."""

    def around(self, practice_id: str, day: date, *, location_id: str, practitioner_id: str) -> Iterator[Any]:
        """Pages of appointments of a location and practitioner about a day."""

    def people(self, practice_id: str, *, family: str, given: str, birth_date: date) -> Iterator[Any]:
        """Pages of patients of that name and birth date."""

    def book(self, practice_id: str, body: Phi[dict[str, Any]]) -> Written:
        """Create an appointment, at most once."""

    def change(self, practice_id: str, appointment_id: Phi[str], body: Mapping[str, Any]) -> Written:
        """Confirm or cancel an appointment."""


@dataclass(frozen=True)
class Ports:
    """Of one product. The same client reads and writes."""

    reads: EmrReads
    writes: EmrWrites


@dataclass
class Mine:
    """One location whose reminders take part in a pass."""

    place: Place
    rules: LocationRules
    state: ReminderState
    slot: Slot | None
    span: Span
    api_key: str = field(repr=False)
    report: ReminderReport
    ended: tuple[Status, str] | None = None
    """Why it does not go on, once something stopped it."""
    problem: tuple[Status, str] | None = None
    """What went wrong beside what goes on."""
    is_again: bool = False
    is_told: bool = False
    """Every change was read, and Birdeye told of it."""
    is_checked: bool = False
    """Everything ahead was looked at, and Birdeye told of what vanished."""
    crm_locations: tuple[str, ...] = ()
    is_absent: bool = False
    """Birdeye does not have the endpoints: looked at again when the next slot comes."""

    @property
    def business(self) -> int:
        """The location's number."""
        return self.place.business

    def end(self, status: Status, detail: str, *, again: bool = False) -> None:
        """Stop this location; the first reason stands. ``again``: its slot is not over, the pass is to be repeated."""
        if self.ended is None:
            self.ended = (status, detail)
            self.is_again = again

    def absent(self) -> None:
        """Birdeye answered like a server that has no such endpoints."""
        self.is_absent = True
        self.end(
            "inactive",
            "Birdeye has no appointments under the paths that are set (this contract is provisional), so it was neither "
            "told of any nor asked for any",
        )

    def complain(self, status: Status, detail: str) -> None:
        """Something is wrong in one direction; the other goes on."""
        if self.problem is None:
            self.problem = (status, detail)
            self.is_again = True
