"""Two real runners on one store, a moment apart: every patient is contacted once, whoever makes the pass."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.nursery import Child
from tests.faults.sync_place import SyncPlace, sync_place
from tests.faults.workplace import finish

CONTACTS = 16
RACES = 50
PARTS = 10
SYNC = ("sync", "-q")
RUN = ("run", "--tick", "0.05", "--workers", "2")
PAIRS = ((SYNC, SYNC), (RUN, RUN), (SYNC, RUN), (RUN, SYNC))
LATEST_SECONDS = 0.15
"""So much later the second one starts at most: less than a pass of these takes."""


@dataclass
class Ready:
    """A place with visits to be contacted, and a copy of its store."""

    place: SyncPlace
    copy: Path


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    folder = tmp_path_factory.mktemp("races")
    with sync_place(folder, concurrency=2) as place:
        place.put()
        place.book(CONTACTS)
        place.keep(folder / "before.db")
        yield Ready(place, folder / "before.db")


def end(place: SyncPlace, arguments: tuple[str, ...], process: Child) -> int:
    """Its exit code; a ``run`` is asked to end once it runs and everybody was contacted."""
    deadline = time.monotonic() + 30
    if arguments is RUN:
        while "running" not in process.said() or len(place.contacted()) < CONTACTS:
            assert process.poll() is None, process.said()
            assert time.monotonic() < deadline, process.said()
            time.sleep(0.01)
        process.terminate()
    return finish(process).code


def race(ready: Ready, number: int) -> None:
    place, pair = ready.place, PAIRS[number % len(PAIRS)]
    place.restart(ready.copy)
    first = place.made.start(*pair[0])
    time.sleep(random.Random(number).uniform(0, LATEST_SECONDS))
    second = place.made.start(*pair[1])
    codes = [end(place, arguments, process) for arguments, process in zip(pair, (first, second), strict=True)]
    for arguments, code in zip(pair, codes, strict=True):
        # 6: every location was locked by the other one. 143: SIGTERM ended it, in order.
        assert code in ((0, 6) if arguments is SYNC else (143,)), (pair, codes)
    report = place.again()
    assert (report.status, report.detail) == ("ok", "")
    place.judge()
    assert len(place.contacted()) == CONTACTS


@pytest.mark.parametrize("part", range(PARTS))
def test_two_runners_on_one_store_contact_everybody_once(ready: Ready, part: int) -> None:
    for number in range(part, RACES, PARTS):
        race(ready, number)
