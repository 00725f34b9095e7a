"""Birdeye's own scheduler, seen through its API: a next run that moves without a pass of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from reconciler.clock import Clock
from reconciler.sandbox.app import App
from reconciler.sandbox.changes import change
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve, variables
from reconciler.settings.load import load_settings
from reconciler.sync.places import Place
from reconciler.workflow.syncing import SecondExecutor
from tests.syncing import PARENT, Bench, bench

HERE = PARENT + 1


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def place(it: Bench) -> Place:
    from reconciler.sync.sweep import standing

    it.put()
    return standing(it.deps).places[0]


def test_a_next_run_that_moves_stops_the_location_until_a_person_resumes_it(it: Bench, tmp_path: Path) -> None:
    app = App(SandboxOptions(dialect="rich"))
    group = change(app.world, {"action": "add_group", "parent": PARENT, "triggers": [24]})["group_id"]
    change(app.world, {"action": "add_mapping", "business": HERE, "group": group})

    def set_next_run(at: str) -> None:
        wanted = {"action": "set_next_run", "business": HERE, "group": group, "next_run_time": at}
        change(app.world, wanted)

    mine = place(it)
    with serve(app) as server, ExitStack() as stack:
        settings = load_settings(environ=variables(server), cwd=tmp_path)
        executor = SecondExecutor(settings, Clock(), it.store, stack)
        assert executor.look([mine], False) == {}
        set_next_run("2026-11-25T11:00:00Z")
        assert executor.look([mine], False) == {}
        assert executor.look([mine], False) == {}
        set_next_run("2026-11-26T11:00:00Z")
        assert "moved from 2026-11-25T11:00:00Z to 2026-11-26T11:00:00Z" in executor.look([mine], True)[HERE]
        assert "moved from" in executor.look([mine], False)[HERE]
        assert "moved from" in executor.look([mine], False)[HERE]
        from reconciler.workflow import operating
        from reconciler.workflow.holding import Ledger

        ledger = Ledger(it.store, it.store, it.deps.keys)
        found = operating.resume(ledger, str(HERE), by="Ann", reason="its job is off", now=it.clock.now())
        assert found.cleared == (HERE,)
        assert executor.look([mine], False) == {}


def test_an_api_that_cannot_be_read_stops_nothing(it: Bench, tmp_path: Path) -> None:
    mine = place(it)
    with ExitStack() as stack:
        environ = {"RECONCILER_BIRDEYE_URL": "http://127.0.0.1:1"}
        clock = Clock()
        clock.stop()  # no waiting between attempts
        executor = SecondExecutor(load_settings(environ=environ, cwd=tmp_path), clock, it.store, stack)
        assert executor.look([mine], False) == {}
        assert executor.look([mine], False) == {}
