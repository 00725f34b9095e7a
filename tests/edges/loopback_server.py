"""A server on 127.0.0.1 that answers exactly the bytes it is told to, when it is told to."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from reconciler.clients import transport


@dataclass(frozen=True)
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    at: float

    def json(self) -> Any:
        return json.loads(self.body)


CLOSE = "close"
RESET = "reset"
Step = bytes | float | str
"""Bytes to write, seconds to wait, CLOSE or RESET."""
Answer = Callable[[Seen], Iterable[Step]]


def page(status: int, body: bytes | str | object = b"", headers: Mapping[str, str] | None = None) -> list[Step]:
    """A well-formed answer; anything but bytes and text becomes JSON."""
    raw = body if isinstance(body, bytes) else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(raw)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return ["\r\n".join(lines).encode() + b"\r\n\r\n" + raw]


@dataclass
class Loopback:
    port: int
    scheme: str
    seen: list[Seen] = field(default_factory=list)
    connections: list[float] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"


@contextlib.contextmanager
def serving(answer: Answer, *, tls: ssl.SSLContext | None = None) -> Iterator[Loopback]:
    """Serve until the block ends. Each request is answered by the steps of ``answer``."""
    stop = threading.Event()

    class Handler(socketserver.StreamRequestHandler):
        wbufsize = -1
        disable_nagle_algorithm = True
        timeout = 10

        def setup(self) -> None:
            loopback.connections.append(time.monotonic())
            if tls is not None:
                self.request = tls.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self) -> None:
            with contextlib.suppress(OSError, ValueError):
                super().finish()
            self.connection.close()

        def handle(self) -> None:
            # A client that gives up is part of the tests.
            with contextlib.suppress(OSError, ValueError):
                while self.one():
                    pass

        def one(self) -> bool:
            first = self.rfile.readline()
            if not first.strip():
                return False
            method, target, _ = first.decode("latin-1").split(" ", 2)
            headers: dict[str, str] = {}
            while line := self.rfile.readline().strip():
                name, _, value = line.decode("latin-1").partition(":")
                headers[name.lower()] = value.strip()
            body = self.rfile.read(int(headers.get("content-length", "0")))
            seen = Seen(method, target, headers, body, time.monotonic())
            loopback.seen.append(seen)
            for step in answer(seen):
                if step == CLOSE:
                    return False
                if step == RESET:
                    self.wfile.flush()
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    self.connection.close()
                    return False
                if isinstance(step, bytes):
                    self.wfile.write(step)
                    self.wfile.flush()
                elif isinstance(step, float) and stop.wait(step):
                    return False
            return True

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        allow_reuse_address = True
        request_queue_size = 64

        def handle_error(self, request: object, client_address: object) -> None:
            """TLS handshakes that the client refuses end here."""

    server = Server(("127.0.0.1", 0), Handler)
    loopback = Loopback(server.server_address[1], "https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield loopback
    finally:
        stop.set()
        server.shutdown()
        server.server_close()
        thread.join(5)


def connected(url: str, **more: Any) -> transport.Transport:
    """A transport to a loopback URL with the real clock and quick retries."""
    settings: dict[str, Any] = {
        "base_url": url,
        "allowed_hosts": frozenset({"127.0.0.1", "localhost"}),
        "now": time.monotonic,
        "wall": lambda: datetime.now(UTC),
        "sleep": time.sleep,
        "jitter": lambda: random.random() / 20,
        "deadline_seconds": 2.0,
    }
    return transport.Transport(**(settings | more))


@dataclass
class VirtualTime:
    """A clock that only sleeping moves."""

    seconds: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def now(self) -> float:
        return self.seconds

    def wall(self) -> datetime:
        return datetime.fromtimestamp(1_800_000_000 + self.seconds - 1000, UTC)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds

    def settings(self) -> dict[str, Any]:
        return {"now": self.now, "wall": self.wall, "sleep": self.sleep, "jitter": lambda: 1.0}
