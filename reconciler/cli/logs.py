"""Log lines on stderr: text for people, JSON for machines; values that are known to be secret never pass."""

from __future__ import annotations

import base64
import json
import logging
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from urllib.parse import quote

_hidden: set[str] = set()


def hide(values: Iterable[str]) -> None:
    """Have these values, and what they become in base64, URLs, hex and JSON, replaced in every log line."""
    for value in values:
        data = value.encode()
        _hidden.update(
            it
            for it in (
                value,
                quote(value, safe=""),
                data.hex(),
                base64.b64encode(data).decode().rstrip("="),
                base64.urlsafe_b64encode(data).decode().rstrip("="),
                json.dumps(value)[1:-1],
            )
            if len(it) >= 6
        )


def scrubbed(text: str) -> str:
    """``text`` with every hidden value replaced."""
    for value in sorted(_hidden, key=len, reverse=True):
        text = text.replace(value, "<hidden>")
    return text


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        from reconciler.report.problems import escaped  # with the first line, not with the program

        fields = getattr(record, "fields", {})
        shown = " ".join(f"{key}={value}" for key, value in fields.items())
        return escaped(scrubbed(f"{record.levelname.lower()}: {record.getMessage()}{' ' + shown if shown else ''}"))


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        line = {"at": at, "level": record.levelname.lower(), "event": record.getMessage()}
        # ASCII only: nothing in a line acts on a terminal or on a job's runner that shows it.
        return scrubbed(json.dumps(line | getattr(record, "fields", {}), default=repr)).replace("##[", "#\\u0023[")


def set_up(level: int, form: str) -> None:
    """One handler on stderr for everything of ours."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    root = logging.getLogger("reconciler")
    root.handlers[:] = [handler]
    root.setLevel(level)
    root.propagate = False
