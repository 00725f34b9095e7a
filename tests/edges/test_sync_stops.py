"""What stops a location, a practice, an account or a product; and bad input, which never contacts anybody."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import LockHeld
from reconciler.sandbox.emr import Shares
from reconciler.sandbox.emr_options import Upset
from reconciler.sandbox.emr_token import set_password
from reconciler.store import leases, ledger, sync_marks, sync_practices
from reconciler.store.processes import Process
from reconciler.sync import context
from reconciler.sync.context import LOCK_PREFIX
from reconciler.sync.passes import run_pass
from reconciler.sync.sweep import standing
from tests.syncing import OTHER_ID, PARENT, PRACTICE_ID, START, Bench, bench, practice

HERE, THERE = PARENT + 1, PARENT + 2
OTHER_PARENT = PARENT + 20
WEEK_AGO = START - timedelta(days=7)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def two_practices(it: Bench) -> None:
    it.put(HERE)
    it.put(OTHER_PARENT + 1, slug="other", parent=OTHER_PARENT, practice_id=OTHER_ID)
    it.book("2026-11-23")
    it.book("2026-11-23", practice_id=OTHER_ID)


# caps ------------------------------------------------------------------------------------------------------------


def test_above_max_contacts_per_run_nothing_of_the_location_is_sent(it: Bench) -> None:
    it.limit(max_contacts_per_run=3)
    it.put()
    for _ in range(4):
        it.book("2026-11-23")
    report = it.sync()
    (one,) = report.locations
    assert (one.status, one.counts.sent, one.counts.pending, report.exit_code) == ("stopped", 0, 4, 3)
    assert "reconciler sync 100000000000101 --max-contacts 4 --by NAME --reason TEXT" in one.detail
    assert it.deliveries == []
    assert [each.kind for each in it.changes] == ["capped"]


def test_a_person_continues_behind_a_cap(it: Bench) -> None:
    it.limit(max_contacts_per_run=3)
    it.put()
    for _ in range(4):
        it.book("2026-11-23")
    it.sync()
    it.sync()
    assert [each.kind for each in it.changes] == ["capped"]
    report = it.one(max_contacts=4)
    assert (report.status, report.counts.sent, len(it.deliveries)) == ("ok", 4, 4)
    assert [each.kind for each in it.changes] == ["capped", "recovered"]


def test_what_a_cap_held_back_is_not_lost_when_the_days_have_gone_by(it: Bench) -> None:
    it.limit(max_contacts_per_run=3)
    it.put()
    for _ in range(4):
        it.book("2026-11-23")
    it.sync()
    it.clock.advance(days=9)
    report = it.one(max_contacts=10)
    assert (report.counts.sent, report.counts.read) == (4, 4)


def test_more_than_ten_times_the_median_is_a_cap_too(it: Bench) -> None:
    it.put(at=START - timedelta(days=10), locations={HERE: {"contact_start": "2026-11-08"}})
    for day in range(8, 24):
        for hour in (9, 10):
            it.book(date(2026, 11, day), hour)
    assert it.one().counts.sent == 32
    for _ in range(51):
        it.book("2026-11-24")
    it.clock.advance(days=1)
    report = it.one()
    assert (report.status, report.counts.pending) == ("stopped", 51)
    assert "2 a day are usual (at most 50" in report.detail


def test_without_two_weeks_of_history_there_is_no_such_cap(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.sync()
    for _ in range(51):
        it.book("2026-11-24")
    it.clock.advance(days=1)
    assert it.one().counts.sent == 51


# authorisation ---------------------------------------------------------------------------------------------------


def test_a_practice_that_answers_401_is_unauthorised_and_the_others_go_on(it: Bench) -> None:
    two_practices(it)
    it.app.emr.unauthorised[PRACTICE_ID] = 401
    report = it.sync()
    assert [(each.slug, each.status) for each in report.locations] == [
        ("example-skin-group", "unauthorised"),
        ("other", "ok"),
    ]
    assert report.exit_code == 5
    requests = it.requests["GET Appointment"]
    assert it.sync().locations[0].status == "unauthorised"
    assert it.requests["GET Appointment"] == requests + 1  # the other practice's
    assert [each.kind for each in it.changes] == ["unauthorised"]


def test_403_is_unauthorised_only_where_the_token_is_good_elsewhere(it: Bench) -> None:
    it.put(HERE)
    it.app.emr.unauthorised[PRACTICE_ID] = 403
    assert it.one().status == "error"
    it.put(OTHER_PARENT + 1, slug="other", parent=OTHER_PARENT, practice_id=OTHER_ID)
    it.book("2026-11-23", practice_id=OTHER_ID)
    it.sync("other")
    assert it.sync("example-skin-group").locations[0].status == "unauthorised"


@pytest.mark.parametrize("shut", [PRACTICE_ID, OTHER_ID])
def test_403_means_the_same_whichever_practice_came_first(it: Bench, shut: str) -> None:
    two_practices(it)
    it.app.emr.unauthorised[shut] = 403
    found = {each.slug: (each.status, each.counts.sent) for each in it.sync().locations}
    mine, other = ("example-skin-group", "other") if shut == PRACTICE_ID else ("other", "example-skin-group")
    assert found == {mine: ("unauthorised", 0), other: ("ok", 1)}
    assert it.changes[-1].kind == "unauthorised"


def test_403_of_every_practice_is_ours_and_nobody_is_asked_again(it: Bench) -> None:
    two_practices(it)
    it.app.emr.unauthorised |= {PRACTICE_ID: 403, OTHER_ID: 403}
    assert [each.status for each in it.sync().locations] == ["error", "error"]
    assert it.requests["GET Appointment"] == 4  # each with a renewed token once more


def test_the_mark_of_an_unauthorised_practice_stays_and_the_time_is_made_up(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.app.emr.unauthorised[PRACTICE_ID] = 401
    it.sync()
    it.clock.advance(days=3)
    it.book("2026-11-25")
    it.app.emr.unauthorised.clear()
    (one,) = standing(it.deps).practices
    with it.store.begin() as connection:
        sync_practices.put_authorised(connection, one.pseudonym, authorised=True, at=it.clock.now())
    assert it.one().counts.sent == 2


@pytest.mark.parametrize("state", ["expired", "locked"])
def test_credentials_of_ours_that_are_refused_have_every_practice_of_the_product_wait(it: Bench, state: str) -> None:
    two_practices(it)
    it.app.emr.accounts["reconciler@nextech-api.com"].state = state
    report = it.sync()
    assert [each.status for each in report.locations] == ["waiting", "waiting"]
    assert (len(report.errors), report.exit_code) == (1, 5)
    assert [(each.kind, each.subject) for each in it.changes] == [("credentials", "Nextech Select")]
    with it.store.read() as connection:
        assert all(each.mark is None for each in sync_marks.locations(connection).values())


def test_a_wrong_password_is_ours_as_well(it: Bench) -> None:
    it.put()
    set_password(it.app.emr, "reconciler@nextech-api.com", "another")
    assert it.one().status == "waiting"


# somebody else ---------------------------------------------------------------------------------------------------


def test_a_second_executor_stops_the_location(it: Bench) -> None:
    it.deps.second_executor = lambda places, dry_run: {HERE: "its next run moved"}
    it.put(
        HERE,
        THERE,
        locations={HERE: {"wire": {"location.name": "Downtown"}}, THERE: {"wire": {"location.name": "Midtown"}}},
    )
    it.book("2026-11-23", place=0)
    it.book("2026-11-23", place=1)
    report = it.sync()
    assert [(each.status, each.counts.sent) for each in report.locations] == [("stopped", 0), ("ok", 1)]
    assert report.exit_code == 3


def test_a_practice_that_another_process_runs_is_passed_over(it: Bench) -> None:
    two_practices(it)
    mine = next(each for each in standing(it.deps).practices if each.practice_id == PRACTICE_ID)
    with leases.acquire(it.store, LOCK_PREFIX + mine.pseudonym, leases.Holder("sync", "somebody")):
        report = it.sync()
        assert [each.status for each in report.locations] == ["waiting", "ok"]
        assert report.exit_code == 0
        assert it.sync("example-skin-group").exit_code == 6
    assert it.sync("example-skin-group").locations[0].counts.sent == 1


def test_a_pause_stops_a_running_pass_before_its_next_request(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(context, "LOOK_SECONDS", 0)
    it.limit(concurrency=1)
    it.put()
    for _ in range(30):
        it.book("2026-11-23")
    checkin = it.deps.contacts.checkin
    calls: list[int] = []

    def paused_after_five(business: int, api_key: str, body: Any) -> Any:
        calls.append(business)
        if len(calls) == 5:
            with it.store.begin() as connection:
                sync_practices.pause(connection, sync_practices.Pause(0, it.clock.now(), "Ann", "asked"))
        return checkin(business, api_key, body)

    it.deps.contacts.checkin = paused_after_five  # type: ignore[method-assign]
    report = it.one()
    assert report.status == "paused"
    assert len(it.deliveries) == 4  # the transport looked once more, and so the fifth did not leave
    assert report.counts.sent == 4
    assert report.counts.pending == 26


@pytest.mark.parametrize("paused", [HERE, PARENT])
def test_a_pause_of_a_location_or_its_business_stops_its_part_of_a_running_pass(
    it: Bench, monkeypatch: pytest.MonkeyPatch, paused: int
) -> None:
    """Another business of the same practice goes on."""
    monkeypatch.setattr(context, "LOOK_SECONDS", 0.0)
    it.limit(concurrency=1)
    it.put(HERE, wire={"location.name": "Downtown"})
    it.put(OTHER_PARENT + 1, slug="other", parent=OTHER_PARENT, wire={"location.name": "Midtown"})
    for number in range(20):
        it.book("2026-11-23", place=number % 2)
    checkin = it.deps.contacts.checkin
    asked = []

    def paused_after_three(business: int, api_key: str, body: Any) -> Any:
        asked.append(business)
        if asked.count(HERE) == 3 and business == HERE:
            with it.store.begin() as connection:
                sync_practices.pause(connection, sync_practices.Pause(paused, it.clock.now(), "Ann", "asked"))
        return checkin(business, api_key, body)

    it.deps.contacts.checkin = paused_after_three  # type: ignore[method-assign]
    here, other = it.sync().locations
    assert (here.business, here.status, here.detail) == (HERE, "paused", "it was paused while the pass ran")
    assert (here.counts.sent, here.counts.pending) == (3, 7)
    assert (other.business, other.status, other.counts.sent) == (OTHER_PARENT + 1, "ok", 10)
    assert it.sync().locations[0].status == "paused"
    assert len(it.deliveries) == 13


def test_lock_and_pause_are_looked_at_every_quarter_of_a_second_and_the_lease_s_age_before_each_request(
    it: Bench,
) -> None:
    at = [0.0]
    process = replace(Process.this(), elapsed=lambda: at[0])
    lease = leases.acquire(it.store, LOCK_PREFIX + "p", leases.Holder("sync", "somebody"), process=process)
    fence = context.Fence(it.store, lease, elapsed=lambda: at[0])
    fence()
    with it.store.begin() as connection:
        sync_practices.pause(connection, sync_practices.Pause(sync_practices.ALL, it.clock.now(), "Ann", "asked"))
    at[0] = 0.24
    fence()
    at[0] = 0.25
    for _ in range(2):  # what a look found, the next request hears as well
        with pytest.raises(context.Paused):
            fence()
    context.Fence(it.store, lease, sends=False, elapsed=lambda: at[0])()
    with it.store.begin() as connection:
        sync_practices.resume(connection, sync_practices.ALL)
    fence()
    lease.check_age()
    fence.elapsed = lambda: 0.25  # no time for a look has passed, and yet the lease ran out
    at[0] = leases.LEASE_SECONDS
    with pytest.raises(LockHeld):
        fence()


# Birdeye ---------------------------------------------------------------------------------------------------------


def test_a_stopped_account_loses_nothing(it: Bench) -> None:
    it.put()
    for _ in range(3):
        it.book("2026-11-23")
    it.app.contacts.stopped["example-skin-group"] = 1033
    report = it.sync()
    (one,) = report.locations
    assert (one.status, one.counts.sent, report.exit_code) == ("error", 0, 5)
    it.app.contacts.stopped.clear()
    it.clock.advance(days=8)
    assert it.one().counts.sent == 3


def test_a_business_that_birdeye_does_not_know_stops_its_location(it: Bench) -> None:
    it.put(PARENT + 70)
    it.book("2026-11-23")
    report = it.sync()
    assert (report.locations[0].status, report.exit_code) == ("error", 5)
    assert report.locations[0].counts.pending == 1


def test_an_unknown_outcome_is_held_in_the_counts_and_resolved_by_a_later_pass(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.app.faults.arm("/resources/v1/contact/external/preferences/checkin:1:502-after-commit")
    report = it.sync()
    assert (report.locations[0].counts.held, report.exit_code) == (1, 5)
    it.clock.advance(seconds=60)
    again = it.one()
    assert (again.counts.held, again.counts.already_sent, len(it.deliveries)) == (0, 1, 1)


def test_one_that_stays_unknown_is_told_after_its_day_has_left_the_window_and_then_held(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.app.faults.arm("/resources/v1/contact/external/preferences/checkin:1:502-after-commit")
    assert it.one().counts.held == 1
    look_up = "/resources/v1/contact/external/preferences/getCustomer"
    for _ in range(2):
        it.clock.advance(days=5)
        it.app.faults.clear()
        it.app.faults.arm(f"{look_up}:*:500")
        report = it.sync()
        assert (report.locations[0].counts.held, report.exit_code) == (1, 5)
    it.app.faults.clear()
    for contact in it.app.contacts.contacts.values():
        contact.activity.clear()
    it.clock.advance(seconds=60)
    report = it.sync()
    counts = report.locations[0].counts
    assert (counts.read, counts.held, counts.eligible, report.exit_code) == (1, 1, 1, 5)
    it.clock.advance(seconds=60)
    assert it.sync().exit_code == 0  # it stands in `held list` now, and no pass has to do with it
    assert len(it.deliveries) == 1


def test_who_opted_out_is_skipped(it: Bench) -> None:
    it.put()
    number = it.book("2026-11-23")
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    chart = it.app.emr.chart(known)
    patient = chart.patient_of(number)
    assert patient is not None
    person = chart.person(patient)
    contact = it.app.contacts.make("example-skin-group", "Example Person", {"email": person.email})
    it.app.contacts.opt_out(contact, "email")
    assert it.one().counts.skipped == {"opted_out": 1}


def test_where_the_opt_out_feed_cannot_be_read_nobody_is_contacted_and_the_mark_stays(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.app.faults.arm("/resources/v1/contact/external/preferences/update-feed:1:403")
    report = it.one()
    assert (report.status, it.deliveries) == ("error", [])
    it.app.faults.clear()
    assert it.one().counts.sent == 1


# a ledger that is not the newest ---------------------------------------------------------------------------------


def test_a_lost_ledger_stops_everything_until_the_gap_is_backfilled(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with bench(tmp_path, ledger_folder=tmp_path / "a") as before:
        before.put(at=WEEK_AGO)
        before.book("2026-11-23")
        assert before.one().counts.sent == 1
    with bench(tmp_path, ledger_folder=tmp_path / "b") as after:
        after.secrets["env:KEY"] = "sandbox-key-skin-group"
        after.secrets["env:RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID"] = PRACTICE_ID
        after.book("2026-11-23")
        report = after.sync()
        assert (report.locations[0].status, report.exit_code, after.deliveries) == ("stopped", 3, [])
        assert "--backfill FROM TO" in report.locations[0].detail
        after.book("2026-11-24", 9)
        after.sync(kind="backfill", first=date(2026, 11, 17), last=date(2026, 11, 24))
        after.clock.advance(days=1)
        report = after.sync()
        assert (report.locations[0].status, report.locations[0].counts.sent) == ("ok", 0)
        after.book("2026-11-25")
        after.clock.advance(days=1)
        assert after.one().counts.sent == 1


# bad input -------------------------------------------------------------------------------------------------------

UPSETS = ["html", "truncate", "outcome", "empty", "null", "429", "500", "503"]


@pytest.mark.parametrize("resource", ["Appointment", "Patient"])
@pytest.mark.parametrize("kind", UPSETS)
def test_a_bad_answer_contacts_nobody_and_the_next_pass_makes_up_for_it(it: Bench, resource: str, kind: str) -> None:
    it.put()
    it.book("2026-11-23")
    it.app.emr.options.upsets.append(Upset(f"/{resource}", kind, times=500))
    report = it.sync()
    (one,) = report.locations
    assert it.deliveries == []
    assert (one.status, report.exit_code) == ("error", 5)
    assert one.detail
    it.app.emr.options.upsets.clear()
    assert it.one().counts.sent == 1


@pytest.mark.parametrize("resource", ["Appointment", "Patient"])
def test_a_404_means_nothing_found_and_the_overlap_makes_up_for_it(it: Bench, resource: str) -> None:
    it.put()
    it.book("2026-11-23")
    it.app.emr.options.upsets.append(Upset(f"/{resource}", "404"))
    assert (it.one().counts.sent, it.deliveries) == (0, [])
    assert it.one().counts.sent == 1


@pytest.mark.parametrize("fault", ["foreign", "http", "endless", "loop", "backwards"])
def test_a_link_that_leads_astray_contacts_nobody_twice_and_never_leaves_the_host(it: Bench, fault: str) -> None:
    it.put()
    for _ in range(120):
        it.book("2026-11-23")
    it.app.emr.options.link_fault = fault
    report = it.one()
    assert report.counts.sent in (0, 120)
    assert (report.status == "ok") == (report.counts.sent == 120)
    it.app.emr.options.link_fault = ""
    it.sync()
    assert len(it.deliveries) == 120
    assert it.app.contacts.seen()["most_per_external_id_and_day"] == 1


def test_a_page_that_shrinks_while_it_is_read_loses_nobody(it: Bench) -> None:
    it.put()
    for _ in range(160):
        it.book("2026-11-23")
    it.app.emr.options.delete_while_paging = 2
    it.app.emr.options.moves = 1
    it.sync()
    it.app.emr.options.delete_while_paging = 0
    it.sync()
    assert len(it.deliveries) >= 158
    assert it.app.contacts.seen()["most_per_external_id_and_day"] == 1


def test_a_malformed_visit_is_quarantined_alone(it: Bench) -> None:
    it.app.emr.add(practice(shares=Shares({"fulfilled": 1000}, {}, {}, {}, {}, 0, 0, 0, 0, 0)))
    it.put()
    number = it.book("2026-11-23")
    it.book("2026-11-23")
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.app.emr.change_visit(known, number, shape="malformed")
    report = it.sync()
    assert (report.locations[0].counts.quarantined, report.locations[0].counts.sent) == (1, 1)
    assert report.exit_code == 0


def test_a_start_without_an_offset_is_quarantined_and_decided_once_it_is_mended(it: Bench) -> None:
    it.put()
    number = it.book("2026-11-23")
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.app.emr.change_visit(known, number, shape="no_offset")
    assert it.one().counts.quarantined == 1
    it.app.emr.change_visit(known, number, shape="plain")
    assert it.one().counts.sent == 1


def test_an_empty_practice_is_no_error(it: Bench) -> None:
    it.put()
    for answer in ("empty", "list", "404"):
        it.app.emr.options.empty_search = answer
        report = it.one()
        assert (report.status, report.counts.read) == ("ok", 0)


def test_another_practices_data_under_this_id_meets_the_check_of_names(it: Bench) -> None:
    it.put(wire={"location.name": "Downtown"})
    it.sync()
    foreign = practice("00000000-0000-4000-8000-0000000000cc")
    it.app.emr.options.foreign_data[PRACTICE_ID] = "00000000-0000-4000-8000-000000000002"
    del foreign
    it.clock.advance(days=1, seconds=1)
    report = it.one()
    assert (report.status, it.deliveries) == ("error", [])
    assert "do not exist in nextech" in report.detail


@pytest.mark.parametrize("jump", [timedelta(days=-2), timedelta(hours=-5), timedelta(days=2)])
def test_a_clock_that_jumps_contacts_nobody_twice(it: Bench, jump: timedelta) -> None:
    it.put(at=WEEK_AGO)
    for day in range(18, 27):
        it.book(date(2026, 11, day))
    it.sync()
    it.clock.advance(seconds=jump.total_seconds())
    it.sync()
    it.clock.advance(seconds=-jump.total_seconds())
    it.sync()
    assert it.app.contacts.seen()["most_per_external_id_and_day"] == 1


def test_a_full_disk_contacts_nobody(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.errors import StoreError

    it.put()
    it.book("2026-11-23")

    def full(*given: object, **more: object) -> None:
        del given, more
        raise StoreError("the store has no space left on its disk")

    with monkeypatch.context() as patched:
        patched.setattr(ledger, "record", full)
        report = it.one()
    assert (report.status, report.detail, it.deliveries) == ("error", "the store has no space left on its disk", [])
    assert it.one().counts.sent == 1


def test_a_count_that_does_not_add_up_fails_the_pass(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconciler.sync.deciding import Tally

    it.put()
    it.book("2026-11-23", status="noshow")
    with monkeypatch.context() as patched:
        patched.setattr(Tally, "take", lambda self, result: None)
        report = it.one()
    assert (report.status, "counting the visits" in report.detail) == ("error", True)
    with it.store.read() as connection:
        state = sync_marks.location(connection, HERE)
    assert state is not None
    assert state.mark is None


def test_a_defect_in_one_practice_leaves_the_others_alone(it: Bench) -> None:
    two_practices(it)
    reads = it.deps.reads(False)
    real = reads.appointments

    def broken(practice_id: str, **given: Any) -> Any:
        if practice_id == PRACTICE_ID:
            raise ZeroDivisionError("a value that must not be shown")
        return real(practice_id, **given)

    reads.appointments = broken  # type: ignore[method-assign]
    report = it.sync()
    assert [each.status for each in report.locations] == ["error", "ok"]
    assert report.locations[0].detail == "this is a defect of reconciler (ZeroDivisionError)"


def test_a_signal_while_reading_concludes_nothing(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    (one,) = standing(it.deps).practices
    it.deps.stop.set()
    from reconciler.sync.context import Options

    report = run_pass(it.deps, one, [HERE], Options())
    assert (report.locations[0].status, it.deliveries) == ("waiting", [])
    it.deps.stop.clear()
    assert it.one().counts.sent == 1
