"""A whole reconciler in one process: declarations in a folder, a sandbox on loopback, a store in a file."""

from __future__ import annotations

import random
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
                sleep=self.sleep,
                jitter=random.random,
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
                    monotonic=time.monotonic,
                    sleep=self.sleep,
                    new_id=lambda: uuid.uuid4().hex,
                    reveal=self.reveal,
                    plan_id=plan_id,
                    commit=None,
                    who="tester",
                    concurrency=self.concurrency,
                )

            made = applying.settle_and_make(inputs, deps)
            refused = applying.standing(made, allow)
            if refused:
                return applying.Report(made.plan, made.plan.changes, refused=refused)
            approval = applying.Approval()
            return applying.carry_out(deps(made.plan.plan_id), made, made.plan.changes, approval)
