"""Processes from the nursery are of one version of the program, whatever is edited while the tests run."""

from __future__ import annotations

from pathlib import Path

import reconciler
from tests.faults import nursery

PACKAGE = Path(reconciler.__file__).parent


def test_the_nursery_has_imported_the_whole_program_before_the_first_fork() -> None:
    paths = [it.relative_to(PACKAGE.parent).with_suffix("") for it in PACKAGE.rglob("*.py")]
    names = {".".join(it.parts).removesuffix(".__init__") for it in paths}
    # Alembic reads its own from the disk; they never change once they are published.
    wanted = {it for it in names if ".migrations" not in it and not it.endswith("__main__")}
    assert wanted <= nursery.load()
