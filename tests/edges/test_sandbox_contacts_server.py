"""The EMR and contacts half on the sandbox's socket: settings, faults around the commit, admin endpoints."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest

from reconciler.sandbox import server
from reconciler.sandbox.options import SandboxOptions
from tests.edges.emr_desk import NOW

SKIN = "00000000-0000-4000-8000-000000000002"
CHECKIN = "/resources/v1/contact/external/preferences/checkin"
ADA = {"name": "Ada Abbot", "emailId": "ada@example.com", "smsEnabled": 0, "externalId": "p-1"}
CONTACTS = {"x-api-key": "sandbox-key-skin-group", "x-business-number": "100000000000101"}


class Line:
    """Plain HTTP to a running sandbox."""

    def __init__(self, running: server.Server) -> None:
        self.running = running
        self.names = server.variables(running)
        self.token = ""

    def call(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.running.port, timeout=5)
        try:
            raw = body.encode() if isinstance(body, str) else json.dumps(body).encode() if body is not None else None
            connection.request(method, path, raw, headers or {})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def sign_in(self) -> None:
        form = {
            "grant_type": "password",
            "client_id": self.names["RECONCILER_NEXTECH_CLIENT_ID"],
            "username": self.names["RECONCILER_NEXTECH_USERNAME"],
            "password": self.names["RECONCILER_NEXTECH_PASSWORD"],
            "resource": self.names["RECONCILER_NEXTECH_URL"],
        }
        path = urlsplit(self.names["RECONCILER_NEXTECH_TOKEN_URL"]).path
        self.token = self.call("POST", path, urlencode(form))[1]["access_token"]

    def get(self, what: str) -> tuple[int, Any]:
        path = urlsplit(self.names["RECONCILER_NEXTECH_URL"]).path
        headers = {"Authorization": f"Bearer {self.token}", "nx-practice-id": SKIN}
        return self.call("GET", f"{path}/{what}", headers=headers)

    def total(self, what: str) -> int:
        return int(self.get(what)[1]["total"])

    def admin(self, action: str, body: Any = None) -> Any:
        status, answer = self.call("GET" if body is None else "POST", f"/_sandbox/{action}", body)
        assert status == 200, answer
        return answer


@pytest.fixture
def line() -> Iterator[Line]:
    app = server.App(SandboxOptions(visits_per_day=5), now=lambda: NOW.timestamp())
    with server.serve(app) as running:
        found = Line(running)
        found.sign_in()
        yield found


def test_the_settings_lead_to_every_system(line: Line) -> None:
    paths = {name: urlsplit(value).path for name, value in line.names.items() if name.endswith("_URL")}
    assert paths == {
        "RECONCILER_BIRDEYE_URL": "",
        "RECONCILER_NEXTECH_URL": "/nextech-api/api",
        "RECONCILER_NEXTECH_TOKEN_URL": "/oauth2/token",
        "RECONCILER_PRACTICE_PLUS_URL": "/practice-plus/api",
        "RECONCILER_CONTACTS_URL": "/resources",
    }


def test_the_samples_practices_are_read_over_the_socket(line: Line) -> None:
    assert line.total("Appointment?date=2026-11-23") == 5
    names = [each["resource"]["name"] for each in line.get("Location?_count=50")[1]["entry"]]
    assert names == ["Dermatology", "Oncology", "Cosmetic Center", "Lakeside", "Warehouse"]
    page = line.get("Appointment?_count=2")[1]
    following = next(each["url"] for each in page["link"] if each["relation"] == "next")
    assert following.startswith(line.running.url + "/nextech-api/api/Appointment?")


@pytest.mark.parametrize(
    ("kind", "delivered"),
    [
        ("502-after-commit", 1),
        ("502", 0),
        ("reset-after-commit", 1),
        ("reset", 0),
        ("cut", 1),
        ("429,retry-after=7", 0),
        ("html", 1),
    ],
)
def test_a_check_in_can_fail_before_or_after_it_was_committed(line: Line, kind: str, delivered: int) -> None:
    line.admin("faults", {"faults": [f"/resources/:1:{kind}"]})
    try:
        status, _ = line.call("POST", CHECKIN, ADA, CONTACTS)
        assert status in (429, 502)
    except (OSError, http.client.HTTPException, ValueError):
        pass
    assert line.admin("contacts")["deliveries"] == delivered
    assert line.call("POST", CHECKIN, ADA, CONTACTS)[0] == 200
    assert line.admin("contacts")["by_external_id"] == {"p-1": 1 + delivered}


def test_people_take_a_practice_away_and_give_it_back(line: Line) -> None:
    line.admin("emr/unauthorise", {"practice": SKIN, "status": 401})
    assert line.get("Location")[0] == 401
    assert line.admin("emr")["unauthorised"] == {SKIN: 401}
    line.admin("emr/authorise", {"practice": SKIN})
    assert line.get("Location")[0] == 200


def test_staff_complete_a_visit_late_delete_one_and_merge_patients(line: Line) -> None:
    entries = [each["resource"] for each in line.get("Appointment?date=2026-11-23")[1]["entry"]]
    number = int(entries[0]["id"])
    answer = line.admin("emr/visit", {"practice": SKIN, "appointment": number, "status": "fulfilled"})
    assert answer["start"].startswith("2026-11-23T")
    assert line.get(f"Appointment?identifier={number}")[1]["entry"][0]["resource"]["status"] == "fulfilled"
    line.admin("emr/visit", {"practice": SKIN, "appointment": number, "custom": "Checked Out"})
    assert "status" not in line.get(f"Appointment?identifier={number}")[1]["entry"][0]["resource"]
    line.admin("emr/visit", {"practice": SKIN, "appointment": number, "delete": True})
    assert line.total(f"Appointment?identifier={number}") == 0
    line.admin("emr/merge", {"practice": SKIN, "patient": "1004", "into": "1008"})
    survivor = line.get("Patient?identifier=1004,1008")[1]
    assert survivor["total"] == 1
    line.admin("emr/patient", {"practice": SKIN, "patient": "1008", "email": "new@example.com"})
    telecom = line.get("Patient/1008")[1]["telecom"]
    assert {"system": "email", "value": "new@example.com"} in [
        {k: v for k, v in p.items() if k != "rank"} for p in telecom
    ]


def test_the_emulated_day_goes_on(line: Line) -> None:
    before = line.get("Appointment?date=2026-11-25&status=fulfilled")[1]["total"]
    assert line.admin("emr/advance", {"days": 10})["now"] == "2026-12-04T15:00:00+00:00"
    assert line.get("Location")[0] == 401
    line.sign_in()
    assert before == 0
    assert line.total("Appointment?date=2026-11-25&status=fulfilled") > 0


def test_passwords_expire_and_are_reset(line: Line) -> None:
    line.admin("emr/credentials", {"state": "expired"})
    with pytest.raises(KeyError):
        line.sign_in()
    line.admin("emr/credentials", {"password": "another"})
    line.names["RECONCILER_NEXTECH_PASSWORD"] = "another"
    line.sign_in()
    assert line.get("Location")[0] == 200


def test_options_and_spoilt_answers_are_set_while_it_runs(line: Line) -> None:
    line.admin("emr/options", {"empty_search": "404"})
    assert line.get("Appointment?date=2020-01-01")[0] == 404
    line.admin("emr/upset", {"path": "/location", "kind": "503"})
    assert [line.get("Location")[0] for _ in range(2)] == [503, 200]
    assert line.call("POST", "/_sandbox/emr/options", {"nonsense": 1})[0] == 400
    assert line.call("POST", "/_sandbox/emr/nonsense", {})[0] == 400


def test_contacts_opt_out_are_blocked_and_accounts_are_stopped(line: Line) -> None:
    person = {"account": "example-skin-group", "email": "ada@example.com"}
    line.admin("contacts/opt-out", person | {"categories": ["feedback"]})
    moment = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp() * 1000)
    body = {"start": moment, "end": moment + 86_400_000, "subscriptionStatus": ["opted-out", "blocked"]}
    feed = CHECKIN.replace("checkin", "update-feed")
    assert line.call("POST", feed, body, CONTACTS)[1]["emailOptOut"][0]["optOutFrom"] == ["feedback"]
    line.admin("contacts/block", person)
    assert len(line.call("POST", feed, body, CONTACTS)[1]["blocked"]) == 1
    line.admin("contacts/stop", {"account": "example-skin-group", "code": 1161})
    assert line.call("POST", CHECKIN, ADA, CONTACTS)[1]["code"] == 1161
    line.admin("contacts/start", {"account": "example-skin-group"})
    assert line.call("POST", CHECKIN, ADA, CONTACTS)[0] == 200
    assert [each["sent"] for each in line.admin("contacts/deliveries")] == [False]
    line.admin("contacts/options", {"sms_disabled": [100000000000101], "customer_id_text": True})
    assert isinstance(line.call("POST", CHECKIN, ADA, CONTACTS)[1]["customerId"], str)
    line.admin("contacts/reset", {})
    assert line.admin("contacts")["deliveries"] == 0
