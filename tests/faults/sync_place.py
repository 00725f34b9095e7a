"""One practice with visits of yesterday, a store that has it in force, and real ``sync`` and ``run`` processes over both."""

from __future__ import annotations

import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from reconciler.clock import Clock
from reconciler.core.records import InForce
from reconciler.core.sources.nextech import FULFILLED_TRIGGER
from reconciler.core.sync_report import LocationReport
from reconciler.sandbox.app import App
from reconciler.sandbox.emr import Code, Visit
from reconciler.sandbox.http import Request, Response
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve, variables
from reconciler.settings.load import load_settings
from reconciler.store import in_force, keys, ledger
from reconciler.store.crypto import Fingerprints
from reconciler.store.database import open_store
from reconciler.workflow import operating_sync
from reconciler.workflow.operating_sync import Asked
from reconciler.workflow.syncing import open_runner
from tests.faults.nursery import Child
from tests.faults.workplace import KEY, Workplace
from tests.syncing import API_KEY, PARENT, PRACTICE_ID, SLUG, practice

NEW_YORK = ZoneInfo("America/New_York")
REFERENCE = "RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID"
Hook = Callable[[str, Request], None]


class WatchedApp(App):
    """A sandbox that calls ``on_request`` with ``before`` and ``after`` around every request, reads included."""

    def __init__(self) -> None:
        super().__init__(SandboxOptions())
        self.on_request: Hook | None = None

    def __call__(self, request: Request) -> Response:
        hook = self.on_request
        if hook is not None:
            hook("before", request)
        response = super().__call__(request)
        if hook is not None:
            hook("after", request)
        return response


class Hasty(Clock):
    """Waits for nothing: what a pass waits for (Birdeye's index, a retry) the sandbox is done with."""

    def sleep(self, seconds: float) -> None:
        super().sleep(min(seconds, 0.005))


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class SyncPlace:
    """The sandbox, and the workplace whose store a test may take away and bring back."""

    made: Workplace
    app: WatchedApp
    server: Server
    store_url: str
    booked: int = 0

    def put(self, business: int = PARENT + 1, *, triggers: Sequence[str] = (FULFILLED_TRIGGER,)) -> None:
        """Put one location in force, as an apply of yesterday would have left it."""
        moment = now()
        with open_store(self.store_url, now=now, write=True) as store:
            inner = keys.inner_key(store, "receipt", keys.parse_key(KEY, named="key"))
            side = {"reference": f"env:{REFERENCE}", "print": Fingerprints(inner).full("practice.id", PRACTICE_ID)}
            at = (moment - timedelta(days=1)).isoformat()
            location: dict[str, Any] = {
                "state": "active",
                "active": True,
                "time_zone": NEW_YORK.key,
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
                "triggers": list(triggers),
                "locations": {str(business): location},
            }
            with store.begin() as connection:
                in_force.put_in_force(connection, InForce(SLUG, PARENT, 1, moment, "plan", None, document))

    def book(self, count: int) -> None:
        """So many more visits of yesterday, as New York counts days, of a patient each."""
        known = self.app.emr.practice(PRACTICE_ID)
        assert known is not None
        yesterday = datetime.now(NEW_YORK).date() - timedelta(days=1)
        start = datetime.combine(yesterday, datetime.min.time(), NEW_YORK) + timedelta(hours=10)
        for patient in range(self.booked + 1, self.booked + count + 1):
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
            self.app.emr.book(known, visit)
        self.booked += count

    def again(self) -> LocationReport:
        """One more ``sync``, in this process and without its waits; the report of the one location."""
        settings = load_settings(environ=self.made.environment, cwd=self.made.folder)
        with open_runner(settings, Hasty(), write=True) as runner:
            (found,) = operating_sync.sync(runner, Asked()).locations
        return found

    def quiet(self) -> None:
        """Wait until the sandbox is done with every request of processes that have ended."""
        deadline = time.monotonic() + 10
        while self.server._sockets._open:
            assert time.monotonic() < deadline, "a connection of a dead process stays open"
            time.sleep(0.001)

    def contacted(self) -> Counter[str]:
        """How often each patient was contacted, by pseudonym."""
        with self.app.contacts.lock:
            assert self.app.contacts.violations == []
            return Counter(str(it.external_id) for it in self.app.contacts.deliveries)

    def states(self) -> Counter[str]:
        """Rows of the ledger by state."""
        found: Counter[str] = Counter()
        with open_store(self.store_url, now=now, write=False) as store, store.read() as connection:
            for by_state in ledger.counts(connection).values():
                found.update({str(state): count for state, count in by_state.items()})
        return found

    def judge(self, *, held: int = 0) -> int:
        """The oracle: everybody once, at most ``held`` not at all, and those are listed. How many are held."""
        counts, states = self.contacted(), self.states()
        assert [it for it, count in counts.items() if count > 1] == []
        assert states["confirmed"] + states["held"] == self.booked, states
        assert states["held"] <= held, states
        assert states["confirmed"] <= len(counts) <= self.booked
        assert len(counts) + states["held"] >= self.booked
        return states["held"]

    def keep(self, path: Path) -> None:
        """Copy the SQLite store."""
        shutil.copy(self.made.store_file, path)

    def restart(self, path: Path) -> None:
        """Everything as it was when the copy was made, and nobody contacted."""
        shutil.rmtree(self.made.store_file.parent)
        self.made.store_file.parent.mkdir()
        shutil.copy(path, self.made.store_file)
        self.forget()

    def move(self, store_url: str) -> None:
        """Go on with another store."""
        self.store_url = self.made.more["RECONCILER_STORE"] = store_url

    def forget(self) -> None:
        """Nobody was contacted."""
        with self.app.contacts.lock:
            self.app.contacts.forget()


@contextmanager
def sync_place(folder: Path, *, concurrency: int = 8, store_url: str | None = None) -> Iterator[SyncPlace]:
    """A place whose store is an SQLite file in ``folder``, or ``store_url``. Nothing is in force and booked yet."""
    app = WatchedApp()
    app.emr.add(practice())
    for business in range(PARENT, PARENT + 3):
        app.contacts.account_of[business] = SLUG
    with serve(app) as server:
        made = Workplace(folder, server.url, {REFERENCE: PRACTICE_ID, "RECONCILER_SECRET_KEY": API_KEY})
        made.declarations.mkdir(parents=True)
        made.more.update(variables(server))
        made.more.update(
            {
                REFERENCE: PRACTICE_ID,
                "RECONCILER_LEDGER_KEY": KEY[::-1],
                "RECONCILER_CONTACTS_REQUESTS_PER_SECOND": "5000",
                "RECONCILER_NEXTECH_REQUESTS_PER_SECOND": "5000",
                "RECONCILER_UNKNOWN_SETTLE_SECONDS": "0",
                "RECONCILER_CONTACTS_CONCURRENCY": str(concurrency),
            }
        )
        if store_url is not None:
            made.more["RECONCILER_STORE"] = store_url
        yield SyncPlace(made, app, server, store_url or made.store_url)


@dataclass
class Killer:
    """Kills a process at the n-th boundary: a moment before the sandbox carries a request out, or after it."""

    place: SyncPlace
    at: int
    """From 0; -1: never."""
    is_lost: bool = True
    """Is a request lost with its sender? Else it arrives although nobody waits for the answer."""
    seen: int = 0
    process: Child | None = None
    started: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.place.app.on_request = self.boundary

    def start(self, *arguments: str) -> Child:
        """Start the process that is to die."""
        self.process = self.place.made.start(*arguments)
        self.started.set()
        return self.process

    def boundary(self, moment: str, request: Request) -> None:
        """The sandbox's hook."""
        del request
        self.started.wait(10)
        with self._lock:
            number, self.seen = self.seen, self.seen + 1
        if number != self.at or self.process is None:
            return
        self.process.kill()
        self.process.ended.wait(10)
        if moment == "before" and self.is_lost:
            raise ConnectionResetError
