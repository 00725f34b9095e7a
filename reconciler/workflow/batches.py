"""The plan of any number of businesses, some hundreds at a time, and the second half of thousands by a second process.

What memory it takes grows with the declarations, not with what is recorded and live: of the businesses that it has nothing
to do or to say about, only counts are kept.
"""

from __future__ import annotations

import os
import pickle  # noqa: TID251 - between two processes of one program; nothing of it is kept
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace

from reconciler import observe
from reconciler.core import business, planner
from reconciler.core.declared import Declared
from reconciler.core.live import LiveBusiness
from reconciler.core.planned import Planned
from reconciler.core.records import InForce, ObjectReceipt, Recorded
from reconciler.core.world import World
from reconciler.declarations import apart
from reconciler.store import receipts
from reconciler.store.database import Store
from reconciler.workflow.planning import (
    Inputs,
    Made,
    observed,
    prepare,
    read_outline,
    targets_of,
    with_renames,
    without_collector,
    world_of,
)

BATCH = 500
"""Businesses that are observed and planned together."""
MANY = 2_000
"""From so many on a second process plans the second half."""


def make_in_batches(inputs: Inputs) -> Made:
    """The plan that ``planning.make`` makes. Writes nothing. Raises what that raises."""
    with without_collector():
        return _make(inputs)


@dataclass
class _Part:
    """What was made of some businesses, in their order."""

    builder: planner.Builder = field(default_factory=planner.Builder)
    kept: list[Planned] = field(default_factory=list)
    objects: list[ObjectReceipt] = field(default_factory=list)
    documents: list[InForce] = field(default_factory=list)
    live: dict[int, LiveBusiness] = field(default_factory=dict)

    def extend(self, other: _Part) -> None:
        """Put what comes after behind it."""
        self.builder.extend(other.builder)
        self.kept += other.kept
        self.objects += other.objects
        self.documents += other.documents
        self.live |= other.live


@dataclass(frozen=True)
class _Job:
    """What all parts have in common."""

    base: World
    outline: Recorded
    owners: Mapping[int, set[str]]
    """Business -> the slugs under which something is recorded of it."""

    def plan(self, inputs: Inputs, reads: observe.MappingReads, selected: tuple[Declared, ...], part: _Part) -> None:
        """Plan some businesses, into ``part``."""
        for start in range(0, len(selected), BATCH):
            self._batch(inputs, reads, selected[start : start + BATCH], part)

    def _batch(self, inputs: Inputs, reads: observe.MappingReads, batch: tuple[Declared, ...], part: _Part) -> None:
        recorded = _records_of(inputs.store, self._concerned(batch), self.outline)
        seen = observed(inputs, targets_of(batch, recorded), reads)
        world = replace(self.base, recorded=recorded, live=seen, selected=frozenset(it.slug for it in batch))
        planned = tuple(business.plan_business(world, it) for it in batch)
        world = with_renames(inputs, world, planned)
        for one in planned:
            part.builder.add(world, one)
            if one.changes or one.objections:
                part.kept.append(one)
                part.live |= {one.business: seen[one.business]} if one.business in seen else {}
        touched = {it.slug for it in planned if it.changes or it.objections}
        slugs = self._concerned(tuple(it for it in batch if it.slug in touched))
        part.objects += [it for it in recorded.objects if it.slug in slugs]
        part.documents += [it for it in recorded.in_force if it.slug in slugs]

    def _concerned(self, batch: tuple[Declared, ...]) -> set[str]:
        """The slugs under which something is recorded of these: their own, the ones they moved from, and those that
        own their locations.
        """
        slugs: set[str] = set()
        for one in batch:
            it = one.declaration
            slugs |= {one.slug, *(move.from_ for move in it.moved)}
            for number in (it.business, *(location.business for location in it.locations)):
                slugs |= self.owners.get(number, set())
        return slugs


def _make(inputs: Inputs) -> Made:
    outline = read_outline(inputs.store)
    inputs, selected, secrets, catalogue = prepare(inputs, outline)
    owners: dict[int, set[str]] = {}
    for receipt in outline.objects:
        owners.setdefault(receipt.business, set()).add(receipt.slug)
    groups = frozenset(it.group_id for it in outline.objects if it.group_id is not None)
    base = replace(world_of(inputs, secrets, catalogue, selected), recorded=outline, other_groups=groups)
    job, part, reads = _Job(base, outline, owners), _Part(), observe.MappingReads(inputs.client)
    # The first ones find out whether the mapping endpoint answers: once, for both processes.
    first, rest = selected[:BATCH], selected[BATCH:]
    job.plan(inputs, reads, first, part)
    if len(selected) >= MANY and inputs.share is not None and apart.can_fork():
        _by_two(job, inputs, inputs.share(), reads, rest, part)
    else:
        job.plan(inputs, reads, rest, part)
    plan = part.builder.build(base)
    recorded = Recorded(tuple(part.objects), tuple(part.documents), outline.open_intents)
    return Made(plan, replace(base, live=part.live, recorded=recorded), tuple(part.kept), catalogue)


def _by_two(
    job: _Job,
    inputs: Inputs,
    others: AbstractContextManager[Inputs],
    reads: observe.MappingReads,
    selected: tuple[Declared, ...],
    part: _Part,
) -> None:
    half = len(selected) // 2
    mine, theirs = selected[:half], selected[half:]
    parent = os.getpid()

    def in_the_child() -> bytes:
        made = _Part()
        with others as own:
            known = observe.MappingReads(own.client, answers=reads.answers, misses=reads.misses)
            job.plan(replace(own, on_read=still_wanted), known, theirs, made)
        return pickle.dumps(made)

    def still_wanted(number: int) -> None:
        if os.getppid() != parent:
            raise ChildProcessError  # the parent was killed: nobody waits for this

    def twice(number: int) -> None:
        inputs.on_read(number)
        inputs.on_read(number)  # the other half is as far

    with apart.Apart(in_the_child) as child:
        job.plan(replace(inputs, on_read=twice), reads, mine, part)
        content = child.result()
    if content is None:  # whatever stopped the child is met again here, and told
        job.plan(replace(inputs, on_read=lambda number: None), reads, theirs, part)
    else:
        part.extend(pickle.loads(content))  # noqa: S301 - what our own child wrote


def _records_of(store: Store, slugs: set[str], outline: Recorded) -> Recorded:
    if store.empty:
        return Recorded()
    with store.read() as connection:
        found = receipts.of_slugs(connection, sorted(slugs))
    return replace(found, open_intents=outline.open_intents)
