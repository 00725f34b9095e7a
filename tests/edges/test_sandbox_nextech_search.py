"""Searching and paging in the emulated Nextech Select."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from reconciler.sandbox.emr import Shares
from reconciler.sandbox.emr_options import EmrOptions
from tests.edges.emr_desk import NOW, Desk, desk, link, practice

DAY = "date=ge2026-11-20&date=lt2026-11-21"
EMPTY = "date=ge2020-01-01&date=lt2020-01-02"


def test_a_day_is_what_starts_on_it_at_the_practice() -> None:
    front = desk()
    found = front.get(f"Appointment?{DAY}&_count=50")
    assert found["total"] == 10
    days = {datetime.fromisoformat(each["resource"]["start"]).date().isoformat() for each in found["entry"]}
    assert days == {"2026-11-20"}


@pytest.mark.parametrize(
    ("date", "days"),
    [
        ("date=2026-11-20", 1),
        ("date=eq2026-11-20", 1),
        ("date=ge2026-11-20", 4),
        ("date=gt2026-11-20", 3),
        ("date=le2026-11-20", 7),
        ("date=lt2026-11-20", 6),
        ("date=ge2026-11-20&date=le2026-11-21", 2),
        ("date=ge2026-11-21&date=lt2026-11-20", 0),
        ("", 10),
    ],
)
def test_the_operators_of_a_date(date: str, days: int) -> None:
    assert desk().get(f"Appointment?{date}")["total"] == days * 10


def test_a_page_links_to_its_neighbours_by_offset_and_the_last_overlaps() -> None:
    page = desk().get("Appointment?date=ge2026-11-20&_count=15&_getpagesoffset=15")
    base = "http://127.0.0.1:9/nextech-api/api/Appointment?date=ge2026-11-20&"
    assert page["total"] == 40
    assert len(page["entry"]) == 15
    assert page["link"] == [
        {"relation": "self", "url": base + "_count=15&_getpagesoffset=15"},
        {"relation": "previous", "url": base + "_getpagesoffset=0&_count=15"},
        {"relation": "next", "url": base + "_getpagesoffset=30&_count=15"},
        {"relation": "first", "url": base + "_getpagesoffset=0&_count=15"},
        {"relation": "last", "url": base + "_getpagesoffset=25&_count=15"},
    ]


def test_following_the_links_gives_each_once_in_order_of_entry() -> None:
    front = desk()
    ids = [int(each) for each in front.ids(f"Appointment?{DAY}&_count=3")]
    assert ids == sorted(set(ids))
    assert len(ids) == 10
    front.world.options.newest_first = True
    assert [int(each) for each in front.ids(f"Appointment?{DAY}&_count=3")] == ids[::-1]


def test_the_page_size_is_ten_and_never_above_fifty() -> None:
    front = desk()
    assert len(front.get("Appointment")["entry"]) == 10
    assert len(front.get("Appointment?_count=500")["entry"]) == 50


@pytest.mark.parametrize(
    ("kind", "status", "entry"), [("empty", 200, None), ("list", 200, []), ("404", 404, None)], ids=str
)
def test_an_empty_search(kind: str, status: int, entry: list[object] | None) -> None:
    front = desk(options=EmrOptions(empty_search=kind))
    response = front.send("GET", f"Appointment?{EMPTY}")
    body = json.loads(response.body)
    assert (response.status, body.get("entry")) == (status, entry)
    assert body["resourceType"] == ("Bundle" if status == 200 else "OperationOutcome")


def test_filters_are_intersected_and_commas_are_alternatives() -> None:
    front = desk()
    everything = set(front.ids("Appointment?_count=50"))
    west = set(front.ids("Appointment?location.name=harbor%20w&_count=50"))
    point = set(front.ids("Appointment?location.id=3&_count=50"))
    assert west | point == everything
    assert west.isdisjoint(point)
    assert set(front.ids("Appointment?location.name=HARBOR&_count=50")) == everything
    assert front.ids("Appointment?location.name:exact=Harbor") == []
    assert set(front.ids("Appointment?location.name:contains=west&_count=50")) == west
    assert set(front.ids("Appointment?location.id=3,4&_count=50")) == everything
    lena = set(front.ids("Appointment?practitioner.id=417&_count=50"))
    assert lena == set(front.ids("Appointment?practitioner.name=oka&_count=50"))
    assert set(front.ids("Appointment?practitioner.id=417&location.id=4&_count=50")) == lena & west
    some = sorted(everything)[:3]
    assert front.ids(f"Appointment?identifier={','.join(some)}") == sorted(some, key=int)
    assert front.ids("Appointment?identifier=999999,abc") == []


def test_a_custom_status_has_no_fhir_status_and_is_not_found_by_one() -> None:
    front = desk(practice(Shares({"fulfilled": 500, "custom": 500}, {}, {}, {}, {}, 0, 0, 0, 0, 0)))
    entries = [each["resource"] for page in front.pages("Appointment?_count=50") for each in page["entry"]]
    without = [each for each in entries if "status" not in each]
    shown = {
        extension["valueReference"]["display"]
        for each in without
        for extension in each["extension"]
        if extension["url"].endswith("/appointment-status")
    }
    assert shown == {"Checked Out", "Roomed"}
    assert len(front.ids("Appointment?status=fulfilled&_count=50")) == len(entries) - len(without)


def test_visits_are_found_by_patient_whatever_the_case_of_the_id() -> None:
    front = desk()
    reference = front.get("Appointment")["entry"][0]["resource"]["participant"][0]["actor"]["reference"]
    guid = reference.removeprefix("Patient/")
    assert guid == guid.upper()
    patient = front.get(f"Patient/{guid}")
    assert patient["id"] == guid.lower()
    chart = next(each["value"] for each in patient["identifier"] if each.get("use") == "usual")
    by_guid = front.ids(f"Appointment?patient={guid}")
    assert by_guid == front.ids(f"Appointment?patient={guid.lower()}") == front.ids(f"Appointment?patient={chart}")
    assert by_guid


def test_last_updated_sees_what_staff_changed_since() -> None:
    front = desk()
    front.world.change_visit(practice(), 5, status="noshow")
    assert front.ids("Appointment?_lastUpdated=ge2026-11-24T14:59:00Z") == ["5"]
    assert front.ids("Appointment?_lastUpdated=ge" + quote("2026-11-24T09:59:00-05:00")) == ["5"]
    assert front.ids("Appointment?_lastUpdated=gt2026-11-24T15:00:00%2B00:00") == []
    since = {int(each) for each in front.ids("Appointment?_lastUpdated=ge2026-11-23&_count=50")}
    moments = {int(v.id): v for n in range(1, 101) if (v := front.world.chart(practice()).visit(n)) is not None}
    assert since == {n for n, v in moments.items() if v.updated >= datetime(2026, 11, 23, tzinfo=UTC)}


@pytest.mark.parametrize(
    "query",
    [
        "date=2026-11-20T00:00:00Z",
        "date=ne2026-11-20",
        "date=2026-11-20,2026-11-21",
        "date=2026-13-45",
        "date=",
        "_id=5",
        "_sort=date",
        "appointment-type=14",
        "status=proposed",
        "status=done",
        "_lastUpdated=ge2026-11-20T00:00:00+00:00",  # the plus sign arrives as a space
        "_lastUpdated=yesterday",
        "_count=many",
        "_getpagesoffset=-5",
        "location.name:text=x",
    ],
)
def test_what_is_not_documented_is_refused_and_noted(query: str) -> None:
    front = desk()
    response = front.send("GET", f"Appointment?{query}")
    assert (response.status, json.loads(response.body)["resourceType"]) == (400, "OperationOutcome")
    assert len(front.world.violations) == 1


@pytest.mark.parametrize("path", ["Appointment/5", "Slots", "Patient/ID"])
def test_paths_that_are_not_documented_or_shown_are_not_there(path: str) -> None:
    assert desk().status(path) == 404


def test_patients_are_found_by_a_comma_list_of_ids() -> None:
    front = desk()
    made = practice()
    guids = [made.guid(number) for number in (4, 9, 17)]
    mixed = [guids[0].upper(), guids[1], "1017", "1017", "00000000-0000-4000-8000-0000000000ff"]
    assert front.ids(f"Patient?identifier={','.join(mixed)}&_count=50") == guids
    assert front.get("Patient?_count=50")["total"] == 200
    family = front.get(f"Patient/{guids[0]}")["name"][0]["family"]
    assert guids[0] in front.ids(f"Patient?family={family[:3].lower()}&_count=50")
    assert front.status("Patient/00000000-0000-4000-8000-0000000000ff") == 404


def test_locations_hide_what_the_practice_does_not_manage() -> None:
    front = desk()
    assert front.ids("Location") == ["3", "4"]
    assert front.ids("Location?includeAll=true&_count=50") == ["3", "4", "9001"]
    assert front.ids("Location?name=harbor%20w") == ["4"]
    assert front.get("Location/4")["name"] == "Harbor West"
    assert front.status("Location/5") == 404


def test_practitioners_and_code_lists() -> None:
    front = desk()
    assert front.ids("Practitioner") == ["417", "704"]
    assert front.ids("Practitioner?name=lena") == ["417"]
    names = {
        kind: [each["resource"]["extension"][0]["valueString"] for each in front.get(f"{kind}?_count=50")["entry"]]
        for kind in ("appointment-type", "appointment-purpose", "appointment-status", "patient-type")
    }
    assert names == {
        "appointment-type": ["Follow Up", "Surgery"],
        "appointment-purpose": ["Skin Check", "Biopsy"],
        "appointment-status": ["Pending", "In", "Out", "No Show", "Cancelled", "Checked Out", "Roomed"],
        "patient-type": ["Insurance Patient", "Cosmetic", "Medicare", "Deceased"],
    }
    assert front.ids("appointment-type?name:contains=urge") == ["15"]
    assert front.get("appointment-status/0")["id"] == "0"


def test_visits_complete_as_time_goes_by() -> None:
    late = Shares({"fulfilled": 1000}, {}, {}, {}, {}, late=1000)
    front = desk(practice(late, days=3))

    def statuses(front: Desk) -> list[str]:
        page = front.get("Appointment?date=2026-11-23&_count=50")
        return [each["resource"]["status"] for each in page["entry"]]

    front.clock.at = NOW - timedelta(hours=9)
    assert statuses(front) == ["arrived"] * 10
    front.clock.at = NOW + timedelta(days=4)
    front.sign_in()
    assert statuses(front) == ["fulfilled"] * 10
    front.clock.at = NOW - timedelta(days=3)
    front.sign_in()
    assert set(statuses(front)) == {"pending", "booked"}


def test_resource_names_are_found_in_any_case() -> None:
    front = desk()
    assert front.ids("location") == front.ids("LOCATION/") == ["3", "4"]
    assert link(front.get("location"), "self") == "http://127.0.0.1:9/nextech-api/api/location"
