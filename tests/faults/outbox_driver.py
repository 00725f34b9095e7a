"""A process that delivers what a ledger has planned: lease, orphans, look-ups, sending. No pass, no Nextech.

Run by the nursery: ``deliver STORE URL SECONDS``, where SECONDS is how long an unknown row takes to settle. Prints what
it did as JSON; 6 where another process holds the lease.
"""

from __future__ import annotations

import json
import random
from contextlib import ExitStack

from reconciler.clients.contacts import ContactsClient
from reconciler.clients.transport import RateLimiter, Transport
from reconciler.clock import Clock
from reconciler.errors import LockHeld
from reconciler.store import leases
from reconciler.store.database import Store, open_store
from reconciler.sync import deliver, settle
from tests.ledgers import ACCOUNTS, Desk

CONCURRENCY = 8


def deliver_once(store: Store, url: str, seconds: float, *, fence: bool = True) -> dict[str, object]:
    """One delivery; raises ``LockHeld`` where the practice's lease is taken."""
    clock = Clock()
    desk = Desk(store)
    with ExitStack() as stack:
        check = lambda: None  # noqa: E731 - a fence that lets everything through
        if fence:
            lease = stack.enter_context(leases.acquire(store, f"sync:{desk.practice}", leases.Holder("sync", "test")))
            stack.enter_context(leases.Heartbeat(lease))
            check = lease.check
        transport = stack.enter_context(
            Transport(
                base_url=url,
                allowed_hosts=frozenset({"127.0.0.1"}),
                limiter=RateLimiter(100_000, now=clock.monotonic, sleep=clock.sleep),
                concurrency=CONCURRENCY,
                now=clock.monotonic,
                wall=clock.now,
                sleep=clock.sleep,
                jitter=random.random,
                fence=check,
            )
        )
        client = ContactsClient(transport)
        # The pause between two look-ups is for an index that is behind; the sandbox's is not.
        delivery = desk.delivery(
            client, now=clock.now, sleep=lambda pause: clock.sleep(min(pause, 0.01)), fence=check, concurrency=8
        )
        if fence:
            settle.adopt_orphans(store, desk.practice, now=clock.now())
            if settle.due_at(store, desk.practice, settle_seconds=seconds) is not None:
                clock.sleep(seconds)  # then the youngest has settled too
        found = settle.settle_unknown(delivery, client, desk.practice, ACCOUNTS, settle_seconds=seconds)
        done = deliver.deliver(delivery, desk.practice, ACCOUNTS)
    return {
        "sent": sum(done.confirmed.values()),
        "unknown": sum(done.unknown.values()),
        "resolved": sum(found.confirmed.values()),
        "replanned": sum(found.planned.values()),
        "held": sum(found.held.values()),
        "rows": done.rows,
        "transactions": done.transactions,
    }


def run(arguments: list[str]) -> int:
    """The process: its exit code."""
    url, address, seconds, *more = arguments
    with open_store(url, now=Clock().now, write=True) as store:
        try:
            found = deliver_once(store, address, float(seconds), fence="--no-lease" not in more)
        except LockHeld:
            return 6
    print(json.dumps(found))  # noqa: T201 - what the test reads
    return 0
