"""SIGKILL of a real ``reconciler sync`` at the requests of a pass that contacts 300 patients, reads included.

After each kill one more pass has everybody contacted once, or held and listed.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciler.sandbox import contacts_api
from tests.faults.sync_place import Killer, SyncPlace, sync_place
from tests.faults.workplace import finish

CONTACTS = 300
SAMPLE = 60
PARTS, SLOW_PARTS = 12, 40
MOST_HELD = 2
"""Of patients who share a phone or an address: what happened to the one says nothing of the other (``settle``)."""


@dataclass
class Ready:
    """A place whose store is as it is before the pass, a copy of that store, and the boundaries that the pass has."""

    place: SyncPlace
    copy: Path
    boundaries: int
    sampled: frozenset[int]


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ready]:
    folder = tmp_path_factory.mktemp("pass")
    with sync_place(folder) as place:
        place.put()
        place.book(CONTACTS)
        place.keep(folder / "before.db")
        counter = Killer(place, -1)
        counter.start("sync", "-q")
        assert counter.process is not None
        assert finish(counter.process).code == 0
        place.judge()
        assert len(place.contacted()) == CONTACTS
        chosen = random.Random(CONTACTS).sample(range(counter.seen), SAMPLE)
        yield Ready(place, folder / "before.db", counter.seen, frozenset(chosen))


def kill_and_rerun(ready: Ready, points: list[int]) -> None:
    place = ready.place
    for point in points:
        place.restart(ready.copy)
        killer = Killer(place, point, is_lost=point % 3 != 0)
        ended = finish(killer.start("sync", "-q"))
        assert ended.code == -signal.SIGKILL, ended.err
        place.app.on_request = None
        place.quiet()
        report = place.again()
        assert (report.status, report.detail) == ("ok", ""), f"after boundary {point}"
        held = place.judge(held=MOST_HELD)
        assert report.counts.sent + report.counts.already_sent + held == CONTACTS, f"after boundary {point}"
        assert (report.counts.held, report.counts.pending) == (held, 0), f"after boundary {point}"


def test_a_pass_of_300_contacts_has_more_boundaries_than_contacts(ready: Ready) -> None:
    assert ready.boundaries > 2 * CONTACTS
    assert ready.boundaries % 2 == 0


@pytest.mark.parametrize("part", range(PARTS))
def test_a_killed_pass_loses_nobody_and_contacts_nobody_twice(ready: Ready, part: int) -> None:
    kill_and_rerun(ready, sorted(ready.sampled)[part::PARTS])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(SLOW_PARTS))
def test_every_other_boundary_can_be_a_passes_last_as_well(ready: Ready, part: int) -> None:
    kill_and_rerun(ready, sorted(set(range(ready.boundaries)) - ready.sampled)[part::SLOW_PARTS])


@pytest.mark.parametrize("fault", ["reset-after-commit", "502-after-commit", "cut"])
def test_a_pass_whose_answers_are_lost_contacts_nobody_twice(ready: Ready, fault: str) -> None:
    place = ready.place
    place.app.on_request = None
    place.restart(ready.copy)
    place.app.faults.arm(f"{contacts_api.PREFIX}/v1/contact/external/preferences/checkin:p0.2:{fault}")
    first = place.again()
    place.app.faults.clear()
    second = place.again()
    assert (first.status, first.counts.sent + first.counts.held) == ("ok", CONTACTS)
    assert first.counts.held > 20  # nobody knows of these whether they arrived
    assert (second.status, second.counts.already_sent) == ("ok", CONTACTS)
    place.judge()
    assert len(place.contacted()) == CONTACTS
