"""``nextech.daily_calls``: a day's calls are counted for all processes; where they are used up practices wait."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.errors import CredentialsRefused, LockHeld, QuotaUsedUp, StoreError
from reconciler.sandbox.emr_options import Upset
from reconciler.store import daily_calls, sync_marks
from reconciler.store.database import open_store
from reconciler.sync.context import SELECT, Options
from reconciler.sync.passes import run_pass
from reconciler.sync.planner import due_now
from reconciler.sync.quota import DailyCalls
from reconciler.sync.sweep import standing
from tests.syncing import OTHER_ID, PARENT, START, Bench, SetClock, bench

HERE = PARENT + 1
ANOTHER = "example-eye-partners"
MIDNIGHT = datetime(2026, 11, 25, tzinfo=UTC)
SAID = (
    "the 2 calls a day to Nextech Select (nextech.daily_calls) are used up; nothing was asked, and nothing is lost: "
    "what waits goes on after 2026-11-25 00:00 UTC"
)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def limited(it: Bench, calls: int) -> DailyCalls:
    """A process of its own, as far as calls go."""
    quota = DailyCalls(it.store, SELECT, calls, now=it.clock.now)
    it.deps.quotas = {SELECT: quota}
    return quota


def used(it: Bench) -> int:
    with it.store.read() as connection:
        return daily_calls.used(connection, SELECT, now=it.clock.now()).calls


def asked(it: Bench) -> int:
    """Requests that Nextech's API got; those for a token go elsewhere."""
    return sum(count for name, count in it.requests.items() if not name.endswith("token"))


def two_practices(it: Bench) -> None:
    it.put()
    it.put(PARENT + 41, slug=ANOTHER, parent=PARENT + 40, practice_id=OTHER_ID)
    it.book("2026-11-23")
    it.book("2026-11-23", practice_id=OTHER_ID)


def test_a_practice_waits_once_the_day_s_calls_are_used_up_and_nobody_is_lost(it: Bench) -> None:
    two_practices(it)
    limited(it, 2)  # one practice's appointments and patient
    report = it.sync()
    assert sorted((each.status, each.counts.sent) for each in report.locations) == [("ok", 1), ("waiting", 0)]
    (waiting,) = (each for each in report.locations if each.status == "waiting")
    assert waiting.detail == SAID
    assert (report.errors, report.exit_code) == ((SAID,), 5)
    assert asked(it) == 2
    with it.store.read() as connection:
        state = sync_marks.location(connection, waiting.business)
    assert state is not None
    assert (state.mark, state.status, state.next_due) == (None, "waiting", MIDNIGHT)
    it.clock.at = MIDNIGHT + timedelta(minutes=1)
    again = it.sync()
    assert sum(each.counts.sent for each in again.locations) == 1
    assert len(it.deliveries) == 2


def test_people_are_told_once_that_the_calls_are_used_up_and_once_that_there_are_some_again(it: Bench) -> None:
    two_practices(it)
    limited(it, 2)
    for _ in range(3):
        it.sync()
    assert [(each.kind, each.subject, each.text) for each in it.changes] == [("quota", SELECT, SAID)]
    limited(it, 2)
    it.sync()  # another process knows that people were told
    assert len(it.changes) == 1
    it.clock.at = MIDNIGHT
    limited(it, 100)
    it.sync()
    it.sync()
    assert [each.kind for each in it.changes] == ["quota", "recovered"]


def test_a_pass_that_runs_out_while_it_reads_concludes_nothing_and_goes_on_tomorrow(it: Bench) -> None:
    it.put()
    for minute in range(60):
        it.book("2026-11-23", 9, minute=minute)
    limited(it, 1)
    report = it.one()
    assert (report.status, report.counts.sent, len(it.deliveries)) == ("waiting", 0, 0)
    with it.store.read() as connection:
        state = sync_marks.location(connection, HERE)
    assert state is not None
    assert state.mark is None
    it.clock.at = MIDNIGHT
    limited(it, 100)
    assert it.one().counts.sent == 60


def test_who_waits_for_calls_is_not_due_before_the_new_day(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    limited(it, 1)
    it.one()
    (practice,) = standing(it.deps).practices
    with it.store.read() as connection:
        states = sync_marks.locations(connection)
    assert list(due_now(practice, practice.places, states, MIDNIGHT - timedelta(seconds=1))) == []
    assert [each.since for each in due_now(practice, practice.places, states, MIDNIGHT)] == [MIDNIGHT]


def test_who_waits_for_our_credentials_is_due_again_after_every_try(it: Bench) -> None:
    it.put()
    it.deps.refused[SELECT] = CredentialsRefused("refused", method="POST", path="/token", reason="expired_password")
    (practice,) = standing(it.deps).practices
    dues = []
    for _ in range(3):
        report = run_pass(it.deps, practice, {HERE}, Options("slot", due_only=True))
        assert [each.status for each in report.locations] == ["waiting"]
        it.clock.advance(minutes=10)
        with it.store.read() as connection:
            states = sync_marks.locations(connection)
        dues += [each.since for each in due_now(practice, practice.places, states, it.clock.now())]
    assert dues == [START + timedelta(minutes=10 * count) for count in (1, 2, 3)]


def test_without_calls_no_pass_is_numbered_and_no_request_made(it: Bench) -> None:
    it.put()
    quota = limited(it, 1)
    quota.take()
    before = it.requests
    assert it.one().status == "waiting"
    assert it.requests == before
    assert it.one(dry_run=True).status == "waiting"


def test_calls_to_practice_plus_are_not_counted_against_select(it: Bench) -> None:
    it.put(practice_plus=True)
    limited(it, 1).take()
    assert it.one().status != "waiting"


def test_a_paused_location_stays_paused_whatever_was_used_up(it: Bench) -> None:
    it.put()
    it.limit(pause_all=True)
    limited(it, 1).take()
    assert it.one().status == "paused"


def test_every_request_counts_also_one_that_is_made_again(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    quota = limited(it, 1_000)
    it.app.emr.options.upsets.append(Upset("/Appointment", "503", times=1))
    assert it.one().counts.sent == 1
    quota.close()
    assert used(it) == asked(it) == 3


def test_a_call_that_the_fence_stops_is_not_counted(it: Bench) -> None:
    def fence() -> None:
        raise LockHeld("not ours")

    quota = limited(it, 10)
    with pytest.raises(LockHeld):
        quota.behind(fence)()
    quota.close()
    assert used(it) == 0


def test_a_process_that_is_killed_makes_too_few_calls_and_never_too_many(it: Bench) -> None:
    killed = DailyCalls(it.store, SELECT, 1_000, now=it.clock.now)
    killed.take()
    assert used(it) == 10  # promised, and gone with it
    following = DailyCalls(it.store, SELECT, 1_000, now=it.clock.now)
    assert drain(following) == 990


def drain(quota: DailyCalls) -> int:
    made = 0
    while True:
        try:
            quota.take()
        except QuotaUsedUp:
            return made
        made += 1


def test_processes_and_threads_together_make_no_more_calls_than_the_limit(it: Bench) -> None:
    quotas = [DailyCalls(it.store, SELECT, 500, now=it.clock.now) for _ in range(3)]
    made: list[int] = []

    def work(quota: DailyCalls) -> None:
        made.append(drain(quota))

    threads = [threading.Thread(target=work, args=(each,)) for each in quotas for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert sum(made) == 500


def test_a_dry_run_obeys_what_was_counted_and_records_nothing(tmp_path: Path) -> None:
    clock = SetClock()
    url = f"sqlite:///{tmp_path}/store.db"
    with open_store(url, now=clock.now, write=True) as store:
        quota = DailyCalls(store, SELECT, 5, now=clock.now)
        quota.take()
        quota.take()
        quota.close()
    with open_store(url, now=clock.now, write=False) as store:
        dry = DailyCalls(store, SELECT, 5, now=clock.now)
        assert drain(dry) == 3
        dry.close()
        with store.read() as connection:
            assert daily_calls.used(connection, SELECT, now=clock.now()).calls == 2


@pytest.mark.parametrize(
    ("jump", "left"),
    [
        (timedelta(0), 0),
        (timedelta(hours=9), 3),  # a new day
        (timedelta(hours=-20), 0),  # the clock went back over midnight: the calls were made all the same
        (timedelta(days=-30), 3),  # the clock had been wrong: a day that is far ahead binds nobody
    ],
)
def test_a_clock_that_jumps_neither_gives_calls_twice_nor_takes_them_for_ever(
    it: Bench, jump: timedelta, left: int
) -> None:
    assert drain(DailyCalls(it.store, SELECT, 3, now=it.clock.now)) == 3
    it.clock.at = START + jump
    assert drain(DailyCalls(it.store, SELECT, 3, now=it.clock.now)) == left


def test_a_process_that_cannot_give_its_calls_back_ends_all_the_same(
    it: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    quota = limited(it, 1_000)
    quota.take()

    def full(*given: object, **named: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(daily_calls, "give_back", full)
    quota.close()


def test_calls_promised_yesterday_are_not_made_today(it: Bench) -> None:
    quota = DailyCalls(it.store, SELECT, 1_000, now=it.clock.now)
    quota.take()
    it.clock.at = MIDNIGHT
    assert drain(quota) == 1_000
    quota.close()
    assert used(it) == 1_000
