"""What is old is forgotten once a day, by ``run`` and by ``sync``; nobody is contacted for what was forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.clock import Clock
from reconciler.errors import StoreError
from reconciler.settings.values import Settings
from reconciler.store import ledger, ledger_retention, sync_facts
from reconciler.sync import tidying
from reconciler.sync.runner import Runner
from reconciler.workflow import operating_sync, syncing
from reconciler.workflow.operating_sync import Asked
from tests.syncing import PARENT, START, Bench, bench

HERE = PARENT + 1
LONG_AFTER = START + timedelta(days=900)


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def sync(it: Bench, **asked: object) -> None:
    """As the command does it."""
    runner = syncing.Runner(Settings(Path(), None, Path()), Clock(), it.deps)
    operating_sync.sync(runner, replace(Asked(), **asked))  # type: ignore[arg-type]


def rows(it: Bench) -> int:
    with it.store.read() as connection:
        return sum(sum(states.values()) for states in ledger.counts(connection).values())


def forgotten_before(it: Bench) -> datetime | None:
    with it.store.read() as connection:
        return ledger_retention.forgotten_before(connection)


def test_a_visit_that_was_forgotten_is_never_contacted_again(it: Bench) -> None:
    it.put(locations={HERE: {"contact_start": "2020-01-01"}})
    it.book("2026-11-23", patient=1)
    it.book("2026-11-20", patient=2)
    sync(it)
    assert len(it.deliveries) == 2
    it.clock.at = LONG_AFTER
    sync(it)  # its own pass looks at the last days only
    assert rows(it) == 0
    sync(it, day=date(2026, 11, 23))
    sync(it, day=date(2026, 11, 20))
    it.put(HERE, at=START, locations={HERE: {"contact_start": "2026-11-01"}}, beta=False)
    sync(it)
    assert len(it.deliveries) == 2


def test_details_go_first_and_the_keys_against_a_second_contact_stay(it: Bench) -> None:
    it.put()
    it.book("2026-11-23", patient=1)
    sync(it)
    it.clock.advance(days=500)
    sync(it)
    assert rows(it) == 1
    with it.store.read() as connection:
        (practice,) = ledger.practices(connection)
        assert forgotten_before(it) is None
        assert practice
    sync(it, day=date(2026, 11, 23))
    assert len(it.deliveries) == 1


def test_a_day_is_tidied_once_whoever_does_it(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    it.put()
    asked: list[datetime] = []
    plain = ledger_retention.retain

    def retain(*given: object, **named: object) -> ledger_retention.Retained:
        asked.append(it.clock.now())
        return plain(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(ledger_retention, "retain", retain)
    runner = Runner(
        it.deps, workers=0, name="here", monotonic=it.clock.monotonic, retention_days=400, try_token=lambda plus: None
    )
    sync(it)
    sync(it)
    runner.tick()
    assert asked == [START]
    it.clock.advance(hours=23)
    runner.tick()
    assert asked == [START]
    it.clock.advance(hours=2)
    runner.tick()
    sync(it)
    assert asked == [START, START + timedelta(hours=25)]


def test_a_dry_run_forgets_nothing(it: Bench) -> None:
    it.put()
    sync(it, dry_run=True)
    with it.store.read() as connection:
        assert sync_facts.get(connection, tidying.FACT) is None


def test_more_than_fits_into_one_transaction_goes_in_several(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "AT_ONCE", 3)
    it.put()
    for _ in range(10):
        it.book("2026-11-23")
    sync(it)
    it.clock.at = LONG_AFTER
    done = tidying.tidy(it.deps, 400)
    assert done is not None
    assert (done.deleted, rows(it)) == (10, 0)
    assert tidying.tidy(it.deps, 400) is None


def test_what_is_left_after_many_rounds_is_for_the_next_time(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tidying, "AT_ONCE", 1)
    monkeypatch.setattr(tidying, "MOST_ROUNDS", 4)
    it.put()
    for _ in range(10):
        it.book("2026-11-23")
    it.sync()
    it.clock.at = LONG_AFTER
    done = [tidying.tidy(it.deps, 400) for _ in range(4)]
    assert [each.deleted if each is not None else None for each in done] == [4, 4, 2, None]


def test_a_short_retention_keeps_the_keys_for_as_long_as_windows_reach_back(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.sync()
    it.clock.advance(days=1)
    tidying.tidy(it.deps, 1)
    assert (rows(it), forgotten_before(it)) == (1, None)
    it.book("2026-11-24")
    assert it.one().counts.sent == 1
    for _ in range(130):
        it.clock.advance(days=1)
        tidying.tidy(it.deps, 1)
    bound = forgotten_before(it)
    assert bound is not None
    assert bound < it.clock.now() - timedelta(days=60)
    it.book(it.clock.now().date() - timedelta(days=1))
    assert it.one().counts.sent == 1


def test_a_clock_that_was_ahead_while_the_ledger_was_tidied_stops_everybody_with_the_reason(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    it.sync()
    it.clock.at = START + timedelta(days=3_000)
    tidying.tidy(it.deps, 400)
    it.clock.at = START + timedelta(days=1)
    it.book("2026-11-24")
    report = it.sync()
    assert (report.locations[0].status, report.exit_code) == ("stopped", 3)
    assert report.locations[0].detail == (
        "a clock that was ahead had the ledger forget whom it knew up to 2032-12-04, so nobody may be contacted; restore "
        "it from a backup"
    )
    assert len(it.deliveries) == 1


def test_a_ledger_that_cannot_be_tidied_fails_no_pass(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    it.put()
    it.book("2026-11-23")

    def full(*given: object, **named: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(ledger_retention, "retain", full)
    sync(it)
    assert len(it.deliveries) == 1
    assert ("what is old was not forgotten", {"detail": "the disk is full"}) in it.events
