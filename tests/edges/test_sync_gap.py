"""Which days a backfill must cover before a doubt ends, and what it does to visits that wait to be sent."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.core.sync_report import LocationReport
from reconciler.store import sync_passes
from reconciler.workflow import holding
from reconciler.workflow.holding import Ledger
from tests.syncing import PRACTICE_ID, SLUG, START, Bench, SetClock, bench

WEEK_AGO = START - timedelta(days=7)
CHECKIN = "/resources/v1/contact/external/preferences/checkin"
DOUBT = "the ledger is not the newest (the store knows pass 3 and the ledger pass 1)"


def days(first: int, last: int) -> dict[str, Any]:
    return {"kind": "backfill", "first": date(2026, 11, first), "last": date(2026, 11, last)}


def shown(report: LocationReport) -> tuple[str, int, int, dict[str, int], int]:
    counts = report.counts
    return report.status, counts.read, counts.sent, dict(counts.skipped), counts.held


def held(it: Bench) -> list[tuple[str, str]]:
    rows = holding.held(Ledger(it.store, it.deps.ledger, it.deps.keys))
    return [(str(row.day), row.why) for row in rows]


@contextmanager
def on(folder: Path, clock: SetClock) -> Iterator[Bench]:
    with bench(folder, clock=clock, ledger_folder=folder / "ledger") as made:
        made.secrets["env:KEY"] = "sandbox-key-skin-group"
        made.secrets[f"env:RECONCILER_SECRET_{SLUG.upper().replace('-', '_')}_PRACTICE_ID"] = PRACTICE_ID
        yield made


@contextmanager
def restored(folder: Path, *, is_planned: bool = False) -> Iterator[Bench]:
    """The ledger of pass 1 beside the store of pass 3; the visits of 24 and 25 November were sent in between.

    ``is_planned``: that of 23 November too, which the ledger of pass 1 has planned only.
    """
    clock = SetClock()
    (folder / "ledger").mkdir()

    def book(it: Bench) -> None:
        for day, patient in ((23, 1), (24, 2), (25, 3)):
            it.book(f"2026-11-{day}", patient=patient)

    with on(folder, clock) as before:
        before.put(at=WEEK_AGO)
        book(before)
        if is_planned:
            before.limit(max_contacts_per_run=0)
        before.sync()
    shutil.copytree(folder / "ledger", folder / "copy")
    for _ in range(2):
        clock.advance(days=1)
        with on(folder, clock) as before:
            book(before)
            before.sync()
    shutil.rmtree(folder / "ledger")
    shutil.copytree(folder / "copy", folder / "ledger")
    with on(folder, clock) as after:
        book(after)
        yield after


def test_a_backfill_of_a_part_of_the_gap_says_which_days_are_needed_and_ends_no_doubt(tmp_path: Path) -> None:
    with restored(tmp_path) as it:
        report = it.sync(**days(25, 25))
        (one,) = report.locations
        command = "`reconciler sync --backfill 2026-11-24 2026-11-25 --by NAME --reason TEXT`"
        why = f"{DOUBT}, and 2026-11-25 to 2026-11-25 do not cover the gap of this location; cover it with {command}"
        assert (one.status, one.detail, report.exit_code) == ("stopped", why, 3)
        assert sync_passes.doubt(it.store, it.deps.ledger) is not None
        assert (it.one().status, it.deliveries) == ("stopped", [])


@pytest.mark.parametrize(("first", "last"), [(24, 25), (24, 26), (1, 26)])
def test_a_backfill_from_the_mark_to_yesterday_ends_the_doubt(tmp_path: Path, first: int, last: int) -> None:
    with restored(tmp_path) as it:
        assert it.one(**days(first, last)).status == "ok"
        assert (it.one().status, it.deliveries) == ("ok", [])


def test_the_overlap_before_the_days_that_were_covered_is_decided_no_more(tmp_path: Path) -> None:
    with restored(tmp_path) as it:
        it.book("2026-11-22", patient=9)  # as one that was completed late, and perhaps contacted
        assert it.one(**days(24, 25)).status == "ok"
        assert (it.one().status, it.deliveries) == ("ok", [])


def test_what_an_older_ledger_has_planned_is_backfilled_with_its_day(tmp_path: Path) -> None:
    with restored(tmp_path, is_planned=True) as it:
        assert shown(it.one(**days(23, 25))) == ("ok", 3, 0, {"backfilled": 3}, 0)
        assert (it.one().status, it.deliveries, held(it)) == ("ok", [], [])


def test_what_an_older_ledger_has_planned_on_other_days_is_held_for_a_person(tmp_path: Path) -> None:
    with restored(tmp_path, is_planned=True) as it:
        assert shown(it.one(**days(24, 25))) == ("ok", 3, 0, {"backfilled": 2}, 1)
        assert held(it) == [("2026-11-23", "ledger_was_older")]
        assert (it.one().status, it.deliveries) == ("ok", [])
        assert shown(it.one(**days(23, 23))) == ("ok", 1, 0, {"backfilled": 1}, 0)
        assert held(it) == []


def test_a_backfill_closes_what_a_cap_had_held_back(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        it.limit(max_contacts_per_run=1)
        it.put()
        for _ in range(3):
            it.book("2026-11-23")
        assert it.one().status == "stopped"
        dry = it.one(dry_run=True, **days(23, 23))
        assert shown(dry) == shown(it.one(**days(23, 23))) == ("ok", 3, 0, {"backfilled": 3}, 0)
        assert (it.one(max_contacts=9).counts.sent, it.deliveries) == (0, [])


def test_a_backfill_without_a_doubt_leaves_what_other_days_have_planned(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        it.limit(max_contacts_per_run=1)
        it.put(at=WEEK_AGO)
        it.book("2026-11-22")
        it.book("2026-11-23")
        it.sync()
        it.sync(**days(23, 23))
        assert it.one(max_contacts=9).counts.sent == 1


def test_an_unknown_check_in_of_a_backfilled_day_is_never_sent_again(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        it.put(at=WEEK_AGO)
        it.book("2026-11-23")
        it.app.faults.arm(f"{CHECKIN}:1:reset-before-commit")
        assert it.one().counts.held == 1
        it.sync(**days(23, 23))
        it.clock.advance(seconds=60)
        assert shown(it.one()) == ("ok", 1, 0, {"backfilled": 1}, 0)
        assert (it.one().counts.sent, it.deliveries) == (0, [])
