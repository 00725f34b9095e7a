"""``/metrics``, ``/healthz`` and ``/readyz`` of ``run``: three plain answers on a socket of their own."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from reconciler.errors import SettingsError
from reconciler.report.metrics import CONTENT_TYPE

_STOP_SECONDS = 2.0
_IDLE_SECONDS = 10.0


class _Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE_SECONDS
    server: _Sockets

    def do_GET(self) -> None:
        """Answer one of the three paths."""
        path = self.path.partition("?")[0]
        try:
            if path == "/metrics":
                self._send(200, self.server.metrics(), CONTENT_TYPE)
            elif path == "/healthz":
                problem = self.server.health()
                self._send(503 if problem else 200, (problem or "ok") + "\n")
            elif path == "/readyz":
                problem = self.server.ready()
                self._send(503 if problem else 200, (problem or "ready") + "\n")
            else:
                self._send(404, "not found\n")
        except Exception as error:  # noqa: BLE001 - a scrape must not end the runner; its type says enough
            self._send(503, f"{type(error).__name__}\n")

    def _send(self, status: int, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        body = text.encode()
        self.send_response_only(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: scrapes are no events."""


class _Sockets(http.server.ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    metrics: Callable[[], str]
    health: Callable[[], str]
    ready: Callable[[], str]


class HealthServer:
    """Answers until it is stopped. A context manager."""

    def __init__(
        self, host: str, port: int, *, metrics: Callable[[], str], health: Callable[[], str], ready: Callable[[], str]
    ) -> None:
        """``metrics`` gives the exposition; ``health`` and ``ready`` give what is wrong, or an empty text."""
        try:
            self._sockets = _Sockets((host, port), _Answers)
        except OSError as error:
            raise SettingsError(
                f"cannot listen on {host}:{port}: {error.strerror}", hint="--port 0 takes a free one"
            ) from None
        self._sockets.metrics = metrics
        self._sockets.health = health
        self._sockets.ready = ready
        self.port: int = self._sockets.server_address[1]
        self._thread = threading.Thread(
            target=self._sockets.serve_forever, kwargs={"poll_interval": 0.1}, name="health", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening."""
        self._sockets.shutdown()
        self._sockets.server_close()
        self._thread.join(_STOP_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
