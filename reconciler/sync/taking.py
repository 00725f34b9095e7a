"""Which locations of a practice a pass takes, with which window; and why it does not take the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from reconciler.core import timing, windows
from reconciler.core.decide_rules import LocationRules
from reconciler.core.sync_report import LocationReport, Status
from reconciler.core.timing import Schedule, Slot
from reconciler.core.windows import Window
from reconciler.errors import InternalError, SecretError
from reconciler.store import ledger_retention, sync_marks, sync_practices
from reconciler.store.sync_marks import LocationState
from reconciler.store.sync_practices import Pause
from reconciler.sync import places
from reconciler.sync.context import Deps, Options
from reconciler.sync.places import Place, Practice


@dataclass
class Taken:
    """One location that takes part in a pass."""

    place: Place
    rules: LocationRules
    state: LocationState | None
    slot: Slot | None
    window: Window
    contact_start: windows.ContactStart
    floor: datetime | None
    api_key: str | None = field(repr=False)
    ordinary: Window
    """That of an ordinary pass at this moment: ``window`` where this is one."""
    warnings: list[str] = field(default_factory=list)
    ended: tuple[Status, str] | None = None
    """Why it does not go on, once something stopped it."""
    crm_locations: tuple[str, ...] = ()
    is_again: bool = False
    is_undecided: bool = False
    """Not every visit of its window got an outcome: its mark stays."""

    @property
    def business(self) -> int:
        """The location's number."""
        return self.place.business

    def end(self, status: Status, detail: str, *, again: bool = False) -> None:
        """Stop this location; the first reason stands. ``again``: its slot is not over, the pass is to be repeated."""
        if self.ended is None:
            self.ended = (status, detail)
            self.is_again = again


@dataclass(frozen=True, slots=True)
class Look:
    """What the ledger knows before a pass."""

    states: Mapping[int, LocationState]
    pauses: Mapping[int, Pause]
    is_authorised: bool
    unauthorised_detail: str
    forgotten_before: datetime | None


def look(connection: Connection, practice: Practice) -> Look:
    """Read it, in one snapshot."""
    found = {it.business: sync_marks.location(connection, it.business) for it in practice.places}
    state = sync_practices.practice(connection, practice.pseudonym)
    return Look(
        states={business: it for business, it in found.items() if it is not None},
        pauses=sync_practices.pauses(connection),
        is_authorised=state is None or state.authorised,
        unauthorised_detail=state.detail if state is not None else "",
        forgotten_before=ledger_retention.forgotten_before(connection),
    )


def paused(place: Place, pauses: Mapping[int, Pause], *, all_paused: bool) -> str | None:
    """Why a location is paused; None where it is not."""
    for business in (place.business, place.parent, sync_practices.ALL):
        it = pauses.get(business)
        if it is not None:
            what = "everything" if business == sync_practices.ALL else "it"
            return f"{it.who} paused {what} on {it.since:%Y-%m-%d}: {it.reason}"
    return "the setting pause_all is on" if all_paused else None


def schedule(place: Place, practice: str) -> Schedule:
    """The slots of a location. ``practice``: the pseudonym."""
    rules = place.rules
    if rules is None:
        raise InternalError("a location without a time zone has no slots")
    return timing.schedule(next_run=rules.next_run, frequency=rules.frequency, zone=rules.zone, practice=practice)


def last_slot(place: Place, state: LocationState | None, now: datetime) -> datetime:
    """The slot that ran last, else the moment the location was put in force."""
    if state is not None and state.last_slot is not None:
        return state.last_slot
    return place.first_active_at or now


def take(
    deps: Deps, practice: Practice, wanted: Iterable[Place], found: Look, options: Options, now: datetime
) -> tuple[list[Taken], list[LocationReport]]:
    """The locations that run, and a report of each that does not."""
    taken: list[Taken] = []
    others: list[LocationReport] = []
    wanted = list(wanted)
    anyone_due = not options.due_only or any(
        it.gate is None
        and timing.due_slot(
            schedule(it, practice.pseudonym), last=last_slot(it, found.states.get(it.business), now), now=now
        )
        for it in wanted
    )
    for place in wanted:
        state = found.states.get(place.business)
        reason = place.gate or held_back(deps, place, found, options, now)
        if reason is not None:
            others.append(_report(practice, place, *reason))
            continue
        slot = timing.joins(schedule(place, practice.pseudonym), last=last_slot(place, state, now), now=now)
        if options.due_only and (slot is None or not anyone_due):
            continue
        one = _taken(deps, practice, place, state, slot, found, options, now)
        if isinstance(one, Taken):
            taken.append(one)
        else:
            others.append(one)
    return taken, others


def held_back(deps: Deps, place: Place, found: Look, options: Options, now: datetime) -> tuple[Status, str] | None:
    """Why a location that may run does not: it is paused, or its practice does not let us in."""
    why = paused(place, found.pauses, all_paused=deps.limits.pause_all)
    if why is not None and options.kind != "backfill":  # which contacts nobody, and comes before `resume`
        return "paused", why
    if not found.is_authorised:
        detail = found.unauthorised_detail or "the practice does not let us in"
        return "unauthorised", f"{detail}; `reconciler authorize {place.parent}` once it does"
    if found.forgotten_before is not None and found.forgotten_before > now and options.kind != "backfill":
        return "stopped", (
            f"a clock that was ahead had the ledger forget whom it knew up to {found.forgotten_before:%Y-%m-%d}, so nobody "
            "may be contacted; restore it from a backup"
        )
    return None


def _report(practice: Practice, place: Place, status: Status, detail: str) -> LocationReport:
    return LocationReport(place.business, place.slug, status, detail, practice=practice.pseudonym)


def _taken(
    deps: Deps,
    practice: Practice,
    place: Place,
    state: LocationState | None,
    slot: Slot | None,
    found: Look,
    options: Options,
    now: datetime,
) -> Taken | LocationReport:
    rules = place.rules
    if rules is None:
        raise InternalError("a location without a time zone was about to run")
    zone, first = rules.zone, place.first_active_at or now
    known = state if state is not None and state.practice == practice.pseudonym else None
    floor = _floor(deps, place, state, found, now)
    warnings = []
    start = windows.contact_start(
        own=rules.contact_start,
        setting=deps.limits.contact_start,
        first_in_force=first,
        zone=zone,
        floor=floor,
        is_ours=place.group_created and not (state is None and deps.known_before(place.business)),
    )
    if start.source == "floor" and floor is None:
        floor = timing.start_of_day(start.day, zone)  # kept, so that the next pass knows it too
    if start.warning:
        warnings.append(start.warning)
    ordinary = windows.window(
        now=now,
        zone=zone,
        mark=known.mark if known is not None else None,
        floor=floor,
        start=start.day,
        first_in_force=first,
        delay_days=rules.customer_fetch_delay_days,
        overlap_days=deps.limits.overlap_days,
        max_catch_up_days=deps.limits.max_catch_up_days,
        frequency=rules.frequency,
    )
    if options.day is not None:
        window = windows.day_window(options.day, now=now, zone=zone, floor=floor)
    elif options.first is not None and options.last is not None:
        window = windows.backfill_window(options.first, options.last, now=now, zone=zone, floor=None)
    else:
        window = ordinary
    try:
        api_key = deps.reveal(place.key_reference).strip() if place.key_reference else deps.default_key
    except SecretError as error:
        return _report(practice, place, "error", error.message)
    if api_key is None and not rules.beta:
        return _report(
            practice, place, "error", "no contacts API key: declare contacts_api_key, or set contacts.api_key"
        )
    return Taken(place, rules, state, slot, window, start, floor, api_key, ordinary, warnings)


def _floor(deps: Deps, place: Place, state: LocationState | None, found: Look, now: datetime) -> datetime | None:
    """The latest of: the configuration's floor, the one of a pause that ended, what the ledger has forgotten."""
    rules = place.rules
    if rules is None:
        return None
    candidates = [places.floor(place), state.floor if state is not None else None, found.forgotten_before]
    if state is not None and state.status == "paused":
        # Nobody resumed it: the setting pause_all was taken back. The first pass after it is the end that is known.
        candidates.append(timing.start_of_day(timing.local_day(now, rules.zone), rules.zone))
    return max((it for it in candidates if it is not None), default=None)


def next_due(place: Place, practice: str, *, after: datetime) -> datetime:
    """When the location is due next."""
    return timing.next_slot(schedule(place, practice), after).at


def window_days(window: Window) -> int:
    """How many days the new part of a window has, at least one."""
    return max(1, round((window.to - window.start) / timedelta(days=1)))
