"""Practices: whether they let us in, and the location names they have. Pauses: of a location, a business, or all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from reconciler.errors import InternalError

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
    raise InternalError("not built yet")


def put_authorised(connection: Connection, pseudonym: str, *, authorised: bool, at: datetime, detail: str = "") -> bool:
    """Record whether a practice lets us in; whether that is a change of state."""
    raise InternalError("not built yet")


def put_names(connection: Connection, pseudonym: str, names: Sequence[str], *, at: datetime) -> None:
    """Record the location names of a practice."""
    raise InternalError("not built yet")


def pauses(connection: Connection) -> dict[int, Pause]:
    """Every pause, by business."""
    raise InternalError("not built yet")


def pause(connection: Connection, it: Pause) -> bool:
    """Pause; False where it was paused already (the earlier record stays)."""
    raise InternalError("not built yet")


def resume(connection: Connection, business: int) -> Pause | None:
    """End a pause; what it was, or None where there was none."""
    raise InternalError("not built yet")
