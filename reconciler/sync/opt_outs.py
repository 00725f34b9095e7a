"""Who opted out: Birdeye's feed, read once per account and pass; what is known of it is kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from reconciler.clients.contacts import OptOut
from reconciler.core import contact_channels
from reconciler.core.contact_channels import OptOuts
from reconciler.errors import RemoteError

LOOK_BACK: Final = timedelta(days=30)
"""The feed has a request per day. Birdeye itself keeps what is older: it sends nothing to those who opted out."""
WHOLE: Final = timedelta(days=1)
"""After so long all of it is read anew, so that those who opted in again are contacted again."""
OVERLAP: Final = timedelta(minutes=5)
"""Clocks differ."""


class Feed(Protocol):
    """What reading needs of ``clients.contacts.ContactsClient``."""

    def opt_outs(self, business: int, api_key: str, *, start: datetime, end: datetime) -> Iterator[tuple[OptOut, ...]]:
        """A day of the feed at a time."""


@dataclass
class _Known:
    """What is known of one account."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    entries: list[OptOut] = field(default_factory=list, repr=False)
    read_from: datetime | None = None
    read_to: datetime | None = None
    built: dict[str, OptOuts] = field(default_factory=dict, repr=False)


class OptOutFeeds:
    """The feeds of all accounts; safe to share between threads. Holds values of people in memory only."""

    def __init__(
        self,
        feed: Feed,
        *,
        now: Callable[[], datetime],
        look_back: timedelta = LOOK_BACK,
        whole: timedelta = WHOLE,
    ) -> None:
        self._feed = feed
        self._now = now
        self._look_back = look_back
        self._whole = whole
        self._lock = threading.Lock()
        self._accounts: dict[int, _Known] = {}

    def __repr__(self) -> str:
        return f"<opt-out feeds of {len(self._accounts)} accounts>"

    def of(
        self,
        parent: int,
        api_key: str,
        country: str,
        *,
        since: datetime,
        on_request: Callable[[], None] = lambda: None,
    ) -> OptOuts:
        """Who opted out of feedback messages of an account (long business number ``parent``).

        ``since``: when the pass that asks began; what was read before that moment is not enough for it. The whole
        look-back is read once a day, otherwise what came since the last read. Raises ``RemoteError`` where the feed
        cannot be read: then nobody of the account may be contacted. ``on_request`` is called for each request that this
        call made; those who find everything read made none.
        """
        with self._lock:
            known = self._accounts.setdefault(parent, _Known())
        with known.lock:  # one read for all the passes that ask at once
            self._read(known, parent, api_key, since, on_request)
            if country not in known.built:
                known.built[country] = _built(known.entries, country)
            return known.built[country]

    def _read(self, known: _Known, parent: int, api_key: str, since: datetime, on_request: Callable[[], None]) -> None:
        now = self._now()
        if known.read_to is not None and since <= known.read_to <= now:
            return
        is_whole_due = known.read_from is None or known.read_to is None or now - known.read_from >= self._whole
        start = now - self._look_back if is_whole_due or known.read_to is None else known.read_to - OVERLAP
        found: list[OptOut] = []
        try:
            for part in self._feed.opt_outs(parent, api_key, start=start, end=now):
                on_request()
                found += part
        except RemoteError:
            on_request()
            raise
        if is_whole_due:
            known.entries, known.read_from = [], now
        # Only once all of it was read: half a feed would leave people out.
        known.entries += [it for it in found if it.covers_feedback]
        known.read_to = now
        known.built = {}


def _built(entries: Iterable[OptOut], country: str) -> OptOuts:
    blocked = [{"emailId": it.email, "phone": it.phone} for it in entries]
    return contact_channels.opt_outs({"blocked": blocked}, country)
