"""Every code is explained, and every explanation's examples are true."""

import re
import subprocess
from pathlib import Path

import pytest

from reconciler import declarations
from reconciler.core import codes, lint, live
from reconciler.core.problems import Problem
from reconciler.core.sources import nextech

ROOT = Path(__file__).parents[2] / "reconciler"
RUNNABLE = [code for code, it in codes.registry().items() if it.bad or it.commands]
CATALOGUE = (
    live.Trigger(24, nextech.FULFILLED_TRIGGER, "Nextech Fulfilled Appointment Trigger"),
    live.Trigger(25, nextech.WRITEBACK_TRIGGER, "Appointment Trigger Service", active=False),
)


def problems(folder: Path, texts: dict[str, str], commands: str = "") -> tuple[Problem, ...]:
    folder.mkdir()
    for name, text in texts.items():
        if text:
            (folder / name).write_text(text)
    if commands:
        subprocess.run(["sh", "-c", commands], cwd=folder, check=True)
    loaded = declarations.load(folder, shown_from=folder.parent, today=codes.EXAMPLE_TODAY)
    return loaded.problems + lint.lint(loaded.declared, today=codes.EXAMPLE_TODAY, catalogue=CATALOGUE)


@pytest.mark.parametrize("code", RUNNABLE)
def test_the_bad_example_yields_its_code_and_the_good_one_does_not(code: str, tmp_path: Path) -> None:
    it = codes.registry()[code]
    bad = problems(tmp_path / "bad", {"example.yaml": it.bad, "other.yaml": it.beside}, it.commands)
    assert code in {problem.code for problem in bad}
    assert it.good, "an example that shows how it should be"
    good = problems(tmp_path / "good", {"example.yaml": it.good, "other.yaml": it.beside})
    assert [problem for problem in good if problem.code == code or problem.code.startswith("E")] == []


def test_every_code_that_the_program_tells_is_explained_and_the_reverse() -> None:
    told = set()
    for path in [*ROOT.glob("core/lint*.py"), *ROOT.glob("declarations/*.py"), ROOT / "workflow/online.py"]:
        told |= set(re.findall(r'"([EWN][0-9]{3})"', path.read_text()))
    assert told == {code for code in codes.registry() if re.fullmatch(r"[EWN][0-9]{3}", code)}


def test_every_code_is_there_once_and_says_something() -> None:
    entries = codes.registry()
    assert len(entries) == len({it.title for it in entries.values()})
    for it in entries.values():
        assert it.title, it.code
        assert (it.cause[-1], it.remedy[-1]) == (".", "."), it.code


def test_objections_are_explained_by_name() -> None:
    assert codes.OBJECTIONS == (
        "many-deactivations",
        "last-location",
        "undeclared",
        "filter-widened",
        "goes-live",
        "practice-changed",
        "group-changed",
        "adopt",
        "ambiguous-group",
        "group-vanished",
        "trigger-wide",
        "contacts-backlog",
    )
    found = codes.explain("Many-Deactivations")
    assert found is not None
    assert found.title == "many locations would be switched off"


def test_a_code_is_found_in_any_case_and_a_near_one_suggested() -> None:
    assert codes.explain("e201") is codes.registry()["E201"]
    assert codes.explain("E999") is None
    assert codes.suggestion("go-live") == "goes-live"
