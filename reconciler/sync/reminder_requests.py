"""What patients asked for through Birdeye, done in Nextech: once each, and Birdeye told what came of it.

See ``sync.md``, *Reminders*. A request is recorded before the cursor moves past it. A booking is not idempotent: its intent
is durable before the request to Nextech, and after an outcome that nobody knows the appointment is looked for before a
second one. Confirmations and cancellations are looked at likewise, which costs nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final

from reconciler.clients.appointments import Answer, Outcome, is_absent
from reconciler.clients.nextech_writes import WriteOutcome, Written
from reconciler.core import booking, fhir, fhir_patient, timing
from reconciler.core.booking import Kind, Request
from reconciler.core.fhir_models import Appointment, Patient
from reconciler.core.phi import Phi
from reconciler.core.reminder_report import RequestCounts
from reconciler.errors import CredentialsRefused, LockHeld, PracticeUnauthorised, QuotaUsedUp, RemoteError
from reconciler.store import reminders as kept
from reconciler.store.reminders import AppointmentRow, RequestRow
from reconciler.sync import naming
from reconciler.sync.context import Deps, Fence, Options
from reconciler.sync.extract import Extract
from reconciler.sync.places import Practice
from reconciler.sync.reminder_ports import Appointments, Mine, Ports

MOST_PAGES: Final = 50
"""Of requests in one pass and location; the rest waits for the next."""
MOST_TRIES: Final = 3
"""A booking whose outcome stays unknown so often is held: looked for at every pass, not asked again."""
ROUNDS: Final = 2
COMMENT: Final = frozenset({"appointment.comment"})
BIRTH: Final = frozenset({"date.of.birth"})
NOT_WRITTEN: Final = (LockHeld, PracticeUnauthorised, CredentialsRefused, QuotaUsedUp)
"""After these the request never reached Nextech."""


@dataclass
class Requests:
    """One direction of one pass, for one location."""

    deps: Deps
    practice: Practice
    birdeye: Appointments
    ports: Ports
    one: Mine
    options: Options
    fence: Fence
    requests: Counter[str] = field(default_factory=Counter)
    counts: RequestCounts = field(default_factory=RequestCounts)

    def run(self) -> None:
        """The whole direction. What a practice or our credentials are refused for is raised; else the location says it."""
        self.one.report.requests = self.counts
        rows = self._open()
        self.counts.open = len(rows)
        self.counts.pending = len(rows)
        try:
            self._work()
        except NOT_WRITTEN:
            raise
        except RemoteError as error:
            if is_absent(error, was_there=self.one.state.last_success is not None):
                self.one.absent()
            else:
                self.one.complain("error", error.message)
        finally:
            if not self.options.dry_run:
                self._count()

    def _work(self) -> None:
        if self.options.dry_run:
            self._fetch()
            return
        self._look()
        self._fetch()
        for number in range(ROUNDS):
            if number:
                self._wait()
                self._look()
            for row in self._open():
                if self.deps.stop.is_set() or self.one.problem is not None:
                    return
                if row.state == "received":
                    self._act(row)
            self._tell()
            if not any(it.state in ("intent", "unknown") for it in self._open()):
                return

    def _open(self) -> list[RequestRow]:
        with self.deps.ledger.read() as connection:
            return kept.open_requests(connection, self.deps.keys, self.one.business, self.practice.pseudonym)

    def _count(self) -> None:
        rows = self._open()
        self.counts.held = sum(it.state in ("intent", "unknown", "held") for it in rows)
        self.counts.pending = len(rows) - self.counts.held

    def _put(self, row: RequestRow) -> RequestRow:
        now = self.deps.now()
        with self.deps.ledger.begin() as connection:
            kept.put_request(connection, self.deps.keys, row, now=now)
        return row

    # asking Birdeye ----------------------------------------------------------------------------------------------

    def _fetch(self) -> None:
        """Record what patients asked for since the cursor, page by page, each with the cursor after it."""
        cursor = self.one.state.cursor
        for _ in range(MOST_PAGES):
            if self.deps.stop.is_set():
                return
            self.fence()
            self.requests["requests"] += 1
            page = self.birdeye.requests(self.one.business, self.one.api_key, cursor)
            items = []
            for item in page.items:
                found = booking.request(item)
                if found is None:
                    self._warn("a request without an id was passed over")
                else:
                    items.append((found.id, found.kind or "", Phi(item)))
            if not self.options.dry_run:
                self._record(items, page.next if page.next is not None else cursor)
            else:
                self.counts.received += len(items)
                self.counts.pending += len(items)
            if not page.items or page.next is None or page.next == cursor:
                return
            cursor = page.next

    def _record(self, items: Sequence[tuple[str, str, Phi[Any]]], cursor: str | None) -> None:
        one = self.one
        now = self.deps.now()
        one.state = replace(one.state, cursor=cursor)
        with self.deps.ledger.begin() as connection:
            self.counts.received += kept.receive(
                connection,
                self.deps.keys,
                items,
                business=one.business,
                practice=self.practice.pseudonym,
                slug=one.place.slug,
                now=now,
            )
            kept.put(connection, one.state)

    # asking Nextech ----------------------------------------------------------------------------------------------

    def _act(self, row: RequestRow) -> None:
        asked = _request(row)
        if asked is None:
            self._answer(row, "rejected", reason=booking.NOT_UNDERSTOOD)
            return
        known = None
        if asked.external_id is not None:
            with self.deps.ledger.read() as connection:
                known = kept.one(connection, self.one.business, self.practice.pseudonym, asked.external_id)
        why = booking.refusal(
            asked,
            self.one.rules,
            location_names=self._names(asked),
            known_start=known.start if known is not None else None,
            now=self.deps.now(),
            practice_plus=self.practice.practice_plus,
        )
        if why is not None or asked.kind is None:
            self._answer(row, "rejected", reason=why or booking.NOT_UNDERSTOOD)
        elif asked.kind == "book":
            self._book(row, asked)
        elif known is not None:
            with self.deps.ledger.read() as connection:
                ident = kept.reveal_id(connection, self.deps.keys, known)
            kind = asked.kind
            row = self._intend(replace(row, external=asked.external_id))
            body = booking.change(kind)
            done = self._write(row, lambda: self.ports.writes.change(self.practice.practice_id, ident, body))
            self._settle(row, kind, done, external=asked.external_id)

    def _names(self, asked: Request) -> Mapping[str, str]:
        if asked.kind != "book" or not self.one.rules.location_names:
            return {}
        names = self.deps.names
        if asked.location_id not in names.get(self.practice.pseudonym, {}):
            extract = Extract(self.ports.reads, self.practice.practice_id, frozenset())
            naming.fresh(self.deps, self.practice.pseudonym, extract, is_dry=False, now=self.deps.now())
        return names.get(self.practice.pseudonym, {})

    def _book(self, row: RequestRow, asked: Request) -> None:
        patient = self._patient(asked)
        body = booking.booking(asked, patient, self.one.rules)
        if body is None:
            self._answer(row, "rejected", reason=booking.NO_WAY_TO_REACH)
            return
        # Also before a first try: an older copy of the ledger does not know which were made.
        made_before = self._found(asked, patient)
        if made_before is not None:
            self._accept(row, made_before)
            return
        row = self._intend(row, patient=patient)
        done = self._write(row, lambda: self.ports.writes.book(self.practice.practice_id, body))
        if done.outcome is not WriteOutcome.DONE:
            self._settle(row, "book", done, external=None)
            return
        made = fhir.appointment(done.resource.reveal(), keep=COMMENT) if done.resource is not None else None
        if isinstance(made, Appointment):
            self._accept(row, made)
        else:  # it was created, and must be looked for
            self._put(replace(row, state="unknown"))

    def _accept(self, row: RequestRow, made: Appointment) -> None:
        """A booking was made. Its appointment is known from now on, so that it can be confirmed and cancelled."""
        practice, now = self.practice.pseudonym, self.deps.now()
        external = self.deps.pseudonyms.external_appointment(practice, made.id)
        told = AppointmentRow(
            self.one.business, external, practice, None, made.start, made.end, made.last_updated or now
        )
        with self.deps.ledger.begin() as connection:
            kept.announce(connection, self.deps.keys, [(told, made.id)], now=now)
        self._answer(row, "accepted", external=external)

    def _patient(self, asked: Request) -> Phi[str] | None:
        """The chart of who asks, where it is certain."""
        customer = asked.customer
        if customer.given is None or customer.family is None or customer.birth_date is None:
            return None
        pages = self.ports.writes.people(
            self.practice.practice_id,
            family=customer.family.reveal(),
            given=customer.given.reveal(),
            birth_date=customer.birth_date.reveal(),
        )
        country = self.one.rules.country
        found = [
            it for it in _patients(pages) if not it.is_deceased_or_merged and booking.same_person(it, customer, country)
        ]
        return min((it.id for it in found), key=lambda it: it.reveal(), default=None)

    def _intend(self, row: RequestRow, *, patient: Phi[str] | None = None) -> RequestRow:
        payload = _payload(row) | {"patient": patient.reveal() if patient is not None else None}
        return self._put(
            replace(row, state="intent", intent_at=self.deps.now(), tries=row.tries + 1, payload=Phi(payload))
        )

    def _write(self, row: RequestRow, write: Any) -> Written:
        try:
            self.fence()
            done: Written = write()
        except NOT_WRITTEN:
            self._put(replace(row, state="received", tries=row.tries - 1))
            raise
        return done

    def _settle(self, row: RequestRow, kind: Kind, done: Written, *, external: str | None) -> None:
        if done.outcome is WriteOutcome.DONE:
            self._answer(row, "accepted", external=external)
        elif done.outcome is WriteOutcome.REFUSED:
            why = booking.reason(kind, done.status or 0, done.said.reveal())
            if booking.asks_for_reason(why):
                self._warn("Nextech refuses cancellations: the practice must set 'require a cancellation reason' to No")
            self._answer(row, "rejected", reason=why, external=row.external)
        elif done.outcome is WriteOutcome.NOT_SENT:
            self._put(replace(row, state="received", tries=row.tries - 1))
            self.one.complain("error", "Nextech took nothing of what patients asked; nothing is lost")
        else:
            self._put(replace(row, state="unknown"))

    # after an outcome that nobody knows ------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Until what may still be on its way has arrived."""
        since = [it.intent_at for it in self._open() if it.state in ("intent", "unknown") and it.intent_at is not None]
        if since:
            until = max(since) + timedelta(seconds=self.deps.limits.unknown_settle_seconds)
            self.deps.sleep(max(0.0, (until - self.deps.now()).total_seconds()))

    def _look(self) -> None:
        """Look for what requests of unknown outcome wanted; an intent without an outcome is one (a process died)."""
        settled = self.deps.now() - timedelta(seconds=self.deps.limits.unknown_settle_seconds)
        for row in self._open():
            if row.state not in ("intent", "unknown", "held") or self.deps.stop.is_set():
                continue
            if row.intent_at is not None and row.intent_at > settled:
                continue
            asked = _request(row)
            if asked is None or asked.kind is None:
                self._answer(row, "rejected", reason=booking.NOT_UNDERSTOOD)
            elif asked.kind == "book":
                self._look_for(row, asked)
            else:
                self._look_at(row, asked.kind)

    def _look_for(self, row: RequestRow, asked: Request) -> None:
        """Was the appointment made?"""
        named = _payload(row).get("patient")
        found = self._found(asked, Phi(str(named)) if named else None)
        if found is not None:
            self._accept(row, found)
        elif asked.start is None or asked.start <= self.deps.now():
            self._answer(row, "rejected", reason=booking.IS_OVER)
        elif row.tries < MOST_TRIES:
            self._put(replace(row, state="received"))
        elif row.state != "held":
            self._put(replace(row, state="held"))

    def _found(self, asked: Request, patient: Phi[str] | None) -> Appointment | None:
        """The appointment that was made for a request, of that patient or of a prospect of that name."""
        if asked.start is None or asked.location_id is None or asked.practitioner_id is None:
            return None
        pages = self.ports.writes.around(
            self.practice.practice_id,
            timing.local_day(asked.start, self.one.rules.zone),
            location_id=asked.location_id,
            practitioner_id=asked.practitioner_id,
        )
        visits = booking.candidates(asked, _visits(pages))
        people: dict[Phi[str], Patient] = {}
        ids = {it.patient_id for it in visits if it.patient_id is not None}
        if patient is None and ids:
            found = self.ports.reads.patients(self.practice.practice_id, [it.reveal() for it in ids])
            people = {it.id: it for it in _patients(found)}
        return booking.booked(asked, visits, people, patient_id=patient)

    def _look_at(self, row: RequestRow, kind: Kind) -> None:
        """Is the appointment as it was to become?"""
        with self.deps.ledger.read() as connection:
            known = kept.one(connection, self.one.business, self.practice.pseudonym, row.external or "")
            ident = kept.reveal_id(connection, self.deps.keys, known) if known is not None else None
        if ident is None:
            self._answer(row, "rejected", reason=booking.UNKNOWN_APPOINTMENT)
            return
        found = next(iter(_visits(self.ports.writes.by_id(self.practice.practice_id, [ident.reveal()]))), None)
        if booking.is_done(kind, found):
            self._answer(row, "accepted", external=row.external)
        else:
            self._put(replace(row, state="received"))

    # telling Birdeye ---------------------------------------------------------------------------------------------

    def _answer(self, row: RequestRow, outcome: str, *, external: str | None = None, reason: str | None = None) -> None:
        """Nextech's outcome is known and recorded; Birdeye is told of it next, by this pass or another."""
        payload = _payload(row) | ({"reason": reason} if reason is not None else {})
        self._put(replace(row, state="answered", outcome=outcome, external=external, payload=Phi(payload)))

    def _tell(self) -> None:
        for row in self._open():
            if row.state != "answered" or row.outcome is None:
                continue
            if self.deps.stop.is_set():
                return
            body: dict[str, Any] = {"outcome": row.outcome}
            if row.external is not None:
                body["externalId"] = row.external
            reason = _payload(row).get("reason")
            if reason is not None and row.outcome == "rejected":
                body["reason"] = reason
            self.fence()
            answer = self.birdeye.result(self.one.business, self.one.api_key, row.request, body)
            self.requests["requestResult"] += answer.outcome is not Outcome.NOT_SENT
            if answer.outcome in (Outcome.DONE, Outcome.NEWER):
                self._put(replace(row, state="reported"))
                if row.outcome == "accepted":
                    self.counts.accepted += 1
                else:
                    self.counts.rejected += 1
            else:
                self.one.complain("error", _not_told(answer))
                if answer.outcome is not Outcome.FAILED:
                    return

    def _warn(self, text: str) -> None:
        if text not in self.one.report.warnings:
            self.one.report.warnings.append(text)


def _not_told(answer: Answer) -> str:
    return f"Birdeye does not know what came of a request: {answer.message}; it is told again"


def _payload(row: RequestRow) -> dict[str, Any]:
    return dict(row.payload.reveal()) if row.payload is not None else {}


def _request(row: RequestRow) -> Request | None:
    return booking.request(_payload(row).get("item"))


def _visits(pages: Iterable[Any]) -> list[Appointment]:
    found = (fhir.appointment(it, keep=COMMENT) for page in pages for it in page.resources)
    return [it for it in found if isinstance(it, Appointment)]


def _patients(pages: Iterable[Any]) -> list[Patient]:
    found = (fhir_patient.patient(it, keep=BIRTH) for page in pages for it in page.resources)
    return [it for it in found if isinstance(it, Patient)]
