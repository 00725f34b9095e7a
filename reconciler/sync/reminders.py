"""The reminders of one pass: which locations take part, both directions, and how they are left. Under the pass's lock.

What patients asked for goes first, so that a booking is told to Birdeye by the same pass. See ``sync.md``, *Reminders*.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from reconciler import errors
from reconciler.clients.appointments import is_absent
from reconciler.core import reminders as rules_of_reminders
from reconciler.core import timing
from reconciler.core.reminder_report import ReminderReport
from reconciler.core.sync_report import LocationReport, PassReport, Status, added
from reconciler.core.timing import Slot
from reconciler.store import reminders as kept
from reconciler.store import sync_passes, sync_practices
from reconciler.store.reminders import ReminderState
from reconciler.store.sync_marks import LocationState
from reconciler.sync import naming, taking, trust
from reconciler.sync.context import Change, Deps, Fence, Options, Paused
from reconciler.sync.places import Place, Practice
from reconciler.sync.reminder_ports import Appointments, Mine, Ports
from reconciler.sync.reminder_requests import Requests
from reconciler.sync.reminder_upserts import Upserts

KINDS = ("slot", "now")
"""Passes that run them: ``--date`` and ``--backfill`` are about review requests."""
RETRY = timedelta(minutes=10)
TROUBLE = ("stopped", "error", "unauthorised")
NOT_DUE = "its review requests are not due"


def follow(
    deps: Deps, practice: Practice, places: Sequence[Place], options: Options, fence: Fence, report: PassReport
) -> PassReport:
    """The report of a pass with what its reminders did. Raises nothing that a pass can report."""
    birdeye, ports = deps.appointments, deps.ports
    concerned = [it for it in places if it.reminders is not None]
    if options.kind not in KINDS or birdeye is None or ports is None or not concerned:
        return report
    it = _Reminders(deps, practice, concerned, options, fence, birdeye, report)
    try:
        return it.run()
    except errors.ReconcilerError as error:
        return it.failed("error", error.message)
    except Exception as error:  # noqa: BLE001 - the review requests were made, and their report stands
        return it.failed("error", f"this is a defect of reconciler ({type(error).__name__})")


@dataclass
class _Reminders:
    deps: Deps
    practice: Practice
    places: Sequence[Place]
    options: Options
    fence: Fence
    birdeye: Appointments
    review: PassReport
    taken: list[Mine] = field(default_factory=list)
    reports: dict[int, ReminderReport] = field(default_factory=dict)
    states: dict[int, ReminderState] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)
    again_at: datetime | None = None
    pass_id: str = ""

    def run(self) -> PassReport:
        now = self.deps.now()
        self._take(now)
        failure: tuple[Status, str] | None = None
        if self.taken:
            failure = self._guarded(now)
        return self._finish(failure, now)

    def failed(self, status: Status, detail: str) -> PassReport:
        """The report where the reminders broke off before they could be recorded."""
        for it in self.places:
            self.reports[it.business] = ReminderReport(status, detail)
        return self._merged()

    # who takes part ----------------------------------------------------------------------------------------------

    def _take(self, now: datetime) -> None:
        deps = self.deps
        with deps.ledger.read() as connection:
            found = taking.look(connection, self.practice)
            known = kept.locations(connection)
        self.states = {business: it for business, it in known.items() if it.practice == self.practice.pseudonym}
        for place in self.places:
            gate = place.reminders.gate if place.reminders is not None else None
            reason = gate or self._stopped(place) or taking.held_back(deps, place, found, self.options, now)
            if reason is not None:
                self.reports[place.business] = ReminderReport(*reason)
                continue
            slot = timing.joins(
                taking.schedule(place, self.practice.pseudonym),
                last=taking.last_slot(place, self._flow(place), now),
                now=now,
            )
            if self.options.due_only and (slot is None or not self._anyone_due(now)):
                continue
            self._take_one(place, slot, now)

    def _anyone_due(self, now: datetime) -> bool:
        """Did a review request's slot come, or that of reminders? Others within half an hour of it come along."""
        if any(it.start is not None for it in self.review.locations):
            return True
        return any(
            it.reminders is not None
            and it.reminders.gate is None
            and timing.due_slot(
                taking.schedule(it, self.practice.pseudonym),
                last=taking.last_slot(it, self._flow(it), now),
                now=now,
            )
            for it in self.places
        )

    def _flow(self, place: Place) -> LocationState | None:
        state = self.states.get(place.business)
        return state.flow if state is not None else None

    def _stopped(self, place: Place) -> tuple[Status, str] | None:
        """What stopped the location's review requests stops its reminders too, unless it was their own cap."""
        it = next((one for one in self.review.locations if one.business == place.business), None)
        if it is not None and it.status == "stopped" and "--max-contacts" not in it.detail:
            return "stopped", it.detail
        return None

    def _take_one(self, place: Place, slot: Slot | None, now: datetime) -> None:
        rules = place.rules
        if rules is None:
            raise errors.InternalError("a location without a time zone was about to run")
        try:
            api_key = self.deps.reveal(place.key_reference).strip() if place.key_reference else self.deps.default_key
        except errors.SecretError as error:
            self.reports[place.business] = ReminderReport("error", error.message)
            return
        if api_key is None:
            detail = "no contacts API key: declare contacts_api_key, or set contacts.api_key"
            self.reports[place.business] = ReminderReport("error", detail)
            return
        state = self.states.get(place.business) or ReminderState(
            place.business, place.slug, self.practice.pseudonym, "waiting"
        )
        span = rules_of_reminders.span(
            now, rules.zone, past_months=rules.past_months, future_months=rules.future_months
        )
        report = self.reports[place.business] = ReminderReport("ok")
        self.taken.append(Mine(place, rules, state, slot, span, api_key, report))

    # the work ----------------------------------------------------------------------------------------------------

    def _guarded(self, now: datetime) -> tuple[Status, str] | None:
        """Both directions; why it broke off, if it did."""
        is_plus, is_dry = self.practice.practice_plus, self.options.dry_run
        try:
            self._work(now)
        except errors.PracticeUnauthorised as error:
            self._unauthorised(error, now)
            return "unauthorised", error.message
        except errors.CredentialsRefused as error:
            trust.refuse(self.deps, error, practice_plus=is_plus)
            return "waiting", error.message
        except errors.QuotaUsedUp as error:
            self.again_at = trust.use_up(self.deps, error, practice_plus=is_plus, is_dry=is_dry)
            return "waiting", error.message
        except Paused as error:
            return "paused", error.message
        except errors.ReconcilerError as error:
            return "error", error.message
        except Exception as error:  # noqa: BLE001 - the review requests were made, and their report stands
            return "error", f"this is a defect of reconciler ({type(error).__name__})"
        return None

    def _work(self, now: datetime) -> None:
        deps = self.deps
        trust.check(deps, practice_plus=self.practice.practice_plus, is_dry=self.options.dry_run)
        if self._in_doubt() or deps.ports is None:
            return
        self._second_executor()
        ports = deps.ports(self.practice.practice_plus)
        ports.reads.take_requests(self.practice.practice_id)
        try:
            naming.check_reminders(
                deps, self.practice, self._running(), ports.reads, is_dry=self.options.dry_run, now=now
            )
            for one in self._running():
                if one.place.reminders is not None and one.place.reminders.writes_back:
                    self._requests(one, ports)
                elif one.state.last_success is None:
                    self._ask_whether(one)
            self._upserts(ports, now)
        finally:
            self.requests = added(self.requests, ports.reads.take_requests(self.practice.practice_id))

    def _requests(self, one: Mine, ports: Ports) -> None:
        it = Requests(self.deps, self.practice, self.birdeye, ports, one, self.options, self.fence)
        try:
            it.run()
        finally:
            self.requests = added(self.requests, it.requests)

    def _ask_whether(self, one: Mine) -> None:
        """Are there such endpoints at all? Asked of what only reads, before two years of appointments are read."""
        try:
            self.requests = added(self.requests, {"requests": 1})
            self.birdeye.requests(one.business, one.api_key, None)
        except errors.RemoteError as error:
            if is_absent(error, was_there=False):
                one.absent()  # anything else: telling will find out, and say it better

    def _upserts(self, ports: Ports, now: datetime) -> None:
        upserting = [it for it in self._running() if it.place.reminders is not None and it.place.reminders.upserts]
        if not upserting:
            return
        it = Upserts(
            self.deps,
            self.practice,
            self.birdeye,
            ports,
            upserting,
            [one.rules for one in self.practice.places if one.rules is not None],
            self.options,
            self.fence,
            now,
        )
        try:
            it.run()
        finally:
            self.requests = added(self.requests, it.requests)

    def _running(self) -> list[Mine]:
        return [it for it in self.taken if it.ended is None]

    def _in_doubt(self) -> bool:
        """A ledger that is an older copy does not know which bookings were made."""
        deps = self.deps
        if self.options.dry_run:
            doubt = sync_passes.doubt(deps.store, deps.ledger)
        else:
            self.pass_id = deps.new_id()
            begun = sync_passes.begin(
                deps.store,
                deps.ledger,
                id=self.pass_id,
                practice=self.practice.pseudonym,
                kind=self.options.kind,
                now=deps.now(),
            )
            doubt = begun if isinstance(begun, sync_passes.Doubt) else None
        if doubt is None:
            return False
        self.pass_id = ""
        for one in self.taken:
            one.end(
                "stopped",
                f"the ledger is not the newest ({doubt}): a booking made since may not be in it; cover the gap with "
                "`reconciler sync --backfill FROM TO --by NAME --reason TEXT`",
            )
        return True

    def _second_executor(self) -> None:
        """Of locations whose review requests did not run in this pass: those were looked at."""
        looked = {it.business for it in self.review.locations if it.start is not None}
        places = [it.place for it in self._running() if it.business not in looked]
        found = self.deps.second_executor(places, self.options.dry_run) if places else {}
        for one in self._running():
            why = found.get(one.business)
            if why is not None:
                one.end("stopped", why)

    def _unauthorised(self, error: errors.PracticeUnauthorised, now: datetime) -> None:
        if self.options.dry_run:
            return
        with self.deps.ledger.begin() as connection:
            detail = f"Nextech answered {error.status} to a fresh token"
            sync_practices.put_authorised(connection, self.practice.pseudonym, authorised=False, at=now, detail=detail)

    # the end -----------------------------------------------------------------------------------------------------

    def _finish(self, failure: tuple[Status, str] | None, now: datetime) -> PassReport:
        for one in self.taken:
            status, detail = one.ended or failure or one.problem or ("ok", "")
            one.report.status, one.report.detail = status, detail
            one.is_again = one.is_again or failure is not None
        for business, report in self.reports.items():
            try:
                report.to_json()
            except errors.InternalError as error:
                self._broken(business, error)
        merged = self._merged()
        if not self.options.dry_run:
            self._record(now)
        return merged

    def _broken(self, business: int, error: errors.InternalError) -> None:
        """Counts that do not add up move no mark. A pass that broke off has appointments without an outcome."""
        report = self.reports[business]
        if report.status == "ok":
            report.status, report.detail = "error", error.message
        report.upsert, report.requests = None, None
        for one in self.taken:
            if one.business == business:
                one.is_told = one.is_checked = False

    def _merged(self) -> PassReport:
        locations = {it.business: it for it in self.review.locations}
        for place in self.places:
            report = self.reports.get(place.business)
            if report is None:
                continue
            base = locations.get(place.business) or LocationReport(
                place.business, place.slug, "waiting", NOT_DUE, practice=self.practice.pseudonym
            )
            locations[place.business] = replace(base, reminders=report, requests=added(base.requests, self.requests))
        return replace(
            self.review,
            locations=tuple(sorted(locations.values(), key=lambda it: it.business)),
            requests=added(self.review.requests, self.requests),
        )

    def _record(self, now: datetime) -> None:
        deps = self.deps
        mine = {it.business: it for it in self.taken}
        before: dict[int, str] = {}
        with deps.ledger.begin() as connection:
            for place in self.places:
                report = self.reports.get(place.business)
                if report is None:
                    continue
                old = self.states.get(place.business)
                before[place.business] = old.status if old is not None else "ok"
                kept.put(connection, self._state(place, report, old, mine.get(place.business), now))
            if self.pass_id:
                summary = {str(business): it.to_json() for business, it in sorted(self.reports.items())}
                sync_passes.finish(connection, self.pass_id, report={"reminders": summary}, now=deps.now())
        for place in self.places:
            if place.business in before:
                self._tell(place, self.reports[place.business], before[place.business])

    def _state(
        self, place: Place, report: ReminderReport, old: ReminderState | None, one: Mine | None, now: datetime
    ) -> ReminderState:
        base = one.state if one is not None else old
        if base is None:
            base = ReminderState(place.business, place.slug, self.practice.pseudonym, report.status)
        slot = base.last_slot
        if one is not None and one.slot is not None and not one.is_again:
            slot = one.slot.at
        due = None
        if report.status not in ("inactive", "platform") or (one is not None and one.is_absent):
            due = taking.next_due(place, self.practice.pseudonym, after=max(now, slot or now))
            if report.status in ("error", "waiting"):
                due = min(due, self.again_at or now + RETRY)
        return replace(
            base,
            slug=place.slug,
            status=report.status,
            detail=report.detail,
            mark=now if one is not None and one.is_told else base.mark,
            checked_at=now if one is not None and one.is_checked else base.checked_at,
            last_slot=slot,
            last_success=now if report.status == "ok" else base.last_success,
            next_due=due,
        )

    def _tell(self, place: Place, report: ReminderReport, was: str) -> None:
        fields = {"slug": place.slug, "business": place.business, "status": report.status, "detail": report.detail}
        self.deps.log("reminders", fields)
        text = f"reminders of location {place.business}"
        if report.status in TROUBLE and was != report.status:
            kind = "capped" if "--max-contacts" in report.detail else report.status
            self.deps.on_change(Change(kind, place.slug, f"{text}: {report.detail}"))
        elif report.status == "ok" and was in TROUBLE:
            self.deps.on_change(Change("recovered", place.slug, f"{text} run again"))
