"""Tokens: one renewal for all threads, expiry as the service writes it, refusals told from faults."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs

import pytest

from reconciler import errors
from reconciler.clients import nextech_auth
from reconciler.clients.nextech_auth import PasswordGrant, Refusal, Token, TokenSource
from tests.edges.loopback_server import Answer, Seen, Step, VirtualTime, connected, page, serving

PASSWORD = "geheim-7"
GRANT = PasswordGrant("app", "user@example.com", PASSWORD, "https://select.example.com/api")


def form(seen: Seen) -> dict[str, str]:
    return {key: value[0] for key, value in parse_qs(seen.body.decode()).items()}


def granted(number: int, **more: Any) -> list[Step]:
    body = {
        "token_type": "Bearer",
        "expires_in": "3599",
        "access_token": f"access-{number}",
        "refresh_token": f"refresh-{number}",
    }
    return page(200, body | more)


def refusal(error: str = "invalid_grant", code: int | None = 50126, *, status: int = 400) -> list[Step]:
    body: dict[str, Any] = {"error": error, "error_description": f"AADSTS{code}: {PASSWORD} for user@example.com"}
    return page(status, body | ({"error_codes": [code]} if code is not None else {}))


class Service:
    """Numbers its tokens; ``script`` overrides the answers by their number, from 1."""

    def __init__(self, script: dict[int, list[Step]] | None = None) -> None:
        self.script = script or {}
        self.asked: list[dict[str, str]] = []

    def __call__(self, seen: Seen) -> list[Step]:
        self.asked.append(form(seen))
        return self.script.get(len(self.asked), granted(len(self.asked)))


def with_source(answer: Answer, check: Callable[[TokenSource, VirtualTime], None]) -> None:
    clock = VirtualTime()
    with serving(answer) as server, connected(server.url) as transport:
        check(TokenSource(transport, GRANT, path="/token", now=clock.now), clock)


def test_the_first_token_is_asked_for_by_password_and_the_next_by_refresh_token() -> None:
    service = Service()

    def check(source: TokenSource, clock: VirtualTime) -> None:
        assert source.current().header == "Bearer access-1"
        clock.seconds += 3599 - 301
        assert source.current().header == "Bearer access-1"
        clock.seconds += 2
        assert source.current().header == "Bearer access-2"
        clock.seconds += 3500
        assert source.current().header == "Bearer access-3"
        assert source.requests == 3

    with_source(service, check)
    assert service.asked == [
        {
            "grant_type": "password",
            "client_id": "app",
            "username": "user@example.com",
            "password": PASSWORD,
            "resource": "https://select.example.com/api",
        },
        {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "refresh-1"},
        {"grant_type": "refresh_token", "client_id": "app", "refresh_token": "refresh-2"},
    ]


def test_a_refused_refresh_token_falls_back_to_the_password() -> None:
    service = Service({2: refusal(code=700082)})

    def check(source: TokenSource, clock: VirtualTime) -> None:
        source.current()
        clock.seconds += 4000
        assert source.current().header == "Bearer access-3"

    with_source(service, check)
    assert [it["grant_type"] for it in service.asked] == ["password", "refresh_token", "password"]


def test_a_refresh_token_older_than_14_days_is_not_tried() -> None:
    service = Service()

    def check(source: TokenSource, clock: VirtualTime) -> None:
        source.current()
        clock.seconds += 15 * 86_400
        source.current()

    with_source(service, check)
    assert [it["grant_type"] for it in service.asked] == ["password", "password"]


def test_eight_threads_share_one_renewal_per_expiry() -> None:
    service = Service()
    gate = threading.Barrier(8)

    def slow(seen: Seen) -> list[Step]:
        return [0.1, *service(seen)]

    def check(source: TokenSource, clock: VirtualTime) -> None:
        def work() -> list[str]:
            held = []
            for _ in range(3):
                gate.wait(5)
                token = source.current()
                gate.wait(5)
                held += [token.value, source.renew(token).token.value]
            return held

        with ThreadPoolExecutor(8) as pool:
            results = [it.result(10) for it in [pool.submit(work) for _ in range(8)]]
        assert {tuple(it) for it in results} == {
            ("access-1", "access-2", "access-2", "access-3", "access-3", "access-4")
        }
        assert source.requests == 4

    with_source(slow, check)


def test_only_the_thread_that_led_a_renewal_calls_it_its_own() -> None:
    def check(source: TokenSource, _clock: VirtualTime) -> None:
        first = source.current()
        assert source.renew(first).own is True
        assert source.renew(first).own is False

    with_source(Service(), check)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (50126, "wrong_password"),
        (50055, "expired_password"),
        (50053, "locked"),
        (50034, "unknown_user"),
        (50076, "second_factor"),
        (50079, "second_factor"),
        (50173, "password_changed"),
        (700016, "unknown_client"),
        (7000215, "wrong_secret"),
        (7000218, "secret_missing"),
        (90002, "unknown_tenant"),
        (1, "refused"),
        (None, "refused"),
    ],
)
def test_each_refusal_has_its_reason_and_repeats_nothing(code: int | None, reason: str) -> None:
    def check(source: TokenSource, _clock: VirtualTime) -> None:
        with pytest.raises(errors.CredentialsRefused) as caught:
            source.current()
        assert caught.value.reason == reason
        shown = f"{caught.value}{caught.value!r}{vars(caught.value)}{caught.value.__cause__}{caught.value.__context__}"
        assert PASSWORD not in shown
        assert "user@example.com" not in shown

    with_source(Service({1: refusal(code=code, status=401 if code == 7000215 else 400)}), check)


def test_a_refusal_answers_for_a_while_so_that_no_account_is_locked() -> None:
    service = Service({1: refusal(), 2: refusal()})

    def check(source: TokenSource, clock: VirtualTime) -> None:
        for _ in range(20):
            with pytest.raises(errors.CredentialsRefused):
                source.current()
        assert source.requests == 1
        clock.seconds += nextech_auth.REFUSAL_HOLD_SECONDS + 1
        with pytest.raises(errors.CredentialsRefused):
            source.current()
        assert source.requests == 2
        source.forget_refusal()
        assert source.current().header == "Bearer access-3"

    with_source(service, check)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (refusal("temporarily_unavailable", 90033), errors.Answered),
        (page(400, "<html>gateway</html>"), errors.Answered),
        (page(403, {"message": "no"}), errors.Answered),
        (page(404), errors.Answered),
        (page(200, "<html>"), errors.Garbage),
        (page(200, []), errors.Garbage),
        (page(200, {"error": "x"}), errors.Garbage),
        (granted(1, access_token=7), errors.Garbage),
        (granted(1, access_token="a b"), errors.Garbage),
        (granted(1, access_token="a\r\nX: y"), errors.Garbage),
        (granted(1, token_type="pop"), errors.Garbage),
        (granted(1, expires_in="0"), errors.Garbage),
        (granted(1, expires_in="-5"), errors.Garbage),
        (granted(1, expires_in="soon"), errors.Garbage),
        (granted(1, expires_in=None), errors.Garbage),
        (granted(1, expires_in="nan"), errors.Garbage),
    ],
)
def test_a_fault_of_the_service_is_no_refusal(answer: list[Step], kind: type[errors.RemoteError]) -> None:
    def check(source: TokenSource, _clock: VirtualTime) -> None:
        with pytest.raises(kind) as caught:
            source.current()
        assert not isinstance(caught.value, errors.CredentialsRefused)

    with_source(lambda _: answer, check)


def test_a_token_that_is_due_serves_on_while_the_service_is_down_and_not_after_its_end() -> None:
    service = Service({2: page(404), 3: page(404), 4: page(404)})

    def check(source: TokenSource, clock: VirtualTime) -> None:
        source.current()
        clock.seconds += 3400
        assert source.current().header == "Bearer access-1"
        asked = source.requests
        assert source.current().header == "Bearer access-1"
        assert source.requests == asked
        clock.seconds += 300
        with pytest.raises(errors.Answered):
            source.current()

    with_source(service, check)


@pytest.mark.parametrize(
    ("lifetime", "due", "expires"),
    [("3599", 3299, 3599), (3600, 3300, 3600), ("8", 6, 8), (1e9, 86_100, 86_400), ("59.5", 44.625, 59.5)],
)
def test_lifetimes_are_read_from_numbers_and_strings(lifetime: object, due: float, expires: float) -> None:
    token = nextech_auth.read_token({"access_token": "t", "expires_in": lifetime}, asked_at=0.0)
    assert token == Token("t", due, expires, None, nextech_auth.REFRESH_TOKEN_SECONDS)


def test_an_absent_lifetime_is_an_hour() -> None:
    token = nextech_auth.read_token({"access_token": "t"}, asked_at=0.0)
    assert token is not None
    assert token.expires_at == 3600


def test_the_code_is_found_in_the_text_where_the_list_is_missing() -> None:
    body = b'{"error": "invalid_grant", "error_description": "AADSTS50055: expired"}'
    assert nextech_auth.read_refusal(400, body) == Refusal("invalid_grant", 50055)
    assert nextech_auth.read_refusal(500, body) is None


def test_no_secret_stands_in_a_repr() -> None:
    token = nextech_auth.read_token({"access_token": "access-1", "refresh_token": "refresh-1"}, asked_at=0.0)
    shown = repr((token, GRANT, nextech_auth.ClientGrant("partner", "geheim-8", "r")))
    assert not any(it in shown for it in ("access-1", "refresh-1", PASSWORD, "geheim-8", "user@example.com"))


def test_a_reset_while_asking_is_tried_again() -> None:
    service = Service({1: ["reset"]})
    with serving(service) as server, connected(server.url) as transport:
        source = TokenSource(transport, GRANT, path="/token", now=time.monotonic)
        assert source.current().header == "Bearer access-2"
