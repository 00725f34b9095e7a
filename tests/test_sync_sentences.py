"""The page that says which test holds which sentence of the sync's rules names tests that there are."""

from __future__ import annotations

import ast
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "sync-sentences.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
_ROW = re.compile(r"^\| (?P<sentence>.+) \| (?P<tests>`.+`) \|$")


def rows() -> list[tuple[str, str]]:
    lines = [it for it in PAGE.read_text(encoding="utf-8").splitlines() if it.startswith("|")]
    lines = [it for it in lines if it not in ("| sentence | test |", "| --- | --- |")]
    found = [_ROW.match(it) for it in lines]
    assert all(found), [line for line, it in zip(lines, found, strict=True) if it is None]
    return [(it["sentence"], it["tests"]) for it in found if it is not None]


@lru_cache
def names_in(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(it.name for it in ast.walk(tree) if isinstance(it, ast.FunctionDef))


def test_every_sentence_names_tests_and_every_name_is_that_of_a_test() -> None:
    missing = []
    for sentence, cell in rows():
        named = _TEST.findall(cell)
        assert named, sentence
        assert _TEST.sub("", cell).replace("<br>", "") == "", sentence
        missing += [
            f"{path}::{name}"
            for path, name in named
            if not (ROOT / path).is_file() or name not in names_in(ROOT / path)
        ]
    assert missing == []


def test_no_sentence_stands_there_twice_and_none_was_lost() -> None:
    counted = Counter(sentence for sentence, _ in rows())
    assert [it for it, count in counted.items() if count > 1] == []
    assert len(counted) >= 120
