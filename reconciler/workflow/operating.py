"""``status``, ``why``, ``authorize``, ``pause``, ``resume``: what operators ask, and what they decide."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from reconciler.core import timing
from reconciler.core.ledger_rules import State
from reconciler.core.phi import Phi
from reconciler.core.records import InForce
from reconciler.core.sync_status import LocationStatus, ReminderStatus, Ticket, WhyRow
from reconciler.errors import ReconcilerError, RemoteError, UsageError
from reconciler.settings.values import Settings
from reconciler.store import (
    audit,
    in_force,
    ledger,
    ledger_lookup,
    ledger_outbox,
    sync_facts,
    sync_marks,
    sync_practices,
)
from reconciler.store import reminders as kept
from reconciler.store.database import Store
from reconciler.store.reminders import ReminderState
from reconciler.store.sync_marks import LocationState
from reconciler.store.sync_practices import ALL, Pause
from reconciler.sync import places, sweep, taking
from reconciler.sync.context import Change, Deps, product
from reconciler.sync.places import Place, Practice, Reminders
from reconciler.sync.pseudonyms import Pseudonyms
from reconciler.workflow.dues import Dues
from reconciler.workflow.holding import Ledger
from reconciler.workflow.syncing import Runner, executor_fact

_ROW_ID = re.compile(r"[0-9a-f]{8,32}")


class NotKnown(ReconcilerError):
    """Nothing is known of what was asked for."""


# status ----------------------------------------------------------------------------------------------------------


def status(
    opened: Ledger,
    names: Sequence[str] = (),
    *,
    now: datetime,
    reveal: Callable[[str], str] | None = None,
    pause_all: bool = False,
    on_the_way: Collection[str] = (),
) -> tuple[LocationStatus, ...]:
    """Every location in force (or those that ``names`` name): how it is configured, and how its syncs fare.

    ``reveal``: of the reference of a practice id, by which slots without a ``next_run`` are spread; without it, or where
    it raises ``SecretError``, they are known from the first pass on.

    Raises ``UsageError`` for a name that nothing in force has, nor a business ``on_the_way``, which may have nothing yet.
    """
    if opened.main.empty:
        return ()
    with opened.main.read() as connection:
        configurations = {it.slug: it for it in in_force.every(connection)}
    with opened.store.read() as connection:
        states = sync_marks.locations(connection)
        pauses = sync_practices.pauses(connection)
        rows = ledger.counts(connection)
        told = kept.locations(connection)
        practices = {
            it: sync_practices.practice(connection, it)
            for it in {one.practice for one in states.values()} | {one.practice for one in told.values()}
        }
        appointments = kept.appointment_counts(connection)
        requests = kept.request_counts(connection)
    dues = Dues(opened, reveal, now)
    found = []
    for place in chosen(places.places(configurations.values()), names, on_the_way):
        state = states.get(place.business)
        practice = practices.get(state.practice) if state is not None else None
        flow, detail = _flow(place, state, pauses, practice, pause_all=pause_all)
        due = dues.of(place, place.gate, state, flow)
        one = _location_status(place, configurations[place.slug], state, rows, flow, detail, due)
        if place.reminders is not None:
            reminder = told.get(place.business)
            practice = practices.get(reminder.practice) if reminder is not None else None
            status, why = _reminder_flow(place, place.reminders, reminder, pauses, practice, pause_all=pause_all)
            reminders = ReminderStatus(
                status,
                why,
                mark=reminder.mark if reminder is not None else None,
                checked_at=reminder.checked_at if reminder is not None else None,
                last_success=reminder.last_success if reminder is not None else None,
                next_due=dues.of(place, place.reminders.gate, reminder.flow if reminder is not None else None, status),
                appointments=appointments.get(place.business, {}),
                requests=requests.get(place.business, {}),
            )
            one = replace(one, reminders=reminders)
        found.append(one)
    return tuple(found)


def _reminder_flow(
    place: Place,
    reminders: Reminders,
    state: ReminderState | None,
    pauses: Mapping[int, Pause],
    practice: sync_practices.PracticeState | None,
    *,
    pause_all: bool,
) -> tuple[str, str]:
    flow = state.flow if state is not None else None
    return _flow(replace(place, gate=reminders.gate), flow, pauses, practice, pause_all=pause_all)


def _location_status(
    place: Place,
    configuration: InForce,
    state: LocationState | None,
    rows: Mapping[int, Mapping[State, int]],
    flow: str,
    detail: str,
    due: datetime | None,
) -> LocationStatus:
    mine = rows.get(place.business, {})
    document = configuration.document
    return LocationStatus(
        slug=place.slug,
        parent=place.parent,
        business=place.business,
        name=place.name,
        is_active=place.claims,
        runner=str(document.get("runner") or "bundled"),
        beta=bool(document.get("beta")),
        practice_plus=place.practice_plus,
        revision=configuration.revision,
        applied_at=configuration.at,
        plan_id=configuration.plan_id,
        commit=configuration.commit,
        status=flow,
        detail=detail,
        practice=state.practice if state is not None else None,
        mark=state.mark if state is not None else None,
        last_success=state.last_success if state is not None else None,
        next_due=due,
        rows={str(key): int(mine.get(key, 0)) for key in ("planned", "held", "unknown", "failed", "confirmed")},
    )


def _flow(
    place: Place,
    state: LocationState | None,
    pauses: Mapping[int, Pause],
    practice: sync_practices.PracticeState | None,
    *,
    pause_all: bool,
) -> tuple[str, str]:
    if place.gate is not None:
        return place.gate
    why = taking.paused(place, pauses, all_paused=pause_all)
    if why is not None:
        return "paused", why
    if practice is not None and not practice.authorised:
        return "unauthorised", f"since {practice.since:%Y-%m-%d %H:%M} UTC: {practice.detail}"
    if state is None:
        return "waiting", "has not run yet"
    if state.status == "inactive" and state.next_due is not None:
        return state.status, state.detail  # not by configuration: something was not there, and is looked at again
    if state.status in ("paused", "unauthorised", "inactive", "platform"):
        return "waiting", "runs at its next slot"
    return state.status, state.detail


def chosen(found: Sequence[Place], names: Sequence[str], on_the_way: Collection[str] = ()) -> tuple[Place, ...]:
    """The places that slugs or numbers name; all without names. Raises ``UsageError`` for one that names none.

    One of ``on_the_way`` may name none.
    """
    if not names:
        return tuple(found)
    mine: dict[int, Place] = {}
    for name in names:
        matching = [it for it in found if name in (it.slug, str(it.business), str(it.parent))]
        if not matching and name not in on_the_way:
            raise UsageError(
                f"nothing in force is called {name}", hint="give a slug, or the number of a business or location"
            )
        mine |= {it.business: it for it in matching}
    return tuple(it for it in found if it.business in mine)


def tickets(
    opened: Ledger,
    settings: Settings,
    names: Sequence[str],
    *,
    reveal: bool,
    now: datetime,
    on_the_way: Collection[str] = (),
) -> tuple[Ticket, ...]:
    """What a ticket to Nextech needs, per practice of these locations. The practice id only where ``reveal``."""
    statuses = status(opened, names, now=now, pause_all=settings.pause_all, on_the_way=on_the_way)
    found = {it.business: it for it in statuses}
    with opened.main.read() as connection:
        everything = places.places(in_force.every(connection))
    mine: dict[tuple[str, bool], list[Place]] = {}
    for place in everything:
        if place.business in found and place.practice_reference is not None:
            mine.setdefault((place.practice_reference, place.practice_plus), []).append(place)
    made = []
    for (reference, plus), members in sorted(mine.items()):
        state = found[members[0].business]
        practice_id = Phi(settings.secrets.reveal(reference)) if reveal else None
        made.append(
            Ticket(
                product=product(plus),
                slugs=tuple(sorted({it.slug for it in members})),
                practice_id=practice_id,
                practice=state.practice,
                url=settings.practice_plus.url if plus else settings.nextech.url,
                status=state.status,
                detail=state.detail,
                last_success=state.last_success,
                at=now,
            )
        )
    return tuple(made)


# why -------------------------------------------------------------------------------------------------------------


def why(opened: Ledger, appointment: str, *, business: int | None = None) -> tuple[WhyRow, ...]:
    """What the ledger says of an appointment id of Nextech, or of a row id as logs show it. Raises ``NotKnown``."""
    if opened.keys is None:
        raise NotKnown("there is no ledger yet, so nothing was decided")
    names = Pseudonyms(opened.keys.inner)
    wanted = Phi(appointment.strip())
    with opened.store.read() as connection:
        pairs = [(it, names.appointment(it, wanted)) for it in ledger.practices(connection)]
        found = ledger.why(connection, pairs, business=business)
        if not found and _ROW_ID.fullmatch(appointment.strip()):
            found = ledger_lookup.by_short_id(connection, appointment.strip())
    if not found:
        raise NotKnown(
            "the ledger has no decision on this appointment",
            hint="it may be outside every window so far, at a location that does not sync, or forgotten by retention",
        )
    rows = []
    with opened.main.read() as connection:
        for it in found:
            parent = next((one.business for one in in_force.every(connection) if one.slug == it.slug), None)
            old = in_force.at_revision(connection, parent, it.revision) if parent is not None else None
            rows.append(
                WhyRow(
                    id=it.id,
                    slug=it.slug,
                    business=it.business,
                    outcome=it.outcome,
                    reason=it.reason,
                    rule=it.rule,
                    compared=it.compared,
                    revision=it.revision,
                    commit=old.commit if old is not None else None,
                    plan_id=old.plan_id if old is not None else None,
                    decided_at=it.decided_at,
                    day=it.day,
                    is_backfilled=it.is_backfilled,
                    state=it.state,
                    settled_at=it.settled_at,
                    code=it.code,
                    customer_id=it.customer_id,
                    pass_id=it.pass_id,
                )
            )
    return tuple(rows)


# people's actions ------------------------------------------------------------------------------------------------


def authorize(runner: Runner, name: str, *, by: str, reason: str) -> tuple[Practice, ...]:
    """Try the token and a read of every practice of a business; clear the state of those that let us in.

    Raises ``RemoteError`` where one does not; those before it stay authorised.
    """
    _said(by, reason)
    deps = runner.deps
    found = sweep.standing(deps)
    wanted, unknown = sweep.selected(found, [name])
    if unknown:
        raise UsageError(f"nothing in force is called {name}")
    practices = [it for it in found.practices if any(one.business in wanted for one in it.places)]
    if not practices:
        raise UsageError(f"{name} has no active location whose practice id is the one that was applied")
    for practice in practices:
        client = deps.reads(practice.practice_plus)
        tokens = runner.tokens.get(practice.practice_plus)
        if tokens is not None:
            tokens.forget_refusal()
        if next(iter(client.locations(practice.practice_id)), None) is None:
            path = "/Location"
            raise RemoteError("the practice answered without a page; it stays as it was", method="GET", path=path)
        _authorised(deps, practice, by=by, reason=reason)
    return tuple(practices)


def _authorised(deps: Deps, practice: Practice, *, by: str, reason: str) -> None:
    now = deps.now()
    with deps.ledger.begin() as connection:
        changed = sync_practices.put_authorised(connection, practice.pseudonym, authorised=True, at=now)
        for place in practice.places:
            state = sync_marks.location(connection, place.business)
            if state is not None and state.status == "unauthorised":
                waiting = replace(state, status="waiting", detail="authorised again", next_due=now)
                sync_marks.put(connection, waiting)
        reminders = kept.locations(connection)
        for place in practice.places:
            reminder = reminders.get(place.business)
            if reminder is not None and reminder.status == "unauthorised":
                kept.put(connection, replace(reminder, status="waiting", detail="authorised again", next_due=now))
    _audit(deps.store, "authorize", by, reason, practice.places, now)
    if changed:
        for slug in sorted({it.slug for it in practice.places}):
            deps.on_change(Change("recovered", slug, "the practice lets us in again; it catches up at its next pass"))


def pause(opened: Ledger, name: str | None, *, by: str, reason: str, now: datetime) -> tuple[int, bool]:
    """Pause a business, a location or (None) everything. The number that was paused, and whether that is new."""
    _said(by, reason)
    number, members = _target(opened, name)
    with opened.store.begin() as connection:
        is_new = sync_practices.pause(connection, Pause(number, now, by, reason))
    _audit(opened.main, "pause", by, reason, members, now, number=number)
    return number, is_new


@dataclass(frozen=True, slots=True)
class Resumed:
    """What ``resume`` ended."""

    business: int
    was: Pause | None
    cleared: tuple[int, ...] = ()
    """Locations whose finding of a second executor was cleared."""
    still_paused: tuple[int, ...] = ()
    """Locations that another pause still holds."""
    given_up: int = 0
    """Contacts that were planned before the pause and are not sent any more."""


def resume(opened: Ledger, name: str | None, *, by: str, reason: str, now: datetime) -> Resumed:
    """End a pause, or the stop after a second executor was seen: what happened meanwhile is never made up."""
    _said(by, reason)
    number, members = _target(opened, name)
    with opened.store.begin() as connection:
        was = sync_practices.resume(connection, number)
        facts = {it.business: sync_facts.get(connection, executor_fact(it.business)) or {} for it in members}
        cleared = tuple(sorted(business for business, fact in facts.items() if name is not None and "moved" in fact))
        for business in cleared:
            rest = {key: value for key, value in facts[business].items() if key != "moved"}
            sync_facts.put(connection, executor_fact(business), rest)
        touched = [it for it in members if was is not None or it.business in cleared]
        given_up = 0
        if touched:
            given_up = ledger_outbox.discard_planned(connection, [it.business for it in touched], now=now)
        for place in (it for it in touched if it.claims):
            _raise_floor(connection, place, now)
        pauses = sync_practices.pauses(connection)
    still = tuple(it.business for it in members if taking.paused(it, pauses, all_paused=False) is not None)
    if was is not None or cleared:
        _audit(opened.main, "resume", by, reason, members, now, number=number)
    return Resumed(number, was, cleared, still, given_up)


def _raise_floor(connection: Connection, place: Place, now: datetime) -> None:
    if place.rules is None:
        return
    zone = place.rules.zone
    floor = timing.start_of_day(timing.local_day(now, zone), zone)
    state = sync_marks.location(connection, place.business)
    if state is None:
        # Never seen: the floor must be known to the first pass all the same. The practice follows with that pass.
        state = LocationState(place.business, place.slug, "", "waiting", "resumed", floor=floor)
    else:
        later = floor if state.floor is None else max(state.floor, floor)
        state = replace(state, status="waiting", detail="resumed", floor=later)
    sync_marks.put(connection, state)


def _target(opened: Ledger, name: str | None) -> tuple[int, tuple[Place, ...]]:
    with opened.main.read() as connection:
        everything = places.places(in_force.every(connection))
    if name is None:
        return ALL, everything
    members = chosen(everything, [name])
    by_parent = [it for it in members if name in (it.slug, str(it.parent))]
    return (by_parent[0].parent if by_parent else members[0].business), members


def _said(by: str, reason: str) -> None:
    if not by.strip() or not reason.strip():
        raise UsageError("--by and --reason must say who decided it, and why")


def _audit(
    store: Store,
    operation: str,
    by: str,
    reason: str,
    members: Sequence[Place],
    now: datetime,
    *,
    number: int | None = None,
) -> None:
    objects = [{"kind": "location", "slug": it.slug, "business": it.business} for it in members]
    if number == ALL:
        objects = [{"kind": "everything"}]
    with store.begin() as connection:
        audit.append(connection, {"operation": operation, "who": by, "reason": reason, "objects": objects}, at=now)
