"""What may be sent again, and what an answer is."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from reconciler import errors
from reconciler.clients import failures

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    body: bytes = field(repr=False)
    method: str = ""
    path: str = ""

    def json(self) -> Any:
        """The body as JSON. Raises errors.Garbage where it is none (HTML, truncated, not UTF-8, nested too deeply)."""
        try:
            value = json.loads(self.body, parse_constant=_no_constant)
            if b"\\ud" in self.body.lower():
                # Half a surrogate pair is valid JSON and cannot be stored or printed by anybody.
                json.dumps(value, ensure_ascii=False).encode()
        except (ValueError, RecursionError):
            value = _NOTHING
        if value is _NOTHING:
            msg = f"{self.method} {self.path}: {failures.not_json(self.status, self.body)}"
            raise errors.Garbage(msg, method=self.method, path=self.path)
        return value


_NOTHING = object()


def _no_constant(_name: str) -> object:
    raise ValueError("NaN and Infinity are not JSON")
