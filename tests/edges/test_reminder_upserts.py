"""Appointments told to Birdeye, over sockets: first everything, then what changed, and what vanished."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from reconciler.clients.appointments import Answer, RequestPage, judge
from reconciler.core.reminder_report import ReminderReport, UpsertCounts
from reconciler.sandbox.emr import Shares
from reconciler.sandbox.emr_options import Upset
from reconciler.store import reminders as kept
from reconciler.store import sync_practices
from reconciler.store.schema import REMINDER_APPOINTMENTS
from reconciler.store.sync_practices import Pause
from reconciler.sync.reminder_ports import Appointments
from tests.syncing import PARENT, PRACTICE_ID, START, Bench, as_json, bench, practice

HERE, THERE = PARENT + 1, PARENT + 2
BOTH = ["nextechAppointmentUpsertTrigger", "appointmentTrigger"]
UPSERT = ["nextechAppointmentUpsertTrigger"]
NEXT_WEEK = "2026-12-01"


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def run(it: Bench, business: int = HERE, **given: Any) -> ReminderReport:
    report = next(each for each in it.sync(**given).locations if each.business == business)
    assert report.reminders is not None
    return report.reminders


def told(it: Bench) -> list[tuple[str, str]]:
    """Start and status of every upsert, in order."""
    return [(each.body["start"][:16], each.status) for each in it.app.contacts.book.told]


def change(it: Bench, number: int, **changes: Any) -> None:
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.app.emr.change_visit(known, number, updated=it.clock.now(), **changes)


def delete(it: Bench, number: int) -> None:
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.app.emr.delete_visit(known, number)


def test_the_first_pass_tells_of_everything_in_the_window_and_only_of_that(it: Bench) -> None:
    it.put(triggers=UPSERT, wire={"past.duration": "2", "future.duration": "1"})
    it.book("2026-09-23", status="fulfilled")  # two months and a day ago
    it.book("2026-09-25", status="fulfilled")
    it.book("2026-12-23", status="pending")
    it.book("2026-12-26", status="pending")
    report = run(it)
    assert (report.status, report.detail) == ("ok", "")
    assert told(it) == [("2026-12-23T15:00", "booked"), ("2026-09-25T14:00", "completed")]
    assert report.upsert is not None
    assert (report.upsert.read, report.upsert.sent) == (2, 2)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("proposed", "booked"),
        ("pending", "booked"),
        ("booked", "confirmed"),
        ("arrived", "confirmed"),
        ("fulfilled", "completed"),
        ("cancelled", "cancelled"),
        ("noshow", "no_show"),
    ],
)
def test_each_status_of_fhir_has_one_of_birdeye(it: Bench, status: str, expected: str) -> None:
    it.put(triggers=UPSERT)
    it.book(NEXT_WEEK, status=status)
    run(it)
    assert told(it) == [("2026-12-01T15:00", expected)]


def test_what_has_no_status_of_birdeye_is_left_unsent_and_reported(it: Bench) -> None:
    it.put(triggers=UPSERT)
    it.book(NEXT_WEEK, custom="Roomed")
    it.book(NEXT_WEEK, status="entered-in-error", hour=11)
    it.book(NEXT_WEEK, status="waitlist", hour=12)
    it.book(NEXT_WEEK, status="booked", patient=None, hour=13)
    report = run(it)
    assert told(it) == []
    assert report.upsert is not None
    assert dict(report.upsert.unsent) == {
        "custom_status": 1,
        "entered_in_error": 1,
        "unmapped_status": 1,
        "not_a_patient": 1,
    }


def test_an_upsert_carries_what_the_contract_says_and_nothing_else(it: Bench) -> None:
    it.put(triggers=UPSERT)
    number = it.book(NEXT_WEEK, status="booked")
    run(it)
    (sent,) = it.app.contacts.book.told
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    person = known.person(1)
    body = dict(sent.body)
    assert body.pop("externalId") == sent.external_id
    assert str(number) not in sent.external_id
    customer = body.pop("customer")
    assert len(customer.pop("externalId")) == 32
    assert customer == {
        "name": f"{person.given} {person.family}",
        "emailId": person.email,
        "phone": (person.mobile or "").replace("(", "").replace(") ", "").replace("-", ""),
    }
    assert body == {
        "status": "confirmed",
        "start": "2026-12-01T15:00:00.000Z",
        "end": "2026-12-01T15:30:00.000Z",
        "timeZone": "America/New_York",
        "type": "Follow Up",
        "purpose": "Skin Check",
        "practitioner": "417",
        "updatedAt": body["updatedAt"],
    }
    assert it.app.contacts.violations == []


def test_a_second_pass_reads_only_what_changed_and_tells_only_that(it: Bench) -> None:
    it.put(triggers=UPSERT)
    first = it.book(NEXT_WEEK, status="pending")
    it.book(NEXT_WEEK, status="pending", hour=11)
    run(it)
    it.clock.advance(hours=5)
    change(it, first, status="booked")
    report = run(it)
    assert told(it)[2:] == [("2026-12-01T15:00", "confirmed")]
    assert report.upsert is not None
    assert report.upsert.since == START - timedelta(hours=3)
    assert (report.upsert.sent, report.upsert.unchanged) == (1, 1)  # the other was entered within the overlap
    again = run(it).upsert
    assert again == UpsertCounts(report.upsert.start, report.upsert.to, START + timedelta(hours=2), read=1, unchanged=1)
    assert len(told(it)) == 3


def test_a_practice_that_cannot_be_asked_for_changes_is_read_whole(it: Bench) -> None:
    it.put(triggers=UPSERT)
    it.book(NEXT_WEEK, status="pending")
    run(it)
    it.book(NEXT_WEEK, status="pending", hour=11)
    it.app.emr.options.upsets.append(Upset("/Appointment", "400"))
    report = run(it)
    assert report.status == "ok"
    assert report.upsert is not None
    assert (report.upsert.since, report.upsert.sent, report.upsert.unchanged) == (None, 1, 1)


def test_what_vanished_is_cancelled_by_the_first_pass_of_the_next_day(it: Bench) -> None:
    it.put(triggers=UPSERT)
    gone = it.book(NEXT_WEEK, status="pending")
    it.book(NEXT_WEEK, status="pending", hour=11)
    run(it)
    delete(it, gone)
    it.clock.advance(hours=2)
    report = run(it)  # the same day: a deletion does not show among changes
    assert len(told(it)) == 2
    it.clock.advance(days=1)
    report = run(it)
    assert told(it)[2:] == [("2026-12-01T15:00", "cancelled")]
    cancelled = it.app.contacts.book.told[-1].body
    assert sorted(cancelled) == ["end", "externalId", "start", "status", "timeZone", "updatedAt"]
    assert report.upsert is not None
    assert (report.upsert.vanished, report.upsert.sent, report.upsert.unchanged) == (1, 1, 1)
    it.clock.advance(days=1)
    assert run(it).upsert is not None
    assert len(told(it)) == 3


def test_one_that_is_back_wins_over_its_own_cancellation(it: Bench) -> None:
    it.put(triggers=UPSERT)
    gone = it.book(NEXT_WEEK, status="pending")
    run(it)
    delete(it, gone)
    it.clock.advance(days=1)
    run(it)
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.app.emr.edits(known).deleted.clear()
    it.app.emr.touch(known)
    it.clock.advance(days=1)
    run(it)
    assert [status for _, status in told(it)] == ["booked", "cancelled", "booked"]
    assert [each["status"] for each in it.app.contacts.book.stored.values()] == ["booked"]


def test_one_that_a_page_skipped_is_looked_up_by_its_id_and_not_cancelled(it: Bench) -> None:
    it.put(triggers=UPSERT)
    it.book(NEXT_WEEK, status="pending")
    run(it)
    it.clock.advance(days=1)
    run(it)
    it.clock.advance(days=1)
    # The changes are read right; the read of everything ahead answers "nothing at all".
    it.app.emr.options.upsets.append(Upset("/Appointment", "nothing", first=2))
    report = run(it)
    assert report.status == "ok"
    assert [status for _, status in told(it)] == ["booked"]
    assert report.upsert is not None
    assert (report.upsert.vanished, report.upsert.unchanged) == (1, 1)


def test_one_that_moved_out_of_the_window_is_told_where_birdeye_knows_it(it: Bench) -> None:
    it.put(triggers=UPSERT, wire={"future.duration": "1"})
    number = it.book(NEXT_WEEK, status="pending")
    unknown = it.book("2026-12-24", hour=16, status="pending")
    run(it)
    assert len(told(it)) == 1
    for which in (number, unknown):
        change(it, which, start=START + timedelta(days=40))
    it.clock.advance(days=1)
    report = run(it)
    assert told(it)[1:] == [("2027-01-03T15:00", "booked")]
    assert report.upsert is not None
    assert (report.upsert.vanished, report.upsert.sent) == (1, 1)


def test_when_very_many_have_vanished_at_once_a_person_looks_first(it: Bench) -> None:
    it.put(triggers=UPSERT)
    numbers = [it.book(NEXT_WEEK, status="pending", hour=8 + k // 4, minute=15 * (k % 4)) for k in range(12)]
    run(it)
    for number in numbers[:11]:
        delete(it, number)
    it.clock.advance(days=1)
    whole = it.sync()
    report = whole.locations[0].reminders
    assert report is not None
    assert (report.status, whole.exit_code) == ("stopped", 3)
    assert "11 of 12 appointments ahead have vanished" in report.detail
    assert len(told(it)) == 12
    assert run(it, max_contacts=11).status == "ok"
    assert [status for _, status in told(it)[12:]] == ["cancelled"] * 11


def test_above_the_cap_nothing_of_the_location_is_told(it: Bench) -> None:
    it.limit(max_contacts_per_run=2)
    it.put(triggers=UPSERT)
    for hour in (9, 10, 11):
        it.book(NEXT_WEEK, status="pending", hour=hour)
        it.book("2026-11-01", status="fulfilled", hour=hour)  # nobody is reminded of the past
    whole = it.sync()
    report = whole.locations[0].reminders
    assert report is not None
    assert report.upsert is not None
    assert (report.status, report.upsert.pending, whole.exit_code) == ("stopped", 6, 3)
    assert "reconciler sync 100000000000101 --max-contacts 3 --by NAME --reason TEXT" in report.detail
    assert told(it) == []
    assert run(it, max_contacts=3).status == "ok"
    assert len(told(it)) == 6


def test_a_dry_run_says_what_would_be_told_and_writes_nothing(it: Bench) -> None:
    it.put(triggers=BOTH)
    it.book(NEXT_WEEK, status="pending")
    it.app.contacts.book.ask(HERE, it.clock.now(), kind="confirm", externalId="unknown")
    report = run(it, dry_run=True)
    assert report.upsert is not None
    assert report.requests is not None
    assert (report.upsert.pending, report.requests.pending) == (1, 1)
    assert told(it) == []
    with it.store.read() as connection:
        assert kept.locations(connection) == {}
        assert kept.request_counts(connection) == {}
    assert run(it).upsert == type(report.upsert)(report.upsert.start, report.upsert.to, read=1, sent=1)


@pytest.mark.parametrize(
    ("document", "location", "expected", "words"),
    [
        ({"beta": True}, {}, "inactive", "beta"),
        ({"runner": "platform"}, {}, "platform", "Birdeye's own scheduler"),
        ({"state": "inactive"}, {}, None, ""),
        ({}, {"state": "inactive"}, None, ""),
        ({}, {"waiting": "its practice id is changing"}, "waiting", "practice id"),
    ],
)
def test_where_nobody_is_contacted_nothing_is_told_or_booked(
    it: Bench, document: dict[str, Any], location: dict[str, Any], expected: str | None, words: str
) -> None:
    it.put(triggers=BOTH, locations={HERE: location}, **document)
    it.book(NEXT_WEEK, status="pending")
    it.app.contacts.book.seed(HERE, practice(), 1, 1, it.clock.now())
    (found,) = it.sync().locations
    if expected is None:
        assert found.reminders is None  # no pass takes an inactive location
    else:
        assert found.reminders is not None
        assert found.reminders.status == expected
        assert words in found.reminders.detail
    assert told(it) == []
    assert sum(it.app.contacts.requests.values()) == 0
    assert it.requests == {}


def test_a_paused_location_is_left_alone_and_goes_on_where_it_was(it: Bench) -> None:
    it.put(triggers=BOTH)
    it.book(NEXT_WEEK, status="pending")
    with it.store.begin() as connection:
        sync_practices.pause(connection, Pause(PARENT, it.clock.now(), "ada", "holiday"))
    assert run(it).status == "paused"
    assert told(it) == []
    with it.store.begin() as connection:
        sync_practices.resume(connection, PARENT)
    assert run(it).status == "ok"
    assert len(told(it)) == 1


def test_an_unauthorised_practice_stops_both_directions(it: Bench) -> None:
    it.put(triggers=BOTH)
    it.book(NEXT_WEEK, status="pending")
    it.app.emr.unauthorised[PRACTICE_ID] = 401
    report = it.sync()
    assert report.locations[0].reminders is not None
    assert (report.locations[0].reminders.status, report.exit_code) == ("unauthorised", 5)
    asked = it.requests["GET Appointment"]
    assert run(it).status == "unauthorised"
    assert it.requests["GET Appointment"] == asked


def test_a_lost_answer_is_told_again_and_does_no_harm(it: Bench) -> None:
    it.put(triggers=UPSERT)
    run(it)
    it.book(NEXT_WEEK, status="pending")
    it.app.faults.arm("/resources/v1/appointments:1:reset-after-commit")
    report = run(it)
    assert report.upsert is not None
    assert (report.status, report.upsert.sent, report.upsert.unknown) == ("ok", 1, 0)
    assert [status for _, status in told(it)] == ["booked", "booked"]
    assert len(it.app.contacts.book.stored) == 1


def test_where_no_answer_comes_at_all_the_mark_stays_and_the_next_pass_tells_it(it: Bench) -> None:
    it.put(triggers=UPSERT)
    it.book(NEXT_WEEK, status="pending")
    it.app.faults.arm("/resources/v1/appointments:*:503-after-commit")
    whole = it.sync()
    report = whole.locations[0].reminders
    assert report is not None
    assert report.upsert is not None
    assert (report.upsert.unknown, report.upsert.sent, whole.exit_code) == (1, 0, 5)
    with it.store.read() as connection:
        (state,) = kept.locations(connection).values()
    assert state.mark is None
    it.app.faults.clear()
    report = run(it)
    assert report.upsert is not None
    assert (report.status, report.upsert.sent) == ("ok", 1)
    assert len(it.app.contacts.book.stored) == 1


def test_something_newer_at_birdeye_is_no_error(it: Bench) -> None:
    it.put(triggers=UPSERT)
    it.book(NEXT_WEEK, status="pending")
    run(it)
    (stored,) = it.app.contacts.book.stored.values()
    stored["updatedAt"] = "2027-01-01T00:00:00Z"
    it.clock.advance(hours=1)
    with it.store.begin() as connection:
        connection.execute(update(REMINDER_APPOINTMENTS).values(status="cancelled"))
    it.clock.advance(days=1)
    report = run(it)
    assert report.upsert is not None
    assert (report.status, report.upsert.newer, report.upsert.sent) == ("ok", 1, 0)
    assert it.app.contacts.book.refused == 1


class Refusing:
    """Birdeye, which does not like one start."""

    def __init__(self, real: Appointments, start: str) -> None:
        self._real = real
        self._start = start

    def upsert(self, business: int, api_key: str, external_id: str, body: Mapping[str, Any]) -> Answer:
        if body["start"].startswith(self._start):
            return judge(400, {"code": 4091, "message": "no"}, needs="appointmentId")
        return self._real.upsert(business, api_key, external_id, body)

    def requests(self, business: int, api_key: str, cursor: str | None) -> RequestPage:
        return self._real.requests(business, api_key, cursor)

    def result(self, business: int, api_key: str, request_id: str, body: Mapping[str, Any]) -> Answer:
        return self._real.result(business, api_key, request_id, body)


def test_a_refused_record_fails_alone_and_does_not_hold_the_mark(it: Bench) -> None:
    it.put(triggers=UPSERT)
    it.book(NEXT_WEEK, status="pending")
    it.book(NEXT_WEEK, status="pending", hour=11)
    assert it.deps.appointments is not None
    it.deps.appointments = Refusing(it.deps.appointments, "2026-12-01T15")
    whole = it.sync()
    report = whole.locations[0].reminders
    assert report is not None
    assert report.upsert is not None
    assert (report.status, report.upsert.sent, report.upsert.failed, whole.exit_code) == ("ok", 1, 1, 5)
    with it.store.read() as connection:
        (state,) = kept.locations(connection).values()
    assert state.mark == START


def test_a_location_that_birdeye_does_not_know_stops_alone(it: Bench) -> None:
    it.put(HERE, THERE, triggers=UPSERT, locations={
        HERE: {"wire": {"location.name": "Downtown"}}, THERE: {"wire": {"location.name": "Midtown"}},
    })  # fmt: skip
    it.book(NEXT_WEEK, status="pending", place=0)
    it.book(NEXT_WEEK, status="pending", place=1)
    del it.app.contacts.account_of[HERE]
    whole = it.sync()
    by_business = {each.business: each.reminders for each in whole.locations}
    assert {key: each.status for key, each in by_business.items() if each is not None} == {HERE: "error", THERE: "ok"}
    assert whole.exit_code == 5
    assert [each.business for each in it.app.contacts.book.told] == [THERE]
    it.app.contacts.account_of[HERE] = "example-skin-group"
    assert run(it, HERE).status == "ok"
    assert [each.business for each in it.app.contacts.book.told] == [THERE, HERE]


def test_an_appointment_that_moved_to_another_location_is_cancelled_at_the_old_one(it: Bench) -> None:
    it.put(HERE, THERE, triggers=UPSERT, locations={
        HERE: {"wire": {"location.name": "Downtown"}}, THERE: {"wire": {"location.name": "Midtown"}},
    })  # fmt: skip
    number = it.book(NEXT_WEEK, status="pending", place=0)
    run(it)
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    it.clock.advance(hours=1)
    change(it, number, place=known.places[1])
    run(it)
    stored = {business: body["status"] for (business, _), body in it.app.contacts.book.stored.items()}
    assert stored == {HERE: "cancelled", THERE: "booked"}


def test_who_cannot_or_must_not_be_reached_is_not_told_of(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        it.app.emr.add(
            practice(shares=Shares({"fulfilled": 1000}, {}, {"none": 1000}, {"none": 1000}, {}, 0, 0, 0, 0, 0))
        )
        it.put(triggers=UPSERT)
        it.book(NEXT_WEEK, status="pending")
        report = run(it)
        assert report.upsert is not None
        assert dict(report.upsert.unsent) == {"no_contact_channel": 1}


def test_a_phone_whose_owner_wants_no_texts_is_not_sent(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        it.app.emr.add(practice(shares=Shares({"fulfilled": 1000}, {}, {}, {}, {}, 0, 0, 0, 1000, 0)))
        it.put(triggers=UPSERT)
        it.book(NEXT_WEEK, status="pending")
        run(it)
        (sent,) = it.app.contacts.book.told
        assert sorted(sent.body["customer"]) == ["emailId", "externalId", "name"]


def test_review_requests_and_reminders_run_in_one_pass_and_each_counts_its_own(it: Bench) -> None:
    it.put(triggers=["nextechFulfilledAppointmentTrigger", *BOTH])
    it.book("2026-11-23", status="fulfilled")
    it.book(NEXT_WEEK, status="pending")
    report = it.sync()
    (one,) = as_json(report)["locations"]
    assert (one["status"], one["read"], one["sent"]) == ("ok", 1, 1)
    assert one["read"] == sum(one[key] for key in ("sent", "already_sent", "quarantined", "held", "failed", "pending"))
    assert one["reminders"] == {
        "status": "ok",
        "upsert": {
            "window": {"from": "2025-11-24T15:00:00+00:00", "to": "2027-11-24T15:00:00+00:00"},
            "since": None,
            "read": 2,
            "vanished": 0,
            "sent": 2,
            "unchanged": 0,
            "newer": 0,
            "unsent": {},
            "quarantined": 0,
            "failed": 0,
            "unknown": 0,
            "pending": 0,
        },
        "requests": {"open": 0, "received": 0, "accepted": 0, "rejected": 0, "held": 0, "pending": 0},
    }
    assert one["requests"]["appointment"] == 2
    assert report.exit_code == 0


def test_a_day_that_is_asked_for_and_a_backfill_leave_reminders_alone(it: Bench) -> None:
    it.put(triggers=["nextechFulfilledAppointmentTrigger", *BOTH])
    it.book(NEXT_WEEK, status="pending")
    day = date(2026, 11, 23)
    assert it.one(kind="date", day=day).reminders is None
    assert it.one(kind="backfill", first=day, last=day).reminders is None
    assert told(it) == []


def test_no_message_log_or_row_holds_anything_of_a_patient(it: Bench, tmp_path: Path) -> None:
    it.put(triggers=UPSERT)
    number = it.book(NEXT_WEEK, status="pending")
    run(it)
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    person = known.person(1)
    it.store.close()
    kept_text = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (person.family, person.email, person.guid, f'"{number}"', "Skin Check"):
        assert secret is not None
        assert secret.encode() not in kept_text
    shown = repr(it.events) + repr(it.changes)
    assert person.family not in shown
