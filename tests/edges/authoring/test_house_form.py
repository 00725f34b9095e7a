"""The house form means the same, keeps every comment, and is its own house form."""

from __future__ import annotations

from random import Random

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import house_form
from reconciler.declarations import layout, yaml_events
from reconciler.workflow.formatting import house_text
from tests.scribbling import declaration, scribble

FULL = """\
# yaml-language-server: $schema=../integration.schema.json
version: 1
business: 100000000000100
name: Example Skin Group
source: nextech
state: active
runner: bundled
beta: false
practice_plus: false
country: US
contacts_api_key: env:RECONCILER_SECRET_EXAMPLE_SKIN_API_KEY
triggers:
  - nextechFulfilledAppointmentTrigger
  - Appointment Trigger Service
group:
  id: 150
  practice_id: file:practices.yaml#example_skin.practice_id
  appointment_types: [Procedure, Surgery]
  appointment_statuses: [fulfilled, completed]
  custom_appointment_statuses: [Checked Out]
  customer_fetch_delay_days: 2
  campaign_tags: [appointment.types, city]
  excluded_patient_types: [Deceased]
locations:
  - business: 100000000000101
    name: Downtown
    state: active
    time_zone: America/New_York
    location_names: [Dermatology, Oncology]
    practitioner_ids: ["417", "704"]
    frequency: 1d
    next_run: "2026-11-24T06:00:00-05:00"
    past_months: 12
    future_months: 12
    show_by: type
    contact_start: "2026-11-20"
    customer_fetch_delay_days: 1
moved:
  - from: example-skin
"""
"""The full example of the published interface."""


def test_the_published_example_is_in_the_house_form() -> None:
    assert house_text(FULL) == FULL


def test_a_scribbled_file_in_the_house_form() -> None:
    scribbled = """\
# yaml-language-server: $schema=../integration.schema.json
# about the name
name:   'Example Skin Group'   # as in the contract
version: 1

# number


business: 100000000000100
source: "nextech"
locations:
# first
- time_zone: America/New_York   # zone
  # above business
  business: 100000000000101
  location_names: [ 'Dermatology',
     Oncology ] # names
  # end of first
# between
-   # odd
    practitioner_ids:
    - "417" # Dr. A
    # commented out
    # - "418"
    - '704'
    business: 100000000000102
    time_zone: "America/New_York"
    contact_start: 2026-11-20
  # - business: 3
group: {practice_id: env:RECONCILER_SECRET_X, appointment_types: ["A, B", # why
  'NO', "it's", 'say "x"'], }
onboarding:
   ordered_by: >-   # folded
     Sam
     Example

   # tail
# footer
"""
    assert (
        house_text(scribbled)
        == """\
# yaml-language-server: $schema=../integration.schema.json
version: 1

# number

business: 100000000000100
# about the name
name: Example Skin Group # as in the contract
source: nextech
group:
  practice_id: env:RECONCILER_SECRET_X
  appointment_types:
    - A, B # why
    - "NO"
    - it's
    - say "x"
locations:
  # first
  # above business
  - business: 100000000000101
    time_zone: America/New_York # zone
    location_names: [Dermatology, Oncology] # names
    # end of first
  # between
  # odd
  - business: 100000000000102
    time_zone: America/New_York
    practitioner_ids:
      - "417" # Dr. A
      # commented out
      # - "418"
      - "704"
    contact_start: "2026-11-20"
  # - business: 3
onboarding:
  ordered_by: Sam Example # folded

  # tail
# footer
"""
    )


@given(st.integers(0, 2**32))
def test_what_people_scribble_keeps_its_meaning_and_its_comments(seed: int) -> None:
    random = Random(seed)
    text = scribble(declaration(random), random)
    before = yaml_events.read(text, "x")
    assert before.problems == ()
    made = house_text(text)
    after = yaml_events.read(made, "x")
    assert (after.value, after.problems) == (before.value, ())
    assert sorted(layout.comments_of(made)) == sorted(layout.comments_of(text))


@given(st.integers(0, 2**32))
def test_the_house_form_is_its_own_house_form(seed: int) -> None:
    random = Random(seed)
    made = house_text(scribble(declaration(random), random))
    assert house_text(made) == made


@given(st.integers(0, 2**32))
def test_its_lines_end_clean(seed: int) -> None:
    random = Random(seed)
    made = house_text(scribble(declaration(random), random))
    assert "\n\n\n" not in made
    assert "\r" not in made
    assert "\t" not in made
    assert made.endswith("\n")
    assert not made.endswith("\n\n")
    assert not made.startswith("\n")
    assert [it for it in made.split("\n") if it != it.rstrip()] == []


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, blacklist_characters="\x7f\xad"), min_size=1))
def test_text_is_the_same_text_for_readers_of_yaml_old_and_new(text: str) -> None:
    written = house_form.scalar(text)
    inside = house_form.scalar(text, in_brackets=True)
    read = yaml_events.read(f"a: {written}\nb: [{inside}]\n", "x")
    if any(0x7F < ord(it) < 0xA0 for it in text):
        return  # refused by the reader, whatever the quotes
    assert read.value == {"a": text, "b": (text,)}
    assert yaml.safe_load(f"a: {written}\nb: [{inside}]\n") == {"a": text, "b": [text]}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("Downtown", "Downtown"),
        ("America/New_York", "America/New_York"),
        ("env:RECONCILER_SECRET_X", "env:RECONCILER_SECRET_X"),
        ("1d", "1d"),
        ("12h", "12h"),
        ("appointment.types", "appointment.types"),
        ("O'Brien", "O'Brien"),
        ("417", '"417"'),
        ("0417", '"0417"'),
        ("1.10", '"1.10"'),
        ("1e3", '"1e3"'),
        ("12:30", '"12:30"'),
        ("NO", '"NO"'),
        ("Yes", '"Yes"'),
        ("2026-11-20", '"2026-11-20"'),
        ("2026-11-24T06:00:00-05:00", '"2026-11-24T06:00:00-05:00"'),
        ("a: b", '"a: b"'),
        ("a #b", '"a #b"'),
        ('say "x"', 'say "x"'),
        ('"x"', "'\"x\"'"),
        ("", '""'),
    ],
)
def test_quotes_stand_where_they_are_needed(text: str, written: str) -> None:
    assert house_form.scalar(text) == written


def test_a_long_list_gets_a_line_for_each_item_and_stays_so() -> None:
    names = ", ".join(f"Example Location {number}" for number in range(8))
    text = f"version: 1\ngroup:\n  appointment_types: [{names}]\n"
    made = house_text(text)
    assert made == "version: 1\ngroup:\n  appointment_types:\n" + "".join(
        f"    - Example Location {number}\n" for number in range(8)
    )
    assert house_text(made) == made


def test_a_byte_order_mark_and_carriage_returns_go() -> None:
    assert house_text("\ufeffversion: 1\r\n# a\r\nname: x") == "version: 1\n# a\nname: x\n"
