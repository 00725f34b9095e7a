"""Which visits a pass looks at: who is due, windows, first contact date, catch-up, floors."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.store import sync_marks
from tests.syncing import OTHER_ID, PARENT, PRACTICE_ID, SLUG, START, Bench, as_json, bench

HERE, THERE = PARENT + 1, PARENT + 2
WEEK_AGO = START - timedelta(days=7)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def test_the_visits_of_yesterday_are_contacted_and_those_of_today_are_not(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.book("2026-11-24", 9)
    report = it.one()
    assert (report.counts.read, report.counts.sent) == (1, 1)
    assert (report.start, report.to) == (
        datetime(2026, 11, 22, 5, tzinfo=UTC),
        datetime(2026, 11, 24, 5, tzinfo=UTC),
    )


def test_a_second_pass_sends_nothing(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.sync()
    report = it.one()
    assert (report.counts.read, report.counts.sent, report.counts.already_sent) == (1, 0, 1)
    assert len(it.deliveries) == 1


def test_the_first_contact_date_is_the_day_before_the_location_was_put_in_force(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    for day in range(14, 24):
        it.book(date(2026, 11, day))
    assert it.one().counts.sent == 8  # the 16th to the 23rd


def test_a_location_has_its_own_first_contact_date(it: Bench) -> None:
    it.put(at=WEEK_AGO, locations={HERE: {"contact_start": "2026-11-21"}})
    for day in range(14, 24):
        it.book(date(2026, 11, day))
    assert it.one().counts.sent == 3


def test_a_global_first_contact_date_counts_where_it_is_recent(it: Bench) -> None:
    it.limit(contact_start=date(2026, 11, 10))
    it.put(at=START - timedelta(days=1))
    for day in range(8, 24):
        it.book(date(2026, 11, day))
    assert it.one().counts.sent == 14


def test_a_global_first_contact_date_that_is_too_old_is_ignored_with_a_warning(it: Bench) -> None:
    it.limit(contact_start=date(2026, 1, 1))
    it.put()
    it.book("2026-11-20")
    report = it.one()
    assert (report.counts.read, len(report.warnings)) == (0, 1)
    assert "2026-01-01" in report.warnings[0]


def test_where_the_group_is_not_ours_nothing_before_the_day_in_force_is_contacted(it: Bench) -> None:
    it.put(at=START - timedelta(days=2), group_created=False, locations={HERE: {"contact_start": "2026-11-01"}})
    for day in (20, 21, 22, 23):
        it.book(date(2026, 11, day))
    report = it.one()
    assert (report.counts.sent, len(report.warnings)) == (2, 1)
    assert it.one().counts.sent == 0


def test_a_location_that_is_known_but_not_to_this_ledger_begins_with_the_day_in_force(it: Bench) -> None:
    it.deps.known_before = lambda business: True
    it.put(at=START - timedelta(days=1))
    it.book("2026-11-22")
    it.book("2026-11-23")
    assert it.one().counts.sent == 1
    it.clock.advance(days=1)
    assert it.one().counts.read == 1


def test_the_fetch_delay_shifts_the_window(it: Bench) -> None:
    it.put(at=WEEK_AGO, wire={"customer.fetch.delay": "2"})
    for day in (20, 21, 22, 23):
        it.book(date(2026, 11, day))
    assert it.one().to == datetime(2026, 11, 22, 5, tzinfo=UTC)
    assert len(it.deliveries) == 2


def test_a_longer_fetch_delay_gives_empty_windows_and_the_mark_stays(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.sync()
    it.put(at=WEEK_AGO, wire={"customer.fetch.delay": "5"})
    it.clock.advance(days=1)
    it.book("2026-11-24")
    assert it.one().counts.sent == 0
    with it.store.read() as connection:
        state = sync_marks.location(connection, HERE)
    assert state is not None
    assert state.mark == datetime(2026, 11, 24, 5, tzinfo=UTC)


def test_a_visit_completed_late_is_found_within_the_overlap(it: Bench) -> None:
    it.put()
    number = it.book("2026-11-23", status="arrived")
    assert it.one().counts.restricted == {"'Appointment status' is not in the allowed list": 1}
    it.clock.advance(days=2)
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.app.emr.change_visit(known, number, status="fulfilled")
    assert it.one().counts.sent == 1


def test_a_visit_completed_after_the_overlap_is_lost(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    number = it.book("2026-11-20", status="arrived")
    it.sync()
    it.clock.advance(days=3)
    it.sync()
    it.clock.advance(days=1)
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.app.emr.change_visit(known, number, status="fulfilled")
    assert it.one().counts.sent == 0


def test_time_that_the_runner_was_down_is_made_up(it: Bench) -> None:
    it.put()
    it.sync()
    for day in (24, 25, 26, 27):
        it.book(date(2026, 11, day))
    it.clock.advance(days=4)
    assert it.one().counts.sent == 4


def test_catch_up_ends_at_max_catch_up_days_and_the_rest_is_closed_as_too_late(it: Bench) -> None:
    it.put()
    it.sync()
    it.book("2026-11-25")
    it.book("2026-12-14")
    it.clock.advance(days=21)
    report = it.one()
    assert (report.counts.sent, report.counts.skipped) == (1, {"too_late": 1})
    it.limit(max_catch_up_days=60)
    assert it.one().counts.sent == 0


def test_time_in_beta_is_never_made_up(it: Bench) -> None:
    it.put(at=WEEK_AGO, beta=True)
    it.book("2026-11-23")
    assert it.one().counts.restricted == {"Integration is beta": 1}
    it.clock.advance(days=2)
    it.book("2026-11-25")
    it.book("2026-11-26", 9)
    live = it.clock.now()
    it.put(at=WEEK_AGO, locations={HERE: {"contacting_since": live.isoformat()}})
    assert it.one().counts.sent == 0
    it.clock.advance(days=1)
    assert it.one().counts.sent == 1  # the 26th, on which it went live


def test_another_practice_id_begins_anew_on_that_day(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.sync()
    it.put(at=WEEK_AGO, practice_id=OTHER_ID, locations={HERE: {"contacting_since": it.clock.now().isoformat()}})
    it.book("2026-11-23", practice_id=OTHER_ID)
    it.book("2026-11-24", 8, practice_id=OTHER_ID)
    assert it.one().counts.read == 0
    it.clock.advance(days=1)
    assert it.one().counts.sent == 1


def test_a_pause_by_setting_is_never_made_up(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.sync()
    it.limit(pause_all=True)
    it.clock.advance(days=2)
    assert it.one().status == "paused"
    it.book("2026-11-24")
    it.limit(pause_all=False)
    assert it.one().counts.read == 0


def test_hourly_passes_only_read_the_overlap_again(it: Bench) -> None:
    it.put(locations={HERE: {"frequency": "1h"}})
    it.book("2026-11-23")
    it.book("2026-11-24", 8)
    it.sync()
    it.clock.advance(hours=2)
    report = it.one()
    assert (report.counts.already_sent, report.to) == (1, datetime(2026, 11, 24, 5, tzinfo=UTC))


def test_a_named_day_neither_uses_nor_moves_the_mark(it: Bench) -> None:
    it.put(at=WEEK_AGO, wire={"customer.fetch.delay": "3"})
    it.book("2026-11-22")
    report = it.one(kind="date", day=date(2026, 11, 22))
    assert (report.counts.sent, report.start, report.to) == (
        1,
        datetime(2026, 11, 22, 5, tzinfo=UTC),
        datetime(2026, 11, 23, 5, tzinfo=UTC),
    )
    with it.store.read() as connection:
        state = sync_marks.location(connection, HERE)
    assert state is not None
    assert state.mark is None


def test_a_named_day_is_at_most_yesterday(it: Bench) -> None:
    it.put()
    report = it.one(kind="date", day=date(2026, 11, 24))
    assert (report.status, "yesterday" in report.detail) == ("error", True)


def test_a_named_day_before_the_first_contact_date_contacts_nobody(it: Bench) -> None:
    it.put()
    it.book("2026-11-10")
    assert it.one(kind="date", day=date(2026, 11, 10)).counts.skipped == {"too_old": 1}


def test_a_dry_run_reports_the_same_and_records_nothing(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.book("2026-11-23", status="noshow")
    report = it.one(dry_run=True)
    assert (report.counts.pending, report.counts.eligible, len(it.deliveries)) == (1, 1, 0)
    with it.store.read() as connection:
        assert sync_marks.locations(connection) == {}
    assert it.app.contacts.requests["checkin"] == 0
    assert it.one().counts.sent == 1


def test_a_backfill_records_and_contacts_nobody_ever(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.book("2026-11-22")
    it.book("2026-11-23")
    report = it.one(kind="backfill", first=date(2026, 11, 22), last=date(2026, 11, 22))
    assert (report.counts.skipped, report.counts.read) == ({"backfilled": 1}, 1)
    report = it.one()
    assert (report.counts.sent, report.counts.skipped) == (1, {"backfilled": 1})


def test_only_what_is_due_runs_when_only_that_is_asked_for(it: Bench) -> None:
    it.put(HERE, locations={HERE: {"next_run": "2026-11-25T06:00:00-05:00"}})
    assert it.sync(due_only=True, kind="slot").locations == ()
    it.clock.at = datetime(2026, 11, 25, 11, 0, 1, tzinfo=UTC)
    assert it.one(due_only=True, kind="slot").status == "ok"
    assert it.sync(due_only=True, kind="slot").locations == ()


def test_a_pass_takes_locations_that_are_due_within_half_an_hour_and_no_others(it: Bench) -> None:
    it.put(
        HERE,
        THERE,
        PARENT + 3,
        locations={
            HERE: {"next_run": "2026-11-25T06:00:00-05:00"},
            THERE: {"next_run": "2026-11-25T06:30:00-05:00"},
            PARENT + 3: {"next_run": "2026-11-25T06:31:00-05:00"},
        },
    )
    it.clock.at = datetime(2026, 11, 25, 11, tzinfo=UTC)
    report = it.sync(due_only=True, kind="slot")
    assert [each.business for each in report.locations] == [HERE, THERE]
    assert it.requests["GET Appointment"] == 1


def test_missed_slots_are_one_pass(it: Bench) -> None:
    it.put(HERE, locations={HERE: {"frequency": "12h", "next_run": "2026-11-24T06:00:00-05:00"}})
    it.clock.advance(days=5)
    assert len(it.sync(due_only=True, kind="slot").locations) == 1
    assert it.sync(due_only=True, kind="slot").locations == ()


@pytest.mark.parametrize(
    ("document", "location", "status", "words"),
    [
        ({"runner": "platform"}, {}, "platform", "Birdeye's own scheduler runs the syncs"),
        ({"state": "inactive"}, {}, "inactive", "the business is inactive"),
        ({"state": "released"}, {}, "inactive", "released"),
        ({}, {"state": "inactive"}, "inactive", "the location is inactive"),
        ({}, {"active": False}, "inactive", "the location is inactive"),
        ({}, {"waiting": "practice.id is masked; declare it"}, "waiting", "practice.id is masked; declare it"),
        ({"triggers": ["appointmentTrigger"]}, {}, "inactive", "the trigger for review requests is not in force"),
        ({}, {"time_zone": None}, "waiting", "no time zone is in force; declare time_zone"),
    ],
)
def test_a_location_that_must_not_run_says_why_and_costs_no_request(
    it: Bench, document: dict[str, Any], location: dict[str, Any], status: str, words: str
) -> None:
    it.put(HERE, locations={HERE: location}, **document)
    it.book("2026-11-23")
    report = it.one()
    assert (report.status, words in report.detail) == (status, True)
    assert it.requests == {}


def test_a_practice_id_that_is_not_the_applied_one_does_not_run(it: Bench) -> None:
    it.put()
    it.secrets[f"env:RECONCILER_SECRET_{SLUG.upper().replace('-', '_')}_PRACTICE_ID"] = OTHER_ID
    whole = it.sync()
    assert whole.locations[0].status == "stopped"
    assert "is not the one that was applied" in whole.locations[0].detail
    assert (whole.exit_code, it.requests) == (3, {})


def test_the_report_is_the_published_document(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.book("2026-11-23", kind=1, status="cancelled")
    found = as_json(it.sync())
    assert found["locations"] == [
        {
            "business": HERE,
            "slug": SLUG,
            "window": {"from": "2026-11-22T05:00:00+00:00", "to": "2026-11-24T05:00:00+00:00"},
            "read": 2,
            "eligible": 1,
            "sent": 1,
            "already_sent": 0,
            "restricted": {"'Appointment status' is not in the allowed list": 1},
            "skipped": {},
            "quarantined": 0,
            "held": 0,
            "failed": 0,
            "pending": 0,
            "requests": {"Appointment": 1, "Patient": 1, "checkin": 1, "update-feed": 2},
            "status": "ok",
        }
    ]
    assert (found["format_version"], found["kind"], found["dry_run"]) == ("1.0", "sync", False)
