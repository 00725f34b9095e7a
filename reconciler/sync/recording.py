"""How a pass leaves its locations: mark, slot, status, next due time, visits a day; and who is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from reconciler.core import timing
from reconciler.core.sync_report import LocationReport, PassReport, Status
from reconciler.store import counts as weekly
from reconciler.store import sync_marks, sync_passes
from reconciler.store.sync_marks import LocationState
from reconciler.sync import taking
from reconciler.sync.context import Change, Deps, Options
from reconciler.sync.deciding import Deciding
from reconciler.sync.places import Place, Practice
from reconciler.sync.taking import Taken

RETRY = timedelta(minutes=10)
"""When a location whose pass failed is due again, unless its next slot comes earlier."""
TROUBLE: tuple[Status, ...] = ("stopped", "error", "unauthorised")
MAKES_UP = ("slot", "now")
"""Kinds of passes that move marks."""


@dataclass
class Recording:
    """Writes down how one pass ended."""

    deps: Deps
    practice: Practice
    options: Options
    pass_id: str
    is_begun: bool
    """Was it numbered?"""
    is_complete: bool
    """Was everything read, and every visit recorded?"""
    again_at: datetime | None = None
    """When what waits is due again; None: after ``RETRY``."""

    def record(
        self, places: Sequence[Place], report: PassReport, taken: Sequence[Taken], deciding: Deciding | None
    ) -> None:
        """One transaction in the ledger, one in the store; then people are told of what changed."""
        now = self.deps.now()
        by_business = {it.business: it for it in report.locations}
        mine = {it.business: it for it in taken}
        before: dict[int, LocationState | None] = {}
        with self.deps.ledger.begin() as connection:
            for place in places:
                one = by_business.get(place.business)
                if one is None or place.rules is None:
                    continue
                old = before[place.business] = sync_marks.location(connection, place.business)
                is_decided = self.is_complete and deciding is not None and place.business in deciding.tallies
                new = self._state(place, one, old, mine.get(place.business), now, is_decided=is_decided)
                sync_marks.put(connection, new)
            for it in taken:
                if deciding is not None and self.is_complete and it.ended is None and self.options.kind in MAKES_UP:
                    sync_marks.add_days(connection, it.business, _days(it, deciding))
            if self.is_begun:
                summary = {"locations": [it.to_json() for it in report.locations], "unassigned": report.unassigned}
                sync_passes.finish(connection, self.pass_id, report=summary, now=now)
        if self.is_complete and self.options.kind in MAKES_UP:
            with self.deps.store.begin() as connection:
                _add_weekly(connection, report.locations, now)
        for business, state in before.items():
            self._tell(by_business[business], state)

    def _state(
        self,
        place: Place,
        report: LocationReport,
        old: LocationState | None,
        one: Taken | None,
        now: datetime,
        *,
        is_decided: bool,
    ) -> LocationState:
        pseudonym = self.practice.pseudonym
        known = old if old is not None and old.practice == pseudonym else None
        mark = known.mark if known is not None else None
        slot = known.last_slot if known is not None else None
        floor = known.floor if known is not None else None
        if one is not None and one.floor is not None:
            floor = one.floor if floor is None else max(floor, one.floor)
        if one is not None and is_decided and not one.is_undecided and self.options.kind in MAKES_UP:
            mark = one.window.mark_after
            slot = one.slot.at if one.slot is not None and not one.is_again else slot
        due = taking.next_due(place, pseudonym, after=max(now, slot or now))
        if report.status in ("error", "waiting"):
            due = min(due, self.again_at or now + RETRY)
        return LocationState(
            business=place.business,
            slug=place.slug,
            practice=pseudonym,
            status=report.status,
            detail=report.detail,
            mark=mark,
            floor=floor,
            last_slot=slot,
            last_pass=self.pass_id if one is not None else (old.last_pass if old is not None else None),
            last_success=now if report.status == "ok" else (old.last_success if old is not None else None),
            next_due=due,
        )

    def _tell(self, report: LocationReport, old: LocationState | None) -> None:
        was = old.status if old is not None else "ok"
        if report.status in TROUBLE and was != report.status:
            kind = "capped" if "--max-contacts" in report.detail else report.status
            self.deps.on_change(Change(kind, report.slug, f"location {report.business}: {report.detail}"))
        elif report.status == "ok" and was in TROUBLE:
            self.deps.on_change(Change("recovered", report.slug, f"location {report.business} runs again"))


def _days(one: Taken, deciding: Deciding) -> dict[date, int]:
    """Eligible visits of each day of the new part of the window, days without any included."""
    found = dict(deciding.tallies[one.business].days)
    day = timing.local_day(one.window.start, one.rules.zone)
    while timing.start_of_day(day, one.rules.zone) < one.window.to:
        found.setdefault(day, 0)
        day += timedelta(days=1)
    return found


def _add_weekly(connection: Connection, locations: Sequence[LocationReport], now: datetime) -> None:
    """Weekly counts, which a plan judges its reach by without seeing the ledger."""
    year, week, _ = now.isocalendar()
    name = f"{year}-W{week:02d}"
    known: Mapping[int, Mapping[str, Mapping[str, int]]] = weekly.counts(connection, since=name)
    for it in locations:
        if it.status != "ok":
            continue
        old = known.get(it.business, {}).get(name, {})
        fresh = {"passes": 1, "sent": it.counts.sent, "read": it.counts.read}
        total = {key: old.get(key, 0) + value for key, value in fresh.items()}
        weekly.put_counts(connection, it.business, name, total)
