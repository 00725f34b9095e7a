"""forget, lock, store and audit as processes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.cli.test_cli_reconcile import NORTH, SKIN, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with serve(SandboxOptions(dialect="documented")) as server:
        it = Desk(server, tmp_path)
        it.run("apply", "--auto-approve", expect=0)
        yield it


def test_forget_is_a_way_out_of_undeclared_and_changes_nothing_live(desk: Desk) -> None:
    (desk.folder / "integrations" / f"{NORTH}.yaml").unlink()
    desk.run("apply", "--auto-approve", expect=3)
    before = desk.writes()
    desk.run("forget", NORTH, expect=0)
    desk.run("apply", "--auto-approve", expect=0)
    assert desk.writes() == before
    assert json.loads(desk.run("plan", "--output", "json", expect=0).stdout)["objections"] == []
    desk.run("forget", NORTH, expect=64)


def test_forget_one_location_leaves_the_others(desk: Desk) -> None:
    path = desk.folder / "integrations" / f"{SKIN}.yaml"
    text = path.read_text()
    path.write_text(text[: text.index("  - business: 100000000000103")])
    desk.run("apply", "--auto-approve", expect=3)
    desk.run("forget", SKIN, "--location", "100000000000103", expect=0)
    assert json.loads(desk.run("plan", "--output", "json", expect=0).stdout)["changes"] == []
    desk.run("apply", "--auto-approve", expect=0)


def test_the_audit_chain_shows_an_edit_and_a_cut(desk: Desk) -> None:
    found = json.loads(desk.run("audit", "verify", "--output", "json", expect=0).stdout)
    assert found["records"] == 2
    desk.run("audit", "verify", "--expect-head", found["head"], expect=0)
    with sqlite3.connect(desk.folder / ".reconciler" / "store.db") as connection:
        connection.execute("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)")
    connection.close()
    desk.run("audit", "verify", "--expect-head", found["head"], expect=1)


def test_a_rotated_key_keeps_every_fingerprint(desk: Desk) -> None:
    key = (desk.folder / ".reconciler" / "store.receipt.key").read_text()
    desk.run("store", "check", expect=0)
    desk.run("store", "rekey", "receipt", expect=0)
    assert (desk.folder / ".reconciler" / "store.receipt.key").read_text() != key
    assert json.loads(desk.run("plan", "--output", "json", expect=0).stdout)["changes"] == []
    desk.environ["RECONCILER_RECEIPT_KEY"] = "another key of thirty-two characters, at least"
    found = desk.run("plan", expect=1)
    assert "another receipt key" in found.stderr


def test_a_copied_store_plans_as_the_first_one(desk: Desk, tmp_path: Path) -> None:
    key = (desk.folder / ".reconciler" / "store.receipt.key").read_text().strip()
    desk.run("store", "copy", f"sqlite:///{tmp_path}/copy/store.db", expect=0)
    desk.environ |= {"RECONCILER_STORE": f"sqlite:///{tmp_path}/copy/store.db", "RECONCILER_RECEIPT_KEY": key}
    assert json.loads(desk.run("plan", "--output", "json", expect=0).stdout)["changes"] == []


def test_no_lock_is_held_after_an_apply(desk: Desk) -> None:
    assert json.loads(desk.run("lock", "list", "--output", "json", expect=0).stdout)["locks"] == []
    desk.run("lock", "release", "nonsense", expect=1)
