"""Do the configured location names exist at the practice? A location whose names do not, does not run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from reconciler.core.decide_assign import unknown_names
from reconciler.store import sync_practices
from reconciler.sync.context import Deps
from reconciler.sync.extract import Extract
from reconciler.sync.places import Practice
from reconciler.sync.reminder_ports import EmrReads, Mine
from reconciler.sync.taking import Taken

FRESH = timedelta(days=1)
UNKNOWN = "configured locations do not exist in nextech"
"""Word for word what operators search for."""


def check(
    deps: Deps, practice: str, taken: Sequence[Taken | Mine], extract: Extract, *, is_dry: bool, now: datetime
) -> None:
    """End every location with a name that the practice does not have, after one fresh look where one is missing."""
    named = [it for it in taken if it.rules.location_names and it.ended is None]
    if not named:
        return
    with deps.ledger.read() as connection:
        state = sync_practices.practice(connection, practice)
    names = state.names if state is not None else None
    is_old = state is None or state.names_at is None or not timedelta(0) <= now - state.names_at < FRESH
    if names is None or is_old or any(unknown_names(it.rules, names) for it in named):
        names = fresh(deps, practice, extract, is_dry=is_dry, now=now)
    for one in named:
        unknown = unknown_names(one.rules, names)
        if unknown:
            one.crm_locations = tuple(sorted(names))
            one.end("error", f"{UNKNOWN}: {', '.join(unknown)}")
            fields = {"slug": one.place.slug, "business": one.business, "unknown": list(unknown)}
            deps.log(UNKNOWN, fields | {"crm_locations": list(one.crm_locations)})


def check_reminders(
    deps: Deps, practice: Practice, mine: Sequence[Mine], reads: EmrReads, *, is_dry: bool, now: datetime
) -> None:
    """The same before reminders."""
    extract = Extract(reads, practice.practice_id, frozenset())
    check(deps, practice.pseudonym, mine, extract, is_dry=is_dry, now=now)


def fresh(deps: Deps, practice: str, extract: Extract, *, is_dry: bool, now: datetime) -> tuple[str, ...]:
    """The names that the practice has now, recorded unless this is a dry run."""
    found = extract.locations()
    deps.names[practice] = {it.id: it.name for it in found if it.name}
    names = tuple(sorted({it.name.strip() for it in found if it.name}))
    if not is_dry:
        with deps.ledger.begin() as connection:
            sync_practices.put_names(connection, practice, names, at=now)
    return names
