"""Where the real API conforms to FHIR STU3, fhir.resources accepts what the sandbox writes; Practice+ beside Select."""

from __future__ import annotations

import copy
import json
from typing import Any

import phonenumbers
import pytest
from fhir.resources.STU3.appointment import Appointment
from fhir.resources.STU3.bundle import Bundle
from fhir.resources.STU3.location import Location
from fhir.resources.STU3.operationoutcome import OperationOutcome
from fhir.resources.STU3.patient import Patient
from fhir.resources.STU3.practitioner import Practitioner

from reconciler.sandbox.emr import Shares
from tests.edges.emr_desk import SELECT, Desk, desk, practice

REAL = Shares(people={"deceased": 20, "minor": 70, "duplicate": 10})
PLUS = "https://api.pm.nextech.com/api/structuredefinition/"


def resources(front: Desk, what: str) -> list[dict[str, Any]]:
    return [copy.deepcopy(each["resource"]) for page in front.pages(what, most=4) for each in page["entry"]]


def without_middle(resource: dict[str, Any]) -> dict[str, Any]:
    """FHIR has no empty strings; Nextech writes an empty middle name."""
    for name in resource.get("name", []):
        name["given"] = [given for given in name["given"] if given]
    for contained in resource.get("contained", []):
        without_middle(contained) if isinstance(contained.get("name"), list) else None
    return resource


def test_select_appointments_conform_but_for_participant_status_and_custom_statuses() -> None:
    shapes = {"no_patient": 100, "two_purposes": 200, "utc_offset": 100, "lower_guid": 100, "hospital": 50}
    made = Shares({"fulfilled": 600, "custom": 200, "noshow": 200}, shapes)
    seen = resources(desk(practice(made, visits=15)), "Appointment?_count=50")
    assert len(seen) == 150
    assert sum("status" not in each for each in seen) > 10
    for each in seen:
        each.setdefault("status", "fulfilled")
        for participant in each["participant"]:
            participant["status"] = "accepted"
        Appointment.model_validate(without_middle(each))


def test_select_patients_conform_but_for_empty_names() -> None:
    seen = resources(desk(practice(REAL)), "Patient?_count=50")
    assert len(seen) == 200
    for each in seen:
        for point in each["telecom"]:
            if "value" in point:
                point["value"] = point["value"].strip()
        Patient.model_validate(without_middle(each))


def test_locations_practitioners_and_errors_conform() -> None:
    front = desk()
    for each in resources(front, "Location?includeAll=true"):
        Location.model_validate(each)
    front.world.options.npi_in_use = False
    for each in resources(front, "Practitioner"):
        Practitioner.model_validate(without_middle(each))
    OperationOutcome.model_validate(json.loads(front.send("GET", "Appointment?_id=1").body))


def test_an_empty_page_and_its_links_conform() -> None:
    Bundle.model_validate(desk().get("Appointment?date=2020-01-01"))


def test_practice_plus_conforms_as_it_is() -> None:
    front = desk(practice(Shares(people={}), plus=True))
    seen = resources(front, "Appointment?date=2026-11-20&_count=50")
    for each in seen:
        if isinstance(each.get("status"), str) and each["status"] in ("fulfilled", "cancelled", "noshow", "arrived"):
            Appointment.model_validate(each)
    for each in resources(front, "Patient?_count=50")[:50]:
        for point in each["telecom"]:
            point["value"] = point["value"].strip()
            point["use"] = "home" if point.get("use") is None else point["use"]
        Patient.model_validate(without_middle(each))


def test_practice_plus_has_bare_names_on_appointments_and_full_ones_on_patients() -> None:
    front = desk(practice(plus=True))
    visit = front.get("Appointment")["entry"][0]["resource"]
    assert [each["url"] for each in visit["extension"]] == [
        "arrival-time",
        "modifiedBy",
        "appointment-type",
        "appointment-purpose",
    ]
    assert all(each["status"] == "accepted" for each in visit["participant"])
    assert "contained" not in visit
    patient = front.get("Patient")["entry"][0]["resource"]
    assert all(each["url"].startswith((PLUS, "http://hl7.org")) for each in patient["extension"])
    assert SELECT not in json.dumps([visit, patient])


def test_practice_plus_shows_the_ssn_and_who_is_deceased_or_merged() -> None:
    made = practice(Shares({"fulfilled": 1000}, {}, {}, {}, {"deceased": 500}), plus=True)
    front = desk(made)
    patients = resources(front, "Patient?_count=50")
    ssns = [i["value"] for each in patients for i in each["identifier"] if i.get("system", "").endswith("us-ssn")]
    assert len(ssns) == len(patients)
    assert all(ssn.startswith("000") and len(ssn) == 9 for ssn in ssns)
    statuses = {
        ext["valueString"] for each in patients for ext in each["extension"] if ext["url"] == PLUS + "patient-status"
    }
    assert {"Active", "Deceased"} <= statuses
    texts = [p for each in patients for p in each["telecom"] if p["system"] == "sms"]
    assert texts
    assert all(point["use"] == "mobile" and point["value"] for point in texts)


def test_practice_plus_knows_no_chart_numbers_no_status_list_and_only_patch() -> None:
    front = desk(practice(plus=True))
    assert front.get("Patient?identifier=1004")["total"] == 0
    assert front.status("Patient/1004") == 404
    assert front.status("appointment-status") == 404
    assert front.ids("appointment-type") == ["14", "15"]
    body = {"status": "booked", "participant": [{"status": "accepted"}]}
    assert front.send("PATCH", "Appointment/5", body).status == 204
    assert front.send("PATCH", "Appointment/5", {"status": "cancelled"}).status == 400
    assert front.send("PUT", "Appointment/5", body).status == 405


@pytest.mark.parametrize("number", range(0, 200, 7))
def test_phones_of_patients_are_valid_numbers_that_belong_to_nobody(number: int) -> None:
    person = practice().person(number)
    assert person.mobile is not None
    assert phonenumbers.is_valid_number(phonenumbers.parse(person.mobile, "US"))
    assert "555-01" in person.mobile
