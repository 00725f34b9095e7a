"""A real ``reconciler sync`` is killed at its check-ins, again and again on one store; ``run`` ends when it is told to."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.http import Request
from tests.faults.nursery import Child
from tests.faults.sync_place import SyncPlace, sync_place

CONTACTS = 16
EVERY = range(2 * CONTACTS)
"""Before and after each check-in."""


class CheckinKiller:
    """Kills a process at the n-th boundary of a check-in. The sandbox carries out what had reached it."""

    def __init__(self, place: SyncPlace) -> None:
        self._lock = threading.Lock()
        self.seen = 0
        self.at = -1
        self.process: Child | None = None
        place.app.on_request = self.boundary

    def arm(self, at: int) -> None:
        """``at``: from 0; -1: never."""
        with self._lock:
            self.seen, self.at, self.process = 0, at, None

    def boundary(self, moment: str, request: Request) -> None:
        if not request.path.endswith("/checkin"):
            return
        with self._lock:
            number, self.seen = self.seen, self.seen + 1
            if number != self.at:
                return
        while self.process is None:  # the test is about to say which it is
            time.sleep(0.001)
        self.process.kill()
        self.process.ended.wait(10)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SyncPlace]:
    with sync_place(tmp_path, concurrency=2) as made:
        made.put()
        yield made


def kill_in_a_row(place: SyncPlace, boundaries: list[int]) -> None:
    """Book, kill and go on, all on one store: what one kill leaves behind must not stop a later pass."""
    killer = CheckinKiller(place)
    for boundary in boundaries:
        place.book(CONTACTS)
        killer.arm(boundary)
        killer.process = process = place.made.start("sync", "-q")
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        killer.arm(-1)
        ran = place.made.run("sync", "--output", "json")
        assert ran.code in (0, 5)
        (location,) = ran.json["locations"]
        assert (location["status"], location.get("detail")) == ("ok", None), f"after boundary {boundary}"
    held = place.judge(held=len(boundaries) // 4)
    assert len(place.made.run("held", "list", "--output", "json").json["visits"]) == held


def test_a_killed_sync_loses_nobody_and_contacts_nobody_twice(place: SyncPlace) -> None:
    kill_in_a_row(place, sorted(random.Random(1).sample(EVERY, 4)))


@pytest.mark.slow
def test_every_boundary_of_a_sync_can_be_its_last(place: SyncPlace) -> None:
    kill_in_a_row(place, [*EVERY, *EVERY])


def test_sigterm_lets_run_settle_and_a_second_process_goes_on(place: SyncPlace) -> None:
    place.book(CONTACTS)
    process = place.made.start("run", "--tick", "0.2", "--port", "0", "--log-format", "json")
    time.sleep(3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=40)
    assert process.returncode == 143
    assert time.monotonic() - began < 30
    assert "ended" in err
    assert place.made.run("sync", "-q").code == 0
    place.judge()
    assert len(place.contacted()) == CONTACTS


def test_a_second_signal_ends_run_at_once(place: SyncPlace) -> None:
    place.book(1)
    process = place.made.start("run", "--tick", "0.2")
    time.sleep(3)
    process.send_signal(signal.SIGSTOP)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode in (143, -signal.SIGTERM)
