"""Two appliers on one store: one writes. A holder that was killed or stopped past its lease sends nothing more."""

from __future__ import annotations

import os
import random
import re
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from reconciler.sandbox.http import Request
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve
from tests.faults.workplace import Finished, Workplace, accounts, commits, finish, workplace, wrong

CHOSEN = accounts(2)


class Gate:
    """Holds the first write until it is opened; counts the processes that write by what the sandbox sees."""

    def __init__(self, server: Server) -> None:
        self.reached = threading.Event()
        self.open = threading.Event()
        server.app.on_boundary = self

    def __call__(self, moment: str, request: Request) -> None:
        del request
        if moment == "before":
            self.reached.set()
            self.open.wait(30)


def race(server: Server, place: Workplace, offset: float) -> tuple[Finished, Finished]:
    """Two applies, started ``offset`` seconds apart; the first to write waits until the other has ended."""
    gate = Gate(server)
    first = place.start("apply", "--auto-approve", "-q")
    time.sleep(offset)
    second = place.start("apply", "--auto-approve", "-q")
    until = time.monotonic() + 30
    while first.poll() is None and second.poll() is None and time.monotonic() < until:
        time.sleep(0.01)
    gate.open.set()
    return finish(first), finish(second)


def race_once(folder: Path, number: int) -> None:
    with serve(SandboxOptions(practices=len(CHOSEN))) as server:
        place = workplace(folder / str(number), server.url, CHOSEN)
        place.more["RECONCILER_BIRDEYE_CONCURRENCY"] = "2"
        ended = race(server, place, random.Random(number).uniform(0, 0.05))
        winner, loser = sorted(ended, key=lambda it: it.code)
        assert (winner.code, loser.code) == (0, 6), [it.err for it in ended]
        assert re.search(r"is locked: apply by tester on \S+ \(process \d+\).* since .*, last heartbeat", loser.err)
        assert "Traceback" not in loser.err
        assert wrong(server.app, CHOSEN) == []
        assert len(commits(server.app)) == len(CHOSEN) + sum(len(it.sites) for it in CHOSEN)


@pytest.mark.parametrize("part", range(10))
def test_of_two_appliers_exactly_one_writes(tmp_path: Path, part: int) -> None:
    for number in range(part * 5, part * 5 + 5):
        race_once(tmp_path, number)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(30))
def test_of_two_appliers_exactly_one_writes_two_hundred_times(tmp_path: Path, part: int) -> None:
    for number in range(50 + part * 5, 55 + part * 5):
        race_once(tmp_path, number)


def test_the_lock_of_a_killed_holder_is_free_at_once(tmp_path: Path) -> None:
    with serve(SandboxOptions(practices=len(CHOSEN))) as server:
        place = workplace(tmp_path, server.url, CHOSEN)
        gate = Gate(server)
        first = place.start("apply", "--auto-approve", "-q")
        assert gate.reached.wait(20)
        first.kill()
        finish(first)
        server.app.on_boundary = None
        gate.open.set()
        time.sleep(0.2)  # what was on its way is carried out
        ended = place.apply()
        assert ended.code == 0, ended.err
        assert wrong(server.app, CHOSEN) == []


def test_a_holder_stopped_past_its_lease_sends_nothing_when_it_wakes_up(tmp_path: Path) -> None:
    with serve(SandboxOptions(practices=len(CHOSEN))) as server:
        place = workplace(tmp_path, server.url, CHOSEN)
        place.more["RECONCILER_BIRDEYE_CONCURRENCY"] = "1"
        gate = Gate(server)
        first = place.start("apply", "--auto-approve", "-q")
        try:
            assert gate.reached.wait(20)
            first.send_signal(signal.SIGSTOP)
            gate.open.set()
            expire(place)
            server.app.on_boundary = None
            second = place.apply()
            assert second.code == 0, second.err
            before = len(commits(server.app))
            first.send_signal(signal.SIGCONT)
            woken = finish(first)
        finally:
            if first.poll() is None:
                os.kill(first.pid, signal.SIGKILL)
                first.communicate()
        assert woken.code == 6, woken.err
        assert "error: the lock apply is not ours any more" in woken.err
        assert " unknown" in woken.out  # the create that it had sent
        assert len(commits(server.app)) == before
        assert wrong(server.app, CHOSEN) == []


def expire(place: Workplace) -> None:
    """Make the lease look as it would after two minutes without a heartbeat."""
    with sqlite3.connect(place.store_file, timeout=10) as store:
        changed = store.execute(
            "UPDATE leases SET beat_elapsed = beat_elapsed - 120, beat_at = replace(beat_at, substr(beat_at, 1, 4), '2020')"
        )
        assert changed.rowcount == 1
    store.close()


def test_a_living_holder_s_lock_is_not_released_by_hand(tmp_path: Path) -> None:
    with serve(SandboxOptions(practices=len(CHOSEN))) as server:
        place = workplace(tmp_path, server.url, CHOSEN)
        gate = Gate(server)
        first = place.start("apply", "--auto-approve", "-q")
        assert gate.reached.wait(20)
        listed = place.run("lock", "list", "--output", "json").json["locks"]
        assert [it["operation"] for it in listed] == ["apply"]
        refused = place.run("lock", "release", listed[0]["id"])
        assert (refused.code, "alive" in refused.err) == (6, True)
        unknown = place.run("lock", "release", "000000000000")
        assert unknown.code == 1
        assert "no lock" in unknown.err
        gate.open.set()
        assert finish(first).code == 0
        assert place.run("lock", "list").out == "no lock is held\n"
        assert wrong(server.app, CHOSEN) == []
