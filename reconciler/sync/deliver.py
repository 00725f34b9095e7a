"""Sending what the ledger has planned: at most once each. See ``sync.md``, *Deliver*."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Protocol, TypeVar

from reconciler.clients.contacts import CheckinAnswer, CheckinOutcome
from reconciler.core import tags
from reconciler.core.contact_channels import OptOuts
from reconciler.core.ledger_rules import State
from reconciler.errors import LockHeld, SecretError
from reconciler.store import ledger_outbox, tags_seen
from reconciler.store.database import Store
from reconciler.store.ledger_keys import LedgerKeys
from reconciler.store.ledger_outbox import Claimed, Settlement
from reconciler.sync.outbox import Writer

K = TypeVar("K")

STATES: Final[Mapping[CheckinOutcome, State]] = {
    CheckinOutcome.CONFIRMED: "confirmed",
    CheckinOutcome.FAILED: "failed",
    CheckinOutcome.UNKNOWN: "unknown",
    # Provably not taken: nothing is lost, and nothing was sent.
    CheckinOutcome.LOCATION_STOPPED: "planned",
    CheckinOutcome.ACCOUNT_STOPPED: "planned",
    CheckinOutcome.NOT_SENT: "planned",
}
SILENT_AFTER: Final[Mapping[CheckinOutcome, int]] = {CheckinOutcome.NOT_SENT: 5, CheckinOutcome.UNKNOWN: 10}
"""So many in a row end the delivery of an account; the client has tried each of them again by itself."""


class Checkins(Protocol):
    """What delivering needs of ``clients.contacts.ContactsClient``."""

    def checkin(self, business: int, api_key: str, body: Mapping[str, Any]) -> CheckinAnswer:
        """Check one customer in; never raises for what the other side does."""


@dataclass(frozen=True, slots=True)
class Account:
    """How a location's contacts are sent. A stop of the account stops every location with the same ``parent``."""

    parent: int
    """The parent business number."""
    api_key: str = field(repr=False)
    opt_outs: OptOuts = OptOuts()  # noqa: RUF009 - it never changes
    """Who of its contacts may not be contacted, as the pass that sends has read it."""
    country: str = "US"


@dataclass(frozen=True, slots=True)
class Stop:
    """Why a location or an account stopped: Birdeye's code (None where there was none) and our words for it."""

    code: int | None
    message: str


@dataclass
class Delivered:
    """What one delivery did, by location."""

    confirmed: dict[int, int] = field(default_factory=dict)
    failed: dict[int, dict[int | None, int]] = field(default_factory=dict)
    """Code -> count."""
    unknown: dict[int, int] = field(default_factory=dict)
    opted_out: dict[int, list[str]] = field(default_factory=dict)
    """Planned, but not sent, since the contact had opted out: their appointments (pseudonyms)."""
    stopped_locations: dict[int, Stop] = field(default_factory=dict)
    stopped_accounts: dict[int, Stop] = field(default_factory=dict)
    """By parent."""
    paused: set[int] = field(default_factory=set)
    """Locations that somebody paused meanwhile; the rest of theirs is still planned."""
    unreachable: bool = False
    """Nothing was getting through; the rest is still planned."""
    interrupted: bool = False
    """The stop event, or the fence, ended it; the rest is still planned."""
    requests: int = 0
    transactions: int = 0
    """Durable ones."""
    rows: int = 0
    """That these made durable, intents and outcomes."""


def _nothing() -> None:
    return None


def _never(business: int, parent: int) -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Delivery:
    """What ``deliver`` and ``settle_unknown`` work with."""

    store: Store
    """The ledger's."""
    client: Checkins
    keys: LedgerKeys
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    fence: Callable[[], None]
    """Raises ``LockHeld`` where the practice's lease is not ours any more; asked before every request."""
    stop: threading.Event
    is_paused: Callable[[int, int], bool] = _never
    """Has somebody paused this location, or its parent? As of what ``fence`` saw last."""
    concurrency: int = 8
    page: int = 50
    """Rows whose intents become durable together."""
    day: date | None = None
    """Only rows of this local day are sent."""
    enter_thread: Callable[[], None] = _nothing
    """Called first in each thread that makes requests: for what a transport's own fence looks up per thread."""


def deliver(it: Delivery, practice: str, accounts: Mapping[int, Account]) -> Delivered:
    """Send every planned row of these locations of a practice (by pseudonym), by ``accounts``' businesses.

    The intents of a page are durable together before its first request. What is not sent stays, or becomes again,
    planned: a stopped location or account, an interruption, a quota, a connection that is refused. Raises
    ``StoreError`` where the ledger fails; rows that were being sent then are intents, which the next pass looks up.
    """
    with Writer(it.store) as writer:
        run = _Run(it, practice, accounts, writer)
        with ThreadPoolExecutor(it.concurrency, thread_name_prefix="send", initializer=it.enter_thread) as pool:
            run.pages(pool)
        if run.error is not None:
            raise run.error
    if run.seen:
        with it.store.begin() as connection:
            for business, seen in run.seen.items():
                tags_seen.add(connection, business, seen, now=it.now())
        run.done.transactions += 1
    run.done.transactions += writer.transactions
    run.done.rows += writer.rows
    return run.done


class _Run:
    """One delivery: what is shared between the threads that send."""

    def __init__(self, it: Delivery, practice: str, accounts: Mapping[int, Account], writer: Writer) -> None:
        self._it = it
        self._practice = practice
        self._accounts = accounts
        self._writer = writer
        self._lock = threading.Lock()
        self._silent: Counter[tuple[int, CheckinOutcome]] = Counter()
        self._closed_parents: set[int] = set()
        self._room = threading.Semaphore(2 * it.concurrency)
        self.done = Delivered()
        self.seen: dict[int, Counter[tuple[str, str]]] = {}
        """Campaign tags that confirmed contacts carried, by location; vocabulary only."""
        self.error: BaseException | None = None

    def pages(self, pool: ThreadPoolExecutor) -> None:
        """Claim and send page by page; the next page is claimed while the last ones of this page are on their way."""
        while businesses := self._open_businesses():
            page = self._claim(businesses)
            if not page:
                return
            for claimed in page:
                if claimed.is_opted_out:
                    self.done.opted_out.setdefault(claimed.business, []).append(claimed.appointment)
                    continue
                self._room.acquire()
                pool.submit(self._guarded, claimed)

    def _open_businesses(self) -> list[int]:
        if self._is_over():
            return []
        with self._lock:
            return [
                business
                for business, account in self._accounts.items()
                if business not in self.done.stopped_locations
                and business not in self.done.paused
                and account.parent not in self._closed_parents
            ]

    def _is_over(self) -> bool:
        if self._it.stop.is_set():
            self.done.interrupted = True
        return self.done.interrupted or self.error is not None or self._writer.is_broken

    def _claim(self, businesses: list[int]) -> tuple[Claimed, ...]:
        try:
            self._it.fence()
        except LockHeld:
            self.done.interrupted = True
            return ()
        with self._it.store.begin() as connection:
            page = ledger_outbox.claim(
                connection,
                self._practice,
                businesses,
                keys=self._it.keys,
                limit=self._it.page,
                now=self._it.now(),
                day=self._it.day,
                has_opted_out=self._has_opted_out,
            )
        if page:
            self.done.transactions += 1
            self.done.rows += len(page)
        return page

    def _has_opted_out(self, claimed: Claimed) -> bool:
        if claimed.body is None:
            return False
        account, body = self._accounts[claimed.business], claimed.body.reveal()
        return account.opt_outs.has_channels(body.get("emailId"), body.get("phone"), account.country)

    def _guarded(self, claimed: Claimed) -> None:
        try:
            self._send(claimed)
        except BaseException as error:  # noqa: BLE001 - raised again once everything in flight is recorded
            with self._lock:
                self.error = self.error or error
        finally:
            self._room.release()

    def _send(self, claimed: Claimed) -> None:
        account = self._accounts[claimed.business]
        if self._is_over() or self._is_closed(claimed.business, account):
            self._settle(claimed, "planned")
            return
        if claimed.body is None:
            self._count(self.done.failed.setdefault(claimed.business, {}), None)
            self._settle(claimed, "failed")
            return
        try:
            self._it.fence()
            if self._it.is_paused(claimed.business, account.parent):
                with self._lock:
                    self.done.paused.add(claimed.business)
                self._settle(claimed, "planned")
                return
            answer = self._it.client.checkin(claimed.business, account.api_key, claimed.body.reveal())
        except LockHeld:  # before the request, of ours or of the transport
            self.done.interrupted = True
            self._settle(claimed, "planned")
            return
        except SecretError as error:
            with self._lock:
                self.done.stopped_accounts.setdefault(account.parent, Stop(None, error.message))
                self._closed_parents.add(account.parent)
            self._settle(claimed, "planned")
            return
        except BaseException:
            self._settle(claimed, "unknown")  # whatever went wrong, bytes may have gone out
            raise
        self._record(claimed, account, answer)

    def _is_closed(self, business: int, account: Account) -> bool:
        with self._lock:
            closed = business in self.done.stopped_locations or business in self.done.paused
            return closed or account.parent in self._closed_parents

    def _record(self, claimed: Claimed, account: Account, answer: CheckinAnswer) -> None:
        outcome, business = answer.outcome, claimed.business
        with self._lock:
            self.done.requests += answer.requests
            if outcome is CheckinOutcome.CONFIRMED:
                self._count(self.done.confirmed, business)
                if claimed.body is not None and (found := tags.vocabulary(claimed.body.reveal())):
                    self.seen.setdefault(business, Counter()).update(found)
            elif outcome is CheckinOutcome.FAILED:
                self._count(self.done.failed.setdefault(business, {}), answer.code)
            elif outcome is CheckinOutcome.UNKNOWN:
                self._count(self.done.unknown, business)
            elif outcome is CheckinOutcome.LOCATION_STOPPED:
                self.done.stopped_locations.setdefault(business, Stop(answer.code, answer.message))
            elif outcome is CheckinOutcome.ACCOUNT_STOPPED:
                self.done.stopped_accounts.setdefault(account.parent, Stop(answer.code, answer.message))
                self._closed_parents.add(account.parent)
            self._listen(account.parent, outcome)
        self._settle(claimed, STATES[outcome], answer)

    def _listen(self, parent: int, outcome: CheckinOutcome) -> None:
        """Give an account up where answer after answer fails to come: the rest is safer planned than unknown."""
        if outcome not in SILENT_AFTER:
            for silence in SILENT_AFTER:
                self._silent[parent, silence] = 0
            return
        self._silent[parent, outcome] += 1
        if self._silent[parent, outcome] >= SILENT_AFTER[outcome]:
            self.done.unreachable = True
            self._closed_parents.add(parent)

    def _settle(self, claimed: Claimed, state: State, answer: CheckinAnswer | None = None) -> None:
        self._writer.put(
            Settlement(
                practice=claimed.practice,
                appointment=claimed.appointment,
                intent_at=claimed.intent_at,
                state=state,
                at=self._it.now(),
                code=None if answer is None else answer.code,
                customer_id=None if answer is None else answer.customer_id,
            )
        )

    @staticmethod
    def _count(counts: dict[K, int], key: K) -> None:
        counts[key] = counts.get(key, 0) + 1
