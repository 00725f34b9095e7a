"""How the windows of a practice's locations are read with the fewest pages: an estimate, pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from reconciler.core import timing
from reconciler.core.windows import Window

PAGE_SIZE = 50
"""The most that Nextech gives a page (``nextech-api.md`` 3)."""


@dataclass(frozen=True, slots=True)
class Read:
    """One search: ``date=ge{first}`` and ``date=lt{before}``, bare dates; for the windows at these indexes."""

    first: date
    before: date
    windows: tuple[int, ...]


def zones_differ(windows: Sequence[Window]) -> bool:
    """Do the locations' clocks differ at any bound of any window? By offset: two names for one clock are one."""
    moments = [moment for it in windows for moment in (it.read_from, it.to)]
    zones = {it.zone.key: it.zone for it in windows}
    return any(len({moment.astimezone(zone).utcoffset() for zone in zones.values()}) > 1 for moment in moments)


def plan_reads(windows: Sequence[Window], *, visits_a_day: float = PAGE_SIZE) -> tuple[Read, ...]:
    """The searches that cover every window that is not empty, in order of days; as few pages as possible.

    One read over the union where that costs no more pages than separate ones. Dates are local days of the location;
    where the zones differ each side is a day wider, since whose midnight a bare date means is not documented. The
    caller cuts each location by start.
    """
    wider = timedelta(days=1 if zones_differ(windows) else 0)
    ranges = []
    for index, it in enumerate(windows):
        if not it.is_empty:
            ranges.append((timing.local_day(it.read_from, it.zone) - wider, _day_after(it) + wider, index))
    ranges.sort()
    if not ranges:
        return ()
    # Best split of the sorted ranges into runs that are read as one: cost, then number of reads.
    best: list[tuple[int, int, tuple[Read, ...]]] = [(0, 0, ())]
    for end in range(1, len(ranges) + 1):
        options = []
        for begin in range(end):
            run = ranges[begin:end]
            read = Read(run[0][0], max(it[1] for it in run), tuple(sorted(it[2] for it in run)))
            cost, count, reads = best[begin]
            options.append((cost + pages(read, visits_a_day), count + 1, (*reads, read)))
        best.append(min(options, key=lambda it: (it[0], it[1])))
    return best[-1][2]


def _day_after(window: Window) -> date:
    """The first local day that the window does not touch."""
    local = window.to.astimezone(window.zone)
    midnight = timing.start_of_day(local.date(), window.zone)
    return local.date() if window.to <= midnight else local.date() + timedelta(days=1)


def pages(read: Read, visits_a_day: float) -> int:
    """Requests that a read costs: at least one."""
    expected = (read.before - read.first).days * visits_a_day
    return max(1, -(-int(expected) // PAGE_SIZE))


def cheaper_by_name(read: Read, *, visits_a_day: float, by_name: Mapping[str, float]) -> bool:
    """Does a search per location name (``by_name``: visits a day of each) cost fewer requests than one for all?

    A name is a prefix for Nextech, so the answer must be compared again all the same.
    """
    days = (read.before - read.first).days
    separate = sum(max(1, -(-int(days * it) // PAGE_SIZE)) for it in by_name.values())
    return bool(by_name) and separate < pages(read, visits_a_day)
