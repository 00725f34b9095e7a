"""A real ``sync`` is killed at its requests for reminders: every booking is made once, and Birdeye knows in the end.

At each boundary in turn, on a store, a practice and a Birdeye that know nothing yet.
"""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.sources.nextech import UPSERT_TRIGGER, WRITEBACK_TRIGGER
from reconciler.sandbox.emr import Code, Visit
from tests.faults.sync_place import NEW_YORK, Killer, SyncPlace, now, sync_place
from tests.syncing import PARENT, PRACTICE_ID, practice

HERE = PARENT + 1
APPOINTMENTS, BOOKINGS = 5, 3


def prepare(place: SyncPlace) -> None:
    """Appointments of next week, and patients who ask for more of them. Everything before is forgotten."""
    with place.app.emr.lock, place.app.contacts.lock:
        place.app.emr.add(practice())
        known = place.app.emr.practice(PRACTICE_ID)
        assert known is not None
        start = datetime.now(NEW_YORK).replace(hour=10, minute=0, second=0, microsecond=0) + timedelta(days=7)
        for number in range(APPOINTMENTS):
            visit = Visit(
                id=0,
                start=start + timedelta(minutes=30 * number),
                minutes=30,
                place=known.places[0],
                provider=known.providers[0],
                patient=number + 1,
                status="pending",
                display=Code(0, "Pending"),
                type=known.types[0],
                purposes=(),
                created=now(),
                updated=now(),
                shape="plain",
            )
            place.app.emr.book(known, visit)
        place.app.contacts.forget()
        place.app.contacts.book.seed(HERE, known, BOOKINGS, 1, now())


def judge(place: SyncPlace) -> None:
    """The oracle: each booking was made exactly once, Birdeye was told so, and knows every appointment."""
    known = place.app.emr.practice(PRACTICE_ID)
    assert known is not None
    booked = place.app.emr.edits(known).booked.values()
    made = Counter(it.comment for it in booked if it.comment.startswith("Birdeye request"))
    assert made == {f"Birdeye request request-{number + 1}": 1 for number in range(BOOKINGS)}
    book = place.app.contacts.book
    assert [{it["outcome"] for it in each.results} for each in book.asked] == [{"accepted"}] * BOOKINGS
    assert Counter(body["status"] for body in book.stored.values()) == {"booked": APPOINTMENTS + BOOKINGS}
    assert {each.results[-1]["externalId"] for each in book.asked} <= {external for _, external in book.stored}
    assert place.app.contacts.violations == []


def boundaries(place: SyncPlace) -> int:
    """How many moments there are in one whole pass."""
    prepare(place)
    killer = Killer(place, -1)
    process = killer.start("sync", "-q")
    process.communicate(timeout=60)
    assert process.returncode == 0
    judge(place)
    place.app.on_request = None
    return killer.seen


def kill_at(place: SyncPlace, at: int, *, is_lost: bool) -> None:
    prepare(place)
    killer = Killer(place, at, is_lost=is_lost)
    process = killer.start("sync", "-q")
    process.communicate(timeout=60)
    place.app.on_request = None
    assert process.returncode == -signal.SIGKILL, f"boundary {at} was not reached"
    place.quiet()
    for _ in range(2):
        found = place.again()
        assert found.reminders is not None
        assert (found.reminders.status, found.reminders.detail) == ("ok", ""), f"after boundary {at}"
    judge(place)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[SyncPlace]:
    with sync_place(tmp_path, concurrency=2) as made:
        made.put(triggers=[UPSERT_TRIGGER, WRITEBACK_TRIGGER])
        yield made


def sweep(place: SyncPlace, tmp_path: Path, chosen: int | None) -> None:
    fresh = tmp_path / "fresh.db"
    place.keep(fresh)
    count = boundaries(place)
    every = list(range(count))
    for at in every if chosen is None else sorted(random.Random(2).sample(every, chosen)):
        place.restart(fresh)
        kill_at(place, at, is_lost=at % 4 < 2)


def test_a_killed_sync_books_everybody_once_and_tells_birdeye(place: SyncPlace, tmp_path: Path) -> None:
    sweep(place, tmp_path, 5)


@pytest.mark.slow
def test_a_sync_killed_at_every_request_books_everybody_once(place: SyncPlace, tmp_path: Path) -> None:
    sweep(place, tmp_path, None)


@pytest.mark.parametrize("at", [9, 16])
def test_on_postgresql_too(tmp_path: Path, postgres_url: str, at: int) -> None:
    with sync_place(tmp_path, concurrency=2, store_url=postgres_url) as place:
        place.put(triggers=[UPSERT_TRIGGER, WRITEBACK_TRIGGER])
        kill_at(place, at, is_lost=True)
