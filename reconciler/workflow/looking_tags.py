"""``lookup tags``: what a check-in carries beside the contact, and which values the contacts that were sent took.

Asks no remote system: Birdeye shows what contacts carry only together with the contacts, and what counts here is what
the runner sends. Values come from what deliveries counted in the ledger (``store.tags_seen``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from reconciler.core import tags
from reconciler.core.records import InForce
from reconciler.core.tags import Tag
from reconciler.declarations import Loaded
from reconciler.settings.values import Settings
from reconciler.store import in_force, tags_seen
from reconciler.store.database import open_store
from reconciler.workflow import looking

Basis = Literal["in force", "declared", "default"]


@dataclass(frozen=True, slots=True)
class TagList:
    """The tags of a business or location, or those that there are."""

    tags: tuple[Tag, ...]
    basis: Basis
    """Whose ``campaign_tags`` was looked at: what the runner works from, a declaration not applied yet, nobody's."""
    slug: str = ""
    business: int | None = None
    """What was named; None: nothing was."""
    locations: tuple[int, ...] = ()
    """Whose contacts were counted."""
    revision: int | None = None


def look_up(settings: Settings, now: Callable[[], datetime], target: str | None, load: Callable[[], Loaded]) -> TagList:
    """Of a slug or business number: in force, else as declared. Raises errors.UsageError where neither knows it."""
    if target is None:
        return TagList(tags.tags(None), "default")
    with open_store(settings.store, now=now, write=False) as store:
        configurations: Sequence[InForce] = ()
        if not store.empty:
            with store.read() as connection:
                configurations = tuple(in_force.every(connection))
    found = next((it for it in configurations if target in _names(it)), None)
    if found is None:
        meant = looking.find_target(load(), target)
        numbers = {meant.business, meant.parent}
        found = next((it for it in configurations if it.business in numbers or meant.business in _locations(it)), None)
        if found is None:
            return _declared(meant)
        target = str(meant.business)
    named = int(target) if target.isdigit() and int(target) in _locations(found) else None
    is_location = named is not None and named != found.business
    locations = (named,) if is_location and named is not None else _locations(found)
    document = found.document
    return TagList(
        tags.tags(document.get("campaign_tags"), _seen(settings, now, locations)),
        "in force",
        found.slug,
        named if is_location else found.business,
        locations,
        found.revision,
    )


def _declared(meant: looking.Target) -> TagList:
    if meant.declared is None:
        raise looking.no_such(meant.business)
    named = meant.declared.declaration.group.campaign_tags
    return TagList(tags.tags(named), "declared", meant.declared.slug, meant.business)


def _names(it: InForce) -> frozenset[str]:
    return frozenset({it.slug, str(it.business), *(str(number) for number in _locations(it))})


def _locations(it: InForce) -> tuple[int, ...]:
    return tuple(sorted(int(key) for key in it.document["locations"]))


def _seen(settings: Settings, now: Callable[[], datetime], locations: Sequence[int]) -> tuple[tags.Seen, ...]:
    with open_store(settings.ledger_store, now=now, write=False) as ledger:
        if ledger.empty:
            return ()
        with ledger.read() as connection:
            return tuple(tags_seen.of(connection, it) for it in locations)
