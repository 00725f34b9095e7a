"""Every oddity of the emulated Nextech: links, moving data, malformed resources, spoilt answers, writes."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from typing import Any

import pytest

from reconciler.sandbox.emr import CLEAN, Shares
from reconciler.sandbox.emr_options import EmrOptions, Upset
from reconciler.sandbox.emr_world import EmrWorld
from tests.edges.emr_desk import NOW, PRACTICE, SELECT, desk, link, practice

DAY = "date=2026-11-20"
THREE = f"Appointment?{DAY}&_count=3"
BASE = "127.0.0.1:9/nextech-api/api/Appointment?date=2026-11-20&_getpagesoffset="


def shares(shape: str | None = None, *, email: str = "", phone: str = "", person: str = "", **more: Any) -> Shares:
    every = 1000
    return Shares(
        {"fulfilled": every},
        {shape: every} if shape else {},
        {email: every} if email else {},
        {phone: every} if phone else {},
        {person: every} if person else {},
        late=0,
        repeats=more.get("repeats", 0),
        families=more.get("families", 0),
        sms_privacy=more.get("sms_privacy", 0),
        mailings_excluded=more.get("mailings_excluded", 0),
    )


def visits(made: Shares) -> list[Any]:
    return [each["resource"] for each in desk(practice(made)).get(f"Appointment?{DAY}&_count=50")["entry"]]


def patients(made: Shares, options: EmrOptions | None = None) -> list[Any]:
    page = desk(practice(made), options).get("Patient?_count=50")
    return [each["resource"] for each in page["entry"]]


@pytest.mark.parametrize(
    ("fault", "second"),
    [
        ("self", "http://" + BASE + "3&_count=3"),
        ("backwards", "http://" + BASE + "0&_count=3"),
        (
            "foreign",
            "https://elsewhere.example.com/nextech-api/api/Appointment?date=2026-11-20&_getpagesoffset=6&_count=3",
        ),
        ("http", "http://" + BASE + "6&_count=3"),
        ("endless", "http://" + BASE + "6&_count=3"),
    ],
)
def test_where_a_faulty_next_points(fault: str, second: str) -> None:
    front = desk(options=EmrOptions(link_fault=fault))
    front.headers = {"x-forwarded-proto": "https" if fault == "http" else "http"}
    assert link(front.get(THREE + "&_getpagesoffset=3"), "next") == second


@pytest.mark.parametrize("fault", ["self", "backwards", "loop", "endless"])
def test_a_client_without_guards_never_ends(fault: str) -> None:
    pages = list(desk(options=EmrOptions(link_fault=fault)).pages(THREE, most=12))
    assert len(pages) == 12
    assert all(page["entry"] for page in pages)


def test_next_of_the_last_page_can_be_that_page() -> None:
    front = desk(options=EmrOptions(own_next=True))
    assert link(front.get(THREE + "&_getpagesoffset=9"), "next") == "http://" + BASE + "9&_count=3"


def test_the_last_link_overlaps_unless_told_otherwise() -> None:
    front = desk()
    assert link(front.get(THREE), "last") == "http://" + BASE + "7&_count=3"
    front.world.options.last_overlaps = False
    assert link(front.get(THREE), "last") == "http://" + BASE + "9&_count=3"


def test_rows_deleted_while_paging_hide_rows_that_were_there_throughout() -> None:
    front = desk(options=EmrOptions(delete_while_paging=1, moves=2))
    before = [str(number) for number in practice().numbers(NOW.date().replace(day=20), NOW.date().replace(day=21))]
    seen = front.ids(THREE)
    assert set(before) - set(seen) == {before[3], before[6 + 1]}
    assert front.ids(THREE) == before[2:]


def test_rows_inserted_while_paging_are_shown_twice() -> None:
    front = desk(options=EmrOptions(insert_while_paging=1, moves=1, newest_first=True))
    seen = Counter(front.ids(THREE))
    assert [number for number, count in seen.items() if count == 2] == list(seen)[2:3]
    assert len(front.ids(THREE)) == 11


@pytest.mark.parametrize(
    ("options", "total", "entries"),
    [
        (EmrOptions(total="absent"), None, 3),
        (EmrOptions(total="wrong"), 17, 3),
        (EmrOptions(oversize=True), 10, 8),
        (EmrOptions(short=True), 10, 1),
    ],
)
def test_totals_and_sizes_that_do_not_agree(options: EmrOptions, total: int | None, entries: int) -> None:
    page = desk(options=options).get(THREE)
    assert (page.get("total"), len(page["entry"])) == (total, entries)


@pytest.mark.parametrize(
    ("kind", "status", "start"),
    [
        ("html", 200, b"<html>"),
        ("truncate", 200, b'{"resourceType": "Bundle"'),
        ("outcome", 200, b'{"resourceType": "OperationOutcome"'),
        ("empty", 200, b""),
        ("null", 200, b"null"),
        ("nothing", 200, b'{"resourceType": "Bundle", "type": "searchset", "total": 0}'),
        ("503", 503, b'{"resourceType": "OperationOutcome"'),
    ],
)
def test_the_second_answer_can_be_spoilt(kind: str, status: int, start: bytes) -> None:
    front = desk(options=EmrOptions(upsets=[Upset("/appointment", kind, first=2)]))
    answers = [front.send("GET", THREE) for _ in range(3)]
    assert [each.status for each in answers] == [200, status, 200]
    assert answers[0] == answers[2] != answers[1]
    assert answers[1].body.startswith(start)
    if kind == "truncate":
        with pytest.raises(ValueError, match="char"):
            json.loads(answers[1].body)


def test_participants_can_be_missing() -> None:
    kinds = {
        shape: {
            participant["actor"]["reference"].partition("/")[0]
            for participant in visits(shares(shape))[0]["participant"]
        }
        for shape in ("no_patient", "no_practitioner", "no_location", "plain")
    }
    assert kinds == {
        "no_patient": {"Location", "Practitioner"},
        "no_practitioner": {"Patient", "Location"},
        "no_location": {"Patient", "Practitioner"},
        "plain": {"Patient", "Location", "Practitioner"},
    }


@pytest.mark.parametrize(
    ("shape", "ending"), [("plain", "-05:00"), ("no_offset", ":00"), ("utc_offset", "Z"), ("future_start", "-05:00")]
)
def test_starts_are_local_with_an_offset_or_not(shape: str, ending: str) -> None:
    made = next(each for each in visits(shares(shape)) if each["participant"][1]["actor"]["reference"] == "Location/3")
    assert made["start"].endswith(ending)
    assert len(made["start"]) == {"no_offset": 19, "utc_offset": 20}.get(shape, 25)
    assert made["start"][:4] == ("2027" if shape == "future_start" else "2026")


def test_each_location_has_the_offset_of_its_own_zone() -> None:
    offsets = {(each["participant"][1]["actor"]["display"], each["start"][-6:]) for each in visits(CLEAN)}
    assert offsets == {("Harbor Point", "-05:00"), ("Harbor West", "-06:00")}


def test_visits_can_be_at_a_hospital_and_have_two_purposes() -> None:
    assert {each["participant"][1]["actor"]["reference"] for each in visits(shares("hospital"))} == {"Location/9001"}
    purposes = [
        each for each in visits(shares("two_purposes"))[0]["extension"] if each["url"] == SELECT + "appointment-purpose"
    ]
    assert {each["valueReference"]["display"] for each in purposes} == {"Skin Check", "Biopsy"}


def test_malformed_resources_are_malformed_in_eight_ways() -> None:
    sound = {each["id"]: each for each in visits(CLEAN)}
    broken = visits(shares("malformed"))
    kinds = {
        json.dumps(
            {key: each.get(key) for key in ("start", "participant", "extension", "id", "status", "resourceType")}
        )[:400]
        for each in broken
    }
    assert len(broken) == 10
    assert all(each != sound.get(str(each.get("id"))) for each in broken)
    assert len(kinds) == 10


def test_words_that_fhir_does_not_know_stand_in_status() -> None:
    odd = Shares({"under-the-weather": 500, "entered-in-error": 500}, {}, {}, {}, {}, 0, 0, 0, 0, 0)
    assert {each["status"] for each in visits(odd)} == {"under-the-weather", "entered-in-error"}


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("none", None),
        ("placeholder", "no@email"),
        ("long", "more than 40"),
        ("invalid", "without @"),
        ("padded", "with spaces"),
    ],
)
def test_emails_are_as_careless_as_people(kind: str, shown: str | None) -> None:
    for each in patients(shares(email=kind)):
        found = next((point["value"] for point in each["telecom"] if point["system"] == "email"), None)
        if shown == "more than 40":
            assert found is not None
            assert len(found) > 40
        elif shown == "without @":
            assert found is not None
            assert "@" not in found
        elif shown == "with spaces":
            assert found is not None
            assert found != found.strip()
        else:
            assert found == shown


def test_phones_can_be_missing_placeholders_or_landlines() -> None:
    uses = {
        kind: {
            point.get("use")
            for each in patients(shares(phone=kind))
            for point in each["telecom"]
            if point["system"] == "phone"
        }
        for kind in ("none", "home_only", "ranked_home", "placeholder")
    }
    assert uses == {"none": set(), "home_only": {"home"}, "ranked_home": {"mobile", "home"}, "placeholder": {"mobile"}}
    ranked = patients(shares(phone="ranked_home"))[0]["telecom"]
    assert [point.get("use") for point in ranked if point.get("rank") == 1] == ["home"]
    numbers = {
        point["value"]
        for each in patients(shares(phone="placeholder"))
        for point in each["telecom"]
        if point["system"] == "phone"
    }
    assert numbers == {"(555) 555-5555"}


def test_text_privacy_is_an_sms_entry_without_a_value() -> None:
    marks = [
        point for each in patients(shares(sms_privacy=1000)) for point in each["telecom"] if point["system"] == "sms"
    ]
    assert len(marks) == 50
    assert all(
        mark == {"system": "sms", "extension": [{"url": SELECT + "method-privacy", "valueBoolean": True}]}
        for mark in marks
    )
    excluded = patients(shares(mailings_excluded=1000))[0]["extension"]
    assert {"url": SELECT + "exclude-from-mailings", "valueBoolean": True} in excluded


def test_every_number_and_address_is_a_fictitious_one() -> None:
    for each in patients(Shares()):
        for point in each["telecom"] if isinstance(each["telecom"], list) else []:
            value = point.get("value", "") if isinstance(point, dict) else ""
            assert (
                not value or "555-01" in value or "555-5555" in value or "example.com" in value or value == "no@email"
            )


def test_families_share_a_name_and_a_phone() -> None:
    group = patients(shares(families=1000))[:4]
    assert len({each["name"][0]["family"] for each in group}) == 1
    assert len({each["telecom"][1]["value"] for each in group}) == 1
    assert len({each["id"] for each in group}) == 4


def test_a_duplicate_patient_is_the_same_person_under_another_id() -> None:
    made = practice(Shares({"fulfilled": 1000}, {}, {}, {}, {"duplicate": 200}))
    twin = next(
        number for number in range(1, 200) if made.oddity(number) == "duplicate" and made.oddity(number - 1) == "plain"
    )
    one, two = made.person(twin - 1), made.person(twin)
    assert one.guid != two.guid
    assert (one.given, one.family, one.birth, one.email, one.mobile) == (
        two.given,
        two.family,
        two.birth,
        two.email,
        two.mobile,
    )


def test_absent_nameless_minor_and_deceased_patients() -> None:
    assert desk(practice(shares(person="absent"))).get("Patient")["total"] == 0
    nameless = patients(shares(person="no_name"))[0]["name"]
    assert nameless == [{"use": "official", "text": "", "family": "", "given": ["", ""]}]
    assert all(each["birthDate"] > "2008-11" for each in patients(shares(person="minor")))
    assert {each["extension"][-1]["valueReference"]["display"] for each in patients(shares(person="deceased"))} == {
        "Deceased"
    }
    titled = patients(CLEAN, EmrOptions(title_case=True))[0]["extension"]
    assert {"url": SELECT + "patient-status", "valueString": "Patient"} in titled


@pytest.mark.parametrize(("kind", "found"), [("survivor", [8]), ("absent", [])])
def test_a_merged_patient_is_answered_by_the_survivor_or_by_nobody(kind: str, found: list[int]) -> None:
    front = desk(options=EmrOptions(merged=kind))
    made = practice()
    front.world.merge(made, 4, 8)
    assert front.ids(f"Patient?identifier={made.guid(4)}") == [made.guid(number) for number in found]
    assert front.ids(f"Patient?identifier={made.guid(4)},{made.guid(8)}") == [made.guid(8)]
    assert made.guid(4) not in front.ids("Patient?_count=50")


def test_a_practitioner_can_lack_its_id_and_has_the_npi_in_the_wrong_place() -> None:
    front = desk()
    assert front.get("Practitioner/417")["identifier"][1]["use"] == "http://hl7.org/fhir/sid/us-npi"
    front.world.options.practitioner_without_id = True
    front.world.options.npi_in_use = False
    made = front.get("Practitioner/417")
    assert "id" not in made
    assert made["identifier"][1]["system"] == "http://hl7.org/fhir/sid/us-npi"


def test_another_practices_data_can_stand_under_an_id() -> None:
    world = EmrWorld(
        EmrOptions(foreign_data={"00000000-0000-4000-8000-000000000001": "00000000-0000-4000-8000-000000000002"})
    )
    found = world.practice("00000000-0000-4000-8000-000000000001")
    assert found is not None
    assert [place.name for place in found.places][:2] == ["Dermatology", "Oncology"]


def test_equal_seeds_make_equal_practices_and_others_do_not() -> None:
    made = [practice(Shares(), seed=seed).visit(37, NOW) for seed in (7, 7, 8)]
    assert made[0] == made[1] != made[2]
    worlds = [
        EmrWorld(seed=seed, clock=lambda: NOW).practice("00000000-0000-4000-8000-000000000002") for seed in (1, 1, 2)
    ]
    assert worlds[0] == worlds[1] != worlds[2]


def test_ids_and_days_and_patients_are_computed_back() -> None:
    made = practice(Shares(), visits=13, days=50)
    assert made.total == 650
    for number in (1, 13, 14, 333, 650):
        day, _ = made.slot(number)
        assert number in made.numbers(day, day.fromordinal(day.toordinal() + 1))
    assert [made.patient_number(made.guid(number)) for number in range(200)] == list(range(200))
    assert made.patient_number("not-a-guid") is None
    assert made.patient_number(made.guid(0)[:-1] + "x") is None


def test_a_hundred_thousand_appointments_cost_no_more_memory_than_ten() -> None:
    def peak(visits: int) -> int:
        front = desk(practice(visits=visits))
        front.get("Appointment?_count=50")
        tracemalloc.start()
        total = front.get("Appointment?_count=50&_getpagesoffset=0")["total"]
        front.get(f"Appointment?_count=50&_getpagesoffset={max(0, total - 50)}")
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert total == visits * 10
        return most

    assert peak(10_000) < 1.2 * peak(200)


def put(status: str) -> dict[str, str]:
    return {"resourceType": "Appointment", "status": status}


def test_staff_and_widgets_change_statuses() -> None:
    front = desk()
    answer = front.send("PUT", "Appointment/5", put("booked"))
    assert (answer.status, json.loads(answer.body)["status"]) == (200, "booked")
    custom = {
        "resourceType": "Appointment",
        "extension": [{"url": SELECT + "appointment-status", "valueReference": {"reference": "appointment-status/11"}}],
    }
    assert "status" not in json.loads(front.send("PUT", "Appointment/5", custom).body)
    assert front.send("PUT", "Appointment/5", put("cancelled")).status == 200
    assert front.send("PUT", "Appointment/5", put("cancelled")).status == 422
    assert front.send("PUT", "Appointment/999999", put("booked")).status == 404
    assert front.send("PUT", "Appointment/6", put("proposed")).status == 400
    assert front.send("PUT", "Appointment/6", put("arrived")).status == 400
    assert front.send("DELETE", "Appointment/6").status == 405


def test_a_cancellation_can_be_queued_or_refused() -> None:
    front = desk()
    queued = put("cancelled") | {"extension": [{"url": SELECT + "request-type", "valueString": "queue"}]}
    assert json.loads(front.send("PUT", "Appointment/5", queued).body)["status"] == "fulfilled"
    assert front.send("PUT", "Appointment/5", queued).status == 422
    front.world.options.cancellation_reason_required = True
    assert front.send("PUT", "Appointment/6", put("cancelled")).status == 422


def test_a_booking_is_made_once_and_refused_with_a_comment() -> None:
    front = desk()
    body = {
        "resourceType": "Appointment",
        "extension": [
            {"url": SELECT + "appointment-type", "valueReference": {"reference": "appointment-type/14"}},
            {"url": SELECT + "appointment-purpose", "valueReference": {"reference": "appointment-purpose/58"}},
        ],
        "status": "proposed",
        "start": "2026-12-04T10:00:00-05:00",
        "end": "2026-12-04T10:30:00-05:00",
        "participant": [
            {"actor": {"reference": f"patient/{practice().guid(4).upper()}"}},
            {"actor": {"reference": "location/3"}},
            {"actor": {"reference": "practitioner/417"}},
        ],
    }
    made = front.send("POST", "Appointment/", body)
    assert made.status == 201
    assert front.ids("Appointment?date=2026-12-04") == [json.loads(made.body)["id"]]
    again = front.send("POST", "Appointment/", body)
    assert (again.status, json.loads(again.body)["resourceType"]) == (409, "AppointmentResponse")
    assert front.send("POST", "Appointment/", body | {"status": "booked"}).status == 409
    assert front.send("POST", "Appointment/", body | {"participant": []}).status == 409
    assert front.send("POST", "Appointment/", body | {"start": "2026-12-04T10:00:00"}).status == 409


def test_the_samples_are_known_with_their_names() -> None:
    world = EmrWorld(clock=lambda: NOW)
    bones = world.practice("00000000-0000-4000-8000-000000000005")
    assert bones is not None
    assert [place.name for place in bones.places] == ["Main Campus"]
    assert [(each.id, each.given, each.family) for each in bones.providers] == [
        (417, "Hana", "Example"), (704, "Ivo", "Example"), (811, "Jun", "Example"),
    ]  # fmt: skip
    assert bones.places[0].zone == "America/Chicago"
    assert world.practice(PRACTICE) is None
