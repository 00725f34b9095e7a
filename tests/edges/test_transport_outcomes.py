"""What a request's end is called, by what happened to it. In memory: no sockets, a virtual clock."""

from __future__ import annotations

import base64
import itertools
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
import respx

from reconciler import errors
from reconciler.clients.transport import Retry, Transport
from tests.edges.loopback_server import VirtualTime

HOST = "api.example.com"
Script = list[httpx.Response | Exception]


def scripted(script: Script, **more: Any) -> tuple[Transport, VirtualTime, list[float]]:
    """A transport whose requests get these answers in turn, the last one for ever; and when each was sent."""
    time = VirtualTime()
    sent: list[float] = []
    answers = iter(script)
    last: list[httpx.Response | Exception] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(time.seconds - 1000)
        if (following := next(answers, None)) is not None:
            last[:] = [following]
        if isinstance(last[0], Exception):
            raise last[0]
        return httpx.Response(last[0].status_code, headers=last[0].headers, content=last[0].content)

    settings: dict[str, Any] = {
        "base_url": f"https://{HOST}/v1",
        "allowed_hosts": frozenset({HOST}),
        "http_transport": httpx.MockTransport(answer),
        **time.settings(),
    }
    return Transport(**(settings | more)), time, sent


OK = httpx.Response(200, json={"fine": True})
REFUSED = httpx.ConnectError("refused")
CONNECT_LATE = httpx.ConnectTimeout("late")
READ_LATE = httpx.ReadTimeout("late")
BROKEN = httpx.RemoteProtocolError("Server disconnected without sending a response.")
RESET = httpx.ReadError("reset")


@pytest.mark.parametrize("first", [REFUSED, CONNECT_LATE, READ_LATE, BROKEN, RESET])
@pytest.mark.parametrize("retry", [Retry.READ, Retry.SAFE_WRITE])
def test_reads_and_harmless_writes_are_sent_again(first: Exception, retry: Retry) -> None:
    transport, _, sent = scripted([first, OK])
    assert transport.send("PUT", "/x", retry=retry).json() == {"fine": True}
    assert len(sent) == 2


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
@pytest.mark.parametrize("retry", [Retry.READ, Retry.SAFE_WRITE])
def test_passing_statuses_are_retried(status: int, retry: Retry) -> None:
    transport, _, sent = scripted([httpx.Response(status), httpx.Response(status), OK])
    assert transport.send("PUT", "/x", retry=retry).status == 200
    assert len(sent) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 422, 501, 505, 304])
@pytest.mark.parametrize("retry", list(Retry))
def test_lasting_statuses_are_answered_at_once(status: int, retry: Retry) -> None:
    transport, _, sent = scripted([httpx.Response(status, json={"code": 12, "message": "no"})])
    with pytest.raises(errors.Answered) as caught:
        transport.send("PUT", "/x", retry=retry)
    assert (caught.value.status, caught.value.code, caught.value.remote_message) == (status, 12, "no")
    assert caught.value.message == f"PUT /v1/x: {HOST} answered {status}: no"
    assert len(sent) == 1


@pytest.mark.parametrize("first", [REFUSED, CONNECT_LATE, httpx.Response(429)])
def test_a_write_that_never_left_or_was_put_off_is_sent_again(first: httpx.Response | Exception) -> None:
    transport, _, sent = scripted([first, OK])
    assert transport.send("PUT", "/x", retry=Retry.ONCE).status == 200
    assert len(sent) == 2


@pytest.mark.parametrize(
    "first", [READ_LATE, BROKEN, RESET, httpx.WriteError("x"), *map(httpx.Response, (408, 500, 502, 503, 504))]
)
def test_a_write_that_may_have_been_done_is_unknown_and_not_sent_again(first: httpx.Response | Exception) -> None:
    transport, _, sent = scripted([first, OK])
    with pytest.raises(errors.Unknown, match="it may or may not have been carried out"):
        transport.send("PUT", "/x", retry=Retry.ONCE)
    assert len(sent) == 1


@pytest.mark.parametrize("then", [REFUSED, httpx.Response(429), httpx.Response(401), httpx.Response(404)])
def test_a_harmless_write_stays_unknown_whatever_follows_a_lost_answer(then: httpx.Response | Exception) -> None:
    transport, _, _ = scripted([READ_LATE, then])
    with pytest.raises(errors.Unknown, match="an earlier attempt went out: it may or may not"):
        transport.send("PUT", "/x", retry=Retry.SAFE_WRITE)


def test_an_unreachable_host_is_told_within_ten_seconds() -> None:
    transport, time, _ = scripted([REFUSED], deadline_seconds=60.0)
    with pytest.raises(errors.NotSent) as caught:
        transport.send("GET", "/x")
    assert caught.value.message == (
        f"GET /v1/x: no connection to {HOST}; nothing was sent; gave up after several attempts"
    )
    assert time.seconds - 1000 <= 10


def test_attempts_back_off_exponentially_up_to_a_limit_and_end_at_the_deadline() -> None:
    transport, time, _ = scripted([httpx.Response(503)], deadline_seconds=30.0)
    with pytest.raises(errors.Answered) as caught:
        transport.send("GET", "/x")
    assert caught.value.message == f"GET /v1/x: {HOST} answered 503; gave up after several attempts"
    assert time.slept == [0.25, 0.5, 1, 2, 4, 8, 8]


@pytest.mark.parametrize("last", [CONNECT_LATE, READ_LATE])
@pytest.mark.parametrize(
    ("first", "kind", "said"),
    [(RESET, errors.Unknown, f"{HOST} broke the connection"), (httpx.Response(503), errors.Answered, "answered 503")],
)
def test_an_attempt_that_the_deadline_cut_short_does_not_hide_what_the_one_before_it_met(
    first: httpx.Response | Exception, kind: type[errors.RemoteError], said: str, last: Exception
) -> None:
    time = VirtualTime()
    answers = iter([first])

    def answer(_: httpx.Request) -> httpx.Response:
        outcome = next(answers, None)
        if isinstance(outcome, httpx.Response):
            return outcome
        if outcome is None:
            time.seconds += 1.0
            raise last
        raise outcome

    transport, _, _ = scripted(
        [OK], http_transport=httpx.MockTransport(answer), deadline_seconds=1.0, **time.settings()
    )
    with pytest.raises(kind, match=said) as caught:
        transport.send("GET", "/x")
    assert caught.value.message.endswith("; gave up after several attempts")
    assert "nothing was sent" not in caught.value.message


@pytest.mark.parametrize(
    ("header", "waited"),
    [
        ("3", 3.25),
        ("2.5", 2.75),
        ("Fri, 15 Jan 2027 08:00:04 GMT", 4.25),
        ("Fri, 15 Jan 2027 07:59:00 GMT", 0.25),
        ("0", 0.25),
        ("-5", 0.25),
        ("soon", 0.25),
        ("", 0.25),
        ("Fri, 99 Foo 2027", 0.25),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured_in_both_forms_and_nonsense_is_not(header: str, waited: float, status: int) -> None:
    transport, time, sent = scripted([httpx.Response(status, headers={"retry-after": header}), OK])
    assert transport.send("GET", "/x").status == 200
    assert sent == [0, waited]
    assert sum(time.slept) == waited


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("1000000000", "1000000000"),
        ("31", "31"),
        ("9" * 400, "inf"),
        ("Sat, 16 Jan 2027 08:00:00 GMT", "86400"),
    ],
)
def test_a_wait_beyond_the_deadline_ends_the_call_at_once(header: str, said: str) -> None:
    transport, time, _ = scripted([httpx.Response(429, headers={"retry-after": header})])
    with pytest.raises(errors.Answered) as caught:
        transport.send("GET", "/x", retry=Retry.ONCE)
    assert caught.value.status == 429
    assert f"it asks to wait {said} s and this call may take 30 s: gave up" in caught.value.message
    assert time.slept == []


def test_a_retry_date_is_read_against_the_servers_own_clock() -> None:
    headers = {"retry-after": "Fri, 15 Jan 2027 09:00:05 GMT", "date": "Fri, 15 Jan 2027 09:00:00 GMT"}
    transport, _, sent = scripted([httpx.Response(429, headers=headers), OK])
    transport.send("GET", "/x")
    assert sent == [0, 5.25]


def test_a_storm_of_429_wastes_no_request_before_the_stated_time() -> None:
    storm: Script = [*[httpx.Response(429, headers={"retry-after": "2"})] * 5, OK]
    transport, _, sent = scripted(storm)
    assert transport.send("GET", "/x").status == 200
    assert all(later - earlier >= 2 for earlier, later in itertools.pairwise(sent))
    assert len(sent) == 6


def test_accepted_statuses_are_replies() -> None:
    transport, _, _ = scripted([httpx.Response(404, json={"code": 1})])
    reply = transport.send("GET", "/x", accept_statuses=frozenset({404}))
    assert (reply.status, reply.json()) == (404, {"code": 1})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is empty where JSON belongs"),
        (b"<html>login</html>", "is a web page where JSON belongs"),
        (b'{"a": [1, 2', "is not JSON, or is cut short"),
        (b'{"a": NaN}', "is not JSON"),
        (b'{"a": "\\ud800"}', "is not JSON"),
        (b'{"a": "\xe4"}', "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"9" * 5000, "is not JSON"),
    ],
)
def test_a_body_that_is_not_json_is_garbage(body: bytes, said: str) -> None:
    transport, _, _ = scripted([httpx.Response(200, content=body)])
    with pytest.raises(errors.Garbage, match=said) as caught:
        transport.send("GET", "/x").json()
    assert (caught.value.method, caught.value.path) == ("GET", "/v1/x")


def test_requests_are_counted_by_endpoint_on_the_wire() -> None:
    transport, _, _ = scripted([httpx.Response(503), OK])
    transport.send("GET", "/x", endpoint="G")
    transport.send("GET", "/x", endpoint="T")
    transport.send("PUT", "/x")
    assert transport.counts == {"G": 2, "T": 1, "PUT": 1}


class Fenced(errors.ReconcilerError):
    """The lease is lost."""


def test_the_fence_is_asked_before_every_request() -> None:
    answers: Iterator[bool] = iter([True, False])

    def fence() -> None:
        if not next(answers):
            raise Fenced("lost")

    transport, _, sent = scripted([httpx.Response(503), OK], fence=fence)
    with pytest.raises(Fenced):
        transport.send("GET", "/x")
    assert len(sent) == 1


@respx.mock
def test_the_request_on_the_wire_is_written_as_asked() -> None:
    time = VirtualTime()
    route = respx.put(f"https://{HOST}/v1/a%20b", params={"q": "x|y&z", "q2": ""}).respond(json=[1])
    with Transport(
        base_url=f"https://{HOST}/v1/",
        allowed_hosts=frozenset({HOST}),
        headers={"Authorization": "Bearer t"},
        **time.settings(),
    ) as transport:
        reply = transport.send(
            "PUT",
            "/a b",
            params=[("q", "x|y&z"), ("q2", "")],
            json_body={"ä": 1},
            headers={"Cache-Control": "no-cache"},
        )
    request = route.calls.last.request
    assert reply.json() == [1]
    assert request.url.raw_path == b"/v1/a%20b?q=x%7Cy%26z&q2="
    assert request.content == b'{"\\u00e4":1}'
    assert dict(request.headers) == {
        "host": HOST,
        "accept": "application/json",
        "accept-encoding": "gzip",
        "user-agent": "reconciler",
        "authorization": "Bearer t",
        "content-type": "application/json",
        "cache-control": "no-cache",
        "content-length": "12",
    }


@pytest.mark.parametrize("path", ["x", "/a/../b", "/a?b=1", "/a#b", "https://example.org/"])
def test_a_path_that_leaves_the_base_is_a_defect(path: str) -> None:
    transport, _, sent = scripted([OK])
    with pytest.raises(errors.InternalError):
        transport.send("GET", path)
    assert sent == []


def test_a_header_of_two_lines_is_refused_without_its_value() -> None:
    with pytest.raises(errors.SettingsError) as caught:
        scripted([OK], headers={"X-Token": "geheim\r\nX-Other: 1"})
    assert caught.value.message == "the header X-Token has characters that no header may have"


SECRET = "s3cr3t/Tok+en=="
ECHOES: list[Callable[[str], str]] = [
    lambda s: s,
    str.upper,
    lambda s: s.encode().hex(),
    lambda s: base64.b64encode(s.encode()).decode(),
    lambda s: base64.b64encode(b"user:" + s.encode() + b"!").decode(),
    lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    lambda s: quote(s, safe=""),
    lambda s: json.dumps({"x": s}),
    lambda s: s[:5] + "\x1b[31m" + s[5:],
]


def carriers() -> list[dict[str, Any]]:
    return [
        {"headers": {"Authorization": f"Bearer {SECRET}"}},
        {"params": [("practiceId", SECRET)]},
        {"form": {"password": SECRET}},
        {"json_body": {"a": [{"propertyValue": SECRET}]}},
        {"secrets": [SECRET]},
        {"raw_query": "p=" + quote(SECRET, safe="")},
    ]


@pytest.mark.parametrize("echo", ECHOES, ids=range(len(ECHOES)))
@pytest.mark.parametrize("carrier", carriers(), ids=lambda carrier: next(iter(carrier)))
def test_no_message_repeats_what_the_request_carried(carrier: dict[str, Any], echo: Callable[[str], str]) -> None:
    echoed = echo(SECRET)
    transport, _, _ = scripted([httpx.Response(400, json={"code": echoed, "message": f"bad {echoed} given"})])
    with pytest.raises(errors.Answered) as caught:
        transport.send("PUT", "/x", **carrier)
    shown = repr(caught.value) + caught.value.message + caught.value.remote_message + str(caught.value.code)
    assert caught.value.__context__ is None
    for form in {SECRET, SECRET.encode().hex(), "czNjcjN0L1Rvays"}:
        assert form.lower() not in shown.lower()
    core = base64.b64encode(b"user:" + SECRET.encode() + b"!").decode()[8:-4]
    assert core not in shown


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"code": 5, "message": "practice.id is missing"}', "practice.id is missing"),
        (b'{"error": "invalid_grant", "error_description": "AADSTS: no\\r\\n::error::x"}', "AADSTS: no ::error::x"),
        (b'{"resourceType": "OperationOutcome", "issue": [{"details": {"text": "bad date"}}]}', "bad date"),
        (b'{"error": {"code": 3, "message": "inner"}}', "inner"),
        (b"<html><title>502 Bad &amp; Gateway</title><body>x</body>", "502 Bad & Gateway"),
        (b"<p>Hello <b>there</b></p>", "Hello there"),
        (b"\x1b[2Jplain\x00 text\xe2\x80\xae\xff", "plain text �"),
        (b"x" * 5000, "x" * 199 + "…"),
        (b"", ""),
        (b"[]", ""),
        (b"null", ""),
    ],
)
def test_the_remote_message_is_one_clean_line(body: bytes, shown: str) -> None:
    transport, _, _ = scripted([httpx.Response(400, content=body)])
    with pytest.raises(errors.Answered) as caught:
        transport.send("GET", "/x")
    assert caught.value.remote_message == shown


def test_the_librarys_loggers_are_quiet_and_no_stranger_is_imported() -> None:
    # httpx itself imports click and rich where they are installed.
    check = (
        "import logging, sys, reconciler.clients.transport\n"
        "assert logging.getLogger('httpx').level == logging.getLogger('httpcore').level == logging.WARNING\n"
        "assert not {'sqlalchemy', 'deepdiff', 'pydantic'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", check], check=True, timeout=20)
