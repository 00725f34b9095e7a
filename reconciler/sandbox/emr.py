"""Practices made up from a seed: any visit and any patient is computed from its number, so nothing is ever stored.

A practice of 100,000 appointments costs as much memory as one of ten: the number of visits before a day is arithmetic,
so a page is found and made in the time of a page.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from reconciler.sandbox import emr_names

_MASK: Final = (1 << 64) - 1
_ODD48: Final = 0x5DEECE66D
_ODD48_INVERSE: Final = pow(_ODD48, -1, 1 << 48)


def draw(seed: int, salt: int, number: int) -> int:
    """64 reproducible bits for one purpose (``salt``) and one object (``number``)."""
    value = (seed * 0x9E3779B97F4A7C15 + salt * 0xD1B54A32D192ED03 + number * 0x8CB92BA72F3D8DD7 + 1) & _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def seed_of(*parts: str | int) -> int:
    """A 63-bit seed from words and numbers."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


@dataclass(frozen=True, slots=True)
class Code:
    """One entry of a code list: a number and its display name."""

    id: int
    name: str


@dataclass(frozen=True, slots=True)
class Place:
    """A location of the practice. ``managed`` false: a hospital that only ``includeAll=true`` lists."""

    id: int
    name: str
    zone: str
    city: str
    state: str
    postal: str
    managed: bool = True
    active: bool = True


@dataclass(frozen=True, slots=True)
class Provider:
    """A practitioner."""

    id: int
    family: str
    given: str


@dataclass(frozen=True, slots=True)
class Shares:
    """How often each oddity occurs, in thousandths. ``fates`` decides how a visit ends, ``shapes`` how it is written."""

    fates: Mapping[str, int] = field(
        default_factory=lambda: {
            "fulfilled": 690, "custom": 130, "cancelled": 80, "noshow": 55, "arrived": 20, "pending": 10, "booked": 5,
            "proposed": 3, "entered-in-error": 3, "under-the-weather": 4,
        }
    )  # fmt: skip
    shapes: Mapping[str, int] = field(
        default_factory=lambda: {
            "no_patient": 15, "no_practitioner": 10, "no_location": 4, "no_offset": 5, "utc_offset": 8,
            "future_start": 1, "malformed": 3, "hospital": 10, "two_purposes": 60, "lower_guid": 30,
        }
    )  # fmt: skip
    emails: Mapping[str, int] = field(
        default_factory=lambda: {"none": 60, "placeholder": 15, "long": 5, "invalid": 5, "padded": 5}
    )
    phones: Mapping[str, int] = field(
        default_factory=lambda: {"none": 50, "placeholder": 10, "home_only": 90, "short": 5, "ranked_home": 40}
    )
    people: Mapping[str, int] = field(
        default_factory=lambda: {"absent": 3, "duplicate": 8, "no_name": 2, "malformed": 2, "deceased": 8, "minor": 70}
    )
    late: int = 25  # completed one to three days after the visit
    repeats: int = 15  # the patient of the visit before, a second time that day
    families: int = 120  # groups of four patients that share a name and a phone
    sms_privacy: int = 60
    mailings_excluded: int = 40


# A practice without any oddity: every visit is completed, every patient can be reached.
CLEAN: Final = Shares({"fulfilled": 1000}, {}, {}, {}, {}, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Visit:
    """One appointment. ``status`` None: a custom one, named by ``display``; ``patient`` None: not a patient's."""

    id: int
    start: datetime
    minutes: int
    place: Place
    provider: Provider
    patient: int | None
    status: str | None
    display: Code
    type: Code
    purposes: tuple[Code, ...]
    created: datetime
    updated: datetime
    shape: str
    comment: str = "emulator note"

    @property
    def day(self) -> date:
        """The local day of the start at its location."""
        return self.start.date()


@dataclass(frozen=True, slots=True)
class Person:
    """One patient as the EMR knows them."""

    number: int
    guid: str
    chart: int
    given: str
    middle: str
    family: str
    gender: str
    birth: date
    email: str | None
    mobile: str | None
    home: str | None
    preferred: str
    sms_privacy: bool
    mailings_excluded: bool
    type: Code
    city: tuple[str, str, str, str]
    provider: Provider
    updated: datetime
    oddity: str
    status: str = "patient"


STATUS_CODES: Final = {
    "pending": Code(0, "Pending"),
    "arrived": Code(1, "In"),
    "fulfilled": Code(2, "Out"),
    "noshow": Code(3, "No Show"),
    "cancelled": Code(4, "Cancelled"),
    "booked": Code(0, "Pending"),  # confirmation and show state are two things in Select: booked is shown as Pending
    "proposed": Code(5, "Held"),
}
_UNKNOWN_STATUS: Final = Code(9, "Other")


@lru_cache(maxsize=64)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=1024)
def _slot(first_day: date, weekly: tuple[int, ...], number: int) -> tuple[date, int]:
    weeks, rest = divmod(number - 1, sum(weekly))
    day = first_day + timedelta(days=7 * weeks)
    while rest >= weekly[day.weekday()]:
        rest -= weekly[day.weekday()]
        day += timedelta(days=1)
    return day, rest


def _pick(shares: Mapping[str, int], bits: int, default: str) -> str:
    point = bits % 1000
    for name, share in shares.items():
        point -= share
        if point < 0:
            return name
    return default


@dataclass(frozen=True)
class Practice:
    """One practice database. Visits are numbered by entry, oldest first, over ``[first_day, last_day)``."""

    practice_id: str
    name: str
    seed: int
    first_day: date
    last_day: date
    places: tuple[Place, ...]
    providers: tuple[Provider, ...]
    types: tuple[Code, ...]
    purposes: tuple[Code, ...]
    custom_statuses: tuple[Code, ...]
    patient_types: tuple[Code, ...]
    weekly: tuple[int, int, int, int, int, int, int]  # visits on each day of the week, Monday first
    patients: int
    shares: Shares = field(default_factory=Shares)
    practice_plus: bool = False
    hospital: Place | None = None  # where visits of the shape ``hospital`` are; not managed by the practice

    @property
    def everywhere(self) -> tuple[Place, ...]:
        """All locations, the hospital too."""
        return self.places if self.hospital is None else (*self.places, self.hospital)

    def before(self, day: date) -> int:
        """How many visits lie before a day, in constant time."""
        days = (min(max(day, self.first_day), self.last_day) - self.first_day).days
        weeks, rest = divmod(days, 7)
        start = self.first_day.weekday()
        return weeks * sum(self.weekly) + sum(self.weekly[(start + k) % 7] for k in range(rest))

    @property
    def total(self) -> int:
        """The number of visits."""
        return self.before(self.last_day)

    def numbers(self, first: date | None, stop: date | None) -> range:
        """Ids of the visits that start on local days ``first <= day < stop``, in order of entry."""
        lo = self.before(first or self.first_day)
        return range(lo + 1, max(lo, self.before(stop or self.last_day)) + 1)

    def knows(self, number: int) -> bool:
        """Whether a visit has this id."""
        return 1 <= number <= self.total

    def slot(self, number: int) -> tuple[date, int]:
        """The local day of a visit and its place in that day, by division."""
        return _slot(self.first_day, self.weekly, number)

    def place_of(self, number: int) -> Place:
        """The location of a visit."""
        if self.hospital is not None and self.shape_of(number) == "hospital":
            return self.hospital
        return self.places[draw(self.seed, 1, number) % len(self.places)]

    def provider_of(self, number: int) -> Provider:
        """The practitioner of a visit."""
        return self.providers[draw(self.seed, 2, number) % len(self.providers)]

    def shape_of(self, number: int) -> str:
        """How the visit is written: ``plain`` or the name of an oddity."""
        return _pick(self.shares.shapes, draw(self.seed, 3, number), "plain")

    def patient_of(self, number: int) -> int | None:
        """The patient's number, None for a block or meeting. Consecutive visits are of different patients."""
        if self.shape_of(number) == "no_patient":
            return None
        source = number
        if draw(self.seed, 4, number) % 1000 < self.shares.repeats and self.slot(number)[1] > 0:
            source = number - 1
        return (source * 7919 + self.seed) % self.patients

    def times_of(self, number: int) -> tuple[datetime, int]:
        """Start, with the offset of the location's zone, and length in minutes."""
        day, index = self.slot(number)
        minute = 480 + (index * 600 // max(1, self.weekly[day.weekday()])) // 5 * 5
        start = datetime.combine(day, time(minute // 60, minute % 60), _zone(self.place_of(number).zone))
        return start, 15 + 15 * (draw(self.seed, 5, number) % 3)

    def state_of(self, number: int, now: datetime) -> tuple[str | None, Code, datetime]:
        """FHIR status (None: custom), its display and when it last changed, as of ``now``."""
        start, minutes = self.times_of(number)
        bits = draw(self.seed, 6, number)
        fate = _pick(self.shares.fates, bits, "fulfilled")
        created = self.created_of(number)
        if fate == "cancelled" or (fate == "proposed" and start > now):
            return fate, STATUS_CODES[fate], created + timedelta(hours=1)
        if start > now:
            early = "booked" if bits >> 20 & 1 else "pending"
            return early, STATUS_CODES[early], created
        lag = timedelta(minutes=minutes + (bits >> 24) % 90)
        if (bits >> 32) % 1000 < self.shares.late:
            lag += timedelta(days=1 + (bits >> 44) % 3)
        done = start.astimezone(UTC) + lag
        if done > now:
            return "arrived", STATUS_CODES["arrived"], start.astimezone(UTC)
        if fate == "custom":
            return None, self.custom_statuses[(bits >> 50) % len(self.custom_statuses)], done
        return fate, STATUS_CODES.get(fate, _UNKNOWN_STATUS), done

    def created_of(self, number: int) -> datetime:
        """When the visit was entered, in UTC."""
        day, index = self.slot(number)
        return datetime.combine(day - timedelta(days=30), time(13, index % 60, number % 60), UTC)

    def visit(self, number: int, now: datetime) -> Visit:
        """The whole visit as of ``now``."""
        start, minutes = self.times_of(number)
        status, display, updated = self.state_of(number, now)
        shape = self.shape_of(number)
        bits = draw(self.seed, 7, number)
        wanted = 2 if shape == "two_purposes" else 1
        first = (bits >> 8) % len(self.purposes)
        return Visit(
            id=number,
            start=start,
            minutes=minutes,
            place=self.place_of(number),
            provider=self.provider_of(number),
            patient=self.patient_of(number),
            status=status,
            display=display,
            type=self.types[bits % len(self.types)],
            purposes=tuple(self.purposes[(first + k) % len(self.purposes)] for k in range(wanted)),
            created=self.created_of(number),
            updated=updated,
            shape=shape,
        )

    def guid(self, number: int) -> str:
        """The lower-case GUID of a patient. The number can be computed back from it."""
        head = draw(self.seed, 8, number)
        tail = (number * _ODD48 + self.seed) % (1 << 48)
        return f"{head >> 32:08x}-{head >> 16 & 0xFFFF:04x}-4{head & 0xFFF:03x}-8{head >> 12 & 0xFFF:03x}-{tail:012x}"

    def patient_number(self, identifier: str) -> int | None:
        """The patient with this GUID (any case) or chart number, None if there is none."""
        if identifier.isascii() and identifier.isdigit() and len(identifier) < 15:
            number = int(identifier) - 1000
        else:
            try:
                number = (int(identifier.lower().split("-")[-1], 16) - self.seed) * _ODD48_INVERSE % (1 << 48)
            except ValueError:
                return None
            if not 0 <= number < self.patients or self.guid(number) != identifier.lower():
                return None
        return number if 0 <= number < self.patients else None

    def oddity(self, number: int) -> str:
        """What is odd about a patient: ``plain`` or a name of ``Shares.people``."""
        return _pick(self.shares.people, draw(self.seed, 9, number), "plain")

    def _human(self, number: int) -> tuple[int, int, int, str, str]:
        # A duplicate is the same human under a second GUID: everything but the ids is that of the neighbour.
        who = number - 1 if number and self.oddity(number) == "duplicate" else number
        bits, group = draw(self.seed, 11, who), who // 4
        family_group = draw(self.seed, 10, group) % 1000 < self.shares.families
        shared = draw(self.seed, 12, group if family_group else who + (1 << 40))
        given = emr_names.GIVEN[bits % len(emr_names.GIVEN)]
        return who, bits, shared, given, emr_names.FAMILY[shared % len(emr_names.FAMILY)]

    def names_of(self, number: int) -> tuple[str, str]:
        """Given and family name of a patient, without making the rest."""
        return self._human(number)[3:]

    def person(self, number: int) -> Person:
        """The whole patient."""
        oddity = self.oddity(number)
        who, bits, shared, given, family = self._human(number)
        age = (bits >> 8) % 17 if oddity == "minor" else 18 + (bits >> 8) % 70
        mobile, home, preferred = self._phones(who, shared)
        types = self.patient_types
        return Person(
            number=number,
            guid=self.guid(number),
            chart=1000 + number,
            given=given,
            middle=emr_names.MIDDLE[(bits >> 16) % len(emr_names.MIDDLE)],
            family=family,
            gender=("female", "male", "unknown", "other")[(bits >> 20) % 4],
            birth=date(self.last_day.year - 1 - age, 1 + (bits >> 24) % 12, 1 + (bits >> 28) % 28),
            email=self._email(who, given, family),
            mobile=mobile,
            home=home,
            preferred=preferred,
            sms_privacy=(bits >> 32) % 1000 < self.shares.sms_privacy,
            mailings_excluded=(bits >> 42) % 1000 < self.shares.mailings_excluded,
            type=next((t for t in types if t.name == "Deceased"), types[0])
            if oddity == "deceased"
            else types[(bits >> 52) % min(3, len(types))],
            city=emr_names.CITIES[(bits >> 56) % len(emr_names.CITIES)],
            provider=self.providers[(bits >> 48) % len(self.providers)],
            updated=datetime.combine(self.first_day, time(9), UTC) + timedelta(minutes=number % 100_000),
            oddity=oddity,
        )

    def _email(self, who: int, given: str, family: str) -> str | None:
        kind = _pick(self.shares.emails, draw(self.seed, 13, who), "plain")
        plain = f"{given}.{family}.{who}@example.com".lower()
        return {
            "none": None,
            "placeholder": "no@email",
            "long": f"{given}.{family}.with.a.very.long.address.{who}@example.com".lower(),
            "invalid": f"{given}.{family}.example.com".lower(),
            "padded": f"  {plain} ",
        }.get(kind, plain)

    def _phones(self, who: int, shared: int) -> tuple[str | None, str | None, str]:
        area = emr_names.AREAS[(shared >> 20) % len(emr_names.AREAS)]
        mobile = f"({area}) 555-01{(shared >> 36) % 100:02d}"
        home = f"({area}) 555-01{(shared >> 44) % 100:02d}"
        kind = _pick(self.shares.phones, draw(self.seed, 14, who), "plain")
        if kind == "none":
            return None, None, "email"
        if kind == "home_only":
            return None, home, "home"
        if kind == "ranked_home":
            return mobile, home, "home"
        return {"placeholder": "(555) 555-5555", "short": "555-0100"}.get(kind, mobile), None, "mobile"
