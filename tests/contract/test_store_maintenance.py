"""Migrations make the schema, ``check`` finds what is wrong, ``copy`` leaves nothing behind, on both databases."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text

from reconciler.core.records import FieldReceipt, InForce, Intent, ObjectReceipt
from reconciler.errors import StoreError
from reconciler.store import audit, counts, drift, in_force, journal, keys, leases, maintenance, receipts, schema
from reconciler.store.database import Store, open_store

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = keys.parse_key("first-key-0123456789abcdefghijklmnopqrs", named="RECONCILER_RECEIPT_KEY")
OTHER = keys.parse_key("other-key-0123456789abcdefghijklmnopqrs", named="RECONCILER_RECEIPT_KEY")


def fill(store: Store) -> None:
    keys.inner_key(store, "receipt", KEY)
    print_ = FieldReceipt("triggers", "0f" * 16, NOW, "plan-1", assumed=True)
    with store.begin() as connection:
        for number in range(1, 1_502):
            receipts.put_object(
                connection,
                ObjectReceipt("group", number, "skin", number, NOW, "plan-1", created=True, fields=(print_,)),
            )
        in_force.put_in_force(connection, InForce("skin", 1, 1, NOW, "plan-1", "abc", {"Zürich": ["☃"]}))
        journal.open_intent(connection, Intent("i1", "plan-1", "c1", "group", 1, "skin", "G+", NOW))
        journal.close_intent(connection, "i1", outcome="applied", at=NOW, group_id=7)
        journal.start_run(connection, journal.Run("r1", "apply", "ci", NOW))
        drift.put_seen(connection, [drift.Seen("skin", "group", "triggers", "#00000000", NOW)])
        counts.put_counts(connection, 1, "2026-W48", {"sent": 1})
        audit.append(connection, {"operation": "apply", "who": "ci"}, at=NOW)
        audit.append(connection, {"operation": "apply", "who": "ci"}, at=NOW)
    leases.acquire(store, "apply", leases.Holder("apply", "ci"))


def contents(store: Store) -> dict[str, list[tuple[object, ...]]]:
    with store.read() as connection:
        return {
            it.name: sorted((tuple(row) for row in connection.execute(it.select())), key=repr)
            for it in schema.METADATA.sorted_tables
            if it is not schema.LEASES
        }


def test_the_migrations_make_exactly_the_schema_that_the_code_uses(store: Store) -> None:
    with store.read() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": schema.VERSION_TABLE})
        assert compare_metadata(context, schema.METADATA) == []


def test_the_known_versions_are_the_migrations_in_their_order() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(schema.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config).walk_revisions()
    assert tuple(it.revision for it in scripts)[::-1] == schema.VERSIONS


def test_opening_again_migrates_nothing(store: Store, store_url: str) -> None:
    fill(store)
    before = contents(store)
    store.close()
    with open_store(store_url, now=lambda: NOW, write=True) as again:
        assert contents(again) == before


def test_a_sound_store_has_no_problems(store: Store) -> None:
    assert maintenance.check(store, {"receipt": KEY}) == []
    fill(store)
    assert maintenance.check(store, {"receipt": KEY, "ledger": OTHER}) == []


def test_check_names_what_is_wrong(store: Store) -> None:
    fill(store)
    with store.begin() as connection:
        journal.open_intent(connection, Intent("i2", "plan-2", "c1", "group", 1, "skin", "G+", NOW))
        journal.close_intent(connection, "i2", outcome="unknown", at=NOW)
        connection.execute(text("UPDATE in_force SET document = 'x'"))
        connection.execute(text("UPDATE audit SET entry = '{}' WHERE seq = 2"))
    assert maintenance.check(store, {"receipt": OTHER}) == [
        "a configuration in force cannot be read",
        "intent i2 (G+, skin, plan plan-2) has an unknown outcome; run apply again",
        "the receipt key is not the one that the store was made with",
        "the audit chain is broken: record 2 is not what was written",
    ]


def test_a_copy_holds_everything_but_the_locks_and_copies_back(store: Store, tmp_path: Path) -> None:
    fill(store)
    with (
        open_store(f"sqlite:///{tmp_path}/there.db", now=lambda: NOW, write=True) as there,
        open_store(f"sqlite:///{tmp_path}/back.db", now=lambda: NOW, write=True) as back,
    ):
        copied = maintenance.copy(store, there)
        assert (copied["receipts"], copied["audit"], copied["keys"]) == (1_501, 2, 1)
        maintenance.copy(there, back)
        assert contents(store) == contents(there) == contents(back)
        assert leases.list_leases(there) == ()
        assert maintenance.check(there, {"receipt": KEY}) == []


def test_a_copy_from_sqlite_arrives_whole(store: Store, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/source.db", now=lambda: NOW, write=True) as source:
        fill(source)
        maintenance.copy(source, store)
        assert contents(store) == contents(source)
        assert maintenance.check(store, {"receipt": KEY}) == []


def test_a_copy_into_a_store_that_holds_anything_is_refused(store: Store, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/source.db", now=lambda: NOW, write=True) as source:
        fill(source)
        maintenance.copy(source, store)
        with pytest.raises(StoreError, match="is not empty; nothing was copied"):
            maintenance.copy(source, store)


def test_a_copy_of_a_tampered_store_is_refused_and_leaves_nothing(store: Store, tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path}/source.db", now=lambda: NOW, write=True) as source:
        fill(source)
        with source.begin() as connection:
            connection.execute(text("DELETE FROM audit WHERE seq = 1"))
        with pytest.raises(StoreError, match="record 1 is missing; nothing was copied"):
            maintenance.copy(source, store)
    assert not any(contents(store).values())
