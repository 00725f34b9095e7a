"""Faults on purpose: when they strike, what the client gets, and whether the write took effect."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.errors import UsageError
from reconciler.sandbox import server
from reconciler.sandbox.app import App
from reconciler.sandbox.faults import Faults, parse
from reconciler.sandbox.http import Request, Response
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve

SMB = 100000000000001
G = f"/integration/businessintegrationgroup/{SMB}"
ADD = "/integration/add/businessintegrationgroup"
NEW_GROUP = {"parentBusinessNumber": SMB, "integrationSourceId": 22}


def app_with(*faults: str) -> App:
    return App(SandboxOptions(dialect="rich", faults=faults))


def add(app: App, fault: str | None = None) -> Response:
    headers = {"content-type": "application/json"} | ({"x-sandbox-fault": fault} if fault else {})
    return app(Request("PUT", ADD, (), headers, json.dumps(NEW_GROUP).encode()))


def read(app: App, path: str = G) -> Response:
    return app(Request("GET", path))


@pytest.fixture
def sandbox() -> Iterator[Server]:
    with serve(SandboxOptions(dialect="rich")) as running:
        yield running


def over_socket(
    sandbox: Server, method: str, path: str, body: object = None, fault: str | None = None, timeout: float = 5.0
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=timeout)
    try:
        headers = {"Content-Type": "application/json"} | ({"X-Sandbox-Fault": fault} if fault else {})
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def admin(sandbox: Server, method: str, path: str, body: object = None) -> Any:
    status, _, text = over_socket(sandbox, method, path, body)
    assert status == 200, text
    return json.loads(text)


@pytest.mark.parametrize("status", [401, 403, 404, 408, 425, 429, 500, 502, 503])
def test_a_status_comes_before_the_commit_unless_told_otherwise(status: int) -> None:
    app = app_with()
    assert add(app, str(status)).status == status
    assert app.world.groups == {}
    assert add(app, f"{status}-after-commit").status == status
    assert list(app.world.groups) == [150]
    assert [(it.status, it.committed, it.fault) for it in app.world.history] == [
        (status, False, f"{status}-before-commit"),
        (status, True, f"{status}-after-commit"),
    ]


def test_a_status_may_say_when_to_come_again() -> None:
    date = "Wed, 25 Nov 2026 10:00:00 GMT"
    app = app_with()
    assert ("Retry-After", "2") in add(app, "429,retry-after=2").headers
    assert app.world.groups == {}
    app.faults.arm(f"G:1:503,retry-after={date},body=empty")
    answer = read(app)
    assert (answer.headers, answer.body) == ((("Retry-After", date),), b"")


def test_faults_strike_the_call_they_name() -> None:
    app = app_with("G+:2:502", "G:2-3:500", "writes:5+:503")
    assert [add(app).status for _ in range(6)] == [200, 502, 200, 200, 503, 503]
    assert [read(app).status for _ in range(4)] == [200, 500, 500, 200]
    assert app.faults.as_json() == [
        {"fault": "G+:2:502", "seen": 6, "fired": 1},
        {"fault": "G:2-3:500", "seen": 4, "fired": 2},
        {"fault": "writes:5+:503", "seen": 6, "fired": 2},
    ]


@pytest.mark.parametrize(
    ("letter", "path"),
    [
        ("T", "/integration/trigger/integrationtriggers/sourceid/22"),
        ("G", G),
        ("Mg", f"/integration/businessintegrationmapping/{SMB}"),
        ("L", "/nextech/locations"),
        ("P", "/nextech/practitioners"),
        ("reads", G),
        ("*", G),
        ("/integration/business", G),
    ],
)
def test_a_fault_can_be_bound_to_every_read(letter: str, path: str) -> None:
    app = app_with(f"{letter}:1:502")
    assert [read(app, path).status == 502 for _ in range(2)] == [True, False]


def test_a_fault_by_chance_repeats_with_its_seed() -> None:
    def drawn(seed: int) -> list[bool]:
        faults = Faults(("G:p0.3:502",), seed=seed)
        return [faults.pick("G", "GET", G) is not None for _ in range(200)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert 30 < sum(drawn(1)) < 90


def test_garbage_comes_with_a_success_status() -> None:
    app = app_with()
    add(app)
    whole = read(app).body
    app.faults.arm("G:1:html", "G:2:truncated", "G:3:empty-list", "G:4:null", "G:5:error-object")
    found = [read(app) for _ in range(5)]
    assert [it.status for it in found] == [200] * 5
    assert found[0].body.startswith(b"<!DOCTYPE html>")
    assert [it.body for it in found[1:]] == [
        whole[: len(whole) // 2],
        b"[]",
        b"null",
        b'{"code": 5000, "message": "fault of the sandbox"}',
    ]


def test_of_two_faults_for_one_call_the_first_strikes_and_both_have_counted() -> None:
    app = app_with("G:1:502", "*:1-2:503")
    assert [read(app).status for _ in range(3)] == [502, 503, 200]


def test_a_status_may_have_any_body_and_lead_elsewhere() -> None:
    app = app_with("G:1:502,body=text", "G:2:502,body=html", "G:3:302")
    text, page, elsewhere = read(app), read(app), read(app)
    assert (text.status, text.body) == (502, b"fault of the sandbox")
    assert (page.status, page.body[:15]) == (502, b"<!DOCTYPE html>")
    assert (elsewhere.status, dict(elsewhere.headers)["Location"]) == (302, "http://elsewhere.example.com/")


def test_a_careless_error_repeats_what_was_sent() -> None:
    app = app_with()
    answer = add(app, "echo")
    assert (answer.status, str(SMB) in json.loads(answer.body)["message"], app.world.groups) == (400, True, {})


def test_garbage_after_a_write_leaves_it_written_and_before_it_does_not() -> None:
    app = app_with()
    assert add(app, "html").status == 200
    assert list(app.world.groups) == [150]
    assert add(app, "html-before-commit").status == 200
    assert list(app.world.groups) == [150]


@pytest.mark.parametrize(("fault", "written"), [("reset", 0), ("reset-after-commit", 1), ("cut", 1)])
def test_a_reset_cuts_the_connection(sandbox: Server, fault: str, written: int) -> None:
    with pytest.raises((ConnectionResetError, http.client.RemoteDisconnected, http.client.IncompleteRead)):
        over_socket(sandbox, "PUT", ADD, NEW_GROUP, fault)
    assert len(sandbox.app.world.groups) == written
    assert [(it.status, it.committed) for it in sandbox.app.world.history] == [(None, written == 1)]


@pytest.mark.parametrize(("fault", "written"), [("timeout,seconds=0.5", 0), ("timeout-after-commit,seconds=0.5", 1)])
def test_a_client_that_gives_up_meets_silence(sandbox: Server, fault: str, written: int) -> None:
    with pytest.raises(TimeoutError):
        over_socket(sandbox, "PUT", ADD, NEW_GROUP, fault, timeout=0.15)
    assert len(sandbox.app.world.groups) == written


def test_a_slow_body_arrives_in_the_end(sandbox: Server) -> None:
    started = time.monotonic()
    status, _, body = over_socket(sandbox, "GET", G, fault="slow-body,seconds=0.3")
    assert (status, body) == (200, b"[]")
    assert time.monotonic() - started >= 0.25


def test_a_held_request_waits_until_it_is_released(sandbox: Server) -> None:
    answers: list[int] = []
    for fault, written in (("hold", 0), ("hold-after-commit", 1)):
        thread = threading.Thread(
            target=lambda it: answers.append(over_socket(sandbox, "PUT", ADD, NEW_GROUP, it)[0]), args=(fault,)
        )
        thread.start()
        assert sandbox.app.faults.wait_held()
        assert len(sandbox.app.world.groups) == len(answers) + written
        assert admin(sandbox, "GET", "/_sandbox/state")["held"] == 1
        assert admin(sandbox, "POST", "/_sandbox/release") == {"released": 1}
        thread.join(5)
    assert answers == [200, 200]


def test_stopping_does_not_wait_for_what_is_held() -> None:
    with serve(SandboxOptions(faults=("*:1:hold", "*:2:timeout,seconds=60"))) as sandbox:
        errors: list[Exception] = []

        def ask() -> None:
            try:
                over_socket(sandbox, "GET", G)
            except (OSError, http.client.HTTPException) as error:
                errors.append(error)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        assert sandbox.app.faults.wait_held()
        while sandbox.app.faults.as_json()[0]["seen"] != 2:
            time.sleep(0.01)
        started = time.monotonic()
    assert time.monotonic() - started < 2
    for thread in threads:
        thread.join(5)
    assert len(errors) == 2


def test_faults_are_armed_and_cleared_while_it_runs(sandbox: Server) -> None:
    body = {"faults": ["G:*:503"]}
    assert admin(sandbox, "POST", "/_sandbox/faults", body) == [{"fault": "G:*:503", "seen": 0, "fired": 0}]
    assert over_socket(sandbox, "GET", G)[0] == 503
    assert admin(sandbox, "GET", "/_sandbox/faults") == [{"fault": "G:*:503", "seen": 1, "fired": 1}]
    assert admin(sandbox, "POST", "/_sandbox/faults", {"clear": True}) == []
    assert over_socket(sandbox, "GET", G)[0] == 200


def test_boundaries_are_told_before_and_after_a_commit() -> None:
    app, seen = app_with(), []
    app.on_boundary = lambda when, request: seen.append((when, request.method, len(app.world.groups)))
    add(app)
    read(app)
    assert seen == [("before", "PUT", 0), ("after", "PUT", 1)]


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "G",
        "G:1",
        "X:1:502",
        "G:0:502",
        "G:1:999",
        "G:p2:502",
        "G:1:explode",
        "G:1:502-later",
        "G:1:502,seconds=x",
        "G:1:502,body=x",
    ],
)
def test_a_fault_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match="fault"):
        parse(wrong)
    with pytest.raises(UsageError):
        App(SandboxOptions(faults=(wrong,)))


def test_a_wrong_fault_header_is_said_and_nothing_is_written() -> None:
    app = app_with()
    answer = add(app, "explode")
    assert (answer.status, json.loads(answer.body)["message"]) == (400, "fault explode: not a kind of fault")
    assert app.world.groups == {}


def test_the_commands_variables_lead_to_the_server(sandbox: Server) -> None:
    sandbox.app.exports["RECONCILER_NEXTECH_USERNAME"] = "made-up"
    found = server.variables(sandbox)
    assert found["RECONCILER_NEXTECH_USERNAME"] == "made-up"
    assert found["RECONCILER_BIRDEYE_URL"] == sandbox.url
    assert found["RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_API_KEY"] == "sandbox-key-skin-group"
