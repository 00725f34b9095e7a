"""No word that Nextech or Birdeye's contacts API writes in an error body goes any further: it may be a patient's.

Every endpoint that a sync asks, every status, every shape of body; names and phones stand in all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest

from reconciler import errors
from reconciler.clients.appointments import AppointmentsClient
from reconciler.clients.contacts import ContactsClient
from reconciler.clients.nextech import NextechClient
from reconciler.clients.nextech_auth import PasswordGrant, TokenSource
from reconciler.clients.nextech_writes import NextechWrites
from reconciler.clients.practice_plus import PracticePlusClient
from reconciler.core.phi import Phi
from tests.edges.loopback_server import Loopback, Seen, Step, VirtualTime, connected, page, serving

PRACTICE = "00000000-0000-4000-8000-000000000001"
BUSINESS = 100000000000011
KEY = "key-geheim"
DAY = date(2026, 11, 20)
BEGIN, END = datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)
WORDS = "Patient Priya Okafor (priya@example.com, 212-555-0142, 2125550142) is not valid"
CANARIES = ("priya", "okafor", "example.com", "555-0142", "5550142", "904410277", "4711")
STATUSES = (302, 400, 401, 403, 404, 408, 409, 422, 429, 500, 503)
BODIES: tuple[object, ...] = (
    f"<html><head><title>{WORDS}</title></head><body>{WORDS}</body></html>",
    WORDS,
    {"message": WORDS},
    {"code": 1142, "message": WORDS},
    {"code": 2125550142, "message": WORDS},
    {"code": "2125550142", "message": WORDS},
    {"code": "Okafor", "message": WORDS},
    {"errorCode": 2125550142, "errorMessage": WORDS},
    {"error": "Okafor", "error_description": WORDS},
    {"error": {"code": "Okafor", "message": WORDS}},
    {"resourceType": "AppointmentResponse", "comment": WORDS},
    {"resourceType": "OperationOutcome", "issue": [{"severity": WORDS, "code": "Okafor", "diagnostics": WORDS}]},
    {"resourceType": "OperationOutcome", "issue": [{"code": "processing", "details": {"text": WORDS}}]},
    [WORDS],
)
RETRY = {"Retry-After": "2125550142", "Location": "/priya/okafor/212-555-0142"}


class Asked:
    """Every client over one server that answers each request with ``status`` and ``body``, tokens apart."""

    def __init__(self, server: Loopback, connect: Callable[[str], Any], time: VirtualTime) -> None:
        grant = PasswordGrant("app", "user@reconciler.test", "pass-1", "resource")
        refused = TokenSource(connect("/refused"), grant, path="/token", now=time.now)
        api = server.url + "/api"
        self.select = NextechClient(
            connect("/api"), TokenSource(connect(""), grant, path="/token", now=time.now), base_url=api, now=time.now
        )
        plus = PracticePlusClient(
            connect("/api"), TokenSource(connect(""), grant, path="/token", now=time.now), base_url=api, now=time.now
        )
        one, two = ContactsClient(connect("/resources"), 1), ContactsClient(connect("/resources"), 2)
        told = AppointmentsClient(connect("/resources"))
        self.calls: dict[str, Callable[[], object]] = {"token": refused.current}
        for name, client in (("select", self.select), ("plus", plus)):
            self._emr(name, client, NextechWrites(client, practice_plus=name == "plus"))
        for name, contacts in (("v1", one), ("v2", two)):
            self._contacts(name, contacts)
        self.calls |= {
            "upsert": lambda: told.upsert(BUSINESS, KEY, "4711", {"name": "x"}),
            "requests": lambda: told.requests(BUSINESS, KEY, None),
            "result": lambda: told.result(BUSINESS, KEY, "4711", {"name": "x"}),
        }

    def _emr(self, name: str, client: NextechClient, writes: NextechWrites) -> None:
        self.calls |= {
            f"{name} appointments": lambda: list(client.appointments(PRACTICE, start=DAY, end=DAY)),
            f"{name} patients": lambda: list(client.patients(PRACTICE, ["4711"])),
            f"{name} locations": lambda: list(client.locations(PRACTICE)),
            f"{name} practitioners": lambda: list(client.practitioners(PRACTICE)),
            f"{name} types": lambda: list(client.appointment_types(PRACTICE)),
            f"{name} book": lambda: writes.book(PRACTICE, Phi({"name": "x"})),
            f"{name} change": lambda: writes.change(PRACTICE, Phi("4711"), {"name": "x"}),
        }

    def _contacts(self, name: str, client: ContactsClient) -> None:
        self.calls |= {
            f"{name} checkin": lambda: client.checkin(BUSINESS, KEY, {"name": "x"}),
            f"{name} getCustomer": lambda: client.get_customer(BUSINESS, KEY, phone="2125550142"),
            f"{name} history": lambda: client.activity_log(BUSINESS, KEY, "904410277", start=DAY, end=DAY),
            f"{name} feed": lambda: list(client.opt_outs(BUSINESS, KEY, start=BEGIN, end=END)),
        }


@pytest.mark.parametrize("status", STATUSES)
def test_no_error_holds_a_word_of_the_answer_whatever_the_endpoint_and_the_shape(status: int) -> None:
    answer: list[object] = [""]

    def give(seen: Seen) -> list[Step]:
        if seen.target == "/token":
            return page(200, {"access_token": "token-1", "expires_in": "3599"})
        return page(status, answer[0], RETRY)

    opened: list[Any] = []
    with serving(give) as server:

        def connect(path: str) -> Any:
            opened.append(connected(server.url + path, **VirtualTime().settings()))
            return opened[-1]

        try:
            asked = Asked(server, connect, VirtualTime())
            for answer[0] in BODIES:
                for name, call in asked.calls.items():
                    try:
                        shown = repr(call())  # outcomes name the code in words of ours; what is personal is wrapped
                    except errors.ReconcilerError as error:
                        shown = f"{error}{error!r}{vars(error)}{error.__cause__}"
                    found = [it for it in CANARIES if it in shown.casefold()]
                    assert not found, (name, answer[0], shown)
        finally:
            for it in opened:
                it.close()


def test_a_code_that_is_one_is_shown() -> None:
    outcome = {"resourceType": "OperationOutcome", "issue": [{"code": "processing", "details": {"text": WORDS}}]}

    def give(seen: Seen) -> list[Step]:
        if seen.target == "/token":
            return page(200, {"access_token": "token-1", "expires_in": "3599"})
        return page(400, outcome)

    with serving(give) as server, connected(server.url) as auth, connected(server.url + "/api") as api:
        grant = PasswordGrant("app", "user@reconciler.test", "pass-1", "resource")
        tokens = TokenSource(auth, grant, path="/token", now=VirtualTime().now)
        client = NextechClient(api, tokens, base_url=server.url + "/api", now=VirtualTime().now)
        with pytest.raises(errors.Answered) as caught:
            list(client.patients(PRACTICE, ["4711"]))
    authority = server.url.removeprefix("http://")
    assert caught.value.message == f"GET /api/Patient: {authority} answered 400 (code processing)"
    assert (caught.value.code, caught.value.remote_message) == ("processing", "")
