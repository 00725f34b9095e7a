"""Nextech's resources, from parsed JSON to values; Select and Practice+ alike. Patients: ``core.fhir_patient``.

Sources: ``nextech-api.md`` sections 3 to 8 (public documentation, compiled 2026-11-23). Every function takes whatever
JSON gave and never raises: what cannot be read safely is a ``Quarantined`` by itself. Unknown words and extra fields are
not errors. SSN, address lines, gender, notes and everything else that no sync needs is never looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from reconciler.core import fhir_read as read
from reconciler.core.fhir_models import (
    Appointment,
    Bundle,
    Code,
    Issue,
    Location,
    OperationOutcome,
    Practitioner,
    Quarantined,
)
from reconciler.core.fhir_read import Json, Malformed
from reconciler.core.phi import Phi, wrap
from reconciler.core.sources import nextech

DEFAULT_KEEP = frozenset(nextech.CAMPAIGN_TAGS)
"""What is kept beside the fields that decide: the campaign tags that are sent unless the declaration narrows them."""


def bundle(document: Any) -> Bundle | OperationOutcome | Quarantined:
    """One page of a search. An answer that says neither how many nor which is quarantined, never an empty page."""
    kind = read.resource_type(document)
    if kind == "operationoutcome":
        return operation_outcome(document)
    if kind != "bundle":
        return Quarantined("not_a_bundle", "Bundle")
    total = read.soft(read.whole, document.get("total"))
    if document.get("entry") is None and total is None:
        return Quarantined("no_total_no_entry", "Bundle")
    entries = read.items(document.get("entry"))
    resources = tuple(it.get("resource") if isinstance(it, Mapping) else it for it in entries)
    findings = []
    if total is None:
        findings.append("total_missing")
    elif total > 0 and not resources:
        findings.append("entries_missing")
    if any(read.resource_type(it) == "operationoutcome" for it in resources):
        findings.append("operation_outcome")
    links: dict[str, str] = {}
    for it in read.objects(document.get("link")):
        relation, url = read.soft(read.text, it.get("relation")), read.soft(read.text, it.get("url"))
        if relation and url:
            links.setdefault(relation.casefold(), url)
    return Bundle(resources, total, links, tuple(findings))


def operation_outcome(document: Any) -> OperationOutcome:
    """The issues of an OperationOutcome, as many as can be read."""
    issues = []
    for it in read.objects(document.get("issue") if isinstance(document, Mapping) else None):
        details = it.get("details")
        shown = read.soft(read.text, details.get("text")) if isinstance(details, Mapping) else None
        words = [read.soft(read.text, it.get(key)) or "unknown" for key in ("severity", "code")]
        issues.append(Issue(words[0].casefold(), words[1].casefold(), wrap(shown)))
    return OperationOutcome(tuple(issues))


def appointment(resource: Any, *, keep: frozenset[str] = DEFAULT_KEEP) -> Appointment | Quarantined:
    """One appointment. ``keep`` names the campaign tags whose source is kept (``appointment.comment``, …)."""
    try:
        return _appointment(read.typed(resource, "Appointment"), keep)
    except Malformed as problem:
        places = _places(resource) if isinstance(resource, Mapping) else _Places()
        return Quarantined(
            problem.reason,
            "Appointment",
            read.readable_id(resource),
            start=read.soft(lambda it: read.instant(it, "start"), resource.get("start") if places.ok else None),
            location_names=tuple(places.names),
            practitioner_ids=tuple(places.practitioners),
        )


def _appointment(resource: Json, keep: frozenset[str]) -> Appointment:
    found = read.official_id(resource)
    if found is None:
        raise Malformed("id_missing")
    places = _places(resource)
    if len(places.patients) > 1:
        # A group visit is not described anywhere, and guessing would write to the wrong person.
        raise Malformed("several_patients")
    if places.has_nameless_patient and not places.patients:
        raise Malformed("patient_reference_malformed")
    status = read.text(resource.get("status"))
    custom = read.extension_displays(resource, "appointment-status")
    if len(custom) > 1:
        raise Malformed("several_custom_statuses")
    return Appointment(
        id=Phi(found),
        start=read.instant(resource.get("start"), "start"),
        end=read.soft(lambda it: read.instant(it, "end"), resource.get("end")),
        status=_shared((status.casefold(),))[0] if status else None,
        custom_status=_shared(custom)[0] if custom else None,
        types=_shared(read.extension_displays(resource, "appointment-type")),
        purposes=_shared(read.extension_displays(resource, "appointment-purpose")),
        patient_id=Phi(next(iter(places.patients))) if places.patients else None,
        location_ids=_shared(tuple(places.locations)),
        location_names=_shared(tuple(places.names)),
        practitioner_ids=_shared(tuple(places.practitioners)),
        last_updated=read.last_updated(resource),
        comment=read.kept(resource, "comment", "appointment.comment" in keep),
        description=read.kept(resource, "description", "appointment.description" in keep),
    )


@lru_cache(maxsize=4096)
def _shared(words: tuple[str, ...]) -> tuple[str, ...]:
    """The same words as one value: a practice has few, and visits by the ten thousand that name them."""
    return words


class _Places:
    """Who takes part in an appointment. Dictionaries stand for ordered sets."""

    def __init__(self, *, ok: bool = False) -> None:
        self.ok = ok
        self.patients: dict[str, None] = {}
        self.has_nameless_patient = False
        self.locations: dict[str, None] = {}
        self.names: dict[str, None] = {}
        self.practitioners: dict[str, None] = {}


def _places(resource: Json) -> _Places:
    """The participants, whatever their order; a location's name from its display, else from ``contained``."""
    places = _Places(ok=True)
    contained = {}
    for it in read.objects(resource.get("contained")):
        inner = read.soft(read.official_id, it)
        if inner is not None:
            contained[inner.lstrip("#")] = it
    for participant in read.objects(resource.get("participant")):
        target = read.reference(participant.get("actor"))
        if target is None:
            continue
        kind, name = target.kind, target.display
        inside: Json = contained.get(target.id or "", {})
        if kind == "#":
            kind = read.resource_type(inside)
        if kind == "patient":
            if target.id is None:
                places.has_nameless_patient = True
            else:
                places.patients[target.id.casefold()] = None
        elif kind == "practitioner" and target.id is not None:
            places.practitioners[target.id] = None
        elif kind == "location":
            if name is None and read.resource_type(inside) == "location":
                name = read.soft(read.text, inside.get("name"))
            if target.id is not None:
                places.locations[target.id] = None
            if name is not None:
                places.names[name] = None
    return places


def with_location_names(visit: Appointment, names: Mapping[str, str]) -> Appointment:
    """The visit with the names of its locations, looked up by id, where the answer itself named none."""
    if visit.location_names:
        return visit
    found = tuple(dict.fromkeys(names[it].strip() for it in visit.location_ids if it in names))
    return replace(visit, location_names=found) if found else visit


def distinct(visits: Iterable[Appointment]) -> tuple[Appointment | Quarantined, ...]:
    """Each appointment once, sorted by start and id: pages overlap. Of several readings the last updated one counts.

    Readings that were updated at the same moment, or have no such time (before Select 14.3), and yet differ: which is
    true is not known, so the appointment is quarantined (``readings_differ``) until a later pass reads it again.
    """
    found: dict[Phi[str], Appointment | Quarantined] = {}
    again: dict[Phi[str], list[Appointment]] = {}  # few: a list for each visit would take as much as the visit
    for it in visits:
        first = found.setdefault(it.id, it)
        if first is not it and isinstance(first, Appointment):
            again.setdefault(it.id, [first]).append(it)
    found |= {key: _latest(readings) for key, readings in again.items()}
    return tuple(sorted(found.values(), key=visit_order))


def _latest(readings: list[Appointment]) -> Appointment | Quarantined:
    newest = max(map(_updated_at, readings))
    current = [it for it in readings if _updated_at(it) == newest]
    if all(it == current[0] for it in current):
        return current[0]
    first = min(current, key=lambda it: (it.start, it.location_names, it.practitioner_ids))
    return Quarantined(
        "readings_differ", "Appointment", first.id, first.start, first.location_names, first.practitioner_ids
    )


def _updated_at(visit: Appointment) -> float:
    return visit.last_updated.timestamp() if visit.last_updated is not None else 0.0


def visit_order(visit: Appointment | Quarantined) -> tuple[float, int, int, str]:
    """Sorts by start, then by id: numbers as numbers, before other ids."""
    found = visit.id.reveal() if visit.id is not None else ""
    number = int(found) if found.isascii() and found.isdigit() else 0
    start = visit.start.timestamp() if visit.start is not None else 0.0
    return (start, 0 if number or found == "0" else 1, number, found)


def location(resource: Any) -> Location | Quarantined:
    """One location of a practice."""
    try:
        it = read.typed(resource, "Location")
        found = read.official_id(it)
        if found is None:
            raise Malformed("id_missing")
        managed = dict(read.extensions(it)).get("managed", {})
        status = read.soft(read.text, it.get("status"))
        return Location(
            found,
            read.soft(read.text, it.get("name")),
            status.casefold() if status else None,
            read.soft(read.flag, managed.get("valueBoolean")),
        )
    except Malformed as problem:
        return Quarantined(problem.reason, "Location", read.readable_id(resource))


def practitioner(resource: Any) -> Practitioner | Quarantined:
    """One provider. The documented sample has no ``id``: the official identifier stands in (section 7.2)."""
    try:
        it = read.typed(resource, "Practitioner")
        found = read.official_id(it)
        if found is None:
            raise Malformed("id_missing")
        shown: str | None = None
        for name in read.objects(it.get("name")):
            given = next((word for part in read.items(name.get("given")) if (word := read.plain(part))), None)
            whole = ", ".join(word for word in (read.plain(name.get("family")), given) if word)
            shown = shown or read.plain(name.get("text")) or whole or None
        return Practitioner(found, shown, read.soft(read.flag, it.get("active")))
    except Malformed as problem:
        return Quarantined(problem.reason, "Practitioner", read.readable_id(resource))


def code(resource: Any, kind: str) -> Code | Quarantined:
    """One entry of the code list ``kind`` (``appointment-type``, ``appointment-purpose``, …; section 7.3).

    The name stands in an extension named ``kind#name`` or ``kind``, as ``valueString``.
    """
    try:
        it = read.typed(resource, kind)
        found = read.official_id(it)
        if found is None:
            raise Malformed("id_missing")
        name: str | None = None
        for key, mark in read.extensions(it):
            if key in {kind, f"{kind}#name"}:
                name = name or read.soft(read.text, mark.get("valueString"))
        if name is None:
            raise Malformed("name_missing")
        types = read.extension_displays(it, "appointment-type") if kind == "appointment-purpose" else ()
        return Code(kind, found, name, types)
    except Malformed as problem:
        return Quarantined(problem.reason, kind, read.readable_id(resource))
