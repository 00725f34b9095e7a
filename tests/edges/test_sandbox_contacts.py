"""The emulated contacts API: check-ins, look-ups, consent, and the count of who was contacted how often."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl

import pytest

from reconciler.sandbox import contacts_api
from reconciler.sandbox.contacts_world import ContactsOptions, ContactsWorld
from reconciler.sandbox.http import Request, Response
from tests.edges.emr_desk import NOW, Clock

V2 = "/resources/v1/contact/external/preferences/"
V1 = "/resources/v1/customer/checkin"
KEY = "sandbox-key-skin-group"
BUSINESS = 100000000000101
FIRST = 904_410_000
ADA: dict[str, Any] = {
    "name": "Ada Abbot",
    "emailId": "ada@example.com",
    "phone": "2125550142",
    "smsEnabled": 1,
    "externalId": "p-0001",
    "additionalParams": {"city": "Sarasota"},
}


@dataclass
class Counter:
    world: ContactsWorld
    clock: Clock

    def send(
        self, method: str, what: str, body: object = None, *, key: str = KEY, business: object = BUSINESS
    ) -> Response:
        path, _, query = what.partition("?")
        headers = {"x-api-key": key, "x-business-number": str(business)}
        raw = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = Request(method, path, tuple(parse_qsl(query)), {k: v for k, v in headers.items() if v}, raw)
        return contacts_api.handle(request, self.world)

    def post(self, what: str, body: object = None, **more: Any) -> tuple[int, Any]:
        response = self.send("POST", what, body, **more)
        return response.status, json.loads(response.body)

    def code(self, what: str, body: object = None, **more: Any) -> tuple[int, int]:
        status, answer = self.post(what, body, **more)
        return status, answer["code"]


@pytest.fixture
def counter() -> Counter:
    clock = Clock()
    return Counter(ContactsWorld(clock=clock), clock)


def test_a_check_in_gives_the_customer_id_and_is_counted(counter: Counter) -> None:
    assert counter.post(V2 + "checkin", ADA) == (200, {"customerId": FIRST})
    assert counter.world.seen() == {
        "deliveries": 1,
        "contacts": 1,
        "by_business": {str(BUSINESS): 1},
        "by_external_id": {"p-0001": 1},
        "by_phone": {"2125550142": 1},
        "most_per_external_id_and_day": 1,
        "violations": [],
        "requests": {"checkin": 1},
    }


def test_the_older_check_in_takes_the_business_from_the_query(counter: Counter) -> None:
    counter.world.options.customer_id_text = True
    assert counter.post(f"{V1}?bid={BUSINESS}", ADA, business="") == (200, {"customerId": str(FIRST)})
    assert counter.world.deliveries[0].version == 1


@pytest.mark.parametrize("path", [V2 + "checkin", f"{V1}?bid={BUSINESS}"])
@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"name": ""}, 1142),
        ({"name": "  "}, 1142),
        ({"name": None}, 1142),
        ({"emailId": None, "phone": None}, 1086),
        ({"emailId": "no@email"}, 1087),
        ({"emailId": "ada.example.com"}, 1087),
        ({"emailId": "a" * 30 + "@example.com"}, 1088),
        ({"phone": "555-0100"}, 1055),
        ({"phone": "(555) 555-5555"}, 1055),
        ({"phone": "+442079460000"}, 1055),
        ({"smsEnabled": 2}, 1170),
        ({"smsEnabled": "yes"}, 1170),
    ],
)
def test_what_a_check_in_refuses(counter: Counter, path: str, changes: dict[str, Any], code: int) -> None:
    assert counter.code(path, ADA | changes) == (400, code)
    assert counter.world.deliveries == []


@pytest.mark.parametrize("phone", ["2125550142", "212-555-0142", "(212) 555-0142", "+1 212 555 0142"])
def test_the_ways_to_write_a_phone(counter: Counter, phone: str) -> None:
    assert counter.post(V2 + "checkin", ADA | {"phone": phone})[0] == 200
    assert counter.world.deliveries[0].phone == "2125550142"


def test_a_location_without_texts_needs_an_email(counter: Counter) -> None:
    counter.world.options.sms_disabled = {BUSINESS}
    assert counter.code(V2 + "checkin", ADA | {"emailId": ""}) == (400, 1086)
    assert counter.post(V2 + "checkin", ADA | {"phone": ""})[0] == 200


@pytest.mark.parametrize("body", [None, b"", b"{", b"[]", b"null", b"{}"])
def test_a_missing_body_is_5008(counter: Counter, body: object) -> None:
    assert counter.code(V2 + "checkin", body) == (400, 5008)


def test_category_consent_can_be_off_for_the_account(counter: Counter) -> None:
    counter.world.options.text_categories = False
    assert counter.code(V2 + "checkin", ADA | {"smsPreferences": {"feedbackOptin": False}}) == (400, 20099)
    assert counter.post(V2 + "checkin", ADA)[0] == 200


def test_keys_and_businesses_that_do_not_fit(counter: Counter) -> None:
    assert counter.code(V2 + "checkin", ADA, key="") == (401, 1167)
    assert counter.code(V2 + "getCustomer", {"id": 1}, key="") == (400, 1167)
    assert counter.code(V2 + "checkin", ADA, key="unknown") == (401, 1161)
    assert counter.code(V2 + "checkin", ADA, business=999) == (401, 1175)
    assert counter.code(V2 + "getCustomer", {"id": 1}, business=999) == (404, 1175)
    assert counter.code(V2 + "checkin", ADA, business="downtown") == (401, 1011)
    assert counter.code(V2 + "checkin", ADA, business="") == (401, 1011)
    assert counter.code(V2 + "checkin", ADA, business=100000000000201) == (401, 1033)
    counter.world.options.unknown_business_status = 404
    assert counter.code(V2 + "checkin", ADA, business=999) == (404, 1175)
    assert counter.world.violations == ["a key used for the business of another account"]


def test_a_stopped_account_refuses_everything_and_others_go_on(counter: Counter) -> None:
    counter.world.stopped["example-skin-group"] = 1033
    assert counter.code(V2 + "checkin", ADA) == (401, 1033)
    other = counter.post(V2 + "checkin", ADA, key="sandbox-key-eye-partners", business=100000000000201)
    assert other == (200, {"customerId": FIRST})


def test_the_rate_limit_is_code_89_with_a_retry_after_if_wished(counter: Counter) -> None:
    counter.world.options.requests_per_second = 1
    assert counter.post(V2 + "checkin", ADA)[0] == 200
    refused = counter.send("POST", V2 + "checkin", ADA)
    assert (refused.status, json.loads(refused.body)["code"]) == (429, 89)
    assert refused.headers == (("Content-Type", "application/json"),)
    counter.world.options.retry_after = "soon"
    assert ("Retry-After", "soon") in counter.send("POST", V2 + "checkin", ADA).headers
    counter.clock.at = NOW + timedelta(seconds=1)
    assert counter.post(V2 + "checkin", ADA)[0] == 200


@pytest.mark.parametrize(
    ("options", "status", "body"),
    [
        (ContactsOptions(), 400, b'{"code": 1142, "message": "Customer name is blank"}'),
        (ContactsOptions(errors_in_200=True), 200, b'{"code": 1142, "message": "Customer name is blank"}'),
        (ContactsOptions(old_error_shape=True), 400, b'{"errorCode": 1142, "errorMessage": "Customer name is blank"}'),
        (ContactsOptions(plain_errors=True), 400, b"error 1142: Customer name is blank"),
    ],
)
def test_an_error_comes_in_four_dresses(counter: Counter, options: ContactsOptions, status: int, body: bytes) -> None:
    counter.world.options = options
    response = counter.send("POST", V2 + "checkin", ADA | {"name": ""})
    assert (response.status, response.body) == (status, body)


@pytest.mark.parametrize(
    ("changes", "violations"),
    [
        ({}, []),
        ({"ssn": "x", "diagnosis": "y"}, ["unknown member diagnosis", "unknown member ssn"]),
        ({"additionalParams": {"race": "x"}}, ["unknown parameter race"]),
        ({"additionalParams": {"appointment.comment": "x"}}, ["unknown parameter appointment.comment"]),
        ({"additionalParams": {"city": 5}}, ["parameter city is not text"]),
        ({"additionalParams": ["x"]}, ["additionalParams is not an object"]),
        ({"smsPreferences": {"feedbackOptin": True}}, ["smsPreferences could undo an opt-out"]),
        ({"emailPreferences": {"feedbackOptin": False}}, []),
    ],
)
def test_what_should_not_have_left_the_house_is_noted(
    counter: Counter, changes: dict[str, Any], violations: list[str]
) -> None:
    if isinstance(changes.get("additionalParams"), list):
        counter.world.inspect(ADA | changes, 2)
    else:
        assert counter.post(V2 + "checkin", ADA | changes)[0] == 200
    assert counter.world.violations == violations


def test_declared_tags_and_silence_about_texts(counter: Counter) -> None:
    counter.world.options.declared_params = True
    without = {name: value for name, value in ADA.items() if name != "smsEnabled"}
    counter.post(V2 + "checkin", without | {"additionalParams": {"appointment.comment": "x"}})
    assert counter.world.violations == ["smsEnabled is not explicit"]


def test_a_second_check_in_is_the_same_contact_and_a_second_text(counter: Counter) -> None:
    for name in ("Ada Abbot", "Ada B Abbot"):
        counter.post(V2 + "checkin", ADA | {"name": name})
    assert len(counter.world.contacts) == 1
    assert counter.world.seen()["by_external_id"] == {"p-0001": 2}
    assert counter.world.seen()["most_per_external_id_and_day"] == 2
    assert [each.sent for each in counter.world.deliveries] == [True, True]


def test_the_accounts_limit_can_hold_back_the_second_request(counter: Counter) -> None:
    counter.world.options.limit_days = 30
    counter.post(V2 + "checkin", ADA)
    counter.post(V2 + "checkin", ADA)
    counter.clock.at = NOW + timedelta(days=31)
    counter.post(V2 + "checkin", ADA)
    assert [each.sent for each in counter.world.deliveries] == [True, False, True]


@pytest.mark.parametrize(("match", "contacts"), [("email_phone", 1), ("external_id", 2)])
def test_who_counts_as_the_same_contact_is_a_choice(counter: Counter, match: str, contacts: int) -> None:
    counter.world.options.match = match
    for external in ("p-1", "p-2"):
        counter.post(V2 + "checkin", ADA | {"externalId": external})
    assert len(counter.world.contacts) == contacts


@pytest.mark.parametrize(
    "wanted",
    [
        {"email": "ADA@example.com"},
        {"phone": "(212) 555-0142"},
        {"id": FIRST},
        {"id": str(FIRST)},
        {"cid": FIRST + 10**9},
    ],
)
def test_a_contact_is_looked_up_by_any_of_its_keys(counter: Counter, wanted: dict[str, Any]) -> None:
    counter.post(V2 + "checkin", ADA)
    assert counter.post(V2 + "getCustomer", wanted) == (
        200,
        {
            "id": FIRST,
            "firstName": "Ada",
            "lastName": "Abbot",
            "email": "ada@example.com",
            "phone": "(212) 555-0142",
            "countryCode": "US",
            "blocked": False,
            "smsOptin": True,
            "source": "api",
            "created": "November 24, 2026",
            "mappings": [
                {"cid": FIRST + 10**9, "location": f"Location {BUSINESS}", "bid": 101, "businessNumber": BUSINESS}
            ],
            "tags": ["Sarasota"],
            "customFields": [],
            "externalId": "p-0001",
            "emailPreferences": {"marketingOptin": True, "feedbackOptin": True, "serviceOptin": True},
            "smsPreferences": {"marketingOptin": True, "feedbackOptin": True, "serviceOptin": True},
        },
    )


def test_the_older_look_up_misspells_its_flag(counter: Counter) -> None:
    counter.post(V2 + "checkin", ADA)
    what = f"/resources/v1/customer-v2/external/getCustomer?businessId={BUSINESS}"
    status, answer = counter.post(what, {"email": "ada@example.com"}, business="")
    assert (status, answer["emailOtin"], "emailPreferences" in answer) == (200, True, False)


@pytest.mark.parametrize(
    "wanted", [{"email": "eve@example.com"}, {"externalId": "p-0001"}, {"id": "x"}, {"phone": "1"}]
)
def test_nobody_found_is_code_5043_with_status_400(counter: Counter, wanted: dict[str, Any]) -> None:
    counter.post(V2 + "checkin", ADA)
    assert counter.code(V2 + "getCustomer", wanted) == (400, 5043)


def test_contacts_of_another_account_are_not_found(counter: Counter) -> None:
    counter.post(V2 + "checkin", ADA)
    other = {"key": "sandbox-key-eye-partners", "business": 100000000000201}
    assert counter.code(V2 + "getCustomer", {"email": "ada@example.com"}, **other) == (400, 5043)
    what = f"/resources/v1/customer/history/{FIRST}?businessId=100000000000201&startDate=11/24/2026&endDate=11/24/2026"
    refused = counter.send("GET", what, key="sandbox-key-eye-partners")
    assert (refused.status, json.loads(refused.body)["code"]) == (401, 1091)


def history(counter: Counter, start: str = "11/24/2026", end: str = "11/24/2026", customer: int = FIRST) -> Any:
    what = f"/resources/v1/customer/history/{customer}?businessId={BUSINESS}&startDate={start}&endDate={end}"
    return json.loads(counter.send("GET", what).body)


def test_the_activity_log_shows_what_went_out(counter: Counter) -> None:
    counter.post(V2 + "checkin", ADA)
    stamp = {"activityDate": "Nov 24, 2026 03:00 PM", "activityTimestamp": int(NOW.timestamp() * 1000)}
    assert history(counter) == [
        {"type": "Created", "action": "No Action", **stamp},
        {"type": "Review request email", "action": "Sent", **stamp},
        {"type": "Review request text", "action": "Sent", **stamp},
    ]
    assert history(counter, "11/25/2026", "11/26/2026") == []


def test_the_activity_log_can_lag(counter: Counter) -> None:
    counter.world.options.activity_lag_seconds = 20
    counter.post(V2 + "checkin", ADA)
    assert history(counter) == []
    counter.clock.at = NOW + timedelta(seconds=20)
    assert len(history(counter)) == 3


@pytest.mark.parametrize(
    ("start", "end", "customer", "code"),
    [
        ("2026-11-24", "11/24/2026", FIRST, 1523),
        ("13/45/2026", "11/24/2026", FIRST, 1524),
        ("11/25/2026", "11/24/2026", FIRST, 20083),
        ("11/24/2026", "11/24/2026", 5, 1089),
    ],
)
def test_what_the_activity_log_refuses(counter: Counter, start: str, end: str, customer: int, code: int) -> None:
    counter.post(V2 + "checkin", ADA)
    assert history(counter, start, end, customer)["code"] == code


def feed(counter: Counter, *statuses: str, start: datetime = NOW, end: datetime | None = None) -> Any:
    bounds = [int(each.timestamp() * 1000) for each in (start, end or start + timedelta(hours=1))]
    body = {"start": bounds[0], "end": bounds[1], "subscriptionStatus": list(statuses)}
    return counter.post(V2 + "update-feed", body)[1]


def test_the_opt_out_feed_names_contact_channel_and_categories(counter: Counter) -> None:
    counter.post(V2 + "checkin", ADA)
    contact = counter.world.contacts[FIRST]
    counter.world.opt_out(contact, "text", ("feedback",))
    contact.blocked = NOW
    row = {
        "id": FIRST,
        "firstName": "Ada",
        "lastName": "Abbot",
        "emailId": "ada@example.com",
        "phone": "(212) 555-0142",
    }
    assert feed(counter, "opted-out", "blocked") == {
        "emailOptOut": [],
        "textOptOut": [row | {"optOutFrom": ["feedback"]}],
        "blocked": [row],
    }
    assert feed(counter)["blocked"] == []
    nothing: dict[str, list[object]] = {"emailOptOut": [], "textOptOut": [], "blocked": []}
    assert feed(counter, "opted-out", start=NOW + timedelta(hours=1)) == nothing


def test_the_feed_without_bounds_is_the_last_day_and_a_violation(counter: Counter) -> None:
    counter.post(V2 + "checkin", ADA)
    counter.world.opt_out(counter.world.contacts[FIRST], "both")
    assert len(counter.post(f"/resources/v1/contact/{BUSINESS}/update-feed", None, business="")[1]["emailOptOut"]) == 1
    counter.clock.at = NOW + timedelta(days=2)
    assert counter.post(V2 + "update-feed", {})[1]["emailOptOut"] == []
    assert counter.world.violations == ["opt-out feed without both bounds"] * 2
    assert counter.code(V2 + "update-feed", {"start": 5, "end": 1}) == (400, 20083)


def test_nobody_who_opted_out_or_is_blocked_gets_a_request(counter: Counter) -> None:
    counter.post(V2 + "checkin", ADA)
    counter.world.opt_out(counter.world.contacts[FIRST], "both", ("feedback",))
    counter.post(V2 + "checkin", ADA)
    counter.world.contacts[FIRST].email_out.clear()
    counter.world.contacts[FIRST].blocked = NOW
    counter.post(V2 + "checkin", ADA)
    assert [each.sent for each in counter.world.deliveries] == [True, False, False]


def test_permissions_are_changed_by_category_or_by_word(counter: Counter) -> None:
    counter.post(V2 + "checkin", ADA)
    contact = counter.world.contacts[FIRST]
    off = {"marketingOptin": False, "feedbackOptin": False, "serviceOptin": True}
    body = {"emailPreferences": off, "smsPreferences": off, "email": ["ada@example.com"], "accountNumber": BUSINESS}
    assert counter.post(V2 + "change-permission", body) == (200, True)
    assert set(contact.email_out) == set(contact.text_out) == {"marketing", "feedback"}
    word = {"permission": "sms-subscribed", "phone": ["2125550142"], "accountNumber": BUSINESS}
    assert counter.post("/resources/v1/customer-v2/change-permission", word, business="") == (200, True)
    assert (set(contact.email_out), set(contact.text_out)) == ({"marketing", "feedback", "service"}, set())
    assert counter.post(V2 + "change-permission", body | {"email": ["eve@example.com"]}) == (200, False)
    assert counter.code(V2 + "change-permission", body | {"accountNumber": 5}) == (404, 1011)


def test_contacts_are_listed_by_pages(counter: Counter) -> None:
    for number in range(7):
        counter.post(V2 + "checkin", ADA | {"emailId": f"p{number}@example.com", "externalId": f"p-{number}"})
    body = {"businessId": BUSINESS, "page": 1, "size": 3}
    status, answer = counter.post("/resources/v1/contact/details", body, business="")
    assert (status, answer["totalPages"], answer["totalCount"]) == (200, 3, 7)
    assert [each["emailId"] for each in answer["contacts"]] == [f"p{number}@example.com" for number in (3, 4, 5)]
    counted = [
        counter.post("/resources/v1/contact/details", {"businessId": business})[1]["totalCount"]
        for business in (100000000000100, 100000000000102)
    ]
    assert counted == [7, 0]
    assert counter.code("/resources/v1/contact/details", body | {"size": 1001}) == (400, 2347)
    assert counter.code("/resources/v1/contact/details", body | {"businessId": 100000000000201}) == (404, 1175)


def test_other_paths_and_methods_are_not_there(counter: Counter) -> None:
    assert counter.send("GET", V2 + "checkin").status == 404
    assert counter.send("POST", "/resources/v1/appointments", {}).status == 404


def test_a_key_in_the_query_is_noted(counter: Counter) -> None:
    counter.post(f"{V1}?bid={BUSINESS}&api_key={KEY}", ADA)
    assert counter.world.violations == ["API key in the query"]


def test_the_clock_is_the_one_that_was_given(counter: Counter) -> None:
    counter.clock.at = datetime(2027, 1, 5, tzinfo=UTC)
    counter.post(V2 + "checkin", ADA)
    assert counter.world.deliveries[0].as_json()["at"] == "2027-01-05T00:00:00+00:00"
