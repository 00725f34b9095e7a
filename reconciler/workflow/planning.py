"""Declared against recorded and live: the plan, and everything it was made from."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler import observe
from reconciler.core import lint, objections, planner
from reconciler.core.declared import Declared
from reconciler.core.live import LiveBusiness, LiveGroup, LiveMapping, Trigger
from reconciler.core.plan import Plan
from reconciler.core.planned import Planned
from reconciler.core.problems import Severity
from reconciler.core.records import Recorded
from reconciler.core.values import Fingerprint
from reconciler.core.world import Directory, World
from reconciler.declarations import Loaded
from reconciler.errors import DeclarationError, RemoteError, SecretError
from reconciler.store import receipts
from reconciler.store.database import Store


@dataclass(frozen=True)
class Inputs:
    """What planning needs: declarations, a client, the store, and functions for the rest."""

    loaded: Loaded
    client: observe.Reads
    list_names: Callable[[str, bool], frozenset[str]]
    """(practice id reference, practice_plus) -> the location names that Nextech lists (endpoint L)."""
    store: Store
    fingerprint: Fingerprint
    reveal: Callable[[str], str]
    now: Callable[[], datetime]
    birdeye_url: str
    commit: str | None = None
    concurrency: int = 8
    reassert: frozenset[str] = frozenset()
    on_read: Callable[[int], None] = lambda business: None
    share: Callable[[], AbstractContextManager[Inputs]] | None = None
    """Halves the rate of requests, and gives what a second process needs for its half: connections of its own."""
    on_unread: Callable[[RemoteError], None] | None = None
    """Told why the trigger catalogue cannot be read; every business is then unreadable for that cause. None: it ends."""


@dataclass(frozen=True)
class Made:
    """A plan with the world it was made from, so that it can be carried out."""

    plan: Plan
    world: World
    planned: tuple[Planned, ...]
    catalogue: tuple[Trigger, ...] = field(default=())


def read_records(store: Store) -> Recorded:
    """Receipts, configurations in force and open intents, in one snapshot."""
    if store.empty:
        return Recorded()
    with store.read() as connection:
        return receipts.recorded(connection)


def read_outline(store: Store) -> Recorded:
    """Who has been applied and what is open, without fields and documents."""
    if store.empty:
        return Recorded()
    with store.read() as connection:
        return receipts.outline(connection)


def resolve_secrets(
    declared: tuple[Declared, ...], reveal: Callable[[str], str], fingerprint: Fingerprint
) -> dict[str, str]:
    """Reference -> full fingerprint, for every reference of the declarations. Raises errors.SecretError."""
    found: dict[str, str] = {}
    missing: dict[str, SecretError] = {}
    for one in declared:
        it = one.declaration
        keyed = [("practice.id", it.group.practice_id), ("contacts_api_key", it.contacts_api_key)]
        keyed += [("practice.id", location.practice_id) for location in it.locations]
        for key, reference in keyed:
            if reference is None or reference in found or reference in missing:
                continue
            try:
                found[reference] = fingerprint(key, reveal(reference).strip())
            except SecretError as error:
                missing[reference] = error
    if missing:
        texts = [it.message for it in missing.values()]
        raise SecretError(
            "\n".join(["secrets do not resolve; nothing was read or changed", *texts]), hint=_hint(missing)
        )
    return found


def _hint(missing: dict[str, SecretError]) -> str | None:
    return next((it.hint for it in missing.values() if it.hint), None)


def targets_of(declared: tuple[Declared, ...], recorded: Recorded) -> list[observe.Target]:
    """What to read: every business that is neither waiting nor released."""
    known = {it.business for it in recorded.objects if it.kind == "mapping"}
    found: list[observe.Target] = []
    for one in declared:
        if one.declaration.is_waiting or one.declaration.state == "released":
            continue
        locations = tuple(it.business for it in one.declaration.locations if it.state != "released")
        found.append(observe.Target(one.declaration.business, locations, frozenset(known & set(locations))))
    return found


def refuse_errors(loaded: Loaded, *, recorded: Recorded | None = None) -> None:
    """Nothing is planned from declarations with errors. An empty folder is left to the objection ``undeclared`` where
    something has been applied already.
    """
    errors = [it for it in loaded.problems if it.severity is Severity.ERROR]
    if recorded is not None and (recorded.objects or recorded.in_force) and not loaded.files:
        errors = [it for it in errors if it.code != EMPTY_FOLDER]
    if errors:
        message = "the declarations have errors; nothing was read or changed"
        raise DeclarationError(errors, message=message, sources=loaded.sources)


EMPTY_FOLDER = "E118"


def make(inputs: Inputs, *, recorded: Recorded | None = None) -> Made:
    """Observe and plan. Writes nothing. Raises errors.RemoteError where not even the trigger catalogue can be read, and
    ``inputs`` does not say who is told of it.
    """
    with without_collector():
        return _make(inputs, recorded)


@contextmanager
def without_collector() -> Iterator[None]:
    """Values are made by the million and hardly one is garbage: the collector would take a third of the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _make(inputs: Inputs, recorded: Recorded | None) -> Made:
    recorded = read_records(inputs.store) if recorded is None else recorded
    inputs, selected, secrets, catalogue = prepare(inputs, recorded)
    targets = targets_of(selected, recorded)
    live = observed(inputs, targets, observe.MappingReads(inputs.client))
    world = replace(world_of(inputs, secrets, catalogue, selected), recorded=recorded, live=live)
    planned = planner.plan_businesses(world)
    world = with_renames(inputs, world, planned)
    return Made(planner.make_plan(world, planned), world, planned, catalogue)


Prepared = tuple[Inputs, tuple[Declared, ...], dict[str, str], tuple[Trigger, ...]]


def prepare(inputs: Inputs, recorded: Recorded) -> Prepared:
    """What to plan with, the selected declarations, their secrets' fingerprints and the catalogue; everything that can
    refuse early.
    """
    refuse_errors(inputs.loaded, recorded=recorded)
    selected = tuple(it for it in inputs.loaded.declared if it.slug in inputs.loaded.selected)
    secrets = resolve_secrets(selected, inputs.reveal, inputs.fingerprint)
    if not targets_of(selected, recorded):
        return inputs, selected, secrets, ()
    try:
        catalogue = inputs.client.triggers()
    except RemoteError as error:
        if inputs.on_unread is None:
            raise
        inputs.on_unread(error)
        return replace(inputs, client=_Unread(error), share=None), selected, secrets, ()
    wrong = [it for it in lint.against_catalogue(selected, catalogue) if it.severity is Severity.ERROR]
    if wrong:
        raise DeclarationError(wrong, message="the live trigger catalogue does not fit; nothing was changed")
    return inputs, selected, secrets, catalogue


@dataclass(frozen=True)
class _Unread:
    """Reads of an API that did not give its catalogue: nothing more is asked, and each read ends as that one did."""

    error: RemoteError

    def triggers(self) -> tuple[Trigger, ...]:
        raise self.error.with_traceback(None)  # or it would grow with each business

    def groups(self, business: int) -> tuple[LiveGroup, ...] | None:
        raise self.error.with_traceback(None)

    def mappings(self, business: int) -> tuple[LiveMapping, ...]:
        raise self.error.with_traceback(None)


def observed(inputs: Inputs, targets: list[observe.Target], reads: observe.MappingReads) -> dict[int, LiveBusiness]:
    """Live state of some businesses."""
    return observe.observe(
        inputs.client,
        targets,
        concurrency=inputs.concurrency,
        mapping_reads=reads,
        on_read=inputs.on_read,
        seconds=lambda: inputs.now().timestamp(),
    )


def world_of(
    inputs: Inputs, secrets: dict[str, str], catalogue: tuple[Trigger, ...], selected: tuple[Declared, ...]
) -> World:
    """What everything is planned from, before anything recorded or live is in it."""
    return World(
        declared=inputs.loaded.declared,
        recorded=Recorded(),
        live={},
        catalogue=catalogue,
        secrets=secrets,
        fingerprint=inputs.fingerprint,
        now=inputs.now(),
        birdeye_url=inputs.birdeye_url,
        declarations_digest=inputs.loaded.digest,
        commit=inputs.commit,
        selected=inputs.loaded.selected,
        reassert=inputs.reassert,
        manual_steps={it.slug: lint.manual_steps(it.declaration) for it in selected},
        directory=Directory(inputs.loaded.declared),
    )


def with_renames(inputs: Inputs, world: World, planned: tuple[Planned, ...]) -> World:
    """Looks up Nextech's own names where a renamed location could explain a changed filter."""
    wanted = set(objections.renames_to_check(world, planned))
    if not wanted:
        return world
    names: dict[int, frozenset[str]] = {}
    cache: dict[tuple[str, bool], frozenset[str]] = {}
    for one in world.declared:
        if world.selected is not None and one.slug not in world.selected:
            continue
        for location in one.declaration.locations:
            reference = location.practice_id or one.declaration.group.practice_id
            if location.business not in wanted or reference is None:
                continue
            key = (reference, one.declaration.practice_plus)
            if key not in cache:
                try:
                    cache[key] = inputs.list_names(*key)
                except RemoteError:
                    continue  # without the list the objection stands
            names[location.business] = cache[key]
    return replace(world, nextech_names=names)


def look(client: observe.Reads) -> Callable[[int, tuple[int, ...], frozenset[int]], LiveBusiness]:
    """Reading one business again, for ``apply``. What one look learns of the mapping endpoint, the next ones know."""
    reads = observe.MappingReads(client)

    def one(business: int, locations: tuple[int, ...], recorded: frozenset[int]) -> LiveBusiness:
        target = observe.Target(business, locations, recorded)
        return observe.observe(client, (target,), concurrency=1, mapping_reads=reads)[business]

    return one
