"""The plan of thousands is made by two processes: the same plan, with the same reads, whatever becomes of the second."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve, variables
from tests.reconciling import SAMPLES

PROGRAM = """
import os, signal, sys, time
from reconciler.cli import main
from reconciler.declarations import apart
from reconciler.workflow import batches

signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is begun with it ignored
mode = sys.argv[1]
batches.BATCH, batches.MANY = 2, 3 if mode != "alone" else 10_000
apart.can_fork = lambda: mode != "alone"
begin = apart.Apart
forked = []

def never_ends():
    print(os.getpid(), file=sys.stderr, flush=True)
    time.sleep(60)

def counted(work):
    forked.append(True)
    return begin({"dies": lambda: os._exit(9), "hangs": never_ends}.get(mode, work))

apart.Apart = counted
code = main.run(["plan", "-q", "--output", "json", "--detailed-exitcode"])
print(len(forked), code, file=sys.stderr)
"""


@pytest.fixture(params=["documented", "rich"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(SandboxOptions(dialect=request.param)) as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(SAMPLES, tmp_path / "integrations")
    return tmp_path


def environ(server: Server) -> dict[str, str]:
    return {**os.environ, **variables(server), "RECONCILER_BIRDEYE_REQUESTS_PER_SECOND": "1000"}


def reconciler(folder: Path, server: Server, *arguments: str) -> None:
    command = [sys.executable, "-m", "reconciler", *arguments]
    subprocess.run(command, cwd=folder, env=environ(server), check=True, capture_output=True, timeout=60)


def plan(folder: Path, server: Server, mode: str) -> tuple[dict[str, Any], str, Counter[str]]:
    """The document without its times and ids, what was said, and the requests by endpoint."""
    before = len(server.app.world.history)
    command = [sys.executable, "-c", PROGRAM, mode]
    done = subprocess.run(command, cwd=folder, env=environ(server), capture_output=True, text=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    for name in ("plan_id", "created_at", "expires_at"):
        del found[name]
    return found, done.stderr, Counter(it.endpoint for it in list(server.app.world.history)[before:])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_two_processes_plan_what_one_plans_with_the_same_reads(folder: Path, server: Server) -> None:
    nothing_yet = plan(folder, server, "alone")
    assert nothing_yet[1] == "0 2\n"
    assert plan(folder, server, "two") == (nothing_yet[0], "1 2\n", nothing_yet[2])

    reconciler(folder, server, "apply", "--auto-approve", "-q")
    file = folder / "integrations" / "example-vein-inactive.yaml"
    file.write_text(file.read_text().replace("appointment_types: [", "appointment_types: [Another, "))
    changed = plan(folder, server, "alone")
    assert plan(folder, server, "two") == (changed[0], changed[1].replace("0 ", "1 ", 1), changed[2])
    document, said, _ = plan(folder, server, "dies")
    assert (document, said) == (changed[0], changed[1].replace("0 ", "1 ", 1))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_an_interrupted_plan_leaves_no_second_process(folder: Path, server: Server) -> None:
    command = [sys.executable, "-c", PROGRAM, "hangs"]
    with subprocess.Popen(command, cwd=folder, env=environ(server), stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        child = int(process.stderr.readline())
        process.send_signal(signal.SIGINT)
        said = process.stderr.read()
    assert said == "\nstopped\n1 130\n"
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
