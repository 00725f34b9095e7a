"""The editors' schema says of one value what the model says."""

from __future__ import annotations

import json
import re
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from reconciler.core import codes, explain_fields, model, schema
from reconciler.core.sources import nextech

SCHEMA = schema.declaration_schema()


def node(path: str) -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA
    for step in path.split("."):
        found = found["properties"][step.removesuffix("[]")]
        if step.endswith("[]"):
            found = found["items"]
    return found


def nodes(part: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    found = [(path, part)]
    for name, child in part.get("properties", {}).items():
        found += nodes(child, f"{path}.{name}".removeprefix("."))
    if "items" in part:
        found += nodes(part["items"], f"{path}[]")
    return found


def accepts(annotation: Any, value: Any) -> bool:
    try:
        TypeAdapter(annotation).validate_python(value, strict=True)
    except ValidationError:
        return False
    return True


def matches(path: str, value: str) -> bool:
    # `\Z`, since `$` of a JSON Schema is the end, and Python's may stand before a line break.
    return re.search(node(path)["pattern"].removesuffix("$") + r"\Z", value) is not None


def test_nothing_but_what_is_declared_may_stand_in_any_mapping() -> None:
    assert {part["additionalProperties"] for _, part in nodes(SCHEMA) if "properties" in part} == {False}


def test_null_is_refused_everywhere() -> None:
    assert "null" not in schema.render()
    assert "anyOf" not in schema.render()
    assert all("type" in part for _, part in nodes(SCHEMA))


def test_every_field_is_described_in_the_words_of_explain() -> None:
    described = {path: part["description"] for path, part in nodes(SCHEMA) if "description" in part}
    assert described == {path: it.text for path, it in explain_fields.FIELDS.items()}
    fields = {path for path, _ in nodes(SCHEMA) if path and not path.endswith("[]")}
    assert fields == set(explain_fields.FIELDS)


def test_every_list_of_the_source_refuses_its_separator_and_duplicates() -> None:
    for field in nextech.FIELDS:
        for scope in field.scopes:
            path = ("group" if scope == "group" else "locations[]") + f".{field.name}"
            if field.kind == "list":
                assert node(path)["uniqueItems"] is True
                assert not matches(f"{path}[]", f"a{field.separator}b")


def test_what_is_required_is_required_by_the_model() -> None:
    required = {path: part["required"] for path, part in nodes(SCHEMA) if "required" in part}
    assert required == {
        "": ["version", "business", "source", "locations"],
        "locations[]": ["business"],
        "moved[]": ["from"],
        "allow[]": ["code", "reason", "until"],
        "onboarding.steps[]": ["step"],
    }


@pytest.mark.parametrize("value", [True, 1.0, Decimal("1.0"), "1", None])
def test_what_merely_equals_the_version_is_none(value: object) -> None:
    given = {"version": value, "business": 1, "source": "nextech", "locations": ({"business": 1},)}
    with pytest.raises(ValidationError) as caught:
        model.Declaration.model_validate(given)
    assert [(it["loc"], it["type"]) for it in caught.value.errors()] == [(("version",), "literal_error")]


def test_it_is_the_same_text_every_time_and_plain_json() -> None:
    assert json.loads(schema.render()) == SCHEMA
    assert schema.render().isascii()
    assert schema.declaration_schema() is not schema.declaration_schema()


def test_what_no_schema_judges_are_codes_of_errors() -> None:
    assert set(schema.NOT_JUDGED) <= {code for code in codes.registry() if code.startswith("E")}


def test_every_time_zone_of_this_machine_has_the_form() -> None:
    assert {it for it in model.time_zones() if not matches("locations[].time_zone", it)} <= {"localtime"}


@given(st.integers(1, 9999), st.integers(0, 13), st.integers(0, 32))
def test_a_date_is_one_by_the_schema_when_it_is_by_the_calendar(year: int, month: int, day: int) -> None:
    text = f"{year:04}-{month:02}-{day:02}"
    assert matches("allow[].until", text) == accepts(model.IsoDate, text)


def test_every_day_of_four_centuries_is_a_date() -> None:
    day = date(1999, 12, 1)
    while day < date(2401, 1, 1):
        assert matches("locations[].contact_start", day.isoformat())
        day += timedelta(1 if day.month == 2 or day.day > 27 else 27 - day.day or 1)
    assert not any(matches("allow[].until", f"{year:04}-02-29") for year in range(1, 10_000) if not leap(year))
    assert all(matches("allow[].until", f"{year:04}-02-29") for year in range(1, 10_000) if leap(year))
    assert not matches("allow[].until", "0000-01-01")
    assert not matches("allow[].until", "0000-02-29")


def leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@given(st.text(st.sampled_from("0123456789-+:TZ "), max_size=26) | st.from_regex(model._MOMENT, fullmatch=True))
def test_a_moment_is_one_by_the_schema_when_it_is_by_the_model(text: str) -> None:
    assert matches("locations[].next_run", text) == accepts(model.Moment, text)


@given(
    st.text(st.sampled_from("env:RCONILSTfile/.~#aA_0- "), max_size=24)
    | st.from_regex(r"file:[a./~]{1,8}#[a.]{1,3}", fullmatch=True)
    | st.from_regex(r"env:RECONCILER_SECRET_[A-Za-z_]{0,3}", fullmatch=True)
)
def test_a_secret_is_a_reference_by_the_schema_when_it_is_by_the_model(text: str) -> None:
    assert matches("group.practice_id", text) == accepts(model.Secret, text)


@given(st.text(st.sampled_from("a |,\t\né\xa0"), max_size=6))
def test_text_is_trimmed_by_the_schema_when_it_is_by_the_model(text: str) -> None:
    assert matches("name", text) == accepts(model.Text, text)


@given(st.text(st.sampled_from("0129hdDH "), max_size=6))
def test_a_frequency_is_one_by_the_schema_when_it_is_by_the_model(text: str) -> None:
    assert matches("locations[].frequency", text) == accepts(model.Frequency, text)


@given(st.sampled_from(nextech.STATUS_WORDS), st.randoms())
def test_a_status_is_one_in_any_case(word: str, random: Any) -> None:
    mixed = "".join(random.choice((it.upper(), it)) for it in word)
    assert matches("group.appointment_statuses[]", mixed)
    assert not matches("group.appointment_statuses[]", mixed + "x")
