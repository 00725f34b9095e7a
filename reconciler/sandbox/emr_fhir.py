"""Visits, patients and lists written as Nextech Select writes them: almost FHIR STU3 (nextech-api.md 5, 6, 7, 10)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from reconciler.sandbox.emr import Code, Person, Place, Practice, Provider, Visit
from reconciler.sandbox.emr_options import EmrOptions
from reconciler.sandbox.emr_world import Chart

Json = dict[str, Any]
SELECT: Final = "https://select.nextech-api.com/api/structuredefinition/"
RACE: Final = "http://hl7.org/fhir/v3/Race"
ETHNICITY: Final = "http://hl7.org/fhir/v3/Ethnicity"
SSN: Final = "http://hl7.org/fhir/sid/us-ssn"
NPI: Final = "http://hl7.org/fhir/sid/us-npi"


def reference(kind: str, code: Code) -> Json:
    """An extension's reference to a code list entry."""
    return {"reference": f"{kind}/{code.id}", "display": code.name}


def official(value: str) -> Json:
    """The official identifier."""
    return {"use": "official", "value": value}


def last_first(family: str, given: str) -> str:
    """A name as Select displays it."""
    return f"{family}, {given}"


def instant(moment: datetime) -> str:
    """``meta.lastUpdated``: UTC as ``+00:00``, two fraction digits."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + ".35+00:00"


def created(moment: datetime) -> str:
    """``created``: UTC as ``Z`` with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="seconds")[:19] + ".207Z"


def local(moment: datetime, shape: str) -> str:
    """``start`` and ``end``: with the local offset, or oddly without one or in UTC."""
    if shape == "no_offset":
        return moment.strftime("%Y-%m-%dT%H:%M:%S")
    if shape == "utc_offset":
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return moment.isoformat(timespec="seconds")


def span(visit: Visit) -> tuple[str, str]:
    """Start and end as text. Elapsed time is added in UTC, so a visit across a clock change keeps its length."""
    start = visit.start
    if visit.shape == "future_start":
        start = start + timedelta(days=366)
    end = (start.astimezone(UTC) + timedelta(minutes=visit.minutes)).astimezone(start.tzinfo)
    return local(start, visit.shape), local(end, visit.shape)


def description(visit: Visit) -> str:
    """The generated summary: type, purposes and resource."""
    purposes = ", ".join(purpose.name for purpose in visit.purposes)
    return f"{visit.type.name} - {purposes} for {visit.provider.given} {visit.provider.family}, MD"


def appointment(visit: Visit, chart: Chart) -> Json:
    """An Appointment. ``status`` is left out where the practice's own status maps to none of FHIR's."""
    place, provider = visit.place, visit.provider
    start, end = span(visit)
    contained: list[Json] = []
    participants: list[Json] = []
    if visit.patient is not None:
        given, family = chart.names_of(visit.patient)
        guid = chart.practice.guid(visit.patient)
        guid = guid if visit.shape == "lower_guid" else guid.upper()
        participants.append({"actor": {"reference": f"Patient/{guid}", "display": last_first(family, given)}})
    if visit.shape != "no_location":
        contained.append(
            {
                "resourceType": "Location",
                "id": str(place.id),
                "identifier": [official(str(place.id))],
                "name": place.name,
            }
        )
        participants.append({"actor": {"reference": f"Location/{place.id}", "display": place.name}})
    if visit.shape != "no_practitioner":
        display = last_first(provider.family, provider.given)
        contained.append(
            {
                "resourceType": "Practitioner",
                "id": str(provider.id),
                "identifier": [official(str(provider.id))],
                "name": [{"text": display, "family": provider.family, "given": [provider.given, ""]}],
            }
        )
        participants.append({"actor": {"reference": f"Practitioner/{provider.id}", "display": display}})
    resource: Json = {
        "resourceType": "Appointment",
        "id": str(visit.id),
        "meta": {"lastUpdated": instant(visit.updated)},
        "contained": contained,
        "extension": [
            {
                "url": SELECT + "appointment-status",
                "valueReference": reference("appointment-status", visit.display),
            },
            {"url": SELECT + "appointment-type", "valueReference": reference("appointment-type", visit.type)},
            *(
                {"url": SELECT + "appointment-purpose", "valueReference": reference("appointment-purpose", purpose)}
                for purpose in visit.purposes
            ),
        ],
        "identifier": [official(str(visit.id))],
        "status": visit.status,
        "description": description(visit),
        "start": start,
        "end": end,
        "created": created(visit.created),
        "comment": visit.comment,
        "participant": participants,
    }
    if visit.status is None:
        del resource["status"]
    return broken(resource, visit.id) if visit.shape == "malformed" else resource


def broken(resource: Json, number: int) -> Json:
    """One of eight ways in which a resource can be malformed, by its number."""
    kind = number % 8
    if kind == 0:
        resource.pop("start", None)
        resource.pop("name", None)
    elif kind == 1:
        resource["start"] = "yesterday"
        resource["name"] = "somebody"
    elif kind == 2:
        resource["participant"] = {"actor": None}
        resource["telecom"] = {"system": "email"}
    elif kind == 3:
        resource["extension"] = None
        resource["name"] = None
    elif kind == 4:
        del resource["id"]
        resource["identifier"] = "none"
    elif kind == 5:
        resource["status"] = ["fulfilled"]
        resource["name"] = [[]]
    elif kind == 6:
        resource["resourceType"] = 7
    else:
        resource["participant"] = [None, {"actor": {"reference": 12}}, "Patient"]
        resource["telecom"] = [None, 5]
    return resource


def telecom(person: Person) -> list[Json]:
    """Contact points as Select shows them: a private one is simply missing; ``sms`` only carries the privacy mark."""
    points: list[Json] = []

    def add(kind: str, point: Json) -> None:
        if person.preferred == kind:
            point["rank"] = 1
        points.append(point)

    if person.email is not None:
        add("email", {"system": "email", "value": person.email})
    if person.mobile is not None:
        add("mobile", {"system": "phone", "value": person.mobile, "use": "mobile"})
    if person.home is not None:
        add("home", {"system": "phone", "value": person.home, "use": "home"})
    if person.sms_privacy:
        points.append(
            {"system": "sms", "extension": [{"url": SELECT + "method-privacy", "valueBoolean": True}]},
        )
    return points


def name(person: Person) -> list[Json]:
    """Official name, and for every seventh patient a nickname."""
    if person.oddity == "no_name":
        return [{"use": "official", "text": "", "family": "", "given": ["", ""]}]
    names: list[Json] = [
        {
            "use": "official",
            "text": " ".join(part for part in (person.given, person.middle, person.family) if part),
            "family": person.family,
            "given": [person.given, person.middle],
        }
    ]
    if person.number % 7 == 0:
        names.append({"use": "nickname", "text": person.given[:2], "given": [person.given[:2]]})
    return names


def address(person: Person) -> list[Json]:
    """The home address; every fiftieth has the placeholder ZIP."""
    city, state, postal, _ = person.city
    postal = "00000" if person.number % 50 == 49 else postal
    line = [f"{1 + person.number % 900} Sample Way"]
    return [
        {"use": "home", "type": "both", "line": line, "city": city, "state": state, "postalCode": postal,
         "country": "USA"}
    ]  # fmt: skip


def coded(url: str, code: str, text: str) -> Json:
    """Race or ethnicity."""
    return {"url": url, "valueCodeableConcept": {"coding": [{"system": url, "code": code}], "text": text}}


def patient(person: Person, options: EmrOptions) -> Json:
    """A Patient of Select."""
    provider = person.provider
    status = (
        {"patient": "Patient", "patientprospect": "Patient Prospect"}[person.status]
        if options.title_case
        else (person.status)
    )
    resource: Json = {
        "resourceType": "Patient",
        "id": person.guid,
        "meta": {"lastUpdated": instant(person.updated)},
        "extension": [
            coded(RACE, "2106-3", "White"),
            coded(ETHNICITY, "2186-5", "Not Hispanic or Latino"),
            {
                "url": SELECT + "primary-care-physician",
                "valueReference": {"reference": "primary-care-physician/77", "display": "Pruitt, Elle"},
            },
            {"url": SELECT + "patient-note", "valueString": "emulated note"},
            {"url": SELECT + "patients-referred", "valueInteger": person.number % 3},
            {"url": SELECT + "patient-status", "valueString": status},
            {"url": SELECT + "exclude-from-mailings", "valueBoolean": person.mailings_excluded},
            {"url": SELECT + "patient-type", "valueReference": reference("patient-type", person.type)},
        ],
        "identifier": [
            official(person.guid),
            {"use": "usual", "value": str(person.chart)},
            {"system": SSN, "value": f"###-##-{person.number % 10_000:04d}"},
        ],
        "name": name(person),
        "telecom": telecom(person),
        "gender": person.gender,
        "birthDate": person.birth.isoformat(),
        "address": address(person),
        "communication": [
            {"language": {"coding": [{"system": "BCP-47", "code": "en"}], "text": "English"}, "preferred": True}
        ],
        "generalPractitioner": [
            {"reference": f"practitioner/{provider.id}", "display": last_first(provider.family, provider.given)}
        ],
    }
    return broken(resource, person.number) if person.oddity == "malformed" else resource


def location(place: Place, prefix: str = SELECT) -> Json:
    """A Location. The resource has no ``meta``."""
    return {
        "resourceType": "Location",
        "id": str(place.id),
        "extension": [{"url": prefix + "managed", "valueBoolean": place.managed}],
        "identifier": [official(str(place.id))],
        "status": "active" if place.active else "inactive",
        "name": place.name,
        "telecom": [{"system": "phone", "value": "(941) 555-0100", "use": "work"}],
        "address": {
            "use": "work",
            "type": "both",
            "line": ["900 Example Blvd"],
            "city": place.city,
            "state": place.state,
            "postalCode": place.postal,
        },
    }


def practitioner(provider: Provider, place: Place, options: EmrOptions) -> Json:
    """A Practitioner, with the NPI's slip and the missing id of the documented sample as options."""
    resource: Json = {
        "resourceType": "Practitioner",
        "id": str(provider.id),
        "identifier": [
            official(str(provider.id)),
            {"use" if options.npi_in_use else "system": NPI, "value": f"{1_000_000_000 + provider.id}"},
        ],
        "active": True,
        "name": [
            {
                "text": last_first(provider.family, provider.given),
                "family": provider.family,
                "given": [provider.given, ""],
            }
        ],
        "telecom": [{"system": "phone", "value": "(941) 555-0110", "use": "work"}],
        "address": [
            {
                "use": "work",
                "type": "both",
                "line": ["900 Example Blvd"],
                "city": place.city,
                "state": place.state,
                "postalCode": place.postal,
            }
        ],
        "gender": "unknown",
    }
    if options.practitioner_without_id:
        del resource["id"]
    return resource


def code_entry(kind: str, code: Code, practice: Practice, prefix: str = SELECT) -> Json:
    """An entry of a code list; not a FHIR type. The name stands where each list's own documentation says."""
    if kind == "appointment-purpose":
        extensions: list[Json] = [
            {"url": prefix + kind, "valueString": code.name},
            *(
                {"url": prefix + "appointment-type", "valueReference": reference("appointment-type", each)}
                for each in practice.types[:2]
            ),
        ]
    else:
        extensions = [{"url": f"{prefix}{kind}#name", "valueString": code.name}]
    if kind == "appointment-type":
        extensions.append({"url": f"{prefix}{kind}#defaultDuration", "valueInteger": 30 if code.id % 2 else 0})
    return {"resourceType": kind, "id": str(code.id), "extension": extensions}


def outcome(text: str, code: str = "processing") -> Json:
    """The error body: documented for R4, assumed for STU3."""
    return {
        "resourceType": "OperationOutcome",
        "id": "1",
        "issue": [{"severity": "error", "code": code, "details": {"text": text}}],
    }
