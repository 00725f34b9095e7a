"""A disk that fills up during an apply: nothing is sent that could not be noted first, and a rerun converges."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="documented")) as server:
        yield Desk(server, tmp_path)


@pytest.mark.parametrize("kilobytes", [16, 64, 200, 300, 340, 380])
def test_a_full_disk_ends_an_apply_in_order_and_the_next_one_converges(desk: Desk, kilobytes: int) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes * 1024, kilobytes * 1024))

    found = subprocess.run(
        [sys.executable, "-m", "reconciler", "apply", "--auto-approve", "-q"],
        cwd=desk.folder,
        env=desk.environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=limit,
        check=False,
    )
    assert found.returncode in (0, 1, 5), (found.returncode, found.stderr)
    assert "Traceback" not in found.stderr
    if found.returncode:
        assert "error: " in found.stderr
    if found.returncode == 1:
        assert desk.writes() == 0
    desk.run("apply", "--auto-approve", expect=0)
    assert len(desk.server.app.world.groups) == 2
    assert json.loads(desk.run("plan", "--output", "json", expect=0).stdout)["changes"] == []
    desk.run("store", "check", expect=0)
