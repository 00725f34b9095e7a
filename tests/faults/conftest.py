"""One nursery for each test process."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import workplace
from tests.faults.nursery import Nursery


@pytest.fixture(scope="session", autouse=True)
def nursery() -> Iterator[None]:
    """Processes are started from it, see ``workplace.Workplace.start``."""
    workplace.NURSERY = found = Nursery()
    try:
        yield
    finally:
        workplace.NURSERY = None
        found.close()
