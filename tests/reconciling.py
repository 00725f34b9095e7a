"""A whole reconciler in one process: declarations in a folder, a sandbox on loopback, a store in a file."""

from __future__ import annotations

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from reconciler import declarations
from reconciler.apply.deps import Deps
from reconciler.clients.integrations import IntegrationsClient
from reconciler.clients.transport import RateLimiter, Transport
from reconciler.core.plan import Plan
from reconciler.sandbox.practices import sample_secrets
from reconciler.store.crypto import Fingerprints
from reconciler.store.database import open_store
from reconciler.workflow import applying, planning

KEY = b"0123456789abcdef0123456789abcdef"
SAMPLES = Path(__file__).parents[1] / "integrations"


class VirtualClock:
    """A clock that runs with the real one and jumps ahead by every sleep. Thread-safe.

    A sleep really takes ``pace`` of its time: none, or a little where a server answers late in real time.
    """

    def __init__(self, pace: float = 0.0) -> None:
        self._pace = pace
        self._ahead = 0.0
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        time.sleep(max(0.0, seconds) * self._pace)
        with self._lock:
            self._ahead += max(0.0, seconds) * (1 - self._pace)

    def time(self) -> float:
        """Seconds since 1970: what a sandbox on the same clock is given."""
        return time.time() + self._ahead

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.time(), UTC)

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead


@dataclass
class Reconciler:
    """Plans and applies against one URL. Every call opens what it needs anew, as a process would."""

    url: str
    folder: Path
    store_url: str
    secrets: dict[str, str] = field(default_factory=sample_secrets)
    deadline_seconds: float = 10.0
    concurrency: int = 4
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    requests: dict[str, int] = field(default_factory=dict)
    key: bytes = KEY
    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def inputs(self, *, reassert: frozenset[str] = frozenset(), write: bool = False) -> Iterator[planning.Inputs]:
        loaded = declarations.load(self.folder, shown_from=self.folder.parent, today=self.now().date())
        limiter = RateLimiter(10_000.0, now=time.monotonic, sleep=time.sleep)
        with (
            Transport(
                base_url=self.url,
                allowed_hosts=frozenset({"127.0.0.1"}),
                limiter=limiter,
                concurrency=self.concurrency,
                deadline_seconds=self.deadline_seconds,
                now=time.monotonic,
                wall=self.now,
                sleep=time.sleep,
                jitter=lambda: random.random() / 10,
            ) as transport,
            open_store(self.store_url, now=self.now, write=write) as store,
        ):
            client = IntegrationsClient(transport)
            yield planning.Inputs(
                loaded=loaded,
                client=client,
                list_names=lambda reference, plus: frozenset(
                    it.name for it in client.locations(self.reveal(reference), new_version=plus)
                ),
                store=store,
                fingerprint=Fingerprints(self.key).full,
                reveal=self.reveal,
                now=self.now,
                birdeye_url=self.url,
                concurrency=self.concurrency,
                reassert=reassert,
            )
            self.requests = transport.counts

    def reveal(self, reference: str) -> str:
        return self.secrets[reference.removeprefix("env:")]

    def plan(self, *, reassert: frozenset[str] = frozenset()) -> Plan:
        with self.inputs(reassert=reassert) as inputs:
            return planning.make(inputs).plan

    def apply(self, *allow: str, reassert: frozenset[str] = frozenset()) -> applying.Report:
        with self.inputs(write=True, reassert=reassert) as inputs:

            def deps(plan_id: str) -> Deps:
                return Deps(
                    client=inputs.client,  # type: ignore[arg-type]
                    look=planning.look(inputs.client),
                    store=inputs.store,
                    now=self.now,
                    monotonic=self.monotonic,
                    sleep=self.sleep,
                    new_id=lambda: uuid.uuid4().hex,
                    reveal=self.reveal,
                    plan_id=plan_id,
                    commit=None,
                    who="tester",
                    concurrency=self.concurrency,
                    stop=self.stop,
                )

            made = applying.settle_and_make(inputs, deps)
            refused = applying.standing(made, allow)
            if refused:
                return applying.Report(made.plan, made.plan.changes, refused=refused)
            approval = applying.Approval()
            return applying.carry_out(deps(made.plan.plan_id), made, made.plan.changes, approval)
