"""What is to be sent: claimed durably before its first request, settled after it, looked up where nobody knows.

Functions run inside the caller's transaction. Every change names the state it comes from, so that of two processes one
changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from reconciler.core.ledger_rules import State
from reconciler.core.phi import Phi
from reconciler.errors import InternalError
from reconciler.store.ledger_keys import LedgerKeys


@dataclass(frozen=True, slots=True)
class Claimed:
    """A row that is ours to send, or to look up."""

    practice: str
    appointment: str
    business: int
    slug: str
    intent_at: datetime
    body: Phi[dict[str, Any]] | None = field(repr=False)
    """Of the check-in; None where the payload cannot be opened or has no contact."""
    not_found_times: int = 0
    replans: int = 0


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of a claimed row."""

    practice: str
    appointment: str
    intent_at: datetime
    """Of the attempt that this is about: a later one is left alone."""
    state: State
    at: datetime
    code: int | None = None
    customer_id: str | None = None


def claim(
    connection: Connection, practice: str, businesses: Collection[int], *, keys: LedgerKeys, limit: int, now: datetime
) -> tuple[Claimed, ...]:
    """Move up to ``limit`` rows from ``planned`` to ``intent``, earliest visit first, and open them."""
    raise InternalError("not built yet")


def settle(connection: Connection, settlements: Iterable[Settlement]) -> int:
    """Record outcomes; how many rows changed. Payloads go where the state keeps none."""
    raise InternalError("not built yet")


def adopt_orphans(connection: Connection, practice: str, *, now: datetime) -> int:
    """Intents that a dead process left behind are unknown from now on. Only under the practice's lease."""
    raise InternalError("not built yet")


def unknown_due(
    connection: Connection, practice: str, *, keys: LedgerKeys, before: datetime, limit: int
) -> tuple[Claimed, ...]:
    """Unknown rows whose last request ended, or was found unfinished, before this moment; oldest first."""
    raise InternalError("not built yet")


def next_unknown(connection: Connection, practice: str) -> datetime | None:
    """Since when the oldest unknown row of a practice is unknown; None where there is none."""
    raise InternalError("not built yet")


def discard_planned(connection: Connection, businesses: Sequence[int], *, now: datetime) -> int:
    """What was planned when these locations stopped being contacted is never made up; how many rows."""
    raise InternalError("not built yet")
