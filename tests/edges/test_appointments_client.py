"""The provisional contract for appointments over real sockets: every outcome, and nothing of a person in a message."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler import errors
from reconciler.clients import appointments
from reconciler.clients.appointments import Answer, AppointmentsClient, Outcome, Paths, RequestPage
from reconciler.settings.values import Contacts
from tests.edges.loopback_server import CLOSE, RESET, Loopback, Step, connected, page, serving
from tests.edges.loopback_server import Answer as Script

BUSINESS = 100000000000011
KEY = "key-geheim"
BODY: dict[str, Any] = {"externalId": "x/1", "status": "booked", "customer": {"name": "Priya Okafor"}}


@contextlib.contextmanager
def asking(answer: Script, paths: Paths | None = None) -> Iterator[tuple[AppointmentsClient, Loopback]]:
    with serving(answer) as server, connected(server.url + "/resources") as transport:
        yield AppointmentsClient(transport, paths, deadline_seconds=1.0), server


def upsert(answer: list[Step]) -> tuple[Answer, int]:
    with asking(lambda _: answer) as (client, server):
        found = client.upsert(BUSINESS, KEY, "x/1", BODY)
        return found, len(server.seen)


def test_an_upsert_names_the_appointment_in_the_path_and_the_location_in_a_header() -> None:
    with asking(lambda _: page(200, {"appointmentId": "7"})) as (client, server):
        answer = client.upsert(BUSINESS, KEY, "x/1", BODY)
        (seen,) = server.seen
    assert answer == Answer(Outcome.DONE, 200, None, "told")
    assert (seen.method, seen.target) == ("PUT", "/resources/v1/appointments/x%2F1")
    assert (seen.headers["x-api-key"], seen.headers["x-business-number"]) == (KEY, str(BUSINESS))
    assert seen.json() == BODY


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, {"appointmentId": 7}, Outcome.DONE),
        (201, {"appointmentId": "7"}, Outcome.DONE),
        (200, {}, Outcome.UNKNOWN),
        (200, {"appointmentId": ""}, Outcome.UNKNOWN),
        (200, "<html>", Outcome.UNKNOWN),
        (200, "", Outcome.UNKNOWN),
        (409, {"code": 4090}, Outcome.NEWER),
        (409, {"code": 4090, "message": "newer"}, Outcome.NEWER),
        (200, {"code": 4090, "message": "newer"}, Outcome.NEWER),
        (400, {"code": 4091, "message": "Priya Okafor is not valid"}, Outcome.FAILED),
        (200, {"code": 1087, "message": "malformed"}, Outcome.FAILED),
        (401, {"errorCode": 1161, "errorMessage": "key"}, Outcome.ACCOUNT_STOPPED),
        (401, {"code": 1033, "message": "no"}, Outcome.ACCOUNT_STOPPED),
        (403, "", Outcome.ACCOUNT_STOPPED),
        (401, {"code": 1175, "message": "no"}, Outcome.LOCATION_STOPPED),
        (404, "", Outcome.LOCATION_STOPPED),
        (409, "", Outcome.LOCATION_STOPPED),
        (429, {"code": 89, "message": "slow"}, Outcome.NOT_SENT),
        (503, "", Outcome.UNKNOWN),
    ],
)
def test_what_each_answer_to_an_upsert_means(status: int, body: object, outcome: Outcome) -> None:
    found, _ = upsert(page(status, body))
    assert found.outcome is outcome
    assert "Priya" not in repr(found)
    assert KEY not in repr(found)


@pytest.mark.parametrize("step", [RESET, CLOSE])
def test_an_answer_that_never_comes_is_asked_for_again_since_that_does_no_harm(step: Step) -> None:
    calls: list[int] = []

    def answer(_: object) -> list[Step]:
        calls.append(1)
        return [step] if len(calls) == 1 else page(200, {"appointmentId": 7})

    with asking(answer) as (client, _):
        assert client.upsert(BUSINESS, KEY, "x", BODY).outcome is Outcome.DONE
    assert len(calls) == 2


def test_silence_is_an_unknown_outcome_within_the_deadline() -> None:
    found, _ = upsert([5.0])
    assert found == Answer(Outcome.UNKNOWN, None, None, "no answer came")


def test_nobody_there_means_not_sent() -> None:
    with serving(lambda _: page(200)) as server:
        url = server.url
    with connected(url) as transport:
        client = AppointmentsClient(transport, deadline_seconds=0.5)
        found = client.upsert(BUSINESS, KEY, "x", BODY)
    assert found == Answer(Outcome.NOT_SENT, None, None, "the request never left")


@pytest.mark.parametrize("body", [{"requestId": "r"}, {}, ""])
def test_a_result_needs_no_member_of_its_answer(body: object) -> None:
    with asking(lambda _: page(200, body)) as (client, server):
        answer = client.result(BUSINESS, KEY, "r 1", {"outcome": "accepted", "externalId": "x"})
        (seen,) = server.seen
    assert answer.outcome is Outcome.DONE
    assert (seen.method, seen.target) == ("POST", "/resources/v1/appointments/requests/r%201/result")
    assert seen.json() == {"outcome": "accepted", "externalId": "x"}


def test_a_page_of_requests() -> None:
    with asking(lambda _: page(200, {"items": [{"requestId": "r"}], "next": 17})) as (client, server):
        assert client.requests(BUSINESS, KEY, None) == RequestPage(({"requestId": "r"},), "17")
        assert client.requests(BUSINESS, KEY, "a b") == RequestPage(({"requestId": "r"},), "17")
        targets = [it.target for it in server.seen]
    assert targets == [
        "/resources/v1/appointments/requests?after=&limit=100",
        "/resources/v1/appointments/requests?after=a%20b&limit=100",
    ]


@pytest.mark.parametrize("following", [None, ""])
def test_a_page_may_say_that_nothing_follows(following: str | None) -> None:
    with asking(lambda _: page(200, {"items": [], "next": following})) as (client, _):
        assert client.requests(BUSINESS, KEY, "7") == RequestPage((), None)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (200, "<html>", errors.Garbage),
        (200, "", errors.Garbage),
        (200, [], errors.Garbage),
        (200, {"next": "1"}, errors.Garbage),
        (200, {"items": {}}, errors.Garbage),
        (200, {"items": [], "next": []}, errors.Garbage),
        (200, {"items": [{}] * 101, "next": "1"}, errors.Garbage),
        (200, {"code": 1175, "message": "Priya"}, errors.Answered),
        (404, {"code": 1175, "message": "Priya"}, errors.Answered),
        (401, "", errors.Answered),
        (503, "", errors.Answered),
    ],
)
def test_a_page_that_cannot_be_read_is_an_error_and_never_an_empty_page(
    status: int, body: object, kind: type[errors.RemoteError]
) -> None:
    with asking(lambda _: page(status, body)) as (client, _), pytest.raises(kind) as caught:
        client.requests(BUSINESS, KEY, "cursor-geheim")
    assert "Priya" not in caught.value.message
    assert "geheim" not in caught.value.message


def test_the_paths_are_those_of_the_settings() -> None:
    paths = Paths("/v2/visits/{externalId}", "/v2/wishes", "/v2/wishes/{requestId}/done")
    with asking(lambda _: page(200, {"appointmentId": 1, "items": []}), paths) as (client, server):
        client.upsert(BUSINESS, KEY, "x", {})
        client.requests(BUSINESS, KEY, "7")
        client.result(BUSINESS, KEY, "r", {})
        targets = [it.target for it in server.seen]
    assert targets == [
        "/resources/v2/visits/x",
        "/resources/v2/wishes?after=7&limit=100",
        "/resources/v2/wishes/r/done",
    ]


@pytest.mark.parametrize("key", ["", " key", "k\u00e9y", "a\nb"])
def test_a_key_that_no_header_can_carry_is_refused_before_anything_is_sent(key: str) -> None:
    with asking(lambda _: page(200, {})) as (client, server):
        with pytest.raises(errors.SecretError):
            client.upsert(BUSINESS, key, "x", {})
        assert server.seen == []


def test_the_default_paths_are_those_of_the_settings_defaults() -> None:
    it = Contacts()
    assert Paths(it.appointment_path, it.requests_path, it.result_path) == Paths()
    assert appointments.PAGE_SIZE == 100
