"""What the ledger forgets, and when. What keeps a patient from being contacted twice goes last, and tells that it went."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from reconciler.errors import InternalError


@dataclass(frozen=True, slots=True)
class Retained:
    """What ``retain`` did."""

    reduced: int
    """Rows that lost everything but keys, outcome and state."""
    deleted: int
    """Rows that are gone."""


def retain(
    connection: Connection, *, now: datetime, retention_days: int, keep_keys_days: int, limit: int = 5_000
) -> Retained:
    """Reduce rows older than ``retention_days``, delete those older than ``keep_keys_days``; at most ``limit`` each."""
    raise InternalError("not built yet")


def forgotten_before(connection: Connection) -> datetime | None:
    """Rows of visits that start before this moment may be gone: nothing before it may be contacted."""
    raise InternalError("not built yet")
