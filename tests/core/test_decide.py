"""The two tables of decisions, row by row, and what must hold for any input."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import decide, decide_assign
from reconciler.core.contact_channels import OptOuts
from reconciler.core.decide import Decided, Decision, Moments, Recorded
from reconciler.core.decide_assign import Assignment, Counts, FinalOutcome
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Patient, Quarantined, Telecom
from reconciler.core.phi import Phi
from reconciler.errors import InternalError

RULES = LocationRules("north", 1, 2, 3, "America/New_York", campaign_tags=())
NOW = datetime(2026, 11, 24, 11, tzinfo=UTC)
MOMENTS = Moments(NOW, date(2026, 11, 20))
VISIT = Appointment(
    Phi("100"),
    datetime(2026, 11, 23, 15, tzinfo=UTC),
    status="fulfilled",
    types=("Procedure",),
    purposes=("Skin Check",),
    patient_id=Phi("p1"),
    location_names=("North",),
    practitioner_ids=("9",),
)
PATIENT = Patient(Phi("p1"), Phi("Dana Marsh"), (Telecom("email", "", None, Phi("dana@example.com")),))

STATUS = "'Appointment status' is not in the allowed list"
TYPE = "'Appointment type' is not in the allowed list"
CUSTOM = "'Custom Appointment Status' is not in the allowed list"

Row = tuple[dict[str, Any], dict[str, Any], tuple[str, str] | None]
FIRST_TABLE: dict[str, Row] = {
    "all rows passed": ({}, {}, None),
    "no patient": ({"patient_id": None}, {}, ("skipped", "not_a_patient")),
    "no patient comes first": (
        {"patient_id": None, "status": "cancelled", "practitioner_ids": ()},
        {"practitioner_ids": ("8",)},
        ("skipped", "not_a_patient"),
    ),
    "practitioner configured": ({}, {"practitioner_ids": ("8", " 9 ")}, None),
    "practitioner not configured": ({}, {"practitioner_ids": ("8",)}, ("skipped", "other_practitioner")),
    "no practitioner": ({"practitioner_ids": ()}, {"practitioner_ids": ("9",)}, ("skipped", "other_practitioner")),
    "practitioner before status": (
        {"status": "cancelled"},
        {"practitioner_ids": ("8",)},
        ("skipped", "other_practitioner"),
    ),
    "in the future": ({"start": NOW + timedelta(seconds=1)}, {}, ("skipped", "not_yet")),
    "this very moment": ({"start": NOW}, {}, None),
    "the first day": ({"start": datetime(2026, 11, 20, 5, tzinfo=UTC)}, {}, None),
    "the day before, by the local calendar": (
        {"start": datetime(2026, 11, 20, 4, 59, tzinfo=UTC)},
        {},
        ("skipped", "too_old"),
    ),
    "cancelled": ({"status": "cancelled"}, {}, ("restricted", STATUS)),
    "noshow": ({"status": "noshow"}, {}, ("restricted", STATUS)),
    "proposed": ({"status": "proposed"}, {}, ("restricted", STATUS)),
    "entered in error": ({"status": "entered-in-error"}, {}, ("restricted", STATUS)),
    "unknown word": ({"status": "teleported"}, {}, ("restricted", STATUS)),
    "cancelled, named": ({"status": "cancelled"}, {"appointment_statuses": ("Cancelled ",)}, None),
    "fulfilled in capitals": ({"status": "FULFILLED"}, {}, None),
    "completed means fulfilled": ({}, {"appointment_statuses": ("Completed",)}, None),
    "completed is no FHIR word": (
        {"status": "completed"},
        {"appointment_statuses": ("completed",)},
        ("restricted", STATUS),
    ),
    "no status, no custom ones configured": ({"status": None, "custom_status": "Out"}, {}, ("restricted", STATUS)),
    "no status, custom allowed": (
        {"status": None, "custom_status": " checked OUT"},
        {"custom_appointment_statuses": ("Checked Out",)},
        None,
    ),
    "no status, custom not allowed": (
        {"status": None, "custom_status": "In Room"},
        {"custom_appointment_statuses": ("Checked Out",)},
        ("restricted", CUSTOM),
    ),
    "no status at all": (
        {"status": None, "custom_status": None},
        {"custom_appointment_statuses": ("Checked Out",)},
        ("restricted", CUSTOM),
    ),
    "a status hides the custom one": (
        {"status": "booked", "custom_status": "Checked Out"},
        {"custom_appointment_statuses": ("Checked Out",)},
        ("restricted", STATUS),
    ),
    "type allowed": ({"types": ("Other", " Procedure ")}, {"appointment_types": ("Procedure",)}, None),
    "type not allowed": ({}, {"appointment_types": ("Surgery",)}, ("restricted", TYPE)),
    "type in another case": ({}, {"appointment_types": ("procedure",)}, ("restricted", TYPE)),
    "no type": ({"types": ()}, {"appointment_types": ("Procedure",)}, ("restricted", TYPE)),
    "no types configured": ({"types": ()}, {}, None),
    "by purpose": ({}, {"appointment_types": ("Skin Check",), "show_by": "purpose"}, None),
    "by purpose, not allowed": ({}, {"appointment_types": ("Procedure",), "show_by": "purpose"}, ("restricted", TYPE)),
    "status before type": ({"status": "noshow"}, {"appointment_types": ("Surgery",)}, ("restricted", STATUS)),
    "beta changes nothing here": ({}, {"beta": True}, None),
}


@pytest.mark.parametrize("row", FIRST_TABLE)
def test_first_table(row: str) -> None:
    visit, rules, expected = FIRST_TABLE[row]
    found = decide.decide_visit(replace(VISIT, **visit), replace(RULES, **rules), MOMENTS)
    assert (found and (found.outcome, found.reason)) == expected


def test_what_catch_up_has_closed_is_too_late() -> None:
    closed = replace(MOMENTS, closed_before=VISIT.start + timedelta(seconds=1))
    found = decide.decide_visit(VISIT, RULES, closed)
    assert found == Decision(
        "skipped",
        "too_late",
        "max_catch_up_days",
        (("start", "2026-11-23T15:00:00+00:00"), ("closed before", "2026-11-23T15:00:01+00:00")),
    )
    assert decide.decide_visit(VISIT, RULES, replace(MOMENTS, closed_before=VISIT.start)) is None


def test_a_restriction_tells_what_was_compared_and_under_which_key_operators_look() -> None:
    visit = replace(VISIT, status=None, custom_status="In Room")
    found = decide.decide_visit(visit, replace(RULES, custom_appointment_statuses=("Checked Out",)), MOMENTS)
    assert found == Decision(
        "restricted",
        CUSTOM,
        "custom_appointment_statuses",
        (("custom status", "In Room"), ("allowed", ("Checked Out",))),
    )
    assert found.log_key == "appointment.custom.status"
    assert decide.LOG_KEYS == {
        STATUS: "additionalParams.appointment.status",
        TYPE: "additionalParams.appointment.types",
        CUSTOM: "appointment.custom.status",
        "Integration is beta": "beta",
    }
    assert Decision("skipped", "no_name", "name").log_key is None


def reasons(visits: Sequence[Appointment], rules: LocationRules = RULES) -> dict[str, str | None]:
    found = decide.decide_visits(visits, rules, MOMENTS)
    return {key.reveal(): it.reason if it else None for key, it in found.items()}


def test_of_two_visits_on_a_day_the_earliest_counts_and_then_the_lowest_id() -> None:
    later = replace(VISIT, id=Phi("2"), start=VISIT.start + timedelta(hours=1))
    assert reasons([later, VISIT]) == {"100": None, "2": "duplicate_visit"}
    assert reasons([VISIT, replace(VISIT, id=Phi("9"))]) == {"9": None, "100": "duplicate_visit"}


def test_only_visits_that_pass_every_row_above_make_a_duplicate() -> None:
    cancelled = replace(VISIT, id=Phi("2"), start=VISIT.start - timedelta(hours=1), status="cancelled")
    assert reasons([cancelled, VISIT]) == {"2": STATUS, "100": None}


def test_a_day_is_the_locations_own_and_patients_do_not_share_it() -> None:
    evening = replace(VISIT, id=Phi("2"), start=datetime(2026, 11, 24, 4, 30, tzinfo=UTC))  # still the 23rd there
    next_day = replace(VISIT, id=Phi("3"), start=datetime(2026, 11, 24, 5, 30, tzinfo=UTC))
    other = replace(VISIT, id=Phi("4"), patient_id=Phi("p2"))
    assert reasons([VISIT, evening, next_day, other]) == {"4": None, "100": None, "2": "duplicate_visit", "3": None}


SECOND_TABLE: dict[str, tuple[dict[str, Any], dict[str, Any], bool, tuple[str, str]]] = {
    "send": ({}, {}, False, ("send", "")),
    "no name": ({"name": None, "patient_types": ("Deceased",)}, {"beta": True}, True, ("skipped", "no_name")),
    "excluded type": (
        {"patient_types": ("A", "Deceased"), "birth_date": None},
        {"excluded_patient_types": (" Deceased",), "minimum_age": 18},
        True,
        ("skipped", "excluded_patient_type"),
    ),
    "type not excluded": (
        {"patient_types": ("deceased",)},
        {"excluded_patient_types": ("Deceased",)},
        False,
        ("send", ""),
    ),
    "18 that day": ({"birth_date": Phi(date(2008, 11, 23))}, {"minimum_age": 18}, False, ("send", "")),
    "17 that day": ({"birth_date": Phi(date(2008, 11, 24))}, {"minimum_age": 18}, False, ("skipped", "under_age")),
    "no birth date": ({}, {"minimum_age": 18}, False, ("skipped", "under_age")),
    "placeholder birth date": (
        {"birth_date": Phi(date(1900, 1, 1))},
        {"minimum_age": 18},
        False,
        ("skipped", "under_age"),
    ),
    "under age first": (
        {"is_deceased_or_merged": True},
        {"minimum_age": 18},
        False,
        ("skipped", "under_age"),
    ),
    "no age limit": ({"birth_date": Phi(date(2020, 1, 1))}, {}, False, ("send", "")),
    "deceased": (
        {"is_deceased_or_merged": True, "telecoms": ()},
        {"beta": True},
        True,
        ("skipped", "deceased_or_merged"),
    ),
    "no channel": ({"telecoms": ()}, {"beta": True}, True, ("skipped", "no_contact_channel")),
    "opted out": ({}, {"beta": True}, True, ("skipped", "opted_out")),
    "beta": ({}, {"beta": True}, False, ("restricted", "Integration is beta")),
}


@pytest.mark.parametrize("row", SECOND_TABLE)
def test_second_table(row: str) -> None:
    patient, rules, opted_out, expected = SECOND_TABLE[row]
    opt_outs = OptOuts(frozenset({"dana@example.com"})) if opted_out else OptOuts()
    if opted_out and patient.get("telecoms") == ():
        opt_outs = OptOuts()
    found = run([VISIT], {Phi("p1"): replace(PATIENT, **patient)}, replace(RULES, **rules), opt_outs)
    assert [(it.decision.outcome, it.decision.reason) for it in found] == [expected]
    assert (found[0].contact is not None) == (expected[0] in {"send", "restricted"})


def run(
    visits: Sequence[Appointment | Quarantined],
    patients: dict[Phi[str], Patient | Quarantined],
    rules: LocationRules = RULES,
    opt_outs: OptOuts | None = None,
) -> tuple[Decided, ...]:
    return decide.decide_all(
        visits,
        rules,
        MOMENTS,
        patients=patients,
        external_id=lambda it: f"x-{it.reveal()}",
        opt_outs=opt_outs or OptOuts(),
    )


def test_a_patient_that_did_not_come_back_or_is_damaged_is_told_apart() -> None:
    other = replace(VISIT, id=Phi("2"), patient_id=Phi("p2"))
    found = run([VISIT, other], {Phi("p2"): Quarantined("id_malformed", "Patient", Phi("p2"))})
    assert [(it.decision.outcome, it.decision.reason) for it in found] == [
        ("quarantined", "patient_id_malformed"),
        ("skipped", "patient_not_found"),
    ]


def test_an_appointment_that_is_readable_on_one_page_only_is_quarantined_once() -> None:
    broken = Quarantined("start_missing", "Appointment", VISIT.id)
    found = run([VISIT, broken, broken], {Phi("p1"): PATIENT})
    assert [(it.decision.outcome, it.decision.reason) for it in found] == [("quarantined", "start_missing")]


@pytest.mark.parametrize(
    ("last", "final"),
    [
        (None, False),
        (Recorded("restricted", STATUS), False),
        (Recorded("restricted", TYPE), False),
        (Recorded("restricted", CUSTOM), False),
        (Recorded("restricted", "Integration is beta"), True),
        (Recorded("skipped", "no_name"), False),
        (Recorded("skipped", "no_contact_channel"), False),
        (Recorded("skipped", "other_practitioner"), False),
        (Recorded("skipped", "patient_not_found"), False),
        (Recorded("skipped", "duplicate_visit"), True),
        (Recorded("skipped", "opted_out"), True),
        (Recorded("skipped", "under_age"), True),
        (Recorded("skipped", "too_late"), True),
        (Recorded("skipped", "too_old"), True),
        (Recorded("quarantined", "start_missing"), False),
        (Recorded("quarantined", "start_missing", is_backfilled=True), True),
        (Recorded("restricted", STATUS, is_in_ledger=True), True),
        (Recorded("restricted", STATUS, is_backfilled=True), True),
        (Recorded("held", "ambiguous_location", is_in_ledger=True), True),
        (Recorded("send", ""), True),
    ],
)
def test_what_is_decided_again_within_the_overlap(last: Recorded | None, final: bool) -> None:
    assert decide.is_final(last) is final


def place(business: int, names: tuple[str, ...] = (), people: tuple[str, ...] = ()) -> LocationRules:
    return replace(RULES, business=business, location_names=names, practitioner_ids=people)


ASSIGNMENTS: dict[str, tuple[list[LocationRules], int | None, tuple[str, str] | None]] = {
    "the only location takes all": ([place(2)], 2, None),
    "by name": ([place(2, ("South",)), place(3, ("East", " North "))], 3, None),
    "by practitioner among those of that name": ([place(2, ("North",), ("8",)), place(3, ("North",), ("9",))], 3, None),
    "other practitioner at the one of that name": (
        [place(2, ("North",), ("8",)), place(3, ("South",), ("9",))],
        2,
        ("skipped", "other_practitioner"),
    ),
    "no practitioner matches, several of that name": (
        [place(2, ("North",), ("8",)), place(3, ("North",), ("7",))],
        None,
        None,
    ),
    "no such name": ([place(2, ("South",)), place(3, ("north",))], None, None),
    "claimed twice": ([place(3, ("North",)), place(2, ("North",), ("9",))], 2, ("held", "ambiguous_location")),
    "claimed by one without names too": ([place(3, ("North",)), place(2)], 2, ("held", "ambiguous_location")),
    "no locations": ([], None, None),
}


@pytest.mark.parametrize("case", ASSIGNMENTS)
def test_whose_visit_it_is(case: str) -> None:
    locations, business, expected = ASSIGNMENTS[case]
    for order in (locations, locations[::-1]):
        found = decide_assign.assign(VISIT, order)
        assert found.business == business
        assert (found.decision and (found.decision.outcome, found.decision.reason)) == expected


def test_an_ambiguous_visit_names_its_claimants() -> None:
    found = decide_assign.assign(VISIT, [place(3), place(2)])
    assert found == Assignment(
        2,
        Decision(
            "held", "ambiguous_location", "one location", (("locations", ("2", "3")), ("location name", ("North",)))
        ),
        (2, 3),
    )


def test_unknown_configured_names_are_listed() -> None:
    assert decide_assign.unknown_names(place(2, ("North", " West", "East")), ["North ", "South"]) == ("East", "West")
    assert decide_assign.unknown_names(place(2), []) == ()


def test_counts_are_those_that_are_published() -> None:
    outcomes: list[tuple[FinalOutcome, str]] = [
        ("sent", ""),
        ("sent", ""),
        ("already_sent", ""),
        ("restricted", TYPE),
        ("restricted", STATUS),
        ("restricted", TYPE),
        ("skipped", "no_name"),
        ("quarantined", "id_missing"),
        ("held", "unknown"),
        ("failed", "1087"),
        ("pending", "cap"),
    ]
    assert decide_assign.count(outcomes, read=11) == Counts(
        read=11,
        eligible=5,
        sent=2,
        already_sent=1,
        restricted={STATUS: 1, TYPE: 2},
        skipped={"no_name": 1},
        quarantined=1,
        held=1,
        failed=1,
        pending=1,
    )


def test_counts_that_do_not_add_up_fail_the_pass() -> None:
    with pytest.raises(InternalError, match="3 were read and 1 have an outcome"):
        decide_assign.count([("sent", "")], read=3)
    with pytest.raises(InternalError, match="2 eligible, their outcomes say 1"):
        decide_assign.check(Counts(read=1, eligible=2, sent=1))


words = st.sampled_from(["fulfilled", "Fulfilled ", "cancelled", "noshow", "booked", "zzz", "completed", "", "Ünknown"])
# Most draws pass each row, so that whole passes with contacts come up often.
likely_status = st.sampled_from([*["fulfilled"] * 8, "cancelled", "zzz", None])
names = st.sampled_from(["Procedure", "Surgery", "procedure", " Procedure", "x"])
phones = st.sampled_from(["(941) 555-0142", "555", "", "no phone", "+1 416 555 0142"])
ids = st.integers(0, 60).map(lambda it: Phi(str(it)))
visits = st.builds(
    Appointment,
    id=ids,
    start=st.sampled_from(
        [datetime(2026, 11, 23, 5, tzinfo=UTC) + timedelta(hours=8 * it) for it in (0, 1, 2, -1, -2, -3, 9, -9)]
    ),
    status=likely_status,
    custom_status=st.none() | words,
    types=st.lists(names, max_size=2).map(tuple),
    purposes=st.lists(names, max_size=2).map(tuple),
    patient_id=st.sampled_from([*[Phi("p1"), Phi("p2"), Phi("p3")] * 3, None]),
    practitioner_ids=st.sampled_from([("9",), ("9",), ("8", "9"), ("8",), ()]),
    last_updated=st.sampled_from([NOW - timedelta(hours=it) for it in range(40)]) | st.none(),
)
broken = st.builds(Quarantined, st.sampled_from(["a", "b"]), st.just("Appointment"), st.none() | ids)
telecoms = st.lists(
    st.builds(
        Telecom,
        system=st.sampled_from(["email", "phone", "sms", "pager"]),
        use=st.sampled_from(["mobile", "home", "work", "old", ""]),
        rank=st.none() | st.integers(0, 2),
        value=st.none() | (phones | st.sampled_from(["a@example.com", "no@email", "@"])).map(Phi),
        is_private=st.booleans(),
    ),
    max_size=3,
).map(tuple)
whole = Telecom("email", "", None, Phi("dana@example.com"))
person = (
    st.sampled_from([PATIENT, replace(PATIENT, is_deceased_or_merged=True)])
    | st.builds(
        Patient,
        id=st.just(Phi("p")),
        name=st.sampled_from([Phi("Dana Marsh"), Phi("Dana Marsh"), None]),
        telecoms=telecoms | st.just((whole,)),
        patient_types=st.lists(names, max_size=1).map(tuple),
        is_deceased_or_merged=st.booleans(),
        exclude_from_mailings=st.none() | st.booleans(),
        birth_date=st.none() | st.just(Phi(date(2000, 1, 1))),
    )
    | st.just(Quarantined("id_malformed", "Patient"))
)
people = st.fixed_dictionaries({"p1": person}, optional={"p2": person, "p3": person}).map(
    lambda it: {Phi(key): value for key, value in it.items()}
)
configurations = st.builds(
    LocationRules,
    slug=st.just("north"),
    parent=st.just(1),
    business=st.just(2),
    revision=st.just(1),
    time_zone=st.sampled_from(["America/New_York", "Pacific/Honolulu"]),
    appointment_types=st.sampled_from([(), (), ("Procedure", "x"), ("Surgery",)]),
    appointment_statuses=st.sampled_from([("fulfilled",), ("Completed",), ("cancelled", "fulfilled"), ("zzz",), ()]),
    custom_appointment_statuses=st.lists(words, max_size=2).map(tuple),
    practitioner_ids=st.sampled_from([(), (), ("9",)]),
    show_by=st.sampled_from(["type", "purpose"]),
    excluded_patient_types=st.lists(names, max_size=1).map(tuple),
    minimum_age=st.none() | st.none() | st.integers(0, 40),
)
inputs = st.tuples(st.lists(visits, min_size=2, max_size=20), st.lists(broken, max_size=3)).map(
    lambda it: [*it[0], *it[1]]
)
FINAL: dict[str, FinalOutcome] = {
    "send": "pending",
    "restricted": "restricted",
    "skipped": "skipped",
    "quarantined": "quarantined",
    "held": "held",
}


@settings(max_examples=150)
@given(inputs, people, configurations, st.randoms(use_true_random=False))
def test_every_appointment_gets_one_outcome_whatever_the_order_and_the_counts_add_up(
    given_visits: list[Appointment | Quarantined],
    patients: dict[Phi[str], Patient | Quarantined],
    rules: LocationRules,
    random: Any,
) -> None:
    found = run(given_visits, patients, rules)
    counted = Counter(it.visit.id for it in found if it.visit.id is not None)
    assert set(counted) == {it.id for it in given_visits if it.id is not None}
    assert set(counted.values()) <= {1}
    nameless = [it for it in given_visits if it.id is None]
    assert len(found) == len(counted) + len(nameless)
    decide_assign.count([(FINAL[it.decision.outcome], it.decision.reason) for it in found], read=len(found))
    shuffled = list(given_visits)
    random.shuffle(shuffled)
    assert run(shuffled, patients, rules) == found
    sends = [
        (it.visit.patient_id, decide.local_day(it.visit, rules))
        for it in found
        if it.decision.outcome == "send" and isinstance(it.visit, Appointment)
    ]
    assert len(sends) == len(set(sends)), "one contact per patient and local day"


@settings(max_examples=100)
@given(inputs, people, configurations)
def test_beta_changes_only_what_would_be_sent(
    given_visits: list[Appointment | Quarantined],
    patients: dict[Phi[str], Patient | Quarantined],
    rules: LocationRules,
) -> None:
    live = run(given_visits, patients, rules)
    beta = run(given_visits, patients, replace(rules, beta=True))
    for one, other in zip(live, beta, strict=True):
        assert one.visit == other.visit
        if one.decision.outcome == "send":
            assert (other.decision.outcome, other.decision.reason) == ("restricted", "Integration is beta")
            assert one.contact == other.contact
        else:
            assert one == other


@settings(max_examples=100)
@given(inputs, people, configurations)
def test_nobody_is_contacted_who_must_not_be(
    given_visits: list[Appointment | Quarantined],
    patients: dict[Phi[str], Patient | Quarantined],
    rules: LocationRules,
) -> None:
    for it in run(given_visits, patients, rules):
        if it.decision.outcome == "send":
            assert isinstance(it.visit, Appointment)
            assert it.visit.patient_id is not None
            patient = patients[it.visit.patient_id]
            assert isinstance(patient, Patient)
            assert not patient.is_deceased_or_merged
            assert it.contact is not None
            assert it.contact.has_channel
            assert it.visit.start <= NOW
        assert "Dana" not in repr(it)
