"""Appointments of the practice, told to Birdeye: read what changed, look at what lies ahead, tell what is new.

See ``sync.md``, *Reminders*. Telling is idempotent, so at least once is right here: nothing is decided by a lost answer.
First everything is read and compared (no patient is needed for that), then the caps are looked at, then it is told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any, Final

from reconciler.clients.appointments import Answer, Outcome
from reconciler.core import contact, fhir, reminders
from reconciler.core.decide_assign import assign
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Patient, Quarantined
from reconciler.core.phi import Phi
from reconciler.core.reminder_report import UpsertCounts
from reconciler.core.reminders import BirdeyeStatus, Told
from reconciler.errors import Answered, InternalError, LockHeld
from reconciler.store import reminders as kept
from reconciler.store.reminders import AppointmentRow
from reconciler.sync.context import Deps, Fence, Options
from reconciler.sync.extract import Extract
from reconciler.sync.places import Practice
from reconciler.sync.reminder_ports import Appointments, Mine, Ports

NOTHING_KEPT: Final[frozenset[str]] = frozenset()
BATCH: Final = 50
"""Appointments whose patients are read, and which are recorded, together."""
SILENT_AFTER: Final = 5
"""So many answers in a row that fail to come end the telling of a location."""


@dataclass(frozen=True, slots=True)
class Item:
    """One appointment to tell. ``visit`` None: it is not there any more."""

    external: str
    status: BirdeyeStatus
    start: datetime
    visit: Appointment | None
    row: AppointmentRow | None


@dataclass(frozen=True, slots=True)
class Ready:
    """One that can be sent, and what is recorded once it is."""

    row: AppointmentRow
    body: Phi[dict[str, Any]]


@dataclass
class Upserts:
    """One direction of one pass over a practice."""

    deps: Deps
    practice: Practice
    birdeye: Appointments
    ports: Ports
    taken: Sequence[Mine]
    claimants: Sequence[LocationRules]
    """Every active location of the practice, whether its reminders run or not."""
    options: Options
    fence: Fence
    now: datetime
    requests: Counter[str] = field(default_factory=Counter)
    _items: dict[int, dict[str, Item]] = field(default_factory=dict)
    _gone: Counter[int] = field(default_factory=Counter)
    _ahead: Counter[int] = field(default_factory=Counter)
    _seen: set[str] = field(default_factory=set)

    def run(self) -> None:
        """The whole direction. Raises what a read raises: then nothing was concluded, and no mark moves."""
        for one in self.taken:
            one.report.upsert = UpsertCounts(one.span.start, one.span.to)
            self._items[one.business] = {}
        anew = [it for it in self.taken if it.state.mark is None]
        self._whole(anew)
        rest = [it for it in self.taken if it.state.mark is not None]
        self._changed(rest)
        due = [it for it in rest if reminders.is_check_due(it.state.checked_at, self.now, it.rules.zone)]
        self._whole(due, ahead_of=self.now)
        for one in [*anew, *due]:
            self._vanished(one)
        for one in self.taken:
            self._caps(one)
        extract = Extract(self.ports.reads, self.practice.practice_id, self._keep())
        with ThreadPoolExecutor(
            self.deps.limits.concurrency, thread_name_prefix="tell", initializer=self._enter_thread
        ) as pool:
            for one in self.taken:
                self._tell(one, extract, pool)
        for one in self.taken:
            counts = self._counts(one)
            one.is_told = one.ended is None and not counts.pending and not counts.unknown
            one.is_checked = one.is_told and (one in anew or one in due)

    def _keep(self) -> frozenset[str]:
        return frozenset({"date.of.birth"}) if any(it.rules.minimum_age for it in self.taken) else NOTHING_KEPT

    def _enter_thread(self) -> None:
        self.deps.fences.current = self.fence

    # reading -----------------------------------------------------------------------------------------------------

    def _whole(self, mine: Sequence[Mine], *, ahead_of: datetime | None = None) -> None:
        """Everything in the windows, or what of it lies ahead."""
        if mine:
            first, before = _days(it.span.days(ahead_of=ahead_of) for it in mine)
            self._take(self.ports.reads.appointments(self.practice.practice_id, start=first, end=before))

    def _changed(self, mine: Sequence[Mine]) -> None:
        """What changed since the marks. Where the practice cannot be asked that (before Select 14.3), everything."""
        marks = [it.state.mark for it in mine if it.state.mark is not None]
        if not marks:
            return
        first, before = _days(it.span.days() for it in mine)
        since = min(marks) - reminders.OVERLAP
        try:
            self._take(
                self.ports.reads.appointments(self.practice.practice_id, start=first, end=before, updated_since=since)
            )
        except Answered as error:
            if error.status != 400:
                raise
            self._whole(mine)
            return
        for one in mine:
            self._counts(one).since = since

    def _take(self, pages: Iterator[Any]) -> None:
        for page in pages:
            self._compare([fhir.appointment(it, keep=NOTHING_KEPT) for it in page.resources])

    def _compare(self, visits: Iterable[Appointment | Quarantined], *, is_lookup: bool = False) -> None:
        """What is to be told of these. Each counts once in a pass, by its first reading."""
        fresh: dict[str, Appointment | Quarantined] = {}
        for visit in visits:
            if visit.id is not None:
                external = self.deps.pseudonyms.external_appointment(self.practice.pseudonym, visit.id)
                if external not in self._seen:
                    self._seen.add(external)
                    fresh[external] = visit
            else:
                self._broken(visit)
        with self.deps.ledger.read() as connection:
            rows = kept.known(connection, self.practice.pseudonym, fresh)
        for external, visit in fresh.items():
            mine = {business: row for (business, it), row in rows.items() if it == external}
            if isinstance(visit, Quarantined):
                self._broken(visit)
            else:
                self._sort(external, visit, mine, is_lookup=is_lookup)

    def _broken(self, visit: Appointment | Quarantined) -> None:
        one = self._mine(assign(visit, self.claimants).business)
        if one is not None and (visit.start is None or one.span.takes(visit.start)):
            self._counts(one).read += 1
            self._counts(one).quarantined += 1

    def _sort(self, external: str, visit: Appointment, rows: dict[int, AppointmentRow], *, is_lookup: bool) -> None:
        names = self.deps.names.get(self.practice.pseudonym, {})
        visit = fhir.with_location_names(visit, names) if names else visit
        found = assign(visit, self.claimants)
        is_ambiguous = found.decision is not None and found.decision.outcome == "held"
        owner = found.business if found.decision is None else None
        for business, row in rows.items():
            if business != owner and not is_ambiguous:
                self._left(business, row)
        one = self._mine(found.business)
        # What Birdeye knows is told also where it has moved out of the window.
        if one is None or not (is_lookup or one.business in rows or one.span.takes(visit.start)):
            return
        counts = self._counts(one)
        told = rows.get(one.business)
        is_known = told is not None
        if is_lookup and (not is_known or found.decision is not None):
            return  # it has left this location, which is counted, or another sees it by reads of its own
        if is_lookup:
            counts.vanished += 1
        else:
            counts.read += 1
        if found.decision is not None:
            counts.unsent[found.decision.reason] += 1
            return
        if visit.patient_id is None:
            counts.unsent["not_a_patient"] += 1
            return
        status, why = reminders.status_of(visit, is_known=is_known)
        if status is None:
            counts.unsent[why] += 1
        elif reminders.is_unchanged(visit, status, _told(told)):
            counts.unchanged += 1
        else:
            self._items[one.business][external] = Item(external, status, visit.start, visit, told)

    def _left(self, business: int, row: AppointmentRow) -> None:
        """An appointment that is not this location's any more."""
        one = self._mine(business)
        if one is None or row.status == "cancelled" or row.start <= self.now or row.external in self._items[business]:
            return
        self._counts(one).vanished += 1
        self._items[business][row.external] = Item(row.external, "cancelled", row.start, None, row)

    def _vanished(self, one: Mine) -> None:
        """What Birdeye knows to lie ahead and no read showed: looked up by its id, and cancelled if it is gone."""
        with self.deps.ledger.read() as connection:
            rows = kept.ahead(connection, one.business, self.practice.pseudonym, after=self.now, to=one.span.to)
            missing = {
                it.external: (it, kept.reveal_id(connection, self.deps.keys, it))
                for it in rows
                if it.external not in self._seen
            }
        self._ahead[one.business] = len(rows)
        if not missing:
            return
        there = [
            fhir.appointment(it, keep=NOTHING_KEPT)
            for page in self.ports.writes.by_id(
                self.practice.practice_id, [ident.reveal() for _, ident in missing.values()]
            )
            for it in page.resources
        ]
        self._compare(there, is_lookup=True)
        for external, (row, _) in missing.items():
            if external not in self._seen:
                self._gone[one.business] += 1
                self._left(one.business, row)

    # telling -----------------------------------------------------------------------------------------------------

    def _caps(self, one: Mine) -> None:
        """A person looks before very many patients could be written to, or very many appointments are cancelled."""
        items = self._items[one.business].values()
        upcoming = sum(it.start > self.now and it.status not in reminders.OVER for it in items)
        limit = self.options.max_contacts
        gone, ahead = self._gone[one.business], self._ahead[one.business]
        if reminders.too_many_gone(gone, ahead) and (limit is None or gone > limit):
            one.end(
                "stopped",
                f"{gone} of {ahead} appointments ahead have vanished from Nextech at once; nothing of the location was "
                f"told. If that is right: `reconciler sync {one.business} --max-contacts {max(gone, upcoming)} "
                "--by NAME --reason TEXT`",
            )
        most = limit if limit is not None else self.deps.limits.max_contacts_per_run
        if upcoming > most:
            one.end(
                "stopped",
                f"{upcoming} appointments ahead are to be told, at most {most} are allowed; nothing of the location was "
                f"told. If that is right: `reconciler sync {one.business} --max-contacts {upcoming} --by NAME "
                "--reason TEXT`",
            )

    def _tell(self, one: Mine, extract: Extract, pool: ThreadPoolExecutor) -> None:
        counts = self._counts(one)
        waiting = sorted(self._items[one.business].values(), key=lambda it: _order(it, self.now))
        counts.pending = len(waiting)
        silent = 0
        while waiting and one.ended is None:
            if self.deps.stop.is_set():
                one.end("waiting", "a signal ended the pass while it was telling; nothing is lost", again=True)
                break
            part, waiting = waiting[:BATCH], waiting[BATCH:]
            ready = self._ready(one, part, extract)
            if self.options.dry_run:
                continue
            self.fence()
            silent = self._send(one, ready, pool, silent)

    def _ready(self, one: Mine, part: Sequence[Item], extract: Extract) -> list[Ready]:
        """Those that can be told, with their patients; the others are counted."""
        counts = self._counts(one)
        patients = extract.patients([it.visit.patient_id for it in part if it.visit and it.visit.patient_id])
        found = []
        for item in part:
            if item.visit is None:
                found.append(self._cancelled(one, item))
                continue
            made = self._made(
                one, item, item.visit, patients.get(item.visit.patient_id) if item.visit.patient_id else None
            )
            if isinstance(made, str):
                counts.pending -= 1
                if made.startswith("patient_") and made != "patient_not_found":
                    counts.quarantined += 1
                else:
                    counts.unsent[made] += 1
            else:
                found.append(made)
        return found

    def _made(self, one: Mine, item: Item, visit: Appointment, patient: Patient | Quarantined | None) -> Ready | str:
        is_known = item.row is not None
        may_be_bare = is_known and item.status in reminders.OVER
        person: contact.Contact | None = None
        if isinstance(patient, Patient) and visit.patient_id is not None:
            external = self.deps.pseudonyms.external_id(self.practice.pseudonym, visit.patient_id)
            person = contact.build(patient, visit, one.rules, external_id=external)
            why = reminders.refused(visit, item.status, patient, person, one.rules, is_known=is_known)
            if why is not None:
                return why
            if not person.has_channel or person.name is None:
                person = None
        elif not may_be_bare:
            return f"patient_{patient.reason}" if isinstance(patient, Quarantined) else "patient_not_found"
        updated = reminders.updated_at(visit, _told(item.row), self.now)
        body = reminders.body(
            visit,
            item.status,
            one.rules,
            external_id=item.external,
            updated=updated,
            patient=patient if isinstance(patient, Patient) else None,
            contact=person,
        )
        row = AppointmentRow(
            one.business, item.external, self.practice.pseudonym, item.status, visit.start, visit.end, updated
        )
        return Ready(row, body)

    def _cancelled(self, one: Mine, item: Item) -> Ready:
        if item.row is None:
            raise InternalError("an appointment that Birdeye was not told of cannot vanish")
        row = replace(item.row, status="cancelled", updated_at=max(self.now, item.row.updated_at), is_vanished=True)
        body = reminders.cancellation(item.external, row.start, row.end, one.rules, row.updated_at)
        return Ready(row, body)

    def _send(self, one: Mine, ready: Sequence[Ready], pool: ThreadPoolExecutor, silent: int) -> int:
        """Record, tell, record again. How many answers in a row failed to come."""
        items = self._items[one.business]
        with self.deps.ledger.begin() as connection:
            kept.announce(
                connection,
                self.deps.keys,
                [
                    (replace(it.row, status=None), visit.id)
                    for it in ready
                    if (visit := items[it.row.external].visit) is not None and items[it.row.external].row is None
                ],
                now=self.deps.now(),
            )
        lost: LockHeld | None = None
        done: list[AppointmentRow] = []
        for it, answer in zip(ready, pool.map(lambda it: self._ask(one, it), ready), strict=True):
            if isinstance(answer, LockHeld):
                lost = answer
                continue
            self.requests["appointment"] += answer.outcome is not Outcome.NOT_SENT
            silent = silent + 1 if answer.outcome in (Outcome.NOT_SENT, Outcome.UNKNOWN) else 0
            if self._count(one, answer):
                done.append(it.row)
        with self.deps.ledger.begin() as connection:
            kept.told(connection, done, now=self.deps.now())
        if lost is not None:
            raise lost
        if silent >= SILENT_AFTER:
            one.end("error", "Birdeye's contacts API cannot be reached; nothing is lost", again=True)
        return silent

    def _ask(self, one: Mine, it: Ready) -> Answer | LockHeld:
        if one.ended is not None:
            return Answer(Outcome.NOT_SENT, None, None, "the location stopped")
        try:
            return self.birdeye.upsert(one.business, one.api_key, it.row.external, it.body.reveal())
        except LockHeld as error:  # before the request
            return error

    def _count(self, one: Mine, answer: Answer) -> bool:
        """Take in one answer; whether Birdeye now knows the appointment as it is, or better."""
        counts = self._counts(one)
        outcome = answer.outcome
        if outcome in (Outcome.LOCATION_STOPPED, Outcome.ACCOUNT_STOPPED):
            what = "location" if outcome is Outcome.LOCATION_STOPPED else "account"
            one.end("error", f"Birdeye refused the {what}: {answer.message}; nothing is lost", again=True)
            return False
        if outcome is Outcome.NOT_SENT:
            return False
        counts.pending -= 1
        if outcome is Outcome.DONE:
            counts.sent += 1
        elif outcome is Outcome.NEWER:
            counts.newer += 1
        elif outcome is Outcome.FAILED:
            counts.failed += 1
        else:
            counts.unknown += 1
        return outcome in (Outcome.DONE, Outcome.NEWER)

    # small things ------------------------------------------------------------------------------------------------

    def _mine(self, business: int | None) -> Mine | None:
        return next((it for it in self.taken if it.business == business), None)

    @staticmethod
    def _counts(one: Mine) -> UpsertCounts:
        if one.report.upsert is None:
            raise InternalError("a location without counts takes part")
        return one.report.upsert


def _days(spans: Iterable[tuple[date, date]]) -> tuple[date, date]:
    found = list(spans)
    return min(first for first, _ in found), max(before for _, before in found)


def _told(row: AppointmentRow | None) -> Told | None:
    return None if row is None else Told(row.status, row.start, row.updated_at, row.is_vanished)


def _order(item: Item, now: datetime) -> tuple[int, float, str]:
    """First what nobody may be reminded of any more, then what lies ahead by start, then what is past, latest first."""
    if item.status in reminders.OVER and item.start > now:
        return (0, item.start.timestamp(), item.external)
    if item.start > now:
        return (1, item.start.timestamp(), item.external)
    return (2, -item.start.timestamp(), item.external)
