"""What is kept of Nextech's resources: the fields that the syncs need, and no others (minimum necessary).

Everything of a person is wrapped (``core.phi``); names of types, purposes, statuses, locations and practitioners are
configuration vocabulary and are plain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from reconciler.core.phi import Phi


@dataclass(frozen=True, slots=True)
class Quarantined:
    """One resource that could not be read; its neighbours go on."""

    reason: str
    """A stable code, such as ``start_without_offset``."""
    resource_type: str
    """``Appointment``, …; the type that was expected where the resource does not say."""
    id: Phi[str] | None = None
    """As far as it could be read, to make a pseudonym of."""
    start: datetime | None = None
    location_names: tuple[str, ...] = ()
    practitioner_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Appointment:
    """One appointment. Tuples keep the order of the answer, each value once."""

    id: Phi[str]
    start: datetime
    """Aware, UTC."""
    end: datetime | None = None
    status: str | None = None
    """FHIR's word, lower case; None where Nextech omits it: a custom status that maps to none (section 5.5)."""
    custom_status: str | None = None
    """Display of the ``appointment-status`` extension."""
    types: tuple[str, ...] = ()
    purposes: tuple[str, ...] = ()
    patient_id: Phi[str] | None = None
    """Lower case: GUIDs come in both cases (section 9, 6). None: not a patient's appointment."""
    location_ids: tuple[str, ...] = ()
    location_names: tuple[str, ...] = ()
    practitioner_ids: tuple[str, ...] = ()
    last_updated: datetime | None = None
    comment: Phi[str] | None = None
    """Only where it was asked to be kept; as ``description``."""
    description: Phi[str] | None = None


@dataclass(frozen=True, slots=True)
class Telecom:
    """One way to reach a person. ``value`` is None for the ``sms`` entry that only carries privacy (section 6.5)."""

    system: str
    use: str
    rank: int | None
    value: Phi[str] | None
    is_private: bool = False
    """``method-privacy`` is true, or is there and cannot be read."""


@dataclass(frozen=True, slots=True)
class Patient:
    """One patient. What only a campaign tag needs is None unless it was asked to be kept."""

    id: Phi[str]
    """Lower case."""
    name: Phi[str] | None = None
    """First given and family of the official name."""
    telecoms: tuple[Telecom, ...] = ()
    patient_types: tuple[str, ...] = ()
    is_deceased_or_merged: bool = False
    status: str | None = None
    """``patient-status``, lower case without spaces."""
    exclude_from_mailings: bool | None = None
    """True also where the extension is there and cannot be read."""
    birth_date: Phi[date] | None = None
    """A year or month alone stands for its last day."""
    is_birth_date_whole: bool = True
    city: Phi[str] | None = None
    state: Phi[str] | None = None
    general_practitioner: Phi[str] | None = None
    primary_care_physician: Phi[str] | None = None
    ethnicity: Phi[str] | None = None
    last_updated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """One appointment location of a practice."""

    id: str
    name: str | None
    status: str | None = None
    is_managed: bool | None = None


@dataclass(frozen=True, slots=True)
class Practitioner:
    """One provider. ``name`` as displayed (``Last, First``)."""

    id: str
    name: str | None
    is_active: bool | None = None


@dataclass(frozen=True, slots=True)
class Code:
    """One entry of a code list: appointment types, purposes, statuses, patient types."""

    kind: str
    id: str
    name: str
    type_names: tuple[str, ...] = ()
    """For a purpose: the appointment types that it is allowed with."""


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue of an OperationOutcome. The text may quote a request, so it is wrapped."""

    severity: str
    code: str
    text: Phi[str] | None = None


@dataclass(frozen=True, slots=True)
class OperationOutcome:
    """What a server has to say instead of an answer."""

    issues: tuple[Issue, ...]


@dataclass(frozen=True, slots=True)
class Bundle:
    """One page of a search, its resources unread."""

    resources: tuple[Any, ...]
    total: int | None
    links: Mapping[str, str] = field(default_factory=dict)
    """By relation, lower case; unchecked: the caller compares host and progress before it follows one."""
    findings: tuple[str, ...] = ()
    """``total_missing``, ``entries_missing`` (``total`` says there are some), ``operation_outcome``."""
