"""Standard output that cannot be written: one clear line, a published exit code, and no defect."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import Desk

SAID = "error: standard output cannot be written: no space left on device\n  = make room, or write to another place\n"
pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="documented")) as server:
        yield Desk(server, tmp_path)


def on_a_full_disk(desk: Desk, *arguments: str) -> tuple[int, str]:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=desk.folder,
            env=desk.environ,
            stdin=subprocess.DEVNULL,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    return done.returncode, done.stderr


@pytest.mark.parametrize("arguments", [("schema",), ("--help",), ("plan", "--help"), ("validate",), ("plan", "-q")])
def test_a_full_disk_is_said_in_one_line(desk: Desk, arguments: tuple[str, ...]) -> None:
    assert on_a_full_disk(desk, *arguments) == (1, SAID)


def test_an_apply_that_cannot_show_its_plan_changes_nothing(desk: Desk) -> None:
    assert on_a_full_disk(desk, "apply", "--auto-approve", "-q") == (1, SAID)
    assert desk.writes() == 0


def test_an_apply_whose_report_is_lost_is_not_one_that_changed_nothing(desk: Desk) -> None:
    code, said = on_a_full_disk(desk, "apply", "--auto-approve", "-q", "--output", "json")
    assert (code, said) == (5, SAID)
    assert desk.writes() > 0
    assert desk.run("plan", "--detailed-exitcode", expect=0).returncode == 0


def through(desk: Desk, shell: str, script: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a shell; ``"$0"`` is Python."""
    return subprocess.run(
        [shell, "-c", script, sys.executable],
        cwd=desk.folder,
        env=desk.environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-"])
def test_a_closed_stream_is_no_defect(desk: Desk, closed: str) -> None:
    done = through(desk, "sh", f'"$0" -m reconciler validate -q {closed}')
    assert (done.returncode, done.stderr) == (0, "")


def test_a_closed_pipe_ends_quietly(desk: Desk) -> None:
    done = through(desk, "bash", '"$0" -m reconciler schema | true')
    assert (done.stdout, done.stderr) == ("", "")
