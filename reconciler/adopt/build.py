"""From what was observed of one business to a draft: only what is shown is declared, and the rest is said in comments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.adopt.draft import RELEASED, Draft, Part, shown
from reconciler.core import compare, in_force, live, values
from reconciler.core.desired import find_trigger
from reconciler.core.model import wire_value
from reconciler.core.sources import nextech
from reconciler.core.values import Fingerprint, Value
from reconciler.core.verdict import Hidden

NOT_SHOWN = "not shown by the API"
_OURS_TOP = ("name", "beta", "practice_plus", "country", "contacts_api_key", "onboarding")
_OURS_GROUP = ("campaign_tags", "excluded_patient_types", "minimum_age")
_OURS_LOCATION = ("name", "time_zone", "next_run", "contact_start")
_DEFAULTS = {"beta": False, "practice_plus": False, "country": "US"}
_FREQUENCY = re.compile(r"[1-9][0-9]{0,3}[hd]")


@dataclass(frozen=True, slots=True)
class Seen:
    """One location to declare. ``have`` is None where the API does not show its mapping."""

    business: int
    have: live.LiveMapping | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """Everything that is known of one business."""

    slug: str
    business: int
    group: live.LiveGroup
    locations: tuple[Seen, ...]
    catalogue: tuple[live.Trigger, ...]
    fingerprint: Fingerprint
    runner: str = "platform"
    time_zones: Mapping[int | None, str] = field(default_factory=dict)
    """By location; under None the one for every other."""
    known: in_force.Document | None = None
    """The configuration in force, where there is one: what the API never shows."""
    pinned: bool = True
    """Write ``group.id``."""
    elsewhere: Mapping[int, str] = field(default_factory=dict)
    """Locations of the group that another file declares: business -> that file."""


def variable(slug: str, what: str) -> str:
    """The variable that a secret of a business is stored under."""
    return f"RECONCILER_SECRET_{re.sub('[^A-Za-z0-9]', '_', slug).upper()}_{what.upper()}"


def build(it: Subject) -> Draft:
    """The draft. What the API does not show stays undeclared where it can, so that it stays as it is."""
    draft = Draft(it.slug, it.business)
    top = draft.top
    top.put("version", 1)
    top.put("business", it.business)
    top.put("source", "nextech")
    known = it.known or {}
    for name in _OURS_TOP:
        value = known.get(name)
        if value not in (None, _DEFAULTS.get(name)):
            top.put(name, value)
    _runner(it, top, known)
    _triggers(it, top)
    _group(it, draft)
    for one in it.locations:
        draft.locations.append(_location(it, draft, one))
    _practice_id_of_last_resort(it, draft)
    _state(it, draft, known)
    for business, file in sorted(it.elsewhere.items()):
        top.say(f"location {business} of this group is declared in {file}")
    return draft


def _runner(it: Subject, top: Part, known: Mapping[str, Any]) -> None:
    runner = known.get("runner", it.runner)
    if runner == "bundled":
        return
    top.put(
        "runner",
        runner,
        "Birdeye's own scheduler runs this business today.",
        "Before `bundled`, switch that job off: two of them text every patient twice.",
    )


def _triggers(it: Subject, top: Part) -> None:
    if it.group.triggers is None:
        top.say(f"triggers: {NOT_SHOWN}; the live ones stay")
        return
    names: list[str] = []
    for number in sorted(set(it.group.triggers)):
        trigger = next((one for one in it.catalogue if one.id == number), None)
        name = _name_of(trigger, it.catalogue) if trigger is not None else None
        if name is None:
            top.say(
                f"triggers: the live trigger {number} is not in the catalogue, or is switched off; the live ones stay"
            )
            return
        names.append(name)
    if not names:
        top.say("triggers: none is live")
        return
    top.put("triggers", tuple(names))


def _name_of(trigger: live.Trigger, catalogue: tuple[live.Trigger, ...]) -> str | None:
    """A name that finds exactly this trigger."""
    for name in (trigger.service, trigger.display_name):
        found = find_trigger(name, catalogue) if name else None
        if found is not None and found.id == trigger.id and found.active:
            return name
    return None


def _group(it: Subject, draft: Draft) -> None:
    part = draft.group
    known = it.known or {}
    if it.pinned:
        part.put("id", it.group.group_id)
    for spec in nextech.GROUP_FIELDS:
        if spec.secure:
            if _has(it.group.properties, spec.key):
                _secret(it, draft, part, spec, (known.get("group") or {}).get(spec.key), "")
            continue
        _field(it, part, spec, it.group.properties, default=compare.default_of(spec.key))
    if it.group.properties is None:
        part.say(f"all other properties of the group: {NOT_SHOWN}; the live ones stay")
    _unknown_keys(part, it.group.properties, nextech.GROUP_FIELDS)
    for name in _OURS_GROUP:
        value = known.get(name)
        if value not in (None, []):
            part.put(name, tuple(value) if isinstance(value, list) else value)


def _has(properties: Iterable[live.Property] | None, key: str) -> bool:
    return any(one.key == key for one in properties or ())


def _secret(it: Subject, draft: Draft, part: Part, spec: nextech.Field, side: Any, where: str) -> None:
    """A reference, never a value: the one in force, else a variable that a person fills."""
    reference = (side or {}).get("reference")
    if isinstance(reference, str):
        part.put(spec.name, reference)
        return
    name = variable(it.slug, f"{where}{spec.name}")
    what = f"{spec.name} of {f'location {where[:-1]}' if where else f'business {it.business}'}"
    draft.secrets[name] = what
    part.put(spec.name, f"env:{name}")


def _field(
    it: Subject, part: Part, spec: nextech.Field, properties: tuple[live.Property, ...] | None, *, default: str | None
) -> None:
    """Declare one property where it is shown, is not the default, and can be written in a declaration."""
    value = compare.shown_value(properties, spec.key, it.fingerprint)
    if value is Hidden.ABSENT or (value is Hidden.NOT_SHOWN and properties is None):
        return
    if not isinstance(value, Value) or value.secret:
        part.say(f"{spec.name}: set, and its value is {NOT_SHOWN}; it stays as it is")
        return
    if default is not None and value.canon == default:
        return
    declared = _declared(spec, value.wire)
    # Printable only: what a reviewer cannot see must not come into git by itself.
    if (
        declared is None
        or not value.wire.isprintable()
        or values.canonical(spec.key, wire_value(spec, declared)) != value.canon
    ):
        part.say(f"{spec.name}: live {shown(value.wire)} cannot be declared; it stays as it is")
        return
    part.put(spec.name, declared)


def _declared(spec: nextech.Field, wire: str) -> Any:
    """A wire value as a declaration writes it; None where it cannot."""
    if spec.kind == "list":
        parts = [one.strip() for one in wire.split(spec.separator)]
        found = tuple(dict.fromkeys(one for one in parts if one))
        return found if found or spec.empty_allowed else None
    text = wire.strip()
    if spec.kind == "int":
        return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
    return text or None


def _unknown_keys(part: Part, properties: tuple[live.Property, ...] | None, fields: tuple[nextech.Field, ...]) -> None:
    known = {spec.key for spec in fields}
    for key in sorted({one.key for one in properties or ()} - known):
        part.say(f"also live, and not for a declaration: {key}; it stays as it is")


def _location(it: Subject, draft: Draft, one: Seen) -> Part:
    part = Part()
    part.put("business", one.business)
    known = in_force.location_of(it.known, one.business) or {}
    properties = one.have.properties if one.have is not None else None
    for name in _OURS_LOCATION:
        if known.get(name) is not None:
            part.put(name, known[name])
    if "time_zone" not in part.values:
        zone = it.time_zones.get(one.business, it.time_zones.get(None))
        part.put("time_zone", zone)
    _frequency(it, part, one, known)
    for spec in nextech.LOCATION_FIELDS:
        if spec.secure:
            if _has(properties, spec.key):
                _own_practice(it, draft, part, spec, one, known)
            continue
        default = compare.default_of(spec.key)
        if "group" in spec.scopes and _has(it.group.properties, spec.key):
            default = None  # an override back to the default is no default
        _field(it, part, spec, properties, default=default)
    if properties is None:
        part.say(f"properties of this location: {NOT_SHOWN}; the live ones stay")
    _unknown_keys(part, properties, nextech.LOCATION_FIELDS)
    if one.have is not None and one.have.status not in (None, "ACTIVE", "INACTIVE"):
        part.say(f"Birdeye shows the status {one.have.status}")
    return part


def _frequency(it: Subject, part: Part, one: Seen, known: Mapping[str, Any]) -> None:
    frequency = known.get("frequency")
    if frequency is None and one.have is not None and one.have.frequency is not None:
        text = one.have.frequency
        if it.runner == "platform" or not _FREQUENCY.fullmatch(text):
            if text != "1d":
                part.say(f"Birdeye shows the frequency {shown(text)}")
            return
        frequency = text
    if frequency not in (None, "1d"):
        part.put("frequency", frequency)


def _own_practice(
    it: Subject, draft: Draft, part: Part, spec: nextech.Field, one: Seen, known: Mapping[str, Any]
) -> None:
    mine = compare.shown_value(one.have.properties if one.have else None, spec.key, it.fingerprint)
    group = compare.shown_value(it.group.properties, spec.key, it.fingerprint)
    if isinstance(mine, Value) and isinstance(group, Value) and mine.canon == group.canon:
        part.put(spec.name, draft.group.values[spec.name])
        return
    _secret(it, draft, part, spec, (known.get("values") or {}).get(spec.key), f"{one.business}_")


def _practice_id_of_last_resort(it: Subject, draft: Draft) -> None:
    """A declaration needs a practice id for each location; where none is shown, the group's is asked for."""
    spec = nextech.BY_KEY["practice.id"]
    if spec.name in draft.group.values or all(spec.name in part.values for part in draft.locations):
        return
    _secret(it, draft, draft.group, spec, ((it.known or {}).get("group") or {}).get(spec.key), "")
    draft.group.above[spec.name] = [f"# {NOT_SHOWN}: ask the practice"]


def _state(it: Subject, draft: Draft, known: Mapping[str, Any]) -> None:
    """Active or not, as shown, else as in force; else on the side that contacts nobody."""
    lacking = False
    for one, part in zip(it.locations, draft.locations, strict=True):
        location = in_force.location_of(it.known, one.business) or {}
        part.is_active = one.have.active if one.have is not None else None
        if location.get("state") == "released":
            part.put("state", "released")
            continue
        active = one.have.active if one.have is not None else None
        if active is None and location:
            active = bool(location["active"])
        if active is None:
            part.put("state", "inactive", f"whether it is active is {NOT_SHOWN}; inactive contacts nobody")
        elif not active:
            part.put("state", "inactive")
        elif part.values.get("time_zone") is None:
            part.say("time_zone: an active location needs one, such as America/New_York")
            lacking = True
    state = known.get("state")
    if state == "released" or lacking:
        draft.top.put("state", "released", *(RELEASED if lacking else ()))
    elif state == "inactive" and all(part.values.get("state") == "inactive" for part in draft.locations):
        draft.top.put("state", "inactive")
