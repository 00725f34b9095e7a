"""A ledger that is not the newest: which locations a backfill has covered, and when the doubt is over.

The doubt is one for all: as long as it stands no pass is numbered, so that a second loss of the ledger would go unseen
if some locations went on already. What backfills covered adds up, so that each business may have days of its own.
A location that cannot be read can be paused instead: its time before ``resume`` is never made up, so nobody of the gap
is contacted again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection

from reconciler.store import sync_facts, sync_passes, sync_practices
from reconciler.store.sync_passes import Doubt
from reconciler.sync.context import Deps
from reconciler.sync.places import Place

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
