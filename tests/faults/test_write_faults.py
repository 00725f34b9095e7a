"""Time-outs, cut connections and gateway errors around each write in turn: nothing twice, nothing lost."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from reconciler.sandbox.app import App
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import account_secrets
from reconciler.sandbox.server import serve
from tests.faults.workplace import accounts, commits, declaration, wrong
from tests.reconciling import Reconciler, VirtualClock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reconciler.sandbox.records import Entry

CHOSEN = accounts(3)
WRITES = len(CHOSEN) + sum(len(it.sites) for it in CHOSEN)
LATE = ",seconds=1.4"
"""Longer than the second that a request may take where something times out."""
CREATES = ("integer", "groupId", "id", "group", "empty", "no_content")
AROUND = [f"{kind}-{moment}-commit" for kind in ("timeout", "reset", "502") for moment in ("before", "after")]
"""A time-out before the commit is a commit that comes when nobody waits for it any more."""


@contextmanager
def reconciling(
    folder: Path, *faults: str, dialect: str = "documented", settings: tuple[str, ...] = ()
) -> Iterator[tuple[App, Reconciler]]:
    """A reconciler with a sandbox on one virtual clock; reads of late writes are given a little real time."""
    is_late = any(it.endswith(LATE) for it in faults)
    clock = VirtualClock(pace=0.1 if is_late else 0.0)
    app = App(SandboxOptions(practices=len(CHOSEN), dialect=dialect, settings=settings, faults=faults), now=clock.time)
    declarations = folder / "integrations"
    declarations.mkdir(parents=True)
    for account in CHOSEN:
        (declarations / f"{account.slug}.yaml").write_text(declaration(account))
    with serve(app) as server:
        yield (
            app,
            Reconciler(
                server.url,
                declarations,
                f"sqlite:///{folder}/state/store.db",
                secrets=account_secrets(CHOSEN),
                deadline_seconds=1.0 if is_late else 5.0,
                now=clock.now,
                sleep=clock.sleep,
                monotonic=clock.monotonic,
            ),
        )


def struck(app: App) -> Entry:
    """The request that the fault concerned; a late one may still be on its way when the apply has ended."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with app.world.lock:
            for entry in app.world.history:
                if entry.fault is not None:
                    return entry
        time.sleep(0.05)
    raise AssertionError("the fault never fired")


def converges(app: App, it: Reconciler) -> None:
    """As declared, each group once, and nothing left to plan."""
    assert wrong(app, CHOSEN) == []
    plan = it.plan()
    assert (plan.changes, plan.objections, plan.unreadable) == ((), (), ())


@pytest.mark.parametrize("dialect", ["documented", "rich"])
@pytest.mark.parametrize("kind", AROUND)
def test_each_write_in_turn_fails_and_nothing_is_lost_or_doubled(tmp_path: Path, dialect: str, kind: str) -> None:
    for number in range(1, WRITES + 1):
        late = LATE if kind.startswith("timeout") else ""
        with reconciling(tmp_path / str(number), f"writes:{number}:{kind}{late}", dialect=dialect) as (app, it):
            report = it.apply()
            hit = struck(app)
            lost = hit.endpoint == "G+" and not hit.committed
            assert report.exit_code == (5 if lost else 0), report.outcomes
            if lost:
                assert it.apply().exit_code == 0
            converges(app, it)


@pytest.mark.parametrize("dialect", ["documented", "rich"])
@pytest.mark.parametrize("kind", ["reset-after-commit", "502-after-commit", "502-before-commit", "truncated", "html"])
def test_every_write_fails_and_a_rerun_without_faults_converges(tmp_path: Path, dialect: str, kind: str) -> None:
    with reconciling(tmp_path, f"writes:*:{kind}", dialect=dialect) as (app, it):
        first = it.apply()
        # An answer that is only cut short says enough for writes; elsewhere what was read back decides.
        proved = kind == "truncated" or (dialect == "rich" and kind != "502-before-commit")
        assert first.exit_code == (0 if proved else 5), first.outcomes
        app.faults.clear()
        assert it.apply().exit_code == 0
        converges(app, it)


@pytest.mark.parametrize("answer", CREATES)
@pytest.mark.parametrize(
    "fault", ["", *AROUND, "truncated", "cut", "html", "null", "empty-list", "error-object", "echo", "503-after-commit"]
)
def test_a_create_makes_one_group_whatever_its_answer_and_its_fault(tmp_path: Path, answer: str, fault: str) -> None:
    late = LATE if fault.startswith("timeout") else ""
    for dialect in ("documented", "rich"):
        faults = (f"G+:2:{fault}{late}",) if fault else ()
        with reconciling(tmp_path / dialect, *faults, dialect=dialect, settings=(f"create_answer={answer}",)) as (
            app,
            it,
        ):
            report = it.apply()
            lost = fault in ("reset-before-commit", "502-before-commit", "echo")
            assert report.exit_code == (5 if lost else 0), report.outcomes
            if lost:
                assert it.apply().exit_code == 0
            assert len(commits(app, "G+")) == len(CHOSEN)
            converges(app, it)


@pytest.mark.parametrize("dialect", ["documented", "rich"])
@pytest.mark.parametrize("answer", CREATES)
def test_reads_that_lag_writes_by_three_seconds_double_nothing(tmp_path: Path, dialect: str, answer: str) -> None:
    settings = ("read_lag_seconds=3", f"create_answer={answer}")
    with reconciling(tmp_path, dialect=dialect, settings=settings) as (app, it):
        report = it.apply()
        assert report.exit_code == 0, report.outcomes
        converges(app, it)


@pytest.mark.parametrize("dialect", ["documented", "rich"])
@pytest.mark.parametrize("kind", ["502-after-commit", "502-before-commit", "reset-after-commit"])
def test_reads_lag_while_creates_fail_and_nothing_is_doubled(tmp_path: Path, dialect: str, kind: str) -> None:
    with reconciling(tmp_path, f"G+:*:{kind}", dialect=dialect, settings=("read_lag_seconds=3",)) as (app, it):
        it.apply()
        app.faults.clear()
        assert it.apply().exit_code == 0
        converges(app, it)


def test_a_filter_that_ended_is_not_taken_for_a_live_one_while_reads_lag(tmp_path: Path) -> None:
    with reconciling(tmp_path, dialect="rich", settings=("read_lag_seconds=3",)) as (app, it):
        file = tmp_path / "integrations" / f"{CHOSEN[0].slug}.yaml"
        text = file.read_text()
        line = next(each for each in text.splitlines(keepends=True) if each.strip().startswith("appointment_types:"))
        assert it.apply().exit_code == 0
        file.write_text(text.replace(line, ""))
        allowed = f"filter-widened:{CHOSEN[0].slug}"
        assert it.apply(allowed).exit_code == 0
        assert it.plan().changes == ()
        it.sleep(5)
        assert it.plan().changes == ()
        assert len(list(commits(app, "Gu"))) == 1
