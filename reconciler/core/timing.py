"""When a location is due: slots ``next_run + k x frequency`` on the wall clock of its zone.

A wall-clock time that does not exist (the gap in spring) runs at the next instant that does; one that happens twice
(the fold in autumn) runs once, the first time. Missed slots collapse into one. Nothing here reads a clock.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from reconciler.errors import InternalError

DEFAULT_HOUR = 6
"""Local time of the first slot where the declaration gives none (``sync.md``)."""
SPREAD = timedelta(hours=1)
"""Practices without ``next_run`` are spread over this long, so that they do not all call at once."""
EPOCH = date(2020, 1, 1)
"""From which slots without ``next_run`` are counted: fixed, so that ``2d`` means the same two days for ever."""
TOGETHER = timedelta(minutes=30)
"""A pass takes every location of the practice that is due within this long."""


def instant(wall: datetime, zone: ZoneInfo) -> datetime:
    """The UTC instant of a naive wall-clock time: in a gap the gap's end, in a fold the first of the two."""
    first = wall.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if first.astimezone(zone).replace(tzinfo=None) == wall:
        return first
    # In a gap, fold 0 reads the offset before it and lands after; fold 1 the other way round. The gap ends between.
    low = int(wall.replace(tzinfo=zone, fold=1).astimezone(UTC).timestamp())
    high = int(first.timestamp())
    after = first.astimezone(zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == after:
            high = middle
        else:
            low = middle
    return datetime.fromtimestamp(high, UTC)


def start_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The first instant of a local day, in UTC."""
    return instant(datetime.combine(day, time()), zone)


def local_day(moment: datetime, zone: ZoneInfo) -> date:
    """The local day of an aware moment."""
    return moment.astimezone(zone).date()


def every(frequency: str) -> timedelta:
    """``12h`` or ``2d`` as a duration on the wall clock."""
    match = re.fullmatch(r"([1-9]\d{0,3})([hd])", frequency, re.ASCII)
    if match is None:
        raise InternalError("a frequency in force is not a whole number of hours or days")
    number = int(match[1])
    return timedelta(hours=number) if match[2] == "h" else timedelta(days=number)


@dataclass(frozen=True, slots=True)
class Slot:
    """One due time: naive wall clock and its UTC instant."""

    wall: datetime
    at: datetime


@dataclass(frozen=True, slots=True)
class Schedule:
    """The slots of one location. ``anchor`` is the first, a naive wall-clock time; there is none before it."""

    anchor: datetime
    step: timedelta
    zone: ZoneInfo

    def slot(self, k: int) -> Slot:
        """The ``k``-th slot, from 0."""
        wall = self.anchor + k * self.step
        return Slot(wall, instant(wall, self.zone))


def schedule(*, next_run: str | None, frequency: str, zone: ZoneInfo, practice: str) -> Schedule:
    """``next_run``: ISO with offset, read as the wall clock of ``zone``; None: 06:00 plus the practice's spread.

    ``practice`` is any text that stands for the practice for ever (its id, a pseudonym); only a hash of it is used.
    """
    step = every(frequency)
    if next_run is not None:
        return Schedule(datetime.fromisoformat(next_run).astimezone(zone).replace(tzinfo=None), step, zone)
    return Schedule(datetime.combine(EPOCH, time(DEFAULT_HOUR)) + spread(practice), step, zone)


def spread(practice: str) -> timedelta:
    """Whole seconds below ``SPREAD``, the same for a practice id in either case, on every machine."""
    number = int.from_bytes(hashlib.sha256(practice.strip().casefold().encode()).digest()[:8], "big")
    return timedelta(seconds=number % int(SPREAD.total_seconds()))


def next_slot(slots: Schedule, after: datetime) -> Slot:
    """The first slot whose instant is later than ``after`` (aware).

    Two wall-clock times that fall on one instant (both inside or at the end of a gap) are one slot.
    """
    wall = after.astimezone(slots.zone).replace(tzinfo=None)
    k = max(0, (wall - slots.anchor) // slots.step)
    found = slots.slot(k)
    while k > 0 and found.at > after:  # the clock has been moved in between: look at earlier ones first
        k -= 1
        found = slots.slot(k)
    while found.at <= after:
        k += 1
        found = slots.slot(k)
    return found


def due_slot(slots: Schedule, *, last: datetime, now: datetime) -> Slot | None:
    """The latest slot in ``(last, now]``: all that was missed collapses into it. None: not due.

    ``last``: the instant of the last slot that ran, or the moment the location was put in force.
    """
    wall = now.astimezone(slots.zone).replace(tzinfo=None)
    k = (wall - slots.anchor) // slots.step
    while slots.slot(k + 1).at <= now:
        k += 1
    while k >= 0:
        found = slots.slot(k)
        if found.at <= now:
            return found if found.at > last else None
        k -= 1
    return None


def joins(slots: Schedule, *, last: datetime, now: datetime) -> Slot | None:
    """The slot with which a location takes part in a pass that starts now: due, or due within ``TOGETHER``."""
    return due_slot(slots, last=last, now=now + TOGETHER)
