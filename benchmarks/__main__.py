"""``python -m benchmarks [NAME] [options of that benchmark]``."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

NAMES = ("start", "plan", "sync", "reading", "commits")


def main() -> None:
    """Run the benchmarks that are named, or all."""
    names = [sys.argv[1]] if len(sys.argv) > 1 and sys.argv[1] in NAMES else list(NAMES)
    arguments = sys.argv[2:] if len(sys.argv) > 1 and sys.argv[1] in NAMES else sys.argv[1:]
    here = {it.stem for it in Path(__file__).parent.glob("*.py")}
    for name in names:
        if name in here:
            print(f"\n== {name}")
            importlib.import_module(f"benchmarks.{name}").main(arguments)


if __name__ == "__main__":
    main()
