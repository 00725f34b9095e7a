"""Ledger entries as a pass would record them, for made-up patients, and a delivery that needs no pass."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from reconciler.core.decide import Decision
from reconciler.core.phi import Phi
from reconciler.store import keys, ledger, ledger_keys
from reconciler.store.database import Store
from reconciler.store.ledger import Entry, Result
from reconciler.store.ledger_keys import LedgerKeys
from reconciler.sync.deliver import Account, Delivery
from reconciler.sync.pseudonyms import Pseudonyms

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
DAY = date(2026, 11, 23)
LOCATION = 100000000000101
PARENT = 100000000000100
API_KEY = "sandbox-key-skin-group"
ACCOUNTS = {LOCATION: Account(PARENT, API_KEY)}
GIVEN = keys.parse_key("ledger-key-0123456789abcdefghijklmnopqrs", named="RECONCILER_LEDGER_KEY")
PRACTICE_ID = "00000000-0000-4000-8000-000000000002"
SEND = Decision("send", "", "send")


class Desk:
    """Makes entries for one practice of one ledger, and records them."""

    def __init__(self, store: Store, *, given: keys.GivenKey = GIVEN, practice_id: str = PRACTICE_ID) -> None:
        self.store = store
        self.keys: LedgerKeys = ledger_keys.load(store, given)
        self.names = Pseudonyms(self.keys.inner)
        self.practice = self.names.practice(practice_id)

    def appointment(self, number: int) -> str:
        return self.names.appointment(self.practice, Phi(f"A-{number}"))

    def body(self, patient: int, visit: int | None = None) -> Phi[dict[str, Any]]:
        """Of a check-in. The type names the visit, so that a test can tell which one was contacted."""
        external = self.names.external_id(self.practice, Phi(f"P-{patient}"))
        return Phi(
            {
                "name": f"Canary Number{patient}",
                "emailId": f"canary{patient}@example.com",
                "smsEnabled": 0,
                "externalId": external,
                "additionalParams": {"appointment.types": f"Visit {patient if visit is None else visit}"},
            }
        )

    def entry(
        self,
        number: int,
        *,
        patient: int | None = None,
        decision: Decision = SEND,
        business: int = LOCATION,
        day: date = DAY,
    ) -> Entry:
        """The visit ``number`` of a patient, by default one of its own."""
        who = number if patient is None else patient
        kept = decision.outcome in {"send", "held"}
        body = self.body(who, number) if decision.outcome == "send" else None
        return Entry(
            appointment=self.appointment(number),
            business=business,
            slug="skin-group",
            decision=decision,
            revision=3,
            patient=self.names.patient(self.practice, Phi(f"P-{who}")),
            day=day,
            start=datetime(day.year, day.month, day.day, 15, tzinfo=UTC) + timedelta(minutes=number),
            payload=ledger.payload(Phi(f"A-{number}"), body) if kept else None,
        )

    def record(
        self, entries: Iterable[Entry], *, pass_id: str = "pass-1", now: datetime = NOW, backfill: bool = False
    ) -> tuple[Result, ...]:
        with self.store.begin() as connection:
            return ledger.record(
                connection, self.practice, entries, keys=self.keys, pass_id=pass_id, now=now, backfill=backfill
            )

    def plan(self, numbers: Iterable[int]) -> None:
        """Record visits to be sent, a patient each."""
        self.record([self.entry(it) for it in numbers])

    def row(self, number: int) -> ledger.Visit:
        with self.store.read() as connection:
            return ledger.last(connection, self.practice, (self.appointment(number),))[self.appointment(number)]

    def states(self) -> dict[str, int]:
        """Rows of the outbox by state."""
        with self.store.read() as connection:
            found: dict[str, int] = {}
            for by_state in ledger.counts(connection).values():
                for state, count in by_state.items():
                    found[state] = found.get(state, 0) + count
            return found

    def delivery(
        self,
        client: Any,
        *,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = lambda seconds: None,
        fence: Callable[[], None] = lambda: None,
        stop: threading.Event | None = None,
        concurrency: int = 4,
        page: int = 50,
    ) -> Delivery:
        return Delivery(
            store=self.store,
            client=client,
            keys=self.keys,
            now=now,
            sleep=sleep,
            fence=fence,
            stop=stop or threading.Event(),
            concurrency=concurrency,
            page=page,
        )
