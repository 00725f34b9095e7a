"""Commands in turn (A B C A B C …), each run's wall time, CPU time and peak memory; medians and ratios."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

TIMEOUT_SECONDS = 1200


@dataclass
class Command:
    """One thing that is measured. ``expect``: exit codes that count as a run."""

    name: str
    arguments: Sequence[str]
    cwd: Path
    environ: Mapping[str, str] = field(default_factory=dict)
    expect: tuple[int, ...] = (0,)
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    def run(self) -> None:
        """Once; raises RuntimeError with the last lines where it failed."""
        with tempfile.TemporaryFile() as output:
            started = time.perf_counter()
            process = subprocess.Popen(
                list(self.arguments),
                cwd=self.cwd,
                env={**os.environ, **self.environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
            _, status, usage = os.wait4(process.pid, 0)
            self.wall.append(time.perf_counter() - started)
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode not in self.expect:
                output.seek(0)
                tail = output.read()[-2000:].decode(errors="replace")
                raise RuntimeError(f"{self.name} ended with {process.returncode}:\n{tail}")
        self.cpu.append(usage.ru_utime + usage.ru_stime)
        self.peak_mb.append(usage.ru_maxrss / 1024)


def interleaved(commands: Sequence[Command], rounds: int, *, warm_up: bool = True) -> None:
    """Every command once per round, in turn; a warm-up round is not counted."""
    for turn in range(rounds + (1 if warm_up else 0)):
        for command in commands:
            command.run()
        if warm_up and turn == 0:
            for command in commands:
                command.wall.clear()
                command.cpu.clear()
                command.peak_mb.clear()


def table(commands: Sequence[Command], *, against: str) -> str:
    """Medians with the range of the wall time, and the ratio of each to one of them, pair by pair."""
    base = next((it for it in commands if it.name == against), None)
    lines = [f"{'':<46} {'wall s':>8} {'(min-max)':>15} {'cpu s':>8} {'peak MB':>8}  wall / {against}"]
    for it in commands:
        spread = f"{min(it.wall):.2f}-{max(it.wall):.2f}"
        ratio = "" if base is None else f"{median([a / b for a, b in zip(it.wall, base.wall, strict=True)]):.3f}"
        lines.append(
            f"{it.name:<46} {median(it.wall):>8.2f} {spread:>15} {median(it.cpu):>8.2f} {median(it.peak_mb):>8.0f}  {ratio}"
        )
    return "\n".join(lines)
