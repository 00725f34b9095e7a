"""Every bad answer in every place that a pass asks: not contacted, listed, explained, and made up for afterwards.

One place a test: the kinds come one after the other, each with a visit of its own, on a runner that goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from reconciler.core.sync_report import LocationReport
from reconciler.store import ledger, sync_practices
from tests.syncing import NEW_YORK, PARENT, Bench, bench

HERE = PARENT + 1
STATUSES = ("400", "401", "403", "404", "408", "429", "500", "502", "503", "504")
BODIES = ("html", "truncated", "null", "empty-list", "error-object", "cut", "reset")
EVERY = (*STATUSES, *BODIES)
SAMPLE = ("401", "403", "404", "429", "503", "html", "truncated")
CONTACTS = "/resources/v1/contact/external/preferences"
of_kinds = pytest.mark.parametrize(
    "kinds", [pytest.param(SAMPLE, id="sample"), pytest.param(EVERY, id="every", marks=pytest.mark.slow)]
)
EXPLAINED = ("error", "unauthorised", "waiting", "stopped")


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.put(wire={"location.name": "Downtown"})
        made.sync()
        yield made


def tomorrow(it: Bench) -> date:
    """Go on by a day and a bit, so that token, names and feed are asked for again; the day before."""
    it.clock.advance(hours=25)
    local = it.clock.now().astimezone(ZoneInfo(NEW_YORK))
    return local.date() - timedelta(days=1)


def wrong(it: Bench, path: str, kind: str) -> LocationReport:
    it.app.faults.arm(f"{path}:*:{kind}")
    report = it.one()
    it.app.faults.clear()
    assert "defect of reconciler" not in report.detail
    return report


def mended(it: Bench, passes: int = 1) -> None:
    """Whoever must has mended it; the next passes, a while later."""
    for practice in sync_practices_of(it):
        with it.store.begin() as connection:
            sync_practices.put_authorised(connection, practice, authorised=True, at=it.clock.now())
    for _ in range(passes):
        it.clock.advance(minutes=10)
        it.one()


def sync_practices_of(it: Bench) -> tuple[str, ...]:
    with it.store.read() as connection:
        return ledger.practices(connection)


def states(it: Bench) -> dict[str, int]:
    with it.store.read() as connection:
        return {str(state): count for state, count in ledger.counts(connection).get(HERE, {}).items() if count}


def most(it: Bench) -> int:
    return int(it.app.contacts.seen()["most_per_external_id_and_day"])


@of_kinds
@pytest.mark.parametrize("place", ["/oauth2/token", "/Appointment", "/Patient", "/Location", "update-feed"])
def test_a_read_that_answers_badly_contacts_nobody_says_why_and_is_made_up_for(
    it: Bench, place: str, kinds: tuple[str, ...]
) -> None:
    it.book(tomorrow(it))
    assert it.one().counts.sent == 1  # so that the practice and its names are known
    path = f"{CONTACTS}/{place}" if place == "update-feed" else place
    if place.startswith("/") and place != "/oauth2/token":
        path = it.app.variables["RECONCILER_NEXTECH_URL"] + place
    for number, kind in enumerate(kinds, 2):
        it.book(tomorrow(it))
        report = wrong(it, path, kind)
        assert len(it.deliveries) == number - 1, kind
        # A 404 is the older API's way to say that nothing matches, once it is known to let us in (nextech-api.md 3).
        if (place, kind) not in {("/Appointment", "404"), ("/Patient", "404")}:
            assert (kind, report.status in EXPLAINED, bool(report.detail)) == (kind, True, True)
        mended(it)
        assert len(it.deliveries) == number, kind
        assert most(it) == 1
    assert states(it) == {"confirmed": len(kinds) + 1}


@of_kinds
def test_a_check_in_that_is_answered_badly_is_sent_at_most_once_and_listed_otherwise(
    it: Bench, kinds: tuple[str, ...]
) -> None:
    for number, kind in enumerate(kinds, 1):
        it.book(tomorrow(it))
        report = wrong(it, f"{CONTACTS}/checkin", kind)
        # Sent, failed, held or still to be sent: the visit is in one of these, and the reader is told.
        assert sum(states(it).values()) == number, kind
        assert report.counts.failed or report.counts.held or report.status in EXPLAINED, kind
        mended(it, 2)
        assert sum(states(it).values()) == number, kind
        assert most(it) <= 1, kind
    assert set(states(it)) <= {"confirmed", "failed", "held"}
    # An object with a code and a 200 says "refused" by contract, whatever the server did: never sent again by itself.
    assert len(it.deliveries) <= number


@of_kinds
@pytest.mark.parametrize("place", ["/getCustomer", "/v1/customer/history"])
def test_a_look_up_that_is_answered_badly_sends_nothing_again(it: Bench, place: str, kinds: tuple[str, ...]) -> None:
    path = f"{CONTACTS}{place}" if place == "/getCustomer" else f"/resources{place}"
    for number, kind in enumerate(kinds, 1):
        it.book(tomorrow(it))
        it.app.faults.arm(f"{CONTACTS}/checkin:1:502-after-commit")
        assert it.one().counts.held >= 1, kind
        it.app.faults.clear()
        it.clock.advance(minutes=2)
        wrong(it, path, kind)
        assert len(it.deliveries) == number, kind
        mended(it, 2)
        assert len(it.deliveries) == number, kind
    assert most(it) == 1
    assert set(states(it)) <= {"confirmed", "held"}
