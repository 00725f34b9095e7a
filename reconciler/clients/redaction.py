"""What of a remote answer may be shown: one clean line, without anything that the request itself carried."""

from __future__ import annotations

import base64
import html
import json
import re
import threading
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

SHOWN_CHARACTERS = 200
LOOKED_AT_CHARACTERS = 20_000
MARK = "[removed]"
SHORTEST_SECRET = 3
"""Shorter texts ("M", "12") would only shred the message."""
SHORTEST_ENCODED = 6
SHORTEST_HIDDEN = 6
"""Of a secret that the request did not carry: a shorter one would be found by chance in the texts of others."""
IDENTIFIER = re.compile(r"[a-z]+(?:[._][a-z]+)+")
"""Property keys and the like ("practice.id"): the reader needs them, and they are nobody's data."""
ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-_])")
TITLE = re.compile(r"<title[^>]{0,200}>(.{0,400}?)</title", re.IGNORECASE | re.DOTALL)
TAG = re.compile(r"<(?:script|style)\b.{0,5000}?</(?:script|style)>|<[^<>]{0,1000}>", re.IGNORECASE | re.DOTALL)
VOLUNTEERED = re.compile(
    r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}|[^\s@<>\"'(),;:]{1,64}@[^\s@<>\"'(),;:]{1,255}",
    re.IGNORECASE,
)
"""Practice ids and e-mail addresses, which a server may name although the request did not."""
MOST_OF_A_CODE = 999_999
"""A greater number is no error code: it may be a phone."""
MACHINE_CODES = re.compile(
    # FHIR's IssueType (hl7.org/fhir/STU3/valueset-issue-type.html), then OAuth's (RFC 6749, 5.2).
    r"invalid|structure|required|value|invariant|security|login|unknown|expired|forbidden|suppressed"
    r"|processing|not-supported|duplicate|not-found|too-long|code-invalid|extension|too-costly"
    r"|business-rule|conflict|incomplete|transient|lock-error|no-store|exception|timeout|throttled"
    r"|informational"
    r"|invalid_request|invalid_client|invalid_grant|unauthorized_client|unsupported_grant_type"
    r"|invalid_scope|interaction_required|temporarily_unavailable|server_error"
)
"""Words that are codes wherever they stand."""
HIDDEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Co", "Cs", "Cn"})


def texts(value: object) -> Iterator[str]:
    """Every text in a JSON value, keys apart, that could be somebody's data."""
    if isinstance(value, str):
        if not IDENTIFIER.fullmatch(value):
            yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from texts(item)


def spellings(secret: str) -> set[str]:
    """The forms in which a server may give a text back: plain, JSON, URL, HTML, hexadecimal, base64."""
    raw = secret.encode("utf-8", "surrogatepass")
    found = {
        secret,
        json.dumps(secret)[1:-1],
        quote(raw, safe=""),
        quote(raw),
        quote_plus(raw),
        html.escape(secret),
    }
    if len(raw) >= SHORTEST_ENCODED:
        found.add(raw.hex())
        for offset in range(3):
            # Inside a longer text base64 has three alignments; the characters that touch the neighbours are left out.
            encoded = base64.b64encode(b"\0" * offset + raw).decode()
            first, tail = (0, 2, 3)[offset], len(encoded) - len(encoded.rstrip("="))
            core = encoded[first : len(encoded) - tail - (1 if tail else 0)]
            found |= {core, core.replace("+", "-").replace("/", "_")}
    return {text for text in found if len(text) >= SHORTEST_SECRET}


class Hidden:
    """The secrets of the whole process, looked for in a text whichever request it answers. Thread-safe.

    ``values`` gives every secret known so far, the older ones first; it is asked with each text, so nothing is made
    before the first error. Spellings are found by their first characters, then by length: a pattern of 10,000
    businesses' secrets would be tried in full at every character.
    """

    def __init__(self, values: Callable[[], Sequence[str]]) -> None:
        self._values = values
        self._lock = threading.Lock()
        self._taken = 0
        self._forms: set[str] = set()
        self._lengths: dict[str, tuple[int, ...]] = {}
        """Of the spellings, by their first characters; longest first."""

    def __repr__(self) -> str:
        return "Hidden(…)"

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where spellings of the secrets stand, in any case: start and end, in order of their start."""
        with self._lock:
            self._take(self._values())
        low = _lower(text)
        for start in range(len(low) - SHORTEST_HIDDEN + 1):
            for length in self._lengths.get(low[start : start + SHORTEST_HIDDEN], ()):
                if low[start : start + length] in self._forms:
                    yield start, start + length
                    break

    def _take(self, values: Sequence[str]) -> None:
        for value in values[self._taken :]:
            if len(value.strip()) < SHORTEST_HIDDEN:
                continue
            for form in map(_lower, spellings(value.strip())):
                if len(form) < SHORTEST_HIDDEN or form in self._forms:
                    continue
                self._forms.add(form)
                first = form[:SHORTEST_HIDDEN]
                self._lengths[first] = tuple(sorted({*self._lengths.get(first, ()), len(form)}, reverse=True))
        self._taken = len(values)


def _lower(text: str) -> str:
    """In small letters, each in its place."""
    low = text.lower()
    return low if len(low) == len(text) else "".join(c.lower() if len(c.lower()) == 1 else c for c in text)


def scrub(text: str, secrets: Iterable[str], hidden: Hidden | None = None) -> str:
    """The text without the secrets, and without the hidden ones, in any of their spellings and in any case."""
    forms: set[str] = set()
    for secret in secrets:
        forms |= spellings(secret.strip())
        if " " in secret.strip():  # "Bearer …": the second word is the secret
            forms |= spellings(secret.strip().split(" ", 1)[1])
    found = list(hidden.spans(text)) if hidden is not None else []
    if forms:
        longest_first = sorted(forms, key=lambda form: (-len(form), form))
        pattern = re.compile("|".join(map(re.escape, longest_first)), re.IGNORECASE)
        found += [match.span() for match in pattern.finditer(text)]
    parts, at = [], 0
    for start, end in sorted(found, key=lambda span: (span[0], -span[1])):
        if end <= at:
            continue
        # One that begins inside another is the same stain: what is left of it goes too.
        parts += [text[at:start], MARK] if start >= at else []
        at = end
    return "".join([*parts, text[at:]])


def one_line(text: str) -> str:
    """The text without escape sequences, control, format and bidirectional characters; runs of white space are one."""
    plain = ESCAPES.sub(" ", text)
    shown = "".join(" " if unicodedata.category(c) in HIDDEN else c for c in plain)
    return " ".join(shown.split())


def shown(text: str, secrets: Iterable[str], hidden: Hidden | None = None) -> str:
    """What a message may repeat of a remote text: scrubbed, one line, at most 200 characters.

    ``secrets`` are what the request carried, ``hidden`` what the process knows besides. Practice ids and e-mail
    addresses are taken out also where the request had none.
    """
    # Scrubbed twice: escape sequences in the middle of a secret must not hide it from the first look.
    known = tuple(secrets)
    line = VOLUNTEERED.sub(MARK, scrub(one_line(scrub(text[:LOOKED_AT_CHARACTERS], known, hidden)), known, hidden))
    return line if len(line) <= SHOWN_CHARACTERS else line[: SHOWN_CHARACTERS - 1] + "…"


def said(body: bytes) -> tuple[int | str | None, str]:
    """Code and message of an error body: JSON of the kinds in use, HTML, or text. Neither is scrubbed yet."""
    text = body[: LOOKED_AT_CHARACTERS * 4].decode("utf-8", "replace")
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        if text.lstrip()[:1] == "<":
            title = TITLE.search(text)
            return None, html.unescape(title.group(1) if title else TAG.sub(" ", text[:LOOKED_AT_CHARACTERS]))
        return None, text
    return _code(value), _message(value)


def machine_code(body: bytes) -> int | str | None:
    """The code of an error body where it is known to be one: a short number, or a word of ``MACHINE_CODES``.

    For servers that know patients: nothing else of such a body may be shown, whatever member it stands in.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = [_code(value)]
    if isinstance(value, dict):
        found.append(value.get("errorCode"))
        issues = value.get("issue")
        found += [it.get("code") for it in (issues if isinstance(issues, list) else ()) if isinstance(it, dict)]
    return next((code for it in found if (code := _known_code(it)) is not None), None)


def _known_code(code: object) -> int | str | None:
    if isinstance(code, str):
        word = code.strip()
        if not (word.isascii() and word.isdecimal() and len(word) <= len(str(MOST_OF_A_CODE))):
            return word if MACHINE_CODES.fullmatch(word) else None
        code = int(word)
    return code if isinstance(code, int) and not isinstance(code, bool) and 0 <= code <= MOST_OF_A_CODE else None


def _code(value: Any) -> int | str | None:
    if not isinstance(value, dict):
        return None
    nested = value.get("error")
    code = value.get("code", nested.get("code") if isinstance(nested, dict) else nested)
    return code if isinstance(code, (int, str)) and not isinstance(code, bool) else None


def _message(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return _message(value[0]) if value else ""
    if not isinstance(value, dict):
        return ""
    # message: Birdeye; error_description: OAuth; issue, diagnostics, details.text: FHIR's OperationOutcome.
    for key in ("message", "errorMessage", "error_description", "detail", "diagnostics", "text", "error"):
        if isinstance(value.get(key), str):
            return str(value[key])
    for key in ("issue", "details", "error", "errors"):
        if found := _message(value.get(key)):
            return found
    return ""
