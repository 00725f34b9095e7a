"""The other side of drift: mapped location names and practitioner ids that the practice's own system lists no more.

Read through Birdeye's look-ups (endpoints L and P), once per practice id. Such a finding has the published class
``missing``, the object ``nextech:LOCATION``, a path such as ``nextech.location.name``, and in ``declared`` only the items that are
missing. Where the look-up fails it is ``unreadable``; where the server has no such look-up, or the practice id is not
known here, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from reconciler.core import in_force, values
from reconciler.core.drift import Finding
from reconciler.core.planned import Planned
from reconciler.core.sources import nextech
from reconciler.core.suggest import nearest
from reconciler.core.world import World

NAMES, PRACTITIONERS = nextech.BY_KEY["location.name"], nextech.BY_KEY["practitioner.id"]
Ask = tuple[str, bool, str]
"""Full fingerprint of the practice id, Practice+ or not, and which property."""


@dataclass(frozen=True, slots=True)
class Mapped:
    """One property of one location that names things of the practice's own system."""

    slug: str
    business: int
    index: int
    field: nextech.Field
    items: frozenset[str]
    reference: str
    """Of the practice id."""
    ask: Ask
    is_declared: bool
    """At the location, by us; else it is live and undeclared."""


def mapped(world: World, planned: Iterable[Planned], unresolved: Mapping[str, str]) -> Iterator[Mapped]:
    """Everything that can be looked up: of locations that are managed, readable, and whose practice id resolves."""
    by_slug = {it.slug: it for it in world.declared}
    for one in planned:
        declaration = by_slug[one.slug].declaration
        if one.unreadable or one.candidate is None or one.want.released:
            continue
        for it in one.locations:
            location = in_force.location_of(one.candidate, it.want.business)
            if it.want.released or location is None:
                continue
            practice = location["resolved"].get("practice.id", {})
            reference, print_ = practice.get("reference"), practice.get("print")
            if reference is None or print_ is None or print_ in unresolved:
                continue
            for field in (NAMES, PRACTITIONERS):
                value = in_force.resolved_value(location, field.key)
                wanted = values.items(field, value.wire) if value is not None else frozenset()
                if wanted:
                    ask = (print_, declaration.practice_plus, field.key)
                    yield Mapped(
                        one.slug,
                        it.want.business,
                        it.want.index,
                        field,
                        wanted,
                        reference,
                        ask,
                        field.key in it.want.properties,
                    )


def find(world: World, wanted: Iterable[Mapped], listed: Mapping[Ask, frozenset[str] | str]) -> list[Finding]:
    """Compare with what was listed; a text in place of a list says why there is none."""
    by_slug = {it.slug: it for it in world.declared}
    found: list[Finding] = []
    for it in wanted:
        have = listed.get(it.ask)
        if have is None:
            continue
        object_ = f"nextech:{it.business}"
        where = by_slug[it.slug].position("locations", it.index, it.field.name)
        if isinstance(have, str):
            found.append(
                Finding(
                    it.slug,
                    object_,
                    f"nextech.{it.field.key}",
                    "unreadable",
                    declared=sorted(it.items) if it.is_declared else None,
                    position=where,
                    note=f"Nextech's list could not be read: {have}",
                )
            )
            continue
        missing = sorted(it.items - have)
        if missing:
            near = [(name, nearest(name, have)) for name in missing if it.field is NAMES]
            guesses = ", ".join(f"{guess} for {name}" for name, guess in near if guess)
            found.append(
                Finding(
                    it.slug,
                    object_,
                    f"nextech.{it.field.key}",
                    "missing",
                    declared=missing,
                    live_print=world.fingerprint(f"nextech {it.field.key}", it.field.separator.join(missing)),
                    position=where,
                    note="Nextech does not list it" + (f"; did you mean {guesses}?" if guesses else ""),
                )
            )
    return found
