"""What a sync did, as values: per location and per pass, and the exit code that follows from it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from reconciler.core.decide_assign import Counts
from reconciler.core.reminder_report import ReminderReport

Status = Literal["ok", "inactive", "unauthorised", "paused", "stopped", "platform", "waiting", "error"]

NO_COUNTS = Counts()
LOCKED_DETAIL = "another process runs this practice"
"""Why a location waits whose practice another process holds."""


@dataclass(frozen=True, slots=True)
class LocationReport:
    """How one location ended. A location that did not run has empty counts."""

    business: int
    slug: str
    status: Status
    detail: str = ""
    """Why, where the status is not ``ok``; nothing of a person."""
    start: datetime | None = None
    to: datetime | None = None
    counts: Counts = NO_COUNTS
    requests: Mapping[str, int] = field(default_factory=dict)
    """By endpoint, of the whole pass: its locations share its reads."""
    is_locked: bool = False
    """It waits for another process, not for a person."""
    warnings: tuple[str, ...] = ()
    crm_locations: tuple[str, ...] = ()
    """Where a configured name does not exist: the names that Nextech has."""
    practice: str = ""
    """The practice's keyed pseudonym."""
    reminders: ReminderReport | None = None
    """None where no trigger of reminders is in force, or they did not take part."""

    def to_json(self) -> dict[str, Any]:
        """As ``sync --output json`` has it (``interface.md``)."""
        counts = self.counts
        found: dict[str, Any] = {
            "business": self.business,
            "slug": self.slug,
            "window": {"from": _moment(self.start), "to": _moment(self.to)},
            "read": counts.read,
            "eligible": counts.eligible,
            "sent": counts.sent,
            "already_sent": counts.already_sent,
            "restricted": dict(counts.restricted),
            "skipped": dict(counts.skipped),
            "quarantined": counts.quarantined,
            "held": counts.held,
            "failed": counts.failed,
            "pending": counts.pending,
            "requests": dict(sorted(self.requests.items())),
            "status": self.status,
        }
        if self.detail:
            found["detail"] = self.detail
        if self.warnings:
            found["warnings"] = list(self.warnings)
        if self.crm_locations:
            found["crm_locations"] = list(self.crm_locations)
        if self.reminders is not None:
            found["reminders"] = self.reminders.to_json()
        return found


@dataclass(frozen=True, slots=True)
class PassReport:
    """How one pass over one practice ended."""

    practice: str
    """Keyed pseudonym."""
    locations: tuple[LocationReport, ...]
    requests: Mapping[str, int] = field(default_factory=dict)
    unassigned: int = 0
    """Visits that belong to no location, counted once per practice."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """Everything of one ``sync``."""

    locations: tuple[LocationReport, ...]
    """Sorted by slug and business."""
    passes: tuple[PassReport, ...] = ()
    dry_run: bool = False
    errors: tuple[str, ...] = ()
    """What concerns every practice of a product: our own credentials are refused, the day's calls are used up."""
    stopped: int = 0
    """Exit code of the signal that ended it."""

    def to_json(self) -> dict[str, Any]:
        """The published document."""
        return {
            # 1.1 added ``reminders``; a document without any is what 1.0 was.
            "format_version": "1.1" if any(it.reminders is not None for it in self.locations) else "1.0",
            "kind": "sync",
            "dry_run": self.dry_run,
            "errors": list(self.errors),
            "locations": [it.to_json() for it in self.locations],
            "practices": [
                {"practice": it.practice, "unassigned": it.unassigned, "requests": dict(sorted(it.requests.items()))}
                for it in self.passes
            ],
        }

    @property
    def exit_code(self) -> int:
        """The first that applies, in the order of ``interface.md``."""
        tried = [it for it in self.locations if it.status in ("ok", "stopped", "error", "unauthorised") or it.is_locked]
        if tried and all(it.is_locked for it in tried):
            return 6
        reminders = [it.reminders for it in self.locations if it.reminders is not None]
        states = [it.status for it in self.locations] + [it.status for it in reminders]
        if "stopped" in states:
            return 3
        needs_a_person = any(it.counts.held or it.counts.failed for it in self.locations)
        needs_a_person = needs_a_person or any(it.needs_a_person for it in reminders)
        if self.errors or needs_a_person or "error" in states or "unauthorised" in states:
            return 5
        return self.stopped


def collect(passes: Iterable[PassReport], others: Iterable[LocationReport], *, dry_run: bool) -> SyncReport:
    """One report of all passes and of the locations that no pass took."""
    found = tuple(sorted(passes, key=lambda it: it.practice))
    locations = [it for one in found for it in one.locations] + list(others)
    return SyncReport(tuple(sorted(locations, key=lambda it: (it.slug, it.business))), found, dry_run)


def added(*parts: Mapping[str, int]) -> dict[str, int]:
    """Requests by endpoint, summed."""
    total: Counter[str] = Counter()
    for it in parts:
        total.update(it)
    return dict(sorted(total.items()))


def _moment(value: datetime | None) -> str | None:
    return value.isoformat() if value is not None else None
