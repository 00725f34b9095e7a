"""The Nextech and contacts clients against the sandbox's own reading of the same documents."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from reconciler import errors
from reconciler.clients.contacts import CheckinOutcome, ContactsClient
from reconciler.clients.nextech import NextechClient
from reconciler.clients.nextech_auth import PasswordGrant, TokenSource
from reconciler.clients.practice_plus import PracticePlusClient, token_source
from reconciler.clients.transport import Transport
from reconciler.core import fhir
from reconciler.core.fhir_models import Appointment
from reconciler.sandbox import emr_token, practice_plus_api
from reconciler.sandbox import server as sandbox
from reconciler.sandbox.emr_world import EmrWorld
from reconciler.sandbox.http import Request
from tests.edges.loopback_server import Seen, Step, connected, page, serving

PRACTICE = "00000000-0000-4000-8000-000000000001"
OTHER = "00000000-0000-4000-8000-000000000002"
BUSINESS, KEY = 100000000000001, "sandbox-key-dermatology-north"


class Desk:
    """Both clients on one fresh sandbox."""

    def __init__(self, server: sandbox.Server) -> None:
        self.values = sandbox.variables(server)
        self.open: list[Transport] = []
        self.admin = self.to(server.url)
        self.auth = self.to(server.url)
        grant = PasswordGrant(
            self.values["RECONCILER_NEXTECH_CLIENT_ID"],
            self.values["RECONCILER_NEXTECH_USERNAME"],
            self.values["RECONCILER_NEXTECH_PASSWORD"],
            "https://select.nextech-api.com/api",
        )
        path = urlsplit(self.values["RECONCILER_NEXTECH_TOKEN_URL"]).path
        self.tokens = TokenSource(self.auth, grant, path=path, now=time.monotonic)
        url = self.values["RECONCILER_NEXTECH_URL"]
        self.client = NextechClient(self.to(url), self.tokens, base_url=url, now=time.monotonic)
        self.path = path

    def to(self, url: str) -> Transport:
        self.open.append(connected(url, deadline_seconds=5.0))
        return self.open[-1]

    def tell(self, what: str, body: dict[str, Any]) -> None:
        self.admin.send("POST", f"/_sandbox/emr/{what}", json_body=body)

    def visits(self, practice: str = PRACTICE) -> list[str]:
        today = datetime.now(UTC).date()
        pages = self.client.appointments(practice, start=today - timedelta(days=20), end=today)
        return [it["id"] for page in pages for it in page.resources]


@pytest.fixture
def desk() -> Iterator[Desk]:
    with sandbox.serve(port=0) as server:
        made = Desk(server)
        try:
            yield made
        finally:
            for it in made.open:
                it.close()


def test_a_read_is_complete_in_the_least_requests_and_names_patients_that_exist(desk: Desk) -> None:
    visits = desk.visits()
    assert len(visits) == len(set(visits)) > 100
    assert desk.client.take_requests(PRACTICE) == {"Appointment": -(-len(visits) // 50)}
    today = datetime.now(UTC).date()
    wanted = [
        actor["reference"].split("/")[1]
        for page in desk.client.appointments(PRACTICE, start=today - timedelta(days=20), end=today)
        for visit in page.resources
        for participant in visit["participant"]
        if (actor := participant["actor"])["reference"].casefold().startswith("patient/")
    ]
    found = [it for page in desk.client.patients(PRACTICE, wanted) for it in page.resources]
    assert {it["id"].casefold() for it in found} <= {it.casefold() for it in wanted}
    assert found
    assert "us-ssn" not in repr(found)


@pytest.mark.parametrize(
    "options",
    [{"own_next": True}, {"last_overlaps": False}, {"newest_first": True}, {"token_calls": 1}, {"total": "absent"}],
    ids=str,
)
def test_an_oddity_that_loses_nothing_changes_nothing(desk: Desk, options: dict[str, Any]) -> None:
    before = sorted(desk.visits())
    desk.tell("options", options)
    assert sorted(desk.visits()) == before


@pytest.mark.parametrize(
    "options",
    [
        {"link_fault": "foreign"},
        {"link_fault": "self"},
        {"link_fault": "backwards"},
        {"link_fault": "loop"},
        {"total": "wrong"},
        {"oversize": True},
        {"short": True},
    ],
    ids=str,
)
def test_an_oddity_that_may_lose_rows_fails_the_read(desk: Desk, options: dict[str, Any]) -> None:
    desk.tell("options", options)
    with pytest.raises(errors.Garbage):
        desk.visits()


def test_rows_deleted_while_paging_lose_nobody_who_was_there_throughout(desk: Desk) -> None:
    desk.tell("options", {"delete_while_paging": 3, "moves": 2})
    seen = desk.visits()
    desk.tell("options", {"delete_while_paging": 0})
    assert set(desk.visits()) <= set(seen)
    assert len(seen) == len(set(seen))


def test_rows_inserted_while_paging_are_contacted_once(desk: Desk) -> None:
    desk.tell("options", {"insert_while_paging": 3, "moves": 2, "newest_first": True})
    seen = desk.visits()
    assert len(seen) == len(set(seen))


def test_an_empty_search_that_answers_404_is_none(desk: Desk) -> None:
    desk.tell("options", {"empty_search": "404"})
    assert list(desk.client.appointments(PRACTICE, start=date(1999, 1, 1), end=date(1999, 1, 2))) == []
    assert desk.client.take_requests(PRACTICE) == {"Appointment": 1, "Location": 1}


@pytest.mark.parametrize("status", [401, 403])
def test_a_practice_whose_access_is_taken_away_stops_alone_until_it_is_authorised(desk: Desk, status: int) -> None:
    other = desk.visits(OTHER)
    desk.tell("unauthorise", {"practice": PRACTICE, "status": status})
    with pytest.raises(errors.PracticeUnauthorised):
        desk.visits()
    assert desk.tokens.requests == 2
    assert desk.visits(OTHER) == other
    desk.tell("authorise", {"practice": PRACTICE})
    assert desk.visits()


def test_practice_plus_is_read_without_social_security_numbers() -> None:
    app = sandbox.build()
    known = [replace(it, practice_plus=True) for it in app.world.practices.values()]
    accounts = tuple(app.world.accounts.values())
    world = EmrWorld(seed=7, accounts=accounts, known=known, clock=lambda: datetime.now(UTC))
    app.close()

    def answer(seen: Seen) -> list[Step]:
        target = urlsplit(seen.target)
        query = tuple(parse_qsl(target.query, keep_blank_values=True))
        request = Request(seen.method, unquote(target.path), query, dict(seen.headers), seen.body)
        handle = emr_token.handle if target.path == "/oauth2/token" else practice_plus_api.handle
        given = handle(request, world)
        return page(given.status, given.body, dict(given.headers))

    with serving(answer) as server, connected(server.url) as auth:
        url = server.url + practice_plus_api.PREFIX
        tokens = token_source(
            auth,
            path="/oauth2/token",
            now=time.monotonic,
            client_id="sandbox-partner",
            client_secret="sandbox-partner-secret",
            resource="practice-plus-partner-api-id",
        )
        today = datetime.now(UTC).date()
        with connected(url) as api:
            client = PracticePlusClient(api, tokens, base_url=url, now=time.monotonic)
            pages = list(client.appointments(PRACTICE, start=today - timedelta(days=20), end=today))
            visits = [fhir.appointment(it) for page_ in pages for it in page_.resources]
            wanted = [it.patient_id.reveal() for it in visits if isinstance(it, Appointment) and it.patient_id]
            found = [it for page_ in client.patients(PRACTICE, wanted) for it in page_.resources]
    assert any(isinstance(it, Appointment) and it.types for it in visits)
    assert len(found) > 20
    assert "us-ssn" not in repr(found)


def test_a_check_in_is_confirmed_looked_up_and_logged(desk: Desk) -> None:
    client = ContactsClient(desk.to(desk.values["RECONCILER_CONTACTS_URL"]))
    body = {"name": "Priya Okafor", "emailId": "priya.okafor@example.com", "phone": "2125550142", "smsEnabled": 1}
    answer = client.checkin(BUSINESS, KEY, body)
    assert answer.outcome is CheckinOutcome.CONFIRMED
    found = client.get_customer(BUSINESS, KEY, email="priya.okafor@example.com")
    assert found is not None
    assert found.customer_id == answer.customer_id
    today = datetime.now(UTC).date()
    span = {"start": today - timedelta(days=1), "end": today + timedelta(days=1)}
    assert client.activity_log(BUSINESS, KEY, found.customer_id, **span)
    assert client.get_customer(BUSINESS, KEY, email="nobody@example.com") is None
    assert client.checkin(BUSINESS, KEY, body | {"name": ""}).code == 1142
    assert client.checkin(BUSINESS, "wrong", body).outcome is CheckinOutcome.ACCOUNT_STOPPED
    assert client.checkin(1, KEY, body).outcome is CheckinOutcome.LOCATION_STOPPED
    now = datetime.now(UTC)
    assert list(client.opt_outs(BUSINESS, KEY, start=now - timedelta(days=1), end=now)) == [()]
