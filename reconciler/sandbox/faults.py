"""What goes wrong on purpose, when, and how it is written.

A fault is ``ENDPOINT:WHEN:KIND[-before-commit|-after-commit][,seconds=N][,retry-after=TEXT][,body=FORM]``:

- ENDPOINT: a letter of ``integration-api.md`` (``T``, ``G``, ``G+``, ``Gu``, ``M+``, ``Mg``, ``L``, ``P``), ``reads``,
  ``writes``, ``*``, or the beginning of a path of any mounted API, such as ``/emr/``.
- WHEN: ``3`` (the third such call since the fault was armed), ``2-4``, ``2+`` (from the second on), ``*``, or ``p0.1``
  (each with that probability, from the seed).
- KIND: an HTTP status such as ``502`` (its body ``json``, or ``text``, ``html``, ``empty``; 3xx lead to another host);
  ``echo`` (400 whose message repeats the request's body and token, as careless servers do); ``reset`` (connection cut before the status line); ``cut`` (cut within the body);
  ``timeout`` (silence for ``seconds``, 30 by default, then the answer); ``hold`` (silence until it is released);
  ``truncated`` (half of the JSON, complete HTTP); ``html`` (a page with status 200); ``empty-list``;
  ``null``; ``error-object`` (an object with a code, and status 200); ``slow-body`` (spread
  over ``seconds``, 5 by default).

A status, ``echo``, ``reset``, ``timeout`` and ``hold`` come before the commit unless the kind says otherwise; the others after it.
``M+:3:502-after-commit`` writes the third mapping and answers 502. The header ``X-Sandbox-Fault: KIND`` concerns its own
request only.
"""

from __future__ import annotations

import random
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconciler.errors import UsageError
from reconciler.sandbox.http import Response, json_response

if TYPE_CHECKING:
    from reconciler.sandbox.http import Request

_KIND = re.compile(
    r"(?P<name>[1-5][0-9]{2}|echo|reset|cut|timeout|hold|truncated|html|empty-list|null|error-object"
    r"|slow-body)(?:-(?P<moment>before|after)-commit)?"
)
_WHEN = re.compile(r"(?P<first>[1-9][0-9]*)(?:(?P<on>\+)|-(?P<last>[1-9][0-9]*))?|p(?P<chance>0?\.[0-9]+|1|0)|\*")
_LATE = ("cut", "truncated", "html", "empty-list", "null", "error-object", "slow-body")
_NEXT_PARAMETER = re.compile(r",(?=(?:seconds|retry-after|body)=)")
_FORMS = ("json", "text", "html", "empty")
_WRITES = ("G+", "Gu", "M+")
_DEFAULT_SECONDS = {"timeout": 30.0, "slow-body": 5.0}
_HOLD_LIMIT_SECONDS = 120.0
"""Nothing is held for longer, so that a forgotten hold ends."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What goes wrong. ``name`` is a word of the grammar or a status in digits."""

    name: str
    after_commit: bool
    seconds: float = 0.0
    retry_after: str | None = None
    form: str = "json"

    def __str__(self) -> str:
        return f"{self.name}-{'after' if self.after_commit else 'before'}-commit"


@dataclass(slots=True)
class Fault:
    """One armed fault, with what it has seen so far."""

    text: str
    endpoint: str
    first: int
    last: int | None
    chance: float | None
    kind: Kind
    seen: int = 0
    fired: int = 0

    def concerns(self, endpoint: str, method: str, path: str) -> bool:
        """Is this a request that the fault counts?"""
        if self.endpoint.startswith("/"):
            return path.startswith(self.endpoint)
        if self.endpoint in ("reads", "writes"):
            return (method in ("GET", "HEAD")) == (self.endpoint == "reads")
        return self.endpoint in ("*", endpoint)


def parse_kind(text: str) -> Kind:
    """A kind with its parameters; raises ``UsageError``."""
    word, *parameters = _NEXT_PARAMETER.split(text.strip())
    match = _KIND.fullmatch(word)
    if match is None:
        raise UsageError(
            f"fault {text}: not a kind of fault",
            hint="a status, echo, reset, cut, timeout, hold, truncated, html, empty-list, null, error-object or slow-body",
        )
    name = match["name"]
    seconds = _DEFAULT_SECONDS.get(name, 0.0)
    retry_after, form = None, "json"
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key == "seconds" and re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
            seconds = float(value)
        elif key == "retry-after" and value:
            retry_after = value
        elif key == "body" and value in _FORMS:
            form = value
        else:
            raise UsageError(f"fault {text}: {parameter} is not seconds=N, retry-after=TEXT or body=FORM")
    after = match["moment"] == "after" if match["moment"] else name in _LATE
    return Kind(name, after, seconds, retry_after, form)


def parse(text: str) -> Fault:
    """A fault from its text; raises ``UsageError``."""
    endpoint, _, rest = text.strip().partition(":")
    when, _, kind = rest.partition(":")
    match = _WHEN.fullmatch(when)
    known = (*_WRITES, "T", "G", "Mg", "L", "P", "reads", "writes", "*")
    if match is None or not (endpoint in known or endpoint.startswith("/")):
        raise UsageError(f"fault {text}: not ENDPOINT:WHEN:KIND", hint="such as M+:3:502-after-commit")
    first, last, chance = 1, None, None
    if match["first"]:
        first = int(match["first"])
        last = None if match["on"] else int(match["last"] or match["first"])
    elif match["chance"]:
        chance = float(match["chance"])
    return Fault(text.strip(), endpoint, first, last, chance, parse_kind(kind))


class Faults:
    """The armed faults of one server. Thread-safe."""

    def __init__(self, texts: tuple[str, ...] = (), *, seed: int = 1) -> None:
        self._lock = threading.Lock()
        self._chance = random.Random(seed)
        self._armed = [parse(text) for text in texts]
        self._gate = threading.Condition()
        self._generation = 0
        self._held = 0

    def arm(self, *texts: str) -> None:
        """Arm further faults; their calls are counted from now."""
        parsed = [parse(text) for text in texts]
        with self._lock:
            self._armed.extend(parsed)

    def clear(self) -> None:
        """Disarm all, and release what is held."""
        with self._lock:
            self._armed.clear()
        self.release()

    def as_json(self) -> list[dict[str, object]]:
        """What is armed, how many calls each has counted and how often it fired."""
        with self._lock:
            return [{"fault": it.text, "seen": it.seen, "fired": it.fired} for it in self._armed]

    def pick(self, endpoint: str, method: str, path: str, header: str | None = None) -> Kind | None:
        """The fault of this request. Every armed fault counts it; the header wins, then the one armed first."""
        asked = parse_kind(header) if header else None
        found: Kind | None = None
        with self._lock:
            for fault in self._armed:
                if not fault.concerns(endpoint, method, path):
                    continue
                fault.seen += 1
                fires = fault.seen >= fault.first and (fault.last is None or fault.seen <= fault.last)
                if fault.chance is not None:
                    fires = self._chance.random() < fault.chance
                if fires and found is None and asked is None:
                    fault.fired += 1
                    found = fault.kind
        return asked or found

    # -- holding

    @property
    def held(self) -> int:
        """How many requests wait to be released."""
        with self._gate:
            return self._held

    def hold(self) -> None:
        """Wait until released, at most two minutes."""
        with self._gate:
            generation = self._generation
            self._held += 1
            self._gate.notify_all()
            self._gate.wait_for(lambda: self._generation != generation, _HOLD_LIMIT_SECONDS)
            self._held -= 1

    def wait_held(self, count: int = 1, timeout_seconds: float = 5.0) -> bool:
        """Wait until so many requests are held; False when time runs out."""
        with self._gate:
            return self._gate.wait_for(lambda: self._held >= count, timeout_seconds)

    def release(self) -> int:
        """Let every held request go on; how many there were."""
        with self._gate:
            self._generation += 1
            self._gate.notify_all()
            return self._held


_PAGE = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Sign in to go on</body></html>"
_HTML = (("Content-Type", "text/html; charset=utf-8"),)
_STAND_INS = {
    "reset": Response(200, break_after=0),
    "html": Response(200, _PAGE, _HTML),
    "empty-list": json_response([]),
    "null": json_response(None),
    "error-object": json_response({"code": 5000, "message": "fault of the sandbox"}),
}


def replaced(kind: Kind, request: Request) -> Response | None:
    """The answer that stands in for a real one; None where the real one is needed (and then ``spoiled``)."""
    if kind.name == "echo":
        said = f"Cannot read {request.body.decode(errors='replace')} of {request.headers.get('authorization', '')}"
        return json_response({"code": 4000, "message": said}, 400)
    if not kind.name.isdigit():
        return _STAND_INS.get(kind.name)
    status = int(kind.name)
    headers: tuple[tuple[str, str], ...] = ()
    if kind.retry_after is not None:
        headers += (("Retry-After", kind.retry_after),)
    if 300 <= status < 400:
        headers += (("Location", "http://elsewhere.example.com/"),)
    match kind.form:
        case "text":
            return Response(status, b"fault of the sandbox", (("Content-Type", "text/plain"), *headers))
        case "html":
            return Response(status, _PAGE, (*_HTML, *headers))
        case "empty":
            return Response(status, b"", headers)
    return json_response({"code": status, "message": "fault of the sandbox"}, status, headers)


def spoiled(kind: Kind, request: Request, real: Response) -> Response:
    """The real answer, damaged or late."""
    stands_in = replaced(kind, request)
    if stands_in is not None:
        return stands_in
    half = len(real.body) // 2
    match kind.name:
        case "cut":
            return Response(real.status, real.body, real.headers, break_after=max(half, 1))
        case "truncated":
            return Response(real.status, real.body[:half], real.headers)
        case "timeout":
            return Response(real.status, real.body, real.headers, delay_seconds=kind.seconds)
        case "slow-body":
            return Response(real.status, real.body, real.headers, drip_seconds=kind.seconds)
    return real
