"""What went wrong with one attempt, in one line: host, what happened, what did not happen, what to do next."""

from __future__ import annotations

import email.utils
import math
import re
import socket
import ssl
import zlib
from dataclasses import dataclass, field
from datetime import UTC
from typing import TYPE_CHECKING, NoReturn
from urllib.parse import parse_qsl

import httpcore
import httpx

from reconciler import errors
from reconciler.clients import redaction, wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

LIBRARY = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
    OSError,
)
"""Everything that the HTTP library raises; httpx where its mock transports are in use, httpcore from the wire."""
NEVER_LEFT = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.LocalProtocolError,
    httpx.InvalidURL,
    httpcore.ConnectError,
    httpcore.ConnectTimeout,
    httpcore.PoolTimeout,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.LocalProtocolError,
)
LATE = (httpx.TimeoutException, httpcore.TimeoutException)
RUBBISH = (httpx.RemoteProtocolError, httpcore.RemoteProtocolError)
AGAIN = frozenset({408, 425, 429}) | (frozenset(range(500, 600)) - {501, 505})
"""Statuses after which the same request may do better (integration-api.md, "Retries")."""
DIGITS = re.compile(r"[0-9]+(\.[0-9]+)?")
UNCERTAIN = "it may or may not have been carried out"
NOTHING = "nothing was sent"


class BadBody(Exception):
    """A body that cannot be used; the text says why, in our own words."""


@dataclass(slots=True)
class Carried:
    """What a request carried, kept only to take it out of messages."""

    params: Sequence[tuple[str, str]]
    json_body: object
    form: Mapping[str, str] | None
    secrets: tuple[str, ...]
    query: str = ""
    headers: tuple[str, ...] = ()

    def texts(self) -> list[str]:
        """Every text that no message may repeat."""
        found = [*self.secrets, *self.headers, *(self.form or {}).values(), *(value for _, value in self.params)]
        found += [value for _, value in parse_qsl(self.query)]
        found += redaction.texts(self.json_body)
        return [text for text in found if len(text.strip()) >= redaction.SHORTEST_SECRET]


@dataclass(slots=True)
class Failure:
    """One attempt that did not give an answer to hand on."""

    kind: type[errors.RemoteError]
    message: str
    method: str
    path: str
    hint: str | None = None
    again: bool = False
    """The same request may do better."""
    maybe_done: bool = False
    """The other side may have acted on it."""
    unreachable: bool = False
    """There was no connection at all."""
    status: int | None = None
    code: int | str | None = None
    remote_message: str = ""
    retry_after: float | None = None
    began: float = 0.0
    note: str = field(default="")
    """Why no further attempt was made."""


def final(failure: Failure, *, is_write: bool, maybe_done: bool) -> errors.RemoteError:
    """The error that ends the call. A write of which any attempt may have been carried out is unknown, whatever came
    after it."""
    message = failure.message + failure.note
    method, path, hint = failure.method, failure.path, failure.hint
    if is_write and maybe_done and failure.kind is not errors.Unknown:
        message = f"{message}; but an earlier attempt went out: {UNCERTAIN}"
        return errors.Unknown(message, method=method, path=path, hint=hint)
    if failure.kind is errors.Answered:
        return errors.Answered(
            message,
            method=method,
            path=path,
            status=failure.status or 0,
            code=failure.code,
            remote_message=failure.remote_message,
            hint=hint,
        )
    return failure.kind(message, method=method, path=path, hint=hint)


@dataclass(frozen=True, slots=True)
class Describe:
    """Makes the failures of one call."""

    method: str
    path: str
    host: str
    is_write: bool
    carried: Carried
    seconds: float
    remote_text: bool = True
    """May the answer's own words be repeated?"""
    hidden: redaction.Hidden | None = None
    """Secrets of other requests."""

    def held_back(self, why: str) -> Failure:
        """The request waited for its turn until its deadline."""
        message = f"{self._what}: {why} within {self.seconds:g} s; {NOTHING}"
        return Failure(errors.NotSent, message, self.method, self.path)

    def redirect(self, status: int, why: str) -> Failure:
        """A redirect that is not followed."""
        message = f"{self._what}: {self.host} answered {status}: {why}"
        hint = "check the base URL"
        return Failure(errors.Answered, message, self.method, self.path, status=status, hint=hint)

    def status(self, status: int, body: bytes, retry_after: float | None) -> Failure:
        """A status that is not success."""
        code, said = self._said(body)
        uncertain = self.is_write and (status == 408 or (status >= 500 and status in AGAIN))
        message = f"{self._what}: {self.host} answered {status}"
        if said:
            message += f": {said}"
        elif code is not None and not self.remote_text:
            message += f" (code {code})"
        if uncertain:
            message += f"; {UNCERTAIN}"
        return Failure(
            errors.Unknown if uncertain else errors.Answered,
            message,
            self.method,
            self.path,
            hint=STATUS_HINTS.get(status),
            again=status in AGAIN,
            maybe_done=uncertain,
            status=status,
            code=code,
            remote_message=said,
            retry_after=retry_after,
        )

    def _said(self, body: bytes) -> tuple[int | str | None, str]:
        """The code and the words of an error body, as far as they may be shown."""
        if not self.remote_text:
            return redaction.machine_code(body), ""
        secrets = self.carried.texts()
        code, text = redaction.said(body)
        if isinstance(code, str):
            code = redaction.shown(code, secrets, self.hidden)
        return code, redaction.shown(text, secrets, self.hidden)

    def trouble(self, error: Exception, attempt: wire.Attempt) -> Failure:
        """What the HTTP library raised, or a body that cannot be used."""
        if isinstance(error, BadBody):
            return self._garbage(str(error))
        if isinstance(error, NEVER_LEFT) and not attempt.sent:
            return self._never_left(error)
        if isinstance(error, RUBBISH) and attempt.sent and not attempt.ended and not self.is_write:
            return self._garbage("the answer is not HTTP")
        if isinstance(error, LATE):
            why = f"no complete answer from {self.host} in time"
        else:
            why = f"{self.host} broke the connection before its answer was complete"
        tail = f"; {UNCERTAIN}" if self.is_write else ""
        return Failure(
            errors.Unknown, f"{self._what}: {why}{tail}", self.method, self.path, again=True, maybe_done=self.is_write
        )

    def _garbage(self, why: str) -> Failure:
        message = f"{self._what}: {self.host} gave what cannot be read: {why}"
        return Failure(errors.Garbage, message, self.method, self.path)

    def _never_left(self, error: Exception) -> Failure:
        why, hint, again = self._reason(error)
        return Failure(
            errors.NotSent,
            f"{self._what}: {why}; {NOTHING}",
            self.method,
            self.path,
            hint=hint,
            again=again,
            unreachable=True,
        )

    def _reason(self, error: Exception) -> tuple[str, str, bool]:
        """What kept a request from leaving, what to do, and whether to try again."""
        chain = list(_chain(error))
        reach = "check the URL, the network and whether this machine must be inside the VPN"
        for cause in chain:
            if isinstance(cause, ssl.SSLCertVerificationError):
                detail = redaction.one_line(cause.verify_message)
                why = f"the TLS certificate of {self.host} is refused ({detail})"
                return why, "mend the certificate, or name its authority in RECONCILER_CA_BUNDLE", False
            if isinstance(cause, ssl.SSLError):
                why = f"no TLS connection to {self.host} ({redaction.one_line(cause.reason or 'handshake failed')})"
                return why, "the server must speak TLS 1.2 or newer on this port", False
            if isinstance(cause, wire.Forbidden):
                return f"the name {self.host} leads to an address that is not allowed", "check the DNS", False
            if isinstance(cause, socket.gaierror):
                passing = cause.errno == socket.EAI_AGAIN
                why = f"the name {self.host} could not be looked up"
                return why, "check the spelling of the URL, the DNS and the VPN", passing
            if isinstance(cause, ConnectionRefusedError):
                return f"{self.host} refused the connection", "is the service running, and is the port right?", True
        if isinstance(error, (httpx.ProxyError, httpcore.ProxyError)):
            return f"the proxy did not let it through to {self.host}", "check RECONCILER_PROXY", False
        if isinstance(error, (httpx.LocalProtocolError, httpcore.LocalProtocolError)):
            return "the request cannot be written as HTTP", "this is a defect of the program", False
        if isinstance(error, LATE):
            return f"no connection to {self.host} in time", reach, True
        return f"no connection to {self.host}", reach, True

    @property
    def _what(self) -> str:
        return f"{self.method} {self.path}"


STATUS_HINTS = {
    401: "check the credentials",
    403: "check what these credentials may do",
    407: "check RECONCILER_PROXY",
    429: "lower requests_per_second, or wait",
}


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def retry_after(headers: Mapping[str, str], wall: datetime) -> float | None:
    """Seconds that a Retry-After asks for; None where there is none, it is past, or cannot be read.

    A date is compared with the answer's own Date where it has one: the two clocks may differ, the server's is meant.
    """
    text = headers.get("retry-after", "").strip()
    if DIGITS.fullmatch(text):
        seconds = float(text) if len(text) < 300 else math.inf
        return seconds or None
    when = _date(text)
    if when is None:
        return None
    seconds = (when - (_date(headers.get("date", "")) or wall)).total_seconds()
    return seconds if seconds > 0 else None


def _date(text: str) -> datetime | None:
    try:
        parsed = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed


def not_json(status: int, body: bytes) -> str:
    """Why a body is not JSON, without a word of it."""
    if not body.strip():
        return f"the answer {status} is empty where JSON belongs"
    if body.lstrip()[:1] == b"<":
        return f"the answer {status} is a web page where JSON belongs (a login page, or a proxy's?)"
    return f"the answer {status} is not JSON, or is cut short"


def read_body(response: httpx.Response, cap: int, *, late: Callable[[], bool]) -> bytes:
    """The decompressed body. Raises BadBody above ``cap`` bytes or for a broken encoding; httpx.ReadTimeout when late.

    The library's own decoders expand a whole block at once, so that 64 KB can become 64 MB before anybody looks.
    """
    declared = response.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > cap):
        _too_large(cap)
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in {"", "identity", "gzip", "x-gzip"}:
        raise BadBody("its content encoding was not asked for")
    decoder = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in encoding else None
    blocks: list[bytes] = []
    size = received = 0
    stream = response.stream
    if not isinstance(stream, httpx.SyncByteStream):
        raise BadBody("its body is not a stream")
    for block in stream:
        if late():
            raise httpx.ReadTimeout("the deadline passed")
        received += len(block)
        if decoder is not None:
            try:
                block = decoder.decompress(block, cap + 1 - size)
            except zlib.error:
                raise BadBody("its compression is broken") from None
        size += len(block)
        if size > cap or received > cap or (decoder is not None and decoder.unconsumed_tail):
            _too_large(cap)
        blocks.append(block)
    if decoder is not None and received and not decoder.eof:
        raise BadBody("its compression is cut short")
    if decoder is not None and decoder.unused_data:
        raise BadBody("its compression has something behind its end")
    return b"".join(blocks)


def _too_large(cap: int) -> NoReturn:
    raise BadBody(f"the body is larger than {cap / 1024 / 1024:.3g} MiB")
