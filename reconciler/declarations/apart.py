"""Part of much work in a child process: an interpreter uses one processor, and most machines have more."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Self


def can_fork() -> bool:
    """Is there another processor, and nothing in this process that a fork could break (a lock that a thread holds)?"""
    if not hasattr(os, "fork") or not hasattr(os, "sched_getaffinity"):
        return False
    return len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


class Apart:
    """Work that a child does. A context manager: where the result was not waited for, the child is ended."""

    def __init__(self, child: int, reading: int) -> None:
        self._child: int | None = child
        self._reading = reading

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._reading)
        if self._child is not None:
            os.kill(self._child, signal.SIGKILL)
            self._wait(self._child)

    def result(self) -> bytes | None:
        """Waits for what the work gave; None where the child did not come to its end."""
        with open(self._reading, "rb", closefd=False) as pipe:
            content = pipe.read()
        if self._child is None:
            return None
        return content if self._wait(self._child) == 0 else None

    def _wait(self, child: int) -> int:
        _, status = os.waitpid(child, 0)
        self._child = None
        return status


def begin(work: Callable[[], bytes]) -> Apart:
    """Start ``work`` in a child.

    The child has copies of everything: it uses no connection of the parent, and ends without closing any.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:  # nothing of the parent may go on here: not its handlers, its buffers or its ``finally``
            os.close(reading)
            content = work()
            with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
                pipe.write(content)
            code = 0
        finally:
            os._exit(code)
    os.close(writing)
    return Apart(child, reading)
