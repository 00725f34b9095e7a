"""What patients asked for through Birdeye, and what that means in Nextech: the writeback half of reminders, pure.

Requests: ``sync.md``, *Reminders* (a provisional contract, ours). Nextech's side: ``nextech-api.md`` 5.6, 6 and 10.14.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal, get_args

from reconciler.core import contact_channels, fhir_read
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Patient
from reconciler.core.phi import Phi, wrap

Kind = Literal["book", "confirm", "cancel"]
KINDS: Final = frozenset(get_args(Kind))
STRUCTURE: Final = "https://select.nextech-api.com/api/structuredefinition/"
"""In front of the names of Select's extensions (``nextech-api.md`` 5.4)."""
LONGEST_REASON: Final = 500

# Why a request is rejected without asking Nextech. These words go to Birdeye as ``reason``.
NOT_UNDERSTOOD = "the request cannot be read"
UNKNOWN_APPOINTMENT = "no such appointment is known at this location"
HAS_BEGUN = "the appointment has already begun"
IS_OVER = "the requested time has passed"
NOT_HERE = "the requested location or practitioner is not one of this business location"
INCOMPLETE = "a booking needs start, end, location, practitioner and a name"
NO_WAY_TO_REACH = "a new patient needs a phone number and an e-mail address"
NOT_OFFERED = "this Nextech product takes no such request through its API"
ASK_FOR_REASON = (
    "the practice asks for a cancellation reason: set 'Require a cancellation reason' to No in Nextech's preferences"
)


@dataclass(frozen=True, slots=True)
class Customer:
    """Who asks. Every value is one of a person."""

    given: Phi[str] | None = None
    family: Phi[str] | None = None
    email: Phi[str] | None = None
    phone: Phi[str] | None = None
    birth_date: Phi[date] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One request. ``kind`` None: not one that is known here."""

    id: str
    kind: Kind | None
    external_id: str | None
    """Ours, of the appointment that is meant; None for a booking."""
    created_at: datetime | None
    start: datetime | None = None
    end: datetime | None = None
    type_id: str | None = None
    purpose_id: str | None = None
    location_id: str | None = None
    practitioner_id: str | None = None
    customer: Customer = Customer()

    @property
    def is_complete(self) -> bool:
        """Does a booking say all that Nextech requires?"""
        named = self.customer.given is not None and self.customer.family is not None
        return bool(self.start and self.end and self.location_id and self.practitioner_id and named) and bool(
            self.start and self.end and self.start < self.end
        )


def request(item: Any) -> Request | None:
    """One item of a page of requests. None where it has no id: then nothing can be said about it to Birdeye either."""
    if not isinstance(item, Mapping):
        return None
    ident = _word(item.get("requestId"))
    if ident is None:
        return None
    kind = _word(item.get("kind"))
    person = item.get("customer")
    person = person if isinstance(person, Mapping) else {}
    return Request(
        id=ident,
        kind=kind if kind in KINDS else None,  # type: ignore[arg-type]
        external_id=_word(item.get("externalId")),
        created_at=_moment(item.get("createdAt")),
        start=_moment(item.get("start")),
        end=_moment(item.get("end")),
        type_id=_word(item.get("typeId")),
        purpose_id=_word(item.get("purposeId")),
        location_id=_word(item.get("locationId")),
        practitioner_id=_word(item.get("practitionerId")),
        customer=Customer(
            given=wrap(_word(person.get("firstName"))),
            family=wrap(_word(person.get("lastName"))),
            email=wrap(_word(person.get("emailId"))),
            phone=wrap(_word(person.get("phone"))),
            birth_date=wrap(_day(person.get("birthDate"))),
        ),
    )


def refusal(
    it: Request,
    rules: LocationRules,
    *,
    location_names: Mapping[str, str],
    known_start: datetime | None,
    now: datetime,
    practice_plus: bool,
) -> str | None:
    """Why a request is rejected without a request to Nextech; None: Nextech is asked.

    ``location_names``: Nextech's, by id, asked for only where ``rules`` name some. ``known_start``: of the appointment
    with this ``external_id``, None where this location knows none.
    """
    if it.kind is None:
        return NOT_UNDERSTOOD
    if practice_plus and it.kind != "confirm":
        return NOT_OFFERED
    if it.kind != "book":
        if known_start is None:
            return UNKNOWN_APPOINTMENT
        return HAS_BEGUN if known_start <= now else None
    if not it.is_complete or it.start is None:
        return INCOMPLETE
    if it.start <= now:
        return IS_OVER
    return None if is_here(it, rules, location_names) else NOT_HERE


def is_here(it: Request, rules: LocationRules, location_names: Mapping[str, str]) -> bool:
    """Do the requested location and practitioner belong to this business location?"""
    if rules.practitioner_ids and it.practitioner_id not in {one.strip() for one in rules.practitioner_ids}:
        return False
    if not rules.location_names:
        return True
    name = location_names.get(it.location_id or "")
    return name is not None and name.strip() in {one.strip() for one in rules.location_names}


def same_person(patient: Patient, customer: Customer, country: str) -> bool:
    """Is this the chart of who asks? Name, birth date, and the e-mail address or phone: less is a guess at a chart."""
    if customer.birth_date is None or patient.birth_date is None or not patient.is_birth_date_whole:
        return False
    if patient.birth_date != customer.birth_date or not same_name(patient, customer):
        return False
    return _same_email(patient, customer) or _same_phone(patient, customer, country)


def same_name(patient: Patient, customer: Customer) -> bool:
    """First given and family name, whatever their case."""
    if patient.name is None or customer.given is None or customer.family is None:
        return False
    wanted = f"{customer.given.reveal()} {customer.family.reveal()}"
    return _folded(patient.name.reveal()) == _folded(wanted)


def _same_email(patient: Patient, customer: Customer) -> bool:
    if customer.email is None:
        return False
    wanted = _folded(customer.email.reveal())
    return any(_folded(it) == wanted for it in contact_channels.emails(patient))


def _same_phone(patient: Patient, customer: Customer, country: str) -> bool:
    if customer.phone is None:
        return False
    wanted = contact_channels.usable_phone(customer.phone.reveal(), country)
    if wanted is None:
        return False
    found = (contact_channels.usable_phone(it, country) for it, _ in contact_channels.phones(patient))
    return any(it is not None and it.number == wanted.number for it in found)


def booking(it: Request, patient_id: Phi[str] | None, rules: LocationRules) -> Phi[dict[str, Any]] | None:
    """The Appointment to create: for a known patient, or with a prospect inside (5.6).

    None where there is no patient and too little to make a prospect of. The comment names the request, so that the
    appointment is found again after an outcome that nobody knows.
    """
    if not it.is_complete or it.start is None or it.end is None:
        return None
    marks = [
        {"url": STRUCTURE + name, "valueReference": {"reference": f"{name}/{value}"}}
        for name, value in (("appointment-type", it.type_id), ("appointment-purpose", it.purpose_id))
        if value is not None
    ]
    marks.append({"url": STRUCTURE + "appointment-schedule", "valueString": "book"})
    actors = [f"location/{it.location_id}", f"practitioner/{it.practitioner_id}"]
    document: dict[str, Any] = {"resourceType": "Appointment"}
    if patient_id is None:
        prospect = _prospect(it.customer)
        if prospect is None:
            return None
        document["contained"] = [prospect]
    else:
        actors.insert(0, f"patient/{patient_id.reveal()}")
    document["extension"] = marks
    document["status"] = "proposed"
    document["start"] = _local(it.start, rules)
    document["end"] = _local(it.end, rules)
    document["comment"] = comment(it.id)
    document["participant"] = [{"actor": {"reference": actor}} for actor in actors]
    return Phi(document)


def comment(request_id: str) -> str:
    """What marks an appointment as the one that was booked for a request."""
    return f"Birdeye request {request_id}"


def _prospect(customer: Customer) -> dict[str, Any] | None:
    given, family, email, phone = (
        it.reveal() if it is not None else None
        for it in (customer.given, customer.family, customer.email, customer.phone)
    )
    if not (given and family and email and phone):
        return None
    found: dict[str, Any] = {
        "resourceType": "Patient",
        "name": [{"use": "official", "family": family, "given": [given]}],
        "telecom": [
            {"system": "phone", "value": phone, "use": "mobile"},
            {"system": "email", "value": email},
        ],
    }
    if customer.birth_date is not None:
        found["birthDate"] = customer.birth_date.reveal().isoformat()
    return found


def change(kind: Kind) -> dict[str, Any]:
    """The body that confirms or cancels: the status alone. An extension would only queue a cancellation (5.1)."""
    return {"resourceType": "Appointment", "status": "cancelled" if kind == "cancel" else "booked"}


def candidates(it: Request, visits: Iterable[Appointment]) -> tuple[Appointment, ...]:
    """Those that could be the booked one: same start, location and practitioner, and not taken back."""
    return tuple(
        one
        for one in visits
        if one.start == it.start
        and it.location_id in one.location_ids
        and it.practitioner_id in one.practitioner_ids
        and one.status not in ("cancelled", "entered-in-error")
    )


def booked(
    it: Request,
    visits: Iterable[Appointment],
    patients: Mapping[Phi[str], Patient],
    *,
    patient_id: Phi[str] | None,
) -> Appointment | None:
    """The appointment that a booking of unknown outcome made; None where there is none.

    By the comment, else by the patient that was meant, else by the name of the prospect that was sent. Visits need
    their comments kept.
    """
    found = candidates(it, visits)
    for one in found:
        if one.comment is not None and comment(it.id) in one.comment.reveal():
            return one
    for one in found:
        if one.patient_id is None:
            continue
        if patient_id is not None:
            if one.patient_id == patient_id.map(str.casefold):
                return one
            continue
        who = patients.get(one.patient_id)
        if who is not None and same_name(who, it.customer):
            return one
    return None


def is_done(kind: Kind, visit: Appointment | None) -> bool:
    """Does the appointment look as the request wanted it? For a cancellation one that is gone is one as well."""
    if kind == "cancel":
        return visit is None or visit.status == "cancelled"
    return visit is not None and visit.status in ("booked", "arrived", "fulfilled")


def reason(kind: Kind, status: int, said: str) -> str:
    """Why Nextech refused, in its own words where it has some (a 409's comment, a 422's text), explained where known."""
    words = " ".join(said.split())[:LONGEST_REASON]
    if kind == "cancel" and status == 422 and "cancellation reason" in words.casefold():
        return f"{words}; {ASK_FOR_REASON}"[: 2 * LONGEST_REASON]
    if words:
        return words
    return "the appointment does not exist" if status == 404 else f"Nextech answered {status}"


def asks_for_reason(said: str) -> bool:
    """Was it the practice's preference that refused a cancellation?"""
    return ASK_FOR_REASON in said


def _local(at: datetime, rules: LocationRules) -> str:
    return at.astimezone(rules.zone).isoformat(timespec="seconds")


def _folded(value: str) -> str:
    return " ".join(value.split()).casefold()


def _word(value: Any) -> str | None:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.strip() or None if isinstance(value, str) else None


def _moment(value: Any) -> datetime | None:
    return fhir_read.soft(lambda it: fhir_read.instant(it, "moment"), value)


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
