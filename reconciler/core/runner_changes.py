"""Changes of kind ``runner``: what the runner works from, compared with the configuration in force."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.core import in_force, nested
from reconciler.core.declared import Declared
from reconciler.core.model import RUNNER_DEFAULTS
from reconciler.core.plan import Action, Change, FieldChange, change_id
from reconciler.core.planned import Planned
from reconciler.core.sources import nextech
from reconciler.core.world import World

_BUSINESS = (
    ("name", "name"),
    ("state", "state"),
    ("runner", "runner"),
    ("beta", "beta"),
    ("practice_plus", "practice_plus"),
    ("country", "country"),
    ("contacts_api_key", "contacts_api_key"),
    ("campaign_tags", "campaign_tags"),
    ("excluded_patient_types", "excluded_patient_types"),
    ("minimum_age", "minimum_age"),
    ("group.id", "group_pin"),
    ("onboarding", "onboarding"),
    ("triggers", "triggers"),
)
"""Path in a plan, key in the document."""
_LOCATION = ("name", "state", "time_zone", "frequency", "next_run", "contact_start", "waiting")
_DEFAULTS = {**RUNNER_DEFAULTS, "state": "active"}
_BY_HAND_ON_PLATFORM = frozenset({"frequency", "next_run"})


def changes(world: World, declared: Declared, planned: Planned) -> tuple[Change, ...]:
    """What comes into force beyond what the group and mapping changes of the same plan already say."""
    new, old = planned.candidate, planned.old
    if new is None:
        return ()
    covered = _covered(planned)
    found: list[Change] = []
    fields = _business_fields(new, old, covered)
    before_slug = world.slug_in_force(declared)
    if before_slug not in (None, declared.slug):
        fields.insert(0, FieldChange("slug", before_slug, declared.slug))
    if fields:
        found.append(_change(declared, planned.business, fields, old is None, ("business",), "business"))
    for key, location in new["locations"].items():
        business = int(key)
        index = next((it.want.index for it in planned.locations if it.want.business == business), None)
        if index is None:
            continue
        before = in_force.location_of(old, business)
        fields = _location_fields(location, before, business, covered)
        where: tuple[str | int, ...] = ("locations", index)
        if fields:
            found.append(_change(declared, business, fields, before is None, where, "location"))
        by_hand = [it for it in fields if it.path in _BY_HAND_ON_PLATFORM and it.after is not None]
        if new["runner"] == "platform" and by_hand and _declares(declared, index):
            found.append(_platform_change(declared, business, by_hand, where))
    for key in (old or {}).get("locations", {}):
        if key not in new["locations"]:
            target = world.declared_location.get(int(key), "another declaration")
            field = FieldChange("declaration", declared.slug, target)
            found.append(_change(declared, int(key), [field], False, ("locations",), "gone"))
    return tuple(found)


def _declares(declared: Declared, index: int) -> bool:
    return bool(_BY_HAND_ON_PLATFORM & declared.declaration.locations[index].declared)


def _covered(planned: Planned) -> set[tuple[int, str]]:
    """(location or parent business, wire key) that a change of the same plan shows already."""
    covered: set[tuple[int, str]] = set()
    everything = [spec.key for spec in nextech.FIELDS] + ["active", "triggers"]
    if not planned.changes:
        return covered
    for change in planned.changes:
        paths = [it.path.removeprefix("properties.") for it in change.fields]
        if change.action in ("create", "move", "adopt"):
            paths = everything
        covered |= {(change.business, path) for path in paths}
        if change.kind == "group":
            covered |= {(it.want.business, path) for it in planned.locations for path in paths}
    return covered


def _business_fields(
    new: in_force.Document, old: in_force.Document | None, covered: set[tuple[int, str]]
) -> list[FieldChange]:
    found: list[FieldChange] = []
    business = new["business"]
    for path, key in _BUSINESS:
        if path == "triggers" and ((business, path) in covered or old is None):
            continue
        before, after = (old or {}).get(key), new.get(key)
        sensitive = path == "contacts_api_key"
        if sensitive:
            before = _print((old or {}).get("contacts_api_key_print"))
            after = _print(new.get("contacts_api_key_print"))
        is_default = after in (None, []) or after == _DEFAULTS.get(path)
        if old is None and is_default and path != "runner":
            continue
        if before != after and path == "onboarding":
            found += nested.leaves(path, before, after)
        elif before != after:
            found.append(FieldChange(path, before, after, sensitive))
    return found


def _print(full: str | None) -> str | None:
    return f"#{full[:8]}" if full else None


def _location_fields(
    new: dict[str, Any], old: dict[str, Any] | None, business: int, covered: set[tuple[int, str]]
) -> list[FieldChange]:
    found: list[FieldChange] = []
    for path in _LOCATION:
        before, after = (old or {}).get(path), new.get(path)
        if path == "state" and (old is None or {before, after} <= {"active", "inactive"}):
            continue
        if before != after:
            found.append(FieldChange(path, before, after))
    if bool((old or {}).get("active")) != bool(new["active"]) and (business, "active") not in covered:
        found.append(FieldChange("active", (old or {}).get("active"), new["active"]))
    if old is not None and new["resolved"] == old["resolved"]:
        return found
    for spec in nextech.FIELDS:
        if (business, spec.key) in covered:
            continue
        value = in_force.resolved_value(new, spec.key)
        before_value = in_force.resolved_value(old, spec.key)
        source = new["resolved"].get(spec.key, {}).get("from")
        if value is None and before_value is None:
            continue
        if old is None and source == "default":
            continue
        if value is None or before_value is None or value.canon != before_value.canon:
            found.append(
                FieldChange(
                    spec.path,
                    before_value.display if before_value is not None else None,
                    value.display if value is not None else None,
                    spec.secure,
                )
            )
    return found


def _change(
    declared: Declared,
    business: int,
    fields: list[FieldChange],
    is_new: bool,
    where: tuple[str | int, ...],
    extra: str,
) -> Change:
    action: Action = "create" if is_new else "update"
    reason = "put in force for the runner" if is_new else "differs from what is in force for the runner"
    return Change(
        change_id("runner", business, declared.slug, extra),
        "runner",
        declared.slug,
        business,
        action,
        reason,
        declared.position(*where),
        tuple(fields),
    )


def _platform_change(
    declared: Declared, business: int, fields: list[FieldChange], where: tuple[str | int, ...]
) -> Change:
    change = _change(declared, business, fields, False, where, "platform")
    return replace(
        change,
        action="manual",
        reason="Birdeye's own scheduler runs this business: set frequency and next run in Birdeye",
    )
