"""The emulated token endpoint, and who may read what."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from reconciler.sandbox import emr_token
from reconciler.sandbox.emr_options import EmrOptions
from reconciler.sandbox.http import Request
from tests.edges.emr_desk import NOW, PRACTICE, Clock, desk, practice

SIGN_IN = {
    "grant_type": "password",
    "client_id": "sandbox-client",
    "username": "reconciler@nextech-api.com",
    "password": "sandbox-password",
    "resource": "https://select.nextech-api.com/api",
}


def test_the_password_grant_answers_as_azure_does_with_texts_for_numbers() -> None:
    answer = json.loads(desk().form(**SIGN_IN).body)
    assert answer == {
        "token_type": "Bearer",
        "scope": "user_impersonation",
        "expires_in": "3599",
        "ext_expires_in": "3599",
        "expires_on": str(int(NOW.timestamp()) + 3599),
        "not_before": str(int(NOW.timestamp()) - 300),
        "resource": "https://select.nextech-api.com/api",
        "access_token": "emulated.access.token.0002",
        "refresh_token": "emulated-refresh-token-0002",
    }


@pytest.mark.parametrize(
    ("changes", "status", "error", "code"),
    [
        ({"password": "wrong"}, 400, "invalid_grant", 50126),
        ({"username": "nobody@nextech-api.com"}, 400, "invalid_grant", 50034),
        ({"client_id": "other"}, 400, "unauthorized_client", 700016),
        ({"grant_type": "device_code"}, 400, "unsupported_grant_type", 70003),
        ({"resource": ""}, 400, "invalid_request", 90014),
        ({"grant_type": "refresh_token", "refresh_token": "unknown"}, 400, "invalid_request", 9002313),
        ({"grant_type": "client_credentials", "client_id": "sandbox-partner"}, 401, "invalid_client", 7000218),
        (
            {"grant_type": "client_credentials", "client_id": "sandbox-partner", "client_secret": "no"},
            401,
            "invalid_client",
            7000215,
        ),
    ],
)
def test_each_refusal_has_its_own_code(changes: dict[str, str], status: int, error: str, code: int) -> None:
    response = desk().form(**{**SIGN_IN, **changes})
    answer = json.loads(response.body)
    assert (response.status, answer["error"], answer["error_codes"]) == (status, error, [code])
    assert answer["error_description"].startswith(f"AADSTS{code}: ")


@pytest.mark.parametrize(("state", "code"), [("expired", 50055), ("locked", 50053), ("mfa", 50076)])
def test_an_expired_password_is_told_apart_from_a_wrong_one_only_by_its_code(state: str, code: int) -> None:
    front = desk()
    front.world.accounts["reconciler@nextech-api.com"].state = state
    assert front.sign_in()["error_codes"] == [code]
    assert front.sign_in(password="wrong")["error_codes"] == [50126]


def test_an_unknown_tenant_is_not_found() -> None:
    response = emr_token.handle(Request("POST", "/other.example.com/oauth2/token"), desk().world)
    assert json.loads(response.body)["error_codes"] == [90002]


def test_a_refresh_gives_a_new_pair_until_fourteen_days_are_over() -> None:
    front = desk()
    first = front.sign_in()
    form = {
        "grant_type": "refresh_token",
        "client_id": "sandbox-client",
        "refresh_token": first["refresh_token"],
    }
    second = json.loads(front.form(**form).body)
    assert {first["access_token"], first["refresh_token"]}.isdisjoint(
        {second["access_token"], second["refresh_token"]},
    )
    front.clock.at = NOW + timedelta(days=15)
    assert json.loads(front.form(**form).body)["error_codes"] == [70008]


def test_a_changed_password_revokes_what_could_be_refreshed() -> None:
    front = desk()
    refresh = front.sign_in()["refresh_token"]
    emr_token.set_password(front.world, "reconciler@nextech-api.com", "new-password")
    answer = front.form(grant_type="refresh_token", client_id="sandbox-client", refresh_token=refresh)
    assert json.loads(answer.body)["error_codes"] == [50173]
    assert front.sign_in(password="new-password")["token_type"] == "Bearer"


def test_a_token_ends_after_its_hour() -> None:
    front = desk()
    assert front.status("Location") == 200
    front.clock.at = NOW + timedelta(seconds=3598)
    assert front.status("Location") == 200
    front.clock.at = NOW + timedelta(seconds=3599)
    assert front.status("Location") == 401


def test_a_token_can_end_after_so_many_calls() -> None:
    front = desk(options=EmrOptions(token_calls=2, expired_status=403))
    assert [front.status("Location") for _ in range(3)] == [200, 200, 403]
    front.sign_in()
    assert front.status("Location") == 200


def test_the_practice_header_is_needed_and_checked() -> None:
    front = desk()
    front.headers = {"nx-practice-id": ""}
    assert front.status("Location") == 400
    front.headers = {"nx-practice-id": "00000000-0000-4000-8000-00000000dead"}
    assert front.status("Location") == 403
    front.world.options.unknown_practice_status = 401
    assert front.status("Location") == 401
    front.headers = {"nx-practice-id": PRACTICE.upper()}
    assert front.status("Location") == 200
    assert front.world.violations == ["GET Location without nx-practice-id"]


def test_a_practice_can_withdraw_its_authorisation() -> None:
    front = desk()
    front.world.unauthorised[PRACTICE] = 401
    response = front.send("GET", "Location")
    assert (response.status, json.loads(response.body)["resourceType"]) == (401, "OperationOutcome")
    del front.world.unauthorised[PRACTICE]
    assert front.status("Location") == 200


def test_a_token_of_one_product_opens_nothing_of_the_other() -> None:
    front = desk(practice(plus=True))
    assert front.status("Location") == 200
    front.plus = False
    assert front.status("Location") == 401
    front.sign_in()
    assert front.status("Location") == 403


def test_the_rate_is_limited_for_each_user_and_endpoint() -> None:
    front = desk(options=EmrOptions(requests_per_second=3))
    assert [front.status("Location") for _ in range(4)] == [200, 200, 200, 429]
    assert front.status("Practitioner") == 200
    assert front.send("GET", "Location").headers == (("Content-Type", "application/json"),)
    front.world.options.retry_after = True
    assert ("Retry-After", "1") in front.send("GET", "Location").headers
    front.clock.at = NOW + timedelta(seconds=1)
    assert front.status("Location") == 200


def test_a_clock_that_is_not_the_machines_is_used_throughout() -> None:
    clock = Clock()
    front = desk()
    front.world.advance(timedelta(days=2))
    assert front.world.now() - clock() == timedelta(days=2)
    assert front.status("Location") == 401
