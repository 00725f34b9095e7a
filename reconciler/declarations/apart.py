"""Part of much work in a child process: an interpreter uses one processor, and most machines have more."""

from __future__ import annotations

import marshal
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")


def can_fork() -> bool:
    """Is there another processor, and nothing in this process that a fork could break (a lock that a thread holds)?"""
    if not hasattr(os, "fork") or not hasattr(os, "sched_getaffinity"):
        return False
    return len(os.sched_getaffinity(0)) > 1 and threading.active_count() == 1


def begin(items: Sequence[T], work: Callable[[T], Any]) -> Callable[[], list[Any] | None]:
    """Start ``work`` on every item in a child. What is returned waits for the results, None where the child failed.

    ``work`` is pure, and gives what ``marshal`` takes (plain values, nested); what it does not take becomes None.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:  # nothing of the parent may go on here: not its handlers, its buffers or its ``finally``
            os.close(reading)
            with open(writing, "wb") as pipe:  # noqa: PTH123 - a descriptor
                pipe.write(marshal.dumps([_dumped(work(it)) for it in items]))
        finally:
            os._exit(0)
    os.close(writing)

    def results() -> list[Any] | None:
        with open(reading, "rb") as pipe:  # noqa: PTH123 - a descriptor
            content = pipe.read()
        os.waitpid(child, 0)
        try:
            found = marshal.loads(content)  # noqa: S302 - what our own child wrote
        except (EOFError, ValueError, TypeError):
            return None
        return [None if it is None else marshal.loads(it) for it in found]  # noqa: S302 - likewise

    return results


def _dumped(value: Any) -> bytes | None:
    try:
        return marshal.dumps(value)
    except ValueError:
        return None
