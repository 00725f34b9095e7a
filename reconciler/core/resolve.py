"""The configuration in force that a declaration leads to: declared values, else what is live, else defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.core import in_force, live, values
from reconciler.core.compare import Row
from reconciler.core.declared import Declared
from reconciler.core.desired import Desired, DesiredMapping
from reconciler.core.mappings import MappingSight
from reconciler.core.sources import nextech
from reconciler.core.values import Value, of_property
from reconciler.core.world import World


@dataclass(frozen=True, slots=True)
class LocationInput:
    """One location with what was seen of it and what compares."""

    want: DesiredMapping
    sight: MappingSight
    rows: tuple[Row, ...] = ()
    unknown_filters: tuple[str, ...] = ()
    """Wire keys of filters that are neither declared nor shown, on an object that existed before us."""
    known: Mapping[str, Value] = field(default_factory=dict)
    """Its values in force, by wire key."""


@dataclass(frozen=True, slots=True)
class Layer:
    """Known values of one level (group or location) by wire key."""

    declared: dict[str, Value] = field(default_factory=dict)
    seen: dict[str, Value] = field(default_factory=dict)
    masked: frozenset[str] = frozenset()
    """Shown or recorded to be there, value unknown."""


def layer(
    declared: dict[str, Value],
    properties: tuple[live.Property, ...] | None,
    known: Mapping[str, Value],
    rows: tuple[Row, ...],
    keys: frozenset[str],
    world: World,
) -> Layer:
    """Declared values, then live ones, then ones in force that this answer does not show; reset keys are gone."""
    gone = {it.key for it in rows if it.reset}
    seen: dict[str, Value] = {}
    masked: set[str] = set()
    shown: set[str] = set()
    for prop in properties or ():
        key = prop.key
        spec = nextech.BY_KEY.get(key)
        if spec is None or key not in keys or key in declared or key in gone or key in shown:
            continue
        shown.add(key)
        value = of_property(prop, world.fingerprint)
        if value is not None:
            seen[key] = value
        if spec.secure:
            masked.add(key)  # masked, or a value without a reference: the runner could not resolve it
    for key, value in known.items():
        wanted = key in keys and key not in declared and key not in gone and key not in shown
        if wanted and (properties is None or nextech.BY_KEY[key].secure):
            seen[key] = value
    return Layer(declared, seen, frozenset(masked))


def resolve(
    world: World,
    declared: Declared,
    want: Desired,
    *,
    group: live.LiveGroup | None,
    created_here: bool,
    group_layer: Layer,
    locations: tuple[LocationInput, ...],
    old: in_force.Document | None,
) -> in_force.Document:
    """The document that comes into force when every change of the business has been made."""
    it = declared.declaration
    references = _references(it.group)
    trigger_ids = want.triggers
    if trigger_ids is None:
        trigger_ids = group.triggers if group is not None and group.triggers is not None else ()
    document: in_force.Document = {
        **{key: value for key, value in in_force.business_fields(declared, world.secrets).items() if key != "group.id"},
        "business": it.business,
        "contacts_api_key": it.contacts_api_key,
        "contacts_api_key_print": world.secrets.get(it.contacts_api_key) if it.contacts_api_key else None,
        "group_pin": it.group.id,
        "group_id": group.group_id if group is not None else None,
        "group_created": created_here,
        "triggers": sorted(world.trigger_names.get(number, str(number)) for number in trigger_ids),
        "group": _sides(group_layer, references),
        "locations": {},
    }
    shared = _group_resolved(group_layer, references)
    for one in locations:
        document["locations"][str(one.want.business)] = _location(world, declared, one, shared)
    _keep_undeclared(world, document, old, declared.slug)
    return document


def _references(part: Any) -> dict[str, str | None]:
    return {spec.key: getattr(part, spec.name) for spec in nextech.FIELDS if spec.secure}


def _sides(known: Layer, references: dict[str, str | None]) -> dict[str, Any]:
    sides = {key: in_force.side_of(key, value, None) for key, value in known.seen.items()}
    sides |= {key: in_force.side_of(key, value, references.get(key)) for key, value in known.declared.items()}
    return dict(sorted(sides.items()))


@dataclass(frozen=True, slots=True)
class _Resolved:
    """Sides by wire key, and why a secure value is not known."""

    sides: dict[str, dict[str, Any]]
    unknown: dict[str, str]


def _group_resolved(group: Layer, references: dict[str, str | None]) -> _Resolved:
    """What every location without a word of its own uses: the group's values, else defaults."""
    sides: dict[str, dict[str, Any]] = {}
    unknown: dict[str, str] = {}
    for spec in nextech.FIELDS:
        key = spec.key
        if "group" in spec.scopes and key in group.declared:
            sides[key] = _side(spec, group.declared[key], references.get(key), "group")
        elif "group" in spec.scopes and key in group.masked:
            unknown[key] = f"{spec.name} is set at Birdeye for the group and its value is not known: declare it"
        elif "group" in spec.scopes and key in group.seen:
            sides[key] = _side(spec, group.seen[key], None, "group live")
        elif spec.default is None:
            unknown[key] = f"no {spec.name} is known"
        else:
            sides[key] = _side(spec, values.plain(key, spec.default), None, "default")
    return _Resolved(sides, unknown)


def _location(world: World, declared: Declared, one: LocationInput, shared: _Resolved) -> dict[str, Any]:
    it = declared.declaration.locations[one.want.index]
    mine = layer(
        one.want.properties,
        one.sight.have.properties if one.sight.have is not None else (None if one.sight.exists else ()),
        one.known,
        one.rows,
        nextech.LOCATION_KEYS,
        world,
    )
    references = _references(it)
    resolved = dict(shared.sides)
    unknown = dict(shared.unknown)
    for key, value in mine.seen.items():
        if key not in mine.masked:
            resolved[key] = _side(nextech.BY_KEY[key], value, None, "location live")
            unknown.pop(key, None)
    for key, value in mine.declared.items():
        resolved[key] = _side(nextech.BY_KEY[key], value, references.get(key), "location")
        unknown.pop(key, None)
    for key in mine.masked - set(mine.declared):
        resolved.pop(key, None)
        name = nextech.BY_KEY[key].name
        unknown[key] = f"{name} is set at Birdeye for this location and its value is not known: declare it"
    fields = in_force.location_fields(declared, one.want.index)
    return {
        **fields,
        "state": "released" if one.want.released else it.state,
        "active": one.want.active,
        "values": _sides(mine, references),
        "resolved": resolved,
        "waiting": next(iter(unknown.values()), None),
        "existed_before": bool(one.sight.exists and (one.sight.receipt is None or not one.sight.receipt.created)),
    }


def _side(spec: nextech.Field, value: Value, reference: str | None, source: str) -> dict[str, Any]:
    return {**in_force.side_of(spec.key, value, reference), "from": source}


def _keep_undeclared(world: World, document: in_force.Document, old: in_force.Document | None, slug: str) -> None:
    """A location whose entry disappeared stays in force until a way out is taken; one that moved away is dropped."""
    for key, location in (old or {}).get("locations", {}).items():
        elsewhere = world.declared_location.get(int(key))
        if key not in document["locations"] and (elsewhere is None or elsewhere == slug):
            document["locations"][key] = location
    document["locations"] = dict(sorted(document["locations"].items()))


def group_values(known: Layer) -> dict[str, Value]:
    """The group's values as an override that ends falls back to them: declared, else seen, else the default."""
    found: dict[str, Value] = {}
    for spec in nextech.OVERRIDES:
        value = known.declared.get(spec.key) or known.seen.get(spec.key)
        if value is None and spec.default is not None and spec.key not in known.masked:
            value = values.plain(spec.key, spec.default)
        if value is not None:
            found[spec.key] = value
    return found


def inherited(known: Layer, *, shown: bool) -> dict[str, str]:
    """The canonical values of the group that a location without an override has, as far as they are known.

    ``shown``: the group's properties are, or there is no group yet, so that an absent key has its default.
    """
    return {
        key: value.canon
        for key, value in group_values(known).items()
        if shown or key in known.declared or key in known.seen
    }
