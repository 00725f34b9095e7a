"""What a signal does to a command that must not be cut off in the middle of a write."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from reconciler.clock import Clock
from reconciler.errors import Stopped


class Stopping:
    """Which signal came, if any."""

    exit_code = 0

    def raise_if_set(self) -> None:
        """Raises errors.Stopped where one came before anything was changed."""
        if self.exit_code:
            raise Stopped("stopped by a signal; nothing was changed", exit_code=self.exit_code)


@contextmanager
def signals(clock: Clock) -> Iterator[Stopping]:
    """The first SIGINT or SIGTERM lets what is in flight settle; a second one ends the process at once."""
    stopping = Stopping()

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if stopping.exit_code:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        stopping.exit_code = 128 + number
        clock.stop()

    before: dict[signal.Signals, Callable[..., Any] | int | None] = {}
    for one in (signal.SIGINT, signal.SIGTERM):
        before[one] = signal.signal(one, handle)
    try:
        yield stopping
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
