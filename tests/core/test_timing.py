"""Slots on the wall clock: nothing missed, nothing doubled, in every US zone from 2020 to 2045."""

from datetime import UTC, date, datetime, timedelta
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
    "Pacific/Guam",
    "Pacific/Honolulu",
)


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
