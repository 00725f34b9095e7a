"""Puts the sandbox on a loopback socket: HTTP/1.1 with keep-alive, one thread for each connection.

Answers are buffered and leave in one segment (two small ones on one connection would wait 40 ms for each other). A
response that asks for it is sent late, slowly, in part, or not at all.
"""

from __future__ import annotations

import contextlib
import http.server
import shlex
import socket
import struct
import threading
import time
import urllib.parse
from http import HTTPStatus
from typing import TYPE_CHECKING

from reconciler.errors import SettingsError
from reconciler.sandbox.app import ADMIN_PREFIX, App
from reconciler.sandbox.http import Request, Response, json_response
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import sample_secrets

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

__all__ = ["App", "SandboxOptions", "Server", "build", "run_forever", "serve", "variables"]

_MOST_BODY_BYTES = 10_000_000
_IDLE_SECONDS = 60.0
_STOP_SECONDS = 2.0
_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_LINES = {it.value: f"HTTP/1.1 {it.value} {it.phrase}\r\n" for it in HTTPStatus}


class _Connection(http.server.BaseHTTPRequestHandler):
    """One client connection. Every method is answered in the same way."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS
    server: _Sockets

    def handle_one_request(self) -> None:
        """Read a request, answer it; an ended or broken connection is no event."""
        try:
            self._handle_one()
        except (OSError, ValueError):
            self.close_connection = True

    def _handle_one(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or len(self.raw_requestline) > 65536 or not self.parse_request():
            self.close_connection = True
            self.wfile.flush()
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        if "transfer-encoding" in headers:
            self.close_connection = True
            self._send(json_response({"code": 411, "message": "Content-Length is needed"}, 411))
            return
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= _MOST_BODY_BYTES:
            self.close_connection = True
            self._send(json_response({"code": 413, "message": "The body is too long"}, 413))
            return
        path, _, query = self.path.partition("?")
        request = Request(
            self.command,
            urllib.parse.unquote(path),
            tuple(urllib.parse.parse_qsl(query, keep_blank_values=True)),
            headers,
            self.rfile.read(length) if length else b"",
        )
        self._send(self._answer(request))

    def _answer(self, request: Request) -> Response:
        host = request.headers.get("host", "").lower()
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if request.path.startswith(ADMIN_PREFIX) and name not in _LOOPBACK_NAMES:
            return json_response({"code": 403, "message": "Only on loopback, by a loopback name"}, 403)
        return self.server.app(request)

    def _send(self, response: Response) -> None:
        if response.delay_seconds:
            self.server.app.stopping.wait(response.delay_seconds)
        if response.break_after == 0:
            self._cut()
            return
        bare = response.status in (204, 304) or response.status < 200
        head = [_LINES.get(response.status, f"HTTP/1.1 {response.status} Unknown\r\n")]
        head.extend(f"{name}: {value}\r\n" for name, value in response.headers)
        if not bare:
            head.append(f"Content-Length: {len(response.body)}\r\n")
        if self.close_connection:
            head.append("Connection: close\r\n")
        head.append("\r\n")
        self.wfile.write("".join(head).encode("latin-1"))
        if self.command == "HEAD" or bare:
            pass
        elif response.break_after is not None:
            self.wfile.write(response.body[: response.break_after])
            self.wfile.flush()
            self._cut()
            return
        elif response.drip_seconds:
            self._drip(response)
        else:
            self.wfile.write(response.body)
        self.wfile.flush()

    def _drip(self, response: Response) -> None:
        steps = max(1, min(50, len(response.body)))
        size = -(-len(response.body) // steps)
        for start in range(0, len(response.body), size):
            if self.server.app.stopping.wait(response.drip_seconds / steps):
                self.close_connection = True
                return
            self.wfile.write(response.body[start : start + size])
            self.wfile.flush()

    def _cut(self) -> None:
        self.close_connection = True
        # With linger 0 the close sends RST, which is what a client sees of a crashed server or proxy.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: requests stand in the history."""


class _Sockets(http.server.ThreadingHTTPServer):
    """The listening socket, and every connection with its thread so that stopping is clean."""

    request_queue_size = 512
    daemon_threads = True
    block_on_close = False
    app: App

    def __init__(self, port: int, app: App) -> None:
        self.app = app
        self._open: dict[socket.socket, threading.Thread] = {}
        self._guard = threading.Lock()
        super().__init__(("127.0.0.1", port), _Connection)

    def process_request(self, request: socket.socket | tuple[bytes, socket.socket], client_address: object) -> None:
        """Answer one connection in a thread of its own."""
        if not isinstance(request, socket.socket):
            raise TypeError("a stream socket gives sockets, not datagrams")
        thread = threading.Thread(target=self._converse, args=(request, client_address), daemon=True)
        with self._guard:
            self._open[request] = thread
        thread.start()

    def _converse(self, request: socket.socket, client_address: object) -> None:
        try:
            with contextlib.suppress(OSError):
                self.finish_request(request, client_address)
        finally:
            with self._guard:
                self._open.pop(request, None)
            # No shutdown first: it would send FIN where a fault wants RST.
            request.close()

    def hang_up(self) -> None:
        """Close every connection and wait for its thread, two seconds at most in all."""
        with self._guard:
            talking = list(self._open.items())
        for connection, _ in talking:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _STOP_SECONDS
        for _, thread in talking:
            thread.join(max(0.0, deadline - time.monotonic()))


class Server:
    """A sandbox that listens. Use it as a context manager, or call ``stop``."""

    def __init__(self, app: App, port: int = 0) -> None:
        self.app = app
        try:
            self._sockets = _Sockets(port, app)
        except OSError as error:
            app.close()
            raise SettingsError(
                f"the sandbox cannot listen on 127.0.0.1:{port}: {error.strerror}", hint="--port 0 takes a free one"
            ) from None
        self.port: int = self._sockets.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(
            target=self._sockets.serve_forever, kwargs={"poll_interval": 0.05}, name="sandbox", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Stop listening, end every connection, close the state file. Bounded in time; twice is once."""
        self.app.stopping.set()
        self.app.faults.clear()
        self._sockets.shutdown()
        self._sockets.server_close()
        self._sockets.hang_up()
        self._thread.join(_STOP_SECONDS)
        self.app.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def build(options: SandboxOptions | None = None) -> App:
    """The app with every emulated API mounted."""
    return App(options)


def serve(what: App | SandboxOptions | None = None, port: int | None = None) -> Server:
    """Start answering on 127.0.0.1. Takes an app, or the options to build one from; port 0 takes a free one."""
    app = what if isinstance(what, App) else build(what)
    return Server(app, app.options.port if port is None else port)


def variables(server: Server) -> dict[str, str]:
    """What to export so that the tool talks to this server, the secrets of the samples included."""
    urls = {name: server.url + path for name, path in server.app.variables.items()}
    token = server.app.options.token
    access = {"RECONCILER_BIRDEYE_TOKEN": token} if token is not None else {}
    return urls | access | server.app.exports | sample_secrets()


def run_forever(options: SandboxOptions, announce: Callable[[str], None], stop: threading.Event) -> None:
    """Serve until ``stop`` is set. Announces, line by line, the URL and the variables to export."""
    with serve(options) as server:
        announce(f"# The sandbox answers on {server.url} (dialect {options.dialect}, seed {options.seed}).")
        announce(f"# Look behind it: {server.url}{ADMIN_PREFIX}history and {ADMIN_PREFIX}state")
        for name, value in variables(server).items():
            announce(f"export {name}={shlex.quote(value)}")
        stop.wait()
