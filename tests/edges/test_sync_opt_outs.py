"""Whoever opted out before a check-in leaves is not contacted, whenever it was planned."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.syncing import PRACTICE_ID, SLUG, Bench, bench


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def opt_out(it: Bench, visit: int) -> None:
    """The patient of a visit opts out, by an address that Birdeye has of them."""
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    chart = it.app.emr.chart(known)
    patient = chart.patient_of(visit)
    assert patient is not None
    person = chart.person(patient)
    contact = it.app.contacts.make(SLUG, "Example Person", {"email": person.email})
    it.app.contacts.opt_out(contact, "email")


def feed_reads(it: Bench) -> int:
    return sum(count for name, count in it.app.contacts.requests.items() if "update-feed" in name)


def test_a_later_pass_of_the_same_process_reads_the_feed_again(it: Bench) -> None:
    it.put()
    it.book("2026-11-23")
    assert it.one().counts.sent == 1
    before = feed_reads(it)
    it.clock.advance(seconds=1)
    late = it.book("2026-11-23", 11)
    opt_out(it, late)
    it.clock.advance(seconds=1)
    counts = it.one().counts
    assert (counts.sent, counts.skipped, feed_reads(it) - before) == (0, {"opted_out": 1}, 1)
