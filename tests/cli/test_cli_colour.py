"""Colour is for terminals; ``NO_COLOR`` and ``FORCE_COLOR`` are asked before the stream is."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import NORTH, Desk

ESCAPE = "\x1b["


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="documented")) as server:
        yield Desk(server, tmp_path)


def to_a_pipe(desk: Desk, *arguments: str, **variables: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=desk.folder,
        env=desk.environ | variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stdout, done.stderr


def to_a_terminal(desk: Desk, *arguments: str, **variables: str) -> str:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=desk.folder,
        env=desk.environ | {"TERM": "xterm"} | variables,
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=subprocess.DEVNULL,
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while block := os.read(ours, 65_536):
                shown += block
        except OSError:  # how Linux says that nobody writes any more
            pass
        finally:
            os.close(ours)
        process.wait(timeout=60)
    return shown.decode()


@pytest.mark.parametrize("arguments", [("validate",), ("plan", "-q"), ("drift", "--confirm-after", "0")])
def test_colour_follows_the_terminal_and_the_two_variables(desk: Desk, arguments: tuple[str, ...]) -> None:
    desk.edit(NORTH, "version: 1", "version: 1\nstate: activ" if arguments == ("validate",) else "version: 1")
    plain, _ = to_a_pipe(desk, *arguments)
    assert plain
    assert ESCAPE not in plain
    assert ESCAPE in to_a_pipe(desk, *arguments, FORCE_COLOR="1")[0]
    assert ESCAPE in to_a_terminal(desk, *arguments)
    assert ESCAPE not in to_a_terminal(desk, *arguments, NO_COLOR="1")
    assert ESCAPE not in to_a_pipe(desk, *arguments, NO_COLOR="1", FORCE_COLOR="1")[0]


def test_problems_that_end_a_command_are_coloured_where_standard_error_is(desk: Desk) -> None:
    desk.edit(NORTH, "version: 1", "version: 1\nstate: activ")
    assert ESCAPE not in to_a_pipe(desk, "plan")[1]
    assert ESCAPE in to_a_pipe(desk, "plan", FORCE_COLOR="1")[1]


def test_a_text_file_has_the_colours_of_no_terminal(desk: Desk) -> None:
    assert ESCAPE in to_a_terminal(desk, "plan", "-q", "--output", "text", "--output", "text=plan.txt")
    shown = (desk.folder / "plan.txt").read_text()
    assert "Plan: " in shown
    assert ESCAPE not in shown
