"""Dangers that must be allowed by name, as ``interface.md`` publishes them. All are found; none stops another.

One objection per code and slug: its message names every place. Run-wide ones have the slug ``run``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from reconciler.core import in_force, resolve
from reconciler.core.compare import shown_value
from reconciler.core.plan import Objection
from reconciler.core.planned import Planned
from reconciler.core.sources import nextech
from reconciler.core.values import Value, fingerprint_of, items, plain
from reconciler.core.verdict import Hidden
from reconciler.core.world import World

COMMAND_LINE_ONLY = frozenset({"adopt", "ambiguous-group", "group-vanished", "undeclared"})
"""Never allowed from a declaration."""
CODES = (
    "many-deactivations",
    "last-location",
    "undeclared",
    "filter-widened",
    "goes-live",
    "practice-changed",
    "group-changed",
    "adopt",
    "ambiguous-group",
    "group-vanished",
    "trigger-wide",
    "contacts-backlog",
)
BUSINESS_SHARE, RUN_SHARE = 5, 10
"""One in 5 (20 %) of a business's active mappings, one in 10 (10 %) of the run's."""
BUSINESS_FLOOR, RUN_FLOOR = 1, 3
WIDE_TRIGGER_LOCATIONS = 20
BACKLOG_DAYS = 14


@dataclass(frozen=True, slots=True)
class Judged:
    """The objections to one business, and how many of its active locations stop."""

    objections: tuple[Objection, ...]
    stopped: int = 0
    active: int = 0


def of_business(world: World, one: Planned) -> Judged:
    """Everything that can be said without the rest of the run."""
    if one.unreadable or one.candidate is None:
        return Judged(one.objections)
    found = list(one.objections)
    before = {it.want.business for it in one.locations if was_active(world, one, it)}
    after = {it.want.business for it in one.locations if it.want.active and not it.want.released}
    stopped = {it.business for it in one.changes if it.kind == "mapping" and it.action == "deactivate"} & before
    found += _deactivations(one, stopped, before, after)
    # Nothing changes, nothing is dangerous; but a location that was left out of what is in force stays told of.
    if one.changes or (one.old is not None and any(it.unknown_filters for it in one.locations)):
        found += _dangers(world, one)
    return Judged(tuple(found), len(stopped), len(before))


def of_run(world: World, judged: Iterable[Judged]) -> tuple[Objection, ...]:
    """All of them, those of the whole run included, sorted by code and slug."""
    judged = tuple(judged)
    found = [it for one in judged for it in one.objections]
    stopped, active = sum(it.stopped for it in judged), sum(it.active for it in judged)
    limit = max(RUN_FLOOR, active / RUN_SHARE)
    if stopped > limit:
        text = f"{stopped} of {active} active locations of the run would be deactivated (more than {limit:g})"
        found.append(Objection("many-deactivations", "run", text))
    found += _undeclared(world)
    return _merged(found)


def _merged(found: Iterable[Objection]) -> tuple[Objection, ...]:
    texts: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for it in found:
        if it.message not in texts[it.code, it.slug]:
            texts[it.code, it.slug].append(it.message)
    return tuple(Objection(code, slug, "; ".join(texts[code, slug])) for code, slug in sorted(texts))


def was_active(world: World, one: Planned, it: resolve.LocationInput) -> bool:
    """Is the location active now: as shown, else as in force?"""
    shown = [m.active for m in (it.sight.have, *it.sight.elsewhere) if m is not None and m.active is not None]
    if shown:
        return any(shown)
    if not it.sight.exists and not it.sight.elsewhere and it.sight.visible:
        return False
    location = in_force.location_of(one.old, it.want.business)
    if location is None:
        entry = world.in_force_location.get(it.want.business)
        location = entry[1] if entry is not None else None
    if location is not None:
        return bool(location["active"])
    return it.sight.receipt is not None and it.sight.receipt.was_active


def _deactivations(one: Planned, stopped: set[int], before: set[int], after: set[int]) -> list[Objection]:
    found: list[Objection] = []
    limit = max(BUSINESS_FLOOR, len(before) / BUSINESS_SHARE)
    if len(stopped) > limit:
        text = f"{len(stopped)} of {len(before)} active locations would be deactivated (more than {limit:g})"
        found.append(Objection("many-deactivations", one.slug, text))
    if before and not after:
        found.append(Objection("last-location", one.slug, "the business would be left without an active location"))
    return found


def _dangers(world: World, one: Planned) -> list[Objection]:
    found: list[Objection] = []
    if one.want.released:
        return found
    new = one.candidate or {"beta": False, "locations": {}}
    old_beta = bool((one.old or {}).get("beta"))
    any_active = any(it.want.active and not it.want.released for it in one.locations)
    if old_beta and not new["beta"] and any_active:
        found.append(Objection("goes-live", one.slug, "beta ends: patients of active locations are contacted"))
    wider: list[tuple[str, int]] = []
    for it in one.locations:
        if it.want.released:
            continue
        old_location = _old_location(world, one, it.want.business)
        found += _location_dangers(world, one, it, new, old_location)
        new_location = in_force.location_of(new, it.want.business) or {}
        wider += _widened(world, one, it, new_location, old_location, was_active(world, one, it))
    found += [Objection("filter-widened", one.slug, text) for text in _widened_texts(wider)]
    found += _trigger_wide(world, one)
    return found


def _old_location(world: World, one: Planned, business: int) -> in_force.Document | None:
    """What is in force for a location, also under the declaration that it moves away from."""
    found = in_force.location_of(one.old, business)
    if found is None and business in world.in_force_location:
        return world.in_force_location[business][1]
    return found


def _location_dangers(
    world: World,
    one: Planned,
    it: resolve.LocationInput,
    new: in_force.Document,
    old_location: in_force.Document | None,
) -> list[Objection]:
    found: list[Objection] = []
    business, slug = it.want.business, one.slug
    active_before = was_active(world, one, it)
    new_location = in_force.location_of(new, business) or {}
    if it.want.active and not active_before:
        receipt = it.sight.receipt
        known_before = bool((old_location or {}).get("first_active_at")) or (receipt is not None and receipt.was_active)
        foreign = it.sight.have is not None and it.sight.have.active is False and receipt is None
        if known_before or (foreign and not one.choice.created_here):
            text = f"location {business} becomes active again: its patients are contacted"
            found.append(Objection("goes-live", slug, text))
    elif it.want.active and _was_released(one, old_location):
        text = f"location {business} was released and is synced again: its patients are contacted"
        found.append(Objection("goes-live", slug, text))
    if it.sight.elsewhere and active_before:
        before = it.sight.elsewhere[0].group_id
        found.append(Objection("group-changed", slug, f"live location {business} moves from group {before}"))
    found += _practice(one, it, new_location, old_location, active_before, world)
    found += _backlog(world, one, it, old_location)
    if it.unknown_filters:
        names = ", ".join(it.unknown_filters)
        text = f"location {business} existed before and {names} is neither declared nor shown: declare it ([] for all)"
        found.append(Objection("filter-widened", slug, text))
    return found


def _was_released(one: Planned, old_location: in_force.Document | None) -> bool:
    """Is it in force as released, and was it active before that?"""
    if old_location is None or not old_location.get("first_active_at"):
        return False
    return "released" in {old_location["state"], (one.old or {}).get("state")}


def before_value(world: World, one: Planned, it: resolve.LocationInput, key: str) -> Value | None:
    """What the live answers make of one wire key at a location; None where they do not show it."""
    spec = nextech.BY_KEY[key]
    have = it.sight.have
    if have is None or have.properties is None:
        return None
    shown = shown_value(have.properties, key, world.fingerprint)
    if isinstance(shown, Value):
        return shown
    if shown is Hidden.NOT_SHOWN and (not spec.secure or any(p.key == key for p in have.properties)):
        return None
    if "group" in spec.scopes:
        group = one.choice.group
        if group is None or group.properties is None:
            return None
        shown = shown_value(group.properties, key, world.fingerprint)
        if isinstance(shown, Value):
            return shown
        if shown is Hidden.NOT_SHOWN:
            return None
    return plain(key, spec.default) if spec.default is not None else None


def _practice(
    one: Planned,
    it: resolve.LocationInput,
    new: in_force.Document,
    old: in_force.Document | None,
    active_before: bool,
    world: World,
) -> list[Objection]:
    if not active_before:
        return []
    after = in_force.resolved_value(new, "practice.id")
    before = before_value(world, one, it, "practice.id") or in_force.resolved_value(old, "practice.id")
    in_force_before = in_force.resolved_value(old, "practice.id")
    changed = [b for b in (before, in_force_before) if b is not None and (after is None or b.canon != after.canon)]
    if not changed and before is None and after is not None and _sent_another(world, it, after):
        text = f"the practice id of live location {it.want.business} changes from another one, sent before, to "
        return [Objection("practice-changed", one.slug, text + after.display)]
    if not changed:
        return []
    text = f"the practice id of live location {it.want.business} changes from {changed[0].display} to "
    if after is not None:
        return [Objection("practice-changed", one.slug, text + after.display)]
    waiting = new.get("waiting") or "declare practice_id"
    ways = f"{waiting}, or allow practice-changed:{one.slug}, and nobody is contacted there until it is known"
    return [Objection("practice-changed", one.slug, f"{text}one that is not known: {ways}")]


def _sent_another(world: World, it: resolve.LocationInput, after: Value) -> bool:
    """Does the receipt of a mapping, of which nothing else is known, name another practice id?"""
    field = it.sight.receipt.field("properties.practice.id") if it.sight.receipt is not None else None
    return (
        field is not None
        and not field.assumed
        and field.fingerprint != fingerprint_of("practice.id", after, world.fingerprint)
    )


def _widened(
    world: World,
    one: Planned,
    it: resolve.LocationInput,
    new: in_force.Document,
    old: in_force.Document | None,
    active_before: bool,
) -> list[tuple[str, int]]:
    if not it.want.active or not (active_before or (old or {}).get("first_active_at")):
        return []
    found: list[tuple[str, int]] = []
    for spec in nextech.FIELDS:
        if not spec.filters:
            continue
        after = in_force.resolved_value(new, spec.key)
        if after is None:
            continue
        live_before = before_value(world, one, it, spec.key)
        force_before = in_force.resolved_value(old, spec.key)
        if live_before is not None and live_before.canon == after.canon and _was_sent(world, one, it, spec, after):
            continue
        befores = [b for b in (live_before, force_before) if b is not None and in_force.widens(spec.key, b, after)]
        if not befores:
            continue
        if spec.key == "location.name" and _renamed(world, it.want.business, befores, after):
            continue
        found.append((f"{spec.name}: {_words(spec, befores[0])} -> {_words(spec, after)}", it.want.business))
    return found


def _widened_texts(found: Iterable[tuple[str, int]]) -> list[str]:
    """One text per change of a filter, with the locations that it concerns."""
    by_text: defaultdict[str, list[int]] = defaultdict(list)
    for text, business in found:
        by_text[text].append(business)
    return [f"{text} (location {', '.join(str(it) for it in them)})" for text, them in by_text.items()]


def _words(spec: nextech.Field, value: Value) -> str:
    if spec.kind == "list" and not items(spec, value.wire):
        return "none" if spec.key == "appointment.custom.status" else "all"
    return value.wire


def _was_sent(world: World, one: Planned, it: resolve.LocationInput, spec: nextech.Field, after: Value) -> bool:
    """Did an earlier apply send exactly this, so that the objection was answered then?"""
    wanted = world.fingerprint(spec.key, after.canon)
    for receipt in (it.sight.receipt, one.choice.receipt):
        field = receipt.field(spec.path) if receipt is not None else None
        if field is not None and not field.assumed and field.fingerprint == wanted:
            return True
    return False


def _renamed(world: World, business: int, befores: Iterable[Value], after: Value) -> bool:
    """Names that Nextech no longer lists, replaced by as many that it does list."""
    listed = world.nextech_names.get(business)
    if listed is None:
        return False
    spec = nextech.BY_KEY["location.name"]
    new = items(spec, after.wire)
    for before in befores:
        old = items(spec, before.wire)
        gone, added = old - new, new - old
        if not old or not new or gone & listed or not added <= listed or len(added) > len(gone):
            return False
    return True


def renames_to_check(world: World, planned: Iterable[Planned]) -> tuple[int, ...]:
    """Location businesses whose names change in a way that Nextech's own list could explain."""
    spec = nextech.BY_KEY["location.name"]
    found: list[int] = []
    for one in planned:
        for it in one.locations if one.changes else ():
            after = in_force.resolved_value(in_force.location_of(one.candidate, it.want.business), spec.key)
            old = in_force.resolved_value(in_force.location_of(one.old, it.want.business), spec.key)
            before = before_value(world, one, it, spec.key) or old
            if after is None or before is None:
                continue
            a, b = items(spec, after.wire), items(spec, before.wire)
            if a and b and a - b and b - a:
                found.append(it.want.business)
    return tuple(found)


def _backlog(world: World, one: Planned, it: resolve.LocationInput, old: in_force.Document | None) -> list[Objection]:
    start = (in_force.location_of(one.candidate, it.want.business) or {}).get("contact_start")
    if start is None or not it.want.active:
        return []
    first_active = (old or {}).get("first_active_at")
    if first_active is None:
        earliest = (world.now - timedelta(days=BACKLOG_DAYS)).date()
        if date.fromisoformat(start) < earliest:
            text = f"contact_start {start} of location {it.want.business} lies more than {BACKLOG_DAYS} days back"
            return [Objection("contacts-backlog", one.slug, text)]
        return []
    before = (old or {}).get("contact_start") or str(first_active)[:10]
    if start < before:
        text = f"contact_start of location {it.want.business} changes from {before} to the earlier {start}"
        return [Objection("contacts-backlog", one.slug, text)]
    return []


def _trigger_wide(world: World, one: Planned) -> list[Objection]:
    row = next((row for row in one.group_rows if row.key == "triggers"), None)
    if row is None or row.after is None or one.choice.group is None or row.judged.verdict != "different":
        return []
    before = set(row.before.wire.split(",")) if row.before is not None else set()
    added = {it for it in row.after.wire.split(",") if it} - before
    active = sum(was_active(world, one, it) for it in one.locations)
    if added and active > WIDE_TRIGGER_LOCATIONS:
        names = ", ".join(sorted(world.trigger_names.get(int(it), it) for it in added))
        text = f"{names} is added where {active} locations are active (more than {WIDE_TRIGGER_LOCATIONS})"
        return [Objection("trigger-wide", one.slug, text)]
    return []


def _undeclared(world: World) -> list[Objection]:
    """Applied files and location entries that have disappeared, judged over the whole directory."""
    found: list[Objection] = []
    ways = "ways out: `inactive`, `released`, or `reconciler forget`"
    known = world.declared_slugs
    businesses = {it.declaration.business: it.slug for it in world.declared}
    gone: dict[str, int] = {}
    for receipt in world.recorded.objects:
        if receipt.slug not in known:
            gone.setdefault(receipt.slug, receipt.business)
    for it in world.recorded.in_force:
        if it.slug not in known:
            gone[it.slug] = it.business
    for slug, business in sorted(gone.items()):
        renamed = businesses.get(business)
        hint = f"; it looks like a rename: add `moved: [{{from: {slug}}}]` to {renamed}" if renamed else ""
        found.append(
            Objection("undeclared", slug, f"the declaration of an applied business has disappeared{hint}; {ways}")
        )
    for receipt in world.recorded.objects:
        if receipt.kind != "mapping" or receipt.slug not in known or receipt.slug in gone:
            continue
        if receipt.business not in world.declared_location:
            text = f"the entry of applied location {receipt.business} has disappeared; {ways}"
            found.append(Objection("undeclared", known[receipt.slug], text))
    for it in world.recorded.in_force:
        for key in it.document.get("locations", {}):
            if it.slug in known and it.slug not in gone and int(key) not in world.declared_location:
                text = f"the entry of applied location {key} has disappeared; {ways}"
                found.append(Objection("undeclared", known[it.slug], text))
    return found
