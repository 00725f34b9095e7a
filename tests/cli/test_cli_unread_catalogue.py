"""``plan`` and ``drift`` where the trigger catalogue cannot be read: the document, every business unreadable, exit 7."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import NORTH, SKIN, Desk

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "json.md").read_text(encoding="utf-8")
PATH = "GET /integration/trigger/integrationtriggers/sourceid/22"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="rich")) as server:
        it = Desk(server, tmp_path)
        it.run("apply", "--auto-approve", expect=0)
        server.app.faults.arm("T:*:403")
        yield it


def test_a_plan_has_its_document_and_asks_nothing_more(desk: Desk) -> None:
    before = len(desk.server.app.world.history)
    done = desk.run("plan", "--output", "json", expect=7)
    document = json.loads(done.stdout)
    assert document["summary"]["unreadable"] == 2
    assert document["changes"] == []
    assert [it["slug"] for it in document["warnings"]] == [NORTH, SKIN]
    assert all(PATH in it["text"] for it in document["warnings"])
    assert done.stderr.startswith(f"error: {PATH}: ")
    assert done.stderr.endswith("  = check what these credentials may do\n")
    assert len(desk.server.app.world.history) - before <= 1


@pytest.mark.parametrize("command", ["plan", "drift"])
def test_on_a_terminal_it_is_one_clear_error(desk: Desk, command: str) -> None:
    done = desk.run(command, expect=7)
    assert done.stdout == ""
    assert done.stderr.startswith(f"error: {PATH}: ")


@pytest.mark.parametrize("form", ["markdown", "html"])
@pytest.mark.parametrize("command", ["plan", "drift"])
def test_people_get_a_report_too(desk: Desk, command: str, form: str) -> None:
    shown = desk.run(command, "--output", form, expect=7).stdout
    assert NORTH in shown
    assert SKIN in shown
    assert "/integration/trigger/integrationtriggers" in shown


def test_drift_has_its_document_with_every_field_unreadable(desk: Desk) -> None:
    done = desk.run("drift", "--confirm-after", "0", "--output", "json", expect=7)
    document = json.loads(done.stdout)
    summary = document["summary"]
    assert (summary["drifted_fields"], summary["checked_fields"], summary["coverage"]) == (0, 0, 0.0)
    assert summary["unreadable_fields"] > 0
    assert {it["slug"] for it in document["businesses"]} == {NORTH, SKIN}
    assert {field["class"] for it in document["businesses"] for field in it["fields"]} == {"unreadable"}
    assert f"error: {PATH}: " in done.stderr
    words = {str: "text", bool: "true or false", list: "list", type(None): "null"}
    for side in ("declared", "live", "recorded"):
        row = next(it for it in PAGE.splitlines() if it.startswith(f"| `businesses[].fields[].{side}` |"))
        seen = {words[type(field[side])] for it in document["businesses"] for field in it["fields"]}
        assert all(it in row for it in seen), (side, seen)


def test_an_apply_still_ends_before_anything_else(desk: Desk) -> None:
    before = desk.writes()
    assert desk.run("apply", "--auto-approve", "--output", "json", expect=7).stdout == ""
    assert desk.writes() == before
