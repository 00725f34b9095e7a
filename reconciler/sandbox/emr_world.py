"""What changes in the emulated EMR: its clock, who may see what, tokens, and the edits on top of the made-up visits."""

from __future__ import annotations

import threading
from array import array
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta

from reconciler.sandbox import emr_names, practices
from reconciler.sandbox.emr import STATUS_CODES, Code, Person, Place, Practice, Provider, Visit, seed_of
from reconciler.sandbox.emr_options import EmrOptions

BOOKED_FROM = 50_000_000  # ids of visits that came after the made-up ones
_CACHED_SEARCHES = 8


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Token:
    """An access or refresh token that was given out."""

    user: str
    product: str
    expires: datetime
    calls_left: int | None = None


@dataclass(slots=True)
class Account:
    """A user (Select) or partner (Practice+) of the token service. ``state``: ok, expired, locked, mfa."""

    product: str
    client_id: str
    secret: str
    state: str = "ok"


@dataclass(slots=True)
class Edits:
    """What happened in one practice since it was made up."""

    deleted: set[int] = field(default_factory=set)
    changed: dict[int, Visit] = field(default_factory=dict)
    booked: dict[int, Visit] = field(default_factory=dict)
    merged: dict[int, int] = field(default_factory=dict)
    people: dict[int, dict[str, object]] = field(default_factory=dict)
    queued: set[int] = field(default_factory=set)
    prospects: dict[int, Person] = field(default_factory=dict)
    """People whom a booking brought with it, by number; the practice made none of them up."""
    version: int = 0


class Chart:
    """One practice as it stands at one moment."""

    def __init__(self, practice: Practice, edits: Edits, now: datetime) -> None:
        self.practice = practice
        self.edits = edits
        self.now = now

    def visit(self, number: int) -> Visit | None:
        """The visit with this id, None if there is none or it was deleted."""
        if number in self.edits.deleted:
            return None
        known = self.edits.changed.get(number) or self.edits.booked.get(number)
        if known is None and self.practice.knows(number):
            known = self.practice.visit(number, self.now)
        return known

    def numbers(self, first: date | None, stop: date | None) -> Sequence[int]:
        """Ids of the visits on local days ``first <= day < stop``; a range where nothing was edited."""
        base = self.practice.numbers(first, stop)
        booked = [
            number
            for number, visit in self.edits.booked.items()
            if (first is None or visit.day >= first) and (stop is None or visit.day < stop)
        ]
        if not booked and not self.edits.deleted:
            return base
        gone = self.edits.deleted
        return array("q", (n for part in (base, booked) for n in part if n not in gone))

    def status_of(self, number: int) -> tuple[str | None, datetime]:
        """Status and last change of a visit, without making the rest of it."""
        known = self.edits.changed.get(number) or self.edits.booked.get(number)
        if known is not None:
            return known.status, known.updated
        status, _, updated = self.practice.state_of(number, self.now)
        return status, updated

    def place_of(self, number: int) -> Place:
        """The location of a visit."""
        known = self.edits.booked.get(number)
        return known.place if known is not None else self.practice.place_of(number)

    def provider_of(self, number: int) -> Provider:
        """The practitioner of a visit."""
        known = self.edits.booked.get(number)
        return known.provider if known is not None else self.practice.provider_of(number)

    def patient_of(self, number: int) -> int | None:
        """The patient of a visit."""
        known = self.edits.booked.get(number)
        return known.patient if known is not None else self.practice.patient_of(number)

    def person(self, number: int) -> Person:
        """A patient, edits included."""
        person = self.edits.prospects.get(number) or self.practice.person(number)
        changes = self.edits.people.get(number)
        return replace(person, **changes) if changes else person  # type: ignore[arg-type]

    def names_of(self, number: int) -> tuple[str, str]:
        """Given and family name of a patient, as an appointment displays them."""
        prospect = self.edits.prospects.get(number)
        return (prospect.given, prospect.family) if prospect is not None else self.practice.names_of(number)

    def patient_number(self, identifier: str) -> int | None:
        """The patient with this GUID (any case) or chart number, a prospect included; None if there is none."""
        found = self.practice.patient_number(identifier)
        if found is not None:
            return found
        wanted = identifier.lower()
        return next((it.number for it in self.edits.prospects.values() if wanted in (it.guid, str(it.chart))), None)

    def oddity(self, number: int) -> str:
        """What is odd about a patient; nothing about a prospect."""
        return "plain" if number in self.edits.prospects else self.practice.oddity(number)


class EmrWorld:
    """The EMR: practices by id, accounts of the token service, and one emulated clock. Safe to use from threads.

    ``clock`` gives an aware time; ``advance`` moves the emulated one away from it.
    """

    def __init__(
        self,
        options: EmrOptions | None = None,
        *,
        seed: int = 1,
        accounts: Iterable[practices.Account] = practices.ACCOUNTS,
        known: Iterable[practices.Practice] = practices.PRACTICES,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.options = options or EmrOptions()
        self.seed = seed
        self.lock = threading.RLock()
        self._clock = clock
        self._shift = timedelta()
        self._origin = clock().date()
        self._zones: dict[tuple[str, str], str] = {}
        for account in accounts:
            for site in account.sites:
                for name in site.location_names or ("",):
                    self._zones[site.practice_id, name] = site.time_zone
        self._known = {each.practice_id: each for each in known}
        self._made: dict[str, Practice] = {}
        self._edits: dict[str, Edits] = {}
        self._searches: OrderedDict[Hashable, Sequence[int]] = OrderedDict()
        self._calls: dict[tuple[str, str], deque[datetime]] = {}
        self.unauthorised: dict[str, int] = {}
        self.accounts: dict[str, Account] = {
            "reconciler@nextech-api.com": Account("select", "sandbox-client", "sandbox-password"),
            "sandbox-partner": Account("practice_plus", "sandbox-partner", "sandbox-partner-secret"),
        }
        self.tokens: dict[str, Token] = {}
        self.refresh_tokens: dict[str, Token] = {}
        self.issued = 0
        self.requests: dict[str, int] = {}  # method and path without ids -> count
        self.violations: list[str] = []  # what a client should not have asked

    # time -------------------------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The emulated time, UTC."""
        return self._clock().astimezone(UTC) + self._shift

    def advance(self, by: timedelta) -> datetime:
        """Move the emulated clock; negative moves it back."""
        with self.lock:
            self._shift += by
            return self.now()

    # practices --------------------------------------------------------------------------------------------------

    def practice(self, practice_id: str) -> Practice | None:
        """The practice behind an id (any case), None if unknown. Made at first use."""
        key = practice_id.lower()
        key = self.options.foreign_data.get(key, key)
        with self.lock:
            if key not in self._made and key in self._known:
                self._made[key] = self._make(self._known[key])
            return self._made.get(key)

    def add(self, practice: Practice) -> None:
        """Make a practice known, or replace it."""
        with self.lock:
            self._made[practice.practice_id.lower()] = practice
            self._edits.pop(practice.practice_id.lower(), None)
            self._searches.clear()

    def ids(self) -> tuple[str, ...]:
        """Every practice id that is known."""
        return tuple(sorted({*self._known, *self._made}))

    def edits(self, practice: Practice) -> Edits:
        """The edits of a practice; whoever changes them calls ``touch``."""
        return self._edits.setdefault(practice.practice_id.lower(), Edits())

    def touch(self, practice: Practice) -> None:
        """Forget what was computed from the edits of a practice."""
        self.edits(practice).version += 1

    def chart(self, practice: Practice) -> Chart:
        """The practice at this moment."""
        return Chart(practice, self.edits(practice), self.now())

    def searched(self, chart: Chart, query: Hashable, find: Callable[[], Iterable[int]]) -> Sequence[int]:
        """The ids that a search finds, kept for its next pages: eight bytes a hit, the last few searches only.

        What a search finds depends on the time; within one minute of the emulated clock its pages agree.
        """
        minute = chart.now.replace(second=0, microsecond=0)
        key = (chart.practice.practice_id, chart.edits.version, minute, query)
        with self.lock:
            if key not in self._searches:
                self._searches[key] = array("q", find())
                while len(self._searches) > _CACHED_SEARCHES:
                    self._searches.popitem(last=False)
            self._searches.move_to_end(key)
            return self._searches[key]

    def _make(self, known: practices.Practice) -> Practice:
        visits = self.options.visits_by_practice.get(known.practice_id, self.options.visits_per_day)
        seed = seed_of(self.seed, known.practice_id)
        cities = emr_names.CITIES
        return Practice(
            practice_id=known.practice_id,
            name=known.locations[0].name,
            seed=seed,
            first_day=self._origin - timedelta(days=self.options.days_back),
            last_day=self._origin + timedelta(days=self.options.days_ahead),
            places=tuple(
                Place(int(place.id), place.name, self._zone(known, place.name), *cities[index % len(cities)][:3])
                for index, place in enumerate(known.locations)
            ),
            providers=tuple(
                Provider(int(each.id), each.name.split()[-1], " ".join(each.name.split()[:-1]) or each.name)
                for each in known.practitioners
            ),
            types=codes(known.appointment_types, 14),
            purposes=codes(known.purposes, 58),
            custom_statuses=codes(known.custom_statuses, 11),
            patient_types=codes(emr_names.PATIENT_TYPES, 4),
            weekly=(visits,) * 7,
            patients=max(20, visits * 20),
            shares=self.options.shares,
            practice_plus=known.practice_plus,
            hospital=Place(9001, "Example Hospital", self._zone(known, ""), *cities[0][:3], managed=False),
        )

    def _zone(self, known: practices.Practice, name: str) -> str:
        default = self._zones.get((known.practice_id, ""), "America/New_York")
        return self._zones.get((known.practice_id, name), default)

    # limits -----------------------------------------------------------------------------------------------------

    def limited(self, user: str, endpoint: str) -> bool:
        """Whether this call exceeds the rate per user and endpoint; one that does not is counted."""
        if self.options.requests_per_second is None:
            return False
        with self.lock:
            calls = self._calls.setdefault((user, endpoint), deque())
            now = self._clock()
            while calls and (now - calls[0]).total_seconds() >= 1:
                calls.popleft()
            if len(calls) >= self.options.requests_per_second:
                return True
            calls.append(now)
            return False

    def count(self, what: str) -> None:
        """Count a request for the oracle."""
        with self.lock:
            self.requests[what] = self.requests.get(what, 0) + 1

    # edits by people --------------------------------------------------------------------------------------------

    def change_visit(self, practice: Practice, number: int, **changes: object) -> Visit | None:
        """Edit a visit as staff would; ``status`` also sets its display. None if there is no such visit."""
        with self.lock:
            chart = self.chart(practice)
            visit = chart.visit(number)
            if visit is None:
                return None
            status = changes.get("status", visit.status)
            if "status" in changes and "display" not in changes and isinstance(status, str):
                changes["display"] = STATUS_CODES.get(status, Code(9, "Other"))
            visit = replace(visit, **{"updated": self.now(), **changes})  # type: ignore[arg-type]
            target = chart.edits.booked if number >= BOOKED_FROM else chart.edits.changed
            target[number] = visit
            self.touch(practice)
            return visit

    def delete_visit(self, practice: Practice, number: int) -> None:
        """Delete a visit: it just disappears from the answers."""
        with self.lock:
            self.edits(practice).deleted.add(number)
            self.touch(practice)

    def book(self, practice: Practice, visit: Visit) -> Visit:
        """Add a visit under a new id."""
        with self.lock:
            booked = self.edits(practice).booked
            visit = replace(visit, id=BOOKED_FROM + len(booked))
            booked[visit.id] = visit
            self.touch(practice)
            return visit

    def admit(self, practice: Practice, person: Person) -> Person:
        """Add a prospect under a new number."""
        with self.lock:
            prospects = self.edits(practice).prospects
            number = practice.patients + len(prospects)
            person = replace(person, number=number, guid=practice.guid(number), chart=1000 + number)
            prospects[number] = person
            self.touch(practice)
            return person

    def dismiss(self, practice: Practice, person: Person) -> None:
        """Take a prospect back, whose appointment could not be booked."""
        with self.lock:
            self.edits(practice).prospects.pop(person.number, None)
            self.touch(practice)

    def merge(self, practice: Practice, loser: int, survivor: int) -> None:
        """Merge one patient into another; visits keep the reference they had."""
        with self.lock:
            self.edits(practice).merged[loser] = survivor
            self.touch(practice)


def codes(names: Iterable[str], first: int) -> tuple[Code, ...]:
    """A code list from names, numbered from ``first``."""
    return tuple(Code(first + index, name) for index, name in enumerate(names))
