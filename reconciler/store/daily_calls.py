"""How many requests went to a product of Nextech on a day, for every process that shares the ledger.

Nextech's old quota ran from midnight to midnight UTC, over all applications of one client (``nextech-api.md`` 2), so a
day is UTC's. Functions run inside the caller's transaction.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select, update

from reconciler.store.rows import insert_new, json_from_text
from reconciler.store.schema import SYNC_META

PREFIX: Final = "calls:"
_NEVER: Final = date.min


@dataclass(frozen=True, slots=True)
class Used:
    """One product's day."""

    day: date
    calls: int = 0
    """Made, or promised to a process that is about to make them."""
    told: date | None = None
    """The day whose end of calls people were told of, until they are told that it is over."""


def used(connection: Connection, product: str, *, now: datetime) -> Used:
    """How the day of ``now`` stands."""
    query = select(SYNC_META.c.value).where(SYNC_META.c.name == PREFIX + product)
    return _of_today(connection.execute(query).scalar_one_or_none(), now)


def reserve(connection: Connection, product: str, *, wanted: int, limit: int, now: datetime) -> int:
    """Promise up to ``wanted`` further calls of today's ``limit``; how many, 0 where it is used up."""
    state = _locked(connection, product, now)
    granted = max(0, min(wanted, limit - state.calls))
    if granted:
        _put(connection, product, replace(state, calls=state.calls + granted))
    return granted


def give_back(connection: Connection, product: str, *, calls: int, day: date, now: datetime) -> None:
    """Calls promised on ``day`` that were not made; those of another day are gone with it."""
    state = _locked(connection, product, now)
    if state.day == day:
        _put(connection, product, replace(state, calls=max(0, state.calls - calls)))


def tell(connection: Connection, product: str, *, is_used_up: bool, now: datetime) -> bool:
    """Note what people are told: that today's calls are used up, or that they are not any more. Whether it is new."""
    state = _locked(connection, product, now)
    told = state.day if is_used_up else None
    if state.told == told:
        return False
    _put(connection, product, replace(state, told=told))
    return True


def _of_today(text: str | None, now: datetime) -> Used:
    today = now.astimezone(UTC).date()
    if text is None:
        return Used(today)
    document: dict[str, Any] = json_from_text(text)
    day = date.fromisoformat(document["day"])
    told = date.fromisoformat(document["told"]) if document.get("told") else None
    if today < day <= today + timedelta(days=1):  # another machine's clock is ahead, or ours went back
        return Used(day, int(document["calls"]), told)
    return Used(today, int(document["calls"]) if day == today else 0, told)


def _locked(connection: Connection, product: str, now: datetime) -> Used:
    insert_new(connection, SYNC_META, {"name": PREFIX + product, "value": _text(Used(_NEVER))})
    query = select(SYNC_META.c.value).where(SYNC_META.c.name == PREFIX + product)
    return _of_today(connection.execute(query.with_for_update()).scalar_one(), now)


def _put(connection: Connection, product: str, state: Used) -> None:
    connection.execute(update(SYNC_META).where(SYNC_META.c.name == PREFIX + product).values(value=_text(state)))


def _text(state: Used) -> str:
    told = state.told.isoformat() if state.told is not None else None
    return json.dumps({"day": state.day.isoformat(), "calls": state.calls, "told": told})
