"""A signal at any moment: what is in flight settles and is recorded, the lock is given back, a rerun converges."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import Desk

LATEST_SECONDS = 5.0


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="documented")) as server:
        it = Desk(server, tmp_path)
        it.environ["RECONCILER_BIRDEYE_REQUESTS_PER_SECOND"] = "8"
        yield it


def wait_for_writes(desk: Desk, count: int) -> None:
    deadline = time.monotonic() + 30
    while desk.writes() < count and time.monotonic() < deadline:
        time.sleep(0.02)


@pytest.mark.parametrize("writes", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_an_apply_in_order_and_the_next_one_converges(
    desk: Desk, writes: int, number: signal.Signals
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "apply", "--auto-approve", "--output", "json"],
        cwd=desk.folder,
        env=desk.environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    if writes:
        wait_for_writes(desk, writes)
    else:
        deadline = time.monotonic() + 30
        while not desk.server.app.world.history and time.monotonic() < deadline:
            time.sleep(0.02)
    started = time.monotonic()
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert time.monotonic() - started < LATEST_SECONDS
    assert process.returncode in (0, 128 + number), (process.returncode, stderr)
    assert "Traceback" not in stderr
    if stdout:
        outcomes = {it["outcome"] for it in json.loads(stdout)["changes"]}
        assert outcomes <= {"applied", "not_attempted", "failed"}, outcomes
    assert json.loads(desk.run("lock", "list", "--output", "json", expect=0).stdout)["locks"] == []
    desk.environ["RECONCILER_BIRDEYE_REQUESTS_PER_SECOND"] = "1000"
    desk.run("apply", "--auto-approve", expect=0)
    assert len(desk.server.app.world.groups) == 2
    assert json.loads(desk.run("plan", "--output", "json", expect=0).stdout)["changes"] == []
