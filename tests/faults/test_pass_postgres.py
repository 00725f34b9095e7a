"""Real processes over a ledger in PostgreSQL: a pass, a kill, a race, a drain; and a ledger apart from its store."""

from __future__ import annotations

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.sandbox.http import Request
from reconciler.store.database import open_store
from tests.faults.nursery import Child
from tests.faults.sync_place import Killer, SyncPlace, now, sync_place
from tests.faults.workplace import finish
from tests.postgres import Cluster

CONTACTS = 40
KILLS = 12
RACES = 10
RUN = ("run", "--tick", "0.05")


@dataclass
class Ready:
    """A place with visits to be contacted, and the name of a database that has its location in force."""

    place: SyncPlace
    cluster: Cluster
    template: str
    boundaries: int = 0

    @contextmanager
    def fresh(self) -> Iterator[SyncPlace]:
        """The place with a store of its own, and nobody contacted."""
        with self.cluster.database(template=self.template) as name:
            self.place.move(self.cluster.url(name))
            self.place.forget()
            yield self.place
            self.place.app.on_request = None
            self.place.quiet()


@pytest.fixture(scope="module")
def ready(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: Cluster, postgres_template: str
) -> Iterator[Ready]:
    with (
        postgres_server.database(template=postgres_template) as name,
        sync_place(tmp_path_factory.mktemp("pass"), store_url=postgres_server.url(name)) as place,
    ):
        place.put()
        place.book(CONTACTS)
        made = Ready(place, postgres_server, name)
        with made.fresh():
            counter = Killer(place, -1)
            assert finish(counter.start("sync", "-q")).code == 0
            made.boundaries = counter.seen
        yield made


def settled(place: SyncPlace) -> None:
    """One more pass ends in order, and everybody was contacted once."""
    report = place.again()
    assert (report.status, report.detail) == ("ok", "")
    place.judge()


def test_a_pass_contacts_everybody_and_the_next_one_nobody(ready: Ready) -> None:
    with ready.fresh() as place:
        (first,) = place.made.run("sync", "--output", "json").json["locations"]
        (second,) = place.made.run("sync", "--output", "json").json["locations"]
        assert (first["status"], first["sent"], first["already_sent"]) == ("ok", CONTACTS, 0)
        assert (second["status"], second["sent"], second["already_sent"]) == ("ok", 0, CONTACTS)
        place.judge()


@pytest.mark.parametrize("part", range(3))
def test_a_killed_pass_loses_nobody_and_contacts_nobody_twice(ready: Ready, part: int) -> None:
    for point in random.Random(CONTACTS).sample(range(ready.boundaries), KILLS)[part::3]:
        with ready.fresh() as place:
            killer = Killer(place, point, is_lost=point % 3 != 0)
            ended = finish(killer.start("sync", "-q"))
            assert ended.code == -signal.SIGKILL, ended.err
            place.app.on_request = None
            place.quiet()
            settled(place)


@pytest.mark.parametrize("part", range(2))
def test_two_runners_on_one_store_contact_everybody_once(ready: Ready, part: int) -> None:
    for number in range(part, RACES, 2):
        with ready.fresh() as place:
            one = place.made.start("sync", "-q")
            threading.Event().wait(random.Random(number).uniform(0, 0.2))
            other = place.made.start("sync", "-q")
            assert {finish(it).code for it in (one, other)} <= {0, 6}
            settled(place)
            assert len(place.contacted()) == CONTACTS


class Stopper:
    """Sends SIGTERM when the n-th check-in has come, and lets it and everything else go on."""

    def __init__(self, place: SyncPlace, at: int) -> None:
        self._at = at
        self._lock = threading.Lock()
        self._count = 0
        self.process: Child | None = None
        self.started = threading.Event()
        place.app.on_request = self

    def __call__(self, moment: str, request: Request) -> None:
        if moment != "before" or not request.path.endswith("/checkin"):
            return
        self.started.wait(10)
        with self._lock:
            self._count += 1
            is_it = self._count == self._at
        if is_it and self.process is not None:
            self.process.terminate()


def test_run_makes_the_pass_that_is_due_and_a_signal_lets_what_is_in_flight_settle(ready: Ready) -> None:
    with ready.fresh() as place:
        stopper = Stopper(place, CONTACTS // 2)
        stopper.process = place.made.start(*RUN)
        stopper.started.set()
        ended = finish(stopper.process, timeout=40)
        assert (ended.code, "ended\n" in ended.err) == (143, True), ended.err
        states = place.states()
        assert CONTACTS // 2 <= states["confirmed"] < CONTACTS
        assert states["confirmed"] + states["planned"] == CONTACTS  # nothing in flight was left behind
        assert len(place.contacted()) == states["confirmed"]
        settled(place)
        assert len(place.contacted()) == CONTACTS


def test_the_ledger_may_be_in_postgresql_and_the_store_elsewhere(tmp_path: Path, postgres_store_url: str) -> None:
    with sync_place(tmp_path) as place:
        place.put()
        place.book(CONTACTS)
        place.made.more["RECONCILER_LEDGER_STORE"] = postgres_store_url
        assert place.made.run("sync", "-q").code == 0
        assert place.again().counts.already_sent == CONTACTS
        place.store_url = postgres_store_url
        place.judge()
        # A ledger that is lost beside a store that knows passes: nobody is contacted on a guess.
        place.made.more["RECONCILER_LEDGER_STORE"] = f"sqlite:///{tmp_path}/other.db"
        open_store(f"sqlite:///{tmp_path}/other.db", now=now, write=True).close()
        assert place.again().status == "stopped"
        assert len(place.contacted()) == CONTACTS
