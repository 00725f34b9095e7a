"""The sandbox as one function from request to response: routing, tokens, faults, history, commit."""

from __future__ import annotations

import hmac
import json
import threading
import time
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.sandbox import admin, integration_api, systems
from reconciler.sandbox.dialects import dialect
from reconciler.sandbox.faults import Faults, Kind, replaced, spoiled
from reconciler.sandbox.http import Response, json_response
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from reconciler.sandbox.http import Request

    Handler = Callable[[Request, World], Response]
    Boundary = Callable[[str, Request], None]

INTEGRATION_PREFIXES = ("/integration/", "/nextech/")
ADMIN_PREFIX = "/_sandbox/"
READS = ("GET", "HEAD")


class App:
    """The emulated systems. Call it with a request; ``server.serve`` puts it on a socket.

    ``world``, ``faults`` and ``dialect`` may be looked at and changed between requests. ``on_boundary``, where set, is
    called with ``"before"`` and ``"after"`` around the commit of every write of the integration API, outside the lock.
    """

    def __init__(self, options: SandboxOptions | None = None, *, now: Callable[[], float] = time.time) -> None:
        self.options = options or SandboxOptions()
        self.dialect = dialect(self.options.dialect).set(*self.options.settings)
        self.faults = Faults(self.options.faults, seed=self.options.seed)
        self.world = World(practices=self.options.practices, seed=self.options.seed, state=self.options.state, now=now)
        self.variables: dict[str, str] = {"RECONCILER_BIRDEYE_URL": ""}
        """Variables to export, each with the path that follows the server's URL."""
        self.exports: dict[str, str] = {}
        """Further variables to export as they are, such as the made-up credentials of a mounted API."""
        self.on_boundary: Boundary | None = None
        self.stopping = threading.Event()
        """Set when the server stops: ends delays and holds."""
        self._mounted: list[tuple[str, Handler]] = []
        self.emr, self.contacts = systems.mount(self)

    def mount(self, prefix: str, handler: Handler, variables: Mapping[str, str] | None = None) -> None:
        """Give every path that begins with ``prefix`` to ``handler``; the longest prefix wins.

        The handler sees the whole path, is called with the world's lock held, and keeps what must be durable with
        ``world.keep``. ``variables`` are the settings that lead a client there, with the path after the server's URL.
        Below ``/_sandbox/`` a handler is called without tokens, faults and history.
        """
        self._mounted.append((prefix, handler))
        self._mounted.sort(key=lambda it: -len(it[0]))
        self.variables |= variables or {}

    def close(self) -> None:
        """Release what is held and close the state file."""
        self.stopping.set()
        self.faults.clear()
        with self.world.lock:
            self.world.close()

    def __call__(self, request: Request) -> Response:
        """Answer one request."""
        endpoint, handler = self._route(request)
        if request.path.startswith(ADMIN_PREFIX):
            if handler is None:
                return admin.handle(request, self)
            with self.world.lock:
                return handler(request, self.world)
        if handler is None:
            return json_response({"code": 404, "message": "No such path"}, 404)
        if request.path.startswith(INTEGRATION_PREFIXES):
            refusal = self._refusal(request)
            if refusal is not None:
                self._note(request, endpoint, refusal, committed=False)
                return refusal
        try:
            kind = self.faults.pick(endpoint, request.method, request.path, request.headers.get("x-sandbox-fault"))
        except UsageError as wrong:
            return json_response({"code": 400, "message": wrong.message}, 400)
        if kind is not None and not kind.after_commit:
            early = self._before_commit(kind, request)
            if early is not None:
                self._note(request, endpoint, early, committed=False, kind=kind)
                return early
        hook = self.on_boundary if request.method not in READS else None
        if hook is not None:
            hook("before", request)
        with self.world.lock:
            real = handler(request, self.world)
            response = spoiled(kind, request, real) if kind is not None and kind.after_commit else real
            committed = request.method not in READS and real.status < 300
            self._note(request, endpoint, response, committed=committed, kind=kind)
        if hook is not None:
            hook("after", request)
        if kind is not None and kind.after_commit and kind.name == "hold":
            self.faults.hold()
        return response

    def _route(self, request: Request) -> tuple[str, Handler | None]:
        for prefix, handler in self._mounted:
            if request.path.startswith(prefix):
                return prefix, handler
        if request.path.startswith(INTEGRATION_PREFIXES):
            return integration_api.endpoint_of(request) or "", self._integration
        return "", None

    def _integration(self, request: Request, world: World) -> Response:
        return integration_api.handle(request, world, self.dialect)

    def _refusal(self, request: Request) -> Response | None:
        writer, reader = self.options.token, self.options.read_only_token
        if writer is None and reader is None:
            return None
        if self.options.token_header is not None:
            given = request.headers.get(self.options.token_header.lower(), "")
        else:
            given = request.headers.get("authorization", "").removeprefix("Bearer ")
        if writer is not None and hmac.compare_digest(given.encode(), writer.encode()):
            return None
        if reader is not None and hmac.compare_digest(given.encode(), reader.encode()):
            if request.method in READS:
                return None
            return json_response({"code": 403, "message": "This token may only read"}, 403)
        return json_response({"code": 401, "message": "No valid token"}, 401, (("WWW-Authenticate", "Bearer"),))

    def _before_commit(self, kind: Kind, request: Request) -> Response | None:
        if kind.name == "hold":
            self.faults.hold()
        elif kind.name == "timeout":
            self.stopping.wait(kind.seconds)
        if self.stopping.is_set():
            return Response(503, break_after=0)
        return replaced(kind, request)

    def _note(
        self, request: Request, endpoint: str, response: Response, *, committed: bool, kind: Kind | None = None
    ) -> None:
        body = None
        if request.method not in READS and request.path.startswith(INTEGRATION_PREFIXES):
            try:
                body = json.loads(request.body)
            except (ValueError, RecursionError):
                body = None
        with self.world.lock:
            entry = self.world.record(
                method=request.method,
                path=request.path,
                endpoint=endpoint,
                status=None if response.break_after is not None else response.status,
                committed=committed,
                fault=str(kind) if kind is not None else None,
                body=body,
            )
            self.world.commit(entry)
