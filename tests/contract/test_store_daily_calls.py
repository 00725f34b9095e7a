"""A day's calls on both databases: promised once, whoever asks at the same time; a new day begins at midnight UTC."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta

from reconciler.store import daily_calls
from reconciler.store.daily_calls import Used
from reconciler.store.database import Store
from tests.contract.conftest import NOW

PRODUCT = "Nextech Select"
TOMORROW = datetime(2026, 11, 25, tzinfo=UTC)
DAY = date(2026, 11, 24)


def reserve(store: Store, wanted: int, limit: int = 10, now: datetime = NOW) -> int:
    with store.begin() as connection:
        return daily_calls.reserve(connection, PRODUCT, wanted=wanted, limit=limit, now=now)


def used(store: Store, now: datetime = NOW) -> Used:
    with store.read() as connection:
        return daily_calls.used(connection, PRODUCT, now=now)


def test_calls_are_promised_until_the_limit_and_anew_on_the_next_day(store: Store) -> None:
    assert used(store) == Used(DAY)
    assert [reserve(store, 4) for _ in range(4)] == [4, 4, 2, 0]
    assert used(store).calls == 10
    assert reserve(store, 4, now=TOMORROW - timedelta(seconds=1)) == 0
    assert reserve(store, 4, now=TOMORROW) == 4


def test_a_limit_that_was_lowered_below_what_was_made_gives_none(store: Store) -> None:
    reserve(store, 8)
    assert reserve(store, 1, limit=5) == 0
    assert reserve(store, 4, limit=10) == 2


def test_what_is_given_back_can_be_promised_again_on_its_day_only(store: Store) -> None:
    reserve(store, 10)
    with store.begin() as connection:
        daily_calls.give_back(connection, PRODUCT, calls=3, day=DAY, now=NOW)
    assert used(store).calls == 7
    reserve(store, 5, now=TOMORROW)
    with store.begin() as connection:
        daily_calls.give_back(connection, PRODUCT, calls=3, day=DAY, now=TOMORROW)
    assert used(store, TOMORROW).calls == 5


def test_eight_who_ask_at_once_get_no_more_than_there_are(store: Store) -> None:
    with ThreadPoolExecutor(8) as pool:
        granted = list(pool.map(lambda number: reserve(store, 1 + number % 3, limit=50), range(60)))
    assert sum(granted) == used(store).calls == 50


def test_people_are_told_once_of_each_change(store: Store) -> None:
    def tell(is_used_up: bool, now: datetime = NOW) -> bool:
        with store.begin() as connection:
            return daily_calls.tell(connection, PRODUCT, is_used_up=is_used_up, now=now)

    assert [tell(False), tell(True), tell(True), tell(False), tell(False)] == [False, True, False, True, False]
    assert tell(True)
    assert (tell(True, TOMORROW), used(store, TOMORROW).told) == (True, date(2026, 11, 25))
