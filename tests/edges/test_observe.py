"""Reading many businesses: each once, by several threads, and an unexpected error stops all of them."""

from __future__ import annotations

import threading

import pytest

from reconciler import observe
from reconciler.core.live import LiveGroup, LiveMapping, Trigger


class Counting:
    """A client that counts reads; ``wrong`` is the business whose read fails in a way that nobody expects."""

    def __init__(self, wrong: int | None = None) -> None:
        self.asked: list[int] = []
        self.threads: set[int] = set()
        self.wrong = wrong

    def triggers(self) -> tuple[Trigger, ...]:
        return ()

    def groups(self, business: int) -> tuple[LiveGroup, ...] | None:
        self.asked.append(business)
        self.threads.add(threading.get_ident())
        if business == self.wrong:
            raise ZeroDivisionError
        return (LiveGroup(business, 22, mappings=()),)

    def mappings(self, business: int) -> tuple[LiveMapping, ...]:
        return ()


def test_every_business_is_read_once_whatever_the_threads() -> None:
    client = Counting()
    targets = [observe.Target(number, (number,)) for number in range(1, 301)]
    found = observe.observe(client, targets, concurrency=8)
    assert sorted(client.asked) == list(range(1, 301))
    assert {number: it.groups[0].group_id for number, it in found.items()} == {it: it for it in range(1, 301)}


def test_an_error_that_nobody_expects_ends_the_reading() -> None:
    client = Counting(wrong=10)
    targets = [observe.Target(number, (number,)) for number in range(1, 100_001)]
    with pytest.raises(ZeroDivisionError):
        observe.observe(client, targets, concurrency=4)
    assert len(client.asked) < 100_000
