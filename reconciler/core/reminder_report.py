"""What the reminders of one location did in a pass, as values: the member ``reminders`` of ``sync --output json``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from reconciler.core.sync_status import moment
from reconciler.errors import InternalError


@dataclass
class UpsertCounts:
    """Appointments told to Birdeye. ``read`` + ``vanished`` = every other count."""

    start: datetime | None = None
    to: datetime | None = None
    since: datetime | None = None
    """Of an incremental read; None: everything was read."""
    read: int = 0
    vanished: int = 0
    """Known, ahead, and not there any more (or not at this location): told as cancelled, or as what they are now."""
    sent: int = 0
    unchanged: int = 0
    newer: int = 0
    """Birdeye knows something newer."""
    unsent: Counter[str] = field(default_factory=Counter)
    """By reason."""
    quarantined: int = 0
    failed: int = 0
    unknown: int = 0
    """No usable answer came: told again by the next pass, which does no harm."""
    pending: int = 0
    """To be told, and not by this pass."""

    def to_json(self) -> dict[str, Any]:
        """Raises ``InternalError`` where the counts do not add up."""
        parts = self.sent + self.unchanged + self.newer + sum(self.unsent.values()) + self.quarantined
        parts += self.failed + self.unknown + self.pending
        if self.read + self.vanished != parts:
            raise InternalError(
                f"counting appointments: {self.read} read, {self.vanished} vanished, {parts} have an outcome"
            )
        return {
            "window": {"from": moment(self.start), "to": moment(self.to)},
            "since": moment(self.since),
            "read": self.read,
            "vanished": self.vanished,
            "sent": self.sent,
            "unchanged": self.unchanged,
            "newer": self.newer,
            "unsent": dict(sorted(self.unsent.items())),
            "quarantined": self.quarantined,
            "failed": self.failed,
            "unknown": self.unknown,
            "pending": self.pending,
        }


@dataclass
class RequestCounts:
    """What patients asked for through Birdeye. ``open`` + ``received`` = the other four."""

    open: int = 0
    """Left by earlier passes."""
    received: int = 0
    accepted: int = 0
    rejected: int = 0
    held: int = 0
    """Asked of Nextech with an outcome that nobody knows; looked for at every pass, never asked twice unseen."""
    pending: int = 0
    """Not asked yet, or Birdeye does not know the outcome yet."""

    def to_json(self) -> dict[str, Any]:
        """Raises ``InternalError`` where the counts do not add up."""
        if self.open + self.received != self.accepted + self.rejected + self.held + self.pending:
            raise InternalError("counting requests: not every one has an outcome")
        return {
            "open": self.open,
            "received": self.received,
            "accepted": self.accepted,
            "rejected": self.rejected,
            "held": self.held,
            "pending": self.pending,
        }


@dataclass
class ReminderReport:
    """How the reminders of one location ended."""

    status: str
    """A word of ``core.sync_report.Status``."""
    detail: str = ""
    upsert: UpsertCounts | None = None
    """None where that trigger is not in force, or did not run."""
    requests: RequestCounts | None = None
    warnings: list[str] = field(default_factory=list)

    @property
    def needs_a_person(self) -> bool:
        """Is something held, failed or unknown (exit code 5)?"""
        told = self.upsert is not None and bool(self.upsert.failed or self.upsert.unknown)
        return told or (self.requests is not None and self.requests.held > 0)

    def to_json(self) -> dict[str, Any]:
        """As ``sync --output json`` has it."""
        found: dict[str, Any] = {
            "status": self.status,
            "upsert": self.upsert.to_json() if self.upsert is not None else None,
            "requests": self.requests.to_json() if self.requests is not None else None,
        }
        if self.detail:
            found["detail"] = self.detail
        if self.warnings:
            found["warnings"] = list(self.warnings)
        return found
