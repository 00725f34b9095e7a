"""SIGKILL of a real apply at the requests it makes: the rerun ends where an undisturbed run would have."""

from __future__ import annotations

import random
import signal
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.http import Request
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve
from tests.faults.workplace import Workplace, accounts, commits, finish, workplace, wrong

BUSINESSES = 30
CHOSEN = accounts(BUSINESSES)
WRITES = BUSINESSES + sum(len(it.sites) for it in CHOSEN)
BOUNDARIES = 2 * WRITES
"""Before and after the commit of each write."""
SETTLED = timedelta(seconds=11)
"""How far ahead a rerun's clock is, so that it need not wait until an open create is 10 s old."""


class Killer:
    """Kills a process at its n-th boundary. Before the commit, what it had sent is lost with it."""

    def __init__(self, server: Server, at: int, *, count: int = 0) -> None:
        self.server = server
        self.at = at
        self.count = count
        self.process: Any = None
        self.started = threading.Event()
        self.killed = False
        self._lock = threading.Lock()
        server.app.on_boundary = self

    def __call__(self, moment: str, request: Request) -> None:
        self.started.wait(10)
        with self._lock:
            self.count += 1
            is_it = self.count == self.at
        if is_it:
            self.process.kill()
            self.killed = True
            self.process.ended.wait(10)
            if moment == "before":
                raise ConnectionResetError

    def kill_one(self, place: Workplace) -> None:
        self.process = place.start("apply", "--auto-approve", "-q")
        self.started.set()
        ended = finish(self.process)
        self.server.app.on_boundary = None
        assert self.killed, ended.err
        assert ended.code == -signal.SIGKILL


def rerun_and_judge(server: Server, place: Workplace) -> None:
    """The second run converges, and nothing is left for a third."""
    report = place.in_process(later=SETTLED).apply()
    assert report.exit_code == 0, report.outcomes
    assert wrong(server.app, CHOSEN) == []
    plan = place.in_process(later=SETTLED).plan()
    assert (plan.changes, plan.objections, plan.unreadable) == ((), (), ())


EVERY = [(dialect, point) for dialect in ("documented", "rich") for point in range(1, BOUNDARIES + 1)]
SAMPLED = random.Random(40).sample(EVERY, 40)
REST = [it for it in EVERY if it not in SAMPLED]


def kill_and_rerun(folder: Path, points: list[tuple[str, int]]) -> None:
    for dialect, point in points:
        with serve(SandboxOptions(practices=BUSINESSES, dialect=dialect)) as server:
            place = workplace(folder / f"{dialect}-{point}", server.url, CHOSEN)
            Killer(server, point).kill_one(place)
            rerun_and_judge(server, place)


@pytest.mark.parametrize("part", range(20))
def test_an_apply_killed_at_a_sampled_boundary_converges_in_one_rerun(tmp_path: Path, part: int) -> None:
    kill_and_rerun(tmp_path, SAMPLED[part::20])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(50))
def test_an_apply_killed_at_any_boundary_converges_in_one_rerun(tmp_path: Path, part: int) -> None:
    kill_and_rerun(tmp_path, REST[part::50])


@pytest.mark.parametrize("dialect", ["documented", "rich"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_real_rerun_waits_for_a_create_that_may_still_appear(tmp_path: Path, dialect: str, moment: str) -> None:
    chosen = CHOSEN[:1]
    with serve(SandboxOptions(practices=BUSINESSES, dialect=dialect)) as server:
        place = workplace(tmp_path, server.url, chosen)
        Killer(server, 1 if moment == "before" else 2).kill_one(place)
        assert len(commits(server.app, "G+")) == (moment == "after")
        ended = place.apply()
        assert ended.code == 0, ended.err
        assert wrong(server.app, chosen) == []
        assert ended.seconds > 8 or moment == "after"
        again = place.run("plan", "--detailed-exitcode", "-q")
        assert again.code == 0, again.out
