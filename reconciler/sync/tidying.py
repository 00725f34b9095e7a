"""Once a day the ledger forgets what is old enough. What keeps a patient from a second contact goes last.

``retention_days`` after a decision its details go; the keys that prevent a second contact stay ``KEEP_KEYS_FACTOR``
times as long, and what they knew of is marked as forgotten for ever: no window reaches before it (``sync.taking``).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from reconciler.errors import StoreError
from reconciler.store import ledger_retention, sync_facts, sync_slots
from reconciler.sync.context import Deps

EVERY: Final = timedelta(hours=24)
KEEP_JOBS: Final = timedelta(days=7)
KEEP_KEYS_FACTOR: Final = 2
LONGEST_DELAY: Final = 60
"""Days that ``customer_fetch_delay_days`` may have."""
MARGIN: Final = 30
AT_ONCE: Final = 5_000
"""Rows of one transaction: others wait for it."""
MOST_ROUNDS: Final = 40
FACT: Final = "tidied"


def tidy(deps: Deps, retention_days: int) -> ledger_retention.Retained | None:
    """Tidy up unless somebody did within a day; what went, or None. Goes on next time where there is very much.

    A ledger that cannot be written is told to the log: nothing that was done before depends on this.
    """
    now = deps.now()
    try:
        with deps.ledger.read() as connection:
            last = sync_facts.get(connection, FACT)
        if last is not None and timedelta(0) <= now - datetime.fromisoformat(last) < EVERY:
            return None
        return _all(deps, retention_days, now)
    except StoreError as error:
        deps.log("what is old was not forgotten", {"detail": error.message})
        return None


def _all(deps: Deps, retention_days: int, now: datetime) -> ledger_retention.Retained:
    # Keys stay for as long as any window can reach back, however short the retention.
    reach = LONGEST_DELAY + deps.limits.max_catch_up_days + deps.limits.overlap_days + MARGIN
    keep = max(retention_days * KEEP_KEYS_FACTOR, reach)
    reduced = deleted = 0
    for _ in range(MOST_ROUNDS):
        with deps.ledger.begin() as connection:
            done = ledger_retention.retain(
                connection, now=now, retention_days=retention_days, keep_keys_days=keep, limit=AT_ONCE
            )
            is_over = max(done.reduced, done.deleted) < AT_ONCE
            if is_over:
                sync_slots.forget_before(connection, now - KEEP_JOBS)
                sync_facts.put(connection, FACT, now.isoformat())
        reduced, deleted = reduced + done.reduced, deleted + done.deleted
        if is_over:
            break
    if reduced or deleted:
        deps.log("old decisions were forgotten", {"reduced": reduced, "deleted": deleted})
    return ledger_retention.Retained(reduced, deleted)
