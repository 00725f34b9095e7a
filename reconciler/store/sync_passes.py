"""Passes, and the number that tells whether the ledger is the newest.

Each pass writes its number to ``store`` and to ``ledger_store``. The ledger's is written first: a process that dies in
between leaves the ledger one ahead, which is harmless (that pass has not begun). Anything else means that one of the
two is a copy of an older day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection

from reconciler.errors import InternalError
from reconciler.store.database import Store

Kind = Literal["slot", "now", "date", "backfill"]


@dataclass(frozen=True, slots=True)
class Pass:
    """One pass over one practice."""

    id: str
    practice: str
    """Pseudonym."""
    kind: Kind
    number: int
    started_at: datetime
    finished_at: datetime | None = None
    report: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Doubt:
    """The ledger is not the newest: the two numbers, None where there is none."""

    store: int | None
    ledger: int | None

    def __str__(self) -> str:
        def said(number: int | None) -> str:
            return "no pass" if number is None else f"pass {number}"

        return f"the store knows {said(self.store)} and the ledger {said(self.ledger)}"


def doubt(store: Store, ledger: Store) -> Doubt | None:
    """Whether the ledger is not the newest. Never where both are one database."""
    raise InternalError("not built yet")


def begin(store: Store, ledger: Store, *, id: str, practice: str, kind: Kind, now: datetime) -> Pass | Doubt:  # noqa: A002
    """Number a pass and record it in both stores; a backfill begins in spite of a doubt, nothing else does."""
    raise InternalError("not built yet")


def end_doubt(store: Store, ledger: Store) -> None:
    """A backfill has covered the gap: both numbers become the larger one."""
    raise InternalError("not built yet")


def finish(connection: Connection, id: str, *, report: Mapping[str, Any], now: datetime) -> None:  # noqa: A002
    """Record a pass's report: counts and requests, nothing of a person."""
    raise InternalError("not built yet")


def recent(connection: Connection, *, practice: str | None = None, limit: int = 20) -> tuple[Pass, ...]:
    """The latest passes, newest first."""
    raise InternalError("not built yet")
