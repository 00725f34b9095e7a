"""``held``: what waits for a person is listed with its appointment, moved on somebody's word, and written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import pytest

from reconciler.cli import main
from reconciler.core.decide import Decision
from reconciler.core.ledger_rules import State
from reconciler.store import audit, keys, ledger_outbox
from reconciler.store.database import open_store
from tests.ledgers import LOCATION, NOW, Desk

KEY = "ledger-key-0123456789abcdefghijklmnopqrs"
NEW_KEY = "other-key-0123456789abcdefghijklmnopqrst"
AMBIGUOUS = Decision("held", "ambiguous_location", "location")
BY = ("--by", "Ada", "--reason", "asked at the desk")


class Done(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Done]


@pytest.fixture(params=["one store", "two stores"])
def stores(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, str]:
    """URLs of store and ledger, which may be one."""
    main_url = f"sqlite:///{tmp_path}/main.db"
    return main_url, main_url if request.param == "one store" else f"sqlite:///{tmp_path}/ledger.db"


@pytest.fixture
def run(
    stores: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    monkeypatch.chdir(tmp_path)
    for name, value in (("STORE", stores[0]), ("LEDGER_STORE", stores[1]), ("LEDGER_KEY", KEY), ("ACTOR", "tester")):
        monkeypatch.setenv(f"RECONCILER_{name}", value)

    def call(*arguments: str) -> Done:
        code = main.run(list(arguments))
        said = capsys.readouterr()
        return Done(code, said.out, said.err)

    return call


@pytest.fixture
def ids(stores: tuple[str, str]) -> list[str]:
    """A ledger with one held, one unknown, one refused and one ambiguous visit; their ids in this order."""
    with open_store(stores[0], now=lambda: NOW, write=True), open_store(stores[1], now=lambda: NOW, write=True) as it:
        desk = Desk(it)
        desk.record([desk.entry(1), desk.entry(2), desk.entry(3), desk.entry(4, decision=AMBIGUOUS), desk.entry(5)])
        with it.begin() as connection:
            claimed = ledger_outbox.claim(connection, desk.practice, [LOCATION], keys=desk.keys, limit=3, now=NOW)
            at = NOW + timedelta(seconds=1)
            outcomes: tuple[tuple[State, int | None], ...] = (("unknown", None), ("unknown", None), ("failed", 1087))
            ledger_outbox.settle(
                connection,
                [
                    ledger_outbox.Settlement(one.practice, one.appointment, one.intent_at, state, at, code)
                    for one, (state, code) in zip(claimed, outcomes, strict=True)
                ],
            )
            ledger_outbox.resolve(connection, claimed[0], "held", now=NOW, customer_id="77")
        return [desk.appointment(it)[:12] for it in (1, 2, 3, 4)]


def records(url: str) -> list[dict[str, object]]:
    with open_store(url, now=lambda: NOW, write=False) as store, store.read() as connection:
        assert audit.verify(connection).problem is None
        return list(audit.records(connection))


def states(url: str) -> dict[str, int]:
    with open_store(url, now=lambda: NOW, write=True) as store:
        return Desk(store).states()


def test_without_a_ledger_nothing_waits(run: Run) -> None:
    assert run("held", "list") == Done(0, "nothing waits\n", "")


def test_what_waits_is_listed_with_its_appointment_and_why(run: Run, ids: list[str]) -> None:
    assert run("held", "list", "--failed") == Done(
        0,
        f"{ids[0]}  skin-group {LOCATION}  held  appointment A-1 of 2026-11-23:"
        " no answer came; Birdeye has a contact by this address or number, but no activity since that is surely this visit's\n"
        f"{ids[1]}  skin-group {LOCATION}  unknown  appointment A-2 of 2026-11-23:"
        " no answer came; the next pass looks it up\n"
        f"{ids[2]}  skin-group {LOCATION}  failed  appointment A-3 of 2026-11-23:"
        " Birdeye refused it: the e-mail address is malformed (1087)\n"
        f"{ids[3]}  skin-group {LOCATION}  held  appointment A-4 of 2026-11-23: ambiguous_location\n"
        "4 check-ins wait; `held resend ID` or `held discard ID`, with --by and --reason\n",
        "",
    )


def test_json_lists_one_location(run: Run, ids: list[str]) -> None:
    done = run("held", "list", str(LOCATION), "--output", "json")
    document = json.loads(done.out)
    assert (document["format_version"], document["kind"]) == ("1.0", "held")
    assert document["visits"][0] == {
        "id": ids[0],
        "slug": "skin-group",
        "business": LOCATION,
        "day": "2026-11-23",
        "appointment": "A-1",
        "state": "held",
        "reason": "no answer came; Birdeye has a contact by this address or number, but no activity since that is surely this visit's",
        "since": "2026-11-24T12:00:00+00:00",
        "can_be_sent": True,
    }
    assert [it["can_be_sent"] for it in document["visits"]] == [True, True, False]  # the last one has no contact


def test_a_business_that_nobody_knows_is_wrong_usage(run: Run, ids: list[str]) -> None:
    done = run("held", "list", "skin-groop")
    assert (done.code, done.out) == (64, "")
    assert "nothing in force is called skin-groop" in done.err
    assert "did you mean: `skin-group`" in done.err
    assert run("held", "list", "999").code == 64
    assert run("held", "list", "skin-group", "nobody").code == 64


def test_without_a_ledger_a_business_that_nobody_knows_is_wrong_usage_too(run: Run) -> None:
    assert run("held", "list", "nobody").code == 64


def test_moves_are_made_together_and_written_down_without_an_appointment(
    run: Run, ids: list[str], stores: tuple[str, str]
) -> None:
    done = run("held", "resend", ids[0], ids[2], *BY)
    assert done == Done(
        0,
        f"{ids[0]}  skin-group {LOCATION}: planned again, the next pass sends it\n"
        f"{ids[2]}  skin-group {LOCATION}: planned again, the next pass sends it\n",
        "",
    )
    done = run("held", "discard", ids[1], ids[3], *BY)
    assert done.out.count("discarded, never to be contacted") == 2
    assert states(stores[1]) == {"planned": 3, "discarded": 2}
    last, first = records(stores[0])
    assert (first["operation"], first["who"], first["reason"]) == ("held resend", "Ada", "asked at the desk")
    assert first["objects"] == [
        {"kind": "visit", "slug": "skin-group", "business": LOCATION, "action": "resend", "change_id": it}
        for it in (ids[0], ids[2])
    ]
    assert "A-" not in json.dumps([first, last])


@pytest.mark.parametrize(
    ("action", "which", "message"),
    [
        ("resend", (0, 1), "is unknown: it cannot be sent again; nothing was changed"),
        ("resend", (3,), "has no contact that could be sent (ambiguous_location); nothing was changed"),
    ],
)
def test_a_move_that_cannot_be_made_changes_nothing(
    run: Run, ids: list[str], stores: tuple[str, str], action: str, which: tuple[int, ...], message: str
) -> None:
    before = states(stores[1])
    done = run("held", action, *(ids[it] for it in which), *BY)
    assert done.code == 64
    assert message in done.err
    assert (states(stores[1]), records(stores[0])) == (before, [])


@pytest.mark.parametrize("arguments", [("held", "resend"), ("held", "discard", "ffffffffffff", *BY)])
def test_wrong_usage_is_64(run: Run, ids: list[str], arguments: tuple[str, ...]) -> None:
    del ids
    assert run(*arguments).code == 64


def test_who_and_why_are_required(run: Run, ids: list[str]) -> None:
    assert run("held", "resend", ids[0]).code == 64
    assert run("held", "resend", ids[0], "--by", " ", "--reason", "x").code == 64


def test_rekey_seals_the_ledger_anew(
    run: Run, ids: list[str], stores: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RECONCILER_NEW_KEY", NEW_KEY)
    done = run("store", "rekey", "ledger", "--new-key-from", "RECONCILER_NEW_KEY")
    assert (done.code, done.err) == (
        0,
        "the ledger key was changed, 5 payloads were sealed anew; from now on export the new one\n",
    )
    assert run("held", "list").code == 1
    monkeypatch.setenv("RECONCILER_LEDGER_KEY", NEW_KEY)
    assert "appointment A-1" in run("held", "list").out
    assert [it["operation"] for it in records(stores[0])] == ["rekey ledger"]
    assert len(ids) == 4


def test_rekey_of_a_key_file_leaves_one_key_that_opens_everything(
    run: Run, stores: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RECONCILER_LEDGER_KEY")
    assert run("store", "migrate").code == 0
    path = Path(stores[1].removeprefix("sqlite:///"))
    file = keys.key_file(path, "ledger")
    with open_store(stores[1], now=lambda: NOW, write=True) as store:
        desk = Desk(store, given=keys.file_key(store, "ledger", file))
        desk.record([desk.entry(4, decision=AMBIGUOUS)])
    before = file.read_bytes()
    assert run("store", "rekey", "ledger").err == "the ledger key was changed, 1 payloads were sealed anew\n"
    assert file.read_bytes() != before
    assert [it.name for it in path.parent.glob("*.key*") if "ledger" in it.name] == [file.name]
    assert "appointment A-4" in run("held", "list").out
