"""A ledger that is not the newest: what backfills cover adds up, and nobody is contacted before all of it is covered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.sync_report import SyncReport
from reconciler.store import sync_passes
from reconciler.workflow import operating
from reconciler.workflow.holding import Ledger
from tests.syncing import OTHER_ID, PARENT, PRACTICE_ID, SLUG, START, Bench, SetClock, bench

HERE, THERE = PARENT + 1, PARENT + 41
OTHER = "example-eye-partners"
GAP: dict[str, Any] = {"kind": "backfill", "first": date(2026, 11, 23), "last": date(2026, 11, 25)}
COMMAND = "`reconciler sync --backfill FROM TO --by NAME --reason TEXT`"
STANDS = "the ledger is not the newest (the store knows pass 4 and the ledger pass 2): a contact made since may not be in it; "
FROM_TO = f"{COMMAND}, FROM the day of the ledger's copy, TO today"


@contextmanager
def on(folder: Path, clock: SetClock) -> Iterator[Bench]:
    with bench(folder, clock=clock, ledger_folder=folder / "ledger") as made:
        made.secrets["env:KEY"] = "sandbox-key-skin-group"
        for slug, practice_id in ((SLUG, PRACTICE_ID), (OTHER, OTHER_ID)):
            made.secrets[f"env:RECONCILER_SECRET_{slug.upper().replace('-', '_')}_PRACTICE_ID"] = practice_id
        yield made


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    """Two businesses, each with a contact of its own on two days; of the second day the ledger knows nothing."""
    clock = SetClock()
    (tmp_path / "ledger").mkdir()
    with on(tmp_path, clock) as before:
        before.put(at=START - timedelta(days=7))
        before.put(THERE, slug=OTHER, parent=PARENT + 40, practice_id=OTHER_ID, at=START - timedelta(days=7))
        before.sync()
    shutil.copytree(tmp_path / "ledger", tmp_path / "copy")
    clock.advance(days=1)
    with on(tmp_path, clock) as before:
        before.book("2026-11-24", patient=1)
        before.book("2026-11-24", patient=2, practice_id=OTHER_ID)
        before.sync()
        assert len(before.deliveries) == 2
    shutil.rmtree(tmp_path / "ledger")
    shutil.copytree(tmp_path / "copy", tmp_path / "ledger")
    with on(tmp_path, clock) as after:
        after.book("2026-11-24", patient=1)
        after.book("2026-11-24", patient=2, practice_id=OTHER_ID)
        yield after


def shown(report: SyncReport) -> dict[int, tuple[str, str]]:
    return {each.business: (each.status, each.detail) for each in report.locations}


def opened(it: Bench) -> Ledger:
    return Ledger(it.store, it.deps.ledger, it.deps.keys)


def test_every_location_says_the_command_that_covers_the_gap(it: Bench) -> None:
    stopped = ("stopped", f"{STANDS}cover the gap with {FROM_TO}")
    assert shown(it.sync()) == {HERE: stopped, THERE: stopped}
    assert it.deliveries == []


def test_the_backfill_of_one_business_covers_it_and_says_what_is_left(it: Bench) -> None:
    (one,) = it.sync(SLUG, **GAP).locations
    assert one.status == "ok"
    assert one.warnings == (
        "the ledger stays in doubt, and everything stopped: 1 location is not covered yet, of example-eye-partners; name "
        f"them, or nothing, in {COMMAND}; one that cannot be read: `reconciler pause`, and `resume` once it can",
    )
    report = it.sync()
    covered = f"{STANDS}this location is covered, and goes on once all of them are: {FROM_TO}, without a name"
    assert shown(report) == {
        HERE: ("stopped", covered),
        THERE: ("stopped", f"{STANDS}cover the gap with {FROM_TO}"),
    }
    assert (report.exit_code, it.deliveries) == (3, [])


def test_backfills_of_one_business_after_the_other_end_the_doubt_together(it: Bench) -> None:
    it.sync(SLUG, **GAP)
    (last,) = it.sync(OTHER, **GAP).locations
    assert last.warnings == ()
    assert [status for status, _ in shown(it.sync()).values()] == ["ok", "ok"]
    it.clock.advance(days=1)
    assert [each.counts.sent for each in it.sync().locations] == [0, 0]
    it.clock.advance(days=1)
    it.book("2026-11-26", patient=4)
    assert sum(each.counts.sent for each in it.sync().locations) == 1
    assert len(it.deliveries) == 1


def test_one_that_fails_leaves_everything_stopped_and_is_covered_by_itself_later(it: Bench) -> None:
    it.secrets["env:RECONCILER_SECRET_EXAMPLE_EYE_PARTNERS_PRACTICE_ID"] = "another"
    report = it.sync(**GAP)
    assert {key: status for key, (status, _) in shown(report).items()} == {HERE: "ok", THERE: "stopped"}
    assert [status for status, _ in shown(it.sync(SLUG)).values()] == ["stopped"]
    it.secrets["env:RECONCILER_SECRET_EXAMPLE_EYE_PARTNERS_PRACTICE_ID"] = OTHER_ID
    it.sync(OTHER, **GAP)
    assert [status for status, _ in shown(it.sync()).values()] == ["ok", "ok"]


def test_one_that_cannot_be_read_can_be_paused_and_is_not_contacted_for_the_gap_when_it_is_resumed(it: Bench) -> None:
    it.secrets["env:RECONCILER_SECRET_EXAMPLE_EYE_PARTNERS_PRACTICE_ID"] = "another"
    operating.pause(opened(it), OTHER, by="Ann", reason="cannot be read", now=it.clock.now())
    it.sync(**GAP)
    assert shown(it.sync(SLUG)) == {HERE: ("ok", "")}
    it.secrets["env:RECONCILER_SECRET_EXAMPLE_EYE_PARTNERS_PRACTICE_ID"] = OTHER_ID
    operating.resume(opened(it), OTHER, by="Ann", reason="can be read", now=it.clock.now())
    it.sync()
    it.clock.advance(days=1)
    it.sync()
    assert it.deliveries == []


def test_a_pause_of_everything_covers_nothing(it: Bench) -> None:
    operating.pause(opened(it), None, by="Ann", reason="restored", now=it.clock.now())
    it.sync(SLUG, **GAP)
    assert sync_passes.doubt(it.store, it.deps.ledger) is not None
    it.sync(OTHER, **GAP)
    assert sync_passes.doubt(it.store, it.deps.ledger) is None


def test_what_was_covered_in_one_doubt_counts_in_no_other(it: Bench, tmp_path: Path) -> None:
    it.sync(SLUG, **GAP)
    it.sync(OTHER, **GAP)
    it.sync()
    with it.deps.ledger.begin() as connection:
        sync_passes._put_number(connection, 2)  # the same old copy, once more
    it.sync(SLUG, **GAP)
    assert [status for status, _ in shown(it.sync()).values()] == ["stopped", "stopped"]


def test_a_backfill_without_a_doubt_says_nothing_of_it(tmp_path: Path) -> None:
    with bench(tmp_path) as one:
        one.put()
        assert one.one(**GAP | {"last": date(2026, 11, 24)}).warnings == ()


def test_a_dry_backfill_covers_nothing(it: Bench) -> None:
    it.sync(dry_run=True, **GAP)
    assert [status for status, _ in shown(it.sync()).values()] == ["stopped", "stopped"]
