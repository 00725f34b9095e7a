"""The day's calls to a product (``nextech.daily_calls``): counted durably, for all processes of one ledger together.

Calls are promised a few at a time, so that not every request costs a durable write. A process that is killed loses what
it had been promised: too few calls are made then, never too many.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from reconciler.errors import QuotaUsedUp, StoreError
from reconciler.store import daily_calls
from reconciler.store.database import Store

MOST_AT_ONCE: Final = 20
SHARE: Final = 100
"""No more than this part of a day's calls is promised to one process at once."""


class DailyCalls:
    """The limit of one product. Thread-safe; ``close()`` gives back what was promised and not used.

    With a ledger that is open for reading only (a dry run) calls are counted in this process alone.
    """

    def __init__(self, ledger: Store, product: str, limit: int, *, now: Callable[[], datetime]) -> None:
        self._ledger = ledger
        self._product = product
        self._limit = limit
        self._now = now
        self._lock = threading.Lock()
        self._day: date | None = None
        self._promised = 0
        self._unrecorded = 0

    def behind(self, fence: Callable[[], None]) -> Callable[[], None]:
        """A transport's fence that takes one call where ``fence`` lets the request through."""

        def check() -> None:
            fence()
            self.take()

        return check

    def take(self) -> None:
        """One call is about to be made. Raises errors.QuotaUsedUp where none is left."""
        now = self._now()
        with self._lock:
            if not self._ledger.writable:
                if self._left(now) <= 0:
                    raise self._used_up()
                self._unrecorded += 1
                return
            if self._day != _day(now):
                self._promised, self._day = 0, _day(now)
            if self._promised == 0:
                wanted = max(1, min(MOST_AT_ONCE, self._limit // SHARE))
                with self._ledger.begin() as connection:
                    self._promised = daily_calls.reserve(
                        connection, self._product, wanted=wanted, limit=self._limit, now=now
                    )
            if self._promised == 0:
                raise self._used_up()
            self._promised -= 1

    def check(self) -> None:
        """Raises errors.QuotaUsedUp where no call is left; takes none."""
        now = self._now()
        with self._lock:
            mine = self._promised if self._day == _day(now) else 0
            if mine + self._left(now) <= 0:
                raise self._used_up()

    def tell(self, *, is_used_up: bool) -> bool:
        """Are people to be told that the calls are used up, or that there are some again? True once per change."""
        now = self._now()
        if not is_used_up:
            with self._ledger.read() as connection:
                if daily_calls.used(connection, self._product, now=now).told is None:
                    return False
        with self._ledger.begin() as connection:
            return daily_calls.tell(connection, self._product, is_used_up=is_used_up, now=now)

    def renewed_at(self) -> datetime:
        """When the next day of calls begins: midnight UTC."""
        return datetime.combine(_day(self._now()) + timedelta(days=1), time(), UTC)

    def close(self) -> None:
        """Give back what was promised and not used."""
        with self._lock:
            calls, self._promised = self._promised, 0
            if not calls or self._day is None:
                return
            # Calls that cannot be given back are not made today: no reason to fail what was done.
            with contextlib.suppress(StoreError), self._ledger.begin() as connection:
                daily_calls.give_back(connection, self._product, calls=calls, day=self._day, now=self._now())

    def _left(self, now: datetime) -> int:
        with self._ledger.read() as connection:
            state = daily_calls.used(connection, self._product, now=now)
        return self._limit - state.calls - self._unrecorded

    def _used_up(self) -> QuotaUsedUp:
        return QuotaUsedUp(
            f"the {self._limit} calls a day to {self._product} (nextech.daily_calls) are used up; nothing was asked, and "
            f"nothing is lost: what waits goes on after {self.renewed_at():%Y-%m-%d %H:%M} UTC",
            method="GET",
            path="/",
            hint="raise nextech.daily_calls where Nextech allows more",
        )


def _day(now: datetime) -> date:
    return now.astimezone(UTC).date()
