"""Finding out what became of check-ins whose answer never came. See ``sync.md``, *Deliver*."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Protocol

from reconciler.clients.contacts import Activity, Customer
from reconciler.errors import InternalError
from reconciler.store.database import Store
from reconciler.sync.deliver import Account, Delivery


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
    requests: int = 0


def adopt_orphans(store: Store, practice: str, *, now: datetime) -> int:
    """At the start of a pass, under its lease: what a dead process was sending is unknown. How many."""
    raise InternalError("not built yet")


def due_at(store: Store, practice: str, *, settle_seconds: float) -> datetime | None:
    """When the oldest unknown row may be looked up; None where there is none."""
    raise InternalError("not built yet")


def settle_unknown(
    it: Delivery, lookups: Lookups, practice: str, accounts: Mapping[int, Account], *, settle_seconds: float
) -> Settled:
    """Look up every unknown row that has settled. Rows of locations without an account wait."""
    raise InternalError("not built yet")
