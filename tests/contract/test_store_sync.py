"""Marks never move backwards, practices and pauses keep their story, and an old ledger is told from the newest."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.store import sync_marks, sync_passes, sync_practices
from reconciler.store.database import Store, open_store
from reconciler.store.sync_marks import LocationState
from reconciler.store.sync_passes import Doubt, Pass
from reconciler.store.sync_practices import Pause, PracticeState
from tests.ledgers import LOCATION, NOW

LATER = NOW + timedelta(days=1)
HERE = LocationState(LOCATION, "skin-group", "practice-1", "ok", mark=NOW, floor=NOW)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Store]:
    """A ledger in a database of its own."""
    with open_store(f"sqlite:///{tmp_path}/ledger.db", now=lambda: NOW, write=True) as opened:
        yield opened


def begin(store: Store, ledger: Store, number: int, *, kind: sync_passes.Kind = "slot") -> Pass | Doubt:
    now = NOW + timedelta(minutes=number)
    return sync_passes.begin(store, ledger, id=f"p{number}", practice="practice-1", kind=kind, now=now)


def test_a_location_stands_as_it_was_put(store: Store) -> None:
    state = LocationState(
        business=LOCATION,
        slug="skin-group",
        practice="practice-1",
        status="stopped",
        detail="a cap",
        mark=NOW,
        floor=NOW - timedelta(days=3),
        last_slot=NOW,
        last_pass="p1",
        last_success=NOW,
        next_due=LATER,
    )
    with store.begin() as connection:
        assert sync_marks.location(connection, LOCATION) is None
        sync_marks.put(connection, state)
        assert sync_marks.location(connection, LOCATION) == state
        assert sync_marks.locations(connection) == {LOCATION: state}


@pytest.mark.parametrize(
    ("practice", "mark", "kept"),
    [
        ("practice-1", NOW - timedelta(days=1), NOW),
        ("practice-1", None, NOW),
        ("practice-1", LATER, LATER),
        ("practice-2", None, None),
    ],
)
def test_a_mark_moves_forward_only_but_for_another_practice(
    store: Store, practice: str, mark: datetime | None, kept: datetime | None
) -> None:
    with store.begin() as connection:
        sync_marks.put(connection, HERE)
        sync_marks.put(connection, LocationState(LOCATION, "skin-group", practice, "ok", mark=mark, floor=mark))
        found = sync_marks.location(connection, LOCATION)
    assert found is not None
    assert (found.mark, found.floor) == (kept, kept)


def test_floors_are_raised_and_never_lowered(store: Store) -> None:
    with store.begin() as connection:
        sync_marks.put(connection, HERE)
        sync_marks.raise_floors(connection, {LOCATION: NOW - timedelta(days=2), LOCATION + 1: NOW})
        assert sync_marks.locations(connection) == {LOCATION: HERE}
        sync_marks.raise_floors(connection, {LOCATION: LATER})
        assert sync_marks.locations(connection)[LOCATION].floor == LATER


def test_a_day_keeps_the_larger_of_its_counts(store: Store) -> None:
    with store.begin() as connection:
        sync_marks.add_days(connection, LOCATION, {date(2026, 11, 20): 7, date(2026, 11, 21): 3})
        sync_marks.add_days(connection, LOCATION, {date(2026, 11, 20): 2, date(2026, 11, 22): 5})
        sync_marks.add_days(connection, LOCATION, {})
        assert sync_marks.days(connection, LOCATION, since=date(2026, 11, 20)) == {
            date(2026, 11, 20): 7,
            date(2026, 11, 21): 3,
            date(2026, 11, 22): 5,
        }
        assert sync_marks.days(connection, LOCATION, since=date(2026, 11, 22)) == {date(2026, 11, 22): 5}


def test_a_practice_that_is_unauthorised_says_since_when_and_comes_back(store: Store) -> None:
    with store.begin() as connection:
        assert sync_practices.practice(connection, "practice-1") is None
        assert sync_practices.put_authorised(connection, "practice-1", authorised=False, at=NOW, detail="401")
        assert not sync_practices.put_authorised(connection, "practice-1", authorised=False, at=LATER, detail="403")
        sync_practices.put_names(connection, "practice-1", ["West", "Zürich", "West"], at=LATER)
        assert sync_practices.practice(connection, "practice-1") == PracticeState(
            "practice-1", authorised=False, since=NOW, detail="403", names=("West", "Zürich"), names_at=LATER
        )
        assert sync_practices.put_authorised(connection, "practice-1", authorised=True, at=LATER)


def test_the_first_pause_stands_until_it_is_resumed(store: Store) -> None:
    first = Pause(sync_practices.ALL, NOW, "ops", "incident 7")
    with store.begin() as connection:
        assert sync_practices.pause(connection, first)
        assert not sync_practices.pause(connection, Pause(sync_practices.ALL, LATER, "dev", "again"))
        assert sync_practices.pauses(connection) == {sync_practices.ALL: first}
        assert sync_practices.resume(connection, sync_practices.ALL) == first
        assert sync_practices.resume(connection, sync_practices.ALL) is None


def test_passes_are_numbered_in_one_database_and_in_two(store: Store, ledger: Store) -> None:
    for there in (store, ledger):
        numbers = [it.number for it in (begin(there, there, n) for n in (1, 2)) if isinstance(it, Pass)]
        assert numbers == [1, 2]
        assert sync_passes.doubt(there, there) is None
    third = begin(store, ledger, 3)
    assert isinstance(third, Pass)
    assert third.number == 3
    assert sync_passes.doubt(store, ledger) is None


def test_a_report_is_kept_with_its_pass(store: Store) -> None:
    begin(store, store, 1)
    begin(store, store, 2)
    with store.begin() as connection:
        sync_passes.finish(connection, "p1", report={"sent": 3}, now=LATER)
        first = Pass("p1", "practice-1", "slot", 1, NOW + timedelta(minutes=1), LATER, {"sent": 3})
        found = sync_passes.recent(connection)
        assert found[1] == first
        assert [it.id for it in found] == ["p2", "p1"]
        assert sync_passes.recent(connection, practice="practice-2") == ()


def test_an_empty_ledger_beside_a_store_that_knows_passes_stops_everything(
    store: Store, ledger: Store, tmp_path: Path
) -> None:
    begin(store, ledger, 1)
    with open_store(f"sqlite:///{tmp_path}/empty.db", now=lambda: NOW, write=True) as empty:
        assert sync_passes.doubt(store, empty) == Doubt(1, None)
        assert begin(store, empty, 2) == Doubt(1, None)
        backfill = begin(store, empty, 3, kind="backfill")
        assert isinstance(backfill, Pass)
        assert str(sync_passes.doubt(store, empty)) == "the store knows pass 1 and the ledger no pass"
        sync_passes.end_doubt(store, empty)
        assert sync_passes.doubt(store, empty) is None
        assert isinstance(begin(store, empty, 4), Pass)


def test_a_ledger_of_an_older_day_and_a_store_of_an_older_day_are_told(store: Store, ledger: Store) -> None:
    for number in range(1, 4):
        begin(store, ledger, number)
    for older in (store, ledger):
        with older.begin() as connection:
            sync_passes._put_number(connection, 1)
        assert isinstance(begin(store, ledger, 9), Doubt)
        sync_passes.end_doubt(store, ledger)
        assert sync_passes.doubt(store, ledger) is None


def test_a_pass_that_died_between_its_two_numbers_stops_nobody(store: Store, ledger: Store) -> None:
    begin(store, ledger, 1)
    with ledger.begin() as connection:
        sync_passes._put_number(connection, 2)
    assert sync_passes.doubt(store, ledger) is None
    following = begin(store, ledger, 3)
    assert isinstance(following, Pass)
    assert following.number == 3
    assert sync_passes.doubt(store, ledger) is None
