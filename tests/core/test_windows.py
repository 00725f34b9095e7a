"""Windows of a location and the reads of a practice."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.core import timing, windows, windows_reads
from reconciler.core.windows_reads import Read
from reconciler.errors import UsageError

NY = ZoneInfo("America/New_York")
LA = ZoneInfo("America/Los_Angeles")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def ny(day: str) -> datetime:
    return timing.start_of_day(date.fromisoformat(day), NY)


def make(
    *,
    now: datetime = NOW,
    mark: str | None = "2026-11-23",
    floor: str | None = None,
    start: str = "2026-01-01",
    first_in_force: datetime = datetime(2026, 1, 2, 15, tzinfo=UTC),
    delay_days: int = 0,
    overlap_days: int = 3,
    frequency: str = "1d",
) -> windows.Window:
    return windows.window(
        now=now,
        zone=NY,
        mark=ny(mark) if mark else None,
        floor=ny(floor) if floor else None,
        start=date.fromisoformat(start),
        first_in_force=first_in_force,
        delay_days=delay_days,
        overlap_days=overlap_days,
        max_catch_up_days=14,
        frequency=frequency,
    )


def bounds(it: windows.Window) -> tuple[datetime, datetime, datetime]:
    return it.read_from, it.start, it.to


def test_an_ordinary_day_takes_yesterday_and_the_overlap() -> None:
    it = make()
    assert bounds(it) == (ny("2026-11-20"), ny("2026-11-23"), ny("2026-11-24"))
    assert it.closed_before is None
    assert it.mark_after == ny("2026-11-24")
    assert it.takes(ny("2026-11-20"))
    assert not it.takes(ny("2026-11-24"))
    assert it.is_overlap(ny("2026-11-22"))
    assert not it.is_overlap(ny("2026-11-23"))


def test_the_fetch_delay_shifts_the_end() -> None:
    it = make(mark="2026-11-21", delay_days=2)
    assert bounds(it) == (ny("2026-11-18"), ny("2026-11-21"), ny("2026-11-22"))


def test_a_later_pass_of_the_day_only_reads_the_overlap_again() -> None:
    it = make(mark="2026-11-24", frequency="1h")
    assert bounds(it) == (ny("2026-11-21"), ny("2026-11-24"), ny("2026-11-24"))
    assert it.mark_after == ny("2026-11-24")


def test_a_longer_delay_gives_empty_windows_and_never_moves_the_mark_back() -> None:
    it = make(mark="2026-11-24", delay_days=10)
    assert it.is_empty
    assert it.mark_after == ny("2026-11-24")


def test_the_overlap_never_reaches_before_contact_start_or_floor() -> None:
    assert make(start="2026-11-22").read_from == ny("2026-11-22")
    assert make(floor="2026-11-21").read_from == ny("2026-11-21")
    assert make(start="2026-11-22", floor="2026-11-21").read_from == ny("2026-11-22")


def test_the_mark_starts_again_at_a_later_floor() -> None:
    it = make(mark="2026-10-01", floor="2026-11-24")
    assert it.is_empty
    assert it.closed_before is None
    assert it.mark_after == ny("2026-11-24")
    tomorrow = make(now=NOW + timedelta(days=1), mark="2026-11-24", floor="2026-11-24")
    assert bounds(tomorrow) == (ny("2026-11-24"), ny("2026-11-24"), ny("2026-11-25"))


def test_catch_up_is_closed_beyond_the_limit() -> None:
    assert make(mark="2026-11-10").closed_before is None
    assert make(mark="2026-11-09").closed_before == ny("2026-11-10")


def test_a_long_frequency_is_not_downtime() -> None:
    assert make(mark="2026-10-25", frequency="30d").closed_before is None
    assert make(mark="2026-10-24", frequency="30d").closed_before == ny("2026-10-25")


def test_a_declared_backlog_is_not_closed_by_the_catch_up_limit() -> None:
    yesterday = NOW - timedelta(days=1)
    it = make(mark=None, start="2026-09-01", first_in_force=yesterday)
    assert bounds(it) == (ny("2026-09-01"), ny("2026-09-01"), ny("2026-11-24"))
    assert it.closed_before is None


def test_a_first_pass_that_never_came_for_weeks_is_closed_beyond_the_limit() -> None:
    it = make(mark=None, start="2026-09-01", first_in_force=NOW - timedelta(days=30))
    assert it.closed_before == ny("2026-11-10")


def test_a_day_of_the_fold_is_taken_whole() -> None:
    it = make(now=datetime(2026, 11, 2, 12, tzinfo=UTC), mark="2026-11-01")
    assert it.to - it.start == timedelta(hours=25)


START = {"zone": NY, "first_in_force": datetime(2026, 11, 24, 2, tzinfo=UTC)}  # the evening of the 23rd in New York


def resolve(
    *, own: str | None = None, setting: str | None = None, floor: str | None = None, is_ours: bool = True
) -> windows.ContactStart:
    return windows.contact_start(
        own=date.fromisoformat(own) if own else None,
        setting=date.fromisoformat(setting) if setting else None,
        first_in_force=datetime(2026, 11, 24, 2, tzinfo=UTC),
        zone=NY,
        floor=ny(floor) if floor else None,
        is_ours=is_ours,
    )


def test_contact_start_is_the_locations_own_key_first() -> None:
    assert resolve(own="2026-09-01", setting="2026-11-20") == windows.ContactStart(date(2026, 9, 1), "location")


def test_the_setting_counts_while_it_is_at_most_14_days_older() -> None:
    assert resolve(setting="2026-11-09") == windows.ContactStart(date(2026, 11, 9), "setting")
    assert resolve(setting="2026-12-09") == windows.ContactStart(date(2026, 12, 9), "setting")
    assert resolve(setting="2026-11-08") == windows.ContactStart(
        date(2026, 11, 22),
        "default",
        "contact_start 2026-11-08 of the settings is more than 14 days before the location was put in force "
        "(2026-11-23) and is ignored",
    )


def test_without_any_date_it_is_the_local_day_before_it_was_put_in_force() -> None:
    assert resolve() == windows.ContactStart(date(2026, 11, 22), "default")


def test_an_adopted_location_starts_the_day_it_is_put_in_force() -> None:
    assert resolve(is_ours=False) == windows.ContactStart(date(2026, 11, 23), "floor")
    assert resolve(own="2026-09-01", is_ours=False) == windows.ContactStart(
        date(2026, 11, 23),
        "floor",
        "contact_start 2026-09-01 lies before 2026-11-23, when contacting began, and is ignored",
    )
    assert resolve(own="2026-12-01", is_ours=False) == windows.ContactStart(date(2026, 12, 1), "location")


def test_a_floor_holds_for_everybody() -> None:
    assert resolve(own="2026-11-01", floor="2026-11-24").day == date(2026, 11, 24)


def test_a_floor_is_the_start_of_the_local_day() -> None:
    assert windows.floor_of(datetime(2026, 11, 24, 2, tzinfo=UTC), NY) == ny("2026-11-23")


def test_a_mark_is_raised_and_never_lowered() -> None:
    early, late = ny("2026-11-01"), ny("2026-11-02")
    assert windows.raised(early, late) == late
    assert windows.raised(late, early) == late
    assert windows.raised(None, early) == early
    assert windows.raised(early, None) == early


def test_one_day_is_taken_without_delay_overlap_or_mark() -> None:
    it = windows.day_window(date(2026, 11, 20), now=NOW, zone=NY, floor=None)
    assert (*bounds(it), it.mark_after) == (ny("2026-11-20"), ny("2026-11-20"), ny("2026-11-21"), None)
    assert windows.day_window(date(2026, 11, 20), now=NOW, zone=NY, floor=ny("2026-11-23")).is_empty


def test_a_day_that_is_not_over_is_refused() -> None:
    with pytest.raises(UsageError, match="yesterday"):
        windows.day_window(date(2026, 11, 24), now=NOW, zone=NY, floor=None)


def test_a_backfill_takes_both_days_and_ends_at_most_today() -> None:
    it = windows.backfill_window(date(2026, 11, 20), date(2026, 11, 24), now=NOW, zone=NY, floor=None)
    assert (*bounds(it), it.mark_after) == (ny("2026-11-20"), ny("2026-11-20"), ny("2026-11-25"), None)
    with pytest.raises(UsageError, match="future"):
        windows.backfill_window(date(2026, 11, 20), date(2026, 11, 25), now=NOW, zone=NY, floor=None)
    with pytest.raises(UsageError, match="after the last"):
        windows.backfill_window(date(2026, 11, 21), date(2026, 11, 20), now=NOW, zone=NY, floor=None)


def days(first: str, before: str, zone: ZoneInfo = NY) -> windows.Window:
    begin, to = (timing.start_of_day(date.fromisoformat(it), zone) for it in (first, before))
    return windows.Window(begin, to, begin, None, zone, None)


def test_fifty_equal_windows_are_one_read() -> None:
    found = windows_reads.plan_reads([days("2026-11-20", "2026-11-24")] * 50)
    assert found == (Read(date(2026, 11, 20), date(2026, 11, 24), tuple(range(50))),)


def test_far_apart_windows_are_read_apart_where_that_costs_fewer_pages() -> None:
    given_windows = [days("2026-11-23", "2026-11-24"), days("2026-10-01", "2026-10-02")]
    assert windows_reads.plan_reads(given_windows, visits_a_day=100) == (
        Read(date(2026, 10, 1), date(2026, 10, 2), (1,)),
        Read(date(2026, 11, 23), date(2026, 11, 24), (0,)),
    )
    assert len(windows_reads.plan_reads(given_windows, visits_a_day=0.5)) == 1


def test_reads_are_a_day_wider_where_clocks_differ_and_not_for_two_names_of_one_clock() -> None:
    detroit = ZoneInfo("America/Detroit")
    same = [days("2026-11-23", "2026-11-24"), days("2026-11-23", "2026-11-24", detroit)]
    assert windows_reads.plan_reads(same)[0] == Read(date(2026, 11, 23), date(2026, 11, 24), (0, 1))
    other = [days("2026-11-23", "2026-11-24"), days("2026-11-23", "2026-11-24", LA)]
    assert windows_reads.plan_reads(other)[0] == Read(date(2026, 11, 22), date(2026, 11, 25), (0, 1))


def test_empty_windows_are_not_read() -> None:
    assert windows_reads.plan_reads([days("2026-11-24", "2026-11-24")]) == ()


def test_a_window_of_a_zone_that_was_corrected_is_still_covered() -> None:
    it = windows.Window(ny("2026-11-23"), ny("2026-11-24"), ny("2026-11-23"), None, LA, None)
    assert windows_reads.plan_reads([it])[0] == Read(date(2026, 11, 22), date(2026, 11, 24), (0,))


def test_names_are_searched_one_by_one_only_where_that_costs_fewer_requests() -> None:
    read = Read(date(2026, 11, 20), date(2026, 11, 24), (0,))
    assert windows_reads.cheaper_by_name(read, visits_a_day=500, by_name={"North": 20})
    assert not windows_reads.cheaper_by_name(read, visits_a_day=10, by_name={"North": 5})
    assert not windows_reads.cheaper_by_name(read, visits_a_day=10, by_name={})


spans = st.tuples(st.integers(0, 60), st.integers(1, 10)).map(
    lambda it: (date(2026, 9, 1) + timedelta(days=it[0]), date(2026, 9, 1) + timedelta(days=it[0] + it[1]))
)


@given(st.lists(spans, min_size=1, max_size=8), st.floats(0, 400))
def test_every_window_is_covered_once_and_never_for_more_pages_than_apart_or_together(
    given_spans: list[tuple[date, date]], visits_a_day: float
) -> None:
    given_windows = [days(a.isoformat(), b.isoformat()) for a, b in given_spans]
    found = windows_reads.plan_reads(given_windows, visits_a_day=visits_a_day)
    assert sorted(index for read in found for index in read.windows) == list(range(len(given_windows)))
    for read in found:
        for index in read.windows:
            assert read.first <= given_spans[index][0]
            assert given_spans[index][1] <= read.before
    cost = sum(windows_reads.pages(it, visits_a_day) for it in found)
    apart = sum(windows_reads.pages(Read(a, b, ()), visits_a_day) for a, b in given_spans)
    union = Read(min(a for a, _ in given_spans), max(b for _, b in given_spans), ())
    assert cost <= min(apart, windows_reads.pages(union, visits_a_day))


@given(
    st.lists(st.tuples(st.integers(0, 96), st.integers(0, 6)), min_size=1, max_size=30),
    st.sampled_from(["America/New_York", "America/Los_Angeles", "Pacific/Honolulu"]),
)
def test_successive_windows_leave_no_gap_and_marks_never_go_back(steps: list[tuple[int, int]], zone: str) -> None:
    clock, now, mark = ZoneInfo(zone), datetime(2026, 10, 28, 9, tzinfo=UTC), None
    covered: datetime | None = None
    for hours, delay in steps:
        now += timedelta(hours=hours)
        it = windows.window(
            now=now,
            zone=clock,
            mark=mark,
            floor=None,
            start=date(2026, 10, 20),
            first_in_force=datetime(2026, 10, 28, 9, tzinfo=UTC),
            delay_days=delay,
            overlap_days=3,
            max_catch_up_days=14,
        )
        assert covered is None or it.start == covered
        assert it.mark_after is not None
        assert mark is None or it.mark_after >= mark
        mark = covered = it.mark_after
