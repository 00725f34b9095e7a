"""Who opted out: Birdeye's feed, read once per account and pass; what is known of it is kept in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from reconciler.clients.contacts import CODES, CheckinOutcome, OptOut
from reconciler.core import contact_channels
from reconciler.core.contact_channels import OptOuts
from reconciler.errors import Answered, RemoteError

LOOK_BACK: Final = timedelta(days=29)
"""So far back the feed is read by days, which is what it is made for; all that is older, in one request."""
BEGINNING: Final = datetime(2012, 1, 1, tzinfo=UTC)
"""Nobody can have opted out before: there was no Birdeye."""
NOT_OF_SPAN: Final = frozenset({401, 403, 404, 408, 425, 429})
"""Refusals that say nothing of how far back one may look."""
WHOLE: Final = timedelta(days=1)
"""After so long all of it is read anew, so that those who opted in again are contacted again."""
REFUSED_ANYWAY: Final = frozenset(code for code, (outcome, _) in CODES.items() if outcome is not CheckinOutcome.FAILED)
"""Codes of a wrong key or business, or of the rate limit."""
OVERLAP: Final = timedelta(minutes=5)
"""Clocks differ."""


class Feed(Protocol):
    """What reading needs of ``clients.contacts.ContactsClient``."""

    def opt_outs(self, business: int, api_key: str, *, start: datetime, end: datetime) -> Iterator[tuple[OptOut, ...]]:
        """A day of the feed at a time."""

    def opt_outs_at_once(self, business: int, api_key: str, *, start: datetime, end: datetime) -> tuple[OptOut, ...]:
        """All of it in one request."""


@dataclass
class _Known:
    """What is known of one account."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    entries: list[OptOut] = field(default_factory=list, repr=False)
    read_from: datetime | None = None
    read_to: datetime | None = None
    built: dict[str, OptOuts] = field(default_factory=dict, repr=False)
    shortened: str = ""


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

        ``since``: when the pass that asks began; what was read before that moment is not enough for it. All of it is
        read once a day, otherwise what came since the last read. Raises ``RemoteError`` where the feed
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

    def shortened(self, parent: int) -> str:
        """What was not read of an account since Birdeye refuses it, for people; an empty text where all of it was."""
        with self._lock:
            known = self._accounts.get(parent)
        return "" if known is None else known.shortened

    def _read(self, known: _Known, parent: int, api_key: str, since: datetime, on_request: Callable[[], None]) -> None:
        now = self._now()
        if known.read_to is not None and since <= known.read_to <= now:
            return
        is_whole_due = known.read_from is None or known.read_to is None or now - known.read_from >= self._whole
        start = now - self._look_back if is_whole_due or known.read_to is None else known.read_to - OVERLAP
        found: list[OptOut] = []
        shortened = known.shortened
        try:
            if is_whole_due:
                older = self._older(parent, api_key, start)
                on_request()
                shortened = "" if older is not None else self._says()
                found += older or ()
            for part in self._feed.opt_outs(parent, api_key, start=start, end=now):
                on_request()
                found += part
        except RemoteError:
            on_request()
            raise
        if is_whole_due:
            known.entries, known.read_from = [], now
        # Only once all of it was read: half a feed would leave people out.
        fresh = [it for it in found if it.covers_feedback]
        known.entries += fresh
        known.read_to, known.shortened = now, shortened
        if is_whole_due:
            known.built = {}
        else:
            known.built = {country: it | _built(fresh, country) for country, it in known.built.items()}

    def _older(self, parent: int, api_key: str, before: datetime) -> tuple[OptOut, ...] | None:
        """Who opted out longer ago than the days that are read one by one; None where Birdeye refuses so long a span."""
        try:
            return self._feed.opt_outs_at_once(parent, api_key, start=BEGINNING, end=before)
        except Answered as error:
            if not 400 <= error.status < 500 or error.status in NOT_OF_SPAN or error.code in REFUSED_ANYWAY:
                raise
            return None

    def _says(self) -> str:
        return (
            f"Birdeye does not say who opted out more than {self._look_back.days} days ago: whoever did is held back by "
            "Birdeye alone"
        )


def _built(entries: Iterable[OptOut], country: str) -> OptOuts:
    blocked = [{"emailId": it.email, "phone": it.phone} for it in entries]
    return contact_channels.opt_outs({"blocked": blocked}, country)
