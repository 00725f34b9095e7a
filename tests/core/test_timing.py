"""Slots on the wall clock: nothing missed, nothing doubled, in every US zone from 2020 to 2045."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from reconciler.core import timing
from reconciler.errors import InternalError

NEW_YORK = ZoneInfo("America/New_York")
US_ZONES = (
    "America/Adak",
    "America/Anchorage",
    "America/Boise",
    "America/Chicago",
    "America/Denver",
    "America/Detroit",
    "America/Indiana/Indianapolis",
    "America/Indiana/Knox",
    "America/Indiana/Marengo",
    "America/Indiana/Petersburg",
    "America/Indiana/Tell_City",
    "America/Indiana/Vevay",
    "America/Indiana/Vincennes",
    "America/Indiana/Winamac",
    "America/Juneau",
    "America/Kentucky/Louisville",
    "America/Kentucky/Monticello",
    "America/Los_Angeles",
    "America/Menominee",
    "America/Metlakatla",
    "America/New_York",
    "America/Nome",
    "America/North_Dakota/Beulah",
    "America/North_Dakota/Center",
    "America/North_Dakota/New_Salem",
    "America/Phoenix",
    "America/Puerto_Rico",
    "America/Sitka",
    "America/Yakutat",
    "America/St_Thomas",
    "Pacific/Guam",
    "Pacific/Honolulu",
    "Pacific/Pago_Pago",
    "Pacific/Saipan",
)
US = ("US", "AS", "GU", "MP", "PR", "VI")
"""The country and its inhabited territories, as the tz database codes them."""
HALF_HOUR = timedelta(minutes=30)


def wall(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - a wall clock has no zone


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def walk(slots: timing.Schedule, begin: datetime, end: datetime) -> list[timing.Slot]:
    found, after = [], begin
    while (slot := timing.next_slot(slots, after)).at <= end:
        found.append(slot)
        after = slot.at
    return found


@pytest.mark.parametrize("zone", US_ZONES)
def test_daily_slots_come_once_on_every_local_day_from_2020_to_2045(zone: str) -> None:
    clock = ZoneInfo(zone)
    slots = timing.Schedule(wall(2020, 1, 1, 2, 30), timedelta(days=1), clock)  # 02:30 lies in the gap
    found = walk(slots, utc("2019-12-31T00:00Z"), utc("2046-01-01T12:00Z"))
    days = [slot.at.astimezone(clock).date() for slot in found]
    assert days == [date(2020, 1, 1) + timedelta(days=n) for n in range(len(days))]
    assert days[-1] >= date(2045, 12, 31)
    assert all(timedelta(hours=22) < b.at - a.at < timedelta(hours=26) for a, b in pairwise(found))


def changes(zone: ZoneInfo) -> Iterator[datetime]:
    """The days from 2020 to 2045 on which the zone's offset changes; where it never does, those on which most do."""
    some = zone if zone.utcoffset(wall(2027, 7, 1)) != zone.utcoffset(wall(2027, 1, 1)) else NEW_YORK
    day = datetime(2020, 1, 1, tzinfo=UTC)
    while day.year <= 2045:
        following = day + timedelta(days=1)
        if day.astimezone(some).utcoffset() != following.astimezone(some).utcoffset():
            yield day
        day = following


def first_instants(slots: timing.Schedule, moments: list[datetime]) -> list[datetime]:
    """The oracle, by looking at a clock on the wall: a slot runs at the first moment that shows its time or a later one."""
    k = (moments[0].astimezone(slots.zone).replace(tzinfo=None) - slots.anchor) // slots.step + 1
    found = []
    for moment in moments[1:]:
        shown = moment.astimezone(slots.zone).replace(tzinfo=None)
        if shown >= slots.anchor + k * slots.step:
            found.append(moment)
        while shown >= slots.anchor + k * slots.step:
            k += 1
    return found


def test_the_zones_are_all_that_the_tz_database_has_of_the_united_states() -> None:
    table = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text()
    lines = [line.split("\t") for line in table.splitlines() if not line.startswith("#")]
    assert {line[2] for line in lines if line[0] in US} == set(US_ZONES)


@pytest.mark.parametrize("frequency", ["1h", "12h", "1d"])
@pytest.mark.parametrize("zone", US_ZONES)
def test_who_looks_every_half_hour_finds_each_slot_once_around_every_change_of_the_clocks(
    zone: str, frequency: str
) -> None:
    clock = ZoneInfo(zone)
    seen = 0
    for number, day in enumerate(changes(clock)):
        anchor = wall(2020, 1, 1, 1 + number % 2, 30)  # 01:30 lies in the fold, 02:30 in the gap
        slots = timing.Schedule(anchor, timing.every(frequency), clock)
        moments = [day - timedelta(hours=12) + n * HALF_HOUR for n in range(2 * 48 + 1)]
        ran, last = [], moments[0]
        for moment in moments[1:]:
            due = timing.due_slot(slots, last=last, now=moment)
            if due is not None:
                assert due.at == moment
                ran.append(moment)
                last = due.at
        assert ran == first_instants(slots, moments) == [it.at for it in walk(slots, moments[0], moments[-1])]
        seen += 1
    assert seen == 2 * 26


@pytest.mark.parametrize("zone", ["America/New_York", "America/Phoenix", "Pacific/Honolulu", "America/Adak"])
def test_hourly_slots_are_an_hour_apart_except_over_the_fold(zone: str) -> None:
    slots = timing.Schedule(wall(2020, 1, 1), timedelta(hours=1), ZoneInfo(zone))
    for year in range(2020, 2046):
        for month in (3, 11):
            begin = datetime(year, month, 1 if month == 11 else 8, tzinfo=UTC)
            found = walk(slots, begin, begin + timedelta(days=7))
            gaps = {b.at - a.at for a, b in pairwise(found)}
            assert gaps <= {timedelta(hours=1), timedelta(hours=2)}
            assert len(found) - len({slot.at for slot in found}) == 0
            assert len(found) >= 7 * 24 - 1


def test_a_time_in_the_gap_runs_at_the_next_instant_that_exists() -> None:
    assert timing.instant(wall(2027, 3, 14, 2, 30), NEW_YORK) == utc("2027-03-14T03:00-04:00")
    assert timing.instant(wall(2027, 3, 14, 1, 59, 59), NEW_YORK) == utc("2027-03-14T01:59:59-05:00")


def test_a_time_in_the_fold_runs_once_the_first_time() -> None:
    assert timing.instant(wall(2026, 11, 1, 1, 30), NEW_YORK) == utc("2026-11-01T05:30Z")
    slots = timing.Schedule(wall(2026, 10, 30, 1, 30), timedelta(days=1), NEW_YORK)
    found = walk(slots, utc("2026-10-31T12:00Z"), utc("2026-11-02T12:00Z"))
    assert [slot.at for slot in found] == [utc("2026-11-01T05:30Z"), utc("2026-11-02T06:30Z")]


def test_a_day_that_begins_in_a_gap_begins_at_its_first_instant() -> None:
    havana = ZoneInfo("America/Havana")
    assert timing.start_of_day(date(2027, 3, 14), havana) == utc("2027-03-14T05:00Z")


def test_a_skipped_day_has_no_slot_of_its_own() -> None:
    apia = ZoneInfo("Pacific/Apia")  # 2011-12-30 did not exist
    slots = timing.Schedule(wall(2011, 12, 28, 6), timedelta(days=1), apia)
    found = walk(slots, utc("2011-12-28T00:00Z"), utc("2012-01-01T20:00Z"))
    assert len({slot.at for slot in found}) == len(found)
    assert [slot.at.astimezone(apia).day for slot in found] == [28, 29, 31, 31, 1, 2]


def test_next_run_is_read_as_the_wall_clock_of_the_zone() -> None:
    slots = timing.schedule(next_run="2026-11-24T06:00:00-05:00", frequency="1d", zone=NEW_YORK, practice="p")
    assert slots.slot(0).at == utc("2026-11-24T11:00Z")
    assert timing.next_slot(slots, utc("2020-01-01T00:00Z")) == slots.slot(0)
    assert timing.next_slot(slots, utc("2027-07-01T10:00Z")).at == utc("2027-07-02T10:00Z")


def test_without_next_run_slots_are_at_six_plus_a_spread_that_never_changes() -> None:
    slots = timing.schedule(next_run=None, frequency="1d", zone=NEW_YORK, practice="Practice-1")
    assert timing.spread("Practice-1") == timing.spread("practice-1 ")
    assert timing.spread("Practice-1") == timedelta(seconds=1447)
    local = timing.next_slot(slots, utc("2026-11-24T00:00-05:00")).at.astimezone(NEW_YORK)
    assert local == datetime(2026, 11, 24, 6, tzinfo=NEW_YORK) + timing.spread("practice-1")


def test_missed_slots_collapse_into_the_latest() -> None:
    slots = timing.Schedule(wall(2026, 11, 1, 6), timedelta(days=1), NEW_YORK)
    due = timing.due_slot(slots, last=utc("2026-11-10T11:00Z"), now=utc("2026-11-24T12:00Z"))
    assert due is not None
    assert due.wall == wall(2026, 11, 24, 6)
    assert timing.due_slot(slots, last=due.at, now=utc("2026-11-24T23:00Z")) is None


def test_nothing_is_due_before_the_first_slot() -> None:
    slots = timing.Schedule(wall(2026, 11, 24, 6), timedelta(days=1), NEW_YORK)
    assert timing.due_slot(slots, last=utc("2026-11-01T00:00Z"), now=utc("2026-11-24T10:59Z")) is None


def test_a_location_due_within_half_an_hour_joins_the_pass() -> None:
    slots = timing.Schedule(wall(2026, 11, 24, 6), timedelta(days=1), NEW_YORK)
    last = utc("2026-11-23T11:00Z")
    assert timing.joins(slots, last=last, now=utc("2026-11-24T10:29Z")) is None
    assert timing.joins(slots, last=last, now=utc("2026-11-24T10:30Z")) == slots.slot(0)


def test_a_frequency_in_force_is_hours_or_days() -> None:
    assert timing.every("12h") == timedelta(hours=12)
    assert timing.every("2d") == timedelta(days=2)
    for wrong in ("0h", "1w", "12", "h", "-1d", "١d"):
        with pytest.raises(InternalError):
            timing.every(wrong)
