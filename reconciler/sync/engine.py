"""Who carries out passes: a port of six verbs, and the engine for one machine, a pool of threads over the slot table.

A pass is idempotent by the ledger, so a job that a dead worker left behind is simply done again. An engine for many
machines takes the place of ``ThreadEngine`` behind the same port; passes know of neither.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from reconciler.errors import InternalError
from reconciler.store import sync_slots
from reconciler.store.database import Store
from reconciler.store.sync_slots import Job, JobRow

__all__ = ["Engine", "Health", "Job", "JobRow", "ThreadEngine"]

POLL_SECONDS = 1.0
MAX_ATTEMPTS = 5
"""A job whose worker died this often is given up for this slot; the next slot's pass makes up for it."""


@dataclass(frozen=True, slots=True)
class Health:
    """How the engine fares."""

    alive: int
    """Workers whose thread runs."""
    workers: int
    waiting: int
    running: int
    oldest_waiting_since: datetime | None
    last_error: str | None = None
    """Of a worker that could not reach the slot table."""

    @property
    def ok(self) -> bool:
        """Is every worker there, and did the last look at the table succeed?"""
        return self.alive == self.workers and self.last_error is None


class Engine(Protocol):
    """The port. An adapter keeps what it submits in the caller's transaction."""

    def submit(self, connection: Connection, job: Job) -> bool:
        """Have a job done once the caller's transaction commits. False where it is known or its practice is busy."""

    def cancel(self, connection: Connection, job_id: str) -> bool:
        """Take back a job that has not begun. Whether there was one."""

    def status(self, job_id: str) -> JobRow | None:
        """How far a job is."""

    def recover(self) -> int:
        """Have the jobs of dead workers done again. How many."""

    def drain(self, timeout_seconds: float) -> bool:
        """Begin nothing new and wait for what runs. Whether all of it ended in time."""

    def health(self) -> Health:
        """How the engine fares."""


class ThreadEngine:
    """Threads of this process that take jobs from the slot table, the longest waiting first."""

    def __init__(
        self,
        store: Store,
        perform: Callable[[Job], str],
        *,
        workers: int,
        name: str,
        is_held: Callable[[str], bool],
        monotonic: Callable[[], float],
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        """``perform`` makes the pass of a job and gives a word on how it ended; what it raises fails the job.

        ``name`` stands for this process; ``is_held`` says whether a living process holds the lock of a practice.
        """
        self._store = store
        self._perform = perform
        self._name = name
        self._is_held = is_held
        self._monotonic = monotonic
        self._poll_seconds = poll_seconds
        self._stopping = threading.Event()
        self._kick = threading.Condition()
        self._mine: set[str] = set()
        self._error: str | None = None
        self._threads = [threading.Thread(target=self._work, name=f"pass {n}", daemon=True) for n in range(workers)]

    def start(self) -> None:
        """Start the workers."""
        for it in self._threads:
            it.start()

    def submit(self, connection: Connection, job: Job) -> bool:
        """See ``Engine``."""
        return sync_slots.submit(connection, job, now=self._store.now())

    def cancel(self, connection: Connection, job_id: str) -> bool:
        """See ``Engine``."""
        return sync_slots.cancel(connection, job_id, now=self._store.now())

    def status(self, job_id: str) -> JobRow | None:
        """See ``Engine``."""
        with self._store.read() as connection:
            return sync_slots.job_row(connection, job_id)

    def recover(self) -> int:
        """See ``Engine``. A job is left alone while a living process holds its practice, and while it is ours."""
        with self._kick:
            mine = set(self._mine)
        with self._store.read() as connection:
            found = [it for it in sync_slots.running(connection) if it.job.id not in mine]
        lost = [it for it in found if not self._is_held(it.job.practice)]
        if not lost:
            return 0
        with self._store.begin() as connection:
            for it in lost:
                if it.attempts >= MAX_ATTEMPTS:
                    detail = f"given up after {it.attempts} attempts whose process ended"
                    sync_slots.finish(connection, it.job, "failed", detail=detail, now=self._store.now())
                else:
                    sync_slots.give_back(connection, it.job)
        self.kick()
        return len(lost)

    def kick(self) -> None:
        """Have idle workers look at the table now."""
        with self._kick:
            self._kick.notify_all()

    def drain(self, timeout_seconds: float) -> bool:
        """See ``Engine``. What has not ended in time stays in the table, for ``recover`` of the next process."""
        self._stopping.set()
        self.kick()
        deadline = self._monotonic() + timeout_seconds
        for it in self._threads:
            if it.is_alive():
                it.join(max(0.0, deadline - self._monotonic()))
        return not any(it.is_alive() for it in self._threads)

    def health(self) -> Health:
        """See ``Engine``."""
        with self._store.read() as connection:
            waiting, running, oldest = sync_slots.backlog(connection)
        alive = sum(it.is_alive() for it in self._threads)
        return Health(alive, len(self._threads), waiting, running, oldest, self._error)

    def _work(self) -> None:
        while not self._stopping.is_set():
            try:
                job = self._claim()
                self._error = None
            except Exception as error:  # noqa: BLE001 - a worker outlives a database that does not answer
                self._error = type(error).__name__
                job = None
            if job is None:
                with self._kick:
                    if not self._stopping.is_set():
                        self._kick.wait(self._poll_seconds)
                continue
            self._do(job)

    def _claim(self) -> Job | None:
        with self._store.read() as connection:
            if sync_slots.backlog(connection)[0] == 0:  # a look costs no write lock
                return None
        with self._kick, self._store.begin() as connection:
            job = sync_slots.claim(connection, self._name, now=self._store.now())
            if job is not None:
                self._mine.add(job.id)
        return job

    def _do(self, job: Job) -> None:
        state: sync_slots.JobState = "done"
        try:
            detail = self._perform(job)
        except Exception as error:  # noqa: BLE001 - one pass that fails must not end the worker
            state, detail = "failed", type(error).__name__
            if isinstance(error, InternalError):
                detail = f"{detail}: {error.message}"
        try:
            with self._store.begin() as connection:
                sync_slots.finish(connection, job, state, detail=detail, now=self._store.now())
        except Exception as error:  # noqa: BLE001 - the row stays "running", and ``recover`` has it done again
            self._error = type(error).__name__
        with self._kick:
            self._mine.discard(job.id)
