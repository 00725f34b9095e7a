"""Reads live state through the integration API: one group read per business, and the fewest mapping reads.

A location that a group's own answer lists needs no read. Whether the mapping endpoint answers at all is found out
once: two locations in a row that get 404, or one 405, mean that the server does not have it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.core.live import LiveBusiness, LiveGroup, LiveMapping, SeenMappings, Trigger
from reconciler.errors import Answered, RemoteError

MISSES_UNTIL_ABSENT = 2
READ_SECONDS = 0.0025
"""A little more than what one read costs in CPU on the slow side."""


class Reads(Protocol):
    """What observing needs of ``clients.integrations.IntegrationsClient``."""

    def triggers(self) -> tuple[Trigger, ...]:
        """The trigger catalogue of the source."""

    def groups(self, business: int) -> tuple[LiveGroup, ...] | None:
        """The groups of a parent business; None where the answer is 404."""

    def mappings(self, business: int) -> tuple[LiveMapping, ...]:
        """The mappings of one location."""


@dataclass(frozen=True, slots=True)
class Target:
    """One business to read, with its declared locations."""

    business: int
    locations: tuple[int, ...]
    recorded: frozenset[int] = frozenset()
    """Locations that a receipt names: asked first, since an answer of 404 means more for them."""


@dataclass
class MappingReads:
    """Mapping reads of one run, shared by its threads."""

    client: Reads
    answers: bool | None = None
    """Does the endpoint exist? None while it is not known."""
    misses: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, business: int) -> SeenMappings | None:
        """One location; None for a 404 whose meaning is settled once the run knows more (``settle``)."""
        if self.answers is None:
            with self._lock:  # one at a time until it is known
                return self._read(business)
        return self._read(business)

    def _read(self, business: int) -> SeenMappings | None:
        if self.answers is False:
            return SeenMappings("unobservable")
        try:
            found = self.client.mappings(business)
        except Answered as error:
            if error.status == 405:
                self.answers = False
                return SeenMappings("unobservable")
            if error.status == 404:
                self.misses += 1
                if self.answers is None and self.misses >= MISSES_UNTIL_ABSENT:
                    self.answers = False
                return None
            return SeenMappings("unreadable", error=error.message)
        except RemoteError as error:
            return SeenMappings("unreadable", error=error.message)
        self.answers = True
        return SeenMappings("shown", found)

    def settle(self, *, recorded: bool) -> SeenMappings:
        """What a 404 meant: no such endpoint, no mapping, or (with a receipt) an answer that cannot be right."""
        if not self.answers:
            return SeenMappings("unobservable")
        if recorded:
            return SeenMappings("unreadable", error="the API answers 404 for the mappings of a recorded location")
        return SeenMappings("shown", ())


def observe(
    client: Reads,
    targets: Sequence[Target],
    *,
    concurrency: int,
    mapping_reads: MappingReads | None = None,
    on_read: Callable[[int], None] = lambda business: None,
    seconds: Callable[[], float] | None = None,
) -> dict[int, LiveBusiness]:
    """Live state by parent business. An error of one business is that business's ``error``; the others go on.

    ``seconds`` is a monotonic clock: with it no more threads are used than the first read's latency can hide.
    """
    reads = mapping_reads or MappingReads(client)
    ordered = sorted(targets, key=lambda it: (not it.recorded, it.business))

    def one(target: Target) -> tuple[Target, LiveBusiness, tuple[int, ...]]:
        found = _read_business(client, target, reads)
        on_read(target.business)
        return found

    if len(ordered) <= 1:
        results: Iterable[tuple[Target, LiveBusiness, tuple[int, ...]]] = [one(it) for it in ordered]
    else:
        started = seconds() if seconds is not None else 0.0
        first = one(ordered[0])
        if seconds is not None:
            concurrency = threads_for(seconds() - started, concurrency)
        results = [first, *_by_threads(one, ordered[1:], max(1, concurrency))]
    live: dict[int, LiveBusiness] = {}
    for target, business, pending in results:
        for location in pending:
            found = reads.settle(recorded=location in target.recorded)
            if found.sight != "unobservable":
                business.mappings[location] = found
        live[target.business] = business
    return live


def _by_threads(
    one: Callable[[Target], tuple[Target, LiveBusiness, tuple[int, ...]]], targets: Sequence[Target], threads: int
) -> list[tuple[Target, LiveBusiness, tuple[int, ...]]]:
    """One future per thread, not per read: each takes the next target until none is left, or one of them fails."""
    left = iter(targets)  # the interpreter hands every element to one thread only
    failed = threading.Event()

    def work() -> list[tuple[Target, LiveBusiness, tuple[int, ...]]]:
        done = []
        try:
            for target in left:
                if failed.is_set():
                    break
                done.append(one(target))
        except BaseException:
            failed.set()
            raise
        return done

    with ThreadPoolExecutor(max_workers=threads, thread_name_prefix="observe") as pool:
        parts = [it.result() for it in [pool.submit(work) for _ in range(threads)]]
    return [found for part in parts for found in part]


def threads_for(latency_seconds: float, concurrency: int) -> int:
    """How many threads a latency keeps busy; more only contend for the interpreter (measured: 8 threads on loopback
    take half as much CPU again per read as 2).
    """
    return min(concurrency, max(2, round(latency_seconds / READ_SECONDS)))


def _read_business(client: Reads, target: Target, reads: MappingReads) -> tuple[Target, LiveBusiness, tuple[int, ...]]:
    try:
        groups = client.groups(target.business)
    except RemoteError as error:
        return target, LiveBusiness(target.business, error=error.message), ()
    seen = LiveBusiness(target.business, groups=groups or (), not_found=groups is None)
    listed = {it.business for group in seen.groups for it in group.mappings or ()}
    pending: list[int] = []
    for location in sorted(target.locations, key=lambda it: (it not in target.recorded, it)):
        if location in listed:
            continue
        found = reads.read(location)
        if found is None:
            pending.append(location)
        elif found.sight != "unobservable":
            seen.mappings[location] = found
    return target, seen, tuple(pending)
