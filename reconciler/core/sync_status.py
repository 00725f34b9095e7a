"""What operators are shown: how a location is configured and how its syncs fare, why a visit was decided, a ticket."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from reconciler.core.phi import Phi


@dataclass(frozen=True, slots=True)
class ReminderStatus:
    """How the reminders of one location fare."""

    status: str
    detail: str
    mark: datetime | None
    """Up to when Birdeye was told of every change."""
    checked_at: datetime | None
    """When everything ahead was last looked at."""
    last_success: datetime | None
    next_due: datetime | None
    appointments: Mapping[str, int]
    """Told to Birdeye, by status."""
    requests: Mapping[str, int]
    """Of patients, by state; by outcome where Birdeye knows it."""

    def to_json(self) -> dict[str, Any]:
        """For ``status --output json``."""
        return {
            "status": self.status,
            "detail": self.detail,
            "mark": moment(self.mark),
            "checked_at": moment(self.checked_at),
            "last_success": moment(self.last_success),
            "next_due": moment(self.next_due),
            "appointments": dict(sorted(self.appointments.items())),
            "requests": dict(sorted(self.requests.items())),
        }


@dataclass(frozen=True, slots=True)
class LocationStatus:
    """One location on its two axes: what is in force, and how the syncs fare."""

    slug: str
    parent: int
    business: int
    name: str
    is_active: bool
    runner: str
    beta: bool
    practice_plus: bool
    revision: int
    applied_at: datetime
    plan_id: str
    commit: str | None
    status: str
    detail: str
    practice: str | None
    """Pseudonym; None before the first pass."""
    mark: datetime | None
    """Up to when every visit has an outcome."""
    last_success: datetime | None
    next_due: datetime | None
    rows: Mapping[str, int] = field(default_factory=dict)
    """Contacts by state."""
    reminders: ReminderStatus | None = None
    """None where no trigger of reminders is in force."""

    def to_json(self) -> dict[str, Any]:
        """For ``status --output json``."""
        return {
            "slug": self.slug,
            "business": self.business,
            "parent": self.parent,
            "name": self.name,
            "config": {
                "active": self.is_active,
                "runner": self.runner,
                "beta": self.beta,
                "practice_plus": self.practice_plus,
                "revision": self.revision,
                "applied_at": moment(self.applied_at),
                "plan_id": self.plan_id,
                "commit": self.commit,
            },
            "flow": {
                "status": self.status,
                "detail": self.detail,
                "practice": self.practice,
                "mark": moment(self.mark),
                "last_success": moment(self.last_success),
                "next_due": moment(self.next_due),
                "contacts": dict(self.rows),
            },
            "reminders": self.reminders.to_json() if self.reminders is not None else None,
        }


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket to Nextech needs, of one practice."""

    product: str
    slugs: tuple[str, ...]
    practice_id: Phi[str] | None
    """Only where it was asked to be revealed, on a terminal."""
    practice: str | None
    url: str
    status: str
    detail: str
    last_success: datetime | None
    at: datetime

    def to_json(self) -> dict[str, Any]:
        """Without the practice id, whatever was asked: a document is not a terminal."""
        return {
            "product": self.product,
            "slugs": list(self.slugs),
            "practice": self.practice,
            "url": self.url,
            "status": self.status,
            "detail": self.detail,
            "last_success": moment(self.last_success),
            "at": moment(self.at),
        }


@dataclass(frozen=True, slots=True)
class WhyRow:
    """One decision of the ledger, and what became of the contact."""

    id: str
    """The start of the appointment's pseudonym, as logs and ``held list`` show it."""
    slug: str
    business: int
    outcome: str
    reason: str
    rule: str
    compared: tuple[tuple[str, Any], ...]
    revision: int
    commit: str | None
    plan_id: str | None
    decided_at: datetime
    day: date | None
    is_backfilled: bool
    state: str | None
    settled_at: datetime | None
    code: int | None
    customer_id: str | None
    pass_id: str

    def to_json(self) -> dict[str, Any]:
        """For ``why --output json``."""
        return {
            "id": self.id,
            "slug": self.slug,
            "business": self.business,
            "outcome": self.outcome,
            "reason": self.reason,
            "rule": self.rule,
            "compared": {key: list(it) if isinstance(it, list | tuple) else it for key, it in self.compared},
            "revision": self.revision,
            "commit": self.commit,
            "plan_id": self.plan_id,
            "decided_at": moment(self.decided_at),
            "day": self.day.isoformat() if self.day is not None else None,
            "backfilled": self.is_backfilled,
            "state": self.state,
            "settled_at": moment(self.settled_at),
            "code": self.code,
            "customer_id": self.customer_id,
            "pass": self.pass_id,
        }


def moment(value: datetime | None) -> str | None:
    """ISO, or None."""
    return value.isoformat(timespec="seconds") if value is not None else None
