"""How many requests a second may leave, for all threads of one process together."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class RateLimiter:
    """A token bucket shared by threads: ``burst`` requests at once, ``requests_per_second`` in the long run.

    Each caller reserves the next free slot and sleeps until it, outside the lock, so that a thread which wakes late
    takes nothing from the others. ``math.inf`` as the rate only keeps the pauses.
    """

    def __init__(
        self,
        requests_per_second: float,
        *,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        burst: int = 1,
    ) -> None:
        if not requests_per_second > 0 or burst < 1:
            msg = "a rate limiter needs a rate above 0 and a burst of 1 or more"
            raise ValueError(msg)
        self._interval = 0.0 if math.isinf(requests_per_second) else 1.0 / requests_per_second
        self._slack = (burst - 1) * self._interval
        self._now = now
        self._sleep = sleep
        self._lock = threading.Lock()
        self._next = -math.inf
        self._paused = -math.inf

    def acquire(self, *, give_up_at: float = math.inf) -> bool:
        """Wait for this caller's turn. False, at once, where the turn would come after ``give_up_at`` (of ``now``)."""
        while True:
            with self._lock:
                now = self._now()
                slot = max(now - self._slack, self._next)
                start = max(now, slot, self._paused)
                if start > give_up_at:
                    return False
                self._next = max(slot, self._paused) + self._interval
            if start > now:
                self._sleep(start - now)
            with self._lock:
                if self._paused <= start:
                    return True
            # Somebody was told to wait while this caller slept: the slot is void, queue again behind the pause.

    def slow_down(self, factor: float) -> None:
        """From now on so many times fewer requests: others make the rest."""
        with self._lock:
            self._interval *= factor
            self._slack *= factor

    def pause_until(self, instant: float) -> None:
        """Let nobody through before ``instant`` (of ``now``); an earlier one than a pause that stands changes nothing."""
        with self._lock:
            self._paused = max(self._paused, instant)
