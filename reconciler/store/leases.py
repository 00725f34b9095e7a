"""Locks: a lease with a heartbeat and a fencing token. They protect one store, and say so by living in it.

A holder renews its lease (``Heartbeat``) and asks ``Lease.check`` before each request. A lease that was not renewed in
time is free for the next one, whose token is higher; the old holder's check then fails, also when it had been stopped
and wakes up later. A holder of the same host that has ended is taken over from at once.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import Connection, Row, select, update

from reconciler.errors import LockHeld, ReconcilerError, StoreError
from reconciler.store.database import Store
from reconciler.store.processes import Process
from reconciler.store.rows import insert_new
from reconciler.store.schema import LEASES, from_text, to_text

LEASE_SECONDS: Final = 60.0
BEAT_SECONDS: Final = 15.0
MARGIN_SECONDS: Final = 5.0
"""A holder stops this long before others may take over: a request that is on its way then still arrives in time."""

_Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who asks for a lock, in words for the one who finds it taken."""

    operation: str
    """``apply``, ``sync``, …"""
    who: str
    run_url: str | None = None
    """Of the CI run."""
    commit: str | None = None


@dataclass(frozen=True, slots=True)
class LeaseInfo:
    """A lock that somebody holds."""

    name: str
    lease_id: str
    token: int
    holder: Holder
    host: str
    pid: int
    acquired_at: datetime
    beat_at: datetime
    age_seconds: float
    """Since the last heartbeat."""
    lease_seconds: float
    gone: bool
    """The holder certainly runs no more."""

    @property
    def expired(self) -> bool:
        """Whether the lock is free for the next one."""
        return self.gone or self.age_seconds >= self.lease_seconds

    @property
    def expires_at(self) -> datetime:
        """When the lock frees itself if no further heartbeat comes."""
        return self.beat_at + timedelta(seconds=self.lease_seconds)

    def __str__(self) -> str:
        holder = self.holder
        of = "".join(
            f", {label} {value}" for label, value in (("run", holder.run_url), ("commit", holder.commit)) if value
        )
        return (
            f"{holder.operation} by {holder.who} on {self.host} (process {self.pid}{of}) since"
            f" {_short(self.acquired_at)}, last heartbeat {max(0, round(self.age_seconds))} s ago,"
            f" expires {_short(self.expires_at)}; lock {self.lease_id}"
        )


class Lease:
    """A lock that we hold. Use it as a context manager, or ``release`` it."""

    def __init__(
        self, store: Store, *, name: str, lease_id: str, token: int, lease_seconds: float, process: Process, beat: float
    ) -> None:
        self._store = store
        self._process = process
        self._beat = beat  # seconds since boot at the last renewal that certainly took effect
        self._lost = False
        self.name = name
        self.lease_id = lease_id
        self.token = token
        """Fencing token: higher than that of every holder before."""
        self.lease_seconds = lease_seconds

    def __repr__(self) -> str:
        return f"Lease({self.name}, token {self.token})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self.release()
        except StoreError:
            if kind is None:  # else the first error is the one to hear about; the lease frees itself
                raise

    def check(self, connection: Connection | None = None) -> None:
        """Raise ``LockHeld`` unless we still hold the lock. Ask before each request, and inside transactions.

        One SELECT, after a look at this host's own clock: a holder that was stopped past its lease is refused even
        where the store cannot be asked.
        """
        self.check_age()
        if connection is None:
            with self._store.read() as opened:
                self._check_row(opened)
        else:
            self._check_row(connection)
        self.check_age()  # the answer may have been long in coming

    def check_age(self) -> None:
        """The part of ``check`` that asks this host's clock alone, for the moments between two looks at the row."""
        margin = min(MARGIN_SECONDS, self.lease_seconds / 4)
        if self._lost or self._process.elapsed() - self._beat >= self.lease_seconds - margin:
            raise self._gone()

    def _check_row(self, connection: Connection) -> None:
        query = select(LEASES.c.token, LEASES.c.lease_id).where(LEASES.c.name == self.name)
        row = connection.execute(query).one_or_none()
        if row is None or row.token != self.token or row.lease_id != self.lease_id:
            self._lost = True
            raise self._gone()

    def _gone(self) -> LockHeld:
        return LockHeld(
            f"the lock {self.name} is not ours any more: it was not renewed in time, or somebody released it;"
            " nothing further is sent",
            hint="run the command again",
        )

    def renew(self) -> None:
        """One heartbeat. Raises ``LockHeld`` where the lock was lost."""
        before = self._process.elapsed()
        if self._lost:
            raise self._gone()
        with self._store.begin() as connection:
            values = {"beat_at": to_text(self._store.now()), "beat_elapsed": before}
            if connection.execute(self._ours().values(**values)).rowcount != 1:
                self._lost = True
                raise self._gone()
        self._beat = before

    def release(self) -> None:
        """Give the lock back. Harmless where it was lost or given back before."""
        if self._lost:
            return
        with self._store.begin() as connection:
            connection.execute(self._ours().values(lease_id=None))
        self._lost = True

    def _ours(self) -> Any:
        return update(LEASES).where(LEASES.c.name == self.name, LEASES.c.lease_id == self.lease_id)


class Heartbeat:
    """Renews a lease from a thread of its own while the block runs.

    A heartbeat that fails is repeated at the next turn; ``Lease.check`` stops the work when the lease runs out.
    """

    def __init__(self, lease: Lease, *, every: float = BEAT_SECONDS) -> None:
        self._lease = lease
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"heartbeat {lease.name}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every):
            try:
                self._lease.renew()
            except LockHeld:
                return
            except ReconcilerError:
                continue


def acquire(
    store: Store,
    name: str,
    holder: Holder,
    *,
    now: _Now | None = None,
    lease_seconds: float = LEASE_SECONDS,
    process: Process | None = None,
) -> Lease:
    """Take a lock (``apply``; ``sync:`` and a practice's pseudonym), or raise ``LockHeld`` naming its living holder.

    Does not wait: ``--lock-timeout`` is the caller's loop.
    """
    now = now or store.now
    process = process or Process.this()
    with store.begin() as connection:
        row = _locked(connection, name)
        if row.lease_id is not None:
            info = _info(row, now=now, process=process)
            if not info.expired:
                raise LockHeld(
                    f"the store {store.shown} is locked: {info}; nothing was changed",
                    hint=f"wait for it, or, once it is certainly dead, `reconciler lock release {info.lease_id}`",
                )
        lease_id, token = secrets.token_hex(6), row.token + 1
        before = process.elapsed()
        at = to_text(now())
        values = _values(holder, process) | {
            "token": token,
            "lease_id": lease_id,
            "acquired_at": at,
            "beat_at": at,
            "beat_elapsed": before,
            "lease_seconds": float(lease_seconds),
        }
        connection.execute(update(LEASES).where(LEASES.c.name == name).values(**values))
    return Lease(
        store, name=name, lease_id=lease_id, token=token, lease_seconds=lease_seconds, process=process, beat=before
    )


def list_leases(store: Store, *, now: _Now | None = None, process: Process | None = None) -> tuple[LeaseInfo, ...]:
    """Every lock that is held, by name, those included whose holder is late or gone."""
    process = process or Process.this()
    with store.read() as connection:
        rows = connection.execute(select(LEASES).where(LEASES.c.lease_id.is_not(None))).all()
    found = (_info(row, now=now or store.now, process=process) for row in rows)
    return tuple(sorted(found, key=lambda it: it.name))


def force_release(store: Store, lease_id: str, *, now: _Now | None = None, process: Process | None = None) -> LeaseInfo:
    """Release somebody else's lock by its exact id, and say whose it was.

    Raises ``StoreError`` where no lock has this id, ``LockHeld`` where its holder may still be alive: there is no way
    around that, a lock frees itself when its heartbeats stop.
    """
    process = process or Process.this()
    with store.begin() as connection:
        query = select(LEASES).where(LEASES.c.lease_id == lease_id).with_for_update()
        row = connection.execute(query).one_or_none()
        if row is None:
            raise StoreError(
                f"no lock in the store {store.shown} has the id {lease_id}; nothing was released",
                hint="see `reconciler lock list`",
            )
        info = _info(row, now=now or store.now, process=process)
        if not info.expired:
            raise LockHeld(
                f"the holder of the lock is alive: {info}; nothing was released", hint="stop it, or wait until it ends"
            )
        connection.execute(update(LEASES).where(LEASES.c.name == row.name).values(lease_id=None))
    return info


def _locked(connection: Connection, name: str) -> Row[Any]:
    """The row of a lock, made where there is none, and ours alone until the end of the transaction."""
    free: dict[str, Any] = {it.name: None if it.nullable else "" for it in LEASES.columns}
    free |= {"name": name, "token": 0, "pid": 0, "beat_elapsed": 0.0, "lease_seconds": 0.0}
    insert_new(connection, LEASES, free)
    return connection.execute(select(LEASES).where(LEASES.c.name == name).with_for_update()).one()


def _values(holder: Holder, process: Process) -> dict[str, Any]:
    return {
        "operation": holder.operation,
        "who": holder.who,
        "run_url": holder.run_url,
        "commit": holder.commit,
        "host": process.host,
        "pid": process.pid,
        "boot_id": process.boot_id,
        "pid_namespace": process.pid_namespace,
        "process_started": process.started,
    }


def _info(row: Row[Any], *, now: _Now, process: Process) -> LeaseInfo:
    beat_at = from_text(row.beat_at)
    age = (now() - beat_at).total_seconds()
    if process.same_boot(row.boot_id):  # then a wall clock that jumps makes no lock old or young
        age = process.elapsed() - row.beat_elapsed
    gone = process.knows_gone(
        boot_id=row.boot_id, pid_namespace=row.pid_namespace, pid=row.pid, started=row.process_started
    )
    return LeaseInfo(
        name=row.name,
        lease_id=row.lease_id,
        token=row.token,
        holder=Holder(operation=row.operation, who=row.who, run_url=row.run_url, commit=row.commit),
        host=row.host,
        pid=row.pid,
        acquired_at=from_text(row.acquired_at),
        beat_at=beat_at,
        age_seconds=age,
        lease_seconds=row.lease_seconds,
        gone=gone,
    )


def _short(at: datetime) -> str:
    return at.isoformat(timespec="seconds").replace("+00:00", "Z")
