"""How long the program takes to say anything, beside an interpreter that only imports what it cannot do without."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Command, interleaved, table
from benchmarks.plan_world import declaration


def main(arguments: list[str]) -> None:
    """``--help`` and ``validate`` of one file."""
    parser = argparse.ArgumentParser(prog="benchmarks start")
    parser.add_argument("--rounds", type=int, default=11)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="reconciler-bench-") as name:
        folder = Path(name)
        (folder / "integrations").mkdir()
        (folder / "integrations" / "practice-00000.yaml").write_text(declaration(0))
        python = [sys.executable]
        commands = [
            Command("python -c pass", [*python, "-c", "pass"], folder),
            Command("import click, yaml", [*python, "-c", "import click, yaml"], folder),
            Command("reconciler --help", [*python, "-m", "reconciler", "--help"], folder),
            Command(
                "import click, yaml, pydantic, the models",
                [*python, "-c", "import click, yaml, pydantic; import reconciler.core.model"],
                folder,
            ),
            Command("reconciler validate, one file", [*python, "-m", "reconciler", "validate", "-q"], folder),
        ]
        interleaved(commands, given.rounds)
    print(table(commands[1:3], against="import click, yaml"), "\n")
    print(table(commands[3:], against="import click, yaml, pydantic, the models"))


if __name__ == "__main__":
    main(sys.argv[1:])
