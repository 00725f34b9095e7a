"""Many files are read by two processes, with the same result as by one, whatever becomes of the second."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reconciler.core.codes_examples import SMB

PROGRAM = """
import json, os, sys
from datetime import date
from pathlib import Path
from reconciler import declarations
from reconciler.declarations import apart, directory

folder, mode = Path(sys.argv[1]), sys.argv[2]
directory.MANY = 10 if mode != "alone" else 10_000
forked = []
begin = apart.Apart

def counted(work):
    forked.append(True)
    return begin((lambda: os._exit(9)) if mode == "dies" else work)

apart.Apart = counted
apart.can_fork = lambda: mode != "cannot"
loaded = declarations.load(folder, shown_from=folder, today=date(2026, 11, 24))
print(json.dumps([
    forked,
    loaded.digest,
    [[it.slug, it.declaration.model_dump(mode="json"), sorted(it.declaration.declared)] for it in loaded.declared],
    [[it.code, str(it.position), it.message] for it in loaded.problems],
]))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("many")
    for number in range(1, 41):
        text = SMB.replace("100000000000001", str(100000000000000 + number))
        (found / f"practice-{number:02}.yaml").write_text(
            text.replace("env:RECONCILER_SECRET_", f"env:RECONCILER_SECRET_N{number}_")
        )
    (found / "practice-29.yaml").write_text("version: 1\nbusiness: [\n")
    (found / "practice-33.yaml").write_bytes(b"version: 1\n\xff\n")
    (found / "practice-35.yaml").write_text(SMB.replace("100000000000001", "1.5"))
    (found / "practice-37.yaml").write_text("")
    return found


def read(folder: Path, mode: str) -> list[object]:
    arguments = [sys.executable, "-c", PROGRAM, str(folder), mode]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=True)
    found: list[object] = json.loads(done.stdout)
    return found


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize(("mode", "forked"), [("apart", [True]), ("dies", [True]), ("cannot", [])])
def test_two_processes_read_what_one_reads(folder: Path, mode: str, forked: list[bool]) -> None:
    alone = read(folder, "alone")
    assert alone[0] == []
    assert len(alone[3]) >= 4  # type: ignore[arg-type]
    assert read(folder, mode) == [forked, *alone[1:]]
