"""Sending what the ledger has planned: at most once each. See ``sync.md``, *Deliver*."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from reconciler.clients.contacts import CheckinAnswer
from reconciler.errors import InternalError
from reconciler.store.database import Store
from reconciler.store.ledger_keys import LedgerKeys


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
    stopped_locations: dict[int, Stop] = field(default_factory=dict)
    stopped_accounts: dict[int, Stop] = field(default_factory=dict)
    """By parent."""
    unreachable: bool = False
    """Nothing was getting through; the rest is still planned."""
    interrupted: bool = False
    """The stop event, or the fence, ended it; the rest is still planned."""
    requests: int = 0
    transactions: int = 0
    """Durable ones."""


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
    concurrency: int = 8
    page: int = 50
    """Rows whose intents become durable together."""


def deliver(it: Delivery, practice: str, accounts: Mapping[int, Account]) -> Delivered:
    """Send every planned row of these locations of a practice (by pseudonym)."""
    raise InternalError("not built yet")
