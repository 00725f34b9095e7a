"""What every pass works with, and how one was asked for."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Protocol

from reconciler.errors import CredentialsRefused, LockHeld
from reconciler.store import sync_practices
from reconciler.store.database import Store
from reconciler.store.leases import Holder, Lease
from reconciler.store.ledger_keys import LedgerKeys
from reconciler.store.processes import elapsed
from reconciler.store.sync_passes import Kind
from reconciler.sync.deliver import Checkins
from reconciler.sync.extract import Reads
from reconciler.sync.opt_outs import OptOutFeeds
from reconciler.sync.places import Place
from reconciler.sync.pseudonyms import Pseudonyms
from reconciler.sync.quota import DailyCalls
from reconciler.sync.reminder_ports import Appointments, Ports
from reconciler.sync.settle import Lookups

LOCK_PREFIX = "sync:"
LOOK_SECONDS = 0.25
"""So old may the last look at lock and pause be when a request is made."""
SELECT, PLUS = "Nextech Select", "Nextech Practice+"


class Contacts(Checkins, Lookups, Protocol):
    """What a pass needs of ``clients.contacts.ContactsClient``."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings that every pass obeys."""

    contact_start: date | None = None
    max_contacts_per_run: int = 5000
    max_catch_up_days: int = 14
    overlap_days: int = 3
    unknown_settle_seconds: float = 30.0
    concurrency: int = 8
    """Check-ins at a time."""
    pause_all: bool = False


@dataclass(frozen=True, slots=True)
class Options:
    """How a pass was asked for."""

    kind: Kind = "now"
    dry_run: bool = False
    due_only: bool = False
    """Only locations whose slot has come, and those that are due within 30 minutes of one that has."""
    day: date | None = None
    """``--date``."""
    first: date | None = None
    last: date | None = None
    """``--backfill``, both included."""
    max_contacts: int | None = None
    """A person's cap for this run, instead of both others."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state that people are told of, once."""

    kind: str
    """``unauthorised``, ``recovered``, ``capped``, ``late``, ``credentials``, ``quota``, ``stopped``, ``error``."""
    subject: str
    text: str


@dataclass
class Deps:
    """Everything that a pass is given. Safe to share between threads."""

    store: Store
    ledger: Store
    keys: LedgerKeys
    pseudonyms: Pseudonyms
    reads: Callable[[bool], Reads]
    """The client of a product: True for Practice+."""
    contacts: Contacts
    feeds: OptOutFeeds
    reveal: Callable[[str], str]
    """Of a secret reference."""
    fingerprint: Callable[[str, str], str]
    """The receipts' full one, by path and value."""
    default_key: str | None = field(repr=False)
    """The contacts API key where a business has none."""
    now: Callable[[], datetime]
    sleep: Callable[[float], None]
    new_id: Callable[[], str]
    holder: Holder
    stop: threading.Event
    limits: Limits = Limits()
    second_executor: Callable[[Sequence[Place], bool], Mapping[int, str]] = lambda places, dry_run: {}
    """Why a location of these seems to be run by somebody else as well, by business."""
    known_before: Callable[[int], bool] = lambda business: False
    """Does the store know a location from before this ledger, or from before this tool?"""
    on_decision: Callable[[Mapping[str, Any]], None] | None = None
    """One decision as log fields; None: nobody listens."""
    on_change: Callable[[Change], None] = lambda change: None
    log: Callable[[str, Mapping[str, Any]], None] = lambda event, fields: None
    parallel: int = 4
    """Practices at a time."""
    appointments: Appointments | None = None
    """Birdeye's side of the reminders; None: they do not run."""
    ports: Callable[[bool], Ports] | None = None
    """Nextech's side of the reminders, of a product: True for Practice+."""
    fences: threading.local = field(default_factory=threading.local)
    refused: dict[str, CredentialsRefused] = field(default_factory=dict)
    """Products whose token service refuses our own credentials, in this run."""
    quotas: Mapping[str, DailyCalls] = field(default_factory=dict)
    """The day's calls of products that have a limit."""
    exhausted: dict[str, str] = field(default_factory=dict)
    """Products whose calls of the day were used up for a practice of this sweep, and the words for it."""
    shut_out: set[str] = field(default_factory=set)
    """Practices (pseudonyms) that answered 403 in this sweep while no other one had let us in."""
    names: dict[str, dict[str, str]] = field(default_factory=dict)
    """Location names by id, of practices whose list this process has read."""

    def check_fence(self) -> None:
        """Asked before each request of this thread: raises ``LockHeld`` where its pass must not go on."""
        fence = getattr(self.fences, "current", None)
        if fence is not None:
            fence()


class Paused(LockHeld):
    """Somebody paused all sending while a pass ran."""


@dataclass
class Fence:
    """Is this pass still allowed to ask and to send? Its lease is its own, and nobody has paused everything.

    The store is looked at every ``LOOK_SECONDS`` at most: at twenty requests a second and more, a look before each is
    what most of the time goes to. The lease's own clock is asked before every request, and it alone is what a lock
    runs out by: nobody else can have it before.
    """

    ledger: Store
    lease: Lease | None
    is_paused: bool = False
    sends: bool = True
    """A backfill contacts nobody: a pause does not stop it."""
    numbers: frozenset[int] = frozenset()
    """The locations of the pass and their parents: each may be paused by itself."""
    paused: frozenset[int] = field(default=frozenset(), init=False)
    """Those of them that somebody paused, as of the last look."""
    elapsed: Callable[[], float] = elapsed
    """Seconds that never jump."""
    _looked: float = field(default=-math.inf, init=False)
    """When the last look that found nothing began."""
    _looking: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def __call__(self) -> None:
        """Raise ``LockHeld`` where it is not."""
        with self._looking:
            began = self.elapsed()
            if not 0 <= began - self._looked < LOOK_SECONDS:
                self._looked = -math.inf  # what a look finds stands until one finds nothing
                self._look()
                self._looked = began
        if self.lease is not None:
            self.lease.check_age()

    def has_paused(self, *businesses: int) -> bool:
        """Was one of these paused, a location or its parent? As of the last look."""
        return not self.paused.isdisjoint(businesses)

    def _look(self) -> None:
        paused: frozenset[int] = frozenset()
        with self.ledger.read() as connection:
            if self.lease is not None:
                self.lease.check(connection)
            if self.sends:
                paused = sync_practices.paused_of(connection, {sync_practices.ALL, *self.numbers})
        self.paused = paused
        if sync_practices.ALL in paused:
            self.is_paused = True
            raise Paused("all sending was paused; nothing further is sent")


def product(practice_plus: bool) -> str:
    """How people call a product."""
    return PLUS if practice_plus else SELECT
