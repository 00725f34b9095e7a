"""Completion of slugs and codes: from files alone, quickly, and nothing odd breaks the shell."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from reconciler.cli import complete
from reconciler.core import codes

CONTEXT = click.Context(click.Command("x"))
PARAMETER = click.Option(["--x"])


def slugs(text: str = "") -> list[str]:
    return [it.value for it in complete.complete_slugs(CONTEXT, PARAMETER, text)]


def allowances(text: str) -> list[str]:
    return [it.value for it in complete.complete_allowances(CONTEXT, PARAMETER, text)]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "declared" / "east").mkdir(parents=True)
    for name in ("b.yaml", "a.yaml", "east/c.yml", ".hidden.yaml", "notes.txt", "od\x1bd.yaml"):
        (tmp_path / "declared" / name).write_text("not even YAML: [")
    (tmp_path / "reconciler.yaml").write_text("birdeye: {}\ndeclarations: 'declared'  # here\n")
    monkeypatch.chdir(tmp_path / "declared" / "east")
    return tmp_path


@pytest.mark.usefixtures("place")
def test_slugs_are_the_files_of_the_folder_that_the_settings_name() -> None:
    assert slugs() == ["a", "b", "c"]
    assert slugs("b") == ["b"]


def test_a_variable_wins_and_a_missing_folder_offers_nothing(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECONCILER_DECLARATIONS", "declared/east")
    assert slugs() == ["c"]
    monkeypatch.setenv("RECONCILER_DECLARATIONS", str(place / "nowhere"))
    assert slugs() == []


@pytest.mark.usefixtures("place")
def test_an_allowance_is_a_code_and_then_a_slug_or_the_run() -> None:
    assert allowances("") == [f"{it}:" for it in codes.OBJECTIONS]
    assert allowances("go") == ["goes-live:"]
    assert allowances("goes-live:") == ["goes-live:run", "goes-live:a", "goes-live:b", "goes-live:c"]
    assert allowances("goes-live:b") == ["goes-live:b"]
    assert allowances("nothing:") == []


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("reconciler lookup locations ", ["a", "b", "c"]),
        ("reconciler lookup loc", ["locations"]),
        ("reconciler forget b", ["b"]),
        ("reconciler plan --reassert ", ["a", "b", "c"]),
        ("reconciler apply --allow goes-live:", ["goes-live:run", "goes-live:a", "goes-live:b", "goes-live:c"]),
        ("reconciler apply --allow last", ["last-location:"]),
    ],
)
def test_the_shell_is_answered_without_loading_anything_heavy(place: Path, words: str, offered: list[str]) -> None:
    code = (
        "import sys; from reconciler.cli.main import cli\n"
        "try: cli(prog_name='reconciler')\n"
        "except SystemExit: pass\n"
        "print(sorted({it.split('.')[0] for it in sys.modules} & "
        "{'httpx', 'sqlalchemy', 'rich', 'deepdiff', 'pydantic', 'yaml'}))"
    )
    number = len(words.split()) - (not words.endswith(" "))
    asked = {"_RECONCILER_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=place,
        env={"PATH": os.environ["PATH"], **asked},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stdout.splitlines() == [*(f"plain,{it}" for it in offered), "[]"]
