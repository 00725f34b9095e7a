"""What a delivery does with each answer, where it stops, and what it leaves planned."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciler.clients.contacts import Activity, CheckinAnswer, Customer, judge_checkin
from reconciler.clients.contacts import CheckinOutcome as Outcome
from reconciler.errors import InternalError, LockHeld, RemoteError, SecretError, StoreError
from reconciler.store import ledger_outbox, schema
from reconciler.store.database import open_store
from reconciler.sync import deliver, settle
from reconciler.sync.deliver import Account, Stop
from reconciler.sync.outbox import Writer
from tests.ledgers import ACCOUNTS, API_KEY, LOCATION, NOW, PARENT, Desk

OTHER_PARENT = 200000000000100
OTHER = 200000000000101


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with open_store(f"sqlite:///{tmp_path}/store.db", now=lambda: NOW, write=True) as store:
        yield Desk(store)


def now() -> datetime:
    return datetime.now(UTC)


class Client:
    """Answers as told, by visit; confirms everything else."""

    def __init__(self, answers: Mapping[str, CheckinAnswer | BaseException] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[tuple[int, str, str]] = []
        self.lock = threading.Lock()

    def checkin(self, business: int, api_key: str, body: Mapping[str, Any]) -> CheckinAnswer:
        visit = body["additionalParams"]["appointment.types"]
        with self.lock:
            self.asked.append((business, api_key, visit))
        answer = self.answers.get(visit, self.answers.get("*", judge_checkin(200, {"customerId": 77})))
        if isinstance(answer, BaseException):
            raise answer
        return answer


@pytest.mark.parametrize(
    ("status", "body", "state", "code"),
    [
        (200, {"customerId": 77}, "confirmed", None),
        (200, {"code": 1142, "message": "x"}, "failed", 1142),
        (400, {"code": 1086, "message": "x"}, "failed", 1086),
        (400, {"code": 1087, "message": "x"}, "failed", 1087),
        (400, {"code": 1088, "message": "x"}, "failed", 1088),
        (400, {"code": 1055, "message": "x"}, "failed", 1055),
        (400, {"code": 20099, "message": "x"}, "failed", 20099),
        (401, {"code": 1175, "message": "x"}, "planned", 1175),
        (401, {"code": 1011, "message": "x"}, "planned", 1011),
        (401, {"code": 1161, "message": "x"}, "planned", 1161),
        (400, {"code": 1167, "message": "x"}, "planned", 1167),
        (401, {"code": 1033, "message": "x"}, "planned", 1033),
        (502, None, "unknown", None),
        (200, None, "unknown", None),
        (408, None, "unknown", None),
    ],
)
def test_the_code_decides_and_not_the_status(desk: Desk, status: int, body: Any, state: str, code: int | None) -> None:
    desk.plan([1])
    deliver.deliver(desk.delivery(Client({"*": judge_checkin(status, body)}), now=now), desk.practice, ACCOUNTS)
    assert (desk.row(1).state, desk.row(1).code) == (state, code)


def test_everybody_is_sent_once_with_the_key_of_the_account(desk: Desk) -> None:
    desk.plan(range(120))
    client = Client()
    done = deliver.deliver(desk.delivery(client, now=now, page=50), desk.practice, ACCOUNTS)
    assert sorted(client.asked) == sorted((LOCATION, API_KEY, f"Visit {it}") for it in range(120))
    assert (done.confirmed, done.failed, done.unknown, done.requests) == ({LOCATION: 120}, {}, {}, 120)
    assert desk.row(7).customer_id == "77"
    assert done.rows == 240
    assert done.rows >= 5 * done.transactions


def test_the_intents_of_a_page_are_durable_before_its_first_request(desk: Desk) -> None:
    desk.plan(range(10))
    seen: list[dict[str, int]] = []

    class Looks(Client):
        def checkin(self, business: int, api_key: str, body: Mapping[str, Any]) -> CheckinAnswer:
            with self.lock:
                if not seen:
                    seen.append(desk.states())
            return super().checkin(business, api_key, body)

    deliver.deliver(desk.delivery(Looks(), now=now, page=10, concurrency=1), desk.practice, ACCOUNTS)
    assert seen == [{"intent": 10}]


def test_a_location_that_stops_leaves_the_others_going_and_the_rest_of_it_planned(desk: Desk) -> None:
    desk.record([desk.entry(it, business=OTHER if it % 2 else LOCATION) for it in range(60)])
    accounts = {**ACCOUNTS, OTHER: Account(PARENT, API_KEY)}
    stopped = judge_checkin(401, {"code": 1175, "message": "x"})
    client = Client({f"Visit {it}": stopped for it in range(0, 60, 2)})
    done = deliver.deliver(desk.delivery(client, now=now, concurrency=2), desk.practice, accounts)
    assert done.stopped_locations == {LOCATION: Stop(1175, "code 1175: no business has this number")}
    assert desk.states() == {"planned": 30, "confirmed": 30}
    assert sum(business == LOCATION for business, _, _ in client.asked) <= 2


def test_an_account_that_stops_takes_all_of_its_locations_along_and_no_others(desk: Desk) -> None:
    desk.record([desk.entry(it, business=OTHER if it % 2 else LOCATION) for it in range(60)])
    accounts = {**ACCOUNTS, OTHER: Account(OTHER_PARENT, "another-key")}
    stopped = judge_checkin(401, {"code": 1161, "message": "x"})
    client = Client({f"Visit {it}": stopped for it in range(0, 60, 2)})
    done = deliver.deliver(desk.delivery(client, now=now, concurrency=2), desk.practice, accounts)
    assert done.stopped_accounts == {PARENT: Stop(1161, "code 1161: the API key is not valid")}
    assert desk.states() == {"planned": 30, "confirmed": 30}


def test_a_key_that_no_header_can_carry_stops_the_account_and_sends_nothing(desk: Desk) -> None:
    desk.plan([1])
    client = Client({"*": SecretError("the contacts API key is empty")})
    done = deliver.deliver(desk.delivery(client, now=now), desk.practice, ACCOUNTS)
    assert done.stopped_accounts == {PARENT: Stop(None, "the contacts API key is empty")}
    assert desk.states() == {"planned": 1}


@pytest.mark.parametrize(
    ("outcome", "states"), [(Outcome.NOT_SENT, {"planned": 40}), (Outcome.UNKNOWN, {"unknown": 10, "planned": 30})]
)
def test_a_birdeye_that_does_not_answer_is_left_alone(desk: Desk, outcome: Outcome, states: dict[str, int]) -> None:
    desk.plan(range(40))
    client = Client({"*": CheckinAnswer(outcome, None, None, "silence")})
    done = deliver.deliver(desk.delivery(client, now=now, concurrency=1), desk.practice, ACCOUNTS)
    assert done.unreachable
    assert desk.states() == states


def lost_after(count: int) -> Callable[[], None]:
    asked: list[int] = []

    def fence() -> None:
        asked.append(1)
        if len(asked) > count:
            raise LockHeld("the lock is not ours any more")

    return fence


def test_a_lost_lease_sends_nothing_further_and_leaves_the_rest_planned(desk: Desk) -> None:
    desk.plan(range(20))
    client = Client()
    delivery = desk.delivery(client, now=now, fence=lost_after(6), concurrency=1)
    done = deliver.deliver(delivery, desk.practice, ACCOUNTS)
    # One question before the page, one before each request.
    assert (done.interrupted, len(client.asked), desk.states()) == (True, 5, {"confirmed": 5, "planned": 15})


def test_a_stop_drains_what_is_on_its_way(desk: Desk) -> None:
    desk.plan(range(20))
    stop = threading.Event()

    class Stops(Client):
        def checkin(self, business: int, api_key: str, body: Mapping[str, Any]) -> CheckinAnswer:
            answer = super().checkin(business, api_key, body)
            if len(self.asked) == 3:
                stop.set()
            return answer

    client = Stops()
    delivery = desk.delivery(client, now=now, stop=stop, concurrency=1)
    done = deliver.deliver(delivery, desk.practice, ACCOUNTS)
    assert (done.interrupted, desk.states()) == (True, {"confirmed": 3, "planned": 17})


def test_a_defect_while_sending_is_unknown_and_comes_out_in_the_end(desk: Desk) -> None:
    desk.plan(range(5))
    client = Client({"Visit 2": InternalError("a defect")})
    delivery = desk.delivery(client, now=now, concurrency=1)
    with pytest.raises(InternalError, match="a defect"):
        deliver.deliver(delivery, desk.practice, ACCOUNTS)
    assert (desk.row(2).state, desk.states()["confirmed"]) == ("unknown", 2)


def test_a_damaged_payload_fails_by_itself(desk: Desk) -> None:
    desk.plan([1, 2])
    with desk.store.begin() as connection:
        rows = schema.VISITS
        connection.execute(rows.update().where(rows.c.appointment == desk.appointment(1)).values(payload=b"\x01x"))
    done = deliver.deliver(desk.delivery(Client(), now=now), desk.practice, ACCOUNTS)
    assert (done.failed, desk.states()) == ({LOCATION: {None: 1}}, {"confirmed": 1, "failed": 1})


def test_locations_without_an_account_are_not_touched(desk: Desk) -> None:
    desk.record([desk.entry(1), desk.entry(2, business=OTHER)])
    deliver.deliver(desk.delivery(Client(), now=now), desk.practice, ACCOUNTS)
    assert desk.states() == {"confirmed": 1, "planned": 1}


def test_a_full_disk_stops_sending_and_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.plan(range(100))
    client = Client()

    def full(*arguments: object) -> int:
        raise StoreError("the store cannot be written: the disk is full")

    monkeypatch.setattr(ledger_outbox, "settle", full)
    with pytest.raises(StoreError, match="the disk is full"):
        deliver.deliver(desk.delivery(client, now=now), desk.practice, ACCOUNTS)
    assert len(client.asked) < 100
    monkeypatch.undo()
    assert settle.adopt_orphans(desk.store, desk.practice, now=now()) >= len(client.asked)


def test_a_writer_that_failed_takes_nothing_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_outbox, "settle", lambda *it: 1 / 0)
    one = ledger_outbox.Settlement(desk.practice, desk.appointment(1), NOW, "confirmed", NOW)
    with (
        pytest.raises(InternalError, match=r"^outcomes could not be written \(ZeroDivisionError\)$"),
        Writer(desk.store, full=1) as writer,
    ):
        writer.put(one)


class Lookups(Client):
    """Look-ups with one answer for everybody."""

    def __init__(self, customer: Customer | None, log: tuple[Activity, ...] = (), *, fails: bool = False) -> None:
        super().__init__({"*": CheckinAnswer(Outcome.UNKNOWN, None, None, "no answer came")})
        self.customer, self.log, self.fails = customer, log, fails
        self.lookups = 0

    def get_customer(
        self,
        business: int,
        api_key: str,
        *,
        email: str | None = None,
        phone: str | None = None,
        customer_id: str | None = None,
    ) -> Customer | None:
        del business, api_key, email, phone, customer_id
        self.lookups += 1
        if self.fails:
            raise RemoteError("getCustomer failed", method="POST", path="/")
        return self.customer

    def activity_log(
        self, business: int, api_key: str, customer_id: str, *, start: date, end: date
    ) -> tuple[Activity, ...]:
        del business, api_key, customer_id
        assert start < NOW.date() < end
        return self.log


FOUND = Customer("77", None, None, (LOCATION,))
AFTER = (Activity("Review request email", "Sent", NOW + timedelta(seconds=1)),)
BEFORE = (Activity("Review request email", "Sent", NOW - timedelta(seconds=1)), Activity("Created", "", None))


def settled(desk: Desk, lookups: Lookups, *, later: float = 31) -> settle.Settled:
    delivery = desk.delivery(lookups, now=lambda: NOW + timedelta(seconds=later))
    return settle.settle_unknown(delivery, lookups, desk.practice, ACCOUNTS, settle_seconds=30)


@pytest.mark.parametrize(
    ("customer", "log", "state", "lookups"),
    [(FOUND, AFTER, "confirmed", 1), (FOUND, BEFORE, "held", 1), (FOUND, (), "held", 1), (None, (), "planned", 2)],
)
def test_an_unknown_check_in_is_looked_up_once_it_has_settled(
    desk: Desk, customer: Customer | None, log: tuple[Activity, ...], state: str, lookups: int
) -> None:
    desk.plan([1])
    client = Lookups(customer, log)
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    assert settle.due_at(desk.store, desk.practice, settle_seconds=30) == NOW + timedelta(seconds=30)
    assert (settled(desk, client, later=29), client.lookups) == (settle.Settled(), 0)
    done = settled(desk, client)
    assert (getattr(done, state), desk.row(1).state, client.lookups) == ({LOCATION: 1}, state, lookups)
    assert settle.due_at(desk.store, desk.practice, settle_seconds=30) is None


def test_a_contact_that_is_not_known_is_planned_again_once_and_then_held(desk: Desk) -> None:
    desk.plan([1])
    client = Lookups(None)
    for expected in ("planned", "held"):
        deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
        settled(desk, client)
        assert desk.row(1).state == expected
    assert len(client.asked) == 2


def test_a_look_up_that_fails_leaves_the_row_unknown(desk: Desk) -> None:
    desk.plan([1])
    client = Lookups(None, fails=True)
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    assert settled(desk, client).waiting == {LOCATION: 1}
    assert (desk.row(1).state, desk.row(1).not_found_times) == ("unknown", 0)


def test_a_location_without_an_account_waits(desk: Desk) -> None:
    desk.plan([1])
    client = Lookups(FOUND, AFTER)
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    later = desk.delivery(client, now=lambda: NOW + timedelta(minutes=1))
    done = settle.settle_unknown(later, client, desk.practice, {}, settle_seconds=30)
    assert (done.waiting, client.lookups) == ({LOCATION: 1}, 0)


def test_the_two_look_ups_of_a_missing_contact_are_apart(desk: Desk) -> None:
    desk.plan([1])
    client, slept = Lookups(None), list[float]()
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    delivery = desk.delivery(client, now=lambda: NOW + timedelta(minutes=1), sleep=slept.append)
    settle.settle_unknown(delivery, client, desk.practice, ACCOUNTS, settle_seconds=30)
    assert slept == [settle.LOOK_AGAIN_SECONDS]


def test_an_intent_found_after_a_crash_settles_from_the_moment_it_was_found(desk: Desk) -> None:
    desk.plan([1])
    with desk.store.begin() as connection:
        ledger_outbox.claim(connection, desk.practice, [LOCATION], keys=desk.keys, limit=9, now=NOW)
    found = NOW + timedelta(minutes=3)
    assert settle.adopt_orphans(desk.store, desk.practice, now=found) == 1
    assert settle.due_at(desk.store, desk.practice, settle_seconds=30) == found + timedelta(seconds=30)


def test_a_log_that_may_speak_of_another_visit_of_the_patient_confirms_nothing(desk: Desk) -> None:
    desk.record([desk.entry(1), desk.entry(2, patient=1, day=date(2026, 11, 22))])
    client = Lookups(FOUND, AFTER)
    client.answers = {"Visit 1": CheckinAnswer(Outcome.UNKNOWN, None, None, "no answer came")}
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    assert settled(desk, client).held == {LOCATION: 1}


def other_id(digits: str) -> Customer:
    return Customer("77", digits, None, (LOCATION,))


@pytest.mark.parametrize("external", ["crm-4711", "7", "00000000-0000-4000-8000-0000000000cc"])
def test_an_older_contact_with_an_id_of_another_system_confirms_by_its_activity(desk: Desk, external: str) -> None:
    desk.plan([1])
    client = Lookups(other_id(external), AFTER)
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    assert (settled(desk, client).confirmed, desk.row(1).customer_id) == ({LOCATION: 1}, "77")


def test_a_contact_with_an_id_of_ours_that_is_not_the_patients_confirms_nothing(desk: Desk) -> None:
    desk.plan([1])
    client = Lookups(other_id(str(desk.body(2).reveal()["externalId"])), AFTER)
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    assert settled(desk, client).held == {LOCATION: 1}


def test_a_contact_that_two_patients_share_confirms_neither(desk: Desk) -> None:
    desk.plan([1, 2])
    client = Lookups(other_id("crm-4711"), AFTER)
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    assert settled(desk, client).held == {LOCATION: 2}


def test_a_contact_known_as_another_patients_confirms_nothing(desk: Desk) -> None:
    desk.plan([1, 2])
    client = Lookups(other_id("crm-4711"), AFTER)
    client.answers = {"Visit 1": CheckinAnswer(Outcome.UNKNOWN, None, None, "no answer came")}
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    assert (desk.row(2).state, desk.row(2).customer_id) == ("confirmed", "77")
    assert settled(desk, client).held == {LOCATION: 1}


def test_what_an_earlier_visit_of_the_same_patient_made_confirms_a_later_one(desk: Desk) -> None:
    desk.record([desk.entry(1, patient=1, day=date(2026, 11, 20))])
    client = Lookups(other_id("crm-4711"), AFTER)
    client.answers = {}
    early = NOW - timedelta(days=2)
    deliver.deliver(desk.delivery(client, now=lambda: early), desk.practice, ACCOUNTS)
    desk.record([desk.entry(2, patient=1)])
    client.answers = {"*": CheckinAnswer(Outcome.UNKNOWN, None, None, "no answer came")}
    deliver.deliver(desk.delivery(client, now=lambda: NOW), desk.practice, ACCOUNTS)
    assert settled(desk, client).confirmed == {LOCATION: 1}
