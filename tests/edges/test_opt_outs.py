"""The opt-out feed is read once for all who ask, whole once a day, and by its additions in between."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest

from reconciler.clients.contacts import OptOut
from reconciler.core.fhir_models import Patient, Telecom
from reconciler.core.phi import Phi
from reconciler.errors import RemoteError
from reconciler.sync.opt_outs import OptOutFeeds
from tests.ledgers import NOW, PARENT

DAY = timedelta(days=1)


class Feed:
    """A feed with one entry a read, and a note of what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[datetime, datetime]] = []
        self.entries: list[OptOut] = []
        self.fails = False

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
    assert feed.asked == [(NOW - 30 * DAY, NOW)]
    at[0] = NOW + timedelta(seconds=20)
    feed.entries = [out("two@example.com", "blocked")]
    assert not feeds.of(PARENT, "key", "US", since=NOW).has(patient("two@example.com"), "US")  # the same pass
    assert len(feed.asked) == 1
    found = feeds.of(PARENT, "key", "US", since=at[0])
    assert found.has(patient("one@example.com"), "US")
    assert found.has(patient("two@example.com"), "US")
    assert feed.asked[1:] == [(NOW - timedelta(minutes=5), at[0])]
    at[0] = NOW + DAY
    assert not feeds.of(PARENT, "key", "US", since=at[0]).has(patient("one@example.com"), "US")
    assert feed.asked[2:] == [(NOW - 29 * DAY, at[0])]
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
    assert counted == [1]
    feeds.of(PARENT, "key", "CA", since=at[0], on_request=one)
    assert counted == [1]
    at[0] = NOW + timedelta(hours=2)
    feed.fails = True
    with pytest.raises(RemoteError):
        feeds.of(PARENT, "key", "US", since=at[0], on_request=one)
    assert counted == [3]  # one that answered and one that failed
