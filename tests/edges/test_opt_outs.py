"""The opt-out feed is read once for all who ask, whole once a day, and by its additions in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from reconciler.clients.contacts import OptOut
from reconciler.core.fhir_models import Patient, Telecom
from reconciler.core.phi import Phi
from reconciler.errors import Answered, RemoteError
from reconciler.sync.opt_outs import BEGINNING, OptOutFeeds
from tests.ledgers import NOW, PARENT

DAY = timedelta(days=1)


class Feed:
    """A feed with one entry a read, and a note of what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[datetime, datetime]] = []
        self.entries: list[OptOut] = []
        self.old: list[OptOut] = []
        self.fails = False
        self.refuses: tuple[int, int | None] | None = None

    def opt_outs_at_once(self, business: int, api_key: str, *, start: datetime, end: datetime) -> tuple[OptOut, ...]:
        assert (business, api_key) == (PARENT, "key")
        self.asked.append((start, end))
        if self.refuses is not None:
            status, code = self.refuses
            raise Answered("refused", method="POST", path="/", status=status, code=code)
        return tuple(self.old)

    def opt_outs(self, business: int, api_key: str, *, start: datetime, end: datetime) -> Iterator[tuple[OptOut, ...]]:
        assert (business, api_key) == (PARENT, "key")
        self.asked.append((start, end))
        yield tuple(self.entries)
        if self.fails:
            raise RemoteError("the feed failed", method="POST", path="/")


def out(email: str, channel: Literal["email", "text", "blocked"] = "email", *categories: str) -> OptOut:
    return OptOut("77", channel, email, None, frozenset(categories))


def patient(email: str) -> Patient:
    return Patient(id=Phi("p"), telecoms=(Telecom("email", "home", None, Phi(email)),))


def test_the_feed_is_whole_once_a_day_and_grows_with_each_pass() -> None:
    feed, at = Feed(), [NOW]
    feeds = OptOutFeeds(feed, now=lambda: at[0])
    feed.entries = [out("one@example.com"), out("two@example.com", "email", "marketing")]
    found = feeds.of(PARENT, "key", "US", since=at[0])
    assert found.has(patient("ONE@example.com"), "US")
    assert not found.has(patient("two@example.com"), "US")
    assert feeds.of(PARENT, "key", "CA", since=at[0]).has(patient("one@example.com"), "CA")
    assert feed.asked == [(BEGINNING, NOW - 29 * DAY), (NOW - 29 * DAY, NOW)]
    at[0] = NOW + timedelta(seconds=20)
    feed.entries = [out("two@example.com", "blocked")]
    assert not feeds.of(PARENT, "key", "US", since=NOW).has(patient("two@example.com"), "US")  # the same pass
    assert len(feed.asked) == 2
    found = feeds.of(PARENT, "key", "US", since=at[0])
    assert found.has(patient("one@example.com"), "US")
    assert found.has(patient("two@example.com"), "US")
    assert feed.asked[2:] == [(NOW - timedelta(minutes=5), at[0])]
    at[0] = NOW + DAY
    assert not feeds.of(PARENT, "key", "US", since=at[0]).has(patient("one@example.com"), "US")
    assert feed.asked[3:] == [(BEGINNING, NOW - 28 * DAY), (NOW - 28 * DAY, at[0])]
    assert repr(feeds) == "<opt-out feeds of 1 accounts>"


def test_half_a_feed_is_no_feed() -> None:
    feed, at = Feed(), [datetime(2026, 11, 24, tzinfo=UTC)]
    feeds = OptOutFeeds(feed, now=lambda: at[0])
    feed.entries, feed.fails = [out("one@example.com")], True
    for _ in range(2):
        with pytest.raises(RemoteError, match="the feed failed"):
            feeds.of(PARENT, "key", "US", since=at[0])
    feed.fails = False
    assert feeds.of(PARENT, "key", "US", since=at[0]).has(patient("one@example.com"), "US")


def test_who_reads_the_feed_made_its_requests_and_who_finds_it_read_made_none() -> None:
    feed, at, counted = Feed(), [NOW], [0]
    feeds = OptOutFeeds(feed, now=lambda: at[0])

    def one() -> None:
        counted[0] += 1

    feeds.of(PARENT, "key", "US", since=at[0], on_request=one)
    assert counted == [2]
    feeds.of(PARENT, "key", "CA", since=at[0], on_request=one)
    assert counted == [2]
    at[0] = NOW + timedelta(hours=2)
    feed.fails = True
    with pytest.raises(RemoteError):
        feeds.of(PARENT, "key", "US", since=at[0], on_request=one)
    assert counted == [4]  # one that answered and one that failed


def test_who_opted_out_long_ago_is_known_by_one_more_request_a_day() -> None:
    feed, at = Feed(), [NOW]
    feeds = OptOutFeeds(feed, now=lambda: at[0])
    feed.old = [out("old@example.com"), out("other@example.com", "email", "service")]
    for _ in range(3):
        found = feeds.of(PARENT, "key", "US", since=at[0])
        assert found.has(patient("old@example.com"), "US")
        assert not found.has(patient("other@example.com"), "US")
        at[0] += timedelta(hours=7)
    assert [start for start, _ in feed.asked].count(BEGINNING) == 1
    assert feeds.shortened(PARENT) == ""


def test_where_so_long_a_span_is_refused_the_days_are_read_and_it_is_said() -> None:
    feed, at = Feed(), [NOW]
    feeds = OptOutFeeds(feed, now=lambda: at[0])
    feed.entries, feed.refuses = [out("one@example.com")], (400, 20083)
    assert feeds.shortened(PARENT) == ""
    assert feeds.of(PARENT, "key", "US", since=NOW).has(patient("one@example.com"), "US")
    assert feeds.shortened(PARENT).startswith("Birdeye does not say who opted out more than 29 days ago: ")
    at[0], feed.refuses = NOW + DAY, None
    feeds.of(PARENT, "key", "US", since=at[0])
    assert feeds.shortened(PARENT) == ""


@pytest.mark.parametrize("refusal", [(500, None), (429, 89), (401, 1161), (400, 1161), (404, 1011), (403, None)])
def test_a_long_look_back_that_fails_for_another_reason_contacts_nobody(refusal: tuple[int, int | None]) -> None:
    feed = Feed()
    feeds = OptOutFeeds(feed, now=lambda: NOW)
    feed.refuses = refusal
    with pytest.raises(Answered):
        feeds.of(PARENT, "key", "US", since=NOW)
    assert len(feed.asked) == 1
