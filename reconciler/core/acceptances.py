"""Differences that somebody accepted for a while: ``acceptances.yaml``, its entries and edits of its text.

version: 1
acceptances:
  - slug: example-skin-group
    business: 100000000000101        # a location; without it the group
    path: properties.location.name
    live: 0123456789abcdef…          # keyed fingerprint of the accepted live value; another value ends it
    reason: agreed with the practice until the move
    until: "2026-12-31"              # the last day
    by: Jo Example
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from reconciler.core.drift import Finding
from reconciler.core.problems import Position
from reconciler.core.suggest import nearest, quoted

FILE_NAME = "acceptances.yaml"
LONGEST = timedelta(days=366)
"""How far ahead the last day may lie: an acceptance that nobody looks at again for a year is a change of the file."""
_KEYS = ("slug", "business", "path", "live", "reason", "until", "by")
_REQUIRED = ("slug", "path", "live", "reason", "until", "by")
_PRINT = re.compile(r"[0-9a-f]{8,64}")
_EMPTY_LIST = re.compile(r"^(acceptances:)[ \t]*\[[ \t]*\][ \t]*(#[^\n]*)?$", re.MULTILINE)

Lines = Mapping[tuple[str | int, ...], tuple[int, int]]
"""Path in the document -> first line and column, from 1."""


@dataclass(frozen=True, slots=True)
class Acceptance:
    """One entry. ``until`` is the last day on which it holds."""

    slug: str
    business: int | None
    path: str
    live: str
    reason: str
    until: date
    by: str

    def is_about(self, it: Finding) -> bool:
        """The same field of the same object (the object of the practice's own system counts as its location's)."""
        return (self.slug, self.business, self.path) == (it.slug, it.location, it.path)

    def holds(self, it: Finding, today: date) -> bool:
        """Does it accept this difference on this day?"""
        return self.is_about(it) and self.live == it.live_print and today <= self.until


def parse(value: Any, lines: Lines, file: str) -> tuple[tuple[Acceptance, ...], tuple[str, ...]]:
    """The entries of a document, and in words, with its place, all that is not one."""
    problems: list[str] = []

    def wrong(path: tuple[str | int, ...], message: str, hint: str | None = None) -> None:
        problems.append(f"{_position(lines, path, file)}: {message}" + (f" ({hint})" if hint else ""))

    if value is None:
        return (), ()
    if not isinstance(value, dict) or set(value) - {"version", "acceptances"} or value.get("version") != 1:
        wrong(
            (),
            "not a file of acceptances",
            "it has `version: 1` and a list `acceptances`; `reconciler accept` writes it",
        )
        return (), tuple(problems)
    entries = value.get("acceptances")
    if not isinstance(entries, list | tuple | type(None)):
        wrong(("acceptances",), "`acceptances` is not a list")
        return (), tuple(problems)
    found: list[Acceptance] = []
    for index, entry in enumerate(entries or ()):
        where: tuple[str | int, ...] = ("acceptances", index)
        before = len(problems)
        if not isinstance(entry, dict):
            wrong(where, "an acceptance is a mapping")
            continue
        for key in entry:
            if key not in _KEYS:
                guess = nearest(str(key), _KEYS)
                wrong((*where, key), f"unknown key {quoted(str(key))}", f"did you mean: `{guess}`" if guess else None)
        for key in _REQUIRED:
            if not isinstance(entry.get(key), str) or not entry[key].strip():
                wrong((*where, key) if key in entry else where, f"`{key}` is missing or is not text")
        number = entry.get("business")
        if not (number is None or (type(number) is int and number > 0)):
            wrong((*where, "business"), "`business` is not a business number")
        if isinstance(entry.get("live"), str) and not _PRINT.fullmatch(entry["live"]):
            wrong((*where, "live"), "`live` is not a fingerprint", "`reconciler accept` writes it")
        until = _date(entry.get("until"))
        if isinstance(entry.get("until"), str) and until is None:
            wrong((*where, "until"), 'not a date of the form "2026-12-31"')
        if len(problems) == before and until is not None:
            found.append(
                Acceptance(entry["slug"], number, entry["path"], entry["live"], entry["reason"], until, entry["by"])
            )
    return tuple(found), tuple(problems)


def _position(lines: Lines, path: tuple[str | int, ...], file: str) -> Position:
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return Position(file, *lines[path[:length]])
    return Position(file)


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) and len(value) == 10 else None
    except ValueError:
        return None


def entry_text(it: Acceptance) -> str:
    """One entry as YAML, quoted where a reader could take it for something else."""
    lines = [f"slug: {it.slug}"]
    if it.business is not None:
        lines.append(f"business: {it.business}")
    lines += [
        f"path: {_quoted(it.path)}",
        f'live: "{it.live}"',
        f"reason: {_quoted(it.reason)}",
        f'until: "{it.until.isoformat()}"',
        f"by: {_quoted(it.by)}",
    ]
    return "  - " + "\n    ".join(lines) + "\n"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def with_entry(text: str, it: Acceptance, before: Iterable[tuple[Acceptance, int]]) -> str:
    """The text of the file with one entry added, in place of one about the same field; all else stays as it is.

    ``before`` are the entries that the text has, with the line (from 1) at which each begins.
    """
    if not text.strip():
        return "version: 1\nacceptances:\n" + entry_text(it)
    text = text if text.endswith("\n") else text + "\n"
    same = next(
        (line for one, line in before if (one.slug, one.business, one.path) == (it.slug, it.business, it.path)), None
    )
    if same is not None:
        lines = text.splitlines(keepends=True)
        end = _end_of_entry(lines, same - 1)
        lines[same - 1 : end] = [_indented(entry_text(it), lines[same - 1])]
        return "".join(lines)
    if not before_any(text):
        return text + "acceptances:\n" + entry_text(it)
    text = _EMPTY_LIST.sub(lambda found: found[1] + (f" {found[2]}" if found[2] else ""), text, count=1)
    lines = text.splitlines(keepends=True)
    first = next((line for _, line in before), None)
    like = lines[first - 1] if first is not None else "  - "
    at = _end_of_list(lines)
    lines.insert(at, _indented(entry_text(it), like))
    return "".join(lines)


def before_any(text: str) -> bool:
    """Does the text have the list's key?"""
    return any(line.startswith("acceptances:") for line in text.splitlines())


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _indented(entry: str, like: str) -> str:
    """The entry, its dash in the column of another entry's."""
    shift = _indent(like) - 2
    if shift >= 0:
        return "".join(" " * shift + line for line in entry.splitlines(keepends=True))
    return "".join(line[-shift:] for line in entry.splitlines(keepends=True))


def _end_of_entry(lines: list[str], start: int) -> int:
    """The line after an entry that begins at ``start``: comments and blank lines before the next one are not its own."""
    dash = _indent(lines[start])
    end = start + 1
    at = end
    while at < len(lines) and (
        not lines[at].strip() or lines[at].lstrip().startswith("#") or _indent(lines[at]) > dash
    ):
        is_content = bool(lines[at].strip()) and not lines[at].lstrip().startswith("#")
        at += 1
        if is_content:
            end = at
    return end


def _end_of_list(lines: list[str]) -> int:
    """Where the list ``acceptances`` ends."""
    start = next(i for i, line in enumerate(lines) if line.startswith("acceptances:"))
    end = start + 1
    for at in range(start + 1, len(lines)):
        line = lines[at]
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if line[0] not in " -":
            break
        end = at + 1
    return end


def split(
    findings: Iterable[Finding], acceptances: Iterable[Acceptance], today: date
) -> tuple[list[Finding], list[tuple[Finding, Acceptance]], list[str]]:
    """What stays, what somebody accepted, and in words the acceptances about these that hold no more."""
    by_field: dict[tuple[str, int | None, str], list[Acceptance]] = {}
    for one in acceptances:
        by_field.setdefault((one.slug, one.business, one.path), []).append(one)
    stay: list[Finding] = []
    accepted: list[tuple[Finding, Acceptance]] = []
    ended: list[str] = []
    for it in findings:
        about = by_field.get((it.slug, it.location, it.path), []) if it.is_drift else []
        holding = next((one for one in about if one.holds(it, today)), None)
        if holding is not None:
            accepted.append((it, holding))
            continue
        stay.append(it)
        for one in about:
            why = f"ended on {one.until}" if today > one.until else "was for another live value"
            ended.append(f"{it.slug} {it.object} {it.path}: the acceptance by {one.by} {why}")
    return stay, accepted, ended
