"""A patient as Nextech writes one: the name, the ways to reach them, and what holds a contact back.

Sources: ``nextech-api.md`` sections 6.3 to 6.5 and 8.1. Identifiers other than the official one are never looked at:
Practice+ gives the SSN in clear. Rules as in ``core.fhir``: never raises, a malformed patient is quarantined alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from reconciler.core import fhir
from reconciler.core import fhir_read as read
from reconciler.core.fhir_models import Patient, Quarantined, Telecom
from reconciler.core.fhir_read import Json, Malformed
from reconciler.core.phi import Phi, wrap

DECEASED_OR_MERGED = frozenset({"deceased", "merged"})
"""Practice+ ``patient-status`` of people who must not be written to (``nextech-api.md`` 8.1), lower case, no spaces."""


def patient(resource: Any, *, keep: frozenset[str] = fhir.DEFAULT_KEEP) -> Patient | Quarantined:
    """One patient. ``keep`` names the campaign tags whose source is kept; ``date.of.birth`` also serves an age limit."""
    try:
        return _patient(read.typed(resource, "Patient"), keep)
    except Malformed as problem:
        found = read.readable_id(resource)
        return Quarantined(problem.reason, "Patient", found.map(str.casefold) if found is not None else None)


def _patient(resource: Json, keep: frozenset[str]) -> Patient:
    found = read.official_id(resource)
    if found is None:
        raise Malformed("id_missing")
    marks = dict(read.extensions(resource))
    status = _word(marks.get("patient-status"))
    address = _address(resource)
    return Patient(
        id=Phi(found.casefold()),
        name=_name(resource),
        telecoms=_telecoms(resource),
        patient_types=read.extension_displays(resource, "patient-type"),
        is_deceased_or_merged=status in DECEASED_OR_MERGED or _is_deceased(resource) or _is_replaced(resource),
        status=status,
        exclude_from_mailings=_said(marks["exclude-from-mailings"]) if "exclude-from-mailings" in marks else None,
        birth_date=_birth_date(resource) if "date.of.birth" in keep else None,
        is_birth_date_whole=len(read.soft(read.text, resource.get("birthDate")) or "") >= len("2000-01-01"),
        city=read.kept(address, "city", "city" in keep),
        state=read.kept(address, "state", "state" in keep),
        general_practitioner=_general_practitioner(resource) if "general.practitioner" in keep else None,
        primary_care_physician=_first(resource, "primary-care-physician", "primary.care.physician" in keep),
        ethnicity=_ethnicity(marks.get("ethnicity")) if "ethnicity" in keep else None,
        last_updated=read.last_updated(resource) if "patient.last.updated" in keep else None,
    )


def _word(mark: Json | None) -> str | None:
    found = read.soft(read.text, mark.get("valueString")) if mark is not None else None
    return "".join(found.casefold().split()) if found else None


def _said(mark: Json) -> bool:
    """Is this restricting mark set? What is there and cannot be read counts as set: the safe side."""
    try:
        found = read.flag(mark.get("valueBoolean"))
    except Malformed:
        return True
    return True if found is None else found


def _is_deceased(resource: Json) -> bool:
    """``deceasedBoolean`` or ``deceasedDateTime`` of FHIR, which Nextech does not document for STU3."""
    if resource.get("deceasedDateTime") is not None:
        return True
    return resource.get("deceasedBoolean") is not None and _said({"valueBoolean": resource["deceasedBoolean"]})


def _is_replaced(resource: Json) -> bool:
    return any(read.soft(read.text, it.get("type")) == "replaced-by" for it in read.objects(resource.get("link")))


def _name(resource: Json) -> Phi[str] | None:
    """First given and family of the official name, else of one without a use; never a nickname or a former name."""
    names = read.objects(resource.get("name"))
    for use in ("official", None):
        for it in names:
            if read.soft(lambda value: (read.text(value) or "").casefold() or None, it.get("use")) == use:
                given = next((word for part in read.items(it.get("given")) if (word := read.plain(part))), None)
                whole = " ".join(word for word in (given, read.plain(it.get("family"))) if word)
                if whole:
                    return Phi(whole)
    return None


def _telecoms(resource: Json) -> tuple[Telecom, ...]:
    found = []
    for it in read.objects(resource.get("telecom")):
        marks = dict(read.extensions(it))
        found.append(
            Telecom(
                system=(read.soft(read.text, it.get("system")) or "").casefold(),
                use=(read.soft(read.text, it.get("use")) or "").casefold(),
                rank=read.soft(read.whole, it.get("rank")),
                value=wrap(read.soft(read.text, it.get("value"))),
                is_private="method-privacy" in marks and _said(marks["method-privacy"]),
            )
        )
    return tuple(found)


def _birth_date(resource: Json) -> Phi[date] | None:
    return wrap(read.soft(read.birth_date, resource.get("birthDate")))


def _address(resource: Json) -> Json:
    addresses = read.objects(resource.get("address"))
    home = [it for it in addresses if (read.soft(read.text, it.get("use")) or "").casefold() == "home"]
    return (home or list(addresses) or [{}])[0]


def _general_practitioner(resource: Json) -> Phi[str] | None:
    for it in read.items(resource.get("generalPractitioner")):
        target = read.reference(it)
        if target is not None and target.display:
            return Phi(target.display)
    return None


def _first(resource: Json, extension: str, wanted: bool) -> Phi[str] | None:
    shown = read.extension_displays(resource, extension)
    return Phi(shown[0]) if wanted and shown else None


def _ethnicity(mark: Json | None) -> Phi[str] | None:
    concept = mark.get("valueCodeableConcept") if mark is not None else None
    return wrap(read.soft(read.text, concept.get("text"))) if isinstance(concept, Mapping) else None
