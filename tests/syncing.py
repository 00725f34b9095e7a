"""A runner in one process: configurations put in force by hand, a sandbox on loopback, a clock that tests set."""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from reconciler.clients.appointments import AppointmentsClient
from reconciler.clients.contacts import ContactsClient
from reconciler.clients.nextech import NextechClient
from reconciler.clients.nextech_auth import PasswordGrant, TokenSource
from reconciler.clients.nextech_writes import NextechWrites
from reconciler.clients.practice_plus import PracticePlusClient
from reconciler.clients.practice_plus import token_source as plus_tokens
from reconciler.clients.transport import Transport
from reconciler.core.records import InForce
from reconciler.core.sync_report import LocationReport, SyncReport
from reconciler.sandbox.app import App
from reconciler.sandbox.emr import CLEAN, Code, Place, Practice, Provider, Shares, Visit
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve
from reconciler.store import in_force, keys, ledger_keys
from reconciler.store.crypto import Fingerprints
from reconciler.store.database import Store, open_store
from reconciler.store.leases import Holder
from reconciler.sync import sweep
from reconciler.sync.context import SELECT, Change, Deps, Limits, Options
from reconciler.sync.opt_outs import OptOutFeeds
from reconciler.sync.pseudonyms import Pseudonyms
from reconciler.sync.reminder_ports import Ports

KEY = "00112233445566778899aabbccddeeff0f1e2d3c4b5a69788796a5b4c3d2e1f0"
PARENT = 100000000000100
SLUG = "example-skin-group"
API_KEY = "sandbox-key-skin-group"
PRACTICE_ID = "00000000-0000-4000-8000-0000000000aa"
OTHER_ID = "00000000-0000-4000-8000-0000000000bb"
NEW_YORK = "America/New_York"
START = datetime(2026, 11, 24, 15, tzinfo=UTC)
"""A Tuesday, ten in the morning in New York."""
NAMES = ("Downtown", "Midtown")


class SetClock:
    """A clock that stands still until a test, or a sleep, moves it. Thread-safe."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at
        self._lock = threading.Lock()

    def now(self) -> datetime:
        return self.at

    def time(self) -> float:
        return self.at.timestamp()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.at += timedelta(seconds=max(0.0, seconds))

    def monotonic(self) -> float:
        return self.at.timestamp()

    def advance(self, **by: float) -> None:
        with self._lock:
            self.at += timedelta(**by)


def practice(practice_id: str = PRACTICE_ID, *, shares: Shares = CLEAN, plus: bool = False) -> Practice:
    """A practice of two locations and two practitioners, with patients and without visits."""
    return Practice(
        practice_id=practice_id,
        name="Example Practice",
        seed=7,
        first_day=START.date(),
        last_day=START.date(),
        places=(
            Place(3, "Downtown", NEW_YORK, "Sarasota", "FL", "34236"),
            Place(4, "Midtown", NEW_YORK, "Peoria", "IL", "61602"),
        ),
        providers=(Provider(417, "Okafor", "Lena"), Provider(704, "Shaw", "Ivo")),
        types=(Code(14, "Follow Up"), Code(15, "Surgery")),
        purposes=(Code(58, "Skin Check"), Code(59, "Biopsy")),
        custom_statuses=(Code(11, "Checked Out"), Code(12, "Roomed")),
        patient_types=(Code(4, "Insurance Patient"), Code(5, "Cosmetic"), Code(7, "Deceased")),
        weekly=(1,) * 7,
        patients=5_000,
        shares=shares,
        practice_plus=plus,
        hospital=Place(9001, "Example Hospital", NEW_YORK, "Albany", "NY", "12207", managed=False),
    )


@dataclass
class Bench:
    """Everything at hand."""

    server: Server
    clock: SetClock
    store: Store
    deps: Deps
    transports: list[Transport]
    changes: list[Change] = field(default_factory=list)
    decisions: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    _patients: int = 0

    @property
    def app(self) -> App:
        return self.server.app

    # configuration -----------------------------------------------------------------------------------------------

    def put(
        self,
        *numbers: int,
        slug: str = SLUG,
        parent: int = PARENT,
        practice_id: str = PRACTICE_ID,
        at: datetime | None = None,
        wire: Mapping[str, str] | None = None,
        locations: Mapping[int, Mapping[str, Any]] | None = None,
        **document: Any,
    ) -> None:
        """Put a business in force. ``numbers``: its locations; ``locations``: keys of single ones; ``wire`` of all."""
        at = at if at is not None else self.clock.now() - timedelta(days=1)
        reference = f"env:RECONCILER_SECRET_{slug.upper().replace('-', '_')}_PRACTICE_ID"
        self.secrets[reference] = practice_id
        self.secrets.setdefault("env:KEY", API_KEY)
        side = {"reference": reference, "print": self.deps.fingerprint("practice.id", practice_id), "from": "group"}
        made = {}
        for number in numbers or (PARENT + 1,):
            own = dict((locations or {}).get(number, {}))
            values = dict(wire or {}) | dict(own.pop("wire", {}))
            resolved = {"practice.id": side} | {key: {"value": it, "from": "group"} for key, it in values.items()}
            made[str(number)] = {
                "name": "",
                "state": "active",
                "active": True,
                "time_zone": NEW_YORK,
                "frequency": "1d",
                "next_run": None,
                "contact_start": None,
                "values": {},
                "resolved": resolved,
                "waiting": None,
                "first_active_at": at.isoformat(),
                "contacting_since": at.isoformat(),
            } | own
        whole = {
            "business": parent,
            "name": "Example",
            "state": "active",
            "runner": "bundled",
            "beta": False,
            "practice_plus": False,
            "country": "US",
            "contacts_api_key": "env:KEY",
            "campaign_tags": None,
            "excluded_patient_types": [],
            "minimum_age": None,
            "group_created": True,
            "triggers": ["nextechFulfilledAppointmentTrigger"],
            "group": {},
            "locations": made,
        } | document
        with self.store.begin() as connection:
            revision = in_force.next_revision(connection, parent)
            value = InForce(slug, parent, revision, at, "plan-1", "c0ffee", whole)
            in_force.put_in_force(connection, value)

    # visits ------------------------------------------------------------------------------------------------------

    def book(
        self,
        day: date | str,
        hour: int = 10,
        *,
        status: str | None = "fulfilled",
        custom: str | None = None,
        place: int = 0,
        patient: int | None = -1,
        provider: int = 0,
        kind: int = 0,
        practice_id: str = PRACTICE_ID,
        zone: str = NEW_YORK,
        minute: int = 0,
    ) -> int:
        """A visit; its id. A new patient unless one is given."""
        emr = self.app.emr
        known = emr.practice(practice_id)
        assert known is not None
        if patient == -1:
            self._patients += 1
            patient = self._patients
        local = date.fromisoformat(day) if isinstance(day, str) else day
        start = datetime.combine(local, time(hour, minute), ZoneInfo(zone))
        display = Code(2, "Out")
        if custom is not None:
            status, display = None, next(it for it in known.custom_statuses if it.name == custom)
        visit = Visit(
            id=0,
            start=start,
            minutes=30,
            place=known.places[place],
            provider=known.providers[provider],
            patient=patient,
            status=status,
            display=display,
            type=known.types[kind],
            purposes=(known.purposes[0],),
            created=start - timedelta(days=30),
            updated=min(start + timedelta(hours=1), self.clock.now()),
            shape="plain",
        )
        return emr.book(known, visit).id

    # passes ------------------------------------------------------------------------------------------------------

    def sync(self, *names: str, options: Options | None = None, **given: Any) -> SyncReport:
        """One sweep; ``given`` are the fields of ``Options``."""
        self.deps.refused.clear()
        found = sweep.standing(self.deps)
        wanted, unknown = sweep.selected(found, names)
        assert not unknown
        return sweep.run_all(self.deps, found, wanted, options or Options(**given))

    def one(self, *names: str, **given: Any) -> LocationReport:
        """The same where there is one location."""
        (found,) = self.sync(*names, **given).locations
        return found

    def limit(self, **changes: Any) -> None:
        """Other settings."""
        self.deps.limits = replace(self.deps.limits, **changes)

    @property
    def deliveries(self) -> list[Any]:
        """Every accepted check-in."""
        return self.app.contacts.deliveries

    @property
    def requests(self) -> dict[str, int]:
        """Requests that the EMR has seen."""
        return dict(self.app.emr.requests)


@contextmanager
def bench(
    folder: Path, *, clock: SetClock | None = None, ledger_folder: Path | None = None, store_url: str = ""
) -> Iterator[Bench]:
    """A runner over an SQLite store in ``folder``, or over ``store_url``; a ledger of its own in ``ledger_folder``."""
    clock = clock or SetClock()
    app = App(SandboxOptions(), now=clock.time)
    app.emr.add(practice())
    app.emr.add(practice(OTHER_ID))
    for business in range(PARENT, PARENT + 60):
        app.contacts.account_of[business] = SLUG
    store_url = store_url or f"sqlite:///{folder}/store.db"
    with serve(app) as server, open_store(store_url, now=clock.now, write=True) as store:
        transports: list[Transport] = []
        fences = threading.local()

        def fence() -> None:
            current = getattr(fences, "current", None)
            if current is not None:
                current()

        def counted() -> None:
            fence()
            quota = made.deps.quotas.get(SELECT)
            if quota is not None:
                quota.take()

        def transport(path: str, fence: Callable[[], None] = fence, **more: Any) -> Transport:
            made = Transport(
                base_url=server.url + path,
                allowed_hosts=frozenset({"127.0.0.1"}),
                now=clock.monotonic,
                wall=clock.now,
                sleep=clock.sleep,
                jitter=lambda: 0.5,
                fence=fence,
                concurrency=8,
                **more,
            )
            transports.append(made)
            return made

        grant = PasswordGrant("sandbox-client", "reconciler@nextech-api.com", "sandbox-password", "resource")
        base = app.variables["RECONCILER_NEXTECH_URL"]
        tokens = TokenSource(transport(""), grant, path="/oauth2/token", now=clock.monotonic)
        select = NextechClient(transport(base, counted), tokens, base_url=server.url + base, now=clock.monotonic)
        plus_base = app.variables["RECONCILER_PRACTICE_PLUS_URL"]
        plus_token = plus_tokens(
            transport(""),
            path="/oauth2/token",
            now=clock.monotonic,
            client_id="sandbox-partner",
            client_secret="sandbox-partner-secret",
            resource="practice-plus-partner-api-id",
        )
        plus = PracticePlusClient(
            transport(plus_base), plus_token, base_url=server.url + plus_base, now=clock.monotonic
        )
        birdeye = transport(app.variables["RECONCILER_CONTACTS_URL"])
        contacts = ContactsClient(birdeye, 2)
        ledger = store
        if ledger_folder is not None:
            ledger = open_store(f"sqlite:///{ledger_folder}/ledger.db", now=clock.now, write=True)
        own_keys = ledger_keys.load(ledger, keys.parse_key(KEY, named="key"))
        secrets: dict[str, str] = {}
        deps = Deps(
            store=store,
            ledger=ledger,
            keys=own_keys,
            pseudonyms=Pseudonyms(own_keys.inner),
            reads=lambda is_plus: plus if is_plus else select,
            contacts=contacts,
            feeds=OptOutFeeds(contacts, now=clock.now, look_back=timedelta(minutes=1)),
            reveal=lambda reference: secrets[reference],
            fingerprint=Fingerprints(b"k" * 32).full,
            default_key=None,
            now=clock.now,
            sleep=clock.sleep,
            new_id=lambda: uuid.uuid4().hex,
            holder=Holder("sync", "tester"),
            stop=threading.Event(),
            limits=Limits(concurrency=2),
            parallel=1,
            appointments=AppointmentsClient(birdeye),
            ports=lambda is_plus: (
                Ports(plus, NextechWrites(plus, practice_plus=True))
                if is_plus
                else Ports(select, NextechWrites(select))
            ),
            fences=fences,
        )
        made = Bench(server, clock, store, deps, transports, secrets=secrets)
        deps.on_change = made.changes.append
        deps.on_decision = made.decisions.append
        deps.log = lambda event, fields: made.events.append((event, fields))
        try:
            yield made
        finally:
            for it in transports:
                it.close()
            if ledger is not store:
                ledger.close()


def as_json(report: SyncReport) -> dict[str, Any]:
    """The published document, as a reader of its text sees it."""
    found: dict[str, Any] = json.loads(json.dumps(report.to_json()))
    return found
