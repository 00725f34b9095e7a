"""A view as SARIF 2.1.0 (OASIS), as code scanning reads it: stable rules, fingerprints without line numbers."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from reconciler.core.problems import Position
from reconciler.report.problems import escaped
from reconciler.report.view import Level, Remark, View

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
MOST_RESULTS = 5_000
"""GitHub keeps 5,000 results of a run and takes 25,000."""
_LEVELS: dict[Level, str] = {"error": "error", "warning": "warning", "note": "note", "ok": "note"}
_SAFE = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/")


def message(text: str) -> str:
    """Any text as a plain message: brackets and backslashes would be a link or an escape (SARIF 3.11.6)."""
    return escaped(text).replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]")


def uri(path: str) -> str:
    """A path relative to the repository, percent-encoded."""
    raw = path.encode("utf-8", "surrogatepass")
    return "".join(chr(it) if it in _SAFE else f"%{it:02X}" for it in raw).lstrip("/")


def render(view: View, version: str = "") -> str:
    """The log. Errors come first where there are more results than are kept; the run says how many were left out."""
    rank = {"error": 0, "warning": 1, "note": 2, "ok": 3}
    remarks = sorted(view.remarks, key=lambda it: rank[it.level])
    kept, left = remarks[:MOST_RESULTS], len(remarks[MOST_RESULTS:])
    rules = sorted({it.rule for it in kept})
    index = {rule: i for i, rule in enumerate(rules)}
    run: dict[str, Any] = {
        "tool": {
            "driver": {
                "name": "reconciler",
                "rules": [{"id": it, "shortDescription": {"text": it}} for it in rules],
                **({"version": version} if version else {}),
            }
        },
        "automationDetails": {"id": f"reconciler/{view.kind}/"},
        "columnKind": "unicodeCodePoints",
        "results": [_result(it, index) for it in kept],
        "properties": {"verdict": escaped(view.verdict), "left_out": left},
    }
    # ASCII only: a direction mark cannot reorder what a viewer of the raw file sees.
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _result(it: Remark, index: dict[str, int]) -> dict[str, Any]:
    key = hashlib.sha256(f"{it.rule}|{it.group}|{it.key or it.text}".encode("utf-8", "replace")).hexdigest()
    found: dict[str, Any] = {
        "ruleId": it.rule,
        "ruleIndex": index[it.rule],
        "level": _LEVELS[it.level],
        "message": {"text": message(f"{it.group}: {it.text}")},
        "partialFingerprints": {"reconciler/v1": key[:32]},
    }
    # Code scanning refuses a result without a place: what has none of its own stands at the settings' first line.
    place = it.place or Position("reconciler.yaml")
    region = {"startLine": max(place.line, 1), "startColumn": max(place.column, 1)}
    found["locations"] = [{"physicalLocation": {"artifactLocation": {"uri": uri(place.file)}, "region": region}}]
    return found
