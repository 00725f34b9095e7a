"""What earlier passes planned is sent only where it would be planned today."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.sync_report import LocationReport
from reconciler.workflow import holding, operating
from reconciler.workflow.holding import Ledger
from tests.syncing import PARENT, SLUG, START, Bench, bench

HERE = PARENT + 1
WEEK_AGO = START - timedelta(days=7)
CHECKIN = "/resources/v1/contact/external/preferences/checkin"
TYPE = "'Appointment type' is not in the allowed list"
TYPES = "appointment.types"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.limit(max_contacts_per_run=1)
        yield made


def opened(it: Bench) -> Ledger:
    return Ledger(it.store, it.deps.ledger, it.deps.keys)


def held(it: Bench) -> list[str]:
    return [row.why for row in holding.held(opened(it))]


def resend(it: Bench) -> None:
    ids = [row.id for row in holding.held(opened(it))]
    holding.act(opened(it), "resend", ids, by="Ann", reason="asked", now=it.clock.now())


def shown(report: LocationReport) -> dict[str, Any]:
    found = report.to_json()
    names = ("read", "eligible", "sent", "already_sent", "restricted", "skipped", "held", "failed", "pending")
    return {name: found[name] for name in names if found[name]}


def plan(it: Bench, *, kinds: tuple[int, int] = (0, 0), **document: Any) -> None:
    """Two visits of yesterday that the cap holds back."""
    it.put(at=WEEK_AGO, **document)
    for kind in kinds:
        it.book("2026-11-23", kind=kind)
    assert it.one().status == "stopped"


# floor -----------------------------------------------------------------------------------------------------------


def test_an_unknown_check_in_from_before_the_floor_is_given_up_when_nobody_knows_it(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.book("2026-11-23")
    it.app.faults.arm(f"{CHECKIN}:1:reset-before-commit")
    assert it.one().counts.held == 1
    operating.pause(opened(it), SLUG, by="Ann", reason="asked", now=it.clock.now())
    it.clock.advance(days=1)
    operating.resume(opened(it), SLUG, by="Ann", reason="asked", now=it.clock.now())
    assert shown(it.one()) == {"read": 1, "skipped": {"discarded": 1}}
    assert (it.one().counts.sent, it.deliveries, held(it)) == (0, [], [])


def test_an_unknown_check_in_behind_the_floor_is_sent_once_more(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.book("2026-11-23")
    it.app.faults.arm(f"{CHECKIN}:1:reset-before-commit")
    it.one()
    it.clock.advance(days=1)
    assert shown(it.one()) == {"read": 1, "eligible": 1, "sent": 1}


# catch-up --------------------------------------------------------------------------------------------------------


def test_what_waits_for_longer_than_catch_up_reaches_is_too_late(it: Bench) -> None:
    plan(it)
    it.clock.advance(days=13)
    assert it.one(max_contacts=0).counts.pending == 2
    it.clock.advance(days=1)
    expected = {"read": 2, "skipped": {"too_late": 2}}
    assert shown(it.one(max_contacts=9, dry_run=True)) == expected
    assert shown(it.one(max_contacts=9)) == expected
    assert (shown(it.one(max_contacts=9)), it.deliveries) == ({}, [])


def test_a_backlog_that_was_declared_waits_as_long_from_the_day_it_was_put_in_force(it: Bench) -> None:
    it.put(at=WEEK_AGO, locations={HERE: {"contact_start": "2026-10-20"}})
    it.book("2026-10-25")
    it.book("2026-10-26")
    assert it.one().status == "stopped"
    it.clock.advance(days=1)
    assert it.one(max_contacts=9).counts.sent == 2


def test_what_a_person_has_sent_again_is_never_too_late(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    it.book("2026-11-23")
    it.app.faults.arm(f"{CHECKIN}:1:502-after-commit")
    it.one()
    with it.deps.ledger.begin() as connection:
        connection.exec_driver_sql("UPDATE visits SET state = 'held' WHERE state = 'unknown'")
    it.clock.advance(days=30)
    resend(it)
    assert it.one().counts.sent == 1


# by date ---------------------------------------------------------------------------------------------------------


def test_a_pass_of_a_named_day_sends_nothing_of_another_day(it: Bench) -> None:
    it.put(at=WEEK_AGO)
    for day in ("2026-11-22", "2026-11-23"):
        it.book(day)
    assert it.one().status == "stopped"
    dry = shown(it.one(kind="date", day=date(2026, 11, 23), dry_run=True))
    assert dry == {"read": 1, "eligible": 1, "pending": 1}
    assert shown(it.one(kind="date", day=date(2026, 11, 23))) == {"read": 1, "eligible": 1, "sent": 1}
    assert [each.counts.sent for each in it.sync(max_contacts=9).locations] == [1]


# filters ---------------------------------------------------------------------------------------------------------


def test_a_filter_that_was_narrowed_reaches_what_waits(it: Bench) -> None:
    plan(it, kinds=(0, 1))
    it.put(at=WEEK_AGO, wire={TYPES: "Surgery"})
    expected = {"read": 2, "eligible": 1, "restricted": {TYPE: 1}}
    assert shown(it.one(max_contacts=9, dry_run=True)) == expected | {"pending": 1}
    assert shown(it.one(max_contacts=9)) == expected | {"sent": 1}


def test_it_does_so_also_where_the_day_has_left_the_window(it: Bench) -> None:
    plan(it, kinds=(0, 1))
    it.put(at=WEEK_AGO, wire={TYPES: "Surgery"})
    it.clock.advance(days=9)
    expected = {"read": 2, "eligible": 1, "restricted": {TYPE: 1}}
    assert shown(it.one(max_contacts=9, dry_run=True)) == expected | {"pending": 1}
    assert shown(it.one(max_contacts=9)) == expected | {"sent": 1}


@pytest.mark.parametrize("document", [{"wire": {TYPES: "Follow Up"}}, {"excluded_patient_types": []}])
def test_a_change_that_excludes_nothing_of_what_waits_changes_nothing(it: Bench, document: dict[str, Any]) -> None:
    plan(it)
    it.put(at=WEEK_AGO, **document)
    assert shown(it.one(max_contacts=9)) == {"read": 2, "eligible": 2, "sent": 2}


def test_what_a_filter_of_patients_may_exclude_is_held_until_a_person_sends_it(it: Bench) -> None:
    plan(it)
    it.put(at=WEEK_AGO, minimum_age=18)
    assert shown(it.one(max_contacts=9)) == {"read": 2, "eligible": 2, "held": 2}
    assert (held(it), it.deliveries) == (["configuration_changed"] * 2, [])
    resend(it)
    assert it.one(max_contacts=9).counts.sent == 2


def test_what_was_planned_without_its_values_is_held_under_narrower_filters(it: Bench) -> None:
    plan(it)
    it.put(at=WEEK_AGO, wire={TYPES: "Follow Up"})
    with it.deps.ledger.begin() as connection:
        rows = connection.exec_driver_sql("SELECT practice, appointment, business FROM visits").all()
        for practice, appointment, business in rows:
            connection.exec_driver_sql(
                "UPDATE visits SET payload = NULL WHERE practice = ? AND appointment = ? AND business = ?",
                (practice, appointment, business),
            )
    assert shown(it.one(max_contacts=9)) == {"read": 2, "eligible": 2, "held": 2}


# dry run ---------------------------------------------------------------------------------------------------------


def test_a_dry_run_counts_what_waits_outside_the_window_as_the_pass_does(it: Bench) -> None:
    plan(it)
    it.clock.advance(days=9)
    assert shown(it.one(dry_run=True)) == {"read": 2, "eligible": 2, "pending": 2}
    assert shown(it.one(max_contacts=9)) == {"read": 2, "eligible": 2, "sent": 2}
