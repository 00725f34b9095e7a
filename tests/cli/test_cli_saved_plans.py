"""Saved and approved plans that were done in part, and which exit code comes first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox import changes
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import NORTH, SKIN, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="rich")) as server:
        yield Desk(server, tmp_path)


def show_by_purpose_at_two(desk: Desk) -> None:
    """Applied, then a plan saved that changes two locations in a way that narrows nothing."""
    desk.run("apply", "--auto-approve", expect=0)
    desk.edit(SKIN, "location_names: [Cosmetic Center]", "location_names: [Cosmetic Center]\n    show_by: purpose")
    desk.edit(SKIN, "    location_names: [Lakeside]", "    location_names: [Lakeside]\n    show_by: purpose")
    desk.run("plan", "--out", "plan.json", expect=0)


@pytest.mark.parametrize("how", [("plan.json",), ("--approved", "plan.json")])
def test_a_plan_that_failed_half_way_is_carried_on_with(desk: Desk, how: tuple[str, ...]) -> None:
    show_by_purpose_at_two(desk)
    desk.server.app.faults.arm("M+:2:400")
    desk.run("apply", *how, expect=5)
    desk.server.app.faults.clear()
    desk.run("check-plan", "plan.json", expect=2)
    before = desk.writes()
    desk.run("apply", *how, expect=0)
    assert desk.writes() == before + 1
    desk.run("plan", "--detailed-exitcode", expect=0)


def test_a_plan_of_which_a_part_was_done_by_hand_is_carried_on_with(desk: Desk) -> None:
    show_by_purpose_at_two(desk)
    (group,) = (it.group_id for it in desk.server.app.world.groups.values() if it.parent == 100000000000100)
    value = {"group": group, "business": 100000000000102, "key": "appointment.preference", "value": "purpose"}
    changes.change(desk.server.app.world, {"action": "set_property", "secure": False, **value})
    desk.run("check-plan", "plan.json", expect=2)
    desk.run("apply", "plan.json", expect=0)
    desk.run("plan", "--detailed-exitcode", expect=0)


def test_a_change_of_the_runner_that_no_approved_write_brings_is_new(desk: Desk) -> None:
    show_by_purpose_at_two(desk)
    (group,) = (it.group_id for it in desk.server.app.world.groups.values() if it.parent == 100000000000100)
    value = {"group": group, "business": 100000000000101, "key": "appointment.preference", "value": "purpose"}
    changes.change(desk.server.app.world, {"action": "set_property", "secure": False, **value})
    found = desk.run("apply", "plan.json", expect=4)
    assert "update runner 100000000000101" in found.stderr


def test_what_could_not_be_read_comes_before_a_refusal_and_before_a_stale_plan(desk: Desk) -> None:
    desk.run("apply", "--auto-approve", expect=0)
    desk.edit(NORTH, "New Patient, Follow-up", "New Patient, Follow-up, Botox")
    desk.run("plan", "--out", "plan.json", expect=0)
    desk.edit(SKIN, "[Procedure, Surgery]", "[Procedure, Surgery, Botox]")
    before = desk.writes()
    desk.server.app.faults.arm("G:1:403")
    found = desk.run("apply", "--auto-approve", expect=7)
    assert "refused by objections" in found.stderr
    assert "could not be read" in found.stderr
    desk.server.app.faults.clear()
    desk.server.app.faults.arm("G:1:403")
    found = desk.run("apply", "--approved", "plan.json", expect=7)
    assert "could not be read" in found.stderr
    assert desk.writes() == before
