"""What applying needs of the world outside, handed in as one value."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from reconciler.core.live import LiveBusiness, LiveGroup, LiveMapping, Property, Trigger
from reconciler.core.plan import Change
from reconciler.store.database import Store

POLL_SECONDS = 10.0
"""How long reads may lag behind a write before its outcome stays unknown."""


class Client(Protocol):
    """The part of ``clients.integrations.IntegrationsClient`` that applying uses."""

    def triggers(self) -> tuple[Trigger, ...]:
        """T."""

    def groups(self, business: int) -> tuple[LiveGroup, ...] | None:
        """G."""

    def mappings(self, business: int) -> tuple[LiveMapping, ...]:
        """Mg."""

    def create_group(
        self, business: int, *, triggers: Sequence[tuple[int, int]], properties: Sequence[Property]
    ) -> int | None:
        """G+."""

    def update_group(
        self,
        group_id: int,
        *,
        triggers: Sequence[tuple[int, int]] | None = None,
        properties: Sequence[Property] | None = None,
    ) -> None:
        """Gu."""

    def put_mapping(self, business: int, group_id: int, active: bool, properties: Sequence[Property] = ()) -> None:
        """M+."""


@dataclass(frozen=True)
class Deps:
    """Client, store, clock, secrets, and who is doing this."""

    client: Client
    look: Callable[[int, tuple[int, ...], frozenset[int]], LiveBusiness]
    """(parent business, its locations, those that receipts name) -> what is live now."""
    store: Store
    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    new_id: Callable[[], str]
    reveal: Callable[[str], str]
    """A secret reference -> its value, at the moment of sending."""
    plan_id: str
    commit: str | None
    who: str
    run_url: str | None = None
    allowed: tuple[str, ...] = ()
    concurrency: int = 8
    stop: threading.Event = field(default_factory=threading.Event)
    on_outcome: Callable[[Change, str, str], None] = lambda change, outcome, detail: None
