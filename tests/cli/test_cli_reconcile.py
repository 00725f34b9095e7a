"""plan, show, check-plan and apply as processes: exit codes, saved plans, approval."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox import changes
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve, variables
from tests.reconciling import SAMPLES

SKIN = "example-skin-group"
NORTH = "example-dermatology-north"


class Desk:
    """A folder with declarations, and the program run in it as a process."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        (folder / "integrations").mkdir()
        for slug in (SKIN, NORTH):
            shutil.copy(SAMPLES / f"{slug}.yaml", folder / "integrations")
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RECONCILER_") and key != "CI"}
        self.environ = {**kept, **variables(server)}

    def run(self, *arguments: str, expect: int) -> subprocess.CompletedProcess[str]:
        found = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        assert found.returncode == expect, (arguments, found.returncode, found.stdout, found.stderr)
        assert "Traceback" not in found.stderr
        return found

    def edit(self, slug: str, before: str, after: str) -> None:
        path = self.folder / "integrations" / f"{slug}.yaml"
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after, 1))

    def writes(self) -> int:
        return len([it for it in self.server.app.world.history if it.method != "GET"])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="rich")) as server:
        yield Desk(server, tmp_path)


def test_a_saved_plan_is_applied_shown_and_then_done(desk: Desk) -> None:
    desk.run("plan", "--out", "plan.json", "--detailed-exitcode", expect=2)
    document = json.loads((desk.folder / "plan.json").read_text())
    assert list(document) == [
        "format_version",
        "kind",
        "plan_id",
        "created_at",
        "expires_at",
        "target",
        "base",
        "digest",
        "summary",
        "changes",
        "manual",
        "objections",
        "warnings",
    ]
    assert desk.run("show", "plan.json", "--output", "json", expect=0).stdout == (desk.folder / "plan.json").read_text()
    desk.run("check-plan", "plan.json", expect=0)
    assert desk.writes() == 0
    applied = json.loads(desk.run("apply", "plan.json", "--output", "json", expect=0).stdout)
    assert {it["outcome"] for it in applied["changes"]} == {"applied"}
    assert desk.run("check-plan", "plan.json", expect=0).stdout == "All of the plan is done.\n"
    again = json.loads(desk.run("apply", "plan.json", "--output", "json", expect=0).stdout)
    assert {it["outcome"] for it in again["changes"]} == {"already"}
    desk.run("plan", "--detailed-exitcode", expect=0)


def test_without_a_terminal_nothing_is_asked_and_nothing_is_done(desk: Desk) -> None:
    found = desk.run("apply", expect=64)
    assert "--auto-approve" in found.stderr
    assert desk.writes() == 0


def test_a_plan_of_one_file_does_not_go_stale_by_the_others(desk: Desk) -> None:
    desk.run("plan", f"integrations/{NORTH}.yaml", "--out", "plan.json", expect=0)
    applied = json.loads(desk.run("apply", "plan.json", "--output", "json", expect=0).stdout)
    assert {it["slug"] for it in applied["changes"]} == {NORTH}
    assert {it["slug"] for it in json.loads(desk.run("plan", "--output", "json", expect=0).stdout)["changes"]} == {SKIN}


def test_a_plan_is_stale_once_declarations_or_live_state_have_changed(desk: Desk) -> None:
    desk.run("apply", "--auto-approve", expect=0)
    desk.edit(SKIN, "[Procedure, Surgery]", "[Surgery]")
    desk.run("plan", "--out", "plan.json", expect=0)
    group = next(it.group_id for it in desk.server.app.world.groups.values() if it.parent == 100000000000100)
    wanted = {"action": "set_property", "group": group, "key": "appointment.types", "value": "Procedure"}
    changes.change(desk.server.app.world, wanted)
    before = desk.writes()
    desk.run("check-plan", "plan.json", expect=4)
    desk.run("apply", "plan.json", expect=4)
    desk.edit(SKIN, "[Surgery]", "[Procedure]")
    desk.run("apply", "plan.json", expect=4)
    assert desk.writes() == before


def test_an_edited_plan_is_refused_and_an_expired_one_is_stale(desk: Desk) -> None:
    desk.run("plan", "--out", "plan.json", expect=0)
    document = json.loads((desk.folder / "plan.json").read_text())
    document["changes"][0]["fields"][0]["after"] = "another"
    (desk.folder / "edited.json").write_text(json.dumps(document))
    desk.run("apply", "edited.json", expect=1)
    document = json.loads((desk.folder / "plan.json").read_text())
    document["expires_at"] = "2026-01-01T00:00:00Z"
    (desk.folder / "expired.json").write_text(json.dumps(document))
    desk.run("apply", "expired.json", expect=4)
    desk.run("show", "expired.json", expect=0)
    assert desk.writes() == 0


def test_approved_goes_on_only_with_what_the_reviewed_plan_holds(desk: Desk) -> None:
    desk.run("plan", "--out", "plan.json", expect=0)
    desk.edit(NORTH, "New Patient, ", "")
    found = desk.run("apply", "--approved", "plan.json", expect=4)
    assert "properties.appointment.types" in found.stderr
    assert desk.writes() == 0
    desk.edit(NORTH, "[Follow-up]", "[New Patient, Follow-up]")
    desk.run("apply", "--approved", "plan.json", expect=0)


def test_objections_refuse_before_the_first_write_and_unknown_ones_are_wrong_usage(desk: Desk) -> None:
    desk.run("apply", "--auto-approve", expect=0)
    desk.edit(SKIN, "[Procedure, Surgery]", "[Procedure, Surgery, Botox]")
    before = desk.writes()
    found = desk.run("apply", "--auto-approve", expect=3)
    assert f"filter-widened:{SKIN}" in found.stderr
    assert desk.writes() == before
    assert (
        "Did you mean 'filter-widened'"
        in desk.run("apply", "--auto-approve", "--allow", f"filter-widend:{SKIN}", expect=64).stderr
    )
    desk.run("apply", "--auto-approve", "--allow", f"filter-widened:{SKIN}", expect=0)


def test_allowing_a_slug_that_is_nowhere_is_wrong_usage_and_one_that_has_no_objection_is_not(desk: Desk) -> None:
    found = desk.run("apply", "--auto-approve", "--allow", f"goes-live:{NORTH[:-1]}", expect=64)
    assert found.stderr.splitlines()[-2:] == [
        f"error: --allow goes-live:{NORTH[:-1]}: nothing that is declared or recorded has the slug '{NORTH[:-1]}'."
        f" Did you mean '{NORTH}'?",
        "  = reconciler apply --help",
    ]
    assert desk.writes() == 0
    allowed = ("--allow", f"goes-live:{NORTH}", "--allow", "many-deactivations:run")
    assert "goes-live" not in desk.run("apply", "--auto-approve", *allowed, expect=0).stderr
    (desk.folder / "integrations" / f"{NORTH}.yaml").unlink()
    desk.run("apply", "--auto-approve", "--allow", f"undeclared:{NORTH}", expect=0)
    desk.run("apply", "--auto-approve", "--allow", "undeclared:nobody", expect=64)


def test_an_objection_may_be_allowed_in_the_file_for_a_while(desk: Desk) -> None:
    desk.run("apply", "--auto-approve", expect=0)
    desk.edit(SKIN, "[Procedure, Surgery]", "[Procedure, Surgery, Botox]")
    path = desk.folder / "integrations" / f"{SKIN}.yaml"
    from datetime import UTC, datetime, timedelta

    until = (datetime.now(UTC) + timedelta(days=7)).date().isoformat()
    path.write_text(f'{path.read_text()}allow:\n  - code: filter-widened\n    reason: agreed\n    until: "{until}"\n')
    desk.run("apply", "--auto-approve", expect=0)


def test_plan_says_7_where_it_could_not_read_enough(desk: Desk) -> None:
    desk.server.app.faults.arm("G:*:403")
    document = json.loads(desk.run("plan", "--output", "json", expect=7).stdout)
    assert document["summary"]["unreadable"] == 2
    assert desk.run("apply", "--auto-approve", expect=7)
    assert desk.writes() == 0


def test_a_create_that_was_answered_and_is_not_listed_is_kept_until_it_is_forgotten(desk: Desk) -> None:
    (desk.folder / "integrations" / f"{SKIN}.yaml").unlink()
    desk.server.app.faults.arm("G:*:empty-list")
    desk.run("apply", "--auto-approve", expect=5)
    assert "group-vanished" in desk.run("apply", "--auto-approve", expect=3).stdout
    assert "forgotten" in desk.run("forget", NORTH, expect=0).stderr
    plan = json.loads(desk.run("plan", "--output", "json", expect=0).stdout)
    assert (plan["summary"]["create"] > 0, plan["objections"]) == (True, [])
    assert len(desk.server.app.world.groups) == 1


def test_an_unreachable_host_is_one_clear_line(desk: Desk) -> None:
    desk.environ["RECONCILER_BIRDEYE_URL"] = "http://127.0.0.1:9"
    found = desk.run("plan", expect=7)
    assert "127.0.0.1:9" in found.stderr
    assert found.stdout == ""


def test_a_plan_has_the_same_bytes_under_any_hash_seed_locale_and_time_zone(desk: Desk) -> None:
    desk.run("apply", "--auto-approve", expect=0)
    desk.edit(SKIN, "[Procedure, Surgery]", "[Surgery]")
    desk.edit(NORTH, "New Patient, ", "")
    found = set()
    for seed, zone, locale in (
        ("0", "UTC", "C"),
        ("1", "Asia/Tokyo", "C.UTF-8"),
        ("77", "America/New_York", "de_DE.UTF-8"),
    ):
        desk.environ |= {"PYTHONHASHSEED": seed, "TZ": zone, "LC_ALL": locale}
        document = json.loads(desk.run("plan", "--output", "json", expect=0).stdout)
        for key in ("plan_id", "created_at", "expires_at"):
            del document[key]
        found.add(json.dumps(document))
    assert len(found) == 1
