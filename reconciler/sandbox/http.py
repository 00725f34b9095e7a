"""The request and response values that every emulated API works on."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request. Header names are lower case; the path is decoded and has no query."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    def first(self, name: str) -> str | None:
        """The first value of a query parameter."""
        return next((value for key, value in self.query if key == name), None)

    def every(self, name: str) -> tuple[str, ...]:
        """All values of a query parameter, in order."""
        return tuple(value for key, value in self.query if key == name)


@dataclass(frozen=True, slots=True)
class Response:
    """One HTTP response, and how a server sends it.

    ``break_after`` cuts the connection after so many body bytes (0: before the status line), ``drip_seconds`` spreads the
    body over so long.
    """

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    delay_seconds: float = 0.0
    break_after: int | None = None
    drip_seconds: float = 0.0


def json_response(value: Any, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A JSON body with its content type."""
    body = json.dumps(value, ensure_ascii=False).encode()
    return Response(status, body, (("Content-Type", "application/json"), *headers))
