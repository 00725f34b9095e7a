"""Whoever opted out before a check-in leaves is not contacted, whenever it was planned."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from reconciler.clients.contacts import ContactsClient
from reconciler.report.status_text import render_why
from reconciler.store import ledger_people
from reconciler.store.schema import VISITS
from reconciler.sync.opt_outs import OptOutFeeds
from reconciler.workflow import operating
from reconciler.workflow.holding import Ledger
from tests.syncing import PARENT, PRACTICE_ID, SLUG, START, Bench, bench

CONTACTS = "/resources/v1/contact/external/preferences"
DAY = timedelta(days=1)


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


def capped(it: Bench, count: int) -> list[int]:
    """Visits that a pass planned and did not send."""
    it.put()
    visits = [it.book("2026-11-23", 9 + number) for number in range(count)]
    it.limit(max_contacts_per_run=0)
    assert it.one().counts.pending == count
    it.limit(max_contacts_per_run=5000)
    return visits


@pytest.mark.parametrize("later", [timedelta(seconds=4), timedelta(days=1), timedelta(days=9)])
def test_what_was_planned_is_not_sent_to_who_opted_out_since(it: Bench, later: timedelta) -> None:
    assert isinstance(it.deps.contacts, ContactsClient)
    it.deps.feeds = OptOutFeeds(it.deps.contacts, now=it.clock.now)
    visits = capped(it, 3)
    it.clock.advance(seconds=2)
    opt_out(it, visits[1])
    it.clock.at += later
    before = feed_reads(it)
    report = it.one()
    counts = report.counts
    assert (report.status, counts.read, counts.sent, counts.skipped, counts.pending, counts.eligible) == (
        "ok", 3, 2, {"opted_out": 1}, 0, 2,
    )  # fmt: skip
    assert len(it.deliveries) == 2
    assert feed_reads(it) - before == (1 if later < DAY else 30)
    assert [each["reason"] for each in it.decisions if each["effect"] == "again"] == ["opted_out"]
    it.clock.advance(seconds=1)
    again = it.one().counts
    assert (again.sent, len(it.deliveries), again.skipped) == (0, 2, {"opted_out": 1} if later < 5 * DAY else {})


def test_why_explains_a_planned_visit_whose_patient_opted_out_and_its_contact_is_gone(it: Bench) -> None:
    (visit,) = capped(it, 1)
    opt_out(it, visit)
    it.clock.advance(seconds=2)
    it.one()
    opened = Ledger(it.store, it.store, it.deps.keys)
    (row,) = operating.why(opened, str(visit))
    text = render_why([row])
    assert f"{row.id}): skipped: opted_out\n  rule      opt-out feed\n" in text
    assert "  contact   discarded on 2026-11-24 15:00 UTC\n" in text
    with it.store.read() as connection:
        assert list(connection.execute(select(VISITS.c.payload)).scalars()) == [None]


def test_what_a_person_has_sent_again_is_not_sent_to_who_opted_out_since(it: Bench) -> None:
    it.put()
    visit = it.book("2026-11-23")
    it.app.faults.arm(f"{CONTACTS}/checkin:1:502-after-commit")
    it.one()
    for contact in it.app.contacts.contacts.values():
        contact.activity.clear()
    it.clock.advance(seconds=60)
    assert it.one().counts.held == 1
    opt_out(it, visit)
    with it.store.begin() as connection:
        found = ledger_people.held(connection, keys=it.deps.keys)
        ledger_people.move(connection, [each.visit for each in found], "planned", keys=it.deps.keys, now=START)
    it.clock.advance(seconds=60)
    counts = it.one().counts
    assert (counts.sent, counts.skipped, len(it.deliveries)) == (0, {"opted_out": 1}, 1)


def test_what_is_planned_again_is_not_sent_to_who_opted_out_since(it: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    it.put()
    it.book("2026-11-23")
    other = it.book("2026-11-23", 11)
    it.app.faults.arm(f"{CONTACTS}/checkin:*:reset-before-commit")
    assert it.one().counts.held == 2
    it.app.faults.clear()
    opt_out(it, other)
    monkeypatch.setattr(it.deps.contacts, "get_customer", lambda *given, **named: None)
    it.clock.advance(seconds=60)
    counts = it.one().counts
    assert (counts.sent, counts.skipped, len(it.deliveries)) == (1, {"opted_out": 1}, 1)


def test_where_the_feed_cannot_be_read_what_was_planned_stays_planned(it: Bench) -> None:
    capped(it, 2)
    it.clock.advance(seconds=2)
    it.app.faults.arm(f"{CONTACTS}/update-feed:*:403")
    report = it.one()
    assert (report.status, report.counts.pending, it.deliveries) == ("error", 2, [])
    assert report.detail.startswith("who opted out cannot be read: ")
    it.app.faults.clear()
    assert it.one().counts.sent == 2


def test_who_opted_out_long_ago_is_skipped_and_a_refused_look_back_is_told(it: Bench) -> None:
    assert isinstance(it.deps.contacts, ContactsClient)
    it.deps.feeds = OptOutFeeds(it.deps.contacts, now=it.clock.now)
    it.put()
    opt_out(it, it.book("2026-11-23"))
    it.clock.advance(days=40)
    late = it.book("2027-01-02")
    opt_out(it, late)
    it.clock.advance(days=40)
    assert it.one(day=date(2026, 11, 23)).counts.skipped == {"opted_out": 1}
    it.deps.feeds = OptOutFeeds(it.deps.contacts, now=it.clock.now)
    it.app.faults.arm(f"{CONTACTS}/update-feed:1:400")
    report = it.one(day=date(2027, 1, 2))
    assert (report.counts.sent, report.warnings) == (1, (it.deps.feeds.shortened(PARENT),))


def test_nothing_about_to_be_sent_reads_no_feed(it: Bench) -> None:
    capped(it, 1)
    assert it.one().counts.sent == 1
    before = feed_reads(it)
    it.clock.advance(days=1)
    it.one()
    assert feed_reads(it) == before
