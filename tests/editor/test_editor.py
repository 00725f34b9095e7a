"""The editors' own YAML language server, with our schema, says of a declaration what the loader says.

Needs node and what ``npm install --prefix tests/editor`` installs; skipped where either is missing, so that the suite
needs no network. ``schema.NOT_JUDGED`` lists what only the loader can tell.
"""

from __future__ import annotations

import copy
import json
import shutil
import subprocess
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from reconciler.core import codes, lint, model, schema
from reconciler.core.codes_examples import SMB
from reconciler.core.declared import Declared
from reconciler.core.problems import Severity
from reconciler.declarations import shape, yaml_events
from reconciler.workflow import scaffold
from tests.scribbling import declaration, scribble

HERE = Path(__file__).parent
TODAY = date(2026, 11, 24)
DOCUMENTS = 3000
SPELLING = {code for code, about in schema.NOT_JUDGED.items() if about.startswith("spelling")}
"""Not to be met here: the documents spell numbers and truth values plainly. See the last tests."""
RULES = set(schema.NOT_JUDGED) - SPELLING

pytestmark = pytest.mark.skipif(
    shutil.which("node") is None or not (HERE / "node_modules" / "yaml-language-server").is_dir(),
    reason="needs node, and npm install --prefix tests/editor",
)


@dataclass
class Judged:
    verdicts: list[list[str]] = field(default_factory=list)
    completions: list[list[str]] = field(default_factory=list)
    hovers: list[str] = field(default_factory=list)


Place = tuple[str, int, int]


def judge(documents: list[str], completions: list[Place] | None = None, hovers: list[Place] | None = None) -> Judged:
    """What the language server says of each document, and offers at each place (line and character from 0)."""
    given = {
        "schema": schema.declaration_schema(),
        "documents": documents,
        "completions": completions or [],
        "hovers": hovers or [],
    }
    done = subprocess.run(
        ["node", "judge.cjs"],
        cwd=HERE,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return Judged(**json.loads(done.stdout))


def errors(text: str) -> set[str]:
    """The codes of the loader's errors."""
    read = yaml_events.read(text.removeprefix("\ufeff"), "example.yaml")
    if read.problems:
        return {it.code for it in read.problems}
    checked = shape.check(read.value)
    error = None if isinstance(checked, model.Declaration) else checked
    found = {it.code for it in shape.problems(read.value, error, read.places, "example.yaml")}
    if isinstance(checked, model.Declaration) and not found:
        one = Declared("example", "example.yaml", checked)
        found = {it.code for it in lint.lint((one,), today=TODAY) if it.severity is Severity.ERROR}
    return found


WRONG: list[Any] = [
    None,
    True,
    0,
    -1,
    61,
    121,
    1000,
    "",
    " ",
    " x",
    "x ",
    "x",
    "a|b",
    "a,b",
    "417",
    [],
    ["x", "x"],
    [None],
]
WRONG += [
    {},
    {"x": 1},
    [[]],
    [{}],
    "nextech",
    "active",
    "2026-02-29",
    "2028-02-29",
    "2026-1-1",
    "2026-11-24T06:00:00",
    "1w",
]
WRONG += [
    "2026-11-24T06:00:00Z",
    "2026-11-24T24:00:00Z",
    "0h",
    "12h",
    "us",
    "USA",
    "env:lower",
    "env:RECONCILER_SECRET_",
]
WRONG += [
    "file:/abs#x",
    "file:a/../b#x",
    "file:a#b.c",
    "file:..a#b",
    "Fulfilled",
    "noshow",
    "Europe/Paris",
    "Eastern Time",
    "yes",
]
WRONG += [
    "America/Nowhere",
    "filter-widened",
    "adopt",
    ["city", "city"],
    ["Fulfilled"],
    ["NoShow", "noshow"],
    ["a", "b", "a"],
]


def mutated(value: Any, random: Random) -> Any:
    """The value with one thing in it changed, lost, added or renamed."""
    here: Any = value
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return value
        key = random.choice(keys)
        inner = here[key]
        if isinstance(inner, dict | list) and inner and random.random() < 0.75:
            here = inner
            continue
        break
    action = random.random()
    if action < 0.15:
        del here[key]
    elif action < 0.3 and isinstance(here, dict):
        here[random.choice([f"{key}s", "name", "state", "frequency", "id", "triggers", "practice_id"])] = here.pop(key)
    elif action < 0.4 and isinstance(here, dict):
        extra = random.choice(
            ["country", "minimum_age", "show_by", "next_run", "contact_start", "beta", "moved", "allow"]
        )
        here[extra] = copy.deepcopy(random.choice(WRONG))
    else:
        here[key] = copy.deepcopy(random.choice(WRONG))
    return value


@cache
def documents() -> tuple[str, ...]:
    """A third of them as they should be, the others with one to three things wrong."""
    found = []
    for seed in range(DOCUMENTS):
        random = Random(seed)
        value = declaration(random)
        for _ in range(seed % 3 and random.randint(1, 3)):
            value = mutated(value, random)
        found.append(scribble(value, random))
    return tuple(found)


def test_the_editor_and_the_loader_say_the_same_of_thousands_of_documents() -> None:
    texts = documents()
    verdicts = judge(list(texts)).verdicts
    accepted = refused = 0
    for text, said in zip(texts, verdicts, strict=True):
        told = errors(text)
        if said:
            refused += 1
            assert told, f"the editor alone says {said} of\n{text}"
        else:
            accepted += 1
            assert told <= RULES, f"the loader alone says {sorted(told)} of\n{text}"
    assert accepted > 1000  # else the comparison is empty
    assert refused > 1000


def test_the_examples_of_every_code_are_judged_alike() -> None:
    entries = [it for it in codes.registry().values() if it.bad and it.code[0] == "E"]
    bad = judge([it.bad for it in entries]).verdicts
    unseen = {it.code for it, said in zip(entries, bad, strict=True) if not said}
    assert unseen <= set(schema.NOT_JUDGED), unseen
    good = judge([it.good for it in entries]).verdicts
    assert [it.code for it, said in zip(entries, good, strict=True) if said] == []


def test_what_init_and_new_write_and_the_samples_are_accepted() -> None:
    samples = [it.read_text() for it in sorted((HERE.parents[1] / "integrations").glob("*.yaml"))]
    piece = next(it for it in scaffold.TABLE if "example-practice" in it.path)
    example = piece.text(scaffold.Choices("integrations", True, TODAY))
    assert judge([*samples, example]).verdicts == [[] for _ in range(len(samples) + 1)]


def test_keys_and_values_are_completed() -> None:
    end = SMB.count("\n")
    asked: dict[str, Place] = {
        "top": (SMB, end, 0),
        "state": (f"{SMB}state: ", end, 7),
        "runner": (f"{SMB}runner: ", end, 8),
        "location": (f"{SMB}    ", end, 4),
        "zone": (SMB.replace("America/New_York", ""), end - 1, 15),
        "group": (SMB.replace("\n  appointment_types", "\n  \n  appointment_types"), 7, 2),
        "trigger": (SMB.replace("[nextechFulfilledAppointmentTrigger]", "\n  - "), 5, 4),
        "allow": (f"{SMB}allow:\n  - code: ", end + 1, 10),
        "tags": (SMB.replace("\nlocations", "\n  campaign_tags:\n    - \nlocations"), 9, 6),
    }
    found = dict(zip(asked, judge([], list(asked.values())).completions, strict=True))
    assert {"state", "runner", "moved", "allow", "onboarding", "contacts_api_key"} <= set(found["top"])
    assert found["state"] == ["active", "inactive", "released"]
    assert found["runner"] == ["bundled", "platform"]
    assert {"name", "location_names", "practitioner_ids", "contact_start", "frequency"} <= set(found["location"])
    assert {"America/New_York", "America/Chicago"} <= set(found["zone"])
    assert {"id", "appointment_statuses", "customer_fetch_delay_days"} <= set(found["group"])
    assert "nextechFulfilledAppointmentTrigger" in found["trigger"]
    assert "filter-widened" in found["allow"]
    assert "adopt" not in found["allow"]
    assert {"city", "appointment.types"} <= set(found["tags"])


def test_the_words_of_explain_are_shown_where_the_mouse_rests() -> None:
    place = (SMB, SMB.split("\n").index("  appointment_types: [Procedure, Surgery]"), 5)
    assert "Which appointment types count" in judge([], [], [place]).hovers[0]


SPELT = {
    "beta: True": "E204",
    "beta: TRUE": "E204",
    "group: {practice_id: env:RECONCILER_SECRET_X, minimum_age: 1.0}": "E205",
    "group: {practice_id: env:RECONCILER_SECRET_X, minimum_age: +1}": "E205",
    "group: {practice_id: env:RECONCILER_SECRET_X, minimum_age: 01}": "E205",
    "group: {practice_id: env:RECONCILER_SECRET_X, minimum_age: 0x1}": "E205",
    "group: {practice_id: env:RECONCILER_SECRET_X, minimum_age: 1e0}": "E205",
}


@pytest.mark.parametrize("line", SPELT)
def test_an_editor_does_not_see_how_a_value_is_spelt(line: str) -> None:
    head = SMB[: SMB.index("group:")] + SMB[SMB.index("locations:") :]
    text = head + line + "\n" + ("" if "group" in line else "group: {practice_id: env:RECONCILER_SECRET_X}\n")
    assert judge([text]).verdicts == [[]]
    assert errors(text) == {SPELT[line]}
    assert SPELT[line] in SPELLING
