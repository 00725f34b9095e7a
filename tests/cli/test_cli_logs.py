"""Log lines: one line each, and nothing in them that a terminal or a job's runner acts on."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from reconciler.cli import logs
from tests.core.test_view_hostile import FRAGMENTS, assert_inert

HOSTILE = "".join(FRAGMENTS)


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    root = logging.getLogger("reconciler")
    before = root.handlers[:], root.level, root.propagate
    yield
    root.handlers[:], root.level, root.propagate = before


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_hostile_value_stays_within_its_line(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(logging.INFO, form)
    logging.getLogger("reconciler.test").info("%s", HOSTILE, extra={"fields": {"names": HOSTILE}})
    (line,) = capsys.readouterr().err.splitlines()
    assert_inert(line)
    if form == "json":
        assert json.loads(line)["names"] == HOSTILE


def test_a_hidden_value_is_hidden_however_it_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    logs.set_up(logging.INFO, "json")
    logs.hide(["gehéim-word"])
    logging.getLogger("reconciler.test").info("gehéim-word", extra={"fields": {"names": "gehéim-word"}})
    assert "word" not in capsys.readouterr().err
