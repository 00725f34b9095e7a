"""The audit chain shows every kind of tampering, on both databases."""

from __future__ import annotations

import json
import threading
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, delete, insert, select, text, update

from reconciler.errors import InternalError, UsageError
from reconciler.store import audit
from reconciler.store.database import Store
from reconciler.store.schema import AUDIT, AUDIT_HEAD

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
COUNT = 20


def entry(number: int) -> dict[str, Any]:
    return {
        "operation": "apply",
        "who": "ci@example.com",
        "commit": f"c{number}",
        "plan_id": "plan-1",
        "objects": [{"kind": "group", "slug": "skin", "action": "update", "fields": ["triggers"]}],
    }


@pytest.fixture
def chain(store: Store) -> Store:
    with store.begin() as connection:
        for number in range(1, COUNT + 1):
            audit.append(connection, entry(number), at=NOW)
    return store


def verified(store: Store, expect: audit.Head | None = None) -> audit.Verified:
    with store.read() as connection:
        return audit.verify(connection, expect=expect)


def head(store: Store) -> audit.Head:
    with store.read() as connection:
        return audit.head(connection)


def test_an_empty_chain_is_whole(store: Store) -> None:
    assert verified(store) == audit.Verified(0, audit.Head(0, "0" * 64))


def test_a_chain_verifies_and_tells_its_head(chain: Store) -> None:
    assert verified(chain) == audit.Verified(COUNT, head(chain))
    assert head(chain).seq == COUNT


def test_records_are_listed_newest_first(chain: Store) -> None:
    with chain.read() as connection:
        found = audit.records(connection, limit=2)
    assert found == tuple({"seq": n, "at": "2026-11-24T12:00:00.000000Z", **entry(n)} for n in (20, 19))


def changed(connection: Connection, seq: int, **values: str) -> None:
    connection.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(**values))


def edit(connection: Connection) -> None:
    row = connection.execute(select(AUDIT.c.entry).where(AUDIT.c.seq == 7)).scalar_one()
    changed(connection, 7, entry=row.replace("ci@example.com", "me@example.com"))


def edit_and_rehash(connection: Connection) -> None:
    rows = {row.seq: row for row in connection.execute(select(AUDIT))}
    text_ = rows[7].entry.replace("ci@example.com", "me@example.com")
    changed(connection, 7, entry=text_, hash=audit._hash(rows[6].hash, 7, text_))


def delete_one(connection: Connection) -> None:
    connection.execute(delete(AUDIT).where(AUDIT.c.seq == 7))


def delete_one_and_renumber(connection: Connection) -> None:
    delete_one(connection)
    for seq in range(8, COUNT + 1):
        connection.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(seq=seq - 1))


def swap(connection: Connection) -> None:
    rows = {row.seq: row for row in connection.execute(select(AUDIT))}
    changed(connection, 7, entry=rows[8].entry, hash=rows[8].hash)
    changed(connection, 8, entry=rows[7].entry, hash=rows[7].hash)


def insert_one(connection: Connection) -> None:
    for seq in range(COUNT, 6, -1):
        connection.execute(update(AUDIT).where(AUDIT.c.seq == seq).values(seq=seq + 1))
    before = connection.execute(select(AUDIT.c.hash).where(AUDIT.c.seq == 6)).scalar_one()
    forged = json.dumps(entry(99))
    connection.execute(insert(AUDIT).values(seq=7, entry=forged, hash=audit._hash(before, 7, forged)))


def cut_the_end(connection: Connection) -> None:
    connection.execute(delete(AUDIT).where(AUDIT.c.seq > 15))


def cut_the_start(connection: Connection) -> None:
    connection.execute(delete(AUDIT).where(AUDIT.c.seq == 1))


@pytest.mark.parametrize(
    ("tamper", "problem", "seq"),
    [
        (edit, "record 7 is not what was written", 7),
        (edit_and_rehash, "record 8 is not what was written", 8),
        (delete_one, "record 7 is missing", 7),
        (delete_one_and_renumber, "record 7 is not what was written", 7),
        (swap, "record 7 is not what was written", 7),
        (insert_one, "record 8 is not what was written", 8),
        (cut_the_end, "the chain ends at record 15, and its head says 20", 16),
        (cut_the_start, "record 1 is missing", 1),
    ],
    ids=lambda it: getattr(it, "__name__", ""),
)
def test_tampering_is_found_at_its_record(chain: Store, tamper: Any, problem: str, seq: int) -> None:
    with chain.begin() as connection:
        tamper(connection)
    found = verified(chain)
    assert (found.problem, found.seq) == (problem, seq)


def rewrite(connection: Connection, count: int) -> None:
    """What somebody who may write everything can do: a chain that is right in itself."""
    connection.execute(delete(AUDIT))
    connection.execute(delete(AUDIT_HEAD))
    for number in range(1, count + 1):
        audit.append(connection, entry(number + 100), at=NOW)


@pytest.mark.parametrize(
    ("count", "problem"),
    [
        (COUNT, "record 20 is not the one that was expected"),
        (COUNT + 5, "record 20 is not the one that was expected"),
        (COUNT - 1, "the chain ends at record 19, before the expected one"),
        (0, "the chain ends at record 0, before the expected one"),
    ],
)
def test_a_chain_rewritten_as_a_whole_shows_against_a_head_kept_elsewhere(
    chain: Store, count: int, problem: str
) -> None:
    kept = audit.parse_head(str(head(chain)))
    with chain.begin() as connection:
        rewrite(connection, count)
    assert verified(chain).problem is None
    assert verified(chain, kept).problem == problem


def test_a_head_kept_elsewhere_still_fits_after_more_records(chain: Store) -> None:
    kept = head(chain)
    with chain.begin() as connection:
        audit.append(connection, entry(21), at=NOW)
    assert verified(chain, kept) == audit.Verified(COUNT + 1, head(chain))
    assert verified(chain, audit.Head(0, "0" * 64)).problem is None


@pytest.mark.parametrize("wrong", ["", "7", "7:", "7:abc", "x:" + "0" * 64, "7:" + "G" * 64, "²:" + "0" * 64])
def test_a_head_of_another_form_is_wrong_usage(wrong: str) -> None:
    with pytest.raises(UsageError, match="SEQ:HASH"):
        audit.parse_head(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": "canary"},
        {"operation": "apply", "objects": [{"kind": "group", "after": "canary"}]},
        {"objects": [{"fields": [{"path": "a", "after": "canary"}]}]},
    ],
)
def test_a_record_has_no_room_for_a_value(store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(InternalError) as caught, store.begin() as connection:
        audit.append(connection, wrong, at=NOW)
    assert "canary" not in str(caught.value)
    assert head(store).seq == 0


def test_writers_of_several_threads_make_one_chain(store: Store) -> None:
    def write() -> None:
        for number in range(10):
            with store.begin() as connection:
                audit.append(connection, entry(number), at=NOW)

    threads = [threading.Thread(target=write) for _ in range(4)]
    for it in threads:
        it.start()
    for it in threads:
        it.join(30)
    assert verified(store) == audit.Verified(40, head(store))


def test_fifty_thousand_records_verify_in_a_second(store: Store) -> None:
    before, rows = "0" * 64, []
    body = json.dumps(entry(1), sort_keys=True)
    for seq in range(1, 20_001):
        before = audit._hash(before, seq, body)
        rows.append({"seq": seq, "entry": body, "hash": before})
    with store.begin() as connection:
        connection.execute(insert(AUDIT), rows)
        connection.execute(insert(AUDIT_HEAD).values(id=1, seq=20_000, hash=before))
    started = time.perf_counter()
    assert verified(store).count == 20_000
    took = time.perf_counter() - started
    assert 20_000 / took > 50_000 / 2, f"{20_000 / took:.0f} records/s"  # half the figure: the machine is shared


def test_verifying_an_empty_database_without_a_head_row_works(store: Store) -> None:
    with store.begin() as connection:
        connection.execute(text("DELETE FROM audit_head"))
    assert verified(store).problem is None
