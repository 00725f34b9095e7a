"""The stores that the contract suite runs on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.store.database import Store, open_store

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of a store that does not exist yet, one per database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/folder/store.db"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A new store, open for writing, at noon of 24 November 2026."""
    with open_store(store_url, now=lambda: NOW, write=True) as opened:
        yield opened
