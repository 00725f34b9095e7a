"""Colour, progress and the one question: for people at a terminal, plain everywhere else."""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Any, Self

import click

PLAIN_INTERVAL_SECONDS = 5.0


def counted(number: int, what: str) -> str:
    """``1 change``, ``2 changes``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def use_colour(stream: Any = None) -> bool:
    """``FORCE_COLOR``, ``NO_COLOR`` and ``TERM=dumb`` are honoured; else colour is for terminals."""
    if os.environ.get("NO_COLOR"):  # noqa: TID251 - a convention of terminals, not a setting
        return False
    if os.environ.get("FORCE_COLOR"):  # noqa: TID251
        return True
    stream = stream if stream is not None else sys.stdout
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"  # noqa: TID251


def is_terminal() -> bool:
    """Can a question be asked?"""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirm_yes(question: str) -> bool:
    """Only the word ``yes`` confirms."""
    click.echo(f"{question}\nOnly `yes` is accepted: ", err=True, nl=False)
    return sys.stdin.readline().strip() == "yes"


class Progress:
    """How far a run is, on stderr: a bar on a terminal, a line now and then elsewhere, nothing when quiet."""

    def __init__(self, what: str, total: int, *, quiet: bool) -> None:
        self._what = what
        self._total = total
        self._quiet = quiet or total < 2
        self._done = 0
        self._lock = threading.Lock()
        self._last = time.monotonic()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Self:
        if not self._quiet and sys.stderr.isatty() and use_colour(sys.stderr):
            from rich.console import Console
            from rich.progress import Progress as Bar

            self._bar = Bar(console=Console(stderr=True), transient=True)
            self._task = self._bar.add_task(self._what, total=self._total)
            self._bar.start()
        return self

    def step(self, text: str = "") -> None:
        """One more is done."""
        with self._lock:
            self._done += 1
            if self._bar is not None:
                self._bar.update(self._task, advance=1, description=text or self._what)
            elif not self._quiet and time.monotonic() - self._last >= PLAIN_INTERVAL_SECONDS:
                self._last = time.monotonic()
                click.echo(f"{self._what}: {self._done} of {self._total}", err=True)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
