"""The locations that are in force, and which of them may run: from documents to values, nothing read from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.core import timing
from reconciler.core.decide_rules import LocationRules, rules_of
from reconciler.core.records import InForce
from reconciler.core.sources import nextech
from reconciler.core.sync_report import Status
from reconciler.errors import SecretError

PRACTICE_KEY = "practice.id"


@dataclass(frozen=True, slots=True)
class Place:
    """One location of a configuration in force."""

    slug: str
    parent: int
    business: int
    name: str
    rules: LocationRules | None
    """None where the location has no time zone: it then cannot run."""
    practice_reference: str | None
    practice_print: str | None
    """Full fingerprint of the practice id that was applied."""
    key_reference: str | None
    """Of the contacts API key; None: the settings' one."""
    practice_plus: bool
    group_created: bool
    """The group was created by this store's own journal."""
    first_active_at: datetime | None
    contacting_since: datetime | None
    gate: tuple[Status, str] | None
    """Why it may not run, whatever the time; None: it may."""
    claims: bool
    """Is it active, so that visits may be its own?"""
    reminders: Reminders | None = None
    """None where neither trigger of reminders is in force."""


@dataclass(frozen=True, slots=True)
class Reminders:
    """Which directions of reminders are in force for a location."""

    upserts: bool
    """Birdeye is told of the practice's appointments."""
    writes_back: bool
    """What patients ask for through Birdeye is done in Nextech."""
    gate: tuple[Status, str] | None
    """Why they may not run, whatever the time."""


@dataclass(frozen=True, slots=True)
class Practice:
    """The locations of one practice id of one product."""

    pseudonym: str
    practice_plus: bool
    places: tuple[Place, ...]
    practice_id: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """A location that cannot run because of its practice id, and why."""

    place: Place
    status: Status
    detail: str


def places(configurations: Iterable[InForce]) -> tuple[Place, ...]:
    """Every location in force, by slug and business."""
    found = [
        _place(it, int(key), location) for it in configurations for key, location in it.document["locations"].items()
    ]
    return tuple(sorted(found, key=lambda it: (it.slug, it.business)))


def _place(in_force: InForce, business: int, location: dict[str, Any]) -> Place:
    document = in_force.document
    side = location.get("resolved", {}).get(PRACTICE_KEY) or {}
    claims = document["state"] == "active" and location["state"] == "active" and bool(location["active"])
    return Place(
        slug=in_force.slug,
        parent=int(document["business"]),
        business=business,
        name=location.get("name") or document.get("name") or "",
        rules=rules_of(in_force, business) if location.get("time_zone") else None,
        practice_reference=side.get("reference"),
        practice_print=side.get("print"),
        key_reference=document.get("contacts_api_key"),
        practice_plus=bool(document.get("practice_plus")),
        group_created=bool(document.get("group_created")),
        first_active_at=_moment(location.get("first_active_at")),
        contacting_since=_moment(location.get("contacting_since")),
        gate=_gate(document, location),
        claims=claims,
        reminders=_reminders(document, location),
    )


def _gate(document: dict[str, Any], location: dict[str, Any]) -> tuple[Status, str] | None:
    without: tuple[Status, str] | None = None
    if nextech.FULFILLED_TRIGGER not in document["triggers"]:
        without = ("inactive", "the trigger for review requests is not in force")
    return _shut(document, location, without)


def _reminders(document: dict[str, Any], location: dict[str, Any]) -> Reminders | None:
    upserts = nextech.UPSERT_TRIGGER in document["triggers"]
    writes_back = nextech.WRITEBACK_TRIGGER in document["triggers"]
    if not (upserts or writes_back):
        return None
    beta: tuple[Status, str] | None = None
    if document.get("beta"):
        beta = ("inactive", "the business is beta: Birdeye is told of no appointment, and nothing is booked")
    return Reminders(upserts, writes_back, _shut(document, location, beta))


def _shut(
    document: dict[str, Any], location: dict[str, Any], own: tuple[Status, str] | None
) -> tuple[Status, str] | None:
    """Why nothing runs at a location; ``own``: why this kind of sync does not."""
    if "released" in (document["state"], location["state"]):
        return "inactive", "released: not managed and not synced any more"
    if document["state"] != "active":
        return "inactive", "the business is inactive"
    if location["state"] != "active" or not location["active"]:
        return "inactive", "the location is inactive"
    if document["runner"] == "platform":
        return "platform", "Birdeye's own scheduler runs the syncs"
    if location.get("waiting"):
        return "waiting", str(location["waiting"])
    if own is not None:
        return own
    if not location.get("time_zone"):
        return "waiting", "no time zone is in force; declare time_zone"
    return None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def floor(place: Place) -> datetime | None:
    """The floor that the configuration gives: the local day in which a time that is not made up ended.

    None where the location has contacted ever since it was first put in force as active.
    """
    if place.rules is None or place.contacting_since is None or place.contacting_since == place.first_active_at:
        return None
    return timing.start_of_day(timing.local_day(place.contacting_since, place.rules.zone), place.rules.zone)


def by_practice(
    found: Iterable[Place],
    *,
    reveal: Callable[[str], str],
    fingerprint: Callable[[str, str], str],
    pseudonym: Callable[[str], str],
) -> tuple[tuple[Practice, ...], tuple[Refused, ...]]:
    """The practices of the locations that claim visits, and the locations whose practice id is not the applied one.

    ``fingerprint`` is keyed by path and value; ``pseudonym`` is that of a practice id. Practices are sorted.
    """
    groups: dict[tuple[str, bool], tuple[str, list[Place]]] = {}
    refused = []
    for place in found:
        if not place.claims:
            continue
        if place.practice_reference is None or place.practice_print is None:
            refused.append(Refused(place, "waiting", "no practice id is in force; declare practice_id"))
            continue
        try:
            practice_id = reveal(place.practice_reference).strip()
        except SecretError as error:
            refused.append(Refused(place, "error", error.message))
            continue
        if fingerprint(PRACTICE_KEY, practice_id) != place.practice_print:
            detail = "the practice id is not the one that was applied; plan and apply, or put the secret right"
            refused.append(Refused(place, "stopped", detail))
            continue
        key = (pseudonym(practice_id), place.practice_plus)
        groups.setdefault(key, (practice_id, []))[1].append(place)
    practices = tuple(
        Practice(pseudonym=name, practice_plus=plus, places=tuple(members), practice_id=practice_id)
        for (name, plus), (practice_id, members) in sorted(groups.items())
    )
    return practices, tuple(refused)
