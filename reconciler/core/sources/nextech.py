"""Nextech as data: its fields, how each is written on the wire, what each defaults to.

Facts are from the integration's support manual and from ``interface.md``; those marked [inferred] there are one line
here, so that one line corrects them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["group", "location"]
Kind = Literal["text", "list", "int", "choice"]

SOURCE_ID = 22
SOURCE_NAME = "NEXTECH"

FULFILLED_TRIGGER = "nextechFulfilledAppointmentTrigger"
WRITEBACK_TRIGGER = "appointmentTrigger"  # [inferred] service name
UPSERT_TRIGGER = "nextechAppointmentUpsertTrigger"  # [inferred] service name
KNOWN_TRIGGERS = {
    FULFILLED_TRIGGER: "Nextech Fulfilled Appointment Trigger",
    WRITEBACK_TRIGGER: "Appointment Trigger Service",
    UPSERT_TRIGGER: "Nextech Appointment Upsert Trigger Service",
}
TRIGGER_SHORT_NAMES = {
    "Appointment": FULFILLED_TRIGGER,
    "Appointment Trigger": WRITEBACK_TRIGGER,
    "Nextech Appointment Upsert Trigger": UPSERT_TRIGGER,
}
"""The name and value that Birdeye's dashboard shows for each."""
JOB_TRIGGER_TYPE = 1

_SERVICE_BY_NAME = {
    **{service: service for service in KNOWN_TRIGGERS},
    **{display: service for service, display in KNOWN_TRIGGERS.items()},
    **TRIGGER_SHORT_NAMES,
}


def trigger_service(name: str) -> str | None:
    """The service behind a service, display or short name, or None where the name is not one known here."""
    return _SERVICE_BY_NAME.get(name)


def trigger_names() -> frozenset[str]:
    """Every name by which ``trigger_service`` knows a trigger."""
    return frozenset(_SERVICE_BY_NAME)


@dataclass(frozen=True, slots=True)
class Field:
    """One wire property of a group or a location."""

    name: str
    """Its key in a declaration."""
    key: str
    """Its ``propertyKey`` on the wire."""
    kind: Kind
    scopes: frozenset[Scope]
    default: str | None
    """The wire value that an absent key stands for; None where there is none (the practice id)."""
    separator: str = ""
    """Between the items of a list; no white space around it."""
    secure: bool = False
    empty_allowed: bool = False
    """May a declared list be empty, meaning no filter at all?"""
    filters: bool = False
    """Does it decide who is contacted (so that a change can widen that)?"""

    path: str = ""
    """How a plan names it; made from the key."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", f"properties.{self.key}")


_BOTH: frozenset[Scope] = frozenset({"group", "location"})
_LOCATION: frozenset[Scope] = frozenset({"location"})

FIELDS: tuple[Field, ...] = (
    Field("practice_id", "practice.id", "text", _BOTH, None, secure=True),
    Field("appointment_types", "appointment.types", "list", _BOTH, "", separator="|", empty_allowed=True, filters=True),
    Field("appointment_statuses", "appointment.status", "list", _BOTH, "fulfilled", separator=",", filters=True),
    Field(
        "custom_appointment_statuses",
        "appointment.custom.status",
        "list",
        _BOTH,
        "",
        separator=",",
        empty_allowed=True,
        filters=True,
    ),
    Field("customer_fetch_delay_days", "customer.fetch.delay", "int", _BOTH, "0", filters=True),
    Field("location_names", "location.name", "list", _LOCATION, "", separator="|", empty_allowed=True, filters=True),
    Field(
        "practitioner_ids", "practitioner.id", "list", _LOCATION, "", separator="|", empty_allowed=True, filters=True
    ),
    Field("past_months", "past.duration", "int", _LOCATION, "12"),
    Field("future_months", "future.duration", "int", _LOCATION, "12"),
    Field("show_by", "appointment.preference", "choice", _LOCATION, "type"),
)
BY_NAME = {field.name: field for field in FIELDS}
BY_KEY = {field.key: field for field in FIELDS}
GROUP_FIELDS = tuple(field for field in FIELDS if "group" in field.scopes)
LOCATION_FIELDS = tuple(field for field in FIELDS if "location" in field.scopes)
GROUP_KEYS = frozenset(field.key for field in GROUP_FIELDS)
LOCATION_KEYS = frozenset(field.key for field in LOCATION_FIELDS)
OVERRIDES = tuple(field for field in FIELDS if field.scopes == _BOTH)
"""Group properties that a location may override."""

FHIR_STATUSES = (
    "proposed",
    "pending",
    "booked",
    "arrived",
    "fulfilled",
    "cancelled",
    "noshow",
    "entered-in-error",
)
"""HL7 FHIR STU3 ``Appointment.status`` (value set AppointmentStatus)."""
STATUS_WORDS = (*FHIR_STATUSES, "completed")
"""What ``appointment_statuses`` may hold; ``completed`` is the manual's word for FHIR ``fulfilled``."""

CAMPAIGN_TAGS = (
    "appointment.status",
    "appointment.types",
    "appointment.purpose",
    "city",
    "state",
    "general.practitioner",
    "primary.care.physician",
    "patient.last.updated",
    "patient.type",
    "exclude.from.mailings",
)
"""Sent unless ``campaign_tags`` names a narrower set."""
SENSITIVE_CAMPAIGN_TAGS = ("appointment.comment", "appointment.description", "date.of.birth", "ethnicity")
"""Sent only when ``campaign_tags`` names them, with a warning (minimum necessary)."""
