"""Which e-mail and which phone of a patient are usable, and who opted out. Verdicts are those of email-validator
and phonenumbers; nothing is looked up on the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import email_validator
import phonenumbers

from reconciler.core import fhir_read as read
from reconciler.core.fhir_models import Patient, Telecom

MAX_EMAIL = 40
"""Birdeye's error 1088 (``birdeye-contacts-api.md`` 1.6)."""
PLACEHOLDER_WORDS = frozenset(
    {"noemail", "nomail", "none", "unknown", "declined", "refused", "donotemail", "noaddress"}
)
"""Local parts, without ``.-_``, that mean *no e-mail* at whatever domain (``nextech-api.md`` 6.5)."""
PLACEHOLDER_SHORT = frozenset({"no", "na", "n/a", "x", "xx", "test"})
"""Local parts that mean it only at a domain such as ``email.…``: at another they may be somebody's initials."""
PLACEHOLDER_DOMAINS = frozenset({"email", "noemail", "mail", "nomail", "none", "na", "no", "test"})


def usable_email(value: str) -> str | None:
    """The address as it is sent (IDN domains in ASCII), or None: invalid, longer than 40 characters, a placeholder."""
    try:
        found = email_validator.validate_email(value.strip(), check_deliverability=False)
    except email_validator.EmailNotValidError:
        return None
    sent = found.ascii_email or found.normalized
    return sent if len(sent) <= MAX_EMAIL and not is_placeholder(sent) else None


def is_placeholder(address: str) -> bool:
    """Does this address stand for *no e-mail*, such as ``no@email``?"""
    local, _, domain = address.casefold().rpartition("@")
    word = local.translate({ord(it): None for it in ".-_"})
    return word in PLACEHOLDER_WORDS or (word in PLACEHOLDER_SHORT and domain.split(".")[0] in PLACEHOLDER_DOMAINS)


@dataclass(frozen=True, slots=True)
class Phone:
    """A valid number of the country, as it is sent, and whether it has an extension (and so takes no texts)."""

    number: str
    has_extension: bool


def usable_phone(value: str, country: str) -> Phone | None:
    """The number valid in ``country`` (``US``): ten national digits for the US, else E.164; None where it is not."""
    try:
        found = phonenumbers.parse(value, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number_for_region(found, country):
        return None
    has_extension = bool(found.extension)
    if country == "US":
        return Phone(phonenumbers.national_significant_number(found), has_extension)
    return Phone(phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164), has_extension)


def emails(patient: Patient) -> Iterator[str]:
    """Every e-mail of the patient that is not private, the preferred one first."""
    found = [it for it in patient.telecoms if it.system == "email" and it.value is not None and not it.is_private]
    for it in sorted(found, key=lambda entry: entry.rank != 1):
        if it.value is not None:
            yield it.value.reveal()


def is_mobile(entry: Telecom) -> bool:
    """A mobile: Select writes ``phone`` with use ``mobile``, Practice+ also ``sms`` with a value (8.1)."""
    return entry.use == "mobile" and entry.system in {"phone", "sms"}


def phones(patient: Patient) -> Iterator[tuple[str, bool]]:
    """Candidates in order, with whether each is the mobile: mobile, then the rank 1 phone, then home."""
    spoken = [it for it in patient.telecoms if it.system in {"phone", "sms"} and it.value is not None]
    for chosen in (
        [it for it in spoken if is_mobile(it)],
        [it for it in spoken if it.rank == 1 and it.system == "phone" and it.use != "old" and not it.is_private],
        [it for it in spoken if it.use == "home" and it.system == "phone" and not it.is_private],
    ):
        for it in chosen:
            if it.value is not None:
                yield it.value.reveal(), is_mobile(it)


def refuses_texts(patient: Patient) -> bool:
    """Is there ``method-privacy`` on the ``sms`` entry or on the mobile itself (``nextech-api.md`` 6.5)?"""
    return any(it.is_private for it in patient.telecoms if it.system == "sms" or is_mobile(it))


class OptOuts:
    """Who is in Birdeye's opt-out feed for feedback messages, or blocked. Holds values of people: has no ``repr``."""

    __slots__ = ("_emails", "_phones")

    def __init__(self, emails: frozenset[str] = frozenset(), phones: frozenset[str] = frozenset()) -> None:
        self._emails = emails
        self._phones = phones

    def __repr__(self) -> str:
        return f"<opt-outs: {len(self._emails)} e-mails, {len(self._phones)} phones>"

    def __or__(self, other: OptOuts) -> OptOuts:
        return OptOuts(self._emails | other._emails, self._phones | other._phones)

    def has(self, patient: Patient, country: str) -> bool:
        """Any address or number of the patient, used or not, is in the feed."""
        for it in patient.telecoms:
            if it.value is None:
                continue
            value = it.value.reveal()
            if it.system == "email":
                if _email_forms(value) & self._emails:
                    return True
            elif _digits(value, country) & self._phones:
                return True
        return False

    def has_channels(self, email: str | None, phone: str | None, country: str) -> bool:
        """The address or the number that a check-in would be sent with is in the feed."""
        if email and _email_forms(email) & self._emails:
            return True
        return bool(phone and _digits(phone, country) & self._phones)


def _email_forms(value: str) -> frozenset[str]:
    """An address as written and as it is sent, both without case."""
    return frozenset({value.strip().casefold(), (usable_email(value) or value.strip()).casefold()})


def _digits(value: str, country: str) -> frozenset[str]:
    """Ways in which the same number may stand in the feed: all its digits, and those without the country's code."""
    found = "".join(it for it in value if it.isascii() and it.isdigit())
    known = usable_phone(value, country)
    forms = {found, found[-10:]} if len(found) >= 10 else {found}
    if known is not None:
        forms.add(known.number.lstrip("+"))
    return frozenset(it for it in forms if len(it) >= 7)


def opt_outs(feed: Any, country: str) -> OptOuts:
    """One answer of the opt-out feed (``birdeye-contacts-api.md`` 3.6, 8.7).

    An entry of ``emailOptOut`` or ``textOptOut`` without ``optOutFrom`` (V1) or with a list that cannot be read counts;
    one that is only about other messages does not. ``blocked`` always counts.
    """
    addresses: set[str] = set()
    numbers: set[str] = set()
    if isinstance(feed, Mapping):
        for key in ("emailOptOut", "textOptOut", "blocked"):
            for entry in read.objects(feed.get(key)):
                if key != "blocked" and not _about_feedback(entry.get("optOutFrom")):
                    continue
                address = read.soft(read.text, entry.get("emailId"))
                number = read.soft(read.text, entry.get("phone"))
                if address:
                    addresses |= _email_forms(address)
                if number:
                    numbers |= _digits(number, country)
    return OptOuts(frozenset(addresses), frozenset(numbers))


def _about_feedback(categories: Any) -> bool:
    if categories is None:
        return True
    words = [read.soft(read.text, it) for it in read.items(categories)]
    return not words or any(it is None or it.casefold() not in {"marketing", "service"} for it in words)
