"""Which process this is, and whether another one of the same host still runs."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


def elapsed() -> float:
    """Seconds since this host booted, suspended time included where the system can tell. Wall-clock jumps leave it be."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


@dataclass(frozen=True, slots=True)
class Process:
    """A process, told from every other one: a number is used again, a number with a start time is not."""

    host: str
    pid: int
    boot_id: str
    """Of the host since it last booted; empty where the system does not say."""
    pid_namespace: str
    """Process numbers mean something inside one namespace only; empty where the system does not say."""
    started: str
    """In the kernel's ticks since boot; empty where the system does not say."""
    elapsed: Callable[[], float] = elapsed

    @classmethod
    def this(cls) -> Process:
        """The process that asks."""
        return cls(
            host=platform.node(),
            pid=os.getpid(),
            boot_id=_text("/proc/sys/kernel/random/boot_id"),
            pid_namespace=_link("/proc/self/ns/pid"),
            started=_started(os.getpid()) or "",
        )

    def same_boot(self, boot_id: str) -> bool:
        """Whether seconds since boot of both can be compared."""
        return bool(self.boot_id) and self.boot_id == boot_id

    def knows_gone(self, *, boot_id: str, pid_namespace: str, pid: int, started: str) -> bool:
        """Whether another process has certainly ended. False where this one cannot tell."""
        if not self.same_boot(boot_id) or not self.pid_namespace or self.pid_namespace != pid_namespace or not started:
            return False
        if not Path("/proc/self/stat").exists():
            return False
        return _started(pid) != started


def _started(pid: int) -> str | None:
    """The start time of a process that runs; None of one that does not, or has ended and was not reaped yet."""
    try:
        text = Path(f"/proc/{pid}/stat").read_bytes()
    except FileNotFoundError:
        return None
    except OSError:
        return ""
    # The second field is the program's name in parentheses and may itself hold any character.
    fields = text.rpartition(b")")[2].split()
    if len(fields) < 20 or fields[0] in (b"Z", b"X"):
        return None
    return fields[19].decode()


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _link(path: str) -> str:
    try:
        return str(Path(path).readlink())
    except OSError:
        return ""
