"""What a pass asks Nextech, and no more: one read for all, patients once, names once a day; whose visit it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest

from reconciler.sync import extract
from reconciler.sync.naming import UNKNOWN
from tests.syncing import PARENT, PRACTICE_ID, START, Bench, bench

HERE, THERE = PARENT + 1, PARENT + 2
WEEK_AGO = START - timedelta(days=7)
NAMED = {
    HERE: {"wire": {"location.name": "Downtown"}},
    THERE: {"wire": {"location.name": "Midtown"}},
}


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def test_fifty_locations_of_one_practice_cost_the_pages_of_one_window_and_the_patients(it: Bench) -> None:
    locations = {PARENT + n: {"wire": {"practitioner.id": "417" if n == 1 else str(9000 + n)}} for n in range(1, 51)}
    it.put(*locations, locations=locations)
    for _ in range(120):
        it.book("2026-11-23")
    report = it.sync()
    assert sum(each.counts.sent for each in report.locations) == 120
    assert it.requests == {"POST token": 1, "GET Appointment": 3, "GET Patient": 3}
    assert report.passes[0].requests == {"Appointment": 3, "Patient": 3, "checkin": 120, "update-feed": 2}


def test_each_patient_is_asked_for_once_and_fifty_at_a_time(it: Bench) -> None:
    it.put(at=WEEK_AGO, locations={HERE: {"contact_start": "2026-11-21"}})
    for patient in range(1, 76):
        it.book("2026-11-21", patient=patient)
        it.book("2026-11-23", patient=patient)
    assert it.one().counts.sent == 150
    assert it.requests["GET Patient"] == 2


def test_the_patients_of_all_locations_share_their_requests(it: Bench) -> None:
    it.put(*NAMED, locations=NAMED)
    for _ in range(20):
        it.book("2026-11-23", place=0)
        it.book("2026-11-23", place=1)
    report = it.sync()
    assert [each.counts.sent for each in report.locations] == [20, 20]
    assert it.requests["GET Patient"] == 1


def test_patients_of_visits_that_are_held_back_anyway_are_not_read(it: Bench) -> None:
    it.put()
    it.book("2026-11-23", status="cancelled")
    it.book("2026-11-23", patient=None)
    assert it.one().counts.skipped == {"not_a_patient": 1}
    assert "GET Patient" not in it.requests


def test_the_overlap_asks_for_no_patient_that_was_decided(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.sync()
    it.sync()
    assert (it.requests["GET Appointment"], it.requests["GET Patient"]) == (2, 1)


def test_a_patient_that_does_not_come_back_is_not_found_and_is_looked_for_again(it: Bench) -> None:
    it.put()
    number = it.book("2026-11-23")
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    patient = it.app.emr.chart(known).patient_of(number)
    assert patient is not None
    it.app.emr.options.merged = "absent"
    it.app.emr.merge(known, patient, 77)
    assert it.one().counts.skipped == {"patient_not_found": 1}
    it.app.emr.edits(known).merged.clear()
    it.app.emr.touch(known)
    assert it.one().counts.sent == 1


def test_a_long_read_is_split_by_days_and_sends_the_same(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extract, "CHUNK_VISITS", 60)
    it.put(at=WEEK_AGO)
    for day in range(16, 24):
        for _ in range(25):
            it.book(date(2026, 11, day), minute=day % 60)
    assert it.one().counts.sent == 200
    assert it.requests["GET Appointment"] <= 200 // 50 + 1 + 5


def test_location_names_are_read_once_a_day(it: Bench) -> None:
    it.put(HERE, THERE, locations=NAMED)
    it.sync()
    it.sync()
    assert it.requests["GET Location"] == 1
    it.clock.advance(days=1, seconds=1)
    it.sync()
    assert it.requests["GET Location"] == 2


def test_a_name_that_nextech_does_not_know_stops_its_location_alone_and_says_which_ones_there_are(it: Bench) -> None:
    locations = {**NAMED, THERE: {"wire": {"location.name": "Midtwon"}}}
    it.put(HERE, THERE, locations=locations)
    it.book("2026-11-23", place=0)
    it.book("2026-11-23", place=1)
    report = it.sync()
    first, second = report.locations
    assert (first.status, first.counts.sent) == ("ok", 1)
    assert (second.status, second.detail) == ("error", f"{UNKNOWN}: Midtwon")
    assert second.crm_locations == ("Downtown", "Example Hospital", "Midtown")
    assert report.exit_code == 5
    assert it.requests["GET Location"] == 1
    (event,) = it.events
    assert event[0] == "configured locations do not exist in nextech"
    assert event[1]["crm_locations"] == ["Downtown", "Example Hospital", "Midtown"]


def test_a_name_that_is_missing_from_yesterdays_list_is_looked_up_once_more(it: Bench) -> None:
    it.put(HERE, THERE, locations=NAMED)
    it.sync()
    it.put(HERE, THERE, locations={**NAMED, THERE: {"wire": {"location.name": "Example Hospital"}}})
    assert [each.status for each in it.sync().locations] == ["ok", "ok"]
    assert it.requests["GET Location"] == 1
    it.put(HERE, THERE, locations={**NAMED, THERE: {"wire": {"location.name": "Elsewhere"}}})
    assert [each.status for each in it.sync().locations] == ["ok", "error"]
    assert it.requests["GET Location"] == 2


def test_visits_go_to_the_location_of_their_name(it: Bench) -> None:
    it.put(HERE, THERE, locations=NAMED)
    it.book("2026-11-23", place=0)
    it.book("2026-11-23", place=1)
    it.book("2026-11-23", place=1)
    assert [each.counts.sent for each in it.sync().locations] == [1, 2]
    assert sorted(each.business for each in it.deliveries) == [HERE, THERE, THERE]


def test_among_the_locations_of_a_name_the_practitioner_decides(it: Bench) -> None:
    it.put(
        HERE,
        THERE,
        locations={HERE: {"wire": {"practitioner.id": "417"}}, THERE: {"wire": {"practitioner.id": "704"}}},
    )
    it.book("2026-11-23", provider=0)
    it.book("2026-11-23", provider=1)
    assert [each.counts.sent for each in it.sync().locations] == [1, 1]


def test_one_location_of_the_name_counts_other_practitioners(it: Bench) -> None:
    it.put(wire={"practitioner.id": "704"})
    it.book("2026-11-23", provider=0)
    report = it.one()
    assert (report.counts.read, report.counts.skipped) == (1, {"other_practitioner": 1})


def test_a_visit_of_no_name_is_unassigned_and_in_no_locations_read(it: Bench) -> None:
    it.put(HERE, locations={HERE: NAMED[HERE]})
    it.book("2026-11-23", place=1)
    report = it.sync()
    assert (report.locations[0].counts.read, report.passes[0].unassigned) == (0, 1)


def test_a_visit_that_two_locations_claim_is_held(it: Bench) -> None:
    it.put(HERE, THERE)
    it.book("2026-11-23")
    report = it.sync()
    assert [each.counts.held for each in report.locations] == [1, 0]
    assert (len(it.deliveries), report.exit_code) == (0, 5)


def test_two_businesses_of_one_practice_share_one_read(it: Bench) -> None:
    it.put(HERE, locations={HERE: NAMED[HERE]})
    it.put(PARENT + 21, slug="another", parent=PARENT + 20, locations={PARENT + 21: NAMED[THERE]})
    it.book("2026-11-23", place=0)
    it.book("2026-11-23", place=1)
    assert [each.counts.sent for each in it.sync().locations] == [1, 1]
    assert it.requests["GET Appointment"] == 1


def test_a_second_visit_of_a_patient_on_one_day_is_a_duplicate(it: Bench) -> None:
    it.put()
    it.book("2026-11-23", 9, patient=5)
    it.book("2026-11-23", 11, patient=5)
    report = it.one()
    assert (report.counts.sent, report.counts.skipped) == (1, {"duplicate_visit": 1})


def test_a_second_visit_that_is_seen_only_later_is_stopped_by_the_ledger(it: Bench) -> None:
    it.put()
    it.book("2026-11-23", 11, patient=5)
    it.sync()
    it.book("2026-11-23", 9, patient=5)
    report = it.one()
    assert (report.counts.sent, report.counts.skipped, len(it.deliveries)) == (0, {"duplicate_visit": 1}, 1)


def test_types_statuses_and_custom_statuses_hold_back_with_the_manuals_words(it: Bench) -> None:
    it.put(wire={"appointment.types": "Surgery", "appointment.custom.status": "Checked Out"})
    it.book("2026-11-23", kind=0)
    it.book("2026-11-23", kind=1, custom="Roomed")
    it.book("2026-11-23", kind=1, status="noshow")
    it.book("2026-11-23", kind=1, custom="Checked Out")
    report = it.one()
    assert (report.counts.sent, dict(report.counts.restricted)) == (
        1,
        {
            "'Appointment status' is not in the allowed list": 1,
            "'Appointment type' is not in the allowed list": 1,
            "'Custom Appointment Status' is not in the allowed list": 1,
        },
    )
    keys = {key for each in it.decisions for key in each if "." in key or key == "beta"}
    assert keys == {
        "additionalParams.appointment.status",
        "additionalParams.appointment.types",
        "appointment.custom.status",
    }


def test_a_search_by_name_is_made_where_it_costs_fewer_requests(it: Bench) -> None:
    it.put(HERE, THERE, at=WEEK_AGO, locations={**NAMED, THERE: NAMED[THERE] | {"frequency": "7d"}})
    for day in range(16, 24):
        it.book(date(2026, 11, day), place=0)
        for _ in range(90):
            it.book(date(2026, 11, day), place=1)
    it.sync()
    before = it.requests["GET Appointment"]
    it.clock.advance(days=1)
    it.book("2026-11-24", place=0)
    report = it.one(str(HERE))
    assert (report.counts.sent, report.counts.read) == (1, 4)
    assert it.requests["GET Appointment"] - before == 1
