"""Nextech's resources, read tolerantly: quirks are values, damage is quarantined alone."""

import copy
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import fhir, fhir_patient, fhir_read
from reconciler.core.fhir_models import (
    Appointment,
    Bundle,
    Code,
    Location,
    OperationOutcome,
    Patient,
    Practitioner,
    Quarantined,
)
from reconciler.core.phi import Phi

S = "https://select.nextech-api.com/api/structuredefinition/"
P = "https://api.pm.nextech.com/api/structuredefinition/"
GUID = "6E0B7B1C-52D4-4C0A-9F3E-8A7D1B2C3D4E"

APPOINTMENT: dict[str, Any] = {
    "resourceType": "Appointment",
    "id": "40817",
    "meta": {"lastUpdated": "2026-11-20T20:41:07.35+00:00"},
    "contained": [{"resourceType": "Location", "id": "3", "name": "Harbor Point Clinic"}],
    "extension": [
        {"url": S + "appointment-status", "valueReference": {"reference": "appointment-status/2", "display": "Out"}},
        {
            "url": S + "appointment-type",
            "valueReference": {"reference": "appointment-type/14", "display": "Follow Up "},
        },
        {
            "url": S + "appointment-purpose",
            "valueReference": {"reference": "appointment-purpose/58", "display": "Skin"},
        },
        {"url": S + "appointment-purpose", "valueReference": {"display": "Suture"}},
    ],
    "identifier": [{"use": "official", "value": "40817"}],
    "status": "fulfilled",
    "description": "secret description",
    "start": "2026-11-20T14:30:00-05:00",
    "end": "2026-11-20T15:00:00-05:00",
    "comment": "secret comment",
    "participant": [
        {"actor": {"reference": f"Patient/{GUID}", "display": "Marsh, Dana"}},
        {"actor": {"reference": "Location/3", "display": " Harbor Point Clinic"}},
        {"actor": {"reference": "practitioner/9107", "display": "Okafor, Lena"}},
    ],
}
READ = Appointment(
    id=Phi("40817"),
    start=datetime(2026, 11, 20, 19, 30, tzinfo=UTC),
    end=datetime(2026, 11, 20, 20, 0, tzinfo=UTC),
    status="fulfilled",
    custom_status="Out",
    types=("Follow Up",),
    purposes=("Skin", "Suture"),
    patient_id=Phi(GUID.lower()),
    location_ids=("3",),
    location_names=("Harbor Point Clinic",),
    practitioner_ids=("9107",),
    last_updated=datetime(2026, 11, 20, 20, 41, 7, 350000, tzinfo=UTC),
)
PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": GUID,
    "meta": {"lastUpdated": "2026-11-20T20:40:58.113+00:00"},
    "extension": [
        {"url": "http://hl7.org/fhir/v3/Ethnicity", "valueCodeableConcept": {"text": "Some ethnicity"}},
        {"url": S + "primary-care-physician", "valueReference": {"display": "Pruitt, Elle"}},
        {"url": S + "patient-status", "valueString": "Patient Prospect"},
        {"url": S + "exclude-from-mailings", "valueBoolean": False},
        {"url": S + "patient-type", "valueReference": {"display": "Insurance Patient"}},
    ],
    "identifier": [
        {"use": "official", "value": GUID},
        {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "000-00-1234"},
    ],
    "name": [
        {"use": "nickname", "given": ["Dee"]},
        {"use": "official", "text": "Ms. Dana R Marsh", "family": " Marsh ", "given": ["", "Dana", "R"]},
    ],
    "telecom": [
        {"system": "email", "value": "dana.marsh@example.com"},
        {"system": "phone", "value": "(941) 555-0142", "use": "mobile", "rank": "1"},
        {"system": "sms", "extension": [{"url": S + "method-privacy", "valueBoolean": True}]},
    ],
    "birthDate": "1979-06-14",
    "address": [{"use": "home", "line": ["18 Sample Way"], "city": "Sarasota", "state": "FL"}],
    "generalPractitioner": {"reference": "practitioner/9107", "display": "Okafor, Lena "},
}


def changed(base: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(base), **changes}


def appointment(**changes: Any) -> Appointment:
    found = fhir.appointment(changed(APPOINTMENT, **changes))
    assert isinstance(found, Appointment), found
    return found


def patient(**changes: Any) -> Patient:
    found = fhir_patient.patient(changed(PATIENT, **changes))
    assert isinstance(found, Patient), found
    return found


def test_an_appointment_is_read_and_keeps_nothing_that_no_sync_needs() -> None:
    assert fhir.appointment(APPOINTMENT) == READ


def test_comment_and_description_are_kept_only_where_asked() -> None:
    found = fhir.appointment(APPOINTMENT, keep=frozenset({"appointment.comment"}))
    assert isinstance(found, Appointment)
    assert (found.comment, found.description) == (Phi("secret comment"), None)


def test_practice_plus_writes_bare_extension_names() -> None:
    bare = [{**it, "url": it["url"].removeprefix(S)} for it in APPOINTMENT["extension"]]
    assert appointment(extension=bare) == READ
    prefixed = [{**it, "url": P + it["url"].removeprefix(S)} for it in APPOINTMENT["extension"]]
    assert appointment(extension=prefixed) == READ


TOLERATED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "id as a number": ({"id": 40817}, {}),
    "id as a float": ({"id": 40817.0}, {}),
    "id in an array": ({"id": ["40817"]}, {}),
    "id null, official identifier there": ({"id": None}, {}),
    "id empty": ({"id": ""}, {}),
    "identifier as an object": ({"id": None, "identifier": {"use": "Official", "value": 40817}}, {}),
    "id zero": ({"id": 0}, {"id": Phi("0")}),
    "status in capitals": ({"status": " Fulfilled "}, {}),
    "status in an array": ({"status": ["fulfilled"]}, {}),
    "status null": ({"status": None}, {"status": None}),
    "status empty": ({"status": ""}, {"status": None}),
    "status empty array": ({"status": []}, {"status": None}),
    "status unknown": ({"status": "Teleported"}, {"status": "teleported"}),
    "status a number": ({"status": 7}, {"status": "7"}),
    "end null": ({"end": None}, {"end": None}),
    "end garbage": ({"end": "later"}, {"end": None}),
    "meta null": ({"meta": None}, {"last_updated": None}),
    "meta an array": ({"meta": []}, {"last_updated": None}),
    "meta garbage": ({"meta": {"lastUpdated": {}}}, {"last_updated": None}),
    "contained null": ({"contained": None}, {}),
    "contained an object": ({"contained": {"resourceType": "Location", "id": "3"}}, {}),
    "contained garbage": ({"contained": [None, 1, "x", []]}, {}),
    "extension null": ({"extension": None}, {"custom_status": None, "types": (), "purposes": ()}),
    "extension garbage": (
        {"extension": [None, 3, {}, {"url": None}, {"url": 4}, {"url": S + "appointment-type", "valueReference": []}]},
        {"custom_status": None, "types": (), "purposes": ()},
    ),
    "extension an object": ({"extension": APPOINTMENT["extension"][1]}, {"custom_status": None, "purposes": ()}),
    "extra fields": ({"surprise": {"deep": [1, {"x": None}]}}, {}),
    "resource type missing": ({"resourceType": None}, {}),
    "resource type in lower case": ({"resourceType": "appointment"}, {}),
    "no participants": (
        {"participant": None},
        {"patient_id": None, "location_ids": (), "location_names": (), "practitioner_ids": ()},
    ),
    "participants in another order": ({"participant": APPOINTMENT["participant"][::-1]}, {}),
    "participant an object": (
        {"participant": APPOINTMENT["participant"][0]},
        {"location_ids": (), "location_names": (), "practitioner_ids": ()},
    ),
    "participants with garbage": ({"participant": [None, 4, {}, {"actor": None}, *APPOINTMENT["participant"]]}, {}),
    "participant twice": ({"participant": APPOINTMENT["participant"] * 2}, {}),
    "patient in another case": (
        {"participant": [{"actor": {"reference": f"PATIENT/{GUID.lower()}"}}, *APPOINTMENT["participant"]]},
        {},
    ),
    "patient as a URL with a version": (
        {
            "participant": [
                {"actor": {"reference": f"https://x.example/api/Patient/{GUID}/_history/2"}},
                *APPOINTMENT["participant"][1:],
            ]
        },
        {},
    ),
    "practitioner absent": ({"participant": APPOINTMENT["participant"][:2]}, {"practitioner_ids": ()}),
    "location without a display": (
        {
            "participant": [
                APPOINTMENT["participant"][0],
                {"actor": {"reference": "Location/3"}},
                APPOINTMENT["participant"][2],
            ]
        },
        {},
    ),
    "location inside": (
        {"participant": [APPOINTMENT["participant"][0], {"actor": {"reference": "#3"}}, APPOINTMENT["participant"][2]]},
        {},
    ),
    "start in UTC": ({"start": "2026-11-20T19:30:00Z"}, {}),
    "start in an array": ({"start": ["2026-11-20T14:30:00-05:00"]}, {}),
}


@pytest.mark.parametrize("quirk", TOLERATED)
def test_a_quirk_of_an_appointment_is_tolerated(quirk: str) -> None:
    changes, expected = TOLERATED[quirk]
    assert appointment(**changes) == replace(READ, **expected)


REFUSED: dict[str, tuple[Any, str]] = {
    "null": (None, "not_an_object"),
    "text": ("x", "not_an_object"),
    "array": ([APPOINTMENT], "not_an_object"),
    "another type": (changed(APPOINTMENT, resourceType="Slot"), "another_type"),
    "an error among the entries": ({"resourceType": "OperationOutcome"}, "operation_outcome"),
    "no id": (changed(APPOINTMENT, id=None, identifier=None), "id_missing"),
    "id with a slash": (changed(APPOINTMENT, id="../1"), "id_malformed"),
    "id with a space": (changed(APPOINTMENT, id="4 5"), "id_malformed"),
    "id too long": (changed(APPOINTMENT, id="4" * 65), "id_malformed"),
    "id huge": (changed(APPOINTMENT, id=10**5000), "number_out_of_range"),
    "id infinite": (changed(APPOINTMENT, id=float("inf")), "number_out_of_range"),
    "id true": (changed(APPOINTMENT, id=True), "boolean_for_text"),
    "id an object": (changed(APPOINTMENT, id={"value": "4"}), "object_for_scalar"),
    "two ids": (changed(APPOINTMENT, id=["1", "2"]), "array_for_scalar"),
    "two statuses": (changed(APPOINTMENT, status=["fulfilled", "cancelled"]), "array_for_scalar"),
    "status an object": (changed(APPOINTMENT, status={"code": "fulfilled"}), "object_for_scalar"),
    "status half a character": (changed(APPOINTMENT, status="\ud800"), "text_not_unicode"),
    "start missing": (changed(APPOINTMENT, start=None), "start_missing"),
    "start without an offset": (changed(APPOINTMENT, start="2026-11-20T14:30:00"), "start_without_offset"),
    "start a date": (changed(APPOINTMENT, start="2026-11-20"), "start_date_only"),
    "start a number": (changed(APPOINTMENT, start=1795451999), "start_malformed"),
    "two patients": (
        changed(
            APPOINTMENT,
            participant=[*APPOINTMENT["participant"], {"actor": {"reference": "Patient/another"}}],
        ),
        "several_patients",
    ),
    "patient without an id": (
        changed(APPOINTMENT, participant=[{"actor": {"reference": "Patient/"}}]),
        "patient_reference_malformed",
    ),
    "two custom statuses": (
        changed(
            APPOINTMENT,
            extension=[{"url": "appointment-status", "valueReference": {"display": it}} for it in ("In", "Out")],
        ),
        "several_custom_statuses",
    ),
}


@pytest.mark.parametrize("damage", REFUSED)
def test_a_damaged_appointment_is_quarantined_with_its_reason(damage: str) -> None:
    resource, reason = REFUSED[damage]
    found = fhir.appointment(resource)
    assert isinstance(found, Quarantined)
    assert (found.reason, found.resource_type) == (reason, "Appointment")


def test_a_quarantined_appointment_says_where_it_belongs_as_far_as_that_can_be_read() -> None:
    assert fhir.appointment(changed(APPOINTMENT, status={})) == Quarantined(
        "object_for_scalar",
        "Appointment",
        Phi("40817"),
        start=READ.start,
        location_names=("Harbor Point Clinic",),
        practitioner_ids=("9107",),
    )


INSTANTS: dict[str, str] = {
    "2026-11-20T14:30:00Z": "2026-11-20T14:30:00+00:00",
    "2026-11-20T14:30:00z": "2026-11-20T14:30:00+00:00",
    "2026-11-20t14:30:00Z": "2026-11-20T14:30:00+00:00",
    "2026-11-20 14:30:00Z": "2026-11-20T14:30:00+00:00",
    "2026-11-20T14:30Z": "2026-11-20T14:30:00+00:00",
    " 2026-11-20T14:30:00Z ": "2026-11-20T14:30:00+00:00",
    "2026-11-20T14:30:00-05:00": "2026-11-20T19:30:00+00:00",
    "2026-11-20T14:30:00-0500": "2026-11-20T19:30:00+00:00",
    "2026-11-20T14:30:00+05:45": "2026-11-20T08:45:00+00:00",
    "2026-11-20T14:30:00+14:00": "2026-11-20T00:30:00+00:00",
    "2026-11-20T14:30:00-00:00": "2026-11-20T14:30:00+00:00",
    "2026-11-20T23:30:00-05:00": "2026-11-21T04:30:00+00:00",
    "2026-11-20T24:00:00-05:00": "2026-11-21T05:00:00+00:00",
    "2026-12-31T24:00:00Z": "2027-01-01T00:00:00+00:00",
    "2026-11-20T24:00Z": "2026-11-21T00:00:00+00:00",
    "2026-06-30T23:59:60Z": "2026-07-01T00:00:00+00:00",
    "2026-11-20T14:30:60Z": "2026-11-20T14:31:00+00:00",
    "2026-11-20T14:30:00.5Z": "2026-11-20T14:30:00.500000+00:00",
    "2026-11-20T14:30:00.55Z": "2026-11-20T14:30:00.550000+00:00",
    "2026-11-20T14:30:00.913Z": "2026-11-20T14:30:00.913000+00:00",
    "2026-11-20T14:30:00.1234Z": "2026-11-20T14:30:00.123400+00:00",
    "2026-11-20T14:30:00.12345Z": "2026-11-20T14:30:00.123450+00:00",
    "2026-11-20T14:30:00.123456Z": "2026-11-20T14:30:00.123456+00:00",
    "2026-11-20T14:30:00.1234567Z": "2026-11-20T14:30:00.123456+00:00",
    "2026-11-20T14:30:00.12345678Z": "2026-11-20T14:30:00.123456+00:00",
    "2026-11-20T14:30:00.999999999Z": "2026-11-20T14:30:00.999999+00:00",
    "2026-11-20T14:30:00,5Z": "2026-11-20T14:30:00.500000+00:00",
    "2026-11-20T14:30:00": "start_without_offset",
    "2026-11-20T24:00:00": "start_without_offset",
    "2026-11-20T14:30:00.5": "start_without_offset",
    "2026-11-20": "start_date_only",
    "2026-11": "start_malformed",
    "": "start_missing",
    "2026-11-20T24:00:01Z": "start_malformed",
    "2026-11-20T25:00:00Z": "start_malformed",
    "2026-11-20T14:60:00Z": "start_malformed",
    "2026-11-20T14:30:61Z": "start_malformed",
    "2026-11-20T14:30:00.1234567890Z": "start_malformed",
    "2026-02-30T14:30:00Z": "start_malformed",
    "0000-01-01T00:00:00Z": "start_malformed",
    "0001-01-01T00:00:00+05:00": "start_malformed",
    "9999-12-31T24:00:00Z": "start_malformed",
    "2026-11-20T14:30:00+15:00": "start_malformed",
    "2026-11-20T14:30:00+05:60": "start_malformed",
    "2026-11-20T14:30:00 EST": "start_malformed",
    "٢٠٢٦-11-20T14:30:00Z": "start_malformed",
    "11/20/2026 2:30 PM": "start_malformed",
}


@pytest.mark.parametrize("text", INSTANTS)
def test_a_moment_is_read_exactly_or_refused(text: str) -> None:
    try:
        found = fhir_read.instant(text, "start").isoformat()
    except fhir_read.Malformed as problem:
        found = problem.reason
    assert found == INSTANTS[text]


def test_a_patient_is_read_and_the_ssn_is_nowhere() -> None:
    found = patient()
    assert found.id == Phi(GUID.lower())
    assert found.name == Phi("Dana Marsh")
    assert [(it.system, it.use, it.rank, it.is_private) for it in found.telecoms] == [
        ("email", "", None, False),
        ("phone", "mobile", 1, False),
        ("sms", "", None, True),
    ]
    assert (found.city, found.state) == (Phi("Sarasota"), Phi("FL"))
    assert (found.general_practitioner, found.primary_care_physician) == (Phi("Okafor, Lena"), Phi("Pruitt, Elle"))
    assert (found.patient_types, found.status) == (("Insurance Patient",), "patientprospect")
    assert (found.exclude_from_mailings, found.is_deceased_or_merged) == (False, False)
    assert (found.birth_date, found.ethnicity) == (None, None)
    assert "1234" not in repr(found)


def test_nothing_of_a_person_shows_in_a_repr() -> None:
    shown = repr(patient()) + repr(appointment())
    for secret in ("Dana", "Marsh", "941", "dana", "Sarasota", GUID.lower(), "40817", "Okafor"):
        assert secret not in shown


def test_what_only_tags_need_is_kept_only_for_them() -> None:
    found = fhir_patient.patient(PATIENT, keep=frozenset({"date.of.birth", "ethnicity"}))
    assert isinstance(found, Patient)
    assert (found.birth_date, found.ethnicity) == (Phi(date(1979, 6, 14)), Phi("Some ethnicity"))
    assert (found.city, found.state, found.general_practitioner, found.last_updated) == (None, None, None, None)


@pytest.mark.parametrize(
    ("value", "day", "whole"),
    [
        ("1979-06-14", date(1979, 6, 14), True),
        ("1979-06", date(1979, 6, 30), False),
        ("1979-12", date(1979, 12, 31), False),
        ("1979", date(1979, 12, 31), False),
        ("1979-06-14T00:00:00", date(1979, 6, 14), True),
        ("14.6.1979", None, False),
        ("1979-02-30", None, True),
        (None, None, False),
        ({}, None, False),
    ],
)
def test_half_a_birth_date_is_the_youngest_that_it_can_be(value: Any, day: date | None, whole: bool) -> None:
    found = fhir_patient.patient(changed(PATIENT, birthDate=value), keep=frozenset({"date.of.birth"}))
    assert isinstance(found, Patient)
    assert found.birth_date == (Phi(day) if day else None)
    if day:
        assert found.is_birth_date_whole == whole


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ([{"use": "official", "family": "Marsh", "given": "Dana"}], "Dana Marsh"),
        ({"family": "Marsh", "given": [" Dana\t "]}, "Dana Marsh"),
        ([{"use": "official", "family": "Marsh"}], "Marsh"),
        ([{"use": "official", "family": None, "given": ["", "Dana"]}], "Dana"),
        ([{"use": "official", "family": "de  la\u200b Cruz", "given": ["A\x07na"]}], "Ana de la Cruz"),
        ([{"use": "nickname", "given": ["Dee"]}], None),
        ([{"use": "old", "family": "Marsh"}], None),
        ([{"use": "official", "text": "Dana Marsh"}], None),
        ([{"use": "official", "family": {"x": 1}, "given": [[], {}]}], None),
        (None, None),
        ("Dana Marsh", None),
    ],
)
def test_the_name_is_first_given_and_family_of_the_official_one(name: Any, expected: str | None) -> None:
    assert patient(name=name).name == (Phi(expected) if expected else None)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"extension": [{"url": P + "patient-status", "valueString": "Deceased"}]}, True),
        ({"extension": [{"url": "patient-status", "valueString": " merged "}]}, True),
        ({"extension": [{"url": P + "patient-status", "valueString": "Not Yet Seen"}]}, False),
        ({"deceasedBoolean": True}, True),
        ({"deceasedBoolean": "maybe"}, True),
        ({"deceasedBoolean": False}, False),
        ({"deceasedDateTime": "2020"}, True),
        ({"link": [{"type": "replaced-by", "other": {"reference": "Patient/x"}}]}, True),
        ({"link": [{"type": "seealso"}]}, False),
    ],
)
def test_deceased_and_merged_patients_are_told(changes: dict[str, Any], expected: bool) -> None:
    assert patient(**changes).is_deceased_or_merged is expected


@pytest.mark.parametrize(
    ("mark", "expected"),
    [
        ({"valueBoolean": True}, True),
        ({"valueBoolean": "true"}, True),
        ({"valueBoolean": 1}, True),
        ({"valueBoolean": "false"}, False),
        ({"valueBoolean": None}, True),
        ({}, True),
        ({"valueBoolean": {"x": 1}}, True),
        ({"valueBoolean": "perhaps"}, True),
    ],
)
def test_a_restricting_mark_that_cannot_be_read_counts_as_set(mark: dict[str, Any], expected: bool) -> None:
    found = patient(extension={"url": S + "exclude-from-mailings", **mark})
    assert found.exclude_from_mailings is expected


def test_a_patient_without_an_id_is_quarantined() -> None:
    damaged = changed(PATIENT, id=None, identifier=[PATIENT["identifier"][1]])
    assert fhir_patient.patient(damaged) == Quarantined("id_missing", "Patient")
    assert fhir_patient.patient(changed(PATIENT, resourceType="Person")) == Quarantined(
        "another_type", "Patient", Phi(GUID.lower())
    )


def test_locations_practitioners_and_codes_are_read() -> None:
    managed = [{"url": S + "managed", "valueBoolean": True}]
    assert fhir.location({"id": 3, "status": "Active", "name": " North ", "extension": managed}) == Location(
        "3", "North", "active", True
    )
    assert fhir.practitioner(
        {
            "identifier": [
                {"use": "official", "value": "9107"},
                {"use": "http://hl7.org/fhir/sid/us-npi", "value": "1000000004"},
            ],
            "active": True,
            "name": [{"family": "Okafor", "given": ["Lena", ""]}],
        }
    ) == Practitioner("9107", "Okafor, Lena", True)
    only_npi = {"identifier": [{"use": "http://hl7.org/fhir/sid/us-npi", "value": "1"}]}
    assert fhir.practitioner(only_npi) == Quarantined("id_missing", "Practitioner")
    assert fhir.location({"name": "North"}) == Quarantined("id_missing", "Location")


def test_code_lists_carry_their_names_in_three_ways() -> None:
    named = {"resourceType": "appointment-type", "id": "14"}
    for url in (S + "appointment-type#name", "appointment-type"):
        found = fhir.code({**named, "extension": [{"url": url, "valueString": "Follow Up"}]}, "appointment-type")
        assert found == Code("appointment-type", "14", "Follow Up")
    purpose = {
        "resourceType": "appointment-purpose",
        "id": 58,
        "extension": [
            {"url": S + "appointment-purpose", "valueString": "Skin Check"},
            {"url": S + "appointment-type", "valueReference": {"display": "Follow Up"}},
        ],
    }
    assert fhir.code(purpose, "appointment-purpose") == Code("appointment-purpose", "58", "Skin Check", ("Follow Up",))
    assert fhir.code(named, "appointment-type") == Quarantined("name_missing", "appointment-type", Phi("14"))


def test_a_page_gives_its_resources_links_and_total() -> None:
    page = {
        "resourceType": "Bundle",
        "total": "63",
        "link": [{"relation": "Next", "url": "https://x.example/2"}, {"relation": "self"}, None],
        "entry": [{"resource": {"id": 1}}, None, {}, 5],
    }
    assert fhir.bundle(page) == Bundle(({"id": 1}, None, 5), 63, {"next": "https://x.example/2"}, ())


@pytest.mark.parametrize(
    ("page", "findings"),
    [
        ({"resourceType": "Bundle", "total": 0}, ()),
        ({"resourceType": "Bundle", "total": 0, "entry": []}, ()),
        ({"resourceType": "Bundle", "entry": []}, ("total_missing",)),
        ({"resourceType": "Bundle", "total": 5}, ("entries_missing",)),
        (
            {"resourceType": "Bundle", "total": 1, "entry": {"resource": {"resourceType": "OperationOutcome"}}},
            ("operation_outcome",),
        ),
    ],
)
def test_an_odd_page_names_what_is_odd(page: dict[str, Any], findings: tuple[str, ...]) -> None:
    found = fhir.bundle(page)
    assert isinstance(found, Bundle)
    assert found.findings == findings


def test_what_is_no_page_is_never_an_empty_one() -> None:
    assert fhir.bundle({"resourceType": "Bundle", "type": "searchset"}) == Quarantined("no_total_no_entry", "Bundle")
    assert fhir.bundle("<html>") == Quarantined("not_a_bundle", "Bundle")
    outcome = fhir.bundle(
        {"resourceType": "OperationOutcome", "issue": {"severity": "Error", "details": {"text": "about Dana"}}}
    )
    assert isinstance(outcome, OperationOutcome)
    assert [(it.severity, it.code, it.text) for it in outcome.issues] == [("error", "unknown", Phi("about Dana"))]


def test_an_appointment_read_twice_counts_once_as_last_updated() -> None:
    newer = appointment(status="cancelled", meta={"lastUpdated": "2026-11-21T00:00:00Z"})
    assert fhir.distinct([READ, newer, READ]) == (newer,)
    assert fhir.distinct([newer, READ]) == (newer,)


def test_two_readings_of_one_moment_that_differ_are_not_trusted() -> None:
    other = replace(READ, status="cancelled")
    expected = Quarantined("readings_differ", "Appointment", READ.id, READ.start, ("Harbor Point Clinic",), ("9107",))
    assert fhir.distinct([READ, other]) == (expected,)
    assert fhir.distinct([other, READ, READ]) == (expected,)
    newer = replace(READ, last_updated=datetime(2026, 11, 21, tzinfo=UTC))
    assert fhir.distinct([other, newer, READ]) == (newer,)


def test_location_names_come_from_the_list_where_the_answer_has_none() -> None:
    nameless = appointment(contained=None, participant=[{"actor": {"reference": "Location/3"}}])
    assert nameless.location_names == ()
    assert fhir.with_location_names(nameless, {"3": "North "}).location_names == ("North",)
    assert fhir.with_location_names(READ, {"3": "Other"}) is READ
    assert fhir.with_location_names(nameless, {"4": "Other"}) is nameless


def test_visits_sort_by_start_then_by_id_as_a_number() -> None:
    ids = ["10", "9", "a", "0", "007"]
    found = fhir.distinct(appointment(id=it) for it in ids)
    assert [it.id.reveal() for it in found if it.id] == ["0", "007", "9", "10", "a"]


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=12)
    | st.sampled_from(["Patient/", "Patient/1", "#3", "2026-11-20T14:30:00Z", S + "appointment-type", "official"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "use", "value", "actor", "reference", "display", "url", "valueReference", "valueString", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300)
@given(st.sampled_from(sorted(APPOINTMENT)), st.sampled_from(sorted(PATIENT)), junk)
def test_no_damage_ever_raises_and_neighbours_go_on(field: str, patient_field: str, value: Any) -> None:
    page = fhir.bundle(
        {"resourceType": "Bundle", "total": 2, "entry": [{"resource": it} for it in (value, APPOINTMENT)]}
    )
    assert isinstance(page, Bundle)
    assert fhir.appointment(page.resources[-1]) == READ
    assert isinstance(fhir.appointment(changed(APPOINTMENT, **{field: value})), Appointment | Quarantined)
    assert isinstance(fhir_patient.patient(changed(PATIENT, **{patient_field: value})), Patient | Quarantined)
    assert isinstance(fhir.bundle(value), Bundle | Quarantined | OperationOutcome)
    assert isinstance(fhir.location(value), Location | Quarantined)
    assert isinstance(fhir.practitioner(value), Practitioner | Quarantined)
    assert isinstance(fhir.code(value, "patient-type"), Code | Quarantined)
