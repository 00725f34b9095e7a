"""Part of much work in a child process: an interpreter uses one processor, and most machines have more."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable


def can_fork() -> bool:
    """Is there another processor, and nothing in this process that a fork could break (a lock that a thread holds)?"""
    if not hasattr(os, "fork") or not hasattr(os, "sched_getaffinity"):
        return False
    return len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


def begin(work: Callable[[], bytes]) -> Callable[[], bytes | None]:
    """Start ``work`` in a child. What is returned waits for its result; None where the child did not come to its end.

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

    def result() -> bytes | None:
        with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
            content = pipe.read()
        _, status = os.waitpid(child, 0)
        return content if status == 0 else None

    return result
