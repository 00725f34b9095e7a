"""The slot table: what the planner submitted, who works on it, what became of it. Run inside the caller's transaction."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, func, select, update

from reconciler.store.rows import insert_new
from reconciler.store.schema import SYNC_SLOTS, from_text, to_text

JobState = Literal["waiting", "running", "done", "failed", "cancelled"]
ENDED: Final = ("done", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Job:
    """One pass to be made: a practice (its pseudonym) and the slot that made it due."""

    practice: str
    slot: datetime

    @property
    def id(self) -> str:
        """Submitting the same one twice is submitting it once."""
        return f"{self.practice}@{to_text(self.slot)}"


@dataclass(frozen=True, slots=True)
class JobRow:
    """A job and how far it is."""

    job: Job
    state: JobState
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    worker: str | None
    attempts: int
    detail: str


def submit(connection: Connection, job: Job, *, now: datetime) -> bool:
    """Add a job. False where it is known already, or another one of its practice has not ended."""
    open_ones = select(SYNC_SLOTS.c.id).where(
        SYNC_SLOTS.c.practice == job.practice, SYNC_SLOTS.c.state.not_in(ENDED), SYNC_SLOTS.c.id != job.id
    )
    if connection.execute(open_ones.limit(1)).first() is not None:
        return False
    values: dict[str, Any] = {it.name: None for it in SYNC_SLOTS.columns}
    values |= {"id": job.id, "practice": job.practice, "slot": to_text(job.slot), "state": "waiting"}
    values |= {"submitted_at": to_text(now), "attempts": 0, "detail": ""}
    return insert_new(connection, SYNC_SLOTS, values)


def claim(connection: Connection, worker: str, *, now: datetime) -> Job | None:
    """Take the job that has waited longest; no two workers take the same one."""
    query = (
        select(SYNC_SLOTS)
        .where(SYNC_SLOTS.c.state == "waiting")
        .order_by(SYNC_SLOTS.c.submitted_at, SYNC_SLOTS.c.id)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    values = {"state": "running", "started_at": to_text(now), "worker": worker, "attempts": row.attempts + 1}
    connection.execute(update(SYNC_SLOTS).where(SYNC_SLOTS.c.id == row.id).values(**values))
    return Job(row.practice, from_text(row.slot))


def finish(connection: Connection, job: Job, state: JobState, *, detail: str, now: datetime) -> None:
    """Say how a running job ended; one that was cancelled meanwhile stays cancelled."""
    values = {"state": state, "finished_at": to_text(now), "detail": detail}
    where = (SYNC_SLOTS.c.id == job.id, SYNC_SLOTS.c.state == "running")
    connection.execute(update(SYNC_SLOTS).where(*where).values(**values))


def cancel(connection: Connection, job_id: str, *, now: datetime) -> bool:
    """Take back a job that nobody has begun. Whether there was one."""
    values = {"state": "cancelled", "finished_at": to_text(now)}
    where = (SYNC_SLOTS.c.id == job_id, SYNC_SLOTS.c.state == "waiting")
    return connection.execute(update(SYNC_SLOTS).where(*where).values(**values)).rowcount == 1


def give_back(connection: Connection, job: Job) -> bool:
    """Let a running job wait again: its worker is gone, or stops. A pass is idempotent by the ledger."""
    where = (SYNC_SLOTS.c.id == job.id, SYNC_SLOTS.c.state == "running")
    values = {"state": "waiting", "worker": None}
    return connection.execute(update(SYNC_SLOTS).where(*where).values(**values)).rowcount == 1


def job_row(connection: Connection, job_id: str) -> JobRow | None:
    """One job, or None."""
    row = connection.execute(select(SYNC_SLOTS).where(SYNC_SLOTS.c.id == job_id)).one_or_none()
    return None if row is None else _row(row)


def running(connection: Connection) -> tuple[JobRow, ...]:
    """The jobs that somebody works on, oldest first."""
    query = select(SYNC_SLOTS).where(SYNC_SLOTS.c.state == "running").order_by(SYNC_SLOTS.c.started_at)
    return tuple(_row(it) for it in connection.execute(query))


def backlog(connection: Connection) -> tuple[int, int, datetime | None]:
    """How many wait, how many run, and since when the oldest waits."""
    query = select(SYNC_SLOTS.c.state, func.count(), func.min(SYNC_SLOTS.c.submitted_at)).group_by(SYNC_SLOTS.c.state)
    found = {row[0]: (int(row[1]), row[2]) for row in connection.execute(query)}
    waiting, oldest = found.get("waiting", (0, None))
    return waiting, found.get("running", (0, None))[0], from_text(oldest) if oldest else None


def forget_before(connection: Connection, before: datetime) -> int:
    """Delete jobs that ended before a moment. How many."""
    where = (SYNC_SLOTS.c.state.in_(ENDED), SYNC_SLOTS.c.finished_at < to_text(before))
    return connection.execute(delete(SYNC_SLOTS).where(*where)).rowcount


def _row(row: Row[Any]) -> JobRow:
    return JobRow(
        job=Job(row.practice, from_text(row.slot)),
        state=row.state,
        submitted_at=from_text(row.submitted_at),
        started_at=from_text(row.started_at) if row.started_at else None,
        finished_at=from_text(row.finished_at) if row.finished_at else None,
        worker=row.worker,
        attempts=row.attempts,
        detail=row.detail,
    )
