"""Who opted out: Birdeye's feed, read once per account and pass, kept in memory for a while."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Final, Protocol

from reconciler.clients.contacts import OptOut
from reconciler.core.contact_channels import OptOuts
from reconciler.errors import InternalError

LOOK_BACK: Final = timedelta(days=30)
FRESH: Final = timedelta(hours=1)


class Feed(Protocol):
    """What reading needs of ``clients.contacts.ContactsClient``."""

    def opt_outs(self, business: int, api_key: str, *, start: datetime, end: datetime) -> Iterator[tuple[OptOut, ...]]:
        """A day of the feed at a time."""


class OptOutFeeds:
    """The feeds of all accounts; safe to share between threads. Holds values of people in memory only."""

    def __init__(
        self, feed: Feed, *, now: Callable[[], datetime], fresh: timedelta = FRESH, look_back: timedelta = LOOK_BACK
    ) -> None:
        self._feed, self._now, self._fresh, self._look_back = feed, now, fresh, look_back
        self._lock = threading.Lock()

    def of(self, parent: int, api_key: str, country: str) -> OptOuts:
        """Who opted out of feedback messages of an account. Raises ``RemoteError`` where the feed cannot be read."""
        raise InternalError("not built yet")
