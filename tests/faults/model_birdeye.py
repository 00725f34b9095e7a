"""Birdeye as the outbox sees it, in memory and on a clock of its own; and a process that a test can kill.

Every check-in does what the next word of the script says. What is committed, late or not, within ``LATEST_SECONDS``
after its request ended can be found by the time an unknown row has settled; that is the promise the outbox relies on.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection

from reconciler.clients.contacts import Activity, CheckinAnswer, Customer
from reconciler.clients.contacts import CheckinOutcome as Outcome
from reconciler.errors import RemoteError, StoreError
from reconciler.store.database import Store

Word = Literal[
    "ok",
    "lost answer",
    "never arrives",
    "late",
    "refused",
    "not sent",
    "location",
    "account",
    "killed before",
    "killed after",
    "killed, late",
]
WORDS: tuple[Word, ...] = (
    "ok",
    "lost answer",
    "never arrives",
    "late",
    "refused",
    "not sent",
    "location",
    "account",
    "killed before",
    "killed after",
    "killed, late",
)
LATEST_SECONDS = 25
INDEX_SECONDS = 4
"""How far the search is behind."""


class Clock:
    """The time of everybody."""

    def __init__(self, at: datetime) -> None:
        self.at = at
        self.lock = threading.Lock()

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        with self.lock:
            self.at += timedelta(seconds=seconds)


class Process:
    """A runner that can die: from then on it writes and sends nothing."""

    def __init__(self, store: Store, *, dies_at: int | None = None, after_commit: bool = False) -> None:
        self.real = store
        self.is_dead = False
        self._dies_at = dies_at
        self._after_commit = after_commit
        self._count = 0
        self._lock = threading.Lock()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        with self._lock:
            self._count += 1
            is_last = self._count == self._dies_at
        if self.is_dead or (is_last and not self._after_commit):
            self.is_dead = True
            raise StoreError("killed")
        with self.real.begin() as connection:
            yield connection
        if is_last:
            self.is_dead = True
            raise StoreError("killed")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        if self.is_dead:
            raise StoreError("killed")
        with self.real.read() as connection:
            yield connection


class Birdeye:
    """Contacts, by e-mail address, with what was delivered for which visit."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.process: Process | None = None
        self.script: list[Word] = []
        self.lookups_fail = False
        self.delivered: Counter[str] = Counter()
        """By visit."""
        self.by_patient: Counter[str] = Counter()
        self._on_the_way: list[tuple[datetime, dict[str, Any]]] = []
        self._log: dict[str, list[datetime]] = {}
        self._lock = threading.Lock()

    def arrive(self) -> None:
        """What was on its way until now has arrived."""
        with self._lock:
            for due, body in sorted(self._on_the_way, key=lambda it: it[0]):
                if due <= self.clock.now():
                    self._commit(body, due)
            self._on_the_way = [it for it in self._on_the_way if it[0] > self.clock.now()]

    def _commit(self, body: Mapping[str, Any], at: datetime) -> None:
        self.delivered[body["additionalParams"]["appointment.types"]] += 1
        self.by_patient[body["externalId"]] += 1
        self._log.setdefault(body["emailId"], []).append(at)

    def checkin(self, business: int, api_key: str, body: Mapping[str, Any]) -> CheckinAnswer:
        del business, api_key
        if self.process is not None and self.process.is_dead:
            return CheckinAnswer(Outcome.NOT_SENT, None, None, "the process is dead")
        with self._lock:
            word = self.script.pop(0) if self.script else "ok"
        if word in {"ok", "lost answer", "killed after"}:
            self.clock.sleep(0.2)
            with self._lock:
                self._commit(body, self.clock.now())
        if word in {"lost answer", "never arrives", "late"}:
            self.clock.sleep(30)
        if word in {"late", "killed, late"}:
            due = self.clock.now() + timedelta(seconds=LATEST_SECONDS)
            with self._lock:
                self._on_the_way.append((due, dict(body)))
        if word.startswith("killed") and self.process is not None:
            self.process.is_dead = True
        return _ANSWERS.get(word, _SILENCE)

    def get_customer(
        self,
        business: int,
        api_key: str,
        *,
        email: str | None = None,
        phone: str | None = None,
        customer_id: str | None = None,
    ) -> Customer | None:
        del phone, customer_id
        self._ready("getCustomer")
        seen = [
            at for at in self._log.get(email or "", []) if at <= self.clock.now() - timedelta(seconds=INDEX_SECONDS)
        ]
        return Customer(str(email), None, None, (business,)) if seen else None

    def activity_log(
        self, business: int, api_key: str, customer_id: str, *, start: date, end: date
    ) -> tuple[Activity, ...]:
        del business, api_key
        self._ready("history")
        found = self._log.get(customer_id, [])
        return tuple(Activity("Review request", "sent", at) for at in found if start <= at.date() <= end)

    def _ready(self, what: str) -> None:
        self.arrive()
        if self.lookups_fail:
            raise RemoteError(f"{what} failed", method="GET", path="/")


_SILENCE = CheckinAnswer(Outcome.UNKNOWN, None, None, "no answer came")
_ANSWERS: dict[Word, CheckinAnswer] = {
    "ok": CheckinAnswer(Outcome.CONFIRMED, 200, None, "checked in", "77"),
    "refused": CheckinAnswer(Outcome.FAILED, 400, 1142, "code 1142"),
    "not sent": CheckinAnswer(Outcome.NOT_SENT, None, None, "the request never left"),
    "location": CheckinAnswer(Outcome.LOCATION_STOPPED, 400, 1175, "code 1175"),
    "account": CheckinAnswer(Outcome.ACCOUNT_STOPPED, 401, 1161, "code 1161"),
}
