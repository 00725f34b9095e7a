"""The only reader of the time, and the only sleeper. Everything below takes ``now`` and ``sleep`` as callables."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime


class Clock:
    """The time of this machine, and sleep that a signal can cut short.

    Pass ``clock.now``, ``clock.monotonic`` and ``clock.sleep`` to what needs them, never the clock itself: a lower
    row of the architecture does not import this module.
    """

    def __init__(self, stop: threading.Event | None = None) -> None:
        self._stop = stop if stop is not None else threading.Event()

    def now(self) -> datetime:
        """The present as an aware UTC datetime. May jump when the machine's clock is set."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes backwards. For deadlines and durations."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait, at most until ``stop()`` is called; then return at once. Zero or less returns at once too."""
        if seconds > 0:
            self._stop.wait(seconds)

    def stop(self) -> None:
        """End every sleep, present and future. Safe to call from a signal handler and from any thread."""
        self._stop.set()

    @property
    def stopped(self) -> bool:
        """Whether ``stop()`` was called: a loop asks this after each sleep."""
        return self._stop.is_set()

    @property
    def event(self) -> threading.Event:
        """Set by ``stop()``: for what waits on an event of its own."""
        return self._stop
