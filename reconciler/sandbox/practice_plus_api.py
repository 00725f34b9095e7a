"""Nextech Practice+, emulated at ``/practice-plus/api``: bare extension names on appointments, SSN in clear, statuses.

Differences from Select: nextech-api.md 8.1 and 10.12, 10.13.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from reconciler.sandbox import emr_fhir, emr_service, emr_writes
from reconciler.sandbox.emr import Code, Person, Place, Practice, Provider, Visit
from reconciler.sandbox.emr_fhir import Json
from reconciler.sandbox.emr_world import Chart, EmrWorld
from reconciler.sandbox.http import Request, Response

PREFIX: Final = "/practice-plus/api"
PLUS: Final = "https://api.pm.nextech.com/api/structuredefinition/"


def appointment(visit: Visit, chart: Chart) -> Json:
    """An Appointment; each participant has ``accepted``, a purpose may have only its display."""
    start, end = emr_fhir.span(visit)
    provider = visit.provider
    participants: list[Json] = []
    if visit.patient is not None:
        person = chart.person(visit.patient)
        participants.append(_participant(f"Patient/{person.guid}", f"{person.given} {person.family}"))
    if visit.shape != "no_location":
        participants.append(_participant(f"Location/{visit.place.id}", visit.place.name))
    if visit.shape != "no_practitioner":
        participants.append(_participant(f"Practitioner/{provider.id}", provider.given))
    purposes = [
        {"display": each.name} if visit.id % 5 == 0 else emr_fhir.reference("appointment-purpose", each)
        for each in visit.purposes
    ]
    extensions: list[Json] = [
        {"url": "modifiedBy", "valueIdentifier": {"id": "modifiedBy", "value": "frontdesk@example.com"}},
        {"url": "appointment-type", "valueReference": emr_fhir.reference("appointment-type", visit.type)},
        *({"url": "appointment-purpose", "valueReference": each} for each in purposes),
    ]
    if visit.status in ("arrived", "fulfilled"):
        arrival = (visit.start - timedelta(minutes=8)).isoformat(timespec="seconds")
        extensions.insert(0, {"url": "arrival-time", "valueDateTime": arrival})
    resource: Json = {
        "resourceType": "Appointment",
        "id": str(visit.id),
        "meta": {"lastUpdated": emr_fhir.instant(visit.updated)},
        "extension": extensions,
        "identifier": [emr_fhir.official(str(visit.id))],
        # Practice+ documents no custom statuses: where Select has one of its own, this product says fulfilled.
        "status": visit.status or "fulfilled",
        "description": f"{visit.type.name} - {visit.purposes[0].name} for {provider.given}",
        "start": start,
        "end": end,
        "created": emr_fhir.created(visit.created).replace("Z", "+00:00"),
        "comment": visit.comment,
        "participant": participants,
    }
    return emr_fhir.broken(resource, visit.id) if visit.shape == "malformed" else resource


def _participant(reference: str, display: str) -> Json:
    return {"actor": {"reference": reference, "display": display}, "status": "accepted"}


def status_of(number: int, person: Person, chart: Chart) -> str:
    """The ``patient-status``: Merged for one that was merged, Deceased, else mostly Active."""
    if number in chart.edits.merged:
        return "Merged"
    if person.oddity == "deceased":
        return "Deceased"
    return {3: "Inactive", 4: "Not Yet Seen", 5: "Restricted Access"}.get(number % 100, "Active")


def patient(number: int, chart: Chart, world: EmrWorld) -> Json:
    """A Patient. The social security number is in clear, so that a client must drop it."""
    person = chart.person(number)
    phones: list[Json] = []
    if person.home is not None:
        phones.append({"system": "phone", "value": person.home, "use": "home"})
    if person.mobile is not None:
        # A mobile that prefers texts is written as "sms"; there is no mark of text privacy in this product.
        system = "phone" if person.sms_privacy else "sms"
        phones.append({"system": system, "value": person.mobile, "use": "mobile", "rank": 1})
    if number % 9 == 0:
        phones.append({"system": "phone", "value": "(941) 555-0146", "use": "old"})
    if person.email is not None:
        phones.append({"system": "email", "value": person.email, "rank": 2})
    provider = person.provider
    resource: Json = {
        "resourceType": "Patient",
        "id": person.guid,
        "meta": {"lastUpdated": emr_fhir.instant(person.updated)},
        "extension": [
            emr_fhir.coded(emr_fhir.ETHNICITY, "NH", "Not Hispanic or Latino"),
            {"url": PLUS + "patient-status", "valueString": status_of(number, person, chart)},
            {"url": PLUS + "patient-type", "valueReference": emr_fhir.reference("patient-type", person.type)},
            {"url": PLUS + "patients-referred", "valueDecimal": 0},
            {"url": PLUS + "hipaa-consent-signature-on-file", "valueBoolean": True},
            {"url": PLUS + "self-pay", "valueBoolean": False},
        ],
        "identifier": [
            emr_fhir.official(person.guid),
            {"use": "usual", "value": str(person.chart)},
            # Area number 000 was never given to anybody.
            {"system": emr_fhir.SSN, "value": f"000{number % 1_000_000:06d}"},
        ],
        "name": emr_fhir.name(person),
        "telecom": phones,
        "gender": person.gender,
        "birthDate": person.birth.isoformat(),
        "address": emr_fhir.address(person),
        "generalPractitioner": [
            {"reference": f"practitioner/{provider.id}", "display": f"{provider.given} {provider.family} MD"}
        ],
    }
    return emr_fhir.broken(resource, number) if person.oddity == "malformed" else resource


def code(kind: str, entry: Code, practice: Practice) -> Json:
    """An entry of a code list: bare names, no durations, no allowed types."""
    url = f"{PLUS}{kind}#name" if kind == "patient-type" else kind
    return {"resourceType": kind, "id": str(entry.id), "extension": [{"url": url, "valueString": entry.name}]}


def _practitioner(provider: Provider, place: Place, world: EmrWorld) -> Json:
    resource = emr_fhir.practitioner(provider, place, world.options)
    resource["name"][0]["text"] = f"{provider.given} {provider.family}"
    return resource


PRODUCT: Final = emr_service.Product(
    name="practice_plus",
    prefix=PREFIX,
    appointment=appointment,
    patient=patient,
    location=lambda place: emr_fhir.location(place, PLUS),
    practitioner=_practitioner,
    code=code,
    code_lists=("appointment-type", "appointment-purpose", "patient-type"),
    chart_numbers=False,
    write=emr_writes.practice_plus,
)


def handle(request: Request, world: EmrWorld) -> Response:
    """Answer a request; its path begins with ``PREFIX``."""
    return emr_service.serve(request, world, PRODUCT)
