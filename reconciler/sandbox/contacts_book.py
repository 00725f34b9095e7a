"""Birdeye's appointments, as the provisional contract has them: what was told, what patients asked for, what came of it.

Birdeye publishes no such API; this is this project's own reading of ``sync.md``, *Reminders*. An appointment is known by
location and ``externalId``. The lists are the oracle of all tests of the reminders.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from reconciler.sandbox.emr import Practice

STATUSES: Final = frozenset({"booked", "confirmed", "completed", "cancelled", "no_show"})
MEMBERS: Final = frozenset(
    {"externalId", "status", "start", "end", "timeZone", "type", "purpose", "practitioner", "customer", "updatedAt"}
)
CUSTOMER: Final = frozenset({"externalId", "name", "emailId", "phone"})
KINDS: Final = ("book", "confirm", "cancel")


@dataclass(frozen=True, slots=True)
class Told:
    """One accepted upsert."""

    number: int
    at: datetime
    business: int
    external_id: str
    status: str
    body: dict[str, Any]


@dataclass(slots=True)
class Asked:
    """One request of a patient."""

    number: int
    business: int
    item: dict[str, Any]
    results: list[dict[str, Any]] = field(default_factory=list)
    """Every result that came; more than one only where an answer was lost."""


@dataclass(slots=True)
class AppointmentBook:
    """What Birdeye remembers of appointments."""

    stored: dict[tuple[int, str], dict[str, Any]] = field(default_factory=dict)
    """By location and ``externalId``; what an upsert leaves out stays as it was."""
    told: list[Told] = field(default_factory=list)
    refused: int = 0
    """Upserts that were older than what is stored."""
    asked: list[Asked] = field(default_factory=list)

    def upsert(self, business: int, external_id: str, body: dict[str, Any], at: datetime) -> str | None:
        """Store an appointment and give its id; None where a newer one is stored."""
        key = (business, external_id)
        known = self.stored.get(key)
        if known is not None and _moment(body["updatedAt"]) < _moment(known["updatedAt"]):
            self.refused += 1
            return None
        number = known["appointmentId"] if known is not None else str(700_000_000 + len(self.stored))
        self.stored[key] = {**(known or {}), **body, "appointmentId": number}
        self.told.append(Told(len(self.told) + 1, at, business, external_id, str(body["status"]), body))
        return str(number)

    def ask(self, business: int, at: datetime, **item: Any) -> Asked:
        """A patient asks for something: the members of the item beside its id and time."""
        number = len(self.asked) + 1
        one = Asked(number, business, {"requestId": f"request-{number}", "createdAt": at.isoformat(), **item})
        self.asked.append(one)
        return one

    def after(self, business: int, cursor: int, limit: int) -> list[Asked]:
        """The next requests of a location, oldest first."""
        return [it for it in self.asked if it.business == business and it.number > cursor][:limit]

    def find(self, business: int, request_id: str) -> Asked | None:
        """A request of a location by its id."""
        found = (it for it in self.asked if it.business == business and it.item["requestId"] == request_id)
        return next(found, None)

    def seed(self, business: int, practice: Practice, count: int, seed: int, now: datetime) -> list[Asked]:
        """So many bookings by people who are new to the practice, from a seed, on the days after tomorrow."""
        chance = random.Random(seed)
        made = []
        for index in range(count):
            start = now.replace(hour=14, minute=0, second=0, microsecond=0) + timedelta(
                days=2 + index // 16, minutes=30 * (index % 16)
            )
            place, provider = chance.choice(practice.places), chance.choice(practice.providers)
            number = seed * 1_000 + index
            made.append(
                self.ask(
                    business,
                    now,
                    kind="book",
                    start=start.isoformat(),
                    end=(start + timedelta(minutes=30)).isoformat(),
                    typeId=str(chance.choice(practice.types).id),
                    purposeId=str(chance.choice(practice.purposes).id),
                    locationId=str(place.id),
                    practitionerId=str(provider.id),
                    customer={
                        "firstName": chance.choice(("Ada", "Ben", "Cleo", "Dov")),
                        "lastName": f"Example{number}",
                        "emailId": f"widget.{number}@example.com",
                        "phone": f"(941) 555-01{number % 100:02d}",
                        "birthDate": f"{1950 + chance.randrange(50)}-0{1 + chance.randrange(9)}-1{chance.randrange(9)}",
                    },
                )
            )
        return made

    def seen(self) -> dict[str, Any]:
        """The oracle, for the admin endpoint."""
        return {
            "stored": len(self.stored),
            "told": len(self.told),
            "refused": self.refused,
            "asked": len(self.asked),
            "answered": sum(bool(it.results) for it in self.asked),
        }


def _moment(text: Any) -> datetime:
    return datetime.fromisoformat(str(text))
