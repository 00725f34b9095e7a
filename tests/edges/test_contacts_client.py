"""Check-ins, look-ups, activity log and opt-outs over real sockets: every row of the outcome table."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, Literal

import pytest

from reconciler import errors
from reconciler.clients import contacts
from reconciler.clients.contacts import Activity, CheckinAnswer, CheckinOutcome, ContactsClient, Customer, OptOut
from tests.edges.loopback_server import CLOSE, RESET, Answer, Loopback, Step, connected, page, serving

BUSINESS = 100000000000011
KEY = "key-geheim"
BODY: dict[str, Any] = {
    "name": "Priya Okafor",
    "emailId": "priya.okafor@example.com",
    "phone": "2125550142",
    "smsEnabled": 1,
    "externalId": "pseudonym-1",
}
PERSONAL = ("Priya", "priya", "2125550142", KEY)
FLAGS = {"smsPreferences": {"feedbackOptin": True}, "emailPreferences": {"feedbackOptin": True}}


@contextlib.contextmanager
def asking(answer: Answer, version: Literal[1, 2] = 2) -> Iterator[tuple[ContactsClient, Loopback]]:
    with serving(answer) as server, connected(server.url + "/resources") as transport:
        yield ContactsClient(transport, version, deadline_seconds=1.0), server


def checkin(answer: list[Step], body: dict[str, Any] = BODY) -> tuple[CheckinAnswer, int]:
    with asking(lambda _: answer) as (client, server):
        result = client.checkin(BUSINESS, KEY, body)
        return result, len(server.seen)


def test_a_v2_check_in_names_the_location_in_a_header_and_the_person_in_the_body_only() -> None:
    with asking(lambda _: page(200, {"customerId": 904410277})) as (client, server):
        answer = client.checkin(BUSINESS, KEY, BODY)
        (seen,) = server.seen
    assert answer == CheckinAnswer(CheckinOutcome.CONFIRMED, 200, None, "checked in", "904410277")
    assert (seen.method, seen.target) == ("POST", "/resources/v1/contact/external/preferences/checkin")
    assert (seen.headers["x-api-key"], seen.headers["x-business-number"]) == (KEY, str(BUSINESS))
    assert seen.json() == BODY


def test_a_v1_check_in_names_the_location_in_the_query_and_drops_the_categories() -> None:
    with asking(lambda _: page(200, {"customerId": "904410277"}), 1) as (client, server):
        assert client.checkin(BUSINESS, KEY, BODY | FLAGS).customer_id == "904410277"
        (seen,) = server.seen
    assert seen.target == f"/resources/v1/customer/checkin?bid={BUSINESS}"
    assert "x-business-number" not in seen.headers
    assert seen.json() == BODY


@pytest.mark.parametrize("code", sorted(contacts.CODES))
@pytest.mark.parametrize("status", [200, 400, 401, 404, 500])
@pytest.mark.parametrize("shape", [("code", "message"), ("errorCode", "errorMessage")])
def test_the_code_decides_whatever_the_status_and_the_shape(code: int, status: int, shape: tuple[str, str]) -> None:
    body = {shape[0]: code, shape[1]: "priya.okafor@example.com is wrong"}
    outcome, meaning = contacts.CODES[code]
    assert contacts.judge_checkin(status, body) == CheckinAnswer(outcome, status, code, f"code {code}: {meaning}")


@pytest.mark.parametrize(
    ("status", "body", "outcome", "code"),
    [
        (400, {"code": 1142, "message": "x"}, "failed", 1142),
        (401, {"code": "1175", "message": "x"}, "location_stopped", 1175),
        (404, {"code": 1011, "message": "x"}, "location_stopped", 1011),
        (401, {"code": 1161, "message": "x"}, "account_stopped", 1161),
        (400, {"code": 1167, "message": "x"}, "account_stopped", 1167),
        (401, {"errorCode": 1033, "errorMessage": "x"}, "account_stopped", 1033),
        (200, {"code": 1088, "message": "x"}, "failed", 1088),
        (400, {"code": 31337, "message": "Priya"}, "failed", 31337),
        (500, {"code": 31337, "message": "Priya"}, "unknown", 31337),
        (500, {"code": 1142, "message": "x"}, "failed", 1142),
        (200, {"customerId": 7, "code": 1142, "message": "x"}, "unknown", 1142),
        (200, {"customerId": 7, "code": 0, "message": "ok"}, "confirmed", None),
        (202, {"customerId": "7"}, "confirmed", None),
        (200, {"id": 7, "checkinUrl": "u"}, "confirmed", None),
        (200, {}, "unknown", None),
        (200, [], "unknown", None),
        (200, {"customerId": True}, "unknown", None),
        (200, {"customerId": "soon"}, "unknown", None),
        (200, "<html>Priya</html>", "unknown", None),
        (200, '{"customerId": 7', "unknown", None),
        (200, b"", "unknown", None),
        (204, b"", "unknown", None),
        (500, b"", "unknown", None),
        (502, "<html>", "unknown", None),
        (503, b"", "unknown", None),
        (504, b"", "unknown", None),
        (408, b"", "unknown", None),
        (400, "<html>", "location_stopped", None),
        (404, "<html>", "location_stopped", None),
        (302, b"", "location_stopped", None),
        (401, b"", "account_stopped", None),
        (403, "<html>", "account_stopped", None),
    ],
)
def test_every_answer_has_its_outcome_and_is_asked_for_once(
    status: int, body: object, outcome: str, code: int | None
) -> None:
    answer, requests = checkin(page(status, body))
    assert (answer.outcome.value, answer.status, answer.code, requests) == (outcome, status, code, 1)
    assert not any(it in repr(answer) for it in PERSONAL)


@pytest.mark.parametrize(
    "steps",
    [[RESET], [CLOSE], [b"HTTP/1.1 200 X\r\nContent-Length: 50\r\n\r\n{", CLOSE], [b"rubbish\r\n\r\n", CLOSE], [3.0]],
    ids=["reset", "closed", "cut in the body", "no http", "time-out"],
)
def test_bytes_went_out_and_no_answer_came_is_unknown_and_not_sent_again(steps: list[Step]) -> None:
    answer, requests = checkin(steps)
    assert (answer.outcome, requests) == (CheckinOutcome.UNKNOWN, 1)


def test_a_refused_connection_is_not_sent() -> None:
    with serving(lambda _: page(200)) as server:
        url = server.url
    with connected(url) as transport:
        answer = ContactsClient(transport, deadline_seconds=0.3).checkin(BUSINESS, KEY, BODY)
    assert answer == CheckinAnswer(CheckinOutcome.NOT_SENT, None, None, "the request never left")


def test_429_is_tried_again_and_then_counts_as_not_sent() -> None:
    answers = iter([page(429, {"code": 89, "message": "slow"}), page(200, {"customerId": 7})])
    with asking(lambda _: next(answers)) as (client, server):
        assert client.checkin(BUSINESS, KEY, BODY).outcome is CheckinOutcome.CONFIRMED
        assert len(server.seen) == 2
    with asking(lambda _: page(429, headers={"Retry-After": "60"})) as (client, server):
        answer = client.checkin(BUSINESS, KEY, BODY)
    assert answer == CheckinAnswer(CheckinOutcome.NOT_SENT, 429, 89, "the rate limit was hit")


def test_20099_is_sent_once_more_without_the_categories() -> None:
    answers = iter([page(400, {"code": 20099, "message": "x"}), page(200, {"customerId": 7})])
    with asking(lambda _: next(answers)) as (client, server):
        assert client.checkin(BUSINESS, KEY, BODY | FLAGS).outcome is CheckinOutcome.CONFIRMED
        assert [it.json() for it in server.seen] == [BODY | FLAGS, BODY]
    for body in (BODY | FLAGS, BODY):
        answer, requests = checkin(page(400, {"code": 20099, "message": "x"}), body)
        assert (answer.outcome, answer.code, requests, answer.requests) == (CheckinOutcome.FAILED, 20099, 2, 2)


def test_20099_is_sent_once_more_also_where_there_were_no_categories() -> None:
    answers = iter([page(200, {"code": 20099, "message": "x"}), page(200, {"customerId": 7})])
    with asking(lambda _: next(answers)) as (client, server):
        answer = client.checkin(BUSINESS, KEY, BODY)
        assert (answer.outcome, answer.customer_id) == (CheckinOutcome.CONFIRMED, "7")
        assert [it.json() for it in server.seen] == [BODY, BODY]


def test_a_lost_answer_after_20099_is_unknown() -> None:
    lost: list[Step] = [RESET]
    answers = iter((page(400, {"code": 20099, "message": "x"}), lost))
    with asking(lambda _: next(answers)) as (client, server):
        answer = client.checkin(BUSINESS, KEY, BODY | FLAGS)
        assert (answer.outcome, answer.code, len(server.seen)) == (CheckinOutcome.UNKNOWN, None, 2)


@pytest.mark.parametrize("key", ["", "a\r\nb", "ä", " x"])
def test_an_api_key_that_no_header_carries_is_refused_before_anything_is_sent(key: str) -> None:
    with asking(lambda _: page(200)) as (client, server):
        with pytest.raises(errors.SecretError):
            client.checkin(BUSINESS, key, BODY)
        assert server.seen == []


FOUND = {
    "id": 904410277,
    "firstName": "Priya",
    "email": "priya.okafor@example.com",
    "blocked": False,
    "externalId": "pseudonym-1",
    "mappings": [{"businessNumber": 12}, {"businessNumber": "11"}, {"bid": 5}, 7],
}


@pytest.mark.parametrize(
    ("version", "target"),
    [
        (2, "/resources/v1/contact/external/preferences/getCustomer"),
        (1, f"/resources/v1/customer-v2/external/getCustomer?businessId={BUSINESS}"),
    ],
)
def test_a_contact_is_looked_up_by_what_is_in_the_body(version: Literal[1, 2], target: str) -> None:
    with asking(lambda _: page(200, FOUND), version) as (client, server):
        found = client.get_customer(BUSINESS, KEY, email="priya.okafor@example.com")
        client.get_customer(BUSINESS, KEY, phone="2125550142")
        client.get_customer(BUSINESS, KEY, customer_id="904410277")
    assert found == Customer("904410277", "pseudonym-1", False, (11, 12))
    assert {it.target for it in server.seen} == {target}
    assert [it.json() for it in server.seen] == [
        {"email": "priya.okafor@example.com"},
        {"phone": "2125550142"},
        {"id": 904410277},
    ]


def test_5043_means_that_no_contact_matches() -> None:
    with asking(lambda _: page(400, {"code": 5043, "message": "x"})) as (client, _):
        assert client.get_customer(BUSINESS, KEY, email="priya.okafor@example.com") is None


@pytest.mark.parametrize(
    ("answer", "kind", "code"),
    [
        (page(401, {"code": 1161, "message": "priya.okafor@example.com"}), errors.Answered, 1161),
        (page(200, {"code": 1161, "message": "priya.okafor@example.com"}), errors.Answered, 1161),
        (page(404, "<html>priya.okafor@example.com"), errors.Answered, None),
        (page(404), errors.Answered, None),
        (page(200, "<html>priya.okafor@example.com"), errors.Garbage, None),
        (page(200, {}), errors.Garbage, None),
        (page(200, []), errors.Garbage, None),
        (page(500, {"message": "priya.okafor@example.com"}), errors.Answered, None),
    ],
)
def test_a_look_up_that_failed_is_never_not_found(answer: list[Step], kind: type[Exception], code: int | None) -> None:
    with asking(lambda _: answer) as (client, _), pytest.raises(kind) as caught:
        client.get_customer(BUSINESS, KEY, email="priya.okafor@example.com")
    assert getattr(caught.value, "code", None) == code
    assert not any(it in f"{caught.value}{vars(caught.value)}" for it in PERSONAL)


def test_a_read_is_repeated_after_a_5xx() -> None:
    answers = iter([page(503), page(200, FOUND)])
    with asking(lambda _: next(answers)) as (client, _):
        assert client.get_customer(BUSINESS, KEY, phone="2125550142") is not None


def test_the_activity_log_is_read_with_its_times_in_utc() -> None:
    log = [
        {"type": "Created", "action": "No Action", "activityTimestamp": 1772547120000},
        {"type": "Review request email", "action": "Sent", "activityTimestamp": "1772554320000"},
        {"type": None, "activityTimestamp": "soon"},
    ]
    with asking(lambda _: page(200, log)) as (client, server):
        found = client.activity_log(BUSINESS, KEY, "904410277", start=date(2026, 3, 1), end=date(2026, 3, 31))
        (seen,) = server.seen
    assert seen.target == (
        f"/resources/v1/customer/history/904410277?businessId={BUSINESS}&startDate=03/01/2026&endDate=03/31/2026"
    )
    assert found == (
        Activity("Created", "No Action", datetime(2026, 3, 3, 14, 12, tzinfo=UTC)),
        Activity("Review request email", "Sent", datetime(2026, 3, 3, 16, 12, tzinfo=UTC)),
        Activity("", "", None),
    )


@pytest.mark.parametrize("body", [{}, [1], "x", "<html>"])
def test_a_log_that_is_none_is_an_error(body: object) -> None:
    with asking(lambda _: page(200, body)) as (client, _), pytest.raises(errors.Garbage):
        client.activity_log(BUSINESS, KEY, "1", start=date(2026, 3, 1), end=date(2026, 3, 1))


START, END = datetime(2026, 3, 3, tzinfo=UTC), datetime(2026, 3, 5, 12, tzinfo=UTC)
FEED = {
    "emailOptOut": [
        {
            "id": 1,
            "firstName": "Priya",
            "emailId": " priya.okafor@example.com ",
            "phone": "",
            "optOutFrom": ["Feedback"],
        }
    ],
    "textOptOut": [{"id": "2", "phone": "(212) 555-0142", "optOutFrom": ["marketing"]}],
    "blocked": [{"id": 3, "optOutFrom": None}],
}


@pytest.mark.parametrize(
    ("version", "target"),
    [
        (2, "/resources/v1/contact/external/preferences/update-feed"),
        (1, f"/resources/v1/contact/{BUSINESS}/update-feed"),
    ],
)
def test_the_opt_out_feed_is_read_day_by_day(version: Literal[1, 2], target: str) -> None:
    with asking(lambda _: page(200, FEED), version) as (client, server):
        slices = list(client.opt_outs(BUSINESS, KEY, start=START, end=END))
    assert slices[0] == (
        OptOut("1", "email", "priya.okafor@example.com", None, frozenset({"feedback"})),
        OptOut("2", "text", None, "(212) 555-0142", frozenset({"marketing"})),
        OptOut("3", "blocked", None, None, frozenset()),
    )
    assert [it.covers_feedback for it in slices[0]] == [True, False, True]
    assert not any(it in repr(slices) for it in (*PERSONAL, "555-0142"))
    assert {it.target for it in server.seen} == {target}
    assert [(it.json()["start"], it.json()["end"]) for it in server.seen] == [
        (1772496000000, 1772582400000),
        (1772582400000, 1772668800000),
        (1772668800000, 1772712000000),
    ]
    assert server.seen[0].json()["subscriptionStatus"] == ["opted-out", "blocked"]


@pytest.mark.parametrize("body", [{}, [], {"emailOptOut": None}, {"emailOptOut": {}}, {"emailOptOut": [1]}, "<html>"])
def test_a_feed_that_cannot_be_read_is_never_nobody(body: object) -> None:
    with asking(lambda _: page(200, body)) as (client, _), pytest.raises(errors.Garbage):
        list(client.opt_outs(BUSINESS, KEY, start=START, end=END))


def test_an_empty_feed_is_nobody() -> None:
    empty: dict[str, list[object]] = {"emailOptOut": [], "textOptOut": [], "blocked": []}
    with asking(lambda _: page(200, empty)) as (client, _):
        assert list(client.opt_outs(BUSINESS, KEY, start=START, end=END)) == [(), (), ()]
