"""What happens to each visit, and why: the two tables of ``sync.md``, row by row, first match wins.

Pure. The unknown is *not allowed*, never an error. A decision names the rule that fired and the values it compared;
those are configuration vocabulary, dates and counts, never anything of a person.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from reconciler.core import contact as contacts
from reconciler.core import fhir
from reconciler.core.contact import Contact
from reconciler.core.contact_channels import OptOuts
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Patient, Quarantined
from reconciler.core.phi import Phi

Outcome = Literal["send", "restricted", "skipped", "quarantined", "held"]
Value = str | tuple[str, ...]

STATUS_NOT_ALLOWED = "'Appointment status' is not in the allowed list"
TYPE_NOT_ALLOWED = "'Appointment type' is not in the allowed list"
CUSTOM_STATUS_NOT_ALLOWED = "'Custom Appointment Status' is not in the allowed list"
BETA = "Integration is beta"
LOG_KEYS = {
    STATUS_NOT_ALLOWED: "additionalParams.appointment.status",
    TYPE_NOT_ALLOWED: "additionalParams.appointment.types",
    CUSTOM_STATUS_NOT_ALLOWED: "appointment.custom.status",
    BETA: "beta",
}
"""Restriction reasons, word for word as the integration's manual has them, and the log keys that operators search."""
PLACEHOLDER_BIRTH_DATES = frozenset({date(1900, 1, 1)})
"""Written where the real one is not known (``nextech-api.md`` 6.5)."""
COMPLETED = {"completed": "fulfilled"}
"""The manual's word for FHIR's."""
AGAIN_REASONS = frozenset({"no_name", "no_contact_channel", "other_practitioner", "patient_not_found"})
"""Skipped visits that are decided again within the overlap: what was missing may have been filled in."""


@dataclass(frozen=True, slots=True)
class Decision:
    """One outcome with its reason. ``compared`` holds pairs of name and value, in the order of comparing."""

    outcome: Outcome
    reason: str
    rule: str
    """Which row fired, such as ``appointment_types``."""
    compared: tuple[tuple[str, Value], ...] = ()

    @property
    def log_key(self) -> str | None:
        """The key under which operators look for a restriction; None for other outcomes."""
        return LOG_KEYS.get(self.reason)


@dataclass(frozen=True, slots=True)
class Decided:
    """One visit with its decision; ``contact`` is there for ``send`` and for a restriction by beta."""

    visit: Appointment | Quarantined
    decision: Decision
    contact: Contact | None = None


@dataclass(frozen=True, slots=True)
class Moments:
    """The times that decisions compare with."""

    now: datetime
    contact_start: date
    """First contact date, a local day of the location."""
    closed_before: datetime | None = None
    """Catch-up is closed for visits that start before; None: nothing is closed."""


def decide_visit(visit: Appointment, rules: LocationRules, moments: Moments) -> Decision | None:
    """The rows of the first table but the last (``duplicate_visit``, see ``decide_visits``); None: all passed."""
    return _who(visit, rules) or _when(visit, rules, moments) or _status(visit, rules) or _type(visit, rules)


def decide_filters(visit: Appointment, rules: LocationRules) -> Decision | None:
    """Of the first table the rows that are filters of the declaration, without those of who and when; None: passed."""
    if rules.practitioner_ids and not same(visit.practitioner_ids, rules.practitioner_ids):
        return _other_practitioner(visit, rules)
    return _status(visit, rules) or _type(visit, rules)


def _who(visit: Appointment, rules: LocationRules) -> Decision | None:
    if visit.patient_id is None:
        return Decision("skipped", "not_a_patient", "patient", (("patient participants", "0"),))
    if rules.practitioner_ids and not same(visit.practitioner_ids, rules.practitioner_ids):
        return _other_practitioner(visit, rules)
    return None


def _other_practitioner(visit: Appointment, rules: LocationRules) -> Decision:
    compared = (("practitioner", visit.practitioner_ids), ("allowed", rules.practitioner_ids))
    return Decision("skipped", "other_practitioner", "practitioner_ids", compared)


def _when(visit: Appointment, rules: LocationRules, moments: Moments) -> Decision | None:
    if visit.start > moments.now:
        compared = (("start", visit.start.isoformat()), ("now", moments.now.isoformat()))
        return Decision("skipped", "not_yet", "start", compared)
    day = local_day(visit, rules)
    if day < moments.contact_start:
        compared = (("day", day.isoformat()), ("contact_start", moments.contact_start.isoformat()))
        return Decision("skipped", "too_old", "contact_start", compared)
    if moments.closed_before is not None and visit.start < moments.closed_before:
        compared = (("start", visit.start.isoformat()), ("closed before", moments.closed_before.isoformat()))
        return Decision("skipped", "too_late", "max_catch_up_days", compared)
    return None


def _status(visit: Appointment, rules: LocationRules) -> Decision | None:
    customs = rules.custom_appointment_statuses
    if visit.status is not None:
        allowed = {COMPLETED.get(_fold(it), _fold(it)) for it in rules.appointment_statuses}
        if _fold(visit.status) in allowed:
            return None
    elif visit.custom_status is not None and _fold(visit.custom_status) in {_fold(it) for it in customs}:
        return None
    if visit.status is None and customs:
        compared = (("custom status", visit.custom_status or ""), ("allowed", customs))
        return Decision("restricted", CUSTOM_STATUS_NOT_ALLOWED, "custom_appointment_statuses", compared)
    shown = (("status", visit.status or ""), ("custom status", visit.custom_status or ""))
    allowed_now = ("allowed", rules.appointment_statuses)
    return Decision("restricted", STATUS_NOT_ALLOWED, "appointment_statuses", (*shown, allowed_now))


def _type(visit: Appointment, rules: LocationRules) -> Decision | None:
    has = visit.purposes if rules.show_by == "purpose" else visit.types
    if not rules.appointment_types or same(has, rules.appointment_types):
        return None
    compared = ((rules.show_by, has), ("allowed", rules.appointment_types))
    return Decision("restricted", TYPE_NOT_ALLOWED, "appointment_types", compared)


def _fold(value: str) -> str:
    return value.strip().casefold()


def same(values: Iterable[str], allowed: Iterable[str]) -> bool:
    """Does any value equal any allowed one after trimming (case matters)?"""
    return not {it.strip() for it in values}.isdisjoint(it.strip() for it in allowed)


def local_day(visit: Appointment, rules: LocationRules) -> date:
    """The day of the visit on the location's calendar."""
    return visit.start.astimezone(rules.zone).date()


def decide_visits(
    visits: Iterable[Appointment], rules: LocationRules, moments: Moments
) -> dict[Phi[str], Decision | None]:
    """The whole first table for the visits of one location, by appointment id; None: the patient is needed.

    The order of input does not matter; an appointment read twice counts once, one whose readings differ not at all
    (``fhir.distinct``).
    """
    found: dict[Phi[str], Decision | None] = {}
    first: set[tuple[Phi[str] | None, date]] = set()
    for visit in fhir.distinct(visits):  # earliest start first, then lowest id
        if isinstance(visit, Quarantined):
            continue
        decision = decide_visit(visit, rules, moments)
        if decision is None:
            day = local_day(visit, rules)
            if (visit.patient_id, day) in first:
                decision = Decision("skipped", "duplicate_visit", "one contact a day", (("day", day.isoformat()),))
            first.add((visit.patient_id, day))
        found[visit.id] = decision
    return found


def decide_contact(
    visit: Appointment, patient: Patient, contact: Contact, rules: LocationRules, *, is_opted_out: bool
) -> Decision:
    """The second table, for a visit that passed the first."""
    if contact.name is None:
        return Decision("skipped", "no_name", "name")
    if rules.excluded_patient_types and same(patient.patient_types, rules.excluded_patient_types):
        compared = (("patient type", patient.patient_types), ("excluded", rules.excluded_patient_types))
        return Decision("skipped", "excluded_patient_type", "excluded_patient_types", compared)
    if rules.minimum_age and not _is_old_enough(patient, local_day(visit, rules), rules.minimum_age):
        return Decision("skipped", "under_age", "minimum_age", (("minimum age", str(rules.minimum_age)),))
    if patient.is_deceased_or_merged:
        return Decision("skipped", "deceased_or_merged", "patient-status")
    if not contact.has_channel:
        return Decision("skipped", "no_contact_channel", "e-mail and phone", (("dropped", contact.dropped),))
    if is_opted_out:
        return Decision("skipped", "opted_out", "opt-out feed")
    if rules.beta:
        return Decision("restricted", BETA, "beta", (("beta", "true"),))
    return Decision("send", "", "send")


def _is_old_enough(patient: Patient, day: date, minimum_age: int) -> bool:
    """On the day of the visit. No date of birth, or a placeholder for one, is not old enough: the safe side."""
    if patient.birth_date is None:
        return False
    born = patient.birth_date.reveal()
    if born in PLACEHOLDER_BIRTH_DATES:
        return False
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day)) >= minimum_age


def decide_all(
    visits: Iterable[Appointment | Quarantined],
    rules: LocationRules,
    moments: Moments,
    *,
    patients: Mapping[Phi[str], Patient | Quarantined],
    external_id: Callable[[Phi[str]], str],
    opt_outs: OptOuts,
    first: Mapping[Phi[str], Decision | None] | None = None,
) -> tuple[Decided, ...]:
    """Both tables for the visits of one location, sorted by start and id: exactly one outcome for each visit.

    ``patients`` by id; a patient that is not there did not come back (``patient_not_found``). ``first`` is what
    ``decide_visits`` says of these visits and of others: given where they are decided in several calls.
    """
    given = tuple(visits)
    broken = _broken(given)
    unsafe = {it.id for it in broken if it.id is not None}
    once = fhir.distinct(it for it in given if isinstance(it, Appointment) and it.id not in unsafe)
    readable = [it for it in once if isinstance(it, Appointment)]
    broken += [it for it in once if isinstance(it, Quarantined)]
    found = [Decided(it, Decision("quarantined", it.reason, "readable")) for it in broken]
    if first is None:
        first = decide_visits(readable, rules, moments)
    for visit in readable:
        decision = first[visit.id]
        if decision is not None or visit.patient_id is None:
            found.append(Decided(visit, decision or Decision("skipped", "not_a_patient", "patient")))
            continue
        patient = patients.get(visit.patient_id)
        if patient is None:
            found.append(Decided(visit, Decision("skipped", "patient_not_found", "patient")))
        elif isinstance(patient, Quarantined):
            found.append(Decided(visit, Decision("quarantined", f"patient_{patient.reason}", "readable")))
        else:
            made = contacts.build(patient, visit, rules, external_id=external_id(visit.patient_id))
            is_opted_out = opt_outs.has(patient, rules.country)
            last = decide_contact(visit, patient, made, rules, is_opted_out=is_opted_out)
            found.append(Decided(visit, last, made if last.outcome == "send" or last.reason == BETA else None))
    return tuple(sorted(found, key=lambda it: fhir.visit_order(it.visit)))


def _broken(given: Iterable[Appointment | Quarantined]) -> list[Quarantined]:
    """The unreadable ones, each id once, by content: pages overlap. One without an id stands for itself."""
    ordered = sorted(
        (it for it in given if isinstance(it, Quarantined)), key=lambda it: (fhir.visit_order(it), it.reason)
    )
    seen: set[Phi[str]] = set()
    found = []
    for it in ordered:
        if it.id is None or it.id not in seen:
            found.append(it)
        if it.id is not None:
            seen.add(it.id)
    return found


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the ledger knows of a visit that was decided before."""

    outcome: str
    reason: str
    is_in_ledger: bool = False
    """It has a row of the outbox, in whatever state."""
    is_backfilled: bool = False


def is_final(last: Recorded | None) -> bool:
    """May this visit, seen again within the overlap, no longer be decided? One never decided is not final."""
    if last is None:
        return False
    if last.is_in_ledger or last.is_backfilled:
        return True
    if last.outcome == "restricted":
        return last.reason == BETA
    if last.outcome == "skipped":
        return last.reason not in AGAIN_REASONS
    return last.outcome != "quarantined"
