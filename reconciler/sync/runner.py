"""The loop of ``run``: plan, make passes, tell how it goes, tidy up; and end within a bound when a signal comes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core.sync_report import PassReport
from reconciler.errors import CredentialsRefused, ReconcilerError
from reconciler.report.metrics import OUTCOMES, Figures, LocationFigures
from reconciler.store import leases, ledger, sync_facts, sync_marks, sync_practices, sync_slots
from reconciler.sync import planner as planning
from reconciler.sync import sweep, tidying
from reconciler.sync.context import LOCK_PREFIX, PLUS, Change, Deps, Options
from reconciler.sync.engine import Engine, Job, ThreadEngine
from reconciler.sync.passes import run_pass
from reconciler.sync.planner import Due, Planner

TICK_SECONDS = 15.0
DRAIN_SECONDS = 25.0
"""Less than the 30 s that process managers give before they kill."""
TRY_TOKEN_EVERY = timedelta(minutes=5)
LOOK_EVERY = timedelta(hours=1)
"""How often a runner looks whether it is time to forget what is old."""


@dataclass
class Totals:
    """Since the process started. Thread-safe."""

    visits: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    passes: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, report: PassReport) -> None:
        """One pass."""
        with self.lock:
            self.requests.update(report.requests)
            for it in report.locations:
                self.passes[it.status] += 1
                counts = it.counts
                for name in OUTCOMES:
                    value = getattr(counts, name)
                    self.visits[name] += sum(value.values()) if isinstance(value, Mapping) else value


class Runner:
    """One ``run`` on this machine."""

    def __init__(
        self,
        deps: Deps,
        *,
        workers: int,
        name: str,
        monotonic: Callable[[], float],
        retention_days: int,
        try_token: Callable[[bool], None],
        tick_seconds: float = TICK_SECONDS,
    ) -> None:
        """``try_token`` asks for a token of a product (True: Practice+) and raises where our credentials are refused."""
        self._deps = deps
        self._monotonic = monotonic
        self._retention_days = retention_days
        self._try_token = try_token
        self._tick_seconds = tick_seconds
        self._engine = ThreadEngine(
            deps.ledger, self._perform, workers=workers, name=name, is_held=self._is_held, monotonic=monotonic
        )
        self._planner = Planner(deps, self._engine)
        self._totals = Totals()
        self._due: tuple[Due, ...] = ()
        self._ticked_at: float | None = None
        self._problem = ""
        self._looked_at: datetime | None = None
        self._tried_at: datetime | None = None
        self._draining = False

    @property
    def engine(self) -> Engine:
        """For who watches."""
        return self._engine

    def run(self, *, on_tick: Callable[[], None] = lambda: None) -> bool:
        """Until the stop event. Whether everything in flight ended within the bound."""
        self._engine.start()
        while not self._deps.stop.is_set():
            self.tick()
            on_tick()
            self._deps.sleep(self._tick_seconds)
        self._draining = True
        return self._engine.drain(DRAIN_SECONDS)

    def tick(self) -> None:
        """One look at everything. What goes wrong is told by ``/healthz`` and tried again at the next one."""
        now = self._deps.now()
        try:
            self._engine.recover()
            self._renew_trust(now)
            submitted, self._due = self._planner.tick(now)
            if submitted:
                self._engine.kick()
            self._tell_late(now)
            self._tidy(now)
            self._problem = ""
        except ReconcilerError as error:
            self._problem = error.message
            self._deps.log("a look at what is due failed", {"detail": error.message})
        self._ticked_at = self._monotonic()

    def _perform(self, job: Job) -> str:
        found = sweep.standing(self._deps)
        practice = next((it for it in found.practices if it.pseudonym == job.practice), None)
        if practice is None:
            return "the practice is not in force any more"
        wanted = frozenset(it.business for it in practice.places)
        report = run_pass(self._deps, practice, wanted, Options("slot", due_only=True))
        self._totals.add(report)
        for it in report.locations:
            counts = it.counts
            fields = {"slug": it.slug, "business": it.business, "status": it.status, "detail": it.detail}
            self._deps.log("pass", fields | {"read": counts.read, "sent": counts.sent, "pending": counts.pending})
        return ", ".join(f"{it.business} {it.status}" for it in report.locations)

    def _is_held(self, practice: str) -> bool:
        found = leases.list_leases(self._deps.ledger)
        return any(it.name == LOCK_PREFIX + practice and not it.expired for it in found)

    def _renew_trust(self, now: datetime) -> None:
        """Where our own credentials were refused: is it mended?"""
        if not self._deps.refused or (self._tried_at is not None and now - self._tried_at < TRY_TOKEN_EVERY):
            return
        self._tried_at = now
        for name in tuple(self._deps.refused):
            try:
                self._try_token(name == PLUS)
            except CredentialsRefused as error:
                self._deps.refused[name] = error
            except ReconcilerError:
                continue
            else:
                del self._deps.refused[name]
                self._deps.on_change(Change("recovered", name, "our credentials are accepted again"))

    def _tell_late(self, now: datetime) -> None:
        slugs = planning.late(self._due, now)
        with self._deps.ledger.read() as connection:
            told = tuple(sync_facts.get(connection, "late") or ())
        if slugs == told:
            return
        with self._deps.ledger.begin() as connection:
            sync_facts.put(connection, "late", list(slugs) or None)
        for slug in sorted(set(slugs) - set(told)):
            self._deps.on_change(Change("late", slug, f"a location has been due for more than {planning.LATE}"))
        for slug in sorted(set(told) - set(slugs)):
            self._deps.on_change(Change("recovered", slug, "no location is late any more"))

    def _tidy(self, now: datetime) -> None:
        if self._looked_at is None or not timedelta(0) <= now - self._looked_at < LOOK_EVERY:
            self._looked_at = now
            tidying.tidy(self._deps, self._retention_days)

    # what others ask ---------------------------------------------------------------------------------------------

    def health(self) -> str:
        """What is wrong with this process, or an empty text."""
        if self._ticked_at is None or self._monotonic() - self._ticked_at > 4 * self._tick_seconds + 60:
            return "no look at what is due for too long"
        found = self._engine.health()
        return "" if found.ok else f"{found.alive} of {found.workers} workers; {found.last_error or 'no error'}"

    def ready(self) -> str:
        """Why this process is making no passes, or an empty text."""
        if self._draining or self._deps.stop.is_set():
            return "draining"
        return self._problem or ("" if self._ticked_at is not None else "starting")

    def figures(self) -> Figures:
        """What ``/metrics`` shows."""
        now = self._deps.now()
        with self._deps.ledger.read() as connection:
            states = sync_marks.locations(connection)
            rows = ledger.counts(connection)
            paused = sync_practices.ALL in sync_practices.pauses(connection)
            waiting, running, _ = sync_slots.backlog(connection)
        by_state: Counter[str] = Counter()
        for one in rows.values():
            by_state.update({str(state): count for state, count in one.items()})
        with self._totals.lock:
            visits, requests, passes = (
                dict(it) for it in (self._totals.visits, self._totals.requests, self._totals.passes)
            )
        return Figures(
            locations=tuple(
                LocationFigures(
                    it.slug,
                    it.business,
                    it.status,
                    it.last_success.timestamp() if it.last_success is not None else None,
                    (now - it.mark).total_seconds() if it.mark is not None else None,
                )
                for it in states.values()
                if it.status not in ("inactive", "platform")
            ),
            states=by_state,
            oldest_due_seconds=max((now - self._due[0].since).total_seconds(), 0.0) if self._due else 0.0,
            visits=visits,
            requests=requests,
            passes=passes,
            waiting=waiting,
            running=running,
            paused_all=paused or self._deps.limits.pause_all,
        )
