"""A ledger that is not the newest: which locations a backfill has covered, and when the doubt is over.

The doubt is one for all: as long as it stands no pass is numbered, so that a second loss of the ledger would go unseen
if some locations went on already. What backfills covered adds up, so that each business may have days of its own.
A location that cannot be read can be paused instead: its time before ``resume`` is never made up, so nobody of the gap
is contacted again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from reconciler.core import timing, windows
from reconciler.store import sync_facts, sync_passes, sync_practices
from reconciler.store.sync_passes import Doubt
from reconciler.sync.context import Deps
from reconciler.sync.places import Place
from reconciler.sync.taking import Taken

FACT = "doubt"
MOST_NAMED = 5


def covered(connection: Connection, doubt: Doubt) -> frozenset[int]:
    """The locations that backfills have covered since this doubt came up."""
    known = sync_facts.get(connection, FACT) or {}
    if (known.get("store"), known.get("ledger")) != (doubt.store, doubt.ledger):
        return frozenset()  # of another doubt
    return frozenset(known["covered"])


def says(doubt: Doubt, *, is_covered: bool) -> str:
    """Why a location is stopped, with the command that ends it."""
    what = f"the ledger is not the newest ({doubt}): a contact made since may not be in it"
    command = (
        "`reconciler sync --backfill FROM TO --by NAME --reason TEXT`, FROM the day of the ledger's copy, TO today"
    )
    if is_covered:
        return f"{what}; this location is covered, and goes on once all of them are: {command}, without a name"
    return f"{what}; cover the gap with {command}"


def needed(one: Taken) -> tuple[date, date] | None:
    """The first and last local day that a backfill must cover before a location may go on; None: nothing is to be read.

    What its next window would take anew, as far as catch-up reaches. See ``floor_after`` for the overlap before it.
    """
    window, zone = one.ordinary, one.rules.zone
    if window.is_empty:
        return None
    start = window.start if window.closed_before is None else max(window.start, window.closed_before)
    if (one.state is None or one.state.mark is None) and one.place.first_active_at is not None:
        # An empty ledger: as where the ledger is new to a known location, from the day it was put in force.
        start = max(start, windows.floor_of(one.place.first_active_at, zone))
    last = timing.local_day(window.to, zone) - timedelta(days=1)
    return min(timing.local_day(start, zone), last), last


def falls_short(doubt: Doubt, one: Taken, first: date | None, last: date | None) -> str | None:
    """Why a backfill of these days does not cover a location's gap, with the command that does; None where it does."""
    days = needed(one)
    if days is None or first is None or last is None or (first <= days[0] and days[1] <= last):
        return None
    return (
        f"the ledger is not the newest ({doubt}), and {first} to {last} do not cover the gap of this location; cover it "
        f"with `reconciler sync --backfill {days[0]} {days[1]} --by NAME --reason TEXT`"
    )


def floor_after(one: Taken, first: date | None) -> datetime | None:
    """The floor of a location once a backfill from ``first`` on has covered its gap.

    The overlap would be decided again, and who was contacted there meanwhile is not known either: no read reaches
    before the days that were covered.
    """
    if first is None:
        return one.floor
    start = timing.start_of_day(first, one.rules.zone)
    return windows.raised(one.floor, start) if start > one.ordinary.read_from else one.floor


def cover(deps: Deps, places: Sequence[Place], done: Collection[int]) -> tuple[Place, ...] | None:
    """Note that a backfill covered ``done``; end the doubt where nothing is left. What is left; None: no doubt is."""
    doubt = sync_passes.doubt(deps.store, deps.ledger)
    if doubt is None:
        return None
    with deps.ledger.begin() as connection:
        everything = covered(connection, doubt) | set(done)
        value = {"store": doubt.store, "ledger": doubt.ledger, "covered": sorted(everything)}
        sync_facts.put(connection, FACT, value)
        pauses = sync_practices.pauses(connection)
    left = tuple(
        it
        for it in places
        if it.gate is None and it.business not in everything and it.business not in pauses and it.parent not in pauses
    )
    if left:
        return left
    sync_passes.end_doubt(deps.store, deps.ledger)
    with deps.ledger.begin() as connection:
        sync_facts.put(connection, FACT, None)
    return None


def warning(left: Iterable[Place]) -> str:
    """What a location that was covered is told of those that are not."""
    left = tuple(left)
    slugs = sorted({it.slug for it in left})
    named = " ".join(slugs[:MOST_NAMED]) + (f" (and {len(slugs) - MOST_NAMED} more)" if len(slugs) > MOST_NAMED else "")
    are = "1 location is" if len(left) == 1 else f"{len(left)} locations are"
    return (
        f"the ledger stays in doubt, and everything stopped: {are} not covered yet, of {named}; name them, or nothing, in "
        "`reconciler sync --backfill FROM TO --by NAME --reason TEXT`; one that cannot be read: `reconciler pause`, and "
        "`resume` once it can"
    )
