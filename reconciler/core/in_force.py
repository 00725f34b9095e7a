"""The configuration that the runner works from, for one business: how it is resolved, narrowed and compared.

A document (``records.InForce.document``) is JSON:

    {"business": 1, "name": …, "state": …, "runner": …, "beta": …, "practice_plus": …, "country": …,
     "contacts_api_key": REFERENCE, "contacts_api_key_print": …, "campaign_tags": […] | null,
     "excluded_patient_types": […], "minimum_age": …, "group_pin": …, "group_id": …, "group_created": true,
     "triggers": [SERVICE…], "onboarding": {…} | null,
     "group": {KEY: SIDE…},
     "locations": {"100000000000101": {"name": …, "state": …, "active": true, "time_zone": …, "frequency": …,
        "next_run": …, "contact_start": …, "values": {KEY: SIDE…}, "resolved": {KEY: SIDE + {"from": …}},
        "waiting": null | REASON, "first_active_at": ISO | null, "contacting_since": ISO | null}}}

A SIDE is ``{"value": WIRE}`` (with ``canon`` where the canonical form is another) or, for a secret, ``{"reference": REF, "print": FULL FINGERPRINT}``. ``from`` is one of
``location``, ``location live``, ``group``, ``group live``, ``default``. ``contacting_since`` is the moment at which the
location last began to contact patients: the floor of ``sync.md`` is the start of that local day.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from reconciler.core import values
from reconciler.core.declared import Declared
from reconciler.core.sources import nextech

Document = dict[str, Any]


def side_value(side: Mapping[str, Any] | None) -> values.Value | None:
    """A SIDE as a comparable value."""
    if side is None:
        return None
    if "print" in side:
        return values.secret(str(side["print"]))
    return values.recorded(str(side["value"]), str(side.get("canon", side["value"])))


def side_of(key: str, value: values.Value, reference: str | None) -> dict[str, Any]:
    """A comparable value as a SIDE."""
    if value.secret:
        return {"reference": reference, "print": value.canon}
    canon = values.canonical(key, value.wire)
    return {"value": value.wire} if canon == value.wire else {"value": value.wire, "canon": canon}


def group_known(document: Document | None) -> dict[str, values.Value]:
    """Known group values by wire key."""
    return _known((document or {}).get("group", {}))


def location_known(document: Document | None, business: int) -> dict[str, values.Value]:
    """Known location values by wire key, and the flag under ``active``."""
    location = location_of(document, business)
    if location is None:
        return {}
    return {**_known(location.get("values", {})), "active": values.plain("active", str(location["active"]).lower())}


def location_of(document: Document | None, business: int) -> Document | None:
    """One location of a document, or None."""
    found: Document | None = (document or {}).get("locations", {}).get(str(business))
    return found


def _known(sides: Mapping[str, Any]) -> dict[str, values.Value]:
    return {key: value for key, side in sides.items() if (value := side_value(side)) is not None}


def resolved_value(location: Document | None, key: str) -> values.Value | None:
    """What the runner uses for one wire key of a location."""
    if location is None:
        return None
    return side_value(location.get("resolved", {}).get(key))


def business_fields(declared: Declared, secrets: Mapping[str, str]) -> dict[str, Any]:
    """The values of class *ours* of the business, by their path in a plan, with defaults filled in."""
    it = declared.declaration
    key = it.contacts_api_key
    return {
        "name": it.name,
        "state": it.state,
        "runner": it.runner,
        "beta": it.beta,
        "practice_plus": it.practice_plus,
        "country": it.country,
        "contacts_api_key": f"#{secrets[key][:8]}" if key is not None else None,
        "campaign_tags": list(it.group.campaign_tags) if it.group.campaign_tags is not None else None,
        "excluded_patient_types": list(it.group.excluded_patient_types or ()),
        "minimum_age": it.group.minimum_age,
        "group.id": it.group.id,
        "onboarding": it.onboarding.model_dump(mode="json") if it.onboarding is not None else None,
    }


def location_fields(declared: Declared, index: int) -> dict[str, Any]:
    """The values of class *ours* of one location, by their path in a plan."""
    it = declared.declaration.locations[index]
    return {
        "name": it.name,
        "state": it.state,
        "time_zone": it.time_zone,
        "frequency": it.frequency or "1d",
        "next_run": it.next_run,
        "contact_start": it.contact_start,
    }


def is_contacting(document: Document | None, business: int) -> bool:
    """Would the runner contact patients of this location, under this configuration?"""
    location = location_of(document, business)
    if document is None or location is None:
        return False
    return bool(
        location["active"]
        and location["state"] == "active"
        and not location.get("waiting")
        and document["state"] == "active"
        and not document["beta"]
        and document["runner"] == "bundled"
        and nextech.FULFILLED_TRIGGER in document["triggers"]
    )


def with_moments(new: Document, old: Document | None, now: datetime) -> Document:
    """``new`` with ``first_active_at`` and ``contacting_since`` carried over from ``old`` or set to ``now``.

    A location that was contacting, and still is with the same practice id, keeps its moment; every other one that
    contacts begins now.
    """
    result = _copy(new)
    for key, location in result["locations"].items():
        business = int(key)
        before = location_of(old, business)
        location["first_active_at"] = (before or {}).get("first_active_at")
        if location["active"] and location["first_active_at"] is None:
            location["first_active_at"] = now.isoformat()
        location["contacting_since"] = (before or {}).get("contacting_since")
        if not is_contacting(result, business):
            continue
        same_practice = _practice(before) == _practice(location)
        if not (is_contacting(old, business) and same_practice and location["contacting_since"]):
            location["contacting_since"] = now.isoformat()
    return result


def _copy(document: Document) -> Document:
    copied: Document = json.loads(json.dumps(document))
    return copied


def _practice(location: Document | None) -> str | None:
    value = resolved_value(location, "practice.id")
    return value.canon if value is not None else None


def narrowed(old: Document, new: Document) -> Document:
    """``old`` with all of ``new`` that makes fewer patients be contacted; takes force before the first write."""
    result = _copy(old)
    for name, worst in (("state", "active"), ("runner", "bundled"), ("beta", False)):
        if new[name] != worst:
            result[name] = new[name]
    for key, location in result["locations"].items():
        after = new["locations"].get(key)
        if after is None:
            continue
        if not after["active"] or after["state"] != "active":
            location["active"], location["state"] = after["active"] and location["active"], after["state"]
        if after.get("waiting"):
            location["waiting"] = after["waiting"]
        if _practice(location) != _practice(after):
            location["waiting"] = "its practice id is changing"
        for wire_key, side in after["resolved"].items():
            mine, theirs = side_value(location["resolved"].get(wire_key)), side_value(side)
            if mine is None or theirs is None or mine.canon == theirs.canon:
                continue
            if nextech.BY_KEY[wire_key].filters and not widens(wire_key, mine, theirs):
                location["resolved"][wire_key] = dict(side)
    return result


def without(document: Document, group: Collection[str], locations: Mapping[int, Collection[str]]) -> Document:
    """``document`` less the known values of the keys that are being reset, of the group and by location.

    What the runner uses (``resolved``) stays until the new configuration is in force. A value that stayed known would
    come back where an answer shows nothing: into force, and into the next write of the object.
    """
    result = _copy(document)
    for key in group:
        result["group"].pop(key, None)
    for business, keys in locations.items():
        for key in keys:
            result["locations"].get(str(business), {}).get("values", {}).pop(key, None)
    return result


def widens(key: str, before: values.Value, after: values.Value) -> bool:
    """Would ``after`` have more patients contacted than ``before``? Equal values never do."""
    if before.canon == after.canon:
        return False
    spec = nextech.BY_KEY[key]
    if not spec.filters:
        return False
    if spec.kind == "int":
        try:
            return int(after.wire) < int(before.wire)
        except ValueError:
            return True
    old, new = values.items(spec, before.wire), values.items(spec, after.wire)
    if not new:
        return bool(old)
    return bool(new - old) and bool(old or key == "appointment.custom.status")
