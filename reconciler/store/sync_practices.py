"""Practices: whether they let us in, and the location names they have. Pauses: of a location, a business, or all."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, select, update

from reconciler.store.ledger import moment
from reconciler.store.rows import insert_new, json_from_text
from reconciler.store.schema import SYNC_PAUSES, SYNC_PRACTICES, from_text, to_text

_PRACTICES: Final = SYNC_PRACTICES


ALL: Final = 0
"""The business number of a pause of everything."""


@dataclass(frozen=True, slots=True)
class PracticeState:
    """One practice, by pseudonym."""

    practice: str
    authorised: bool
    since: datetime
    detail: str = ""
    names: tuple[str, ...] | None = None
    """Location names that Nextech has; None: never read."""
    names_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Who paused what, and why."""

    business: int
    """Location or parent; ``ALL`` for everything."""
    since: datetime
    who: str
    reason: str


def practice(connection: Connection, pseudonym: str) -> PracticeState | None:
    """One practice, or None where nothing was ever recorded of it (then it is authorised)."""
    row = connection.execute(select(_PRACTICES).where(_PRACTICES.c.practice == pseudonym)).one_or_none()
    if row is None:
        return None
    names = None if row.names is None else tuple(json_from_text(row.names))
    return PracticeState(
        row.practice, bool(row.authorised), from_text(row.since), row.detail, names, moment(row.names_at)
    )


def put_authorised(connection: Connection, pseudonym: str, *, authorised: bool, at: datetime, detail: str = "") -> bool:
    """Record whether a practice lets us in; whether that is a change of state."""
    _ensure(connection, pseudonym, at)
    row = connection.execute(select(_PRACTICES).where(_PRACTICES.c.practice == pseudonym).with_for_update()).one()
    changed = bool(row.authorised) != authorised
    values: dict[str, Any] = {"authorised": authorised, "detail": detail}
    if changed:
        values["since"] = to_text(at)
    connection.execute(update(_PRACTICES).where(_PRACTICES.c.practice == pseudonym).values(**values))
    return changed


def put_names(connection: Connection, pseudonym: str, names: Sequence[str], *, at: datetime) -> None:
    """Record the location names of a practice."""
    _ensure(connection, pseudonym, at)
    values = {"names": json.dumps(sorted(set(names)), ensure_ascii=False), "names_at": to_text(at)}
    connection.execute(update(_PRACTICES).where(_PRACTICES.c.practice == pseudonym).values(**values))


def _ensure(connection: Connection, pseudonym: str, at: datetime) -> None:
    row = {"practice": pseudonym, "authorised": True, "since": to_text(at), "detail": ""}
    insert_new(connection, _PRACTICES, row | {"names": None, "names_at": None})


def pauses(connection: Connection) -> dict[int, Pause]:
    """Every pause, by business."""
    return {row.business: _pause(row) for row in connection.execute(select(SYNC_PAUSES))}


def paused_of(connection: Connection, businesses: Collection[int]) -> frozenset[int]:
    """Which of these very numbers a pause names."""
    query = select(SYNC_PAUSES.c.business).where(SYNC_PAUSES.c.business.in_(businesses))
    return frozenset(connection.execute(query).scalars())


def pause(connection: Connection, it: Pause) -> bool:
    """Pause; False where it was paused already (the earlier record stays)."""
    row = {"business": it.business, "since": to_text(it.since), "who": it.who, "reason": it.reason}
    return insert_new(connection, SYNC_PAUSES, row)


def resume(connection: Connection, business: int) -> Pause | None:
    """End a pause; what it was, or None where there was none."""
    query = select(SYNC_PAUSES).where(SYNC_PAUSES.c.business == business).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    connection.execute(delete(SYNC_PAUSES).where(SYNC_PAUSES.c.business == business))
    return _pause(row)


def _pause(row: Row[Any]) -> Pause:
    return Pause(row.business, from_text(row.since), row.who, row.reason)
