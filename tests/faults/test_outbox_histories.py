"""Random histories of kills, time-outs, duplicates, restarts, late completions: nobody is ever contacted twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from reconciler.errors import StoreError
from reconciler.store import ledger_people
from reconciler.store.database import Store, open_store
from reconciler.sync import deliver, settle
from reconciler.sync.deliver import Account
from tests.faults.model_birdeye import WORDS, Birdeye, Clock, Process, Word
from tests.ledgers import API_KEY, NOW, PARENT, Desk

SETTLE_SECONDS = 30
VISITS = st.lists(st.integers(0, 5), min_size=1, max_size=6, unique=True)
KILL = st.none() | st.tuples(st.integers(1, 8), st.booleans())


@dataclass(frozen=True)
class Record:
    """A page of visits is read and recorded, for the first time or again."""

    visits: tuple[int, ...]


@dataclass(frozen=True)
class Pass:
    """A pass: what was left is settled, what is planned is sent. It may die at a transaction or at a request."""

    words: tuple[Word, ...]
    kill: tuple[int, bool] | None
    lookups_fail: bool


@dataclass(frozen=True)
class Wait:
    """Time goes by."""

    seconds: int


RECORDS = VISITS.map(lambda it: Record(tuple(it)))
# Time-outs and kills twice as often as their number asks for: they are what it is all about.
SCRIPTS = st.lists(st.sampled_from(WORDS) | st.sampled_from(WORDS[1:4] + WORDS[8:]), max_size=6).map(tuple)
PASSES = st.builds(Pass, SCRIPTS, KILL, st.sampled_from([False, False, False, True]))
HISTORIES = st.lists(st.one_of(RECORDS, PASSES, PASSES, st.integers(1, 90).map(Wait)), min_size=2, max_size=14)


class World:
    """One practice in a store that many histories share."""

    def __init__(self, store: Store, number: int) -> None:
        self.desk = Desk(store, practice_id=f"practice-{number}")
        self.business = PARENT + 1 + number
        self.accounts = {self.business: Account(PARENT, API_KEY)}
        self.clock = Clock(NOW)
        self.birdeye = Birdeye(self.clock)
        self.visits: set[int] = set()

    def record(self, visits: tuple[int, ...]) -> None:
        # Visits 4 and 5 are second ones of patients 0 and 1 on the same day; 2 and 3 are of one patient on two days.
        patients = {4: 0, 5: 1, 3: 2}
        entries = [
            self.desk.entry(
                it,
                patient=patients.get(it),
                business=self.business,
                day=(NOW - timedelta(days=1 + (it == 3))).date(),
            )
            for it in visits
        ]
        self.desk.record(entries, pass_id=f"pass-{self.clock.at.timestamp()}", now=self.clock.at)
        self.visits |= set(visits)

    def run(self, it: Pass) -> None:
        dies_at, after_commit = it.kill or (None, False)
        process = Process(self.desk.store, dies_at=dies_at, after_commit=after_commit)
        self.birdeye.process, self.birdeye.script = process, list(it.words)
        self.birdeye.lookups_fail = it.lookups_fail
        delivery = self.desk.delivery(self.birdeye, now=self.clock.now, sleep=self.clock.sleep, concurrency=1, page=2)
        object.__setattr__(delivery, "store", process)
        ledger: Any = process
        try:
            settle.adopt_orphans(ledger, self.desk.practice, now=self.clock.now())
            settle.settle_unknown(
                delivery, self.birdeye, self.desk.practice, self.accounts, settle_seconds=SETTLE_SECONDS
            )
            deliver.deliver(delivery, self.desk.practice, self.accounts)
        except StoreError:
            assert process.is_dead

    def step(self, it: Record | Pass | Wait) -> None:
        if isinstance(it, Record):
            self.record(it.visits)
        elif isinstance(it, Pass):
            self.run(it)
        else:
            self.clock.sleep(it.seconds)
            self.birdeye.arrive()
        self.nobody_twice()

    def nobody_twice(self) -> None:
        assert all(count == 1 for count in self.birdeye.delivered.values())

    def calm_down(self) -> None:
        """Undisturbed passes until nothing moves."""
        for _ in range(4):
            self.step(Pass((), None, lookups_fail=False))
            self.step(Wait(60))

    def lost(self) -> set[int]:
        """Visits to be sent that were neither contacted nor are listed for a person."""
        with self.desk.store.read() as connection:
            listed = ledger_people.held(
                connection, keys=self.desk.keys, states=("held", "failed"), businesses=[self.business]
            )
        mine = {it.visit.appointment for it in listed}
        lost = set()
        for number in self.visits:
            row = self.desk.row(number)
            was_contacted = self.birdeye.delivered[f"Visit {number}"] == 1
            if row.outcome == "send" and not was_contacted and row.appointment not in mine:
                lost.add(number)
            if row.state == "confirmed":
                assert was_contacted
        return lost


NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """One store for all histories, in memory where the machine has a folder for that: nothing is killed for real."""
    shm = Path("/dev/shm")
    folder = tmp_path_factory.mktemp("histories")
    place = shm / f"{folder.parent.name}-{folder.name}" if shm.is_dir() else folder
    with open_store(f"sqlite:///{place}/store.db", now=lambda: NOW, write=True) as opened:
        yield opened
    for it in place.glob("store.db*"):
        it.unlink()


def live(store: Store, history: list[Record | Pass | Wait]) -> None:
    world = World(store, next(NUMBERS))
    for it in history:
        world.step(it)
    world.calm_down()
    assert world.lost() == set()
    assert "unknown" not in {world.desk.row(it).state for it in world.visits}
    assert "planned" not in {world.desk.row(it).state for it in world.visits}


SILENT = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=300, deadline=None, suppress_health_check=SILENT)
@given(HISTORIES)
def test_nobody_is_contacted_twice_and_nobody_is_lost_unlisted(
    shared: Store, history: list[Record | Pass | Wait]
) -> None:
    live(shared, history)


@pytest.mark.slow
@settings(max_examples=5000, deadline=None, suppress_health_check=SILENT, phases=[Phase.generate, Phase.shrink])
@given(HISTORIES)
def test_nobody_is_contacted_twice_in_5000_histories(shared: Store, history: list[Record | Pass | Wait]) -> None:
    live(shared, history)
