"""One pass over one practice, from its lock to its report. What it does, word by word: ``sync.md``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from reconciler import errors
from reconciler.core import timing
from reconciler.core.contact_channels import OptOuts
from reconciler.core.decide_assign import Counts
from reconciler.core.fhir_models import Appointment
from reconciler.core.sync_report import LOCKED_DETAIL, LocationReport, PassReport, Status, added
from reconciler.core.windows_reads import PAGE_SIZE, Read, cheaper_by_name, plan_reads
from reconciler.store import leases, ledger_outbox, ledger_planned, sync_facts, sync_marks, sync_passes, sync_practices
from reconciler.store.ledger_planned import Closed
from reconciler.sync import caps, doubts, naming, reminders, settle, taking, trust
from reconciler.sync.context import LOCK_PREFIX, Deps, Fence, Options, Paused
from reconciler.sync.deciding import Deciding, Tally
from reconciler.sync.deliver import Account, Delivered, Delivery, deliver
from reconciler.sync.extract import Extract, Reads, Visit
from reconciler.sync.leftover import Leftover
from reconciler.sync.places import Place, Practice
from reconciler.sync.recording import Recording
from reconciler.sync.taking import Taken


class Interrupted(errors.ReconcilerError):
    """A signal came while the pass was reading; nothing was concluded from what it had read."""


def run_pass(deps: Deps, practice: Practice, wanted: Collection[int], options: Options) -> PassReport:
    """One pass over the ``wanted`` locations (business numbers) of a practice. Raises nothing that a pass can report."""
    places = [it for it in practice.places if it.business in wanted]
    if options.dry_run:
        return _guarded(deps, practice, places, options, None)
    try:
        lease = leases.acquire(deps.ledger, LOCK_PREFIX + practice.pseudonym, deps.holder)
    except errors.LockHeld:
        return _all(practice, places, "waiting", LOCKED_DETAIL, is_locked=True)
    except errors.ReconcilerError as error:
        return _all(practice, places, "error", error.message)
    try:
        with lease, leases.Heartbeat(lease):
            return _guarded(deps, practice, places, options, lease)
    except errors.ReconcilerError as error:  # giving the lease back failed: it frees itself
        return _all(practice, places, "error", error.message)


def _all(
    practice: Practice, places: Sequence[Place], status: Status, detail: str, *, is_locked: bool = False
) -> PassReport:
    return PassReport(
        practice.pseudonym,
        tuple(
            LocationReport(it.business, it.slug, status, detail, is_locked=is_locked, practice=practice.pseudonym)
            for it in places
        ),
    )


def _guarded(
    deps: Deps, practice: Practice, places: Sequence[Place], options: Options, lease: leases.Lease | None
) -> PassReport:
    numbers = frozenset({*(it.business for it in places), *(it.parent for it in places)})
    fence = Fence(deps.ledger, lease, sends=options.kind != "backfill", numbers=numbers)
    deps.fences.current = fence
    it = _Pass(deps, practice, places, options, fence)
    try:
        return reminders.follow(deps, practice, places, options, fence, it.run())
    finally:
        deps.fences.current = None


@dataclass
class _Pass:
    deps: Deps
    practice: Practice
    places: Sequence[Place]
    options: Options
    fence: Fence
    id: str = ""
    since: datetime = field(init=False)
    """When it began."""
    client: Reads | None = None
    taken: list[Taken] = field(default_factory=list)
    others: list[LocationReport] = field(default_factory=list)
    deciding: Deciding | None = None
    carried: dict[int, int] = field(default_factory=dict)
    delivered: Delivered = field(default_factory=Delivered)
    closed: dict[int, dict[str, Closed]] = field(default_factory=dict)
    """Rows of earlier passes that are not to be sent any more, by location, until they are met among what is read."""
    looked_at: Counter[int] = field(default_factory=Counter)
    """How many these were."""
    doubt: sync_passes.Doubt | None = None
    """Of a backfill: the ledger is not the newest."""
    left: dict[int, set[str]] = field(default_factory=dict)
    """Appointments that were looked up and stay held or unknown, by location."""
    requests: dict[str, int] = field(default_factory=dict)
    is_read: bool = False
    """Was everything read and recorded?"""
    began: bool = False
    again_at: datetime | None = None

    def run(self) -> PassReport:
        self.id = self.deps.new_id()
        now = self.since = self.deps.now()
        failure: tuple[Status, str] | None = None
        try:
            self._work(now)
        except errors.PracticeUnauthorised as error:
            self._unauthorised(error, now)
            failure = ("unauthorised", error.message)
        except errors.CredentialsRefused as error:
            trust.refuse(self.deps, error, practice_plus=self.practice.practice_plus)
            failure = ("waiting", error.message)
        except errors.QuotaUsedUp as error:
            is_plus, is_dry = self.practice.practice_plus, self.options.dry_run
            self.again_at = trust.use_up(self.deps, error, practice_plus=is_plus, is_dry=is_dry)
            failure = ("waiting", error.message)
        except Paused as error:
            failure = ("paused", error.message)
        except Interrupted as error:
            failure = ("waiting", error.message)
        except errors.ReconcilerError as error:
            trust.note_shut_out(self.deps, error, self.practice.pseudonym)
            failure = ("error", error.message)
        except Exception as error:  # noqa: BLE001 - the top of a pass: the other practices go on
            failure = ("error", f"this is a defect of reconciler ({type(error).__name__})")
        if self.client is not None:
            self.requests = added(self.requests, self.client.take_requests(self.practice.practice_id))
        return self._finish(failure)

    # the steps ---------------------------------------------------------------------------------------------------

    def _work(self, now: datetime) -> None:
        deps = self.deps
        with deps.ledger.read() as connection:
            found = taking.look(connection, self.practice)
        self.taken, self.others = taking.take(deps, self.practice, self.places, found, self.options, now)
        if not self.taken:
            return  # credentials are asked for only where a location runs
        trust.check(deps, practice_plus=self.practice.practice_plus, is_dry=self.options.dry_run)
        self.client = deps.reads(self.practice.practice_plus)
        self.client.take_requests(self.practice.practice_id)
        if self._in_doubt():
            return
        self._second_executor()
        if not self.options.dry_run:
            self._before(now)
        self.closed = self._leftover(now).close(self._running())
        extract = self._extract()
        naming.check(deps, self.practice.pseudonym, self.taken, extract, is_dry=self.options.dry_run, now=now)
        self._decide(extract, now)
        self._count_carried()
        self._cover()
        self.is_read = True
        if not self.options.dry_run and self.options.kind != "backfill":
            self._deliver(now)

    def _in_doubt(self) -> bool:
        deps, options = self.deps, self.options
        if options.kind == "backfill":
            self.doubt = sync_passes.doubt(deps.store, deps.ledger)
        if options.dry_run:
            doubt = sync_passes.doubt(deps.store, deps.ledger)
        else:
            begun = sync_passes.begin(
                deps.store,
                deps.ledger,
                id=self.id,
                practice=self.practice.pseudonym,
                kind=options.kind,
                now=deps.now(),
            )
            doubt = begun if isinstance(begun, sync_passes.Doubt) else None
            self.began = doubt is None
        if doubt is None or options.kind == "backfill":
            return False
        with deps.ledger.read() as connection:
            covered = doubts.covered(connection, doubt)
        for one in self.taken:
            one.end("stopped", doubts.says(doubt, is_covered=one.business in covered))
        return True

    def _cover(self) -> None:
        """Did a backfill cover what a location needs, where the ledger is not the newest?"""
        if self.doubt is None:
            return
        first, last = self.options.first, self.options.last
        for one in self._running():
            why = doubts.falls_short(self.doubt, one, first, last)
            if why is not None:
                one.end("stopped", why)
            else:
                one.floor = doubts.floor_after(one, first)

    def _second_executor(self) -> None:
        if self.options.kind == "backfill":
            return
        found = self.deps.second_executor([it.place for it in self.taken], self.options.dry_run)
        for one in self.taken:
            why = found.get(one.business)
            if why is not None:
                one.end("stopped", why)

    def _before(self, now: datetime) -> None:
        """What earlier passes left: unknown ones are looked up, what is never made up is given up."""
        deps = self.deps
        gone = [it.business for it in self.taken if _is_given_up(it)]
        if gone:
            with deps.ledger.begin() as connection:
                ledger_outbox.discard_planned(connection, gone, now=now)
        settle.adopt_orphans(deps.ledger, self.practice.pseudonym, now=now)
        if self.options.kind == "backfill":
            return
        done = settle.settle_unknown(
            self._delivery(),
            deps.contacts,
            self.practice.pseudonym,
            self._accounts(self.taken),
            settle_seconds=deps.limits.unknown_settle_seconds,
        )
        self.left = done.left
        if done.requests:
            self.requests["lookup"] = done.requests

    def _leftover(self, now: datetime) -> Leftover:
        return Leftover(
            self.deps, self.practice.pseudonym, self.options, self.id, now, is_doubtful=self.doubt is not None
        )

    def _extract(self) -> Extract:
        keep: frozenset[str] = frozenset().union(*(it.rules.keep for it in self.taken))
        client = self.deps.reads(self.practice.practice_plus)
        return Extract(client, self.practice.practice_id, keep)

    def _opt_outs(self, one: Taken) -> OptOuts:
        if one.api_key is None:  # beta without a key: nobody is contacted, and nothing can be asked
            return OptOuts()
        found = self.deps.feeds.of(
            one.place.parent, one.api_key, one.rules.country, since=self.since, on_request=self._fed
        )
        why = self.deps.feeds.shortened(one.place.parent)
        if why and why not in one.warnings:
            one.warnings.append(why)
        return found

    def _fed(self) -> None:
        self.requests = added(self.requests, {"update-feed": 1})

    def _running(self) -> list[Taken]:
        return [it for it in self.taken if it.ended is None]

    def _decide(self, extract: Extract, now: datetime) -> None:
        running = self._running()
        self.deciding = Deciding(
            deps=self.deps,
            practice=self.practice.pseudonym,
            taken=running,
            claimants=[it.rules for it in self.practice.places if it.rules is not None],
            extract=extract,
            opt_outs=self._opt_outs,
            pass_id=self.id,
            is_dry=self.options.dry_run,
            is_backfill=self.options.kind == "backfill",
            now=now,
            left=self.left,
            closed=self.closed,
        )
        self.looked_at = Counter({business: len(it) for business, it in self.closed.items()})
        fact = f"visits:{self.practice.pseudonym}"
        with self.deps.ledger.read() as connection:
            known = sync_facts.get(connection, fact) or {}
        per_day = float(known.get("per_day", PAGE_SIZE))
        reads = plan_reads([it.window for it in running], visits_a_day=per_day)
        for read in reads:
            for part in self._parts(extract, read, running, per_day, known.get("by_name", {})):
                if self.deps.stop.is_set():
                    raise Interrupted("a signal ended the pass while it was reading; the mark stays where it was")
                if _lacks_names(part, running) and self.practice.pseudonym not in self.deps.names:
                    naming.fresh(self.deps, self.practice.pseudonym, extract, is_dry=self.options.dry_run, now=now)
                self.deciding.part(part)
                del part  # or it would be there until the next one has been read
        days = sum((it.before - it.first).days for it in reads)
        if days and not self.options.dry_run:
            self._learn(fact, days)

    def _parts(
        self, extract: Extract, read: Read, running: Sequence[Taken], per_day: float, by_name: dict[str, float]
    ) -> Any:
        mine = [running[index] for index in read.windows]
        names = sorted({name.strip() for it in mine for name in it.rules.location_names})
        can = bool(names) and all(it.rules.location_names for it in mine) and all(it in by_name for it in names)
        chosen = {it: by_name[it] for it in names} if can else {}
        if can and cheaper_by_name(read, visits_a_day=per_day, by_name=chosen):
            return iter([extract.visits_of(read, names)])
        return extract.visits([read])

    def _learn(self, fact: str, days: int) -> None:
        if self.deciding is None:
            return
        by_name = {name: round(count / days, 2) for name, count in self.deciding.by_name.items()}
        seen = {name for it in self.taken for name in it.rules.location_names}
        if seen and set(by_name) <= seen and len(self.taken) < len(self.practice.places):
            return  # perhaps searched by name: says nothing about the others
        value = {"per_day": max(1.0, round(self.deciding.seen / days, 2)), "by_name": by_name}
        with self.deps.ledger.begin() as connection:
            sync_facts.put(connection, fact, value)

    # sending -----------------------------------------------------------------------------------------------------

    def _delivery(self) -> Delivery:
        deps = self.deps
        return Delivery(
            store=deps.ledger,
            client=deps.contacts,
            keys=deps.keys,
            now=deps.now,
            sleep=deps.sleep,
            fence=self.fence,
            is_paused=self.fence.has_paused,
            stop=deps.stop,
            concurrency=deps.limits.concurrency,
            day=self.options.day,
            # So that the transport asks before each retry of its own too, in the threads that send.
            enter_thread=lambda: setattr(deps.fences, "current", self.fence),
        )

    def _accounts(self, taken: Sequence[Taken]) -> dict[int, Account]:
        return {
            it.business: Account(it.place.parent, it.api_key)
            for it in taken
            if it.api_key is not None and not it.rules.beta and it.ended is None
        }

    def _planned(self) -> dict[int, int]:
        """Rows that a pass like this one sends, by location."""
        running = [it.business for it in self._running()]
        with self.deps.ledger.read() as connection:
            return ledger_planned.count(connection, self.practice.pseudonym, running, day=self.options.day)

    def _count_carried(self) -> None:
        """What earlier passes planned and this one has not read; a dry run counts it as the pass itself would."""
        if self.deciding is None or self.options.kind == "backfill":
            return
        planned, is_dry = self._planned(), self.options.dry_run
        for one in self._running():
            if is_dry and _is_given_up(one):
                continue
            tally, business = self.deciding.tallies[one.business], one.business
            read = self.looked_at[business] + tally.known if is_dry else tally.planned
            self.carried[business] = max(0, planned.get(business, 0) - read)

    def _deliver(self, now: datetime) -> None:
        if self.deciding is None:
            return
        waiting = self._planned()
        with self.deps.ledger.read() as connection:
            history = {
                it.business: sync_marks.days(connection, it.business, since=(now - caps.LOOK_BACK).date())
                for it in self._running()
            }
        for one in self._running():
            planned = waiting.get(one.business, 0)
            first = timing.local_day(one.window.start, one.rules.zone)
            why = caps.over(
                one,
                planned,
                history={day: count for day, count in history[one.business].items() if day < first},
                max_contacts_per_run=self.deps.limits.max_contacts_per_run,
                by_person=self.options.max_contacts,
            )
            if why is not None:
                one.end("stopped", why)
        due = [it for it in self._running() if waiting.get(it.business)]
        accounts = self._screened(due)
        if not accounts:
            return
        self.delivered = deliver(self._delivery(), self.practice.pseudonym, accounts)
        if self.delivered.requests:
            self.requests["checkin"] = self.delivered.requests
        for one in due:
            self.deciding.tell_opted_out(one, self.delivered.opted_out.get(one.business, ()))
        self._judge(self.delivered)

    def _screened(self, due: Sequence[Taken]) -> dict[int, Account]:
        """The accounts of the locations that are about to send, with who opted out as far as this pass has read it.

        Rows of earlier passes and those that a person has sent again were decided by an older feed, or by none.
        """
        accounts = self._accounts(due)
        for one in due:
            if one.business not in accounts:
                continue
            try:
                found = self._opt_outs(one)
            except (errors.RemoteError, errors.SecretError) as error:
                one.end("error", f"who opted out cannot be read: {error.message}; nothing is lost", again=True)
                del accounts[one.business]
            else:
                accounts[one.business] = replace(accounts[one.business], opt_outs=found, country=one.rules.country)
        return accounts

    def _judge(self, done: Delivered) -> None:
        for one in self._running():
            location = done.stopped_locations.get(one.business)
            account = done.stopped_accounts.get(one.place.parent)
            if location is not None:
                one.end("error", f"Birdeye refused the location: {location.message}; nothing is lost")
            elif account is not None:
                one.end("error", f"Birdeye refused the account: {account.message}; nothing is lost")
            elif one.business in done.paused:
                one.end("paused", "it was paused while the pass ran")
            elif done.unreachable and self._counts(one).pending:
                one.end("error", "Birdeye's contacts API cannot be reached; nothing is lost", again=True)
            elif done.interrupted and self.fence.is_paused:
                one.end("paused", "all sending was paused while the pass ran")
            elif done.interrupted and self.deps.stop.is_set():
                one.end("waiting", "a signal ended the pass while it was sending; nothing is lost", again=True)
            elif done.interrupted:
                detail = "the practice's lock was lost while the pass ran; nothing further was sent"
                one.end("error", detail, again=True)

    # the end -----------------------------------------------------------------------------------------------------

    def _unauthorised(self, error: errors.PracticeUnauthorised, now: datetime) -> None:
        if self.options.dry_run:
            return
        with self.deps.ledger.begin() as connection:
            detail = f"Nextech answered {error.status} to a fresh token"
            sync_practices.put_authorised(connection, self.practice.pseudonym, authorised=False, at=now, detail=detail)

    def _counts(self, one: Taken) -> Counts:
        tally = self.deciding.tallies.get(one.business) if self.deciding is not None else None
        if tally is None:
            tally = Tally()
        business = one.business
        tally = tally.with_closed(self.closed.get(business, {}).values())
        return tally.counts(
            carried=self.carried.get(business, 0),
            sent=self.delivered.confirmed.get(business, 0),
            failed=sum(self.delivered.failed.get(business, {}).values()),
            unknown=self.delivered.unknown.get(business, 0),
            left=len(self.left.get(business, ())),
            opted_out=len(self.delivered.opted_out.get(business, ())),
        )

    def _finish(self, failure: tuple[Status, str] | None) -> PassReport:
        reports = list(self.others)
        if failure is not None and not self.taken and not self.others:
            reports = list(_all(self.practice, self.places, *failure).locations)
        for one in self.taken:
            status, detail = one.ended or failure or ("ok", "")
            try:
                counts = self._counts(one)
            except errors.InternalError as error:
                counts = Counts()
                if failure is None:  # a pass that broke off has visits without an outcome; another one must not
                    status, detail, self.is_read = "error", error.message, False
            window = one.window
            reports.append(
                LocationReport(
                    business=one.business,
                    slug=one.place.slug,
                    status=status,
                    detail=detail,
                    start=min(window.start, window.to),
                    to=window.to,
                    counts=counts,
                    requests=self.requests,
                    warnings=tuple(one.warnings),
                    crm_locations=one.crm_locations,
                    practice=self.practice.pseudonym,
                )
            )
        report = PassReport(
            self.practice.pseudonym,
            tuple(sorted(reports, key=lambda it: it.business)),
            self.requests,
            self.deciding.unassigned if self.deciding is not None else 0,
        )
        if not self.options.dry_run:
            try:
                done = Recording(
                    self.deps,
                    self.practice,
                    self.options,
                    self.id,
                    is_begun=self.began,
                    is_complete=self.is_read and failure is None,
                    again_at=self.again_at,
                )
                done.record(self.places, report, self.taken, self.deciding)
            except errors.ReconcilerError as error:
                return _all(self.practice, self.places, "error", error.message)
        return report


def _is_given_up(one: Taken) -> bool:
    """Is what earlier passes planned never made up?"""
    return one.rules.beta or _floor_rose(one)


def _floor_rose(one: Taken) -> bool:
    old = one.state.floor if one.state is not None else None
    return one.state is not None and one.floor is not None and (old is None or one.floor > old)


def _lacks_names(part: Sequence[Visit], running: Sequence[Taken]) -> bool:
    if not any(it.rules.location_names for it in running):
        return False
    return any(isinstance(it, Appointment) and it.location_ids and not it.location_names for it in part)
