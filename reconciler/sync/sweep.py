"""Passes over many practices: who takes part, in a fair order, so many at a time; and one report of it all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime

from reconciler.core.sync_report import LocationReport, PassReport, SyncReport, collect
from reconciler.store import in_force, ledger, ledger_outbox, sync_marks
from reconciler.sync import doubts
from reconciler.sync import places as placing
from reconciler.sync.context import Deps, Options
from reconciler.sync.passes import run_pass
from reconciler.sync.places import Place, Practice, Refused


@dataclass(frozen=True, slots=True)
class Standing:
    """Everything in force, sorted by practice."""

    places: tuple[Place, ...]
    practices: tuple[Practice, ...]
    refused: tuple[Refused, ...]


def standing(deps: Deps) -> Standing:
    """What is in force now."""
    with deps.store.read() as connection:
        configurations = in_force.every(connection)
    found = placing.places(configurations)
    practices, refused = placing.by_practice(
        found, reveal=deps.reveal, fingerprint=deps.fingerprint, pseudonym=deps.pseudonyms.practice
    )
    return Standing(found, practices, refused)


def selected(found: Standing, names: Iterable[str]) -> tuple[frozenset[int], tuple[str, ...]]:
    """The locations that these slugs and business numbers (parent or location) name, and the names that name none.

    Without names every location.
    """
    names = tuple(names)
    if not names:
        return frozenset(it.business for it in found.places), ()
    chosen: set[int] = set()
    unknown = []
    for name in names:
        mine = {it.business for it in found.places if name in (it.slug, str(it.business), str(it.parent))}
        if not mine:
            unknown.append(name)
        chosen |= mine
    return frozenset(chosen), tuple(unknown)


def run_all(
    deps: Deps,
    found: Standing,
    wanted: frozenset[int],
    options: Options,
    *,
    on_pass: Callable[[PassReport], None] = lambda report: None,
) -> SyncReport:
    """One pass of every practice that has a wanted location. Practices whose locations wait longest come first."""
    deps.exhausted.clear()
    deps.shut_out.clear()
    others = _not_running(found, wanted)
    if not options.dry_run:
        _give_up(deps, [it for it in found.places if it.gate is not None and it.gate[0] in ("inactive", "platform")])
    practices = [it for it in found.practices if any(one.business in wanted for one in it.places)]
    ordered = _fair(deps, practices)

    def one(practice: Practice) -> PassReport | None:
        if deps.stop.is_set():
            return None
        report = run_pass(deps, practice, wanted, options)
        on_pass(report)
        return report

    if len(ordered) <= 1 or deps.parallel <= 1:
        reports = [one(it) for it in ordered]
    else:
        with ThreadPoolExecutor(max_workers=deps.parallel, thread_name_prefix="pass") as pool:
            reports = list(pool.map(one, ordered, chunksize=1))
    reports = _ask_again(deps, ordered, reports, lambda practice: run_pass(deps, practice, wanted, options))
    done = [it for it in reports if it is not None]
    for practice, report in zip(ordered, reports, strict=True):
        if report is None:
            others += [
                LocationReport(it.business, it.slug, "waiting", "a signal came before its turn")
                for it in practice.places
                if it.business in wanted
            ]
    errors = tuple(sorted({*(it.message for it in deps.refused.values()), *deps.exhausted.values()}))
    whole = replace(collect(done, others, dry_run=options.dry_run), errors=errors)
    if options.kind == "backfill" and not options.dry_run:
        whole = _covered(deps, found, whole)
    return whole


def _ask_again(
    deps: Deps,
    practices: Sequence[Practice],
    reports: Sequence[PassReport | None],
    again: Callable[[Practice], PassReport],
) -> list[PassReport | None]:
    """The reports, with those of practices that answered 403 before another one of their product let us in made anew:
    whose turn came first must not decide what a 403 means.
    """
    shut = frozenset(deps.shut_out)
    good = {
        it.practice_plus
        for it, report in zip(practices, reports, strict=True)
        if report is not None and it.pseudonym not in shut
    }
    return [
        again(it) if it.pseudonym in shut and it.practice_plus in good and not deps.stop.is_set() else report
        for it, report in zip(practices, reports, strict=True)
    ]


def _not_running(found: Standing, wanted: frozenset[int]) -> list[LocationReport]:
    """Locations that no pass takes: not active, or whose practice id is not the one that was applied."""
    reports = []
    for place in found.places:
        if place.business in wanted and not place.claims:
            status, detail = place.gate or ("inactive", "the location is inactive")
            reports.append(LocationReport(place.business, place.slug, status, detail))
    for it in found.refused:
        if it.place.business in wanted:
            status, detail = it.place.gate or (it.status, it.detail)
            reports.append(LocationReport(it.place.business, it.place.slug, status, detail))
    return reports


def _give_up(deps: Deps, gone: Sequence[Place]) -> None:
    """What was planned when a location stopped being contacted is never made up."""
    with deps.ledger.read() as connection:
        rows = ledger.counts(connection, [it.business for it in gone]) if gone else {}
    waiting = [business for business, states in rows.items() if states.get("planned")]
    if waiting:
        with deps.ledger.begin() as connection:
            ledger_outbox.discard_planned(connection, waiting, now=deps.now())


def _fair(deps: Deps, practices: Sequence[Practice]) -> list[Practice]:
    """Those that are due longest first; those that never ran come first of all."""
    with deps.ledger.read() as connection:
        states = sync_marks.locations(connection)

    def key(practice: Practice) -> tuple[int, datetime, str]:
        due = [states[it.business].next_due for it in practice.places if it.business in states]
        known = [it for it in due if it is not None]
        return (1, min(known), practice.pseudonym) if known else (0, deps.now(), practice.pseudonym)

    return sorted(practices, key=key)


def _covered(deps: Deps, found: Standing, report: SyncReport) -> SyncReport:
    """The gap is covered once every location that contacts was backfilled without an error, in one go or in several."""
    done = {it.business for it in report.locations if it.status == "ok"}
    left = doubts.cover(deps, found.places, done)
    if left is None:
        return report
    said = doubts.warning(left)
    locations = (replace(it, warnings=(*it.warnings, said)) if it.status == "ok" else it for it in report.locations)
    return replace(report, locations=tuple(locations))
