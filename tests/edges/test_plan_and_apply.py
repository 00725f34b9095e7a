"""Plan and apply against the sandbox: a second plan is empty, in every dialect."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.reconciling import SAMPLES, Reconciler


@pytest.mark.parametrize("dialect", ["documented", "rich"])
def test_samples_are_applied_and_the_second_plan_is_empty(tmp_path: Path, dialect: str) -> None:
    folder = tmp_path / "integrations"
    shutil.copytree(SAMPLES, folder)
    with serve(SandboxOptions(dialect=dialect)) as server:
        it = Reconciler(server.url, folder, f"sqlite:///{tmp_path}/state/store.db")
        first = it.plan()
        assert first.objections == ()
        assert {(c.kind, c.action) for c in first.changes} == {
            ("group", "create"),
            ("mapping", "create"),
            ("runner", "create"),
        }
        report = it.apply()
        assert {outcome for outcome, _ in report.outcomes.values()} == {"applied"}, report.outcomes
        assert report.exit_code == 0
        second = it.plan()
        assert second.changes == ()
        assert second.objections == ()


def test_the_same_holds_with_the_records_in_postgresql(tmp_path: Path, postgres_url: str) -> None:
    folder = tmp_path / "integrations"
    shutil.copytree(SAMPLES, folder)
    with serve(SandboxOptions(dialect="documented")) as server:
        it = Reconciler(server.url, folder, postgres_url)
        assert it.apply().exit_code == 0
        second = it.plan()
        assert (second.changes, second.objections) == ((), ())
