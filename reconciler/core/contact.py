"""From a patient and a visit to the contact that is checked in with Birdeye. No consent flags are sent: a ``true``
could undo an opt-out (``sync.md``, *Contact*).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from reconciler.core import contact_channels as channels
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Patient
from reconciler.core.phi import Phi, wrap

NO_PARAMS: Phi[tuple[tuple[str, str], ...]] = Phi(())
V1_PATH = "/v1/customer/checkin"
V2_PATH = "/v1/contact/external/preferences/checkin"


@dataclass(frozen=True, slots=True)
class Contact:
    """What is sent for one visit. ``name``, ``email`` and ``phone`` are None where there is no usable one."""

    name: Phi[str] | None
    email: Phi[str] | None
    phone: Phi[str] | None
    sms_enabled: bool
    external_id: str
    """Keyed pseudonym of practice and patient."""
    params: Phi[tuple[tuple[str, str], ...]] = NO_PARAMS
    """Campaign tags and their values, sorted by tag; absent ones are left out."""
    dropped: tuple[str, ...] = ()
    """Why a channel is missing: ``email excluded``, ``email unusable``, ``phone unusable``. Nothing of the person."""

    @property
    def has_channel(self) -> bool:
        """Can the patient be reached at all?"""
        return self.email is not None or self.phone is not None

    def body(self) -> Phi[dict[str, Any]]:
        """The JSON of a check-in, the same in V1 and V2. Reveal it where it is sent or encrypted."""
        document: dict[str, Any] = {}
        for key, value in (("name", self.name), ("emailId", self.email), ("phone", self.phone)):
            if value is not None:
                document[key] = value.reveal()
        document["smsEnabled"] = 1 if self.sms_enabled else 0
        document["externalId"] = self.external_id
        if self.params.reveal():
            document["additionalParams"] = dict(self.params.reveal())
        return Phi(document)


@dataclass(frozen=True, slots=True)
class CheckinRequest:
    """Where a check-in goes; the key's header is the client's matter."""

    path: str
    query: tuple[tuple[str, str], ...]
    headers: tuple[tuple[str, str], ...]


def checkin_request(business: int, *, version: int) -> CheckinRequest:
    """``business`` is the location's. Version 1 names it in the query, 2 in ``x-business-number``."""
    if version == 1:
        return CheckinRequest(V1_PATH, (("bid", str(business)),), ())
    return CheckinRequest(V2_PATH, (), (("x-business-number", str(business)),))


def build(patient: Patient, visit: Appointment, rules: LocationRules, *, external_id: str) -> Contact:
    """The contact of one visit. A bad channel is dropped, not the contact."""
    dropped = []
    email: str | None = None
    offered = list(channels.emails(patient))
    if patient.exclude_from_mailings:
        if offered:
            dropped.append("email excluded")
    else:
        email = next((it for one in offered if (it := channels.usable_email(one)) is not None), None)
        if offered and email is None:
            dropped.append("email unusable")
    phone, takes_texts = _phone(patient, rules.country)
    if phone is None and any(True for _ in channels.phones(patient)):
        dropped.append("phone unusable")
    return Contact(
        name=patient.name,
        email=wrap(email),
        phone=wrap(phone),
        sms_enabled=takes_texts,
        external_id=external_id,
        params=Phi(_params(patient, visit, rules)),
        dropped=tuple(dropped),
    )


def _phone(patient: Patient, country: str) -> tuple[str | None, bool]:
    for value, is_mobile in channels.phones(patient):
        found = channels.usable_phone(value, country)
        if found is not None:
            return found.number, is_mobile and not found.has_extension and not channels.refuses_texts(patient)
    return None, False


def _params(patient: Patient, visit: Appointment, rules: LocationRules) -> tuple[tuple[str, str], ...]:
    values: dict[str, str | Phi[str] | None] = {
        "appointment.status": visit.status or visit.custom_status,
        "appointment.types": "|".join(visit.types),
        "appointment.purpose": "|".join(visit.purposes),
        "city": patient.city,
        "state": patient.state,
        "general.practitioner": patient.general_practitioner,
        "primary.care.physician": patient.primary_care_physician,
        "patient.last.updated": _moment(patient.last_updated),
        "patient.type": "|".join(patient.patient_types),
        "exclude.from.mailings": _said(patient.exclude_from_mailings),
        "appointment.comment": visit.comment,
        "appointment.description": visit.description,
        "date.of.birth": _birth_date(patient),
        "ethnicity": patient.ethnicity,
    }
    found = []
    for tag in sorted(rules.tags & set(values)):
        value = values[tag]
        shown = value.reveal() if isinstance(value, Phi) else value
        if shown:
            found.append((tag, shown))
    return tuple(found)


def _birth_date(patient: Patient) -> Phi[str] | None:
    # Half a date stands for its last day: good for an age limit, not a fact to be sent.
    if patient.birth_date is None or not patient.is_birth_date_whole:
        return None
    return patient.birth_date.map(date.isoformat)


def _moment(value: datetime | None) -> str | None:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if value is not None else None


def _said(value: bool | None) -> str | None:
    return None if value is None else str(value).lower()
