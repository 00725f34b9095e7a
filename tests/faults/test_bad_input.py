"""Hosts, answers, plan files, stores and signals that are not as they should be: one message, the published code."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from reconciler.core import saved
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from tests.faults.workplace import Finished, accounts, commits, workplace

CHOSEN = accounts(2)


def told_once(ended: Finished, code: int) -> None:
    """The code, an ``error:`` line, and nothing of a traceback."""
    assert ended.code == code, (ended.code, ended.err[-1500:], ended.out[-500:])
    assert "error: " in ended.err
    assert "Traceback" not in ended.err + ended.out
    assert "defect of reconciler" not in ended.err


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:PORT"])
@pytest.mark.parametrize("command", [("plan",), ("apply", "--auto-approve")])
def test_a_host_that_cannot_be_reached_or_trusted(tmp_path: Path, url: str, command: tuple[str, ...]) -> None:
    with serve(SandboxOptions(practices=len(CHOSEN))) as server:
        place = workplace(tmp_path, url.replace("PORT", str(server.port)), CHOSEN)
        told_once(place.run(*command), 7)
        assert commits(server.app) == []


@pytest.mark.parametrize("endpoint", ["T", "G", "Mg"])
@pytest.mark.parametrize("kind", ["401", "403", "404", "html", "truncated", "error-object", "null"])
def test_a_read_that_fails_is_never_read_as_empty(tmp_path: Path, endpoint: str, kind: str) -> None:
    settings = ("group_mappings=false",)
    with serve(SandboxOptions(practices=len(CHOSEN), dialect="rich", settings=settings)) as server:
        place = workplace(tmp_path, server.url, CHOSEN)
        assert place.apply().code == 0
        before = len(commits(server.app))
        server.app.faults.arm(f"{endpoint}:*:{kind}")
        place.in_process()  # the key is there
        ended = place.apply()
        assert "Traceback" not in ended.err
        if (endpoint, kind) == ("Mg", "404"):
            assert ended.code == 0  # mappings are unobservable
        elif (endpoint, kind) == ("Mg", "empty-list"):
            assert ended.code in (0, 5)
        elif kind == "empty-list":
            assert ended.code in (1, 3, 7), ended.err
        else:
            told_once(ended, 7)
        if endpoint != "Mg":
            assert len(commits(server.app)) == before


@pytest.mark.parametrize("how", ["flip", "cut"])
def test_a_plan_file_that_was_edited_is_refused_without_a_request(tmp_path: Path, how: str) -> None:
    with serve(SandboxOptions(practices=len(CHOSEN))) as server:
        place = workplace(tmp_path, server.url, CHOSEN)
        assert place.run("plan", "--out", "p.json").code == 0
        whole = (tmp_path / "p.json").read_bytes()
        asked = len(server.app.world.history)
        chance = random.Random(how)
        for number in range(2000 if how == "flip" else 100):
            at = chance.randrange(1, len(whole) - 1)
            if how == "flip":
                data = whole[:at] + bytes([whole[at] ^ (1 << chance.randrange(8))]) + whole[at + 1 :]
            else:
                data = whole[:at] + (whole[chance.randrange(len(whole)) :] if how == "splice" else b"")
            if (data.strip() == whole.strip() or refused(data)) and number >= 3:
                continue
            (tmp_path / "bad.json").write_bytes(data)
            ended = place.run("apply", "bad.json")
            assert ended.code in (1, 4), (number, ended.err)
            assert "Traceback" not in ended.err
        assert len(server.app.world.history) == asked


def refused(data: bytes) -> bool:
    """Refused by the file alone; anything else is given to the whole command."""
    try:
        return not saved.is_untouched(saved.parse(data))
    except saved.Damaged:
        return True
