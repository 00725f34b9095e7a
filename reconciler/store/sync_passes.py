"""Passes, and the number that tells whether the ledger is the newest.

Each pass writes its number to ``store`` and to ``ledger_store``. The ledger's is written first: a process that dies in
between leaves the ledger one ahead, which is harmless (that pass has not begun). Anything else means that one of the
two is a copy of an older day.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, insert, select, update

from reconciler.store.database import Store
from reconciler.store.ledger import moment
from reconciler.store.rows import insert_new, json_from_text, upsert
from reconciler.store.schema import PASSES, SYNC_META, from_text, to_text

NUMBER: Final = "pass_number"
AHEAD: Final = 1
"""By how much a ledger may be ahead without anybody wondering."""

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
    if store is ledger:
        return None
    # Passes may begin between these reads: whatever the ledger says must lie between the two looks at the store.
    with store.read() as connection:
        known = _number(connection)
    with ledger.read() as connection:
        mine = _number(connection)
    with store.read() as connection:
        later = _number(connection)
    if (known or 0) <= (mine or 0) <= (later or 0) + AHEAD:
        return None
    return Doubt(known or None, mine or None)


def begin(store: Store, ledger: Store, *, id: str, practice: str, kind: Kind, now: datetime) -> Pass | Doubt:
    """Number a pass and record it in both stores; a backfill begins in spite of a doubt, nothing else does."""
    if store is ledger:
        with store.begin() as connection:
            number = _locked_number(connection) + 1
            _put_number(connection, number)
            return _record(connection, id, practice, kind, number, now)
    # The store's row is taken first, so that passes of one installation begin one after the other; the ledger's
    # transaction ends first.
    with store.begin() as outer:
        known = _locked_number(outer)
        with ledger.begin() as inner:
            mine = _locked_number(inner)
            in_order = known <= mine <= known + AHEAD
            if not in_order and kind != "backfill":
                return Doubt(known or None, mine or None)
            number = max(known, mine) + 1
            if in_order:
                _put_number(inner, number)
            made = _record(inner, id, practice, kind, number, now)
        if in_order:
            _put_number(outer, number)
    return made


def end_doubt(store: Store, ledger: Store) -> None:
    """A backfill has covered the gap: both numbers become the larger one."""
    if store is ledger:
        return
    with store.begin() as outer, ledger.begin() as inner:
        number = max(_locked_number(outer), _locked_number(inner))
        _put_number(outer, number)
        _put_number(inner, number)


def finish(connection: Connection, id: str, *, report: Mapping[str, Any], now: datetime) -> None:
    """Record a pass's report: counts and requests, nothing of a person."""
    text = json.dumps(dict(report), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    statement = update(PASSES).where(PASSES.c.id == id)
    connection.execute(statement.values(finished_at=to_text(now), report=text))


def recent(connection: Connection, *, practice: str | None = None, limit: int = 20) -> tuple[Pass, ...]:
    """The latest passes, newest first."""
    query = select(PASSES).order_by(PASSES.c.started_at.desc(), PASSES.c.number.desc()).limit(limit)
    if practice is not None:
        query = query.where(PASSES.c.practice == practice)
    return tuple(_pass(row) for row in connection.execute(query))


def _record(connection: Connection, ident: str, practice: str, kind: Kind, number: int, now: datetime) -> Pass:
    values = {"id": ident, "practice": practice, "kind": kind, "number": number, "started_at": to_text(now)}
    connection.execute(insert(PASSES).values(**values, finished_at=None, report="{}"))
    return Pass(ident, practice, kind, number, now)


def _pass(row: Row[Any]) -> Pass:
    return Pass(
        id=row.id,
        practice=row.practice,
        kind=row.kind,
        number=row.number,
        started_at=from_text(row.started_at),
        finished_at=moment(row.finished_at),
        report=json_from_text(row.report),
    )


def _number(connection: Connection) -> int | None:
    found = connection.execute(select(SYNC_META.c.value).where(SYNC_META.c.name == NUMBER)).scalar_one_or_none()
    return None if found is None else int(found)


def _locked_number(connection: Connection) -> int:
    """The number, 0 where there is none, ours to change until the end of the transaction."""
    insert_new(connection, SYNC_META, {"name": NUMBER, "value": "0"})
    query = select(SYNC_META.c.value).where(SYNC_META.c.name == NUMBER)
    return int(connection.execute(query.with_for_update()).scalar_one())


def _put_number(connection: Connection, number: int) -> None:
    upsert(connection, SYNC_META, [{"name": NUMBER, "value": str(number)}])
