"""``drift`` where no group can be compared with: what is offered can work."""

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


def test_where_the_group_vanished_or_is_doubtful_what_is_offered_can_work(desk: Desk) -> None:
    """A plan never creates it anew, so that a plan is no way out."""

    def change(action: str, **wanted: object) -> None:
        changes.change(desk.server.app.world, {"action": action, **wanted})

    def offered() -> list[str]:
        shown = desk.run("drift", "--confirm-after", "0", expect=2).stdout
        return [it.strip() for it in shown.splitlines() if ":= " in it]

    (desk.folder / "integrations" / f"{SKIN}.yaml").unlink()
    file, business = f"integrations/{NORTH}.yaml", 100000000000001
    change("add_group", parent=business, triggers=[24])
    change("add_group", parent=business, triggers=[24])
    first, second = sorted(desk.server.app.world.groups)
    assert offered() == [f"live := git   pin the group that is meant: `group.id` in {file}"]
    desk.edit(NORTH, "group:\n", f"group:\n  id: {first}\n")
    desk.run("apply", "--auto-approve", "--allow", f"filter-widened:{NORTH}", expect=0)
    change("delete_group", group=first)
    assert offered() == ["live := git   ask Birdeye where the group is", f"git := live   correct `group.id` in {file}"]
    desk.edit(NORTH, f"  id: {first}\n", "")
    assert offered() == [
        f"live := git   ask Birdeye where the group is; if it is gone for good: reconciler forget {NORTH}",
        f"git := live   pin the group that took its place: `group.id` in {file}",
    ]
    change("delete_group", group=second)
    desk.run("forget", NORTH, expect=0)
    desk.run("apply", "--auto-approve", expect=0)
    desk.run("drift", "--confirm-after", "0", expect=0)
