"""Where each location stands: mark, floor, slot, last pass, status. And visits a day, which caps compare with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection

from reconciler.errors import InternalError


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
    raise InternalError("not built yet")


def locations(connection: Connection) -> dict[int, LocationState]:
    """Every location that this ledger knows."""
    raise InternalError("not built yet")


def put(connection: Connection, state: LocationState) -> None:
    """Record a location. Mark and floor never move backwards, except that another practice begins anew."""
    raise InternalError("not built yet")


def raise_floors(connection: Connection, floors: Mapping[int, datetime]) -> None:
    """Raise floors of known locations; lower ones change nothing."""
    raise InternalError("not built yet")


def add_days(connection: Connection, business: int, eligible: Mapping[date, int]) -> None:
    """Record how many visits of each local day were eligible; a second reading of a day keeps the larger number."""
    raise InternalError("not built yet")


def days(connection: Connection, business: int, *, since: date) -> dict[date, int]:
    """Eligible visits by local day."""
    raise InternalError("not built yet")
