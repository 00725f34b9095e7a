"""Colour, progress and the one question: for people at a terminal, plain everywhere else."""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from types import TracebackType
from typing import Any, Self

import click

from reconciler.errors import ReconcilerError

PLAIN_INTERVAL_SECONDS = 5.0


def counted(number: int, what: str) -> str:
    """``1 change``, ``2 changes``."""
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def use_colour(stream: Any = None) -> bool:
    """``FORCE_COLOR``, ``NO_COLOR`` and ``TERM=dumb`` are honoured; else colour is for terminals."""
    if os.environ.get("NO_COLOR"):  # noqa: TID251 - a convention of terminals, not a setting
        return False
    if colour_is_forced():
        return True
    stream = stream if stream is not None else sys.stdout
    return bool(stream.isatty()) and os.environ.get("TERM") != "dumb"  # noqa: TID251


def colour_is_forced() -> bool:
    """Colour wherever the text goes? click, which knows terminals only, must be told."""
    return bool(os.environ.get("FORCE_COLOR")) and not os.environ.get("NO_COLOR")  # noqa: TID251


def open_standard_streams() -> None:
    """Have something behind each of the three: a job may start us with one closed, and Python has none then."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # At once and in this order: the file gets the number that is free, before a database gets it.
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115, PTH123 - for the process


def flush_output() -> None:
    """Write what standard output still holds. Raises OSError."""
    sys.stdout.flush()


def drop_output() -> None:
    """Nothing more of standard output goes anywhere, nor fails when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say_if_output_is_lost(error: OSError) -> bool:
    """Was it standard output that could not be written? Says so, and drops the rest of it."""
    if not any(
        frame.f_code is flush_output.__code__ or (frame.f_code is click.echo.__code__ and not frame.f_locals["err"])
        for frame, _ in traceback.walk_tb(error.__traceback__)
    ):
        return False
    drop_output()
    why = (error.strerror or "it is closed").lower()
    click.echo(f"error: standard output cannot be written: {why}", err=True)
    click.echo("  = make room, or write to another place", err=True)
    return True


def is_terminal() -> bool:
    """Can a question be asked?"""
    return sys.stdin.isatty() and sys.stderr.isatty()


def say_error(error: ReconcilerError) -> None:
    """An error beside a report: on stderr, with what to do."""
    from reconciler.report.problems import escaped

    click.echo(f"error: {escaped(error.message)}", err=True)
    if error.hint:
        click.echo(f"  = {escaped(error.hint)}", err=True)


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
