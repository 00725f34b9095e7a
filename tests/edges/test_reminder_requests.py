"""What patients ask for through Birdeye, over sockets: booked once, confirmed, cancelled, and Birdeye told of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler import errors
from reconciler.clients import appointments
from reconciler.clients.nextech import NextechClient
from reconciler.clients.nextech_writes import NextechWrites, WriteOutcome, Written
from reconciler.core import booking
from reconciler.core.phi import Phi
from reconciler.core.reminder_report import ReminderReport, RequestCounts
from reconciler.sandbox.contacts_book import Asked
from reconciler.sandbox.emr import Visit
from reconciler.store import reminders as kept
from reconciler.store import sync_practices
from reconciler.sync.context import SELECT
from reconciler.sync.quota import DailyCalls
from reconciler.sync.reminder_ports import Ports
from tests.edges.test_reminder_upserts import BOTH, NEXT_WEEK, delete, run, told
from tests.syncing import PARENT, PRACTICE_ID, Bench, bench, practice

HERE, THERE = PARENT + 1, PARENT + 2
EMR = "/nextech-api/api/Appointment"
BOOKING = {
    "kind": "book",
    "start": "2026-12-04T15:00:00Z",
    "end": "2026-12-04T15:30:00Z",
    "typeId": "14",
    "purposeId": "58",
    "locationId": "3",
    "practitionerId": "417",
    "customer": {
        "firstName": "Ada",
        "lastName": "Example",
        "emailId": "ada.widget@example.com",
        "phone": "(941) 555-0142",
        "birthDate": "1980-05-06",
    },
}


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        made.put(HERE, triggers=BOTH)
        yield made


def ask(it: Bench, business: int = HERE, **changes: Any) -> Asked:
    return it.app.contacts.book.ask(business, it.clock.now(), **{**BOOKING, **changes})


def booked(it: Bench) -> list[Visit]:
    """What stands in the practice's book, by id."""
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    return list(it.app.emr.edits(known).booked.values())


def counts(report: ReminderReport) -> RequestCounts:
    assert report.requests is not None
    return report.requests


def external(it: Bench) -> str:
    """Of the one appointment that Birdeye knows."""
    ((_, found),) = it.app.contacts.book.stored
    return found


def test_a_new_patient_is_booked_as_a_prospect_and_the_same_pass_tells_birdeye_of_it(it: Bench) -> None:
    asked = ask(it)
    report = run(it)
    assert (report.status, counts(report)) == ("ok", RequestCounts(received=1, accepted=1))
    (made,) = booked(it)
    assert made.start.isoformat() == "2026-12-04T10:00:00-05:00"
    assert (made.minutes, made.status, made.place.id, made.provider.id) == (30, "pending", 3, 417)
    assert (made.type.name, [each.name for each in made.purposes]) == ("Follow Up", ["Skin Check"])
    assert made.comment == "Birdeye request request-1"
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    assert made.patient is not None
    person = it.app.emr.chart(known).person(made.patient)
    assert (person.given, person.family, person.email, person.status) == (
        "Ada",
        "Example",
        "ada.widget@example.com",
        "prospect",
    )
    assert asked.results == [{"outcome": "accepted", "externalId": external(it)}]
    assert told(it) == [("2026-12-04T15:00", "booked")]


def test_a_patient_whom_name_birth_date_and_address_prove_is_booked_in_the_own_chart(it: Bench) -> None:
    person = practice().person(5)
    ask(
        it,
        customer={
            "firstName": person.given.upper(),
            "lastName": person.family,
            "emailId": person.email,
            "birthDate": person.birth.isoformat(),
        },
    )
    run(it)
    (made,) = booked(it)
    assert made.patient == 5


@pytest.mark.parametrize("wrong", ["emailId", "birthDate", "lastName"])
def test_a_chart_that_is_not_proven_is_not_written_to(it: Bench, wrong: str) -> None:
    person = practice().person(5)
    customer = {
        "firstName": person.given,
        "lastName": person.family,
        "emailId": person.email,
        "phone": "(941) 555-0199",
        "birthDate": person.birth.isoformat(),
    }
    customer[wrong] = {"emailId": "other@example.com", "birthDate": "1971-01-01", "lastName": "Otherwise"}[wrong]
    ask(it, customer=customer)
    run(it)
    (made,) = booked(it)
    assert made.patient is not None
    assert made.patient >= practice().patients


def test_a_confirmation_and_a_cancellation_change_the_appointment_and_are_told(it: Bench) -> None:
    it.book(NEXT_WEEK, status="pending")
    run(it)
    it.clock.advance(hours=5)
    first = ask(it, kind="confirm", externalId=external(it))
    report = run(it)
    assert counts(report) == RequestCounts(received=1, accepted=1)
    assert [each.status for each in booked(it)] == ["booked"]
    assert first.results == [{"outcome": "accepted", "externalId": external(it)}]
    it.clock.advance(hours=5)
    second = ask(it, kind="cancel", externalId=external(it))
    run(it)
    assert [each.status for each in booked(it)] == ["cancelled"]
    assert second.results == [{"outcome": "accepted", "externalId": external(it)}]
    assert [status for _, status in told(it)] == ["booked", "confirmed", "cancelled"]


def test_nextechs_words_for_a_refusal_go_to_birdeye(it: Bench) -> None:
    ask(it)
    run(it)
    second = ask(it, customer={**BOOKING["customer"], "firstName": "Ben", "birthDate": "1990-01-01"})  # type: ignore[dict-item]
    report = run(it)
    assert counts(report) == RequestCounts(received=1, rejected=1)
    assert second.results == [
        {"outcome": "rejected", "reason": "Emulated: the requested time is not available"},
    ]
    assert len(booked(it)) == 1


def test_a_practice_that_wants_a_reason_for_cancellations_is_explained(it: Bench) -> None:
    it.book(NEXT_WEEK, status="pending")
    run(it)
    it.app.emr.options.cancellation_reason_required = True
    asked = ask(it, kind="cancel", externalId=external(it))
    report = run(it)
    (result,) = asked.results
    assert result["outcome"] == "rejected"
    assert result["reason"] == (
        "Emulated: the preference 'Require a cancellation reason' is Yes; the practice asks for a cancellation reason: set "
        "'Require a cancellation reason' to No in Nextech's preferences"
    )
    assert report.warnings == [
        "Nextech refuses cancellations: the practice must set 'require a cancellation reason' to No"
    ]
    assert [each.status for each in booked(it)] == ["pending"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"kind": "reschedule"}, booking.NOT_UNDERSTOOD),
        ({"kind": "cancel", "externalId": "not-ours"}, booking.UNKNOWN_APPOINTMENT),
        ({"kind": "confirm"}, booking.UNKNOWN_APPOINTMENT),
        ({"start": "2026-11-24T14:00:00Z"}, booking.IS_OVER),
        ({"practitionerId": None}, booking.INCOMPLETE),
        ({"start": "2026-12-04T10:00:00"}, booking.INCOMPLETE),
        ({"end": "2026-12-04T14:00:00Z"}, booking.INCOMPLETE),
        ({"customer": {"firstName": "Ada", "lastName": "Example"}}, booking.NO_WAY_TO_REACH),
    ],
)
def test_what_cannot_be_done_is_rejected_without_a_write_to_nextech(
    it: Bench, changes: dict[str, Any], reason: str
) -> None:
    asked = ask(it, **changes)
    report = run(it)
    assert counts(report) == RequestCounts(received=1, rejected=1)
    assert [each["reason"] for each in asked.results] == [reason]
    assert booked(it) == []
    assert "POST Appointment" not in it.requests
    assert "PUT Appointment" not in it.requests


def test_an_appointment_that_has_begun_is_neither_confirmed_nor_cancelled(it: Bench) -> None:
    it.book("2026-11-24", hour=9, status="arrived")
    run(it)
    asked = ask(it, kind="cancel", externalId=external(it))
    run(it)
    assert [each["reason"] for each in asked.results] == [booking.HAS_BEGUN]
    assert [each.status for each in booked(it)] == ["arrived"]


def test_a_booking_for_a_place_or_person_of_another_location_is_rejected(it: Bench) -> None:
    it.put(HERE, THERE, triggers=BOTH, locations={
        HERE: {"wire": {"location.name": "Downtown", "practitioner.id": "417"}},
        THERE: {"wire": {"location.name": "Midtown"}},
    })  # fmt: skip
    wrong_place = ask(it, HERE, locationId="4")
    wrong_person = ask(it, HERE, practitionerId="704")
    right = ask(it, THERE, locationId="4")
    run(it)
    assert [each["reason"] for one in (wrong_place, wrong_person) for each in one.results] == [booking.NOT_HERE] * 2
    assert [each["outcome"] for each in right.results] == ["accepted"]


# the outcome that nobody knows -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["reset-after-commit", "503-after-commit", "html-after-commit", "truncated", "cut"])
def test_a_booking_whose_answer_was_lost_is_found_and_not_made_twice(it: Bench, kind: str) -> None:
    asked = ask(it)
    # Calls to appointments: the look before the booking, then the booking itself.
    it.app.faults.arm(f"{EMR}:2:{kind}")
    report = run(it)
    assert (report.status, counts(report)) == ("ok", RequestCounts(received=1, accepted=1))
    assert len(booked(it)) == 1
    assert [each["outcome"] for each in asked.results] == ["accepted"]
    assert it.requests["POST Appointment"] == 1


@pytest.mark.parametrize("kind", ["reset-before-commit", "503-before-commit"])
def test_a_booking_that_never_arrived_is_looked_for_and_then_made_once(it: Bench, kind: str) -> None:
    asked = ask(it)
    it.app.faults.arm(f"{EMR}:2:{kind}")
    began = it.clock.now()
    report = run(it)
    assert counts(report) == RequestCounts(received=1, accepted=1)
    assert len(booked(it)) == 1
    assert [each["outcome"] for each in asked.results] == ["accepted"]
    assert it.clock.now() - began >= timedelta(seconds=30)  # what was on its way has arrived by then


def test_where_the_look_up_fails_too_nothing_is_booked_until_it_succeeds(it: Bench) -> None:
    asked = ask(it)
    it.app.faults.arm(f"{EMR}:2:reset-after-commit")
    it.app.faults.arm(f"{EMR}:3+:503")
    whole = it.sync()
    report = whole.locations[0].reminders
    assert report is not None
    assert (report.status, counts(report), whole.exit_code) == ("error", RequestCounts(received=1, held=1), 5)
    assert asked.results == []
    it.app.faults.clear()
    it.clock.advance(minutes=10)
    assert counts(run(it)) == RequestCounts(open=1, accepted=1)
    assert len(booked(it)) == 1


class Silent(NextechWrites):
    """Nextech, which never says what became of a booking, and never made one."""

    posts = 0

    def book(self, practice_id: str, body: Phi[dict[str, Any]]) -> Written:
        self.posts += 1
        return Written(WriteOutcome.UNKNOWN)


def test_a_booking_that_stays_unknown_is_held_and_given_up_once_its_time_has_passed(it: Bench) -> None:
    asked = ask(it)
    assert it.deps.ports is not None
    real = it.deps.ports(False)
    assert isinstance(real.reads, NextechClient)
    silent = Silent(real.reads)
    it.deps.ports = lambda is_plus: Ports(real.reads, silent)
    for _ in range(6):
        found = counts(run(it))
        assert (found.held, found.accepted, found.rejected) == (1, 0, 0)
        it.clock.advance(minutes=10)
    assert silent.posts == 3
    it.clock.advance(days=20)
    assert counts(run(it)) == RequestCounts(open=1, rejected=1)
    assert [each["reason"] for each in asked.results] == [booking.IS_OVER]
    assert silent.posts == 3


def test_an_intent_that_a_dead_process_left_is_looked_for_before_it_is_made(it: Bench) -> None:
    asked = ask(it)
    it.app.faults.arm(f"{EMR}:2:reset-after-commit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reconciler.sync.reminder_requests.Requests._settle", _die)
        with pytest.raises(_Dead):
            it.sync()
    with it.store.read() as connection:
        (row,) = kept.open_requests(connection, it.deps.keys, HERE, it.deps.pseudonyms.practice(PRACTICE_ID))
    assert (row.state, row.tries) == ("intent", 1)
    assert len(booked(it)) == 1
    it.clock.advance(minutes=5)
    assert counts(run(it)) == RequestCounts(open=1, accepted=1)
    assert len(booked(it)) == 1
    assert [each["outcome"] for each in asked.results] == ["accepted"]


def test_an_older_copy_of_the_ledger_books_nobody_twice(it: Bench, tmp_path: Path) -> None:
    asked = ask(it)
    run(it)
    with it.store.begin() as connection:
        for name in ("appointment_requests", "reminder_locations", "reminder_appointments"):
            connection.exec_driver_sql(f"DELETE FROM {name}")
    run(it)
    assert len(booked(it)) == 1
    assert it.requests["POST Appointment"] == 1
    assert [each["outcome"] for each in asked.results] == ["accepted", "accepted"]


@pytest.mark.parametrize("kind", ["confirm", "cancel"])
@pytest.mark.parametrize("fault", ["reset-after-commit", "503-before-commit"])
def test_a_change_whose_answer_was_lost_is_looked_at(it: Bench, kind: str, fault: str) -> None:
    it.book(NEXT_WEEK, status="pending")
    run(it)
    it.clock.advance(hours=5)
    asked = ask(it, kind=kind, externalId=external(it))
    it.app.faults.arm(f"{EMR}:1:{fault}")
    report = run(it)
    assert counts(report) == RequestCounts(received=1, accepted=1)
    assert [each["outcome"] for each in asked.results] == ["accepted"]
    assert [each.status for each in booked(it)] == ["booked" if kind == "confirm" else "cancelled"]


def test_a_result_whose_answer_was_lost_is_told_again(it: Bench) -> None:
    asked = ask(it)
    it.app.faults.arm("/resources/v1/appointments/requests/:*:503-after-commit")
    whole = it.sync()
    report = whole.locations[0].reminders
    assert report is not None
    assert (report.status, counts(report), whole.exit_code) == ("error", RequestCounts(received=1, pending=1), 5)
    assert len(told(it)) == 1  # the other direction goes on
    it.app.faults.clear()
    it.clock.advance(minutes=10)
    assert counts(run(it)) == RequestCounts(open=1, accepted=1)
    assert {each["outcome"] for each in asked.results} == {"accepted"}
    assert len(booked(it)) == 1


def test_a_practice_that_shuts_us_out_half_way_loses_no_request(it: Bench) -> None:
    it.book(NEXT_WEEK, status="pending")
    run(it)
    it.clock.advance(hours=5)
    asked = ask(it, kind="confirm", externalId=external(it))
    it.app.emr.options.upsets.clear()
    it.app.emr.unauthorised[PRACTICE_ID] = 401
    report = it.sync()
    assert report.locations[0].reminders is not None
    assert report.locations[0].reminders.status == "unauthorised"
    assert asked.results == []
    it.app.emr.unauthorised.clear()
    with it.store.begin() as connection:
        pseudonym = it.deps.pseudonyms.practice(PRACTICE_ID)
        sync_practices.put_authorised(connection, pseudonym, authorised=True, at=it.clock.now())
    assert counts(run(it)) == RequestCounts(open=1, accepted=1)


def test_when_the_calls_of_the_day_are_used_up_a_request_waits_and_is_not_asked_twice(it: Bench) -> None:
    asked = ask(it)
    real = it.deps.ports
    assert real is not None
    client = real(False).reads
    assert isinstance(client, NextechClient)

    class UsedUp(NextechWrites):
        def book(self, practice_id: str, body: Phi[dict[str, Any]]) -> Written:
            raise errors.QuotaUsedUp("the calls of the day are used up", method="POST", path="/Appointment/")

    writes = UsedUp(client)
    it.deps.ports = lambda is_plus: Ports(client, writes)
    it.deps.quotas = {SELECT: DailyCalls(it.store, SELECT, 1_000, now=it.clock.now)}
    report = run(it)
    assert (report.status, report.detail) == ("waiting", "the calls of the day are used up")
    assert counts(report) == RequestCounts(received=1, pending=1)
    it.deps.ports, it.deps.quotas = real, {}
    assert counts(run(it)) == RequestCounts(open=1, accepted=1)
    assert len(asked.results) == 1


# many, and one after the other -----------------------------------------------------------------------------------


def test_more_requests_than_a_page_holds_are_all_taken_and_each_once(
    it: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appointments, "PAGE_SIZE", 7)
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    asked = it.app.contacts.book.seed(HERE, known, 20, 3, it.clock.now())
    report = run(it)
    assert counts(report).received == 20
    assert counts(report).accepted + counts(report).rejected == 20
    assert len(booked(it)) == counts(report).accepted
    assert counts(run(it)) == RequestCounts()
    assert {len(each.results) for each in asked} == {1}
    assert it.app.contacts.violations == []
    assert it.app.emr.violations == []


def test_a_booking_can_be_cancelled_by_the_id_that_came_back(it: Bench) -> None:
    first = ask(it)
    run(it)
    second = ask(it, kind="cancel", externalId=first.results[0]["externalId"])
    run(it)
    assert [each["outcome"] for each in second.results] == ["accepted"]
    assert [each.status for each in booked(it)] == ["cancelled"]


def test_a_booking_that_staff_delete_is_told_as_cancelled(it: Bench) -> None:
    ask(it)
    run(it)
    (made,) = booked(it)
    delete(it, made.id)
    it.clock.advance(days=1)
    run(it)
    assert [status for _, status in told(it)] == ["booked", "cancelled"]


def test_practice_plus_confirms_and_takes_no_booking(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        it.app.emr.add(practice(plus=True))
        it.put(triggers=BOTH, practice_plus=True)
        it.book(NEXT_WEEK, status="pending")
        run(it)
        asked = [
            ask(it),
            ask(it, kind="confirm", externalId=external(it)),
            ask(it, kind="cancel", externalId=external(it)),
        ]
        run(it)
        assert [each.results[0].get("reason") for each in asked] == [booking.NOT_OFFERED, None, booking.NOT_OFFERED]
        assert [each.status for each in booked(it)] == ["booked"]


def test_nothing_of_who_asked_is_kept_once_birdeye_knows_the_outcome_nor_ever_in_clear(
    it: Bench, tmp_path: Path
) -> None:
    ask(it)
    it.app.faults.arm("/resources/v1/appointments/requests/:*:503")
    run(it)
    with it.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT payload FROM appointment_requests").all()
    assert all(row.payload is not None for row in rows)
    text = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    for secret in (b"ada.widget", b"555-0142", b"1980-05-06", b"2026-12-04T15:00:00Z"):
        assert secret not in text
    it.app.faults.clear()
    run(it)
    with it.store.read() as connection:
        rows = connection.exec_driver_sql("SELECT payload FROM appointment_requests").all()
    assert all(row.payload is None for row in rows)
    assert "Example" not in repr(it.events)


class _Dead(BaseException):
    """The process ends here."""


def _die(*_: object, **__: object) -> None:
    raise _Dead
