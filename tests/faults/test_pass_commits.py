"""A durable transaction of a pass holds five ledger rows and more, on both databases; counted, not timed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.commits import counting
from tests.faults.sync_place import sync_place

CONTACTS = 300


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_a_durable_transaction_holds_at_least_five_rows_at_eight_parallel_sends(
    request: pytest.FixtureRequest, tmp_path: Path, database: str
) -> None:
    url = str(request.getfixturevalue("postgres_store_url")) if database == "postgresql" else None
    with sync_place(tmp_path, concurrency=8, store_url=url) as place:
        place.put()
        place.book(CONTACTS)
        with counting() as found:
            assert place.again().counts.sent == CONTACTS
    assert found.rows == {"decisions": CONTACTS, "sending": 2 * CONTACTS}  # each an intent and an outcome
    assert found.per_transaction("sending") >= 5
    assert found.per_transaction() >= 5
