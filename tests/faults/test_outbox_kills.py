"""SIGKILL of a real process at the requests of a delivery of 300 contacts; answers that are lost; two processes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.sandbox import contacts_api
from reconciler.sandbox.http import Request
from reconciler.sandbox.server import App, Server, serve
from reconciler.store.database import open_store
from tests.faults import workplace
from tests.faults.nursery import DELIVER, Child
from tests.faults.outbox_driver import deliver_once
from tests.faults.workplace import finish
from tests.ledgers import Desk

CONTACTS = 300
SETTLE_SECONDS = 0.2
"""On loopback nothing is on its way for longer once its process is dead."""
EVERY = range(1, 2 * CONTACTS + 1)
"""Before and after the commit of each check-in."""
SAMPLED = random.Random(300).sample(EVERY, 10)
"""Of a whole pass 60 are, see ``test_pass_kills``."""


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger with 300 planned contacts."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    with open_store(f"sqlite:///{path}", now=now, write=True) as store:
        Desk(store).plan(range(CONTACTS))
    return path


@pytest.fixture
def server() -> Iterator[Server]:
    with serve(App()) as running:
        yield running


def address(server: Server) -> str:
    return server.url + contacts_api.PREFIX


def fresh(template: Path, folder: Path) -> Path:
    """A copy of the template in a folder of its own."""
    folder.mkdir()
    return Path(shutil.copy(template, folder / "store.db"))


def start(path: Path, server: Server, *more: str) -> Child:
    assert workplace.NURSERY is not None
    arguments = (DELIVER, f"sqlite:///{path}", address(server), str(SETTLE_SECONDS), *more)
    return workplace.NURSERY.start(arguments, path.parent, {"PATH": os.environ["PATH"]})


class Killer:
    """Kills a process at its n-th boundary. Before the commit, what it had sent is lost with it."""

    def __init__(self, server: Server, at: int) -> None:
        self.at, self.count, self.killed = at, 0, False
        self.process: Child | None = None
        self.started = threading.Event()
        self._lock = threading.Lock()
        server.app.on_boundary = self

    def __call__(self, moment: str, request: Request) -> None:
        del request
        self.started.wait(10)
        with self._lock:
            self.count += 1
            is_it = self.count == self.at
        if is_it and self.process is not None:
            self.process.kill()
            self.killed = True
            self.process.ended.wait(10)
            if moment == "before":
                raise ConnectionResetError


def contacted(server: Server) -> Counter[str]:
    """How often each visit was contacted."""
    world = server.app.contacts
    with world.lock:
        assert world.violations == []
        return Counter(it.body["additionalParams"]["appointment.types"] for it in world.deliveries)


def judge(path: Path, server: Server, *, may_wait: int = 0) -> None:
    """Everybody once; at most ``may_wait`` not at all, and those are listed."""
    counts = contacted(server)
    assert max(counts.values()) == 1
    with open_store(f"sqlite:///{path}", now=now, write=True) as store:
        states = Desk(store).states()
    assert sum(states.values()) == CONTACTS
    assert states["confirmed"] + states.get("held", 0) == CONTACTS, states
    assert len(counts) >= CONTACTS - may_wait, states
    assert states.get("held", 0) <= may_wait


def kill_and_rerun(template: Path, folder: Path, points: list[int]) -> None:
    for point in points:
        with serve(App()) as server:
            path = fresh(template, folder / str(point))
            killer = Killer(server, point)
            killer.process = start(path, server)
            killer.started.set()
            ended = finish(killer.process)
            server.app.on_boundary = None
            assert (killer.killed, ended.code) == (True, -signal.SIGKILL), ended.err
            with open_store(f"sqlite:///{path}", now=now, write=True) as store:
                deliver_once(store, address(server), SETTLE_SECONDS)
            judge(path, server)


@pytest.mark.parametrize("part", range(2))
def test_a_killed_delivery_is_finished_by_the_next_one(template: Path, tmp_path: Path, part: int) -> None:
    kill_and_rerun(template, tmp_path, SAMPLED[part::2])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(20))
def test_a_killed_delivery_is_finished_at_every_other_boundary(template: Path, tmp_path: Path, part: int) -> None:
    kill_and_rerun(template, tmp_path, [it for it in EVERY if it not in SAMPLED][part::20])


@pytest.mark.parametrize("fault", ["reset-after-commit", "502-after-commit", "truncated", "html", "cut"])
def test_answers_that_are_lost_after_the_commit_contact_nobody_twice(
    template: Path, tmp_path: Path, server: Server, fault: str
) -> None:
    path = fresh(template, tmp_path / "lost")
    server.app.faults.arm(f"{contacts_api.PREFIX}/v1/contact/external/preferences/checkin:p0.2:{fault}")
    with open_store(f"sqlite:///{path}", now=now, write=True) as store:
        first = deliver_once(store, address(server), SETTLE_SECONDS)
        server.app.faults.clear()
        second = deliver_once(store, address(server), SETTLE_SECONDS)
    assert first["unknown"] == second["resolved"]
    assert int(str(first["unknown"])) > 20
    assert second["replanned"] == second["held"] == 0
    judge(path, server)


def test_requests_that_never_arrive_are_sent_once_more(template: Path, tmp_path: Path, server: Server) -> None:
    path = fresh(template, tmp_path / "never")
    server.app.faults.arm(f"{contacts_api.PREFIX}/v1/contact/external/preferences/checkin:p0.1:reset-before-commit")
    with open_store(f"sqlite:///{path}", now=now, write=True) as store:
        first = deliver_once(store, address(server), SETTLE_SECONDS)
        server.app.faults.clear()
        second = deliver_once(store, address(server), SETTLE_SECONDS)
    assert first["unknown"] == second["replanned"] == second["sent"]
    judge(path, server)


def test_outcomes_are_committed_in_groups(template: Path, tmp_path: Path, server: Server) -> None:
    path = fresh(template, tmp_path / "groups")
    with open_store(f"sqlite:///{path}", now=now, write=True) as store:
        done = deliver_once(store, address(server), SETTLE_SECONDS)
    assert done["sent"] == CONTACTS
    assert int(str(done["rows"])) == 2 * CONTACTS
    assert int(str(done["rows"])) >= 5 * int(str(done["transactions"]))


def race(template: Path, folder: Path, number: int, *more: str) -> None:
    """Two processes on one store, a moment apart, then one more for what they left."""
    with serve(App()) as server:
        path = fresh(template, folder / str(number))
        first = start(path, server, *more)
        time.sleep(random.Random(number).uniform(0, 0.1))
        second = start(path, server, *more)
        codes = sorted(finish(it).code for it in (first, second))
        # A second one that starts late finds the work done.
        assert codes in ([0, 0], [0, 6]), codes
        with open_store(f"sqlite:///{path}", now=now, write=True) as store:
            deliver_once(store, address(server), SETTLE_SECONDS)
        judge(path, server)


@pytest.mark.parametrize("part", range(5))
@pytest.mark.parametrize("more", [(), ("--no-lease",)], ids=["leases", "no leases"])
def test_two_processes_on_one_store_contact_nobody_twice(
    template: Path, tmp_path: Path, part: int, more: tuple[str, ...]
) -> None:
    # 50 races, half of them without the lease: then the ledger alone decides who sends what.
    for number in range(5 * part, 5 * part + 5):
        race(template, tmp_path, number, *more)


def test_a_killed_process_prints_and_leaves_nothing_of_a_person(template: Path, tmp_path: Path, server: Server) -> None:
    path = fresh(template, tmp_path / "canary")
    killer = Killer(server, 200)
    killer.process = start(path, server)
    killer.started.set()
    ended = finish(killer.process)
    server.app.on_boundary = None
    left = {it.name: it.read_bytes() for it in path.parent.iterdir() if it.is_file()}
    assert "store.db-wal" in left
    left["template"] = template.read_bytes()
    for name, content in left.items():
        assert not any(it in content.lower() for it in (b"canary", b"example.com", b"a-17", b"visit 1")), name
    assert json.dumps(ended.out + ended.err).lower().count("canary") == 0
