"""What patients ask for, as tables: reading a request, refusing it, whose chart it is, what is sent, what is found."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import booking
from reconciler.core.booking import Customer, Request
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Patient, Telecom
from reconciler.core.phi import Phi

NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
RULES = LocationRules("example", 1, 2, 1, "America/New_York")
ITEM = {
    "requestId": "r-1",
    "kind": "book",
    "start": "2026-12-04T10:00:00-05:00",
    "end": "2026-12-04T10:30:00-05:00",
    "typeId": 14,
    "purposeId": "58",
    "locationId": "3",
    "practitionerId": "417",
    "customer": {
        "firstName": " Ada ",
        "lastName": "Example",
        "emailId": "ada@example.com",
        "phone": "(941) 555-0142",
        "birthDate": "1980-05-06",
    },
    "createdAt": "2026-11-24T14:00:00Z",
}
PATIENT = Patient(
    id=Phi("guid-1"),
    name=Phi("Ada Example"),
    telecoms=(
        Telecom("email", "", None, Phi("Ada@Example.com")),
        Telecom("phone", "mobile", None, Phi("941-555-0142")),
    ),
    birth_date=Phi(date(1980, 5, 6)),
)


def asked(**changes: Any) -> Request:
    found = booking.request({**ITEM, **changes})
    assert found is not None
    return found


def test_a_request_is_read_whole() -> None:
    assert asked() == Request(
        id="r-1",
        kind="book",
        external_id=None,
        created_at=datetime(2026, 11, 24, 14, tzinfo=UTC),
        start=datetime(2026, 12, 4, 15, tzinfo=UTC),
        end=datetime(2026, 12, 4, 15, 30, tzinfo=UTC),
        type_id="14",
        purpose_id="58",
        location_id="3",
        practitioner_id="417",
        customer=Customer(
            Phi("Ada"), Phi("Example"), Phi("ada@example.com"), Phi("(941) 555-0142"), Phi(date(1980, 5, 6))
        ),
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*ITEM, "firstName"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(json_values, st.sampled_from(sorted(ITEM)), json_values)
def test_no_item_whatever_it_holds_ends_in_an_error(whole: Any, key: str, value: Any) -> None:
    booking.request(whole)
    found = booking.request({**ITEM, key: value})
    if found is not None:
        booking.refusal(found, RULES, location_names={}, known_start=None, now=NOW, practice_plus=False)
        booking.booking(found, None, RULES)


@pytest.mark.parametrize(
    ("changes", "known", "rules", "plus", "expected"),
    [
        ({}, None, {}, False, None),
        ({"kind": "move"}, None, {}, False, booking.NOT_UNDERSTOOD),
        ({"start": "2026-11-24T15:00:00Z", "end": "2026-11-24T16:00:00Z"}, None, {}, False, booking.IS_OVER),
        ({"locationId": ""}, None, {}, False, booking.INCOMPLETE),
        ({"end": ITEM["start"]}, None, {}, False, booking.INCOMPLETE),
        ({}, None, {"practitioner_ids": ("417",)}, False, None),
        ({}, None, {"practitioner_ids": ("704",)}, False, booking.NOT_HERE),
        ({}, None, {"location_names": (" Downtown ",)}, False, None),
        ({}, None, {"location_names": ("Midtown",)}, False, booking.NOT_HERE),
        ({"locationId": "9"}, None, {"location_names": ("Downtown",)}, False, booking.NOT_HERE),
        ({"kind": "cancel"}, None, {}, False, booking.UNKNOWN_APPOINTMENT),
        ({"kind": "cancel"}, NOW, {}, False, booking.HAS_BEGUN),
        ({"kind": "cancel"}, NOW + timedelta(hours=1), {}, False, None),
        ({"kind": "confirm"}, NOW + timedelta(hours=1), {}, True, None),
        ({"kind": "cancel"}, NOW + timedelta(hours=1), {}, True, booking.NOT_OFFERED),
        ({}, None, {}, True, booking.NOT_OFFERED),
    ],
)
def test_what_is_refused_without_asking_nextech(
    changes: dict[str, Any], known: datetime | None, rules: dict[str, Any], plus: bool, expected: str | None
) -> None:
    found = booking.refusal(
        asked(**changes),
        replace(RULES, **rules),
        location_names={"3": "Downtown"},
        known_start=known,
        now=NOW,
        practice_plus=plus,
    )
    assert found == expected


@pytest.mark.parametrize(
    ("patient", "customer", "expected"),
    [
        ({}, {}, True),
        ({"name": Phi("ADA  EXAMPLE")}, {}, True),
        ({}, {"emailId": None}, True),  # the phone is the same
        ({}, {"phone": None}, True),
        ({}, {"emailId": "x@example.com", "phone": "(941) 555-0143"}, False),
        ({}, {"birthDate": "1980-05-07"}, False),
        ({}, {"birthDate": None}, False),
        ({}, {"firstName": "Ida"}, False),
        ({"birth_date": None}, {}, False),
        ({"is_birth_date_whole": False}, {}, False),
        ({"name": None}, {}, False),
    ],
)
def test_whose_chart_it_is(patient: dict[str, Any], customer: dict[str, Any], expected: bool) -> None:
    who = asked(customer={**ITEM["customer"], **customer}).customer  # type: ignore[dict-item]
    assert booking.same_person(replace(PATIENT, **patient), who, "US") is expected


def test_a_booking_for_a_chart() -> None:
    found = booking.booking(asked(), Phi("guid-1"), RULES)
    assert found is not None
    assert found.reveal() == {
        "resourceType": "Appointment",
        "extension": [
            {
                "url": "https://select.nextech-api.com/api/structuredefinition/appointment-type",
                "valueReference": {"reference": "appointment-type/14"},
            },
            {
                "url": "https://select.nextech-api.com/api/structuredefinition/appointment-purpose",
                "valueReference": {"reference": "appointment-purpose/58"},
            },
            {
                "url": "https://select.nextech-api.com/api/structuredefinition/appointment-schedule",
                "valueString": "book",
            },
        ],
        "status": "proposed",
        "start": "2026-12-04T10:00:00-05:00",
        "end": "2026-12-04T10:30:00-05:00",
        "comment": "Birdeye request r-1",
        "participant": [
            {"actor": {"reference": "patient/guid-1"}},
            {"actor": {"reference": "location/3"}},
            {"actor": {"reference": "practitioner/417"}},
        ],
    }


def test_a_booking_for_somebody_new_brings_a_prospect() -> None:
    found = booking.booking(asked(purposeId=None), None, RULES)
    assert found is not None
    document = found.reveal()
    assert document["contained"] == [
        {
            "resourceType": "Patient",
            "name": [{"use": "official", "family": "Example", "given": ["Ada"]}],
            "telecom": [
                {"system": "phone", "value": "(941) 555-0142", "use": "mobile"},
                {"system": "email", "value": "ada@example.com"},
            ],
            "birthDate": "1980-05-06",
        }
    ]
    assert [it["actor"]["reference"] for it in document["participant"]] == ["location/3", "practitioner/417"]
    assert len(document["extension"]) == 2


@pytest.mark.parametrize("missing", ["emailId", "phone"])
def test_somebody_new_who_cannot_be_reached_is_not_booked(missing: str) -> None:
    customer = {key: value for key, value in ITEM["customer"].items() if key != missing}  # type: ignore[attr-defined]
    assert booking.booking(asked(customer=customer), None, RULES) is None


VISIT = Appointment(
    id=Phi("50"),
    start=datetime(2026, 12, 4, 15, tzinfo=UTC),
    status="pending",
    patient_id=Phi("guid-1"),
    location_ids=("3",),
    practitioner_ids=("417",),
)


@pytest.mark.parametrize(
    ("visit", "patient_id", "people", "expected"),
    [
        ({}, "GUID-1", {}, True),
        ({}, "guid-2", {}, False),
        ({}, None, {}, False),
        ({}, None, {"guid-1": "Ada Example"}, True),
        ({}, None, {"guid-1": "Ada Otherwise"}, False),
        ({"comment": Phi("Birdeye request r-1")}, "guid-2", {}, True),
        ({"comment": Phi("Birdeye request r-9")}, "guid-2", {}, False),
        ({"status": "cancelled"}, "guid-1", {}, False),
        ({"start": VISIT.start + timedelta(minutes=15)}, "guid-1", {}, False),
        ({"location_ids": ("4",)}, "guid-1", {}, False),
        ({"practitioner_ids": ("704",)}, "guid-1", {}, False),
    ],
)
def test_which_appointment_a_booking_of_unknown_outcome_made(
    visit: dict[str, Any], patient_id: str | None, people: dict[str, str], expected: bool
) -> None:
    found = booking.booked(
        asked(),
        [replace(VISIT, **visit)],
        {Phi(key): replace(PATIENT, id=Phi(key), name=Phi(name)) for key, name in people.items()},
        patient_id=Phi(patient_id) if patient_id is not None else None,
    )
    assert (found is not None) is expected


@pytest.mark.parametrize(
    ("kind", "status", "expected"),
    [
        ("cancel", "cancelled", True),
        ("cancel", "booked", False),
        ("confirm", "booked", True),
        ("confirm", "arrived", True),
        ("confirm", "pending", False),
        ("confirm", "cancelled", False),
    ],
)
def test_whether_a_change_was_made(kind: booking.Kind, status: str, expected: bool) -> None:
    assert booking.is_done(kind, replace(VISIT, status=status)) is expected


def test_a_cancellation_of_what_is_gone_is_done_and_a_confirmation_is_not() -> None:
    assert (booking.is_done("cancel", None), booking.is_done("confirm", None)) == (True, False)


@pytest.mark.parametrize(
    ("kind", "status", "said", "expected"),
    [
        ("book", 409, "  the time is\n taken ", "the time is taken"),
        ("book", 400, "", "Nextech answered 400"),
        ("cancel", 404, "", "the appointment does not exist"),
        ("cancel", 422, "tied to a superbill", "tied to a superbill"),
        ("cancel", 422, "Require a Cancellation Reason", f"Require a Cancellation Reason; {booking.ASK_FOR_REASON}"),
        ("book", 409, "x" * 900, "x" * 500),
    ],
)
def test_why_nextech_refused(kind: booking.Kind, status: int, said: str, expected: str) -> None:
    assert booking.reason(kind, status, said) == expected
