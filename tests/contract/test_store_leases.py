"""One holder at a time: leases between threads, processes and hosts, on both databases."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import delete

from reconciler.errors import LockHeld, StoreError
from reconciler.store import leases
from reconciler.store.database import Store
from reconciler.store.leases import Heartbeat, Holder
from reconciler.store.processes import Process
from reconciler.store.schema import LEASES

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOLDER = Holder("apply", "ci@example.com", run_url="https://ci.example.com/7", commit="abc")
RACES = 25  # on each of two databases


@dataclass
class Host:
    """A host whose clock the test turns."""

    name: str = "north"
    seconds: float = 1_000.0

    def process(self) -> Process:
        return Process(self.name, 4711, f"boot of {self.name}", "", "", elapsed=lambda: self.seconds)

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds - 1_000)


def acquire(store: Store, host: Host, name: str = "apply") -> leases.Lease:
    return leases.acquire(store, name, HOLDER, now=host.now, process=host.process())


def test_a_second_holder_is_told_about_the_first(store: Store) -> None:
    host = Host()
    lease = acquire(store, host)
    host.seconds += 7
    with pytest.raises(LockHeld) as caught:
        acquire(store, host)
    assert caught.value.message == (
        f"the store {store.shown} is locked: apply by ci@example.com on north (process 4711, run"
        " https://ci.example.com/7, commit abc) since 2026-11-24T12:00:00Z, last heartbeat 7 s ago, expires"
        f" 2026-11-24T12:01:00Z; lock {lease.lease_id}; nothing was changed"
    )
    assert caught.value.exit_code == 6


def test_locks_of_other_names_do_not_meet(store: Store) -> None:
    host = Host()
    with acquire(store, host, "sync:b"), acquire(store, host, "sync:a"):
        found = leases.list_leases(store, now=host.now, process=host.process())
        assert [it.name for it in found] == ["sync:a", "sync:b"]
        assert not any(it.expired or it.gone for it in found)
    assert leases.list_leases(store) == ()


def test_a_released_lock_is_free_and_the_next_token_is_higher(store: Store) -> None:
    tokens = []
    for _ in range(3):
        with acquire(store, Host()) as lease:
            lease.check()
            tokens.append(lease.token)
        with pytest.raises(LockHeld, match="not ours any more"):
            lease.check()
        lease.release()
    assert tokens == [1, 2, 3]


@pytest.mark.parametrize("other", ["north", "south"])
def test_a_lease_that_is_not_renewed_is_taken_over_and_its_old_holder_refused(store: Store, other: str) -> None:
    host, second = Host(), Host(other)
    old = acquire(store, host)
    host.seconds += 59
    second.seconds += 59
    with pytest.raises(LockHeld):
        acquire(store, second)
    host.seconds += 1
    second.seconds += 1
    new = acquire(store, second)
    assert new.token == old.token + 1
    host.seconds = 1_000  # even if it had not noticed the time
    with pytest.raises(LockHeld, match="not ours any more"):
        old.check()
    with pytest.raises(LockHeld):
        old.renew()
    old.release()  # and takes nothing from the new one
    new.check()


def test_a_holder_past_its_lease_is_refused_before_the_store_is_asked(store: Store) -> None:
    host = Host()
    lease = acquire(store, host)
    host.seconds += 54
    lease.check()
    host.seconds += 1
    store.close()
    with pytest.raises(LockHeld, match="not ours any more"):
        lease.check()


def test_renewing_keeps_the_lock(store: Store) -> None:
    host = Host()
    lease = acquire(store, host)
    for _ in range(10):
        host.seconds += 50
        lease.renew()
    lease.check()
    with store.begin() as connection:
        lease.check(connection)
    with pytest.raises(LockHeld, match="last heartbeat 0 s ago"):
        acquire(store, host)


def test_a_wall_clock_that_jumps_steals_no_lock_on_one_host(store: Store) -> None:
    host = Host()
    lease = acquire(store, host)
    with pytest.raises(LockHeld):
        leases.acquire(store, "apply", HOLDER, now=lambda: NOW + timedelta(days=3650), process=host.process())
    host.seconds += 60
    leases.acquire(store, "apply", HOLDER, now=lambda: NOW - timedelta(hours=2), process=host.process())
    with pytest.raises(LockHeld):
        lease.check()


def test_a_lock_whose_row_was_removed_is_lost(store: Store) -> None:
    lease = acquire(store, Host())
    with store.begin() as connection:
        connection.execute(delete(LEASES))
    with pytest.raises(LockHeld, match="not ours any more"):
        lease.check()


def test_forced_release_wants_the_exact_id_and_a_holder_that_is_not_alive(store: Store) -> None:
    host = Host()
    lease = acquire(store, host)
    for wrong in ("", "nothing", lease.lease_id[:-1], lease.lease_id.upper() + " "):
        with pytest.raises(StoreError, match="nothing was released"):
            leases.force_release(store, wrong, now=host.now, process=host.process())
    with pytest.raises(LockHeld, match="the holder of the lock is alive"):
        leases.force_release(store, lease.lease_id, now=host.now, process=host.process())
    lease.check()
    host.seconds += 61
    released = leases.force_release(store, lease.lease_id, now=host.now, process=host.process())
    assert (released.name, released.expired) == ("apply", True)
    assert leases.list_leases(store) == ()


def test_a_heartbeat_renews_until_its_block_ends(store: Store) -> None:
    lease = leases.acquire(store, "apply", HOLDER, lease_seconds=1.0)
    with Heartbeat(lease, every=0.1):
        deadline = time.monotonic() + 1.3
        while time.monotonic() < deadline:
            lease.check()
            time.sleep(0.05)
    time.sleep(0.8)
    with pytest.raises(LockHeld):
        lease.check()


def test_a_heartbeat_ends_when_the_lock_is_lost(store: Store) -> None:
    lease = acquire(store, Host())
    with store.begin() as connection:
        connection.execute(delete(LEASES))
    with Heartbeat(lease, every=0.01) as heartbeat:
        heartbeat._thread.join(5)
        assert not heartbeat._thread.is_alive()


def test_a_process_of_another_boot_namespace_or_unknown_start_is_never_known_to_be_gone() -> None:
    this = Process.this()
    gone = {"boot_id": this.boot_id, "pid_namespace": this.pid_namespace, "pid": 2**22 + 1, "started": "1"}
    assert this.knows_gone(**gone)  # type: ignore[arg-type]
    for key in ("boot_id", "pid_namespace", "started"):
        assert not this.knows_gone(**(gone | {key: ""}))  # type: ignore[arg-type]
    assert not this.knows_gone(**(gone | {"boot_id": "another"}))  # type: ignore[arg-type]
    assert not this.knows_gone(**(gone | {"pid": this.pid, "started": this.started}))  # type: ignore[arg-type]
    assert this.knows_gone(**(gone | {"pid": this.pid}))  # type: ignore[arg-type]
    assert not replace(this, pid_namespace="").knows_gone(**(gone | {"pid_namespace": ""}))  # type: ignore[arg-type]


PRELUDE = """
    import sys, time
    from datetime import UTC, datetime
    from reconciler.errors import LockHeld
    from reconciler.store import leases
    from reconciler.store.database import open_store
    now = lambda: datetime.now(UTC)
    holder = leases.Holder("apply", "child")
"""


def child(body: str, url: str) -> subprocess.Popen[str]:
    """A process of its own that runs ``body`` with ``url`` in ``sys.argv[1]``; the prelude is compiled in."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PRELUDE) + textwrap.dedent(body), url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


HOLD = """
    with open_store(sys.argv[1], now=now, write=True) as store:
        lease = leases.acquire(store, "apply", holder, lease_seconds=float(60))
        print("held", flush=True)
        sys.stdin.readline()
        try:
            lease.check()
        except LockHeld:
            print("refused", flush=True)
        else:
            print("writes", flush=True)
"""


def test_a_killed_holder_of_this_host_is_taken_over_at_once(store: Store, store_url: str) -> None:
    with child(HOLD, store_url) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(LockHeld, match="apply by child"):
            leases.acquire(store, "apply", HOLDER)
        os.kill(holder.pid, signal.SIGKILL)
        deadline = time.monotonic() + 5
        while not leases.list_leases(store)[0].gone:  # not reaped yet: a zombie counts as gone
            assert time.monotonic() < deadline
        leases.acquire(store, "apply", HOLDER).check()


def test_a_holder_stopped_past_its_lease_sends_nothing_when_it_wakes_up(store: Store, store_url: str) -> None:
    with child(HOLD.replace("float(60)", "0.5"), store_url) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == "held\n"
        os.kill(holder.pid, signal.SIGSTOP)
        time.sleep(0.6)
        lease = leases.acquire(store, "apply", HOLDER)
        os.kill(holder.pid, signal.SIGCONT)
        holder.stdin.write("\n")
        holder.stdin.flush()
        assert holder.stdout.readline() == "refused\n"
        lease.check()


RACE = """
    with open_store(sys.argv[1], now=now, write=True) as store:
        for line in sys.stdin:
            try:
                lease = leases.acquire(store, "race " + line.strip(), holder)
            except LockHeld as error:
                print("lost" if "apply by child" in str(error) else "unnamed", flush=True)
            else:
                print("won", flush=True)
"""


def test_of_two_processes_that_start_together_exactly_one_gets_the_lock(store: Store, store_url: str) -> None:
    store.close()
    with child(RACE, store_url) as first, child(RACE, store_url) as second:
        racers = (first, second)
        for number in range(RACES):
            for it in racers if number % 2 else racers[::-1]:
                assert it.stdin is not None
                it.stdin.write(f"{number}\n")
                it.stdin.flush()
            assert sorted(it.stdout.readline() for it in racers if it.stdout) == ["lost\n", "won\n"], number


CREATE = """
    print("ready", flush=True)
    sys.stdin.readline()
    with open_store(sys.argv[1], now=now, write=True) as store:
        print("open", flush=True)
"""


def test_two_processes_may_create_the_same_store_at_once(store_url: str) -> None:
    with child(CREATE, store_url) as first, child(CREATE, store_url) as second:
        for it in (first, second):
            assert it.stdout is not None
            assert it.stdin is not None
            assert it.stdout.readline() == "ready\n"
            it.stdin.write("\n")
            it.stdin.flush()
        assert [it.stdout.readline() for it in (first, second) if it.stdout] == ["open\n", "open\n"]
