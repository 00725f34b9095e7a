"""What `sync` passes over needs no credentials of Nextech."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import NORTH, SKIN, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="rich")) as server:
        made = Desk(server, tmp_path)
        made.environ = {key: value for key, value in made.environ.items() if "NEXTECH" not in key}
        yield made


def test_a_business_that_birdeye_runs_is_passed_over_without_credentials(desk: Desk) -> None:
    desk.edit(NORTH, "source: nextech", "source: nextech\nrunner: platform")
    desk.edit(SKIN, "name: Lakeside", "name: Lakeside\n    state: inactive")
    desk.run("apply", "--auto-approve", expect=0)
    found = json.loads(desk.run("sync", NORTH, "--output", "json", expect=0).stdout)
    assert [it["status"] for it in found["locations"]] == ["platform"]
    found = json.loads(desk.run("sync", SKIN, "--output", "json", expect=5).stdout)
    assert [it["status"] for it in found["locations"]] == ["error", "error", "inactive"]
