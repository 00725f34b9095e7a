"""``validate --fix`` mends what has one right answer, says so, and leaves every other byte."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import main
from reconciler.core.codes_examples import SMB, swapped
from reconciler.declarations import yaml_events
from reconciler.workflow.fixing import fixed_text
from tests.scribbling import declaration, scribble

WRONG = """\
# A practice.   Two spaces stay.
version: 1
busines: "100000000000100"     # the account
name: ' Example '
source: nextech
beta: yes
group:
  practice_id: env:RECONCILER_SECRET_EXAMPLE_PRACTICE_ID
  apointment_types: [" Procedure ", Surgery, Procedure , Surgery]   # as told
  appointment_statuses:
    - fulfilled # keep
    - fulfilled
    - fulfilled # this comment stays, so its line does
locations:
  - business: 100000000000101
    timezone: America/New_York
    practitioner_ids: [417, 704, "417", 1.10]
"""
MENDED = """\
# A practice.   Two spaces stay.
version: 1
business: 100000000000100     # the account
name: 'Example'
source: nextech
beta: true
group:
  practice_id: env:RECONCILER_SECRET_EXAMPLE_PRACTICE_ID
  appointment_types: ["Procedure", Surgery]   # as told
  appointment_statuses:
    - fulfilled # keep
    - fulfilled # this comment stays, so its line does
locations:
  - business: 100000000000101
    time_zone: America/New_York
    practitioner_ids: ["417", "704", "1.10"]
"""


def test_what_has_one_right_answer_is_mended_and_every_other_byte_stays() -> None:
    made, edits = fixed_text(WRONG)
    assert made == MENDED
    assert [it.said for it in edits] == [
        "renamed `busines` to `business`",
        "took the quotes off `100000000000100` at `business`",
        "trimmed white space at the ends of `Example` at `name`",
        "wrote `true` for `yes` at `beta`",
        "renamed `apointment_types` to `appointment_types`",
        "trimmed white space at the ends of `Procedure` at `appointment_types`",
        "removed `Procedure`, which stands twice under `appointment_types`",
        "removed `Surgery`, which stands twice under `appointment_types`",
        "removed `fulfilled`, which stands twice under `appointment_statuses`",
        "renamed `timezone` to `time_zone`",
        "put `417` in quotes at `practitioner_ids`",
        "put `704` in quotes at `practitioner_ids`",
        "removed `417`, which stands twice under `practitioner_ids`",
        "put `1.10` in quotes at `practitioner_ids`",
    ]


def test_carriage_returns_stay() -> None:
    assert fixed_text(WRONG.replace("\n", "\r\n"))[0] == MENDED.replace("\n", "\r\n")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(SMB, id="nothing is wrong"),
        pytest.param(WRONG + "x: [", id="not YAML"),
        pytest.param(WRONG + "name: twice\n", id="a key given twice"),
        pytest.param(WRONG + "a: &b c\n", id="an anchor"),
        pytest.param(WRONG.replace("\n", "\r\n", 3), id="line breaks of two kinds"),
        pytest.param(swapped(SMB, ("practice_id:", "practce_id:")), id="a misspelt key of a secret"),
        pytest.param(
            swapped(SMB, ("env:RECONCILER_SECRET_EXAMPLE_NORTH_PRACTICE_ID", "12345678")), id="a number as a secret"
        ),
        pytest.param(swapped(SMB, ("source: nextech", "source: nextec")), id="a misspelt word"),
        pytest.param(swapped(SMB, ("name: Example Dermatology North", "state: yes")), id="a word that is no choice"),
        pytest.param(SMB + "bata: true\nbeta: true\n", id="the key that is meant is there already"),
        pytest.param(SMB + "xyzzy: true\n", id="a key like no other"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param("", id="nothing"),
    ],
)
def test_nothing_is_touched_where(text: str) -> None:
    assert fixed_text(text) == (text, ())


def test_two_likely_keys_are_none() -> None:
    text = swapped(SMB, ("time_zone: America/New_York", "time_zone: America/New_York\n    xast_months: 3"))
    assert fixed_text(text)[0] == text.replace("xast_months", "past_months")
    text = SMB + "onboarding:\n  steps:\n    - step: x\n      bn: x\n"
    assert fixed_text(text) == (text, ())


@given(st.integers(0, 2**32))
def test_a_sound_declaration_is_left_alone(seed: int) -> None:
    random = Random(seed)
    text = scribble(declaration(random), random)
    assert fixed_text(text) == (text, ())


@given(st.integers(0, 2**32))
def test_a_slip_in_a_key_is_undone_and_nothing_else_is(seed: int) -> None:
    random = Random(seed)
    text = scribble(declaration(random), random)
    key = random.choice(["locations", "time_zone", "group", "appointment_types"])
    at = random.randrange(1, len(key) - 1)
    slip = key[:at] + key[at + 1 :] if random.random() < 0.5 else key[:at] + key[at + 1] + key[at] + key[at + 2 :]
    wrong = "\n".join(
        line.replace(key, slip, 1) if line.strip().startswith((f"{key}:", f"- {key}:")) else line
        for line in text.split("\n")
    )
    if wrong != text and slip != key:
        made, edits = fixed_text(wrong)
        assert made == text
        assert {it.said for it in edits} == {f"renamed `{slip}` to `{key}`"}


@given(st.integers(0, 2**32))
def test_a_text_that_was_mended_needs_no_more_mending(seed: int) -> None:
    random = Random(seed)
    text = scribble(declaration(random), random)
    for _ in range(random.randint(1, 4)):
        old, new = random.choice(
            [
                ('"417"', "417"),
                ("true", "yes"),
                ("time_zone", "timezone"),
                ('"Downtown"', '" Downtown "'),
                ("0,", "0, 1.0,"),
            ]
        )
        text = text.replace(old, new)
    made, edits = fixed_text(text)
    read = yaml_events.read(made, "x")
    assert edits == () or not read.problems
    again, more = fixed_text(made)
    assert (again, more) == (made, ())


def test_the_command_says_what_it_did_and_then_what_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "integrations").mkdir()
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "integrations" / "example-north.yaml"
    wrong = "\ufeff" + swapped(SMB, ("source:", "sorce:"), ("time_zone: America/New_York", "time_zone: Eastern"))
    file.write_text(wrong)
    file.chmod(0o600)
    assert main.run(["validate", "--fix"]) == 1
    assert file.read_text() == wrong.replace("sorce:", "source:")
    assert file.stat().st_mode & 0o777 == 0o600
    said = capsys.readouterr()
    assert said.err == (
        "integrations/example-north.yaml:4: renamed `sorce` to `source`\n1 declaration: 1 error, 0 warnings\n"
    )
    assert said.out.startswith("error[E214]: `Eastern` is not a time zone\n")


def test_the_line_that_was_mended_is_told_also_where_lines_end_in_two_characters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "integrations").mkdir()
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "integrations" / "north.yaml"
    file.write_bytes(swapped(SMB, ("time_zone:", "timezone:")).replace("\n", "\r\n").encode())
    assert main.run(["validate", "--fix"]) == 0
    assert file.read_bytes() == SMB.replace("\n", "\r\n").encode()
    assert capsys.readouterr().err.startswith("integrations/north.yaml:11: renamed `timezone` to `time_zone`\n")


def test_only_the_files_that_are_named_are_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "integrations").mkdir()
    monkeypatch.chdir(tmp_path)
    wrong = SMB.replace("source:", "sorce:")
    other = wrong.replace("000001", "000002").replace("NORTH", "SOUTH")
    (tmp_path / "integrations" / "north.yaml").write_text(wrong)
    (tmp_path / "integrations" / "south.yaml").write_text(other)
    assert main.run(["validate", "--fix", "integrations/north.yaml"]) == 0
    assert (tmp_path / "integrations" / "north.yaml").read_text() == SMB
    assert (tmp_path / "integrations" / "south.yaml").read_text() == other
    capsys.readouterr()


def test_with_paths_only_their_problems_decide(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "integrations").mkdir()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations" / "north.yaml").write_text(SMB)
    (tmp_path / "integrations" / "broken.yaml").write_text("version: 2\n")
    assert main.run(["validate", "integrations/north.yaml"]) == 0
    said = capsys.readouterr()
    assert "broken" not in said.out
    assert said.err == "1 declaration: 0 errors, 1 warning\n"
    assert main.run(["validate", "--output", "junit", "integrations/north.yaml"]) == 0
    assert "broken" not in capsys.readouterr().out
    assert main.run(["validate", "integrations/broken.yaml"]) == 1
    assert main.run(["validate"]) == 1
    assert main.run(["validate", "integrations/nope.yaml"]) == 1
    capsys.readouterr()
    assert main.run(["plan", "-q", "integrations/north.yaml"]) == 1
    assert "integrations/broken.yaml" in capsys.readouterr().err
