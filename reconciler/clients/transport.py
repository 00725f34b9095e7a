"""One HTTP transport for every client: what left, what came back, and what nobody knows.

Nothing outside this file imports the HTTP library.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from reconciler import errors
from reconciler.clients.limiter import RateLimiter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

    import httpx

__all__ = ["RateLimiter", "Reply", "Retry", "Transport"]

MAX_BODY_BYTES = 32 * 1024 * 1024


class Retry(Enum):
    """What may be sent again."""

    READ = "read"
    """Reads. Connection errors, time-outs, resets, 408, 425, 429 and 5xx are retried."""
    SAFE_WRITE = "safe_write"
    """Writes of which a second one is harmless: retried like reads."""
    ONCE = "once"
    """Writes of which a second one does harm: only requests that provably never left, and 429, are retried."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. ``headers`` has lower-case names; ``body`` is decompressed."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    method: str = ""
    path: str = ""

    def json(self) -> Any:
        """The body as JSON. Raises errors.Garbage where it is none (HTML, truncated, not UTF-8, nested too deeply)."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            msg = f"{self.method} {self.path}: the answer {self.status} is not JSON"
            raise errors.Garbage(msg, method=self.method, path=self.path) from None


class Transport:
    """Sends requests to one base URL, from any number of threads. A context manager; ``close()`` otherwise."""

    def __init__(
        self,
        *,
        base_url: str,
        allowed_hosts: frozenset[str],
        now: Callable[[], float],
        wall: Callable[[], datetime],
        sleep: Callable[[float], None],
        jitter: Callable[[], float],
        headers: Mapping[str, str] | None = None,
        limiter: RateLimiter | None = None,
        concurrency: int = 8,
        deadline_seconds: float = 30.0,
        ca_bundle: Path | None = None,
        proxy: str | None = None,
        max_body_bytes: int = MAX_BODY_BYTES,
        fence: Callable[[], None] | None = None,
        http_transport: httpx.BaseTransport | None = None,
    ) -> None:
        """``now`` is monotonic seconds, ``wall`` an aware UTC datetime, ``jitter`` gives 0 to 1.

        Raises errors.SettingsError where ``base_url`` is not https (or http to loopback) to one of ``allowed_hosts``.
        """
        raise errors.InternalError("the transport is not finished")

    @property
    def counts(self) -> dict[str, int]:
        """How many requests went on the wire, by ``endpoint``."""
        raise errors.InternalError("the transport is not finished")

    def send(
        self,
        method: str,
        path: str,
        *,
        params: Sequence[tuple[str, str]] = (),
        raw_query: str | None = None,
        json_body: object = None,
        form: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        retry: Retry = Retry.READ,
        deadline_seconds: float | None = None,
        accept_statuses: frozenset[int] = frozenset(),
        endpoint: str = "",
        limiter: RateLimiter | None = None,
        secrets: Sequence[str] = (),
    ) -> Reply:
        """Send one request to ``path`` below the base URL and give the answer: 2xx, or one of ``accept_statuses``.

        ``limiter`` replaces the transport's own for this call (a quota per endpoint). ``secrets`` are further values
        that no message may repeat; header values, parameters, form values and the body's texts are kept out anyway.
        Raises errors.NotSent, errors.Unknown, errors.Answered; errors.Garbage for rubbish.
        """
        raise errors.InternalError("the transport is not finished")

    def send_url(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        retry: Retry = Retry.READ,
        deadline_seconds: float | None = None,
        accept_statuses: frozenset[int] = frozenset(),
        endpoint: str = "",
        limiter: RateLimiter | None = None,
        secrets: Sequence[str] = (),
    ) -> Reply:
        """Follow an absolute link that an answer gave. Raises errors.NotSent where it leaves the base URL's origin."""
        raise errors.InternalError("the transport is not finished")

    def close(self) -> None:
        """Close the connections."""

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
