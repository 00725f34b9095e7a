"""A secret that a server repeats is taken out of every message, also where the request that it answers had none."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest

from reconciler import errors
from reconciler.clients import redaction
from reconciler.clients.integrations import IntegrationsClient
from reconciler.clients.transport import Transport
from reconciler.clock import Clock
from reconciler.settings.load import load_settings
from reconciler.settings.secrets import Secrets
from reconciler.workflow import session, syncing
from tests.edges.loopback_server import VirtualTime

HOST = "api.example.com"
OTHER = 'FILESECRET-9f8e7/"+é'


def answered(body: object, hidden: Callable[[], tuple[str, ...]], status: int = 400) -> errors.RemoteError:
    """How reading the groups of a business ends where this is the answer."""

    def answer(request: httpx.Request) -> httpx.Response:
        del request
        return httpx.Response(status, json=body)

    with (
        Transport(
            base_url=f"https://{HOST}",
            allowed_hosts=frozenset({HOST}),
            http_transport=httpx.MockTransport(answer),
            hidden=hidden,
            **VirtualTime().settings(),
        ) as transport,
        pytest.raises(errors.RemoteError) as caught,
    ):
        IntegrationsClient(transport).groups(100)
    return caught.value


@pytest.mark.parametrize(
    "form",
    [
        OTHER,
        OTHER.upper(),
        quote(OTHER, safe=""),
        quote(OTHER, safe="").lower(),
        json.dumps(OTHER)[1:-1],
        base64.b64encode(OTHER.encode()).decode(),
        OTHER.encode().hex(),
    ],
)
def test_a_secret_of_another_request_is_removed_in_every_form(form: str) -> None:
    found = answered({"code": 1, "message": f"bad practice {form} of it"}, lambda: (OTHER,))
    assert isinstance(found, errors.Answered)
    assert found.remote_message == "bad practice [removed] of it"
    assert found.message.endswith(f"answered 400: {found.remote_message}")


@pytest.mark.parametrize("status", [200, 400])
def test_nor_does_a_code_keep_one(status: int) -> None:
    found = answered({"code": f"E-{OTHER}", "message": OTHER}, lambda: (OTHER,), status)
    assert "E-[removed]" in (str(found.code) if isinstance(found, errors.Answered) else found.message)
    assert "FILESECRET" not in found.message


def test_one_that_becomes_known_later_is_removed_from_then_on() -> None:
    known: list[str] = []
    hidden = redaction.Hidden(lambda: tuple(known))
    assert redaction.shown("of SECRET-2", (), hidden) == "of SECRET-2"
    known.append("SECRET-2")
    assert redaction.shown("of secret-2", (), hidden) == "of [removed]"


def test_where_one_secret_begins_another_nothing_of_the_longer_one_stays() -> None:
    hidden = redaction.Hidden(lambda: ("SECRET-2", "SECRET-22", "T-22-TAIL"))
    assert redaction.shown("SECRET-22, SECRET-2; SECRET-22-tail.", (), hidden) == "[removed], [removed]; [removed]."
    assert redaction.shown("own SECRET-2222", ("SECRET-2222",), hidden) == "own [removed]"


def test_short_secrets_are_removed_only_where_the_request_has_them() -> None:
    hidden = redaction.Hidden(lambda: ("12345", "", "  "))
    assert redaction.shown("status 12345", (), hidden) == "status 12345"
    assert redaction.shown("status 12345", ("12345",), hidden) == "status [removed]"


def test_letters_whose_small_form_is_longer_shift_nothing() -> None:
    assert redaction.shown("İİ SECRET-2 İ", (), redaction.Hidden(lambda: ("secret-2",))) == "İİ [removed] İ"


def test_the_secrets_of_ten_thousand_businesses_cost_an_error_little() -> None:
    secrets = tuple(f"FILESECRET-{number:08}" for number in range(20_000))
    hidden = redaction.Hidden(lambda: secrets)
    text = "FILESECRET-00012345 " + "FILESECRET-0001234" * 1_000
    before = time.process_time()
    assert redaction.shown(text, (), hidden).startswith("[removed] FILESECRET-0001234")
    first = time.process_time()
    redaction.shown(text, (), hidden)
    assert time.process_time() - first < 0.5
    assert first - before < 5


def test_what_was_resolved_and_every_variable_is_seen(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("north: {id: FROM-FILE, other: NOT-ASKED}\n")
    environ = {"RECONCILER_SECRET_A": " FROM-VARIABLE\n", "RECONCILER_BIRDEYE_TOKEN": "THE-TOKEN", "NAMED": "BY-NAME"}
    secrets = Secrets(environ, tmp_path)
    assert set(secrets.seen()) == {"FROM-VARIABLE", "THE-TOKEN"}
    secrets.resolve("file:a.yaml#north.id")
    secrets.resolve("env:RECONCILER_SECRET_A")
    secrets.variable("NAMED")
    assert secrets.seen()[2:] == ("FROM-FILE", "BY-NAME")


def test_every_transport_of_a_command_knows_the_secrets_of_its_settings(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("north: {id: FROM-FILE}\n")
    environ = {"RECONCILER_SECRETS_ROOT": str(tmp_path), "RECONCILER_BIRDEYE_URL": "http://127.0.0.1:9"}
    settings = load_settings(environ=environ, cwd=tmp_path)
    clock = Clock()
    with (
        session.open_transport(settings, clock) as integrations,
        syncing.open_transport(settings, clock, "http://127.0.0.1:9") as contacts,
    ):
        assert settings.secrets.reveal("file:a.yaml#north.id") == "FROM-FILE"
        for transport in (integrations, contacts):
            assert transport.shown("practice from-file is unknown") == "practice [removed] is unknown"
