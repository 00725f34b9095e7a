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
    """``work`` in a child, from entering to leaving; where its result was not waited for, the child is ended.

    The child has copies of everything: it uses no connection of the parent, and ends without closing any.
    """

    def __init__(self, work: Callable[[], bytes]) -> None:
        self._work = work
        self._child: int | None = None
        self._reading = -1

    def __enter__(self) -> Self:
        # Ctrl-C between the fork and the first line that knows of the child would leave it behind.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._fork(before)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _fork(self, mask: set[int | signal.Signals]) -> None:
        self._reading, writing = os.pipe()
        self._child = os.fork()
        if self._child == 0:
            code = 1
            try:  # nothing of the parent may go on here: not its handlers, its buffers or its ``finally``
                os.close(self._reading)
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
                content = self._work()
                with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
                    pipe.write(content)
                code = 0
            finally:
                os._exit(code)
        os.close(writing)

    def __exit__(self, *_: object) -> None:
        if self._reading >= 0:
            os.close(self._reading)
            self._reading = -1
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
