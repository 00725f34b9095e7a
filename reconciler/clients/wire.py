"""The sockets below the transport: every read, write and connection attempt under one deadline.

The HTTP library's own time-outs are per read, so a server that sends a byte a second is never late for them. Here each
socket operation gets what is left of the attempt. It also notes whether bytes of the request went out, which decides
between "not sent" and "unknown", and connects only to addresses that the host may have.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpcore
import httpx

from reconciler import errors
from reconciler.clients import addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    Resolve = Callable[[str, int], Sequence[str]]

CONNECT_SECONDS = 4.0
"""Name look-up, connection and TLS of one attempt; two of them fit into the ten seconds in which a dead host is told."""
KEEP_SECONDS = 5.0
"""Idle connections are dropped before a server's usual limits, so that no write meets a connection just closed."""
SLICE_BYTES = 65_536


class Forbidden(httpcore.ConnectError):
    """The name leads to an address where this host may not be."""


@dataclass(slots=True)
class Attempt:
    """What happened on the wire so far in one attempt of one request."""

    deadline: float
    sent: bool = False
    """Bytes of the request went out."""
    ended: bool = False
    """The other side closed the connection."""


def system_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host in the operating system's order of preference. Raises OSError."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream, backend: _Backend) -> None:
        self._stream = stream
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        left = self._backend.left(httpcore.ReadTimeout)
        block = self._stream.read(max_bytes, left)
        if not block:
            self._backend.attempt.ended = True
        return block

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # What goes to a proxy before the tunnel stands is not the request.
        if buffer and not buffer.startswith(b"CONNECT "):
            self._backend.attempt.sent = True
        for start in range(0, len(buffer), SLICE_BYTES):
            self._stream.write(buffer[start : start + SLICE_BYTES], self._backend.left(httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = min(self._backend.left(httpcore.ConnectTimeout), CONNECT_SECONDS)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left), self._backend)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    """Connects for whichever thread asks; the thread's attempt is set by ``Wire.handle_request``."""

    def __init__(self, *, now: Callable[[], float], resolve: Resolve, loopback_only: bool) -> None:
        self._now = now
        self._resolve = resolve
        self._loopback_only = loopback_only
        self._sockets = httpcore.SyncBackend()
        self._local = threading.local()

    @property
    def attempt(self) -> Attempt:
        attempt: Attempt = self._local.attempt
        return attempt

    @attempt.setter
    def attempt(self, attempt: Attempt) -> None:
        self._local.attempt = attempt

    def left(self, late: type[httpcore.TimeoutException]) -> float:
        """Seconds left of this thread's attempt. Raises ``late`` where none are."""
        left = self.attempt.deadline - self._now()
        if left <= 0:
            raise late("the deadline passed")
        return left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        until = self._now() + min(self.left(httpcore.ConnectTimeout), CONNECT_SECONDS)
        found = [host] if addresses.ip_address(host) is not None else self._look_up(host, port, until)
        self._check(found)
        failure: Exception = httpcore.ConnectError("no address")
        for index, address in enumerate(found):
            # The first addresses get their share only: a black hole on IPv6 must leave time for IPv4.
            share = (until - self._now()) / (len(found) - index)
            if share <= 0:
                failure = httpcore.ConnectTimeout("the deadline passed")
                break
            try:
                return _Stream(self._sockets.connect_tcp(address, port, share, local_address, socket_options), self)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    def _look_up(self, host: str, port: int, until: float) -> Sequence[str]:
        # getaddrinfo knows no time-out; a look-up that hangs is left behind in its daemon thread.
        answer: list[Sequence[str] | OSError] = []

        def look_up() -> None:
            try:
                answer.append(self._resolve(host, port))
            except OSError as error:
                answer.append(error)
            except UnicodeError:
                answer.append(socket.gaierror(socket.EAI_NONAME, "not a name"))

        thread = threading.Thread(target=look_up, daemon=True, name="name-look-up")
        thread.start()
        thread.join(max(until - self._now(), 0))
        found = answer[0] if answer else socket.gaierror(socket.EAI_AGAIN, "no answer")
        if not isinstance(found, OSError):
            return found
        try:
            raise found
        except OSError as error:
            # Raised in here because the pool below replaces the cause of what passes through it, not the context.
            raise httpcore.ConnectError("name look-up") from error

    def _check(self, found: Sequence[str]) -> None:
        for text in found:
            address = ipaddress.ip_address(text.split("%")[0])
            # Clouds keep machine credentials behind link-local addresses; plain http is for this machine only.
            if address.is_link_local or (self._loopback_only and not address.is_loopback):
                raise Forbidden("address not allowed")


class _Body(httpx.SyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        return self._response.iter_stream()

    def close(self) -> None:
        self._response.close()


class Wire(httpx.BaseTransport):
    """A connection pool. Each request carries its ``Attempt`` in ``extensions["attempt"]``."""

    def __init__(
        self,
        origin: addresses.Origin,
        *,
        now: Callable[[], float],
        concurrency: int,
        ca_bundle: Path | None,
        proxy: str | None,
        resolve: Resolve,
    ) -> None:
        # A request for this machine never goes through a proxy.
        through = _proxy(proxy) if proxy and not origin.is_loopback else None
        context = tls_context(ca_bundle) if origin.scheme == "https" or through else None
        self._backend = _Backend(now=now, resolve=resolve, loopback_only=origin.scheme == "http")
        if through is None:
            self._pool = httpcore.ConnectionPool(
                ssl_context=context,
                max_connections=concurrency,
                keepalive_expiry=KEEP_SECONDS,
                network_backend=self._backend,
            )
        else:
            self._pool = httpcore.HTTPProxy(
                proxy_url=str(through.url),
                proxy_auth=through.raw_auth,
                ssl_context=context,
                proxy_ssl_context=context if through.url.scheme == "https" else None,
                max_connections=concurrency,
                keepalive_expiry=KEEP_SECONDS,
                network_backend=self._backend,
            )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises the exceptions of httpcore, never waits for a connection of the pool."""
        self._backend.attempt = request.extensions["attempt"]
        url = request.url
        response = self._pool.handle_request(
            httpcore.Request(
                request.method.encode(),
                httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
                headers=request.headers.raw,
                content=request.stream,
            )
        )
        return httpx.Response(response.status, headers=response.headers, stream=_Body(response))

    def close(self) -> None:
        """Close every connection."""
        self._pool.close()


def tls_context(ca_bundle: Path | None) -> ssl.SSLContext:
    """TLS 1.2 or newer, verified against the bundle alone, or the system's authorities where there is none."""
    try:
        context = ssl.create_default_context(cafile=None if ca_bundle is None else str(ca_bundle))
    except OSError:
        raise errors.SettingsError("RECONCILER_CA_BUNDLE is not a readable file of PEM certificates") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _proxy(url: str) -> httpx.Proxy:
    try:
        proxy = httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        proxy = None
    if proxy is None or proxy.url.scheme not in {"http", "https"} or not proxy.url.host:
        raise errors.SettingsError("RECONCILER_PROXY is not the http:// or https:// URL of a proxy")
    return proxy
