"""One HTTP transport for every client: what left, what came back, and what nobody knows.

Nothing outside this file and its parts ``wire`` (sockets) and ``failures`` (outcomes) imports the HTTP library. Rules that hold for every request:

- the host is allowed and the scheme is https (http to loopback only) before anything is looked up or connected;
- one deadline over all attempts, waits and bytes; bodies are capped, also once decompressed;
- redirects are followed for reads only, three times, on the same origin; proxies and certificate authorities are named
  by the settings, never by the surroundings;
- an error is one of ``errors.NotSent``, ``Unknown``, ``Answered``, ``Garbage``; it names method, path and status, never
  a query, a header, a body or anything that the request carried.

Why neither stamina nor tenacity: both decide per exception whether to try again and can take a wait from it, but
neither knows of an outcome that an earlier attempt left unknown (a second PUT that is refused must not read "never
sent"), nor gives up *before* a wait that would pass the total deadline. What is left for them is one loop.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urljoin

import httpx

from reconciler import errors
from reconciler.clients import addresses, failures, redaction, wire
from reconciler.clients.limiter import RateLimiter
from reconciler.clients.reply import Reply, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType

__all__ = ["RateLimiter", "Reply", "Retry", "Transport"]

# Both log whole URLs, with their queries, at INFO and headers at DEBUG.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

MAX_BODY_BYTES = 32 * 1024 * 1024
MAX_ATTEMPTS = 12
SEVERAL = "; gave up after several attempts"
"""How many depends on chance, and this stands in plans."""
MAX_REDIRECTS = 3
FIRST_WAIT_SECONDS = 0.25
LONGEST_WAIT_SECONDS = 8.0
CONNECT_BUDGET_SECONDS = 8.0
"""A host that cannot be reached is said to be so within ten seconds, also where the deadline is far."""
LONGEST_PAUSE_SECONDS = 3600.0
"""A 429 that asks for more ends its own call at once; it must not stop a runner for years."""
DAY_SECONDS = 86_400.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HEADER_TEXT = re.compile(r"[\x20-\x7e]*")
PATH_SAFE = "/:@!$&'()*+,;=~%"
PLAIN_HEADERS = frozenset({"accept", "accept-encoding", "cache-control", "content-type", "user-agent", "prefer"})


@dataclass(slots=True)
class _Call:
    """One call of ``send`` over all its attempts."""

    method: str
    path: str
    query: str
    content: bytes | None
    headers: dict[str, str]
    retry: Retry
    seconds: float
    deadline: float
    accept_statuses: frozenset[int]
    endpoint: str
    limiter: RateLimiter
    carried: failures.Carried
    shown_path: str
    remote_text: bool
    maybe_done: bool = False
    unreachable_since: float | None = None


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
        hidden: Callable[[], Sequence[str]] | None = None,
        http_transport: httpx.BaseTransport | None = None,
        resolve: wire.Resolve = wire.system_addresses,
    ) -> None:
        """``now`` is monotonic seconds, ``wall`` an aware UTC datetime, ``jitter`` gives 0 to 1.

        ``fence`` is called before each request and raises to stop it. ``hidden`` gives every secret of the process known
        so far, in the order in which they became known: no message repeats one, whichever request it answers.
        ``http_transport`` and ``resolve`` replace the sockets and the name look-up. Raises errors.SettingsError where
        ``base_url`` is not https (or http to loopback) to one of ``allowed_hosts``, or proxy, certificates or headers
        cannot be used.
        """
        target = addresses.base(base_url, allowed_hosts=allowed_hosts)
        self._origin = target.origin
        self._base_path = target.path
        self._headers = {"accept": "application/json", "accept-encoding": "gzip", "user-agent": "reconciler"}
        self._headers |= _checked(headers or {})
        self._now = now
        self._wall = wall
        self._sleep = sleep
        self._jitter = jitter
        self._limiter = limiter or RateLimiter(float("inf"), now=now, sleep=sleep)
        self._slots = threading.BoundedSemaphore(concurrency)
        self._deadline_seconds = deadline_seconds
        self._max_body_bytes = max_body_bytes
        self._fence = fence
        self._hidden = None if hidden is None else redaction.Hidden(hidden)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._http = http_transport or wire.Wire(
            target.origin, now=now, concurrency=concurrency, ca_bundle=ca_bundle, proxy=proxy, resolve=resolve
        )

    @property
    def counts(self) -> dict[str, int]:
        """How many requests went on the wire, by ``endpoint`` (by method where a call named none)."""
        with self._lock:
            return dict(self._counts)

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
        remote_text: bool = True,
        shown_path: str | None = None,
    ) -> Reply:
        """Send one request to ``path`` below the base URL and give the answer: 2xx, or one of ``accept_statuses``.

        ``raw_query`` is sent as it is, instead of ``params``. ``limiter`` replaces the transport's own for this call (a
        quota per endpoint). ``secrets`` are further values that no message may repeat; header values, parameters, form
        values and the body's texts are kept out anyway. ``remote_text=False``: no text of an answer enters an error, only
        its status and a code that is known to be one (a server that knows patients may write of them). ``shown_path``
        is what errors name instead of a path that holds an id.
        Raises errors.NotSent, errors.Unknown, errors.Answered; errors.Garbage for rubbish. A write that ends in 408 or
        5xx, or whose earlier attempt may have been carried out, is errors.Unknown.
        """
        own: dict[str, str] = {}
        content = None
        if json_body is not None:
            content = json.dumps(json_body, allow_nan=False, separators=(",", ":")).encode()
            own["content-type"] = "application/json"
        elif form is not None:
            content = urlencode(list(form.items())).encode()
            own["content-type"] = "application/x-www-form-urlencoded"
        return self._run(
            method,
            self._base_path + _checked_path(path),
            raw_query if raw_query is not None else urlencode(list(params), quote_via=quote, safe=""),
            content=content,
            headers=self._headers | own | _checked(headers or {}),
            carried=failures.Carried(params, json_body, form, tuple(secrets)),
            retry=retry,
            seconds=deadline_seconds,
            accept_statuses=accept_statuses,
            endpoint=endpoint,
            limiter=limiter,
            remote_text=remote_text,
            shown_path=None if shown_path is None else self._base_path + shown_path,
        )

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
        """Follow a link that an answer gave (absolute, or a path of this host), without a body.

        Raises errors.NotSent where it leaves the base URL's origin: credentials never follow a link elsewhere, not even
        to another allowed host. Otherwise as ``send``.
        """
        reason = ""
        try:
            target = addresses.parse(self._own + url if url.startswith("/") else url)
        except ValueError as error:
            reason = str(error)
        else:
            if target.origin != self._origin:
                reason = f"it leads away from {self._origin.authority}"
        if reason:
            msg = f"{method}: a link is refused: {reason}; nothing was sent"
            raise errors.NotSent(msg, method=method, path=self._base_path or "/")
        return self._run(
            method,
            target.path or "/",
            target.query,
            content=None,
            headers=self._headers | _checked(headers or {}),
            carried=failures.Carried((), None, None, tuple(secrets)),
            retry=retry,
            seconds=deadline_seconds,
            accept_statuses=accept_statuses,
            endpoint=endpoint,
            limiter=limiter,
        )

    def shown(self, text: str, secrets: Sequence[str] = ()) -> str:
        """What a message may repeat of an answer: ``redaction.shown``, without the process's secrets too."""
        return redaction.shown(text, secrets, self._hidden)

    @property
    def _own(self) -> str:
        return f"{self._origin.scheme}://{self._origin.authority}"

    def _run(
        self,
        method: str,
        path: str,
        query: str,
        *,
        content: bytes | None,
        headers: dict[str, str],
        carried: failures.Carried,
        retry: Retry,
        seconds: float | None,
        accept_statuses: frozenset[int],
        endpoint: str,
        limiter: RateLimiter | None,
        remote_text: bool = True,
        shown_path: str | None = None,
    ) -> Reply:
        seconds = self._deadline_seconds if seconds is None else seconds
        carried.query = query
        carried.headers = tuple(value for name, value in headers.items() if name not in PLAIN_HEADERS)
        call = _Call(
            method=method,
            path=path,
            query=query,
            content=content,
            headers=headers,
            retry=retry,
            seconds=seconds,
            deadline=self._now() + seconds,
            accept_statuses=accept_statuses,
            endpoint=endpoint or method,
            limiter=limiter or self._limiter,
            carried=carried,
            shown_path=path if shown_path is None else shown_path,
            remote_text=remote_text,
        )
        failure: failures.Failure | None = None
        for number in range(1, MAX_ATTEMPTS + 1):
            outcome = self._attempt(call, previous=failure)
            if isinstance(outcome, Reply):
                return outcome
            if failure is not None and outcome.status is None and self._now() >= call.deadline:
                # The call's own time was up: the attempt before it says what is wrong.
                call.maybe_done |= outcome.maybe_done
                failure.note = SEVERAL
                break
            failure = outcome
            wait = self._wait(call, failure, number)
            if wait is None or number == MAX_ATTEMPTS:
                break
            self._sleep(wait)
        if failure is None:
            raise errors.InternalError("a request ended without an outcome")
        raise failures.final(failure, is_write=retry is not Retry.READ, maybe_done=call.maybe_done)

    def _wait(self, call: _Call, failure: failures.Failure, number: int) -> float | None:
        """Seconds until the next attempt; None where there is none. Notes in ``failure`` why it gave up."""
        call.maybe_done |= failure.maybe_done
        may_retry = failure.again and (call.retry is not Retry.ONCE or not failure.maybe_done)
        if call.retry is Retry.ONCE and failure.status not in {None, 429}:
            may_retry = False
        if not may_retry:
            return None
        now = self._now()
        wait = self._jitter() * min(LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2.0 ** (number - 1))
        asked = failure.retry_after
        if asked is not None:
            wait += asked
        if failure.status == 429:
            # Every thread of this quota waits, not only the one that was told.
            call.limiter.pause_until(now + min(wait, LONGEST_PAUSE_SECONDS))
        limit = call.deadline
        if failure.unreachable:
            if call.unreachable_since is None:
                call.unreachable_since = failure.began
            limit = min(limit, call.unreachable_since + CONNECT_BUDGET_SECONDS)
        else:
            call.unreachable_since = None
        if now + wait < limit:
            return wait
        if asked is not None:
            # A number beyond a day is shown to nobody where no text is: it may be anything, a phone's too.
            waits = f"{asked:.10g} s" if call.remote_text or asked <= DAY_SECONDS else "more than a day"
            failure.note = f"; it asks to wait {waits} and this call may take {call.seconds:g} s: gave up"
        elif number > 1:
            failure.note = SEVERAL
        return None

    def _attempt(self, call: _Call, *, previous: failures.Failure | None) -> Reply | failures.Failure:
        """One request and the redirects that it leads to."""
        path, query, status = call.path, call.query, 0
        for _hop in range(MAX_REDIRECTS + 1):
            outcome = self._one(call, path, query, previous)
            if (
                isinstance(outcome, failures.Failure)
                or outcome.status not in REDIRECTS
                or outcome.status in call.accept_statuses
            ):
                return outcome
            status = outcome.status
            leads_to = self._redirect(call, outcome, path)
            if isinstance(leads_to, str):
                return self._failed(call).redirect(status, leads_to)
            path, query = leads_to.path or "/", leads_to.query
        return self._failed(call).redirect(status, f"it redirects more than {MAX_REDIRECTS} times")

    def _redirect(self, call: _Call, reply: Reply, path: str) -> addresses.Target | str:
        """Where a redirect leads, or why it is not followed."""
        if call.method not in {"GET", "HEAD"}:
            return "a write is never redirected"
        location = reply.headers.get("location", "").strip(" ")
        if not location or addresses.UNPRINTABLE.search(location):
            return "its redirect names no place"
        try:
            target = addresses.parse(urljoin(self._own + path, location))
        except ValueError as error:
            return f"its redirect is refused: {error}"
        if target.origin != self._origin:
            return "its redirect to another host, port or scheme is refused"
        return target

    def _failed(self, call: _Call) -> failures.Describe:
        return failures.Describe(
            method=call.method,
            path=call.shown_path,
            host=self._origin.authority,
            is_write=call.retry is not Retry.READ,
            carried=call.carried,
            seconds=call.seconds,
            remote_text=call.remote_text,
            hidden=self._hidden,
        )

    def _one(self, call: _Call, path: str, query: str, previous: failures.Failure | None) -> Reply | failures.Failure:
        """One request on the wire, when limiter, concurrency and fence let it through."""
        if not self._slots.acquire(timeout=max(call.deadline - self._now(), 0)):
            return previous or self._failed(call).held_back("no connection came free")
        try:
            if not call.limiter.acquire(give_up_at=call.deadline):
                return previous or self._failed(call).held_back("the rate limit leaves no room")
            if self._fence is not None:
                self._fence()
            with self._lock:
                self._counts[call.endpoint] += 1
            return self._exchange(call, path, query)
        finally:
            self._slots.release()

    def _exchange(self, call: _Call, path: str, query: str) -> Reply | failures.Failure:
        began = self._now()
        until = call.deadline
        if call.retry is not Retry.ONCE:
            # A read that hangs gets a second chance within its deadline.
            until = min(until, began + call.seconds / 2)
        attempt = wire.Attempt(deadline=until)
        # Errors are made outside the ``except``: a library's own message, chained to ours, may hold the URL.
        trouble: Exception
        try:
            request = httpx.Request(
                call.method,
                f"{self._own}{path}?{query}" if query else self._own + path,
                headers=call.headers,
                content=call.content,
                extensions={"attempt": attempt},
            )
            response = self._http.handle_request(request)
            try:
                return self._answer(call, response, attempt)
            finally:
                response.close()
        except (*failures.LIBRARY, failures.BadBody) as error:
            trouble = error
        outcome = self._failed(call).trouble(trouble, attempt)
        outcome.began = began
        return outcome

    def _answer(self, call: _Call, response: httpx.Response, attempt: wire.Attempt) -> Reply | failures.Failure:
        status = response.status_code
        headers = dict(response.headers)
        good = 200 <= status < 300 or status in call.accept_statuses
        if not good and status not in REDIRECTS:
            retry_after = failures.retry_after(headers, self._wall())
            try:
                body = failures.read_body(response, self._error_cap, late=self._late(attempt))
            except (*failures.LIBRARY, failures.BadBody):
                body = b""
            return self._failed(call).status(status, body, retry_after)
        cap = self._max_body_bytes if good else self._error_cap
        body = failures.read_body(response, cap, late=self._late(attempt)) if good else b""
        return Reply(status, headers, body, call.method, call.shown_path)

    _error_cap = 65_536

    def _late(self, attempt: wire.Attempt) -> Callable[[], bool]:
        return lambda: self._now() >= attempt.deadline

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Transport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers with lower-case names. Raises errors.SettingsError, naming the header only, for what is no header."""
    for name, value in headers.items():
        if not HEADER_TEXT.fullmatch(value) or value != value.strip() or not re.fullmatch(r"[A-Za-z0-9-]+", name):
            shown = name if re.fullmatch(r"[A-Za-z0-9-]{1,60}", name) else "of a strange name"
            raise errors.SettingsError(f"the header {shown} has characters that no header may have")
    return {name.lower(): value for name, value in headers.items()}


def _checked_path(path: str) -> str:
    """A path in its percent-encoded form. Raises errors.InternalError for one that leaves the base URL."""
    if not path.startswith("/") or {"..", "."} & set(path.split("/")) or "?" in path or "#" in path:
        raise errors.InternalError("a client asked for a path that is none")
    return quote(path, safe=PATH_SAFE)
