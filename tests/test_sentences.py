"""The page that names the test of each sentence names tests that there are."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_test_that_the_page_names_exists() -> None:
    page = (ROOT / "docs" / "sync-sentences.md").read_text()
    files = [it for it in ROOT.joinpath("tests").rglob("test_*.py") if "node_modules" not in it.parts]
    names = {it.name for it in files} | {it.stem for it in files}
    for file in files:
        names.update(re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE))
    wanted = set(re.findall(r"\btest_[\w*]+(?:\.py)?", page))
    assert len(wanted) > 60
    assert sorted(it for it in wanted if not fnmatch.filter(names, it)) == []
