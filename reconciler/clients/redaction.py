"""What of a remote answer may be shown: one clean line, without anything that the request itself carried."""

from __future__ import annotations

import base64
import html
import json
import re
import unicodedata
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHOWN_CHARACTERS = 200
LOOKED_AT_CHARACTERS = 20_000
MARK = "[removed]"
SHORTEST_SECRET = 3
"""Shorter texts ("M", "12") would only shred the message."""
SHORTEST_ENCODED = 6
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


def scrub(text: str, secrets: Iterable[str]) -> str:
    """The text without the secrets in any of their spellings and in any case."""
    forms: set[str] = set()
    for secret in secrets:
        forms |= spellings(secret.strip())
        if " " in secret.strip():  # "Bearer …": the second word is the secret
            forms |= spellings(secret.strip().split(" ", 1)[1])
    if not forms:
        return text
    longest_first = sorted(forms, key=lambda form: (-len(form), form))
    return re.sub("|".join(map(re.escape, longest_first)), MARK, text, flags=re.IGNORECASE)


def one_line(text: str) -> str:
    """The text without escape sequences, control, format and bidirectional characters; runs of white space are one."""
    plain = ESCAPES.sub(" ", text)
    shown = "".join(" " if unicodedata.category(c) in HIDDEN else c for c in plain)
    return " ".join(shown.split())


def shown(text: str, secrets: Iterable[str]) -> str:
    """What a message may repeat of a remote text: scrubbed, one line, at most 200 characters.

    Practice ids and e-mail addresses are taken out also where the request had none.
    """
    # Scrubbed twice: escape sequences in the middle of a secret must not hide it from the first look.
    known = tuple(secrets)
    line = VOLUNTEERED.sub(MARK, scrub(one_line(scrub(text[:LOOKED_AT_CHARACTERS], known)), known))
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
