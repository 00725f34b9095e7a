"""Sentences of the sync's rules that no other test holds word by word, and bad input that no other test brings."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.clock import Clock
from reconciler.core import in_force as documents
from reconciler.core.records import InForce
from reconciler.errors import StoreError
from reconciler.sandbox.emr_options import Upset
from reconciler.settings.values import Settings
from reconciler.store import in_force, ledger, sync_marks, sync_passes
from reconciler.workflow import operating_sync, syncing
from reconciler.workflow.operating_sync import Asked
from tests.syncing import PARENT, PRACTICE_ID, SLUG, START, Bench, bench

HERE, THERE = PARENT + 1, PARENT + 2
WEEK_AGO = START - timedelta(days=7)
LOS_ANGELES = "America/Los_Angeles"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def mark(it: Bench, business: int = HERE) -> datetime | None:
    with it.store.read() as connection:
        state = sync_marks.location(connection, business)
    return state.mark if state is not None else None


# in force --------------------------------------------------------------------------------------------------------


def test_the_working_copy_is_neither_read_nor_written(it: Bench, tmp_path: Path) -> None:
    folder = tmp_path / "integrations"
    folder.mkdir()
    file = folder / f"{SLUG}.yaml"
    file.write_text("state: inactive\nnext_run: : no YAML at all\n")
    it.put()
    it.book("2026-11-23")
    runner = syncing.Runner(Settings(folder, None, tmp_path), Clock(), it.deps)
    report = operating_sync.sync(runner, Asked())
    assert [each.counts.sent for each in report.locations] == [1]
    assert file.read_text() == "state: inactive\nnext_run: : no YAML at all\n"
    assert [each.name for each in folder.iterdir()] == [file.name]


# window and first contact date -----------------------------------------------------------------------------------


def test_each_location_is_cut_by_its_own_start_of_today_although_one_read_serves_both(it: Bench) -> None:
    names = {HERE: "Downtown", THERE: "Midtown"}
    zones = {HERE: "America/New_York", THERE: LOS_ANGELES}
    places = {key: {"wire": {"location.name": names[key]}, "time_zone": zones[key]} for key in names}
    it.put(HERE, THERE, locations=places, at=WEEK_AGO)
    it.clock.at = datetime(2026, 11, 24, 6, tzinfo=UTC)  # the 24th in New York, still the 23rd in Los Angeles
    it.book("2026-11-23", 20, place=0)
    it.book("2026-11-23", 20, place=1, zone=LOS_ANGELES)
    before = it.requests.get("GET Appointment", 0)
    found = {each.business: each.counts.sent for each in it.sync().locations}
    assert (found, it.requests["GET Appointment"] - before) == ({HERE: 1, THERE: 0}, 1)
    it.clock.advance(hours=3)
    assert {each.business: each.counts.sent for each in it.sync().locations} == {HERE: 0, THERE: 1}


def test_the_first_mark_follows_the_settings_in_force_until_a_pass_succeeds(it: Bench) -> None:
    it.put(at=START - timedelta(days=3))
    it.book("2026-11-20")
    it.app.emr.options.upsets.append(Upset("/Appointment", "500", times=500))
    assert (it.one().status, mark(it)) == ("error", None)
    it.app.emr.options.upsets.clear()
    it.limit(contact_start=date(2026, 11, 20))
    assert it.one().counts.sent == 1
    it.book("2026-11-18")
    it.limit(contact_start=date(2026, 11, 18))
    assert it.one().counts.sent == 0  # the first mark stands; only the overlap is read again


def test_the_mark_moves_behind_visits_that_failed_are_held_or_quarantined(it: Bench) -> None:
    it.put()
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.app.emr.change_visit(known, it.book("2026-11-23"), shape="no_offset")
    it.book("2026-11-23")
    it.book("2026-11-23")
    it.limit(concurrency=1)
    checkin = "/resources/v1/contact/external/preferences/checkin"
    it.app.faults.arm(f"{checkin}:1:400")
    it.app.faults.arm(f"{checkin}:2:502-after-commit")
    counts = it.one().counts
    assert (counts.failed, counts.held, counts.quarantined, counts.sent) == (1, 1, 1, 0)
    assert mark(it) == datetime(2026, 11, 24, 5, tzinfo=UTC)


# catch-up --------------------------------------------------------------------------------------------------------


def apply(it: Bench, change: Mapping[str, Any], place: Mapping[str, Any]) -> None:
    """What ``apply`` does with a changed declaration: another configuration in force, with its moments."""
    with it.store.begin() as connection:
        old = in_force.in_force(connection, SLUG)
        assert old is not None
        new = copy.deepcopy(dict(old.document)) | dict(change)
        for location in new["locations"].values():
            location |= dict(place)
        now = it.clock.now()
        document = documents.with_moments(new, dict(old.document), now)
        revision = in_force.next_revision(connection, PARENT)
        in_force.put_in_force(connection, InForce(SLUG, PARENT, revision, now, "plan-2", "c0ffee", document))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"state": "inactive"}, {}),
        ({"state": "released"}, {}),
        ({"runner": "platform"}, {}),
        ({"beta": True}, {}),
        ({"triggers": ["appointmentTrigger"]}, {}),
        ({}, {"state": "inactive"}),
        ({}, {"active": False}),
        ({}, {"state": "released"}),
        ({}, {"waiting": "practice.id is masked; declare it"}),
    ],
)
def test_time_in_which_a_location_does_not_contact_is_never_made_up(
    it: Bench, change: dict[str, Any], place: dict[str, Any]
) -> None:
    it.put(at=WEEK_AGO)
    it.book("2026-11-23")
    assert it.one().counts.sent == 1
    usual = {"state": "active", "runner": "bundled", "beta": False, "triggers": ["nextechFulfilledAppointmentTrigger"]}
    back = {key: usual[key] for key in change}
    apply(it, change, place)
    it.clock.advance(days=3)
    it.book("2026-11-25")
    it.sync()
    apply(it, back, {key: {"state": "active", "active": True, "waiting": None}[key] for key in place})
    it.book("2026-11-26")
    it.clock.advance(days=2)  # the next pass comes later: the moment of the apply counts, not that of the pass
    it.book("2026-11-27", 9)
    it.sync()
    assert len(it.deliveries) == 2  # of the 23rd and of the 27th, the day of the apply
    assert mark(it) == datetime(2026, 11, 29, 5, tzinfo=UTC)


# by date ---------------------------------------------------------------------------------------------------------


def test_caps_and_the_ledger_hold_for_a_named_day_too(it: Bench) -> None:
    it.put(at=WEEK_AGO, locations={HERE: {"contact_start": "2026-11-10"}})
    it.limit(max_contacts_per_run=2)
    for _ in range(3):
        it.book("2026-11-20")
    report = it.sync(kind="date", day=date(2026, 11, 20))
    assert (report.locations[0].status, report.exit_code, it.deliveries) == ("stopped", 3, [])
    it.limit(max_contacts_per_run=3)
    assert it.one(kind="date", day=date(2026, 11, 20)).counts.sent == 3
    again = it.one(kind="date", day=date(2026, 11, 20))
    assert (again.counts.sent, again.counts.already_sent) == (0, 3)


# bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["checked-out", "FULFILLED?", "waitlist", "\u202efulfilled", "fulfilled cancelled"])
def test_a_status_that_nobody_knows_is_not_allowed_and_no_error(it: Bench, word: str) -> None:
    it.put()
    it.book("2026-11-23", status=word)
    report = it.sync()
    assert report.locations[0].counts.restricted == {"'Appointment status' is not in the allowed list": 1}
    assert (report.exit_code, it.deliveries) == (0, [])


def test_a_visit_far_in_the_future_or_the_past_contacts_nobody(it: Bench) -> None:
    it.put()
    for day in ("2027-06-01", "2099-12-31", "1950-01-02", "2026-11-25"):
        it.book(day)
    it.sync()
    assert it.deliveries == []


def test_a_server_that_ignores_the_dates_asked_for_contacts_nobody_of_other_days(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    client = it.deps.reads(False)
    real = client.appointments

    def everything(practice_id: str, **given: Any) -> Any:
        return real(practice_id, **given | {"start": date(2026, 1, 1), "end": date(2027, 12, 31)})

    client.appointments = everything  # type: ignore[method-assign]
    it.book("2026-12-24")
    it.book("2026-03-03")
    report = it.one()
    assert (report.counts.sent, report.counts.read) == (1, 1)


def test_two_records_of_one_person_under_two_ids_are_two_people(it: Bench) -> None:
    """Nextech has duplicates; whose the phone is cannot be known, so each record is contacted for its own visit."""
    it.put()
    it.book("2026-11-23", 9, patient=1)
    it.book("2026-11-23", 10, patient=2)
    assert it.one().counts.sent == 2
    assert it.app.contacts.seen()["most_per_external_id_and_day"] == 1


def test_two_records_under_one_id_that_say_different_things_contact_nobody(it: Bench) -> None:
    it.put()
    it.book("2026-11-23", patient=1)
    client = it.deps.reads(False)
    real = client.patients

    def doubled(practice_id: str, identifiers: Any) -> Any:
        for page in real(practice_id, identifiers):
            other = [copy.deepcopy(each) for each in page.resources]
            for each in other:
                each["telecom"] = [{"system": "email", "value": "somebody.else@example.com"}]
            yield type(page)((*page.resources, *other), page.rows, page.total)

    client.patients = doubled  # type: ignore[method-assign]
    report = it.one()
    assert (report.counts.quarantined, it.deliveries) == (1, [])
    (decision,) = [each for each in it.decisions if each["outcome"] == "quarantined"]
    assert decision["reason"] == "patient_duplicate_patient"
    client.patients = real  # type: ignore[method-assign]
    assert it.one().counts.sent == 1


@pytest.mark.parametrize("step", ["record", "claim", "mark", "number"])
def test_a_disk_that_fills_up_at_any_step_contacts_nobody_twice(
    it: Bench, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from reconciler.store import ledger_outbox

    it.put()
    for _ in range(3):
        it.book("2026-11-23")
    where: dict[str, tuple[Any, str]] = {
        "record": (ledger, "record"),
        "claim": (ledger_outbox, "claim"),
        "mark": (sync_marks, "put"),
        "number": (sync_passes, "begin"),
    }

    def full(*given: object, **more: object) -> None:
        raise StoreError("the store has no space left on its disk")

    with monkeypatch.context() as patched:
        patched.setattr(*where[step], full)
        report = it.one()
    assert (report.status, report.detail) == ("error", "the store has no space left on its disk")
    assert len(it.deliveries) == (3 if step == "mark" else 0)
    assert it.one().counts.read == 3
    assert len(it.deliveries) == 3
    assert it.app.contacts.seen()["most_per_external_id_and_day"] == 1


@pytest.mark.parametrize("hours", [-24 * 30, -24, -1, 1, 24, 24 * 30])
def test_a_clock_that_jumps_while_a_pass_runs_contacts_nobody_twice_and_nobody_of_today(it: Bench, hours: int) -> None:
    it.put(at=WEEK_AGO)
    for day in range(20, 27):
        it.book(date(2026, 11, day), 9)
    client = it.deps.reads(False)
    real = client.patients

    def jumping(practice_id: str, identifiers: Any) -> Any:
        it.clock.advance(hours=hours)
        yield from real(practice_id, identifiers)

    client.patients = jumping  # type: ignore[method-assign]
    it.sync()
    client.patients = real  # type: ignore[method-assign]
    it.clock.at = START + timedelta(minutes=1)
    it.sync()
    assert it.app.contacts.seen()["most_per_external_id_and_day"] == 1
    assert len(it.deliveries) <= 4  # the 23rd and the overlap: nobody of the 24th and later


@pytest.mark.parametrize("number", range(20))
def test_a_practice_id_of_another_practice_is_refused_before_the_first_request(it: Bench, number: int) -> None:
    it.put()
    it.book("2026-11-23")
    reference = f"env:RECONCILER_SECRET_{SLUG.upper().replace('-', '_')}_PRACTICE_ID"
    it.secrets[reference] = f"00000000-0000-4000-8000-{number:012d}"
    report = it.sync()
    assert (report.locations[0].status, report.exit_code, it.requests, it.deliveries) == ("stopped", 3, {}, [])
