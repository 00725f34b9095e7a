"""Whatever goes wrong, and in whatever order: a booking is made at most once, and exactly once in the end."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from reconciler.store import sync_practices
from tests.edges.test_reminder_requests import ask, booked
from tests.edges.test_reminder_upserts import BOTH, NEXT_WEEK
from tests.syncing import PARENT, bench

HERE = PARENT + 1
PATHS = (
    "/nextech-api/api/Appointment",
    "/nextech-api/api/Patient",
    "/resources/v1/appointments",
    "/resources/v1/appointments/requests",
    "/resources/v1/appointments/requests/",
)
KINDS = (
    "503-before-commit",
    "503-after-commit",
    "reset-before-commit",
    "reset-after-commit",
    "429",
    "401",
    "cut",
    "truncated",
    "html",
    "null",
    "error-object",
)
faults = st.tuples(st.sampled_from(PATHS), st.integers(1, 6), st.sampled_from(KINDS))
passes = st.lists(st.lists(faults, max_size=4), min_size=1, max_size=3)


@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(passes)
@example([[(PATHS[0], 3, "html"), (PATHS[0], 5, "null")], [(PATHS[0], 2, "cut")]])
@example([[(PATHS[2], 1, "error-object"), (PATHS[4], 1, "reset-after-commit")]])
def test_two_bookings_and_a_confirmation_are_done_once_each(story: list[list[tuple[str, int, str]]]) -> None:
    with tempfile.TemporaryDirectory() as folder, bench(Path(folder)) as it:
        it.put(HERE, triggers=BOTH)
        it.book(NEXT_WEEK, status="pending")
        it.sync()
        ((_, external),) = it.app.contacts.book.stored
        it.clock.advance(hours=5)
        asked = [
            ask(it),
            ask(it, start="2026-12-05T15:00:00Z", end="2026-12-05T15:30:00Z"),
            ask(it, kind="confirm", externalId=external),
        ]
        for armed in story:
            for path, number, kind in armed:
                it.app.faults.arm(f"{path}:{number}:{kind}")
            it.sync()
            made = Counter(each.comment for each in booked(it) if each.comment.startswith("Birdeye"))
            assert all(count == 1 for count in made.values())
            it.app.faults.clear()
            it.clock.advance(minutes=11)
        with it.store.begin() as connection:
            pseudonym = it.deps.pseudonyms.practice("00000000-0000-4000-8000-0000000000aa")
            sync_practices.put_authorised(connection, pseudonym, authorised=True, at=it.clock.now())
        for _ in range(4):
            report = it.sync().locations[0].reminders
            it.clock.advance(minutes=11)
        assert report is not None
        assert (report.status, report.detail) == ("ok", "")
        assert [{result["outcome"] for result in each.results} for each in asked] == [{"accepted"}] * 3
        made = Counter(each.comment for each in booked(it) if each.comment.startswith("Birdeye"))
        assert sorted(made.values()) == [1, 1]
        stored = Counter(body["status"] for body in it.app.contacts.book.stored.values())
        assert stored == {"booked": 2, "confirmed": 1}
