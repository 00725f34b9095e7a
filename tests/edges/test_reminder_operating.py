"""Reminders as people meet them: when they are due, what stops them, what status and the report of a sync say."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciler.clients.appointments import AppointmentsClient, Paths
from reconciler.clock import Clock
from reconciler.core.sync_report import LocationReport
from reconciler.report import status_text
from reconciler.report.sync_text import render_sync
from reconciler.report.view_other import view_of_sync
from reconciler.settings.values import Settings
from reconciler.store import reminders as kept
from reconciler.store import sync_practices, sync_slots
from reconciler.store.sync_practices import ALL, Pause
from reconciler.sync.engine import ThreadEngine
from reconciler.sync.planner import Planner
from reconciler.sync.runner import Runner
from reconciler.workflow import operating, syncing
from reconciler.workflow.holding import Ledger
from tests.edges.test_reminder_requests import ask, booked
from tests.edges.test_reminder_upserts import BOTH, NEXT_WEEK, UPSERT, delete, run, told
from tests.syncing import PARENT, PRACTICE_ID, START, Bench, as_json, bench

HERE = PARENT + 1
WEEK_AGO = START - timedelta(days=7)
REVIEWS = "nextechFulfilledAppointmentTrigger"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def planner(it: Bench) -> Planner:
    engine = ThreadEngine(
        it.store, lambda job: "", workers=0, name="a", is_held=lambda practice: False, monotonic=it.clock.monotonic
    )
    return Planner(it.deps, engine)


def due(it: Bench) -> list[int]:
    return [each.place.business for each in planner(it).tick(it.clock.now())[1]]


def state(it: Bench) -> kept.ReminderState:
    with it.store.read() as connection:
        (found,) = kept.locations(connection).values()
    return found


# when they are due -----------------------------------------------------------------------------------------------


def test_a_location_without_review_requests_is_due_at_its_own_slots(it: Bench) -> None:
    it.put(at=WEEK_AGO, triggers=BOTH)
    assert due(it) == [HERE]
    (found,) = it.sync(kind="slot", due_only=True).locations
    assert (found.status, found.detail) == ("inactive", "the trigger for review requests is not in force")
    assert found.reminders is not None
    assert found.reminders.status == "ok"
    assert due(it) == []
    it.clock.advance(hours=6)
    assert due(it) == []
    (later,) = it.sync(kind="slot", due_only=True).locations
    assert later.reminders is None
    it.clock.advance(days=1)
    assert due(it) == [HERE]


def test_a_pass_that_failed_is_due_again_after_ten_minutes(it: Bench) -> None:
    it.put(at=WEEK_AGO, triggers=UPSERT)
    it.book(NEXT_WEEK, status="pending")
    it.app.faults.arm("/nextech-api/api/Appointment:*:503")
    report = it.sync(kind="slot", due_only=True)
    assert report.locations[0].reminders is not None
    assert (report.locations[0].reminders.status, report.exit_code) == ("error", 5)
    assert [each.kind for each in it.changes] == ["error"]
    assert due(it) == []
    it.clock.advance(minutes=11)
    it.app.faults.clear()
    assert due(it) == [HERE]
    it.sync(kind="slot", due_only=True)
    assert len(told(it)) == 1
    assert [each.kind for each in it.changes] == ["error", "recovered"]
    assert due(it) == []


def test_both_kinds_of_a_location_are_one_job(it: Bench) -> None:
    it.put(at=WEEK_AGO, triggers=[REVIEWS, *BOTH])
    it.book("2026-11-23")
    made = planner(it)
    assert made.tick(it.clock.now())[0] == 1
    with it.store.read() as connection:
        assert sync_slots.backlog(connection)[:2] == (1, 0)
    it.sync(kind="slot", due_only=True)
    assert made.tick(it.clock.now())[1] == ()


def test_the_runner_makes_the_pass(it: Bench) -> None:
    it.put(at=WEEK_AGO, triggers=BOTH)
    it.book(NEXT_WEEK, status="pending")
    made = Runner(
        it.deps,
        workers=1,
        name="here",
        monotonic=it.clock.monotonic,
        retention_days=400,
        try_token=lambda plus: None,
    )
    made._engine.start()
    made.tick()
    for _ in range(250):
        if told(it):
            break
        threading.Event().wait(0.02)
    assert made._engine.drain(10)
    assert told(it) == [("2026-12-01T15:00", "booked")]


def test_paused_platform_and_beta_are_never_due(it: Bench) -> None:
    for document in ({"beta": True}, {"runner": "platform"}):
        it.put(at=WEEK_AGO, triggers=BOTH, **document)
        assert due(it) == []
    it.put(at=WEEK_AGO, triggers=BOTH)
    with it.store.begin() as connection:
        sync_practices.pause(connection, Pause(ALL, it.clock.now(), "ada", "holiday"))
    assert due(it) == []


# what stops them -------------------------------------------------------------------------------------------------


def test_a_second_executor_stops_reminders_too(it: Bench) -> None:
    it.put(triggers=BOTH)
    it.book(NEXT_WEEK, status="pending")
    it.deps.second_executor = lambda places, dry_run: {place.business: "somebody else runs it" for place in places}
    report = it.sync()
    assert report.locations[0].reminders is not None
    assert (report.locations[0].reminders.status, report.exit_code) == ("stopped", 3)
    it.put(triggers=[REVIEWS, *BOTH])
    assert run(it).detail == "somebody else runs it"
    assert told(it) == []


def test_the_cap_of_review_requests_does_not_stop_reminders(it: Bench) -> None:
    it.limit(max_contacts_per_run=1)
    it.put(triggers=[REVIEWS, *BOTH])
    it.book("2026-11-23")
    it.book("2026-11-23", hour=11)
    report = it.sync()
    assert report.locations[0].status == "stopped"
    assert report.locations[0].reminders is not None
    assert report.locations[0].reminders.status == "ok"
    assert len(told(it)) == 2


def test_a_ledger_that_is_not_the_newest_books_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with bench(tmp_path, ledger_folder=tmp_path / "a") as before:
        before.put(triggers=BOTH)
        ask(before)
        assert run(before).status == "ok"
        assert len(booked(before)) == 1
    with bench(tmp_path, ledger_folder=tmp_path / "b") as after:
        after.secrets["env:KEY"] = "sandbox-key-skin-group"
        after.secrets["env:RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID"] = PRACTICE_ID
        ask(after)
        report = after.sync()
        assert report.locations[0].reminders is not None
        assert (report.locations[0].reminders.status, report.exit_code) == ("stopped", 3)
        assert "the ledger is not the newest" in report.locations[0].reminders.detail
        assert booked(after) == []


def test_a_pause_that_comes_while_a_pass_runs_ends_it_and_loses_nothing(it: Bench) -> None:
    it.put(triggers=BOTH)
    for hour in (9, 10, 11):
        it.book(NEXT_WEEK, status="pending", hour=hour)

    def pause(moment: str, request: object) -> None:
        if moment == "after" and len(told(it)) == 1:
            with it.store.begin() as connection:
                sync_practices.pause(connection, Pause(ALL, it.clock.now(), "ada", "stop"))
            it.clock.advance(seconds=1)

    it.deps.limits = type(it.deps.limits)(concurrency=1)
    it.app.on_boundary = pause
    report = it.sync()
    it.app.on_boundary = None
    assert report.locations[0].reminders is not None
    assert report.locations[0].reminders.status in ("paused", "ok")
    with it.store.begin() as connection:
        sync_practices.resume(connection, ALL)
    assert run(it).status == "ok"
    assert len(it.app.contacts.book.stored) == 3


def test_a_location_on_another_practice_id_begins_anew(it: Bench) -> None:
    it.put(triggers=UPSERT)
    it.book(NEXT_WEEK, status="pending")
    run(it)
    other = "00000000-0000-4000-8000-0000000000bb"
    it.put(triggers=UPSERT, practice_id=other)
    it.book("2026-10-01", status="fulfilled", practice_id=other)
    it.clock.advance(days=1)
    report = run(it)
    assert report.upsert is not None
    assert (report.upsert.since, report.upsert.sent) == (None, 1)


def test_an_unknown_location_name_stops_reminders_with_the_names_there_are(it: Bench) -> None:
    it.put(triggers=UPSERT, wire={"location.name": "Uptown"})
    it.book(NEXT_WEEK, status="pending")
    report = run(it)
    assert (report.status, report.detail) == ("error", "configured locations do not exist in nextech: Uptown")
    assert told(it) == []


# what people are shown -------------------------------------------------------------------------------------------


def opened(it: Bench) -> Ledger:
    return Ledger(it.store, it.store, it.deps.keys)


def test_status_shows_how_reminders_fare(it: Bench) -> None:
    it.put(triggers=BOTH)
    (before,) = operating.status(opened(it), now=it.clock.now())
    assert before.reminders is not None
    assert (before.reminders.status, before.reminders.detail) == ("waiting", "has not run yet")
    it.book(NEXT_WEEK, status="pending")
    ask(it)
    it.sync()
    found = operating.status(opened(it), now=it.clock.now())
    assert found[0].reminders is not None
    assert found[0].reminders.to_json() == {
        "status": "ok",
        "detail": "",
        "mark": "2026-11-24T15:00:00+00:00",
        "checked_at": "2026-11-24T15:00:00+00:00",
        "last_success": "2026-11-24T15:00:00+00:00",
        "next_due": found[0].reminders.to_json()["next_due"],
        "appointments": {"booked": 2},
        "requests": {"accepted": 1},
    }
    text = status_text.render_status(found)
    assert "    reminders: ok\n" in text
    assert "            appointments: 2 booked\n            requests of patients: 1 accepted\n" in text
    it.put(triggers=[REVIEWS])
    (without,) = operating.status(opened(it), now=it.clock.now())
    assert (without.reminders, without.to_json()["reminders"]) == (None, None)


def test_authorize_lets_reminders_run_again(it: Bench) -> None:
    it.put(at=WEEK_AGO, triggers=BOTH)
    it.book(NEXT_WEEK, status="pending")
    it.app.emr.unauthorised[PRACTICE_ID] = 401
    it.sync()
    assert state(it).status == "unauthorised"
    assert due(it) == []
    it.app.emr.unauthorised.clear()
    runner = syncing.Runner(Settings(Path(), None, Path()), Clock(), it.deps)
    operating.authorize(runner, str(PARENT), by="ada", reason="mended")
    assert (state(it).status, state(it).detail) == ("waiting", "authorised again")
    assert due(it) == [HERE]
    assert run(it).status == "ok"


def test_the_report_in_words(it: Bench) -> None:
    it.put(triggers=BOTH)
    gone = it.book(NEXT_WEEK, status="pending")
    it.book(NEXT_WEEK, status="pending", hour=11)
    it.book(NEXT_WEEK, custom="Roomed", hour=12)
    run(it)
    delete(it, gone)
    it.clock.advance(days=1)
    ask(it)
    ask(it, kind="cancel", externalId="not-ours")
    report = it.sync()
    assert report.passes[0].requests == {
        "Appointment": 4,
        "POST Appointment": 1,
        "Patient": 2,
        "appointment": 2,
        "requestResult": 2,
        "requests": 2,
    }
    assert render_sync(report) == (
        "example-skin-group\n"
        "  100000000000101  inactive: the trigger for review requests is not in force\n"
        "    reminders ok\n"
        "      3 appointments: 2 told, 1 unchanged, 1 vanished\n"
        "      unsent 1: custom_status\n"
        "      2 requests of patients: 1 accepted, 1 rejected\n"
        "Sync: 0 of 1 locations ran, 0 visits read, 0 sent, 0 sent before, 0 held back, told of 2 appointments, answered 2 "
        "requests of patients, 13 requests.\n"
    )


def test_a_trouble_of_reminders_is_one_of_the_location_in_every_form(it: Bench) -> None:
    it.put(triggers=[REVIEWS, *BOTH])
    it.limit(max_contacts_per_run=1)
    for hour in (9, 10):
        it.book(NEXT_WEEK, status="pending", hour=hour)
    report = it.sync()
    (one,) = report.locations
    assert isinstance(one, LocationReport)
    assert (one.status, as_json(report)["locations"][0]["reminders"]["status"]) == ("ok", "stopped")
    view = view_of_sync(report)
    assert view.level == "error"
    (entry,) = view.groups[0].entries
    assert entry.remark is not None
    assert entry.remark.rule == "sync/stopped"


# a Birdeye without this contract ---------------------------------------------------------------------------------


@pytest.mark.parametrize("triggers", [[*BOTH, REVIEWS], [*UPSERT, REVIEWS], ["appointmentTrigger", REVIEWS]])
def test_a_birdeye_that_has_no_such_endpoints_is_no_failure_and_costs_one_request(
    it: Bench, triggers: list[str]
) -> None:
    it.put(triggers=triggers)
    it.book(NEXT_WEEK, status="booked")
    absent = Paths("/v1/absent/{externalId}", "/v1/absent/requests", "/v1/absent/requests/{requestId}/result")
    it.deps.appointments = AppointmentsClient(it.transports[-1], absent)
    report = it.sync()
    (location,) = report.locations
    assert location.reminders is not None
    assert (location.status, location.reminders.status) == ("ok", "inactive")
    assert location.reminders.detail.startswith("Birdeye has no appointments under the paths that are set")
    assert report.exit_code == 0
    assert location.requests["requests"] == 1
    assert "appointment" not in location.requests
    assert told(it) == []
    assert it.changes == []
    at = state(it).flow.next_due
    assert at is not None
    assert at > it.clock.now() + timedelta(hours=1)


def test_once_it_was_there_its_absence_is_looked_at_anew_at_each_slot(it: Bench) -> None:
    it.put(triggers=BOTH)
    it.book(NEXT_WEEK, status="booked")
    assert run(it).status == "ok"
    there = it.deps.appointments
    it.deps.appointments = AppointmentsClient(it.transports[-1], Paths(requests="/v1/absent"))
    assert run(it).status == "inactive"
    it.deps.appointments = there
    assert run(it).status == "ok"
