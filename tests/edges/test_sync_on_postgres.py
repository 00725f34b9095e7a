"""What holds of passes, planner, engine and operators on SQLite holds on PostgreSQL: the same tests, another store."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.edges import test_sync_operating, test_sync_reads, test_sync_stops, test_sync_windows
from tests.syncing import Bench, bench

MODULES = (test_sync_operating, test_sync_reads, test_sync_stops, test_sync_windows)


@pytest.fixture
def it(tmp_path: Path, postgres_store_url: str) -> Iterator[Bench]:
    with bench(tmp_path, store_url=postgres_store_url) as made:
        assert made.store.dialect == made.deps.ledger.dialect == "postgresql"
        yield made


def _of_a_store() -> dict[str, object]:
    found: dict[str, object] = {}
    for module in MODULES:
        for name, value in vars(module).items():
            if name.startswith("test_") and callable(value) and "it" in inspect.signature(value).parameters:
                assert name not in found, name
                found[name] = value
    return found


globals().update(_of_a_store())
