"""A real ``reconciler sync`` is killed at its request boundaries; one more pass puts everything right, nobody twice."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reconciler.core.records import InForce
from reconciler.sandbox.app import App
from reconciler.sandbox.emr import Code, Visit
from reconciler.sandbox.http import Request
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve, variables
from reconciler.store import in_force, keys
from reconciler.store.crypto import Fingerprints
from reconciler.store.database import open_store
from tests.faults.nursery import Child
from tests.faults.workplace import KEY, Workplace
from tests.syncing import API_KEY, PARENT, PRACTICE_ID, SLUG, practice

CONTACTS = 16
BOUNDARIES = 60
REFERENCE = "RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID"


class Killer:
    """Kills a process at the n-th check-in, before or after the sandbox has carried it out."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.seen = 0
        self.at = -1
        self.process: Child | None = None
        app.on_boundary = self.boundary

    def arm(self, at: int) -> None:
        """``at``: from 0; even ones are before a commit, odd ones after it. -1: never."""
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
        self.process.send_signal(signal.SIGKILL)
        self.process.ended.wait(10)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Workplace, App, Killer]]:
    app = App(SandboxOptions())
    app.emr.add(practice())
    for business in range(PARENT, PARENT + 3):
        app.contacts.account_of[business] = SLUG
    with serve(app) as server:
        made = Workplace(tmp_path, server.url, {REFERENCE: PRACTICE_ID, "RECONCILER_SECRET_KEY": API_KEY})
        made.declarations.mkdir(parents=True)
        made.more.update(variables(server))
        made.more.update(
            {
                REFERENCE: PRACTICE_ID,
                "RECONCILER_LEDGER_KEY": KEY[::-1],
                "RECONCILER_CONTACTS_REQUESTS_PER_SECOND": "5000",
                "RECONCILER_NEXTECH_REQUESTS_PER_SECOND": "5000",
                "RECONCILER_UNKNOWN_SETTLE_SECONDS": "0",
                "RECONCILER_CONTACTS_CONCURRENCY": "2",
            }
        )
        yield made, app, Killer(app)


def put(made: Workplace, business: int = PARENT + 1) -> None:
    now = datetime.now(UTC)
    with open_store(made.store_url, now=lambda: now, write=True) as store:
        inner = keys.inner_key(store, "receipt", keys.parse_key(KEY, named="key"))
        print_ = Fingerprints(inner).full("practice.id", PRACTICE_ID)
        at = (now - timedelta(days=1)).isoformat()
        side = {"reference": f"env:{REFERENCE}", "print": print_}
        location: dict[str, Any] = {
            "state": "active",
            "active": True,
            "time_zone": "America/New_York",
            "resolved": {"practice.id": side},
            "waiting": None,
            "first_active_at": at,
            "contacting_since": at,
        }
        document = {
            "business": PARENT,
            "name": "Example",
            "state": "active",
            "runner": "bundled",
            "beta": False,
            "contacts_api_key": "env:RECONCILER_SECRET_KEY",
            "group_created": True,
            "triggers": ["nextechFulfilledAppointmentTrigger"],
            "locations": {str(business): location},
        }
        with store.begin() as connection:
            in_force.put_in_force(connection, InForce(SLUG, PARENT, 1, now, "plan", None, document))


def book(app: App, first: int, count: int) -> None:
    """So many visits of different patients yesterday, as New York counts days."""
    known = app.emr.practice(PRACTICE_ID)
    assert known is not None
    yesterday = datetime.now(ZoneInfo("America/New_York")).date() - timedelta(days=1)
    start = datetime.combine(yesterday, datetime.min.time(), ZoneInfo("America/New_York")) + timedelta(hours=10)
    for patient in range(first + 1, first + count + 1):
        visit = Visit(
            id=0,
            start=start,
            minutes=30,
            place=known.places[0],
            provider=known.providers[0],
            patient=patient,
            status="fulfilled",
            display=Code(2, "Out"),
            type=known.types[0],
            purposes=(),
            created=start,
            updated=start,
            shape="plain",
        )
        app.emr.book(known, visit)


def twice(app: App) -> list[str]:
    counts = Counter(str(each.external_id) for each in app.contacts.deliveries)
    return [name for name, count in counts.items() if count > 1]


def test_a_killed_sync_loses_nobody_and_contacts_nobody_twice(place: tuple[Workplace, App, Killer]) -> None:
    made, app, killer = place
    put(made)
    chosen = random.Random(1).sample(range(2 * CONTACTS), 4)
    booked = 0
    for boundary in sorted(chosen):
        book(app, booked, CONTACTS)
        booked += CONTACTS
        killer.arm(boundary)
        process = made.start("sync", "-q")
        killer.process = process
        process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL
        killer.arm(-1)
        assert made.run("sync", "-q").code in (0, 5)
    assert made.run("sync", "-q").code in (0, 5)
    held = made.run("held", "list", "--output", "json").json["visits"]
    reached = {each.external_id for each in app.contacts.deliveries}
    assert twice(app) == []
    assert len(reached) + len(held) >= booked
    assert len(reached) >= booked - len(chosen) * 2


@pytest.mark.slow
def test_every_boundary_of_a_sync_can_be_its_last(place: tuple[Workplace, App, Killer]) -> None:
    made, app, killer = place
    put(made)
    booked = 0
    for boundary in range(BOUNDARIES):
        book(app, booked, CONTACTS)
        booked += CONTACTS
        killer.arm(boundary)
        process = made.start("sync", "-q")
        killer.process = process
        process.communicate(timeout=60)
        killer.arm(-1)
        ran = made.run("sync", "--output", "json")
        assert ran.code in (0, 5)
        (location,) = ran.json["locations"]
        assert (location["status"], location.get("detail")) == ("ok", None), f"after boundary {boundary}"
    assert twice(app) == []
    held = made.run("held", "list", "--output", "json").json["visits"]
    assert len({each.external_id for each in app.contacts.deliveries}) + len(held) >= booked


def test_two_runners_on_one_store_contact_everybody_once(place: tuple[Workplace, App, Killer]) -> None:
    made, app, _ = place
    put(made)
    booked = 0
    for _ in range(3):
        book(app, booked, CONTACTS)
        booked += CONTACTS
        running = [made.start("sync", "-q") for _ in range(2)]
        for each in running:
            each.communicate(timeout=60)
        assert {each.returncode for each in running} <= {0, 6}
        assert made.run("sync", "-q").code == 0
    assert twice(app) == []
    assert len(app.contacts.deliveries) == booked


def test_sigterm_lets_run_settle_and_a_second_process_goes_on(place: tuple[Workplace, App, Killer]) -> None:
    made, app, _ = place
    put(made)
    book(app, 0, CONTACTS)
    process = made.start("run", "--tick", "0.2", "--port", "0", "--log-format", "json")
    time.sleep(3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=40)
    assert process.returncode == 143
    assert time.monotonic() - began < 30
    assert "ended" in err
    assert made.run("sync", "-q").code == 0
    assert twice(app) == []
    assert len(app.contacts.deliveries) == CONTACTS


def test_a_second_signal_ends_run_at_once(place: tuple[Workplace, App, Killer]) -> None:
    made, app, _ = place
    put(made)
    book(app, 0, 1)
    process = made.start("run", "--tick", "0.2")
    time.sleep(3)
    process.send_signal(signal.SIGSTOP)
    for _ in range(2):
        process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=10)
    assert process.returncode in (143, -signal.SIGTERM)
