"""The upsert half of reminders as tables: statuses, windows, what is unchanged, what is sent."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reconciler.core import contact, reminders
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Patient, Telecom
from reconciler.core.phi import Phi
from reconciler.core.reminder_report import ReminderReport, RequestCounts, UpsertCounts
from reconciler.core.reminders import Span, Told
from reconciler.errors import InternalError

NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
RULES = LocationRules("example", 1, 2, 1, "America/New_York")
VISIT = Appointment(
    id=Phi("709"),
    start=NOW + timedelta(days=7),
    end=NOW + timedelta(days=7, minutes=30),
    status="booked",
    types=("Follow Up",),
    purposes=("Skin Check", "Biopsy"),
    patient_id=Phi("guid"),
    practitioner_ids=("417",),
    last_updated=NOW,
)
PATIENT = Patient(
    id=Phi("guid"),
    name=Phi("Ada Example"),
    telecoms=(
        Telecom("email", "", None, Phi("ada@example.com")),
        Telecom("phone", "mobile", None, Phi("(941) 555-0142")),
    ),
)


@pytest.mark.parametrize(
    ("status", "is_known", "expected"),
    [
        ("proposed", False, ("booked", "")),
        ("pending", False, ("booked", "")),
        ("booked", False, ("confirmed", "")),
        ("arrived", False, ("confirmed", "")),
        ("fulfilled", False, ("completed", "")),
        ("cancelled", False, ("cancelled", "")),
        ("noshow", False, ("no_show", "")),
        (None, False, (None, "custom_status")),
        (None, True, (None, "custom_status")),
        ("waitlist", True, (None, "unmapped_status")),
        ("entered-in-error", False, (None, "entered_in_error")),
        ("entered-in-error", True, ("cancelled", "")),
    ],
)
def test_the_status_of_an_appointment(status: str | None, is_known: bool, expected: tuple[str | None, str]) -> None:
    assert reminders.status_of(replace(VISIT, status=status), is_known=is_known) == expected


@pytest.mark.parametrize(
    ("now", "past", "future", "start", "to"),
    [
        ("2026-11-24T15:00Z", 12, 12, "2025-11-24T15:00Z", "2027-11-24T15:00Z"),
        ("2026-11-24T15:00Z", 0, 0, "2026-11-24T15:00Z", "2026-11-24T15:00Z"),
        ("2026-03-31T15:00Z", 1, 1, "2026-02-28T16:00Z", "2026-04-30T15:00Z"),  # no 31st; the clocks changed between
        ("2024-02-29T15:00Z", 12, 12, "2023-02-28T15:00Z", "2025-02-28T15:00Z"),
        ("2026-12-31T15:00Z", 1, 2, "2026-11-30T15:00Z", "2027-02-28T15:00Z"),
        ("2026-12-01T03:00Z", 1, 1, "2026-10-31T02:00Z", "2026-12-31T03:00Z"),  # still November in New York
    ],
)
def test_the_window_goes_by_the_calendar_of_the_location(now: str, past: int, future: int, start: str, to: str) -> None:
    found = reminders.span(datetime.fromisoformat(now), NEW_YORK, past_months=past, future_months=future)
    assert found == Span(datetime.fromisoformat(start), datetime.fromisoformat(to))


def test_the_bounds_of_a_window_belong_to_it_and_a_read_is_a_day_wider_on_each_side() -> None:
    it = Span(NOW - timedelta(days=1), NOW + timedelta(days=1))
    assert [it.takes(it.start), it.takes(it.to), it.takes(it.to + timedelta(seconds=1))] == [True, True, False]
    assert it.days() == (date(2026, 11, 22), date(2026, 11, 27))
    assert it.days(ahead_of=NOW) == (date(2026, 11, 23), date(2026, 11, 27))


@pytest.mark.parametrize(
    ("checked", "expected"),
    [(None, True), (NOW, False), (NOW - timedelta(hours=9), False), (NOW - timedelta(hours=11), True)],
)
def test_what_lies_ahead_is_looked_at_once_a_local_day(checked: datetime | None, expected: bool) -> None:
    assert reminders.is_check_due(checked, NOW, NEW_YORK) is expected


@pytest.mark.parametrize(
    ("gone", "ahead", "expected"), [(0, 0, False), (10, 10, False), (11, 55, False), (11, 54, True), (21, 100, True)]
)
def test_how_many_may_vanish_at_once(gone: int, ahead: int, expected: bool) -> None:
    assert reminders.too_many_gone(gone, ahead) is expected


@pytest.mark.parametrize(
    ("visit", "told", "expected"),
    [
        ({}, None, False),
        ({}, {}, True),
        ({}, {"status": "booked"}, False),
        ({}, {"status": None}, False),
        ({}, {"start": NOW}, False),
        ({}, {"is_vanished": True}, False),
        ({"last_updated": NOW + timedelta(seconds=1)}, {}, False),
        ({"last_updated": None}, {}, True),
    ],
)
def test_what_birdeye_knows_already(visit: dict[str, Any], told: dict[str, Any] | None, expected: bool) -> None:
    known = None if told is None else replace(Told("confirmed", VISIT.start, NOW), **told)
    assert reminders.is_unchanged(replace(VISIT, **visit), "confirmed", known) is expected


def test_the_time_of_change_is_nextechs_unless_it_has_none_or_the_appointment_was_gone() -> None:
    later = NOW + timedelta(days=1)
    told = Told("confirmed", VISIT.start, NOW)
    assert reminders.updated_at(VISIT, told, later) == NOW
    assert reminders.updated_at(replace(VISIT, last_updated=None), told, later) == later
    assert reminders.updated_at(VISIT, replace(told, is_vanished=True), later) == later


def made(patient: Patient, rules: LocationRules = RULES) -> contact.Contact:
    return contact.build(patient, VISIT, rules, external_id="e" * 32)


def test_the_whole_body() -> None:
    found = reminders.body(
        VISIT, "confirmed", RULES, external_id="x", updated=NOW, patient=PATIENT, contact=made(PATIENT)
    ).reveal()
    assert found == {
        "externalId": "x",
        "status": "confirmed",
        "start": "2026-12-01T15:00:00.000Z",
        "end": "2026-12-01T15:30:00.000Z",
        "timeZone": "America/New_York",
        "type": "Follow Up",
        "purpose": "Skin Check|Biopsy",
        "practitioner": "417",
        "customer": {
            "externalId": "e" * 32,
            "name": "Ada Example",
            "emailId": "ada@example.com",
            "phone": "9415550142",
        },
        "updatedAt": "2026-11-24T15:00:00.000Z",
    }


def test_who_wants_no_texts_keeps_the_phone_to_themselves() -> None:
    private = replace(PATIENT, telecoms=(*PATIENT.telecoms, Telecom("sms", "", None, None, is_private=True)))
    found = reminders.body(
        VISIT, "confirmed", RULES, external_id="x", updated=NOW, patient=private, contact=made(private)
    )
    assert sorted(found.reveal()["customer"]) == ["emailId", "externalId", "name"]


@pytest.mark.parametrize(
    ("patient", "rules", "reason"),
    [
        ({}, {}, None),
        ({"name": None}, {}, "no_name"),
        ({"telecoms": ()}, {}, "no_contact_channel"),
        ({"is_deceased_or_merged": True}, {}, "deceased_or_merged"),
        ({"patient_types": ("Deceased",)}, {"excluded_patient_types": ("Deceased",)}, "excluded_patient_type"),
        ({"birth_date": Phi(date(2020, 1, 1))}, {"minimum_age": 18}, "under_age"),
    ],
)
def test_who_must_not_be_contacted_is_not_told_of_unless_nobody_is_reminded_any_more(
    patient: dict[str, Any], rules: dict[str, Any], reason: str | None
) -> None:
    who, its = replace(PATIENT, **patient), replace(RULES, **rules)

    def why(status: reminders.BirdeyeStatus, *, is_known: bool) -> str | None:
        return reminders.refused(VISIT, status, who, made(who, its), its, is_known=is_known)

    assert why("booked", is_known=False) == reason
    assert why("booked", is_known=True) == reason
    assert why("cancelled", is_known=False) == reason
    assert why("cancelled", is_known=True) is None


def test_a_cancellation_of_what_is_gone_says_nothing_of_a_patient() -> None:
    found = reminders.cancellation("x", VISIT.start, None, RULES, NOW).reveal()
    assert found == {
        "externalId": "x",
        "status": "cancelled",
        "start": "2026-12-01T15:00:00.000Z",
        "timeZone": "America/New_York",
        "updatedAt": "2026-11-24T15:00:00.000Z",
    }


def test_counts_that_do_not_add_up_are_no_report() -> None:
    with pytest.raises(InternalError, match="1 read, 0 vanished, 0 have an outcome"):
        UpsertCounts(read=1).to_json()
    with pytest.raises(InternalError, match="not every one has an outcome"):
        RequestCounts(received=1).to_json()


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (ReminderReport("ok"), False),
        (ReminderReport("ok", upsert=UpsertCounts(read=1, failed=1)), True),
        (ReminderReport("ok", upsert=UpsertCounts(read=1, unknown=1)), True),
        (ReminderReport("ok", upsert=UpsertCounts(read=1, pending=1)), False),
        (ReminderReport("ok", requests=RequestCounts(received=1, held=1)), True),
        (ReminderReport("ok", requests=RequestCounts(received=1, rejected=1)), False),
    ],
)
def test_what_needs_a_person(report: ReminderReport, expected: bool) -> None:
    assert report.needs_a_person is expected
