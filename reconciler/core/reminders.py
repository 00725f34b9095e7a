"""Which appointments Birdeye is told of, and how: the upsert half of reminders, pure. Facts: ``sync.md``, *Reminders*.

The contract with Birdeye is provisional and ours (``clients.appointments``); nothing here is published by Birdeye.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from reconciler.core import contact_channels, timing
from reconciler.core.contact import Contact
from reconciler.core.decide import decide_contact
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Patient
from reconciler.core.phi import Phi

BirdeyeStatus = Literal["booked", "confirmed", "completed", "cancelled", "no_show"]

STATUSES: Final[dict[str, BirdeyeStatus]] = {
    "proposed": "booked",
    "pending": "booked",
    "booked": "confirmed",
    "arrived": "confirmed",
    "fulfilled": "completed",
    "cancelled": "cancelled",
    "noshow": "no_show",
}
"""FHIR's word -> Birdeye's. A custom status has none: no key of a declaration maps it, so it is left unsent."""
OVER: Final = frozenset({"completed", "cancelled", "no_show"})
"""After these nobody is reminded."""
CUSTOM, UNMAPPED, IN_ERROR = "custom_status", "unmapped_status", "entered_in_error"
OVERLAP: Final = timedelta(hours=3)
"""How far before its mark an incremental read looks again: clocks differ, and changes become visible late."""
FEW_GONE: Final = 10
SHARE_GONE: Final = 0.2
"""More than both of what lies ahead has never vanished by hand: rather the practice's answer is not to be believed."""


def status_of(visit: Appointment, *, is_known: bool) -> tuple[BirdeyeStatus | None, str]:
    """Birdeye's status of an appointment, and why there is none. ``is_known``: Birdeye was told of it before.

    What was entered in error is cancelled where Birdeye knows it: nobody must be reminded of it.
    """
    if visit.status is None:
        return None, CUSTOM
    if visit.status == "entered-in-error":
        return ("cancelled", "") if is_known else (None, IN_ERROR)
    found = STATUSES.get(visit.status)
    return found, "" if found is not None else UNMAPPED


@dataclass(frozen=True, slots=True)
class Span:
    """The starts that a location keeps in step with Birdeye: ``start <= it <= to``, aware."""

    start: datetime
    to: datetime

    def takes(self, moment: datetime) -> bool:
        """Is an appointment that starts then one of them?"""
        return self.start <= moment <= self.to

    def days(self, *, ahead_of: datetime | None = None) -> tuple[date, date]:
        """The bare dates of a read, a day wider on each side: whose midnight a date means is not documented."""
        first = self.start if ahead_of is None else max(self.start, ahead_of)
        return first.date() - timedelta(days=1), self.to.date() + timedelta(days=2)


def span(now: datetime, zone: ZoneInfo, *, past_months: int, future_months: int) -> Span:
    """From so many months before now to so many after, on the location's calendar (31 March less a month: 28 February)."""
    local = now.astimezone(zone).replace(tzinfo=None)

    def shifted(months: int) -> datetime:
        year, month = divmod(local.year * 12 + local.month - 1 + months, 12)
        last = (date(year + (month == 11), (month + 1) % 12 + 1, 1) - timedelta(days=1)).day
        return timing.instant(local.replace(year=year, month=month + 1, day=min(local.day, last), fold=0), zone)

    return Span(shifted(-past_months), shifted(future_months))


def is_check_due(checked_at: datetime | None, now: datetime, zone: ZoneInfo) -> bool:
    """Is it another local day than that of the last look at everything that lies ahead? A deletion only shows there."""
    return checked_at is None or timing.local_day(checked_at, zone) < timing.local_day(now, zone)


def too_many_gone(gone: int, ahead: int) -> bool:
    """Have so many of the appointments ahead vanished at once that a person has to look before they are cancelled?"""
    return gone > max(FEW_GONE, ahead * SHARE_GONE)


@dataclass(frozen=True, slots=True)
class Told:
    """What Birdeye was last told of an appointment, as the ledger knows it. ``status`` None: perhaps, perhaps not."""

    status: str | None
    start: datetime
    updated_at: datetime
    is_vanished: bool = False


def is_unchanged(visit: Appointment, status: BirdeyeStatus, told: Told | None) -> bool:
    """Does Birdeye know it as it is? Before Select 14.3 there is no time of change: then status and start decide."""
    if told is None or told.is_vanished or told.status != status or told.start != visit.start:
        return False
    return visit.last_updated is None or visit.last_updated <= told.updated_at


def updated_at(visit: Appointment, told: Told | None, now: datetime) -> datetime:
    """The ``updatedAt`` to send. One that vanished and is back must win over its own cancellation."""
    at = visit.last_updated if visit.last_updated is not None else now
    if told is not None and told.is_vanished:
        return max(at, now)
    return at


def refused(
    visit: Appointment, status: BirdeyeStatus, patient: Patient, made: Contact, rules: LocationRules, *, is_known: bool
) -> str | None:
    """Why Birdeye is not told of an appointment because of its patient; None: it is.

    The rules of review requests hold, since a reminder is a contact too. What Birdeye knows and nobody is to be
    reminded of any more is told all the same, without the ways to reach the patient (``body``).
    """
    decision = decide_contact(visit, patient, made, rules, is_opted_out=False)
    if decision.outcome == "send" or (is_known and status in OVER):
        return None
    return decision.reason


def body(
    visit: Appointment,
    status: BirdeyeStatus,
    rules: LocationRules,
    *,
    external_id: str,
    updated: datetime,
    patient: Patient | None = None,
    contact: Contact | None = None,
) -> Phi[dict[str, Any]]:
    """The JSON of one upsert. ``practitioner`` is Nextech's id, as elsewhere in a configuration.

    No phone of a patient who wants no texts: this contract has no flag to say so.
    """
    document: dict[str, Any] = {"externalId": external_id, "status": status, "start": moment(visit.start)}
    if visit.end is not None:
        document["end"] = moment(visit.end)
    document["timeZone"] = rules.time_zone
    if visit.types:
        document["type"] = "|".join(visit.types)
    if visit.purposes:
        document["purpose"] = "|".join(visit.purposes)
    if visit.practitioner_ids:
        document["practitioner"] = "|".join(visit.practitioner_ids)
    if contact is not None:
        customer: dict[str, Any] = {"externalId": contact.external_id}
        takes_no_texts = patient is not None and contact_channels.refuses_texts(patient)
        for key, value in (
            ("name", contact.name),
            ("emailId", contact.email),
            ("phone", None if takes_no_texts else contact.phone),
        ):
            if value is not None:
                customer[key] = value.reveal()
        document["customer"] = customer
    document["updatedAt"] = moment(updated)
    return Phi(document)


def cancellation(
    external_id: str, start: datetime, end: datetime | None, rules: LocationRules, updated: datetime
) -> Phi[dict[str, Any]]:
    """The JSON for an appointment that is not there any more: nothing of a patient is kept, so nothing is sent."""
    document: dict[str, Any] = {"externalId": external_id, "status": "cancelled", "start": moment(start)}
    if end is not None:
        document["end"] = moment(end)
    return Phi(document | {"timeZone": rules.time_zone, "updatedAt": moment(updated)})


def moment(at: datetime) -> str:
    """UTC with milliseconds, as the contract writes a time."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
