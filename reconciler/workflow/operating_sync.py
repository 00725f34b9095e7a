"""``sync``: which passes to make, what a person decided about them, and the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, timezone

from reconciler.core import timing
from reconciler.core.sync_report import PassReport, SyncReport
from reconciler.errors import UsageError
from reconciler.store import audit
from reconciler.sync import sweep, tidying
from reconciler.sync.context import Options
from reconciler.sync.places import Place
from reconciler.workflow.syncing import Runner

FIRST_ZONE = timezone(timedelta(hours=14))
"""Where each day begins first."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    names: tuple[str, ...] = ()
    due: bool = False
    dry_run: bool = False
    day: date | None = None
    backfill: tuple[date, date] | None = None
    max_contacts: int | None = None
    by: str | None = None
    reason: str | None = None


def check(asked: Asked) -> None:
    """Raise ``UsageError`` for what cannot be meant together."""
    if asked.day is not None and asked.backfill is not None:
        raise UsageError("--date and --backfill are two different things; give one")
    if asked.due and (asked.day is not None or asked.backfill is not None):
        raise UsageError("--due goes with neither --date nor --backfill")
    if asked.backfill is not None and asked.backfill[0] > asked.backfill[1]:
        first, last = asked.backfill
        raise UsageError(
            f"--backfill {first} {last}: FROM is after TO", hint="both days are included; TO is the later one"
        )
    acts = [name for name, given in (("--max-contacts", asked.max_contacts), ("--backfill", asked.backfill)) if given]
    if acts and not asked.dry_run and not (asked.by and asked.reason):
        raise UsageError(f"{acts[0]} is a person's decision: give --by NAME and --reason TEXT")
    if asked.max_contacts is not None and not asked.names:
        raise UsageError("--max-contacts is for named businesses", hint="name the SLUG or BUSINESS that was stopped")
    if asked.max_contacts is not None and asked.backfill is not None:
        raise UsageError("--backfill contacts nobody, so --max-contacts says nothing")


def sync(runner: Runner, asked: Asked, *, on_pass: Callable[[PassReport], None] = lambda report: None) -> SyncReport:
    """Make the passes. A person's decision is in the audit chain before the first request."""
    check(asked)
    deps = runner.deps
    if asked.day is not None:
        refuse_a_day_to_come(asked.day, deps.now())
    found = sweep.standing(deps)
    wanted, unknown = sweep.selected(found, asked.names)
    if unknown:
        raise UsageError(
            f"nothing in force is called {', '.join(unknown)}",
            hint="give a slug, or the number of a business or location that was applied",
        )
    if asked.backfill is not None:
        refuse_days_to_come(asked.backfill, [it for it in found.places if it.business in wanted], deps.now())
    options = _options(asked)
    if (asked.max_contacts is not None or asked.backfill is not None) and not asked.dry_run:
        _audit(runner, asked, sorted(wanted))
    report = sweep.run_all(deps, found, wanted, options, on_pass=on_pass)
    if not asked.dry_run and not deps.stop.is_set():
        tidying.tidy(deps, runner.settings.retention_days)
    return replace(report, stopped=0)


def refuse_a_day_to_come(day: date, now: datetime) -> None:
    """A day that has ended nowhere on earth is wrong usage; where it has ended for some, each location says so."""
    if now.astimezone(FIRST_ZONE).date() <= day:
        raise UsageError(f"--date {day}: the day is not over; give yesterday or an earlier day")


def refuse_days_to_come(days: tuple[date, date], places: Sequence[Place], now: datetime) -> None:
    """A TO that is no location's today yet is wrong usage; where it is for some, each location says so."""
    first, last = days
    zones = {it.rules.zone for it in places if it.rules is not None}
    today = max((timing.local_day(now, it) for it in zones), default=now.astimezone(FIRST_ZONE).date())
    if last > today:
        raise UsageError(f"--backfill {first} {last}: TO is in the future", hint=f"give {today} or an earlier day")


def _options(asked: Asked) -> Options:
    if asked.day is not None:
        return Options("date", dry_run=asked.dry_run, day=asked.day, max_contacts=asked.max_contacts)
    if asked.backfill is not None:
        first, last = asked.backfill
        return Options("backfill", dry_run=asked.dry_run, first=first, last=last)
    kind = "slot" if asked.due else "now"
    return Options(kind, dry_run=asked.dry_run, due_only=asked.due, max_contacts=asked.max_contacts)  # type: ignore[arg-type]


def _audit(runner: Runner, asked: Asked, businesses: Sequence[int]) -> None:
    operation = "sync --backfill" if asked.backfill is not None else "sync --max-contacts"
    entry: dict[str, object] = {
        "operation": operation,
        "who": asked.by,
        "reason": asked.reason,
        "objects": [{"kind": "location", "business": it} for it in businesses],
    }
    if asked.max_contacts is not None:
        entry["counts"] = {"max_contacts": asked.max_contacts}
    deps = runner.deps
    with deps.store.begin() as connection:
        audit.append(connection, entry, at=deps.now())
