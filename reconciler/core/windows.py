"""Which visits a location looks at: window, overlap, floor, first contact date, catch-up. Pure, of given times.

Marks, floors and bounds are aware UTC instants, so that a location whose time zone is corrected neither skips nor
repeats an hour; days are local days of the location.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from reconciler.core import timing
from reconciler.errors import UsageError

GLOBAL_START_DAYS = 14
"""How long before a location was first put in force the global ``contact_start`` may lie and still count."""

StartSource = Literal["location", "setting", "default", "floor"]


@dataclass(frozen=True, slots=True)
class ContactStart:
    """The first contact date of a location and where it came from. ``warning`` tells what was ignored."""

    day: date
    source: StartSource
    warning: str | None = None


def contact_start(
    *,
    own: date | None,
    setting: date | None,
    first_in_force: datetime,
    zone: ZoneInfo,
    floor: datetime | None,
    is_ours: bool,
) -> ContactStart:
    """The location's key, else the setting where it is recent enough, else the day before it was put in force.

    ``is_ours``: the group was created by this store's own journal and this ledger is not new to a known location.
    Otherwise, and wherever a floor lies later, nothing reaches before the floor (without one: the local day of
    ``first_in_force``).
    """
    day_in_force = timing.local_day(first_in_force, zone)
    warning: str | None = None
    source: StartSource
    if own is not None:
        day, source = own, "location"
    elif setting is not None and setting >= day_in_force - timedelta(days=GLOBAL_START_DAYS):
        day, source = setting, "setting"
    else:
        day, source = day_in_force - timedelta(days=1), "default"
        if setting is not None:
            warning = (
                f"contact_start {setting} of the settings is more than {GLOBAL_START_DAYS} days before the location "
                f"was put in force ({day_in_force}) and is ignored"
            )
    bound = floor if floor is not None else (None if is_ours else timing.start_of_day(day_in_force, zone))
    if bound is not None and timing.start_of_day(day, zone) < bound:
        floor_day = timing.local_day(bound, zone)
        if source != "default":
            warning = f"contact_start {day} lies before {floor_day}, when contacting began, and is ignored"
        return ContactStart(floor_day, "floor", warning)
    return ContactStart(day, source, warning)


def floor_of(moment: datetime, zone: ZoneInfo) -> datetime:
    """The floor after a time that is never made up: the start of the local day in which it ended.

    Such times: inactive, paused, beta, released, ``runner: platform``, without the trigger, on another practice id.
    ``moment`` is that of the apply or ``resume``, not of the next pass.
    """
    return timing.start_of_day(timing.local_day(moment, zone), zone)


def raised(mark: datetime | None, to: datetime | None) -> datetime | None:
    """The later of a mark and a floor or a window's end: a mark never moves backwards."""
    if mark is None or to is None:
        return mark if to is None else to
    return max(mark, to)


@dataclass(frozen=True, slots=True)
class Window:
    """What one location takes by start: ``read_from <= start < to``; ``start`` begins what is new."""

    start: datetime
    """The mark, or the first contact date."""
    to: datetime
    read_from: datetime
    """``start`` less the overlap, never before contact start and floor."""
    closed_before: datetime | None
    """Visits that start before it are ``too_late``: the catch-up limit. None: nothing is closed."""
    zone: ZoneInfo
    mark_after: datetime | None
    """Where the mark stands once every visit has an outcome; None where it is not moved (``--date``)."""

    @property
    def is_empty(self) -> bool:
        """Nothing to read, not even again."""
        return self.read_from >= self.to

    def takes(self, start: datetime) -> bool:
        """Is a visit that starts then one of this window or its overlap?"""
        return self.read_from <= start < self.to

    def is_overlap(self, start: datetime) -> bool:
        """Was that start already covered by an earlier pass (so that final decisions stand)?"""
        return self.read_from <= start < self.start


def window(
    *,
    now: datetime,
    zone: ZoneInfo,
    mark: datetime | None,
    floor: datetime | None,
    start: date,
    first_in_force: datetime,
    delay_days: int,
    overlap_days: int,
    max_catch_up_days: int,
    frequency: str = "1d",
) -> Window:
    """The window of an ordinary pass. ``start`` is the resolved first contact date (``contact_start``).

    ``to`` is the start of today less the fetch delay, whatever the frequency: later passes of a day only re-read the
    overlap. On the first pass a backlog that was declared is not downtime, so the catch-up limit counts from the
    moment the location was put in force. A frequency longer than the limit is not downtime either.
    """
    to = timing.start_of_day(timing.local_day(now, zone) - timedelta(days=delay_days), zone)
    earliest = timing.start_of_day(start, zone)
    if floor is not None:
        earliest = max(earliest, floor)
    begin = max(mark, floor) if mark is not None and floor is not None else (mark or earliest)
    overlap = timing.start_of_day(timing.local_day(begin, zone) - timedelta(days=overlap_days), zone)
    limit = catch_up_limit(to, zone=zone, max_catch_up_days=max_catch_up_days, frequency=frequency)
    missed_since = begin if mark is not None else max(begin, floor_of(first_in_force, zone))
    return Window(
        start=begin,
        to=to,
        read_from=max(overlap, earliest),
        closed_before=limit if missed_since < limit else None,
        zone=zone,
        mark_after=max(begin, to),
    )


def catch_up_limit(to: datetime, *, zone: ZoneInfo, max_catch_up_days: int, frequency: str = "1d") -> datetime:
    """What starts before it is not made up by a window that ends at ``to``."""
    days = max(max_catch_up_days, -(-timing.every(frequency) // timedelta(days=1)))
    return timing.start_of_day(timing.local_day(to, zone) - timedelta(days=days), zone)


def day_window(day: date, *, now: datetime, zone: ZoneInfo, floor: datetime | None) -> Window:
    """``sync --date``: one local day, no delay, no overlap, the mark neither used nor moved. At most yesterday."""
    if day >= timing.local_day(now, zone):
        raise UsageError(f"--date {day}: the day is not over at every location; give yesterday or an earlier day")
    return _days(day, day, zone, floor)


def backfill_window(first: date, last: date, *, now: datetime, zone: ZoneInfo, floor: datetime | None) -> Window:
    """``sync --backfill FROM TO``: both local days included, at most up to today; nobody is contacted."""
    if first > last:
        raise UsageError(f"--backfill {first} {last}: the first day is after the last one")
    if last > timing.local_day(now, zone):
        raise UsageError(f"--backfill {first} {last}: the last day is in the future")
    return _days(first, last, zone, floor)


def _days(first: date, last: date, zone: ZoneInfo, floor: datetime | None) -> Window:
    begin, to = timing.start_of_day(first, zone), timing.start_of_day(last + timedelta(days=1), zone)
    if floor is not None:
        begin = max(begin, floor)
    return Window(start=begin, to=to, read_from=begin, closed_before=None, zone=zone, mark_after=None)
