"""Rules between fields and between declarations: what breaks each, and what does not."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import live
from reconciler.core.declared import Declared
from reconciler.core.lint import lint, manual_steps
from reconciler.core.model import Declaration
from reconciler.core.sources import nextech

TODAY = date(2026, 11, 24)
FULFILLED = nextech.FULFILLED_TRIGGER
PRACTICE = "env:RECONCILER_SECRET_EXAMPLE_PRACTICE_ID"
OTHER_PRACTICE = "env:RECONCILER_SECRET_OTHER_PRACTICE_ID"


def location(number: int, **fields: Any) -> dict[str, Any]:
    return {"business": 100000000000100 + number, "time_zone": "America/New_York", **fields}


def declared(
    *locations: dict[str, Any], slug: str = "example", business: int = 100000000000100, **fields: Any
) -> Declared:
    group = {"practice_id": PRACTICE, "appointment_types": ("Procedure",)} | fields.pop("group", {})
    group = {key: value for key, value in group.items() if value is not None}
    document = {"version": 1, "business": business, "source": "nextech", "group": group, **fields}
    document["locations"] = locations or (location(1),)
    return Declared(slug, f"{slug}.yaml", Declaration.model_validate(document))


def codes(*all_declared: Declared, catalogue: tuple[live.Trigger, ...] | None = None) -> list[str]:
    told = lint(all_declared, today=TODAY, catalogue=catalogue)
    return [it.code for it in told if not it.code.startswith("N")]


def test_a_plain_declaration_has_no_problems() -> None:
    assert lint((declared(),), today=TODAY) == ()


@pytest.mark.parametrize(
    ("group", "expected"),
    [
        ({"appointment_types": ("A|B",)}, ["E301"]),
        ({"appointment_types": ("A,B",)}, []),
        ({"appointment_statuses": ("fulfilled,booked",)}, ["E301"]),
        ({"custom_appointment_statuses": ("Checked Out, Done",)}, ["E301"]),
        ({"appointment_types": ("A", "A")}, ["E302"]),
        ({"appointment_types": ("A", "a")}, []),
        ({"appointment_statuses": ("fulfilled", "Fulfilled")}, ["E302"]),
        ({"appointment_statuses": ("Completed", "noshow", "entered-in-error")}, []),
        ({"appointment_statuses": ("Checked Out",)}, ["E306"]),
        ({"appointment_types": ()}, ["W401"]),
        ({"appointment_types": None}, ["W401"]),
        ({"campaign_tags": ("city", "appointment.types")}, []),
        ({"campaign_tags": ("ethnicity",)}, ["W405"]),
        ({"campaign_tags": ("cities",)}, ["E325"]),
        ({"campaign_tags": ("city", "city")}, ["E302"]),
        ({"excluded_patient_types": ("Deceased", "Deceased")}, ["E302"]),
        ({"practice_id": None}, ["E307"]),
    ],
)
def test_rules_of_the_group(group: dict[str, Any], expected: list[str]) -> None:
    assert codes(declared(group=group)) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"time_zone": None}, ["E313"]),
        ({"time_zone": None, "state": "inactive"}, []),
        ({"time_zone": None, "state": "released"}, []),
        ({"appointment_types": ()}, ["W401"]),
        ({"location_names": ("A|B",)}, ["E301"]),
        ({"practitioner_ids": ("4|7",)}, ["E301"]),
        ({"practitioner_ids": ("417", "417")}, ["E302"]),
        ({"contact_start": "2026-11-10"}, []),
        ({"contact_start": "2026-11-09"}, ["W407"]),
        ({"contact_start": "2028-01-01"}, ["W407"]),
        ({"next_run": "2020-01-01T06:00:00Z"}, []),
        ({"next_run": "2028-01-01T06:00:00Z"}, ["W408"]),
    ],
)
def test_rules_of_a_location(fields: dict[str, Any], expected: list[str]) -> None:
    fields = {key: value for key, value in (location(1) | fields).items() if value is not None}
    assert codes(declared(fields)) == expected


def test_no_practice_id_is_told_where_it_lacks() -> None:
    with_one = location(1, practice_id=PRACTICE, location_names=("A",))
    assert codes(declared(with_one, group={"practice_id": None})) == []
    assert codes(declared(with_one, location(2), group={"practice_id": None})) == ["E307"]
    assert codes(declared(with_one, location(2, state="released"), group={"practice_id": None})) == []
    waiting = declared(group={"practice_id": None}, onboarding={"ordered_on": "2026-11-20"})
    assert [it.code for it in lint((waiting,), today=TODAY)] == ["N504"]


def test_all_types_are_told_once_for_the_group_and_not_where_every_location_has_its_own() -> None:
    without = {"appointment_types": None}
    two = location(1, location_names=("A",)), location(2, location_names=("B",))
    assert codes(declared(*two, group=without)) == ["W401"]
    own = [it | {"appointment_types": ("Surgery",)} for it in two]
    assert codes(declared(*own, group=without)) == []
    assert codes(declared(group=without, triggers=("appointmentTrigger", nextech.UPSERT_TRIGGER))) == []


def test_locations_of_one_practice_need_names() -> None:
    named, bare = location(1, location_names=("A",)), location(2)
    assert codes(declared(named, bare)) == ["E308"]
    assert codes(declared(named, bare | {"location_names": ()})) == ["E308"]
    assert codes(declared(named, bare | {"state": "inactive"})) == ["E308"]
    assert codes(declared(named, bare | {"state": "released"})) == []
    assert codes(declared(named, bare | {"practice_id": OTHER_PRACTICE})) == []


def test_locations_of_one_practice_in_two_files_need_names_too() -> None:
    one = declared(location(1, location_names=("A",)))
    other = declared(location(2), slug="other", business=100000000000200)
    assert codes(one, other) == ["E308"]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((), (), ["E309"]),
        (("1",), (), ["E309"]),
        ((), ("1",), ["E309"]),
        (("1", "2"), ("2", "3"), ["E309"]),
        (("1", "2"), ("3",), []),
    ],
)
def test_a_name_claimed_twice_needs_practitioners_apart(
    first: tuple[str, ...], second: tuple[str, ...], expected: list[str]
) -> None:
    pair = [location(i, location_names=("A", f"own {i}"), practitioner_ids=ids) for i, ids in ((1, first), (2, second))]
    assert codes(declared(*pair)) == expected


def test_a_business_belongs_to_one_file_and_one_entry() -> None:
    assert codes(declared(), declared(location(9), slug="other")) == ["E308", "E308", "E310"]
    elsewhere = declared(location(1), slug="other", business=100000000000200, group={"practice_id": OTHER_PRACTICE})
    assert codes(declared(), elsewhere) == ["E310"]
    same = location(1, location_names=("A",)), location(1, location_names=("B",))
    assert codes(declared(*same)) == ["E311"]
    assert codes(declared(location(0))) == []
    assert codes(declared(location(0, location_names=("A",)), location(1, location_names=("B",)))) == ["E312"]


def test_beta_does_not_hold_back_the_platform() -> None:
    assert codes(declared(beta=True, runner="platform")) == ["E314"]
    assert codes(declared(location(1, state="inactive"), beta=True, runner="platform")) == []
    assert codes(declared(beta=True, runner="platform", state="inactive")) == []
    assert codes(declared(beta=True)) == []
    assert codes(declared(location(1, frequency="12h"), runner="platform")) == ["W409"]
    assert codes(declared(practice_plus=True)) == ["W406"]


@pytest.mark.parametrize(
    ("code", "until", "expected"),
    [
        ("goes-live", "2026-11-24", []),
        ("goes-live", "2026-12-08", []),
        ("goes-live", "2026-12-09", ["E317"]),
        ("goes-live", "2026-11-23", ["E318"]),
        ("go-live", "2026-11-24", ["E315"]),
        ("adopt", "2026-11-24", ["E316"]),
        ("ambiguous-group", "2026-11-24", ["E316"]),
        ("group-vanished", "2026-11-24", ["E316"]),
        ("undeclared", "2026-11-24", ["E316"]),
        ("many-deactivations:run", "2026-11-24", ["E316"]),
        ("goes-live:example", "2026-11-24", ["E315"]),
    ],
)
def test_what_a_file_may_allow_and_how_long(code: str, until: str, expected: list[str]) -> None:
    assert codes(declared(allow=({"code": code, "reason": "agreed", "until": until},))) == expected


def test_renames_may_chain_and_may_not_come_back() -> None:
    def moved(slug: str, number: int, *former: str) -> Declared:
        one = location(number, practice_id=f"env:RECONCILER_SECRET_P{number}")
        moves = tuple({"from": it} for it in former)
        return declared(one, slug=slug, business=100000000000200 + number, moved=moves)

    assert codes(moved("c", 1, "b", "a")) == []
    assert codes(moved("c", 1, "b"), moved("b", 2, "a")) == []
    assert codes(moved("a", 1, "a")) == ["E320"]
    assert codes(moved("a", 1, "b"), moved("b", 2, "a")) == ["E320", "E320"]
    assert codes(moved("a", 1, "b"), moved("b", 2, "c"), moved("c", 3, "a")) == ["E320", "E320", "E320"]
    assert codes(moved("a", 1, "x"), moved("b", 2, "x")) == ["E321"]
    assert codes(moved("a", 1, "X.yaml")) == ["E321"]
    assert codes(moved("a", 1, "x", "x")) == ["E302"]
    assert codes(declared(moved=({"from": "x", "to": "y"},))) == ["E319"]
    assert codes(declared(moved=({"from": "x", "to": "example"},))) == []


CATALOGUE = (
    live.Trigger(24, FULFILLED, "Nextech Fulfilled Appointment Trigger"),
    live.Trigger(31, "appointmentTriggerService", "Appointment Trigger Service"),
    live.Trigger(32, "upsertService", "Nextech Appointment Upsert Trigger Service", active=False),
)


@pytest.mark.parametrize(
    ("triggers", "offline", "online"),
    [
        ((FULFILLED,), ["W404"], ["W404"]),
        ((FULFILLED, "Nextech Fulfilled Appointment Trigger"), ["E305", "W404"], ["E305", "W404"]),
        ((FULFILLED, FULFILLED), ["E305", "W404"], ["E305", "W404"]),
        (("appointmentTrigger", nextech.UPSERT_TRIGGER), [], ["E303", "E303"]),
        (("appointmentTrigger",), ["W403"], ["E303", "W403"]),
        (("Appointment Trigger Service",), ["W403"], []),
        (("Appointment Trigger",), ["W403"], ["E303", "W403"]),
        (("upsertService", FULFILLED), ["W402"], ["E304"]),
        (("nothingLikeIt",), ["W402"], ["E303"]),
    ],
)
def test_triggers(triggers: tuple[str, ...], offline: list[str], online: list[str]) -> None:
    one = declared(triggers=triggers)
    assert codes(one) == offline
    assert codes(one, catalogue=CATALOGUE) == online


def test_the_fulfilled_trigger_with_custom_statuses_needs_no_confirmation() -> None:
    custom = {"custom_appointment_statuses": ("Checked Out",)}
    assert codes(declared(triggers=(FULFILLED,), group=custom)) == []
    assert codes(declared(location(1, **custom), triggers=(FULFILLED,))) == []
    assert [it.code for it in lint((declared(group=custom),), today=TODAY)] == ["N501"]


def test_a_released_business_is_only_noted() -> None:
    it = declared(location(1), state="released", group={"practice_id": None, "appointment_types": None})
    assert [problem.code for problem in lint((it,), today=TODAY)] == ["N503"]


def test_a_person_is_told_what_the_program_cannot_do() -> None:
    own_job = (
        "Birdeye: confirm that Birdeye's own job is off for business 100000000000100; two jobs text every patient twice"
    )
    by_type = "Nextech: switch appointment purpose off and save, since appointments are shown by type"
    assert manual_steps(declared().declaration) == (by_type, own_job)
    reminders = ("appointmentTrigger", "Nextech Appointment Upsert Trigger Service")
    assert manual_steps(declared(triggers=reminders, runner="platform").declaration) == (
        by_type,
        'Nextech: set "require a cancellation reason" to No (reminders need it)',
    )
    mixed = declared(location(1, name="North"), location(2, show_by="purpose"), runner="platform").declaration
    assert manual_steps(mixed) == (
        f"{by_type} (for North)",
        "Nextech: map exactly one appointment type under each purpose, and add the rule to templates and slots with "
        '"All" selected in its note, since appointments are shown by purpose (for 100000000000102)',
    )
    assert manual_steps(declared(state="inactive").declaration) == ()


@given(st.permutations(range(6)))
@settings(max_examples=40, deadline=None)
def test_the_order_of_files_decides_nothing_but_who_is_named_first(order: list[int]) -> None:
    many = [
        declared(location(i), slug=f"s{i}", business=100000000000200 + i // 2, group={"practice_id": PRACTICE + str(i)})
        for i in range(6)
    ]
    told = lint([many[i] for i in order], today=TODAY)
    assert [it.code for it in told] == ["E310", "E310", "E310"]
    assert list(told) == sorted(told, key=lambda it: it.sort_key)
