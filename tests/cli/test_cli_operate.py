"""The operating commands as processes see them: output, errors, exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.cli import main


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sync", "--date", "2026-11-20", "--due"], "--due goes with neither --date nor --backfill"),
        (["sync", "--date", "20.11.2026"], "does not match the format"),
        (["sync", "--backfill", "2026-11-20", "2026-11-21"], "give --by NAME and --reason TEXT"),
        (["sync", "--backfill", "2026-11-22", "2026-11-21", "--by", "A", "--reason", "b"], "FROM is after TO"),
        (["sync", "--backfill", "2026-11-22", "9000-01-01", "--by", "A", "--reason", "b"], "TO is in the future"),
        (["sync", "--max-contacts", "5"], "give --by NAME and --reason TEXT"),
        (["pause", "--by", "Ann", "--reason", "asked"], "give one of SLUG, BUSINESS and --all"),
        (["pause", "x", "--all", "--by", "Ann", "--reason", "asked"], "give one of SLUG, BUSINESS and --all"),
        (["resume", "x", "--by", "Ann"], "Missing option '--reason'"),
        (["authorize", "x", "--reason", "asked"], "Missing option '--by'"),
        (["status", "--reveal"], "--reveal goes with --ticket"),
        (["status", "--ticket", "--reveal"], "so it needs a terminal"),
        (["sync", "nobody"], "nothing in force is called nobody"),
    ],
)
def test_wrong_usage_is_64_and_says_what_is_wrong(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(arguments) == 64
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.out == ""


def test_without_an_apply_nothing_is_due_and_nothing_is_in_force(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["status"]) == 0
    assert capsys.readouterr().out == "Nothing is in force: nothing was applied yet.\n"
    assert main.run(["sync"]) == 0
    assert capsys.readouterr().out == (
        "Nothing is due.\nSync: 0 of 0 locations ran, 0 visits read, 0 sent, 0 sent before, 0 held back, 0 requests.\n"
    )
    assert main.run(["sync", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "format_version": "1.0",
        "kind": "sync",
        "dry_run": False,
        "errors": [],
        "locations": [],
        "practices": [],
    }


def test_an_appointment_that_nobody_decided_is_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["sync"]) == 0
    capsys.readouterr()
    assert main.run(["why", "123"]) == 1
    assert "the ledger has no decision on this appointment" in capsys.readouterr().err


def test_everything_can_be_paused_before_anything_was_applied(capsys: pytest.CaptureFixture[str]) -> None:
    person = ["--by", "Ann", "--reason", "asked"]
    assert main.run(["pause", "--all", *person]) == 0
    assert main.run(["pause", "--all", *person]) == 0
    assert main.run(["resume", "--all", *person]) == 0
    assert main.run(["resume", "--all", *person]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "paused: everything",
        "was paused already: everything",
        "resumed: everything; visits before today are not made up",
        "was not paused: everything",
    ]


def test_status_says_where_an_onboarding_stands(tmp_path: Path) -> None:
    (tmp_path / "integrations").mkdir()
    (tmp_path / "integrations" / "example-new.yaml").write_text(
        "version: 1\nbusiness: 100000000000900\nsource: nextech\nlocations:\n  - business: 100000000000900\n"
        '    time_zone: America/New_York\nonboarding:\n  ordered_by: Ada Example\n  ordered_on: "2026-11-01"\n'
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith("RECONCILER_")}

    def status(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, "-m", "reconciler", "status", *arguments],
            cwd=tmp_path,
            env=kept,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout

    assert "example-new  waiting     the practice id was ordered on 2026-11-01, by Ada Example" in status()
    assert status("example-new") == status("100000000000900") == status()
    assert status("example-new", "--ticket") == status("--ticket")
    assert json.loads(status("example-new", "--output", "json")) == json.loads(status("--output", "json"))
    assert json.loads(status("--output", "json")) == {
        "format_version": "1.1",
        "kind": "status",
        "locations": [],
        "onboarding": [
            {
                "slug": "example-new",
                "stage": "waiting",
                "text": "the practice id was ordered on 2026-11-01, by Ada Example",
                "steps_done": 0,
                "steps": 0,
            }
        ],
    }


def test_status_without_declarations_has_an_empty_onboarding(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["status", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "format_version": "1.1",
        "kind": "status",
        "locations": [],
        "onboarding": [],
    }
