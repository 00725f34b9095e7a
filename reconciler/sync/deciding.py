"""From a part of a practice's visits to recorded decisions and counts. Memory does not grow with the number of parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from itertools import islice
from typing import Any

from reconciler.core import decide, fhir
from reconciler.core.contact_channels import OptOuts
from reconciler.core.decide import Decided, Decision, Moments
from reconciler.core.decide_assign import Counts, FinalOutcome, assign, check
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Quarantined
from reconciler.core.ledger_rules import State
from reconciler.core.phi import Phi
from reconciler.errors import InternalError, RemoteError
from reconciler.store import ledger
from reconciler.store.ledger import Entry, Result
from reconciler.store.ledger_planned import Closed
from reconciler.sync.context import Deps
from reconciler.sync.extract import Extract, Visit
from reconciler.sync.taking import Taken

RECORD_PAGE = 500
"""Visits of one durable transaction."""


@dataclass
class Tally:
    """What was seen of one location. ``read`` is counted where visits are cut, the rest where they are recorded."""

    read: int = 0
    kinds: Counter[FinalOutcome] = field(default_factory=Counter)
    restricted: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    planned: int = 0
    """To be sent, as far as this pass has seen."""
    known: int = 0
    """Of these, those that an earlier pass had planned."""
    days: Counter[date] = field(default_factory=Counter)
    """Newly eligible visits by local day."""

    def add(self, outcome: FinalOutcome, reason: str = "") -> None:
        """One visit."""
        if outcome == "restricted":
            self.restricted[reason] += 1
        elif outcome == "skipped":
            self.skipped[reason] += 1
        else:
            self.kinds[outcome] += 1

    def take(self, result: Result) -> None:
        """One recorded visit, as it stands."""
        if result.state == "planned":
            self.planned += 1
            if result.effect == "kept":
                self.known += 1
            elif result.entry.day is not None:
                self.days[result.entry.day] += 1
        else:
            self.stand(result.state, result.outcome, result.reason)

    def stand(self, state: State | None, outcome: str, reason: str) -> None:
        """One visit that is not planned, as it stands."""
        if state == "confirmed":
            self.add("already_sent")
        elif state == "failed":
            self.add("failed")
        elif state in ("held", "unknown", "intent"):
            self.add("held")
        elif state == "discarded":
            is_opted_out = reason == ledger.OPTED_OUT.reason
            self.add("skipped", reason if is_opted_out else "discarded")
        elif outcome == "restricted":
            self.add("restricted", reason)
        elif outcome == "quarantined":
            self.add("quarantined")
        elif outcome == "skipped":
            self.add("skipped", reason)
        else:  # decided to be sent or held, in a backfill
            self.add("skipped", "backfilled")

    def with_closed(self, closed: Iterable[Closed]) -> Tally:
        """The same, and rows of earlier passes that were closed and not met: they are read in the sense of the report."""
        found = replace(
            self, kinds=Counter(self.kinds), restricted=Counter(self.restricted), skipped=Counter(self.skipped)
        )
        for it in closed:
            found.read += 1
            found.stand(it.after.state, it.after.outcome, it.after.reason)
        return found

    def counts(
        self,
        *,
        carried: int = 0,
        sent: int = 0,
        failed: int = 0,
        unknown: int = 0,
        left: int = 0,
        opted_out: int = 0,
    ) -> Counts:
        """The published counts once everything was delivered.

        ``carried``: planned by earlier passes and not seen by this one; they are read in the sense of the report, and so
        are those that were ``left`` held or unknown when this pass looked them up. ``opted_out``: of those that were
        planned, not sent for that. Raises ``InternalError`` where the counts do not add up.
        """
        skipped = self.skipped + Counter({ledger.OPTED_OUT.reason: opted_out})
        planned = self.planned + carried - opted_out
        found = Counts(
            read=self.read + carried + left,
            sent=sent,
            already_sent=self.kinds["already_sent"],
            restricted=dict(sorted(self.restricted.items())),
            skipped=dict(sorted(skipped.items())),
            quarantined=self.kinds["quarantined"],
            held=self.kinds["held"] + unknown + left,
            failed=self.kinds["failed"] + failed,
            pending=planned - sent - failed - unknown,
            eligible=self.kinds["held"] + self.kinds["failed"] + planned + left,
        )
        check(found)
        if found.pending < 0:
            raise InternalError("counting the visits of a pass: more were sent than were to be sent")
        return found


@dataclass(frozen=True)
class _Work:
    """One location's visits of one part, after the table that needs no patient."""

    one: Taken
    ordered: Sequence[Visit]
    forced: Sequence[Decided]
    moments: Moments
    first: Mapping[Phi[str], Decision | None]
    needed: Mapping[Phi[str], Phi[str]]
    """Patient by appointment."""
    opt_outs: OptOuts


@dataclass
class Deciding:
    """Decides and records the visits of one pass."""

    deps: Deps
    practice: str
    """Pseudonym."""
    taken: Sequence[Taken]
    claimants: Sequence[LocationRules]
    """Every active location of the practice, due or not."""
    extract: Extract
    opt_outs: Callable[[Taken], OptOuts]
    """Asked only where somebody is about to be contacted. Raises ``RemoteError`` where it cannot be known."""
    pass_id: str
    is_dry: bool
    is_backfill: bool
    now: datetime
    tallies: dict[int, Tally] = field(default_factory=dict)
    unassigned: int = 0
    _previous: frozenset[Phi[str]] = frozenset()
    left: dict[int, set[str]] = field(default_factory=dict)
    """By location: appointments that this pass found held or unknown, until they are met among what is read."""
    closed: Mapping[int, dict[str, Closed]] = field(default_factory=dict)
    """By location: rows of earlier passes that this one has closed, until they are met among what is read."""
    seen: int = 0
    """Visits of every kind, due location or not."""
    by_name: Counter[str] = field(default_factory=Counter)
    """The same by location name: for the next pass's choice of searches."""

    def __post_init__(self) -> None:
        self._running = {it.business: it for it in self.taken}
        self.tallies.update({it.business: Tally() for it in self.taken})
        self._closed = {name: it.after for found in self.closed.values() for name, it in found.items()}
        for one in self.taken:
            for name, it in self.closed.get(one.business, {}).items():
                self._tell(one, it.decision, name, it.closing)

    def part(self, visits: Sequence[Visit]) -> None:
        """One part of what was read. A visit that the part before had already is passed over."""
        fresh = [it for it in visits if it.id is None or it.id not in self._previous]
        self._previous = frozenset(it.id for it in visits if it.id is not None)
        assigned: dict[int, list[Visit]] = {}
        forced: dict[int, list[Decided]] = {}
        for visit in self._distinct(fresh):
            self.seen += 1
            self.by_name.update(it.strip() for it in visit.location_names)
            found = assign(visit, self.claimants)
            if found.business is None:
                self.unassigned += self._is_of_interest(visit)
                continue
            one = self._running.get(found.business)
            if one is None or one.ended is not None or (visit.start and not one.window.takes(visit.start)):
                continue
            self.tallies[one.business].read += 1
            if found.decision is not None and isinstance(visit, Appointment):
                forced.setdefault(one.business, []).append(Decided(visit, found.decision))
            else:
                assigned.setdefault(one.business, []).append(visit)
        work = []
        for business, one in self._running.items():
            mine, theirs = assigned.get(business, []), forced.get(business, [])
            it = self._first_table(one, mine, theirs) if mine or theirs else None
            if it is not None:
                work.append(it)
        # The patients of all locations in one row: the last ids of one location's page fill the request of the next.
        ahead = [patient for it in work for patient in it.needed.values()]
        passed = 0
        for it in work:
            passed = self._second_table(it, ahead, passed)

    def _is_of_interest(self, visit: Visit) -> bool:
        return visit.start is None or any(it.window.takes(visit.start) for it in self.taken)

    def _distinct(self, visits: Sequence[Visit]) -> list[Visit]:
        """Each appointment once. One that could not be read at one place is not believed at another."""
        broken = [it for it in visits if isinstance(it, Quarantined)]
        unsafe = {it.id for it in broken if it.id is not None}
        names = self.deps.names.get(self.practice, {})
        readable = [
            fhir.with_location_names(it, names) if names else it
            for it in visits
            if isinstance(it, Appointment) and it.id not in unsafe
        ]
        seen: set[Phi[str]] = set()
        found: list[Visit] = list(fhir.distinct(readable))
        for it in broken:
            if it.id is None or it.id not in seen:
                found.append(it)
            if it.id is not None:
                seen.add(it.id)
        return found

    def _first_table(self, one: Taken, mine: Sequence[Visit], forced: Sequence[Decided]) -> _Work | None:
        """What needs no patient, for one location; None where nobody may be contacted now and nothing is decided."""
        moments = Moments(self.now, one.contact_start.day, one.window.closed_before)
        ordered = sorted(mine, key=fhir.visit_order)
        # One contact a day is decided over all of them; patients, contacts and rows are there for a page at a time.
        first = decide.decide_visits([it for it in ordered if isinstance(it, Appointment)], one.rules, moments)
        needed = self._needed(ordered, first)
        opt_outs = OptOuts()
        if needed:
            try:
                opt_outs = self.opt_outs(one)
            except RemoteError as error:
                # Nobody is contacted on a guess; what was recorded so far stays, and the mark stays too.
                one.end("error", f"who opted out cannot be read: {error.message}")
                one.is_undecided = True
                self.tallies[one.business] = Tally()
                return None
        return _Work(one, ordered, forced, moments, first, needed, opt_outs)

    def _second_table(self, it: _Work, ahead: Sequence[Phi[str]], passed: int) -> int:
        """Decide and record one location's visits. ``ahead``: the patients of all locations, of which ``passed`` are
        done; how many are then.
        """
        for start in range(0, len(it.ordered), RECORD_PAGE):
            page = it.ordered[start : start + RECORD_PAGE]
            asked = [it.needed[visit.id] for visit in page if visit.id is not None and visit.id in it.needed]
            passed += len(asked)
            decided = decide.decide_all(
                page,
                it.one.rules,
                it.moments,
                patients=self.extract.patients(asked, islice(ahead, passed, None)),
                external_id=lambda patient: self.deps.pseudonyms.external_id(self.practice, patient),
                opt_outs=it.opt_outs,
                first=it.first,
            )
            self._keep(it.one, decided)
        for start in range(0, len(it.forced), RECORD_PAGE):
            self._keep(it.one, it.forced[start : start + RECORD_PAGE])
        return passed

    def _needed(self, ordered: Sequence[Visit], first: Mapping[Phi[str], Decision | None]) -> dict[Phi[str], Phi[str]]:
        """The patients of the visits that passed the first table and may still be decided, by appointment."""
        found: dict[Phi[str], Phi[str]] = {}
        passed = [
            it
            for it in ordered
            if isinstance(it, Appointment) and it.patient_id is not None and first.get(it.id) is None
        ]
        for start in range(0, len(passed), RECORD_PAGE):
            page = passed[start : start + RECORD_PAGE]
            names = [self.deps.pseudonyms.appointment(self.practice, it.id) for it in page]
            last = self._last(names)
            for it, name in zip(page, names, strict=True):
                known = last.get(name)
                if it.patient_id is not None and not decide.is_final(known.recorded if known is not None else None):
                    found[it.id] = it.patient_id
        return found

    def _last(self, names: Sequence[str]) -> dict[str, ledger.Visit]:
        with self.deps.ledger.read() as connection:
            found = ledger.last(connection, self.practice, names)
        if self.is_dry:  # nothing was closed, only looked at
            found |= {name: self._closed[name] for name in names if name in self._closed}
        return found

    def _keep(self, one: Taken, decided: Sequence[Decided]) -> None:
        """Record one page of decisions."""
        tally = self.tallies[one.business]
        entries = []
        for it in decided:
            if it.visit.id is None:
                # Nothing to remember it by: counted and shown, and looked at again.
                tally.add("quarantined")
                self._tell(one, it.decision, None, "new")
            else:
                entries.append(self._entry(one, it, self.deps.pseudonyms.appointment(self.practice, it.visit.id)))
        if not entries:
            return
        left = self.left.get(one.business, set())
        closed = self.closed.get(one.business, {})
        for result in self._record(entries):
            tally.take(result)
            left.discard(result.entry.appointment)  # counted here, as it stands
            closed.pop(result.entry.appointment, None)
            if result.effect != "kept":
                shown = result.entry.decision if result.effect != "duplicate" else ledger.DUPLICATE
                self._tell(one, shown, result.entry.appointment, result.effect)

    def _entry(self, one: Taken, it: Decided, appointment: str) -> Entry:
        visit = it.visit
        patient = visit.patient_id if isinstance(visit, Appointment) else None
        payload = None
        if visit.id is not None and it.decision.outcome in ("send", "held"):
            body = it.contact.body() if it.contact is not None and it.decision.outcome == "send" else None
            payload = ledger.payload(visit.id, body, _filtered_by(visit) if body is not None else None)
        return Entry(
            appointment=appointment,
            business=one.business,
            slug=one.place.slug,
            decision=it.decision,
            revision=one.rules.revision,
            patient=self.deps.pseudonyms.patient(self.practice, patient) if patient is not None else None,
            day=visit.start.astimezone(one.rules.zone).date() if visit.start is not None else None,
            start=visit.start,
            payload=payload,
        )

    def _record(self, entries: Sequence[Entry]) -> Sequence[Result]:
        if self.is_dry:
            last = self._last([it.appointment for it in entries])
            return [_would_be(it, last.get(it.appointment), backfill=self.is_backfill) for it in entries]
        with self.deps.ledger.begin() as connection:
            return ledger.record(
                connection,
                self.practice,
                entries,
                keys=self.deps.keys,
                pass_id=self.pass_id,
                now=self.deps.now(),
                backfill=self.is_backfill,
            )

    def tell_opted_out(self, one: Taken, appointments: Sequence[str]) -> None:
        """Visits that were planned, and whose contact had opted out when they were about to be sent."""
        for it in appointments:
            self._tell(one, ledger.OPTED_OUT, it, "again")

    def _tell(self, one: Taken, decision: Decision, appointment: str | None, effect: str) -> None:
        if self.deps.on_decision is None:
            return
        fields: dict[str, Any] = {
            "slug": one.place.slug,
            "business": one.business,
            "appointment": appointment[:12] if appointment else None,
            "outcome": decision.outcome,
            "reason": decision.reason,
            "rule": decision.rule,
            "compared": dict(decision.compared),
            "effect": effect,
            "revision": one.rules.revision,
            "pass": self.pass_id,
            "dry_run": self.is_dry,
        }
        if decision.log_key is not None:
            fields[decision.log_key] = decision.compared[0][1] if decision.compared else True
        self.deps.on_decision(fields)


def _filtered_by(visit: Visit) -> dict[str, Any] | None:
    """What filters look at; vocabulary of the configuration only."""
    if not isinstance(visit, Appointment):
        return None
    return {
        "status": visit.status,
        "custom_status": visit.custom_status,
        "types": visit.types,
        "purposes": visit.purposes,
        "location_names": visit.location_names,
        "practitioner_ids": visit.practitioner_ids,
    }


def _would_be(entry: Entry, last: ledger.Visit | None, *, backfill: bool) -> Result:
    """What recording would give, without the database's own guard."""
    if last is not None and decide.is_final(last.recorded):
        return Result(entry, "kept", last.outcome, last.reason, last.state)
    decision = entry.decision
    state = {"send": "planned", "held": "held"}.get(decision.outcome) if not backfill else None
    effect: ledger.Effect = "new" if last is None else "again"
    return Result(entry, effect, decision.outcome, decision.reason, state)  # type: ignore[arg-type]
