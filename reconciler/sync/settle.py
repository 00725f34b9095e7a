"""Finding out what became of check-ins whose answer never came. See ``sync.md``, *Deliver*."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Final, Literal, Protocol, cast

from sqlalchemy import Connection

from reconciler.clients.contacts import Activity, Customer
from reconciler.core import ledger_rules
from reconciler.errors import InternalError, LockHeld, RemoteError, SecretError
from reconciler.store import ledger_outbox
from reconciler.store.database import Store
from reconciler.store.ledger_outbox import Claimed
from reconciler.sync import pseudonyms
from reconciler.sync.deliver import Account, Delivery

LOOK_AGAIN_SECONDS: Final = 5.0
"""Between the two look-ups of a contact that is not found: Birdeye's search may be behind its writes."""

Verdict = Literal["confirmed", "held", "planned", "wait"] | None
"""None: not found for the first time."""


class Lookups(Protocol):
    """What settling needs of ``clients.contacts.ContactsClient``."""

    def get_customer(
        self,
        business: int,
        api_key: str,
        *,
        email: str | None = None,
        phone: str | None = None,
        customer_id: str | None = None,
    ) -> Customer | None:
        """One contact, or None."""

    def activity_log(
        self, business: int, api_key: str, customer_id: str, *, start: date, end: date
    ) -> tuple[Activity, ...]:
        """What happened to a contact."""


@dataclass
class Settled:
    """What settling did, by location."""

    confirmed: dict[int, int] = field(default_factory=dict)
    planned: dict[int, int] = field(default_factory=dict)
    """Birdeye does not know the contact: to be sent once more."""
    held: dict[int, int] = field(default_factory=dict)
    waiting: dict[int, int] = field(default_factory=dict)
    """Still unknown: too early, or the look-up failed."""
    left: dict[int, set[str]] = field(default_factory=dict, compare=False)
    """The appointments (pseudonyms) that are held or still unknown, by location."""
    requests: int = 0


def adopt_orphans(store: Store, practice: str, *, now: datetime) -> int:
    """At the start of a pass, under its lease: what a dead process was sending is unknown. How many."""
    with store.begin() as connection:
        return ledger_outbox.adopt_orphans(connection, practice, now=now)


def due_at(store: Store, practice: str, *, settle_seconds: float) -> datetime | None:
    """When the oldest unknown row may be looked up; None where there is none."""
    with store.read() as connection:
        since = ledger_outbox.next_unknown(connection, practice)
    return None if since is None else since + timedelta(seconds=settle_seconds)


def settle_unknown(
    it: Delivery, lookups: Lookups, practice: str, accounts: Mapping[int, Account], *, settle_seconds: float
) -> Settled:
    """Look up every unknown row that has settled. Rows of locations without an account wait.

    Settled: ``settle_seconds`` after its request ended without an answer, or after it was found unfinished. That is
    later than its intent plus as many seconds, and it is what makes a second contact safe: within that time whatever
    was still on its way has arrived. The two look-ups of a contact that is not found are ``LOOK_AGAIN_SECONDS`` apart.
    """
    run = _Settling(it, lookups, accounts)
    with ThreadPoolExecutor(it.concurrency, thread_name_prefix="look up", initializer=it.enter_thread) as pool:
        before = it.now() - timedelta(seconds=settle_seconds)
        if run.round(pool, practice, before) and not run.is_over():
            it.sleep(LOOK_AGAIN_SECONDS)
            run.done.waiting = {}
            run.round(pool, practice, before)
    return run.done


@dataclass(frozen=True, slots=True)
class _Found:
    """What a look-up says of a row."""

    state: Verdict
    customer: str | None = None
    """The contact's id."""
    is_surely_theirs: bool = False
    """The contact has the patient's own ``externalId``."""


class _Settling:
    """One run of ``settle_unknown``."""

    def __init__(self, it: Delivery, lookups: Lookups, accounts: Mapping[int, Account]) -> None:
        self._it = it
        self._lookups = lookups
        self._accounts = accounts
        self._lock = threading.Lock()
        self._lost = False
        self.done = Settled()

    def is_over(self) -> bool:
        """No further request may be made."""
        return self._lost or self._it.stop.is_set()

    def round(self, pool: ThreadPoolExecutor, practice: str, before: datetime) -> int:
        """Look at every row once; how many were not found for the first time."""
        after: tuple[datetime, str] | None = None
        again = 0
        while True:
            with self._it.store.read() as connection:
                page = ledger_outbox.unknown_due(
                    connection, practice, keys=self._it.keys, before=before, limit=self._it.page, after=after
                )
            if not page:
                return again
            found = list(pool.map(self._look, [claimed for _, claimed in page]))
            claims = Counter(it.customer for it in found)
            with self._it.store.begin() as connection:
                for (_, claimed), it in zip(page, found, strict=True):
                    is_shared = it.customer is not None and claims[it.customer] > 1
                    again += self._resolve(connection, claimed, it, is_shared=is_shared)
            after = (page[-1][0], page[-1][1].appointment)

    def _resolve(self, connection: Connection, claimed: Claimed, found: _Found, *, is_shared: bool) -> bool:
        state, customer = found.state, found.customer
        left = self.done.left.setdefault(claimed.business, set())
        (left.add if state in ("wait", "held", None) else left.discard)(claimed.appointment)
        if state == "wait":
            self._count(self.done.waiting, claimed.business)
            return False
        is_doubtful = (
            customer is not None
            and not found.is_surely_theirs
            and (is_shared or ledger_outbox.is_of_another(connection, claimed, customer))
        )
        if state == "confirmed" and (is_doubtful or ledger_outbox.has_rival(connection, claimed)):
            # The log does not say which of the patient's visits it speaks of, nor which of those who share a phone.
            state = "held"
            left.add(claimed.appointment)
        changed = ledger_outbox.resolve(connection, claimed, state, now=self._it.now(), customer_id=customer)
        if state is None:
            self._count(self.done.waiting, claimed.business)
            return changed
        if changed:
            self._count(getattr(self.done, state), claimed.business)
        return False

    @staticmethod
    def _count(counts: dict[int, int], business: int) -> None:
        counts[business] = counts.get(business, 0) + 1

    def _look(self, claimed: Claimed) -> _Found:
        """What a look-up says of a row."""
        account = self._accounts.get(claimed.business)
        if account is None or self.is_over():
            return _Found("wait")
        body = {} if claimed.body is None else claimed.body.reveal()
        email, phone = body.get("emailId"), body.get("phone")
        if not email and not phone:
            return _Found("held")
        try:
            return self._ask(claimed, account, email, phone)
        except LockHeld:
            self._lost = True
        except (RemoteError, SecretError):
            pass  # the row stays unknown, and is listed; the next pass asks again
        return _Found("wait")

    def _ask(self, claimed: Claimed, account: Account, email: str | None, phone: str | None) -> _Found:
        customer = None
        # By both: Birdeye may have found an older contact by either of them.
        for key, value in (("email", email), ("phone", phone)):
            if value and customer is None:
                self._before_request()
                customer = self._lookups.get_customer(claimed.business, account.api_key, **{key: value})
        has_activity = is_surely_theirs = False
        if customer is not None:
            wanted = None if claimed.body is None else claimed.body.reveal().get("externalId")
            is_surely_theirs = customer.external_id is not None and customer.external_id == wanted
            # One of ours, and not this patient's: somebody who shares the phone or the address. What happened to them
            # says nothing of this patient. An id of another system is that of an older contact, which Birdeye has kept.
            is_anothers = not is_surely_theirs and pseudonyms.is_one(customer.external_id or "")
            if not is_anothers:
                self._before_request()
                has_activity = self._has_activity(claimed, account, customer.customer_id)
        state = ledger_rules.resolve_unknown(
            not_found_times=claimed.not_found_times + 1,
            is_found=customer is not None,
            has_activity_after_intent=has_activity,
            replans=claimed.replans,
        )
        if state not in {None, "confirmed", "held", "planned"}:
            raise InternalError(f"an unknown row may not become {state}")
        return _Found(
            cast("Verdict", state),
            None if customer is None else customer.customer_id,
            is_surely_theirs=is_surely_theirs,
        )

    def _before_request(self) -> None:
        self._it.fence()
        with self._lock:
            self.done.requests += 1

    def _has_activity(self, claimed: Claimed, account: Account, customer_id: str) -> bool:
        # Days of the log are of an unknown zone, so a day more on each side; the entries themselves have instants, in
        # milliseconds.
        start = claimed.intent_at.date() - timedelta(days=1)
        end = self._it.now().date() + timedelta(days=1)
        since = claimed.intent_at.replace(microsecond=claimed.intent_at.microsecond // 1000 * 1000)
        log = self._lookups.activity_log(claimed.business, account.api_key, customer_id, start=start, end=end)
        return any(entry.at is not None and entry.at >= since for entry in log)
