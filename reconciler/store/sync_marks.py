"""Where each location stands: mark, floor, slot, last pass, status. And visits a day, which caps compare with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, select, update

from reconciler.core.windows import raised
from reconciler.store.ledger import moment
from reconciler.store.rows import upsert
from reconciler.store.schema import SYNC_LOCATIONS, VISIT_DAYS, to_text

_LOCATIONS: Final = SYNC_LOCATIONS


@dataclass(frozen=True, slots=True)
class LocationState:
    """One location as the runner left it."""

    business: int
    slug: str
    practice: str
    """Pseudonym."""
    status: str
    """``ok``, ``inactive``, ``unauthorised``, ``paused``, ``stopped``, ``platform``, ``waiting``, ``error``."""
    detail: str = ""
    mark: datetime | None = None
    floor: datetime | None = None
    last_slot: datetime | None = None
    last_pass: str | None = None
    """Its id."""
    last_success: datetime | None = None
    next_due: datetime | None = None


def location(connection: Connection, business: int) -> LocationState | None:
    """One location, or None where this ledger has never seen it."""
    row = connection.execute(select(_LOCATIONS).where(_LOCATIONS.c.business == business)).one_or_none()
    return None if row is None else _state(row)


def locations(connection: Connection) -> dict[int, LocationState]:
    """Every location that this ledger knows."""
    return {row.business: _state(row) for row in connection.execute(select(_LOCATIONS))}


def put(connection: Connection, state: LocationState) -> None:
    """Record a location. Mark and floor never move backwards, except that another practice begins anew."""
    before = connection.execute(
        select(_LOCATIONS).where(_LOCATIONS.c.business == state.business).with_for_update()
    ).one_or_none()
    mark, floor = state.mark, state.floor
    if before is not None and before.practice == state.practice:
        mark, floor = raised(moment(before.mark), mark), raised(moment(before.floor), floor)
    row = {
        "business": state.business,
        "slug": state.slug,
        "practice": state.practice,
        "mark": _text(mark),
        "last_slot": _text(state.last_slot),
        "last_pass": state.last_pass,
        "last_success": _text(state.last_success),
        "status": state.status,
        "detail": state.detail,
        "next_due": _text(state.next_due),
        "floor": _text(floor),
    }
    upsert(connection, _LOCATIONS, [row])


def raise_floors(connection: Connection, floors: Mapping[int, datetime]) -> None:
    """Raise floors of known locations; lower ones change nothing."""
    for business, floor in floors.items():
        is_lower = _LOCATIONS.c.floor.is_(None) | (_LOCATIONS.c.floor < to_text(floor))
        statement = update(_LOCATIONS).where(_LOCATIONS.c.business == business, is_lower)
        connection.execute(statement.values(floor=to_text(floor)))


def add_days(connection: Connection, business: int, eligible: Mapping[date, int]) -> None:
    """Record how many visits of each local day were eligible; a second reading of a day keeps the larger number."""
    known = days(connection, business, since=min(eligible)) if eligible else {}
    rows = [
        {"business": business, "day": day.isoformat(), "eligible": max(count, known.get(day, 0))}
        for day, count in sorted(eligible.items())
    ]
    upsert(connection, VISIT_DAYS, rows)


def days(connection: Connection, business: int, *, since: date) -> dict[date, int]:
    """Eligible visits by local day."""
    query = select(VISIT_DAYS.c.day, VISIT_DAYS.c.eligible)
    query = query.where(VISIT_DAYS.c.business == business, VISIT_DAYS.c.day >= since.isoformat())
    return {date.fromisoformat(row.day): row.eligible for row in connection.execute(query.order_by(VISIT_DAYS.c.day))}


def _state(row: Row[Any]) -> LocationState:
    return LocationState(
        business=row.business,
        slug=row.slug,
        practice=row.practice,
        status=row.status,
        detail=row.detail,
        mark=moment(row.mark),
        floor=moment(row.floor),
        last_slot=moment(row.last_slot),
        last_pass=row.last_pass,
        last_success=moment(row.last_success),
        next_due=moment(row.next_due),
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else to_text(at)
