"""Picks what is due and submits it. Any number of planners may run: a slot is submitted once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciler.core import timing
from reconciler.store import reminders, sync_marks, sync_practices
from reconciler.store.sync_marks import LocationState
from reconciler.sync import sweep, taking
from reconciler.sync.context import Deps
from reconciler.sync.engine import Engine, Job
from reconciler.sync.places import Place, Practice

AGAIN = ("error", "waiting")
"""After these a location is due again at ``next_due``, although its slot has been tried."""
STANDS = ("stopped", "unauthorised")
"""After these the same slot is not tried again: something has to be done first."""


@dataclass(frozen=True, slots=True)
class Due:
    """A location whose slot has come."""

    place: Place
    since: datetime
    """The slot, or when a repeated try was due."""


@dataclass
class Planner:
    """Looks at everything in force and submits a job for each practice that is due."""

    deps: Deps
    engine: Engine

    def tick(self, now: datetime) -> tuple[int, tuple[Due, ...]]:
        """One look. How many jobs were submitted, and every location that is due, longest first."""
        deps = self.deps
        found = sweep.standing(deps)
        with deps.ledger.read() as connection:
            states = sync_marks.locations(connection)
            reminded = {business: it.flow for business, it in reminders.locations(connection).items()}
            pauses = sync_practices.pauses(connection)
            shut = {
                it.pseudonym
                for it in found.practices
                if (state := sync_practices.practice(connection, it.pseudonym)) is not None and not state.authorised
            }
        submitted = 0
        everything: list[Due] = []
        for practice in found.practices:
            if practice.pseudonym in shut:
                continue
            running = [
                it
                for it in practice.places
                if it.gate is None and taking.paused(it, pauses, all_paused=deps.limits.pause_all) is None
            ]
            reminding = [
                it
                for it in practice.places
                if deps.ports is not None
                and it.reminders is not None
                and it.reminders.gate is None
                and taking.paused(it, pauses, all_paused=deps.limits.pause_all) is None
            ]
            mine = {key: it for key, it in reminded.items() if it.practice == practice.pseudonym}
            due = [*due_now(practice, running, states, now), *due_now(practice, reminding, mine, now)]
            if due:
                everything += due
                submitted += self._submit(practice, due, states, now)
        return submitted, tuple(sorted(everything, key=lambda it: (it.since, it.place.business)))

    def _submit(
        self, practice: Practice, due: Iterable[Due], states: Mapping[int, LocationState], now: datetime
    ) -> bool:
        due = tuple(due)
        job = Job(practice.pseudonym, min(it.since for it in due))
        with self.deps.ledger.begin() as connection:
            if not self.engine.submit(connection, job):
                return False
            for it in due:
                state = states.get(it.place.business)
                if state is not None and state.status not in AGAIN:
                    following = taking.next_due(it.place, practice.pseudonym, after=now + timing.TOGETHER)
                    fresh = sync_marks.location(connection, it.place.business)
                    if fresh is not None:
                        sync_marks.put(connection, replace(fresh, next_due=following))
        return True


def due_now(
    practice: Practice, places: Iterable[Place], states: Mapping[int, LocationState], now: datetime
) -> Iterable[Due]:
    """Which of these are due, and since when."""
    for place in places:
        state = states.get(place.business)
        slot = timing.due_slot(
            taking.schedule(place, practice.pseudonym), last=taking.last_slot(place, state, now), now=now
        )
        if slot is None:
            continue
        since = slot.at
        if state is not None and state.status in AGAIN and state.next_due is not None:
            if state.next_due > now:
                continue
            since = max(since, state.next_due)
        yield Due(place, since)


def due_next(place: Place, practice: str, state: LocationState | None, now: datetime) -> datetime:
    """When a location is due by the configuration in force: what ``due_now`` finds, else its next slot."""
    slots, last = taking.schedule(place, practice), taking.last_slot(place, state, now)
    slot = timing.due_slot(slots, last=last, now=now)
    if slot is None or (state is not None and state.status in STANDS):
        return timing.next_slot(slots, max(now, last)).at
    if state is not None and state.status in AGAIN and state.next_due is not None:
        return max(slot.at, state.next_due)
    return slot.at


LATE = timedelta(hours=2)
"""How long after its slot a location is called late."""


def late(due: Iterable[Due], now: datetime) -> tuple[str, ...]:
    """The slugs with a location that has been due for too long, sorted."""
    return tuple(sorted({it.place.slug for it in due if now - it.since > LATE}))
