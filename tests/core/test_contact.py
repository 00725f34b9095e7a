"""The contact that is checked in: which channels are usable, and what is sent."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import email_validator
import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import contact as contacts
from reconciler.core import contact_channels as channels
from reconciler.core.decide_rules import LocationRules, rules_of
from reconciler.core.fhir_models import Appointment, Patient, Telecom
from reconciler.core.phi import Phi
from reconciler.core.records import InForce

RULES = LocationRules("north", 1, 2, 3, "America/New_York", campaign_tags=())
VISIT = Appointment(Phi("1"), datetime(2026, 11, 20, 19, 30, tzinfo=UTC))
EMAIL = Telecom("email", "", None, Phi("dana.marsh@example.com"))
MOBILE = Telecom("phone", "mobile", None, Phi("(941) 555-0142"))
HOME = Telecom("phone", "home", None, Phi("(941) 555-0143"))
WORK = Telecom("phone", "work", None, Phi("(941) 555-0144"))
PRIVACY = Telecom("sms", "", None, None, is_private=True)


def build(
    *telecoms: Telecom, rules: LocationRules = RULES, visit: Appointment = VISIT, **more: Any
) -> contacts.Contact:
    patient = Patient(Phi("p"), Phi("Dana Marsh"), telecoms, **more)
    return contacts.build(patient, visit, rules, external_id="x1")


def sent(*telecoms: Telecom, **more: Any) -> tuple[str | None, str | None, bool]:
    it = build(*telecoms, **more)
    return it.email.reveal() if it.email else None, it.phone.reveal() if it.phone else None, it.sms_enabled


def with_rank(entry: Telecom, rank: int) -> Telecom:
    return replace(entry, rank=rank)


def test_the_body_is_what_both_versions_take() -> None:
    assert build(EMAIL, MOBILE).body().reveal() == {
        "name": "Dana Marsh",
        "emailId": "dana.marsh@example.com",
        "phone": "9415550142",
        "smsEnabled": 1,
        "externalId": "x1",
    }


def test_version_one_names_the_location_in_the_query_and_two_in_a_header() -> None:
    assert contacts.checkin_request(100000000000011, version=1) == contacts.CheckinRequest(
        "/v1/customer/checkin", (("bid", "100000000000011"),), ()
    )
    assert contacts.checkin_request(100000000000011, version=2) == contacts.CheckinRequest(
        "/v1/contact/external/preferences/checkin", (), (("x-business-number", "100000000000011"),)
    )


def test_no_consent_flag_is_ever_sent() -> None:
    body = json.dumps(build(EMAIL, MOBILE, rules=replace(RULES, campaign_tags=None)).body().reveal())
    assert "ptin" not in body
    assert "Preferences" not in body


PHONES: dict[str, tuple[tuple[Telecom, ...], tuple[str | None, bool]]] = {
    "the mobile first": ((HOME, with_rank(WORK, 1), MOBILE), ("9415550142", True)),
    "else the preferred phone": ((HOME, with_rank(WORK, 1)), ("9415550144", False)),
    "else home": ((WORK, HOME), ("9415550143", False)),
    "never work that is not preferred": ((WORK,), (None, False)),
    "never an old number": ((Telecom("phone", "old", 1, Phi("(941) 555-0146")),), (None, False)),
    "never a fax": ((Telecom("fax", "", 1, Phi("(941) 555-0145")),), (None, False)),
    "a mobile that refuses texts is called": ((MOBILE, PRIVACY), ("9415550142", False)),
    "privacy on the mobile itself": ((replace(MOBILE, is_private=True),), ("9415550142", False)),
    "a private home phone is not used": ((replace(HOME, is_private=True),), (None, False)),
    "a Practice+ mobile that prefers texts": (
        (Telecom("sms", "mobile", 1, Phi("(941) 555-0142")), HOME),
        ("9415550142", True),
    ),
    "a bad mobile falls back to home, without texts": (
        (Telecom("phone", "mobile", None, Phi("555")), HOME),
        ("9415550143", False),
    ),
    "a mobile of another country is dropped": (
        (Telecom("phone", "mobile", None, Phi("+1 416 555 0142")),),
        (None, False),
    ),
    "an extension takes no texts": (
        (Telecom("phone", "mobile", None, Phi("941-555-0142 x12")),),
        ("9415550142", False),
    ),
    "an sms entry without a value": ((Telecom("sms", "", 1, None), HOME), ("9415550143", False)),
}


@pytest.mark.parametrize("case", PHONES)
def test_the_phone(case: str) -> None:
    telecoms, expected = PHONES[case]
    assert sent(*telecoms)[1:] == expected


EMAILS: dict[str, tuple[str, str | None]] = {
    "plain": ("dana@example.com", "dana@example.com"),
    "spaces around": (" dana@example.com ", "dana@example.com"),
    "domain in capitals": ("Dana@EXAMPLE.com", "Dana@example.com"),
    "plus tag": ("dana+x@example.com", "dana+x@example.com"),
    "40 characters": ("a" * 28 + "@example.com", "a" * 28 + "@example.com"),
    "41 characters": ("a" * 29 + "@example.com", None),
    "an IDN domain": ("dana@bücher.example.com", "dana@xn--bcher-kva.example.com"),
    "placeholder": ("no@email", None),
    "placeholder that is valid": ("no@email.com", None),
    "placeholder word": ("No-Email@clinic.example", None),
    "none": ("none@none.com", None),
    "initials are no placeholder": ("na@clinic.example", "na@clinic.example"),
    "two ats": ("a@b@example.com", None),
    "control character": ("da\x07na@example.com", None),
    "line break": ("dana@example.com\nBcc: x@example.com", None),
    "empty": ("", None),
    "a name": ("Dana <dana@example.com>", None),
}


@pytest.mark.parametrize("case", EMAILS)
def test_the_email(case: str) -> None:
    value, expected = EMAILS[case]
    assert sent(Telecom("email", "", None, Phi(value)))[0] == expected


def test_the_preferred_usable_email_is_taken() -> None:
    other = Telecom("email", "", 1, Phi("other@example.com"))
    assert sent(EMAIL, other)[0] == "other@example.com"
    assert sent(EMAIL, replace(other, value=Phi("no@email")))[0] == "dana.marsh@example.com"
    assert sent(replace(EMAIL, is_private=True))[0] is None


def test_exclude_from_mailings_drops_the_email_and_keeps_the_phone() -> None:
    found = build(EMAIL, MOBILE, exclude_from_mailings=True)
    assert (found.email, found.phone, found.dropped) == (None, Phi("9415550142"), ("email excluded",))


def test_what_was_dropped_is_told_without_the_value() -> None:
    found = build(Telecom("email", "", None, Phi("no@email")), Telecom("phone", "home", None, Phi("12")))
    assert found.dropped == ("email unusable", "phone unusable")
    assert not found.has_channel
    assert build().dropped == ()


def test_another_country_is_sent_with_its_code() -> None:
    telecom = Telecom("phone", "mobile", None, Phi("0412 555 019"))
    found = sent(telecom, rules=replace(RULES, country="AU"))
    assert found[1:] == ("+61412555019", True)


FULL_VISIT = replace(
    VISIT,
    status="fulfilled",
    custom_status="Out",
    types=("Follow Up", "Procedure"),
    purposes=("Skin",),
    comment=Phi("a comment"),
    description=Phi("a description"),
)
FULL: dict[str, Any] = {
    "city": Phi("Sarasota"),
    "state": Phi("FL"),
    "general_practitioner": Phi("Okafor, Lena"),
    "primary_care_physician": Phi("Pruitt, Elle"),
    "last_updated": datetime(2026, 11, 20, 20, 40, 58, 113000, tzinfo=UTC),
    "patient_types": ("Insurance Patient",),
    "exclude_from_mailings": False,
    "birth_date": Phi(date(1979, 6, 14)),
    "ethnicity": Phi("Some ethnicity"),
}


def test_the_default_tags_are_sent_and_the_sensitive_ones_are_not() -> None:
    found = build(EMAIL, visit=FULL_VISIT, rules=replace(RULES, campaign_tags=None), **FULL)
    assert found.body().reveal()["additionalParams"] == {
        "appointment.status": "fulfilled",
        "appointment.types": "Follow Up|Procedure",
        "appointment.purpose": "Skin",
        "city": "Sarasota",
        "state": "FL",
        "general.practitioner": "Okafor, Lena",
        "primary.care.physician": "Pruitt, Elle",
        "patient.last.updated": "2026-11-20T20:40:58Z",
        "patient.type": "Insurance Patient",
        "exclude.from.mailings": "false",
    }


def test_sensitive_tags_are_sent_only_when_named() -> None:
    named = ("date.of.birth", "ethnicity", "appointment.comment", "appointment.description")
    found = build(EMAIL, visit=FULL_VISIT, rules=replace(RULES, campaign_tags=named), **FULL)
    assert found.body().reveal()["additionalParams"] == {
        "appointment.comment": "a comment",
        "appointment.description": "a description",
        "date.of.birth": "1979-06-14",
        "ethnicity": "Some ethnicity",
    }


def test_half_a_birth_date_is_not_sent_as_a_date() -> None:
    rules = replace(RULES, campaign_tags=("date.of.birth",))
    found = build(EMAIL, rules=rules, birth_date=Phi(date(1979, 12, 31)), is_birth_date_whole=False)
    assert "additionalParams" not in found.body().reveal()


def test_absent_values_are_left_out_and_a_custom_status_stands_in() -> None:
    found = build(EMAIL, visit=replace(VISIT, custom_status="Checked Out"), rules=replace(RULES, campaign_tags=None))
    assert found.body().reveal()["additionalParams"] == {"appointment.status": "Checked Out"}


def test_a_contact_shows_nothing_of_the_person() -> None:
    shown = repr(build(EMAIL, MOBILE, visit=FULL_VISIT, rules=replace(RULES, campaign_tags=None), **FULL))
    for secret in ("Dana", "dana", "941", "Sarasota", "Okafor"):
        assert secret not in shown


FEED = {
    "emailOptOut": [
        {"emailId": "Dana.Marsh@example.com", "optOutFrom": ["marketing", "feedback"]},
        {"emailId": "market@example.com", "optOutFrom": ["marketing"]},
        {"emailId": "old@example.com"},
    ],
    "textOptOut": [
        {"phone": "(941) 555-0142", "optOutFrom": "feedback"},
        {"phone": "9415550199", "optOutFrom": ["service"]},
    ],
    "blocked": [{"emailId": "blocked@example.com", "phone": "+1 941 555 0150", "optOutFrom": ["service"]}, None, 4],
}


@pytest.mark.parametrize(
    ("telecom", "expected"),
    [
        (EMAIL, True),
        (MOBILE, True),
        (Telecom("phone", "work", None, Phi("+1 (941) 555-0142")), True),
        (Telecom("email", "", None, Phi("market@example.com")), False),
        (Telecom("email", "", None, Phi("OLD@example.com")), True),
        (Telecom("email", "", None, Phi("blocked@example.com")), True),
        (Telecom("phone", "home", None, Phi("941.555.0150")), True),
        (Telecom("phone", "home", None, Phi("9415550199")), False),
        (HOME, False),
        (PRIVACY, False),
    ],
)
def test_whoever_opted_out_of_feedback_is_known_by_any_address_or_number(telecom: Telecom, expected: bool) -> None:
    assert channels.opt_outs(FEED, "US").has(Patient(Phi("p"), telecoms=(telecom,)), "US") is expected


def test_feeds_add_up_and_show_only_how_many() -> None:
    both = channels.opt_outs(FEED, "US") | channels.OptOuts(frozenset({"a@example.com"}))
    assert repr(both) == "<opt-outs: 4 e-mails, 3 phones>"
    assert channels.opt_outs(None, "US").has(Patient(Phi("p"), telecoms=(EMAIL,)), "US") is False


AREAS = ("941", "813", "212", "555", "416", "011", "800", "670", "000", "787")
LINES = (
    "555-0100",
    "555-0142",
    "555-01",
    "5550199 ext 4",
    "555.0123",
    "555 01 77",
    "155-0100",
    "555-0101 x",
    "555-O100",
)
SHAPES = (
    "({a}) {n}",
    "{a}{n}",
    "+1 {a} {n}",
    "1-{a}-{n}",
    "00{a}{n}",
    "{a}/{n}",
    "tel:{a}-{n}",
    "{a} {n}\x00",
    "+{a}{n}",
)
LOCALS = (
    "dana",
    "d.m",
    "d..m",
    ".d",
    "d+t",
    "d m",
    '"d m"',
    "jö",
    "d\u202em",
    "d@m",
    "x" * 28,
    "x" * 29,
    "d'm",
    "D",
    "",
)
DOMAINS = (
    "example.com",
    "EXAMPLE.COM",
    "example",
    "bücher.example.com",
    "-a.com",
    "a..com",
    "[127.0.0.1]",
    "x.test",
    "a_b.com",
    "example.com.",
    " example.com",
    "",
)


def test_five_thousand_phones_and_emails_have_the_verdict_of_the_libraries() -> None:
    phones = [shape.format(a=a, n=n) for a in AREAS for n in LINES for shape in SHAPES]
    countries = ("US", "CA", "AU", "MX", "PR")
    addresses = [
        f"{it}@{domain}{tail}" for it in LOCALS for domain in DOMAINS for tail in ("", " ", "\n", "\t", "x", ">")
    ]
    rows = 0
    for country in countries:
        for value in phones:
            try:
                number = phonenumbers.parse(value, country)
                valid = phonenumbers.is_valid_number_for_region(number, country)
            except phonenumbers.NumberParseException:
                valid = False
            found = channels.usable_phone(value, country)
            assert (found is not None) == valid
            if found is not None and country == "US":
                assert len(found.number) == 10
                assert found.number.isdigit()
            rows += 1
    for value in addresses:
        try:
            checked = email_validator.validate_email(value.strip(), check_deliverability=False)
            valid = len(checked.ascii_email or checked.normalized) <= 40
        except email_validator.EmailNotValidError:
            valid = False
        assert (channels.usable_email(value) is not None) == valid
        rows += 1
    assert rows >= 5000


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_raises_and_what_is_sent_is_short_enough(email: str, phone: str) -> None:
    found = sent(Telecom("email", "", None, Phi(email)), Telecom("phone", "mobile", None, Phi(phone)))
    assert found[0] is None or len(found[0]) <= 40
    assert found[1] is None or found[1].isdigit()


def test_rules_come_out_of_a_configuration_in_force() -> None:
    document = {
        "business": 1,
        "country": None,
        "beta": True,
        "practice_plus": False,
        "campaign_tags": None,
        "excluded_patient_types": ["Deceased"],
        "minimum_age": 18,
        "locations": {
            "2": {
                "time_zone": "America/New_York",
                "frequency": "12h",
                "next_run": None,
                "contact_start": "2026-11-20",
                "resolved": {
                    "practice.id": {"reference": "env:X", "print": "#", "from": "group"},
                    "appointment.types": {"value": "Procedure|Surgery", "from": "group"},
                    "appointment.status": {"value": "fulfilled,completed", "from": "group"},
                    "appointment.custom.status": {"value": "", "from": "default"},
                    "customer.fetch.delay": {"value": "2", "from": "location"},
                    "location.name": {"value": "Dermatology|Oncology", "from": "location"},
                    "appointment.preference": {"value": "purpose", "from": "location live"},
                },
            }
        },
    }
    stored = InForce("north", 1, 7, datetime(2026, 11, 20, tzinfo=UTC), "plan", None, document)
    found = rules_of(stored, 2)
    assert found == LocationRules(
        slug="north",
        parent=1,
        business=2,
        revision=7,
        time_zone="America/New_York",
        beta=True,
        appointment_types=("Procedure", "Surgery"),
        appointment_statuses=("fulfilled", "completed"),
        location_names=("Dermatology", "Oncology"),
        show_by="purpose",
        customer_fetch_delay_days=2,
        frequency="12h",
        contact_start=date(2026, 11, 20),
        excluded_patient_types=("Deceased",),
        minimum_age=18,
    )
    assert "date.of.birth" in found.keep
    assert "date.of.birth" not in found.tags
