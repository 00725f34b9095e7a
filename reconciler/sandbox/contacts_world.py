"""What Birdeye's contacts API remembers: contacts, what they did and got, who opted out, and every delivered check-in.

The list of deliveries is the oracle of all tests of the runner: who was contacted how often.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciler.sandbox import practices
from reconciler.sandbox.contacts_book import AppointmentBook

CATEGORIES = ("marketing", "feedback", "service")
FIELDS = {"name", "emailId", "phone", "smsEnabled", "additionalParams", "employees", "externalId"}
PREFERENCES = {"emailPreferences", "smsPreferences"}
# What sync.md allows to leave the house, and what only a declared campaign tag lets out.
PARAMS = {
    "appointment.status", "appointment.types", "appointment.purpose", "city", "state", "general.practitioner",
    "primary.care.physician", "patient.last.updated", "patient.type", "exclude.from.mailings",
}  # fmt: skip
DECLARED_PARAMS = {"appointment.comment", "appointment.description", "date.of.birth", "ethnicity"}


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class ContactsOptions:
    """Switches of the contacts API. The defaults are what is documented."""

    match: str = "email_phone"  # which contact a check-in belongs to; or "external_id". Not documented
    customer_id_text: bool = False  # the printed sample is a quoted string
    unknown_business_status: int = 401  # 1175 on check-ins; older documents say 404
    text_categories: bool = True  # False: smsPreferences give 20099
    sms_disabled: set[int] = field(default_factory=set)  # locations not enabled for SMS: an e-mail is required
    errors_in_200: bool = False
    old_error_shape: bool = False
    plain_errors: bool = False  # error bodies that are not JSON
    requests_per_second: int | None = None
    retry_after: str | None = None
    limit_days: int = 0  # one request to a contact in so many days; 0: no limit
    activity_lag_seconds: float = 0.0  # how late the activity log shows what happened
    declared_params: bool = False  # whether a campaign tag that needs declaring is no violation


@dataclass(slots=True)
class Activity:
    """One line of a contact's activity log."""

    at: datetime
    type: str
    action: str
    business: int


@dataclass(slots=True)
class Contact:
    """One contact of an account."""

    id: int
    account: str
    name: str
    email: str | None
    phone: str | None
    external_id: str | None
    created: datetime
    businesses: list[int] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    sms: bool = True
    blocked: datetime | None = None
    email_out: dict[str, datetime] = field(default_factory=dict)
    text_out: dict[str, datetime] = field(default_factory=dict)
    activity: list[Activity] = field(default_factory=list)

    @property
    def names(self) -> tuple[str, str]:
        """First and last name."""
        first, _, last = self.name.partition(" ")
        return first, last


@dataclass(frozen=True, slots=True)
class Delivery:
    """One check-in that was accepted."""

    number: int
    at: datetime
    business: int
    customer_id: int
    external_id: str | None
    email: str | None
    phone: str | None
    version: int
    sent: bool  # whether a review request left
    body: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        """The delivery as the admin endpoint shows it."""
        return {
            "number": self.number,
            "at": self.at.isoformat(),
            "business": self.business,
            "customerId": self.customer_id,
            "externalId": self.external_id,
            "email": self.email,
            "phone": self.phone,
            "version": self.version,
            "sent": self.sent,
            "body": self.body,
        }


class ContactsWorld:
    """Accounts with their keys, contacts, deliveries. ``lock`` is held by whoever reads or writes."""

    def __init__(
        self,
        options: ContactsOptions | None = None,
        *,
        accounts: Iterable[practices.Account] = practices.ACCOUNTS,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self.options = options or ContactsOptions()
        self.lock = threading.RLock()
        self.clock = clock
        accounts = tuple(accounts)
        self.keys: dict[str, str] = {each.api_key: each.slug for each in accounts}
        self.account_of: dict[int, str] = {each.business: each.slug for each in accounts}
        self.parents = {each.business for each in accounts}
        self.account_of |= {site.business: each.slug for each in accounts for site in each.sites}
        self.stopped: dict[str, int] = {}  # account -> code that every call gets
        self.forget()

    def forget(self) -> None:
        """Forget every contact, delivery and request."""
        self.contacts: dict[int, Contact] = {}
        self.deliveries: list[Delivery] = []
        self.book = AppointmentBook()
        self.violations: list[str] = []
        self.requests: Counter[str] = Counter()
        self._index: dict[tuple[str, str, str], int] = {}
        self._calls: dict[str, deque[datetime]] = {}

    def limited(self, key: str) -> bool:
        """Whether this call exceeds the limit of its key; one that does not is counted."""
        if self.options.requests_per_second is None:
            return False
        calls, now = self._calls.setdefault(key, deque()), self.clock()
        while calls and now - calls[0] >= timedelta(seconds=1):
            calls.popleft()
        if len(calls) >= self.options.requests_per_second:
            return True
        calls.append(now)
        return False

    def lookup(self, account: str, **wanted: Any) -> Contact | None:
        """A contact of an account by ``id``, ``email``, ``phone`` or ``external``."""
        for kind, value in wanted.items():
            number = value if kind == "id" else self._index.get((account, kind, str(value).lower()))
            contact = self.contacts.get(number) if isinstance(number, int) else None
            if contact is not None and contact.account == account:
                return contact
        return None

    def checkin(self, account: str, business: int, version: int, body: dict[str, Any]) -> Contact:
        """Carry out a valid check-in: find or make the contact, send what may be sent, note the delivery."""
        email, phone, external = (self._clean(body.get(name)) for name in ("emailId", "phone", "externalId"))
        phone = digits(phone) if phone else None
        now = self.clock()
        contact = None
        if self.options.match == "external_id":
            contact = self.lookup(account, external=external) if external else None
        else:
            contact = self.lookup(account, **({"email": email} if email else {"phone": phone}))
        if contact is None:
            known = {"email": email, "phone": phone, "external": external}
            contact = self.make(account, str(body["name"]), {kind: value for kind, value in known.items() if value})
            contact.activity.append(Activity(now, "Created", "No Action", business))
        contact.name, contact.sms = str(body["name"]), body.get("smsEnabled", 1) == 1
        contact.email, contact.phone = email or contact.email, phone or contact.phone
        contact.external_id = external or contact.external_id
        contact.tags |= body.get("additionalParams") or {}
        if business not in contact.businesses:
            contact.businesses.append(business)
        for kind, value in (("email", email), ("phone", phone), ("external", external)):
            if value:
                self._index[account, kind, value.lower()] = contact.id
        sent = self._send(contact, business, now)
        self.deliveries.append(
            Delivery(len(self.deliveries) + 1, now, business, contact.id, external, email, phone, version, sent, body)
        )
        return contact

    def make(self, account: str, name: str, known: dict[str, Any]) -> Contact:
        """A new contact with an ``email``, ``phone`` and ``external`` id as far as known."""
        contact = Contact(
            id=904_410_000 + len(self.contacts),
            account=account,
            name=name,
            email=known.get("email"),
            phone=known.get("phone"),
            external_id=known.get("external"),
            created=self.clock(),
        )
        self.contacts[contact.id] = contact
        for kind, value in known.items():
            self._index[account, kind, str(value).lower()] = contact.id
        return contact

    def _send(self, contact: Contact, business: int, now: datetime) -> bool:
        ways = []
        if contact.email and "feedback" not in contact.email_out:
            ways.append("Review request email")
        if contact.phone and contact.sms and "feedback" not in contact.text_out:
            ways.append("Review request text")
        since = now - timedelta(days=self.options.limit_days)
        recent = any(each.action == "Sent" and each.at > since for each in contact.activity)
        if contact.blocked is not None or recent:
            ways = []
        contact.activity += [Activity(now, way, "Sent", business) for way in ways]
        return bool(ways)

    def opt_out(
        self, contact: Contact, channel: str, categories: tuple[str, ...] = CATEGORIES, at: datetime | None = None
    ) -> None:
        """The contact opts out of categories on ``email``, ``text`` or ``both`` channels."""
        moment = at or self.clock()
        for name, out in (("email", contact.email_out), ("text", contact.text_out)):
            if channel in (name, "both"):
                out.update(dict.fromkeys(categories, moment))

    def seen(self) -> dict[str, Any]:
        """The oracle: how often each externalId and each phone was contacted, and what was wrong with the calls."""
        externals = Counter(each.external_id for each in self.deliveries)
        phones = Counter(each.phone for each in self.deliveries if each.phone)
        days = Counter((each.business, each.external_id, each.at.date()) for each in self.deliveries)
        return {
            "deliveries": len(self.deliveries),
            "contacts": len(self.contacts),
            "by_business": {str(k): n for k, n in sorted(Counter(each.business for each in self.deliveries).items())},
            "by_external_id": {str(key): count for key, count in externals.items()},
            "by_phone": dict(phones),
            "most_per_external_id_and_day": max(days.values(), default=0),
            "violations": self.violations,
            "requests": dict(sorted(self.requests.items())),
        }

    def inspect(self, body: dict[str, Any], version: int) -> None:
        """Note what a check-in carries beyond the declared set of fields. Names of members only, never values."""
        allowed = FIELDS | (PREFERENCES if version == 2 else set())
        self.violations += [f"unknown member {name}" for name in sorted(set(body) - allowed)]
        params = body.get("additionalParams") or {}
        if not isinstance(params, dict):
            self.violations.append("additionalParams is not an object")
            return
        known = PARAMS | (DECLARED_PARAMS if self.options.declared_params else set())
        self.violations += [f"unknown parameter {name}" for name in sorted(set(params) - known)]
        self.violations += [f"parameter {name} is not text" for name, v in params.items() if not isinstance(v, str)]
        for name in sorted(PREFERENCES & set(body)):
            if any(value is True for value in (body[name] or {}).values()):
                self.violations.append(f"{name} could undo an opt-out")
        if "smsEnabled" not in body:
            self.violations.append("smsEnabled is not explicit")

    @staticmethod
    def _clean(value: Any) -> str | None:
        return value.strip() or None if isinstance(value, str) else None


def digits(phone: str) -> str:
    """The national digits of a phone number as it was sent."""
    found = "".join(c for c in phone if c.isascii() and c.isdigit())
    return found[1:] if len(found) == 11 and found[0] == "1" else found
