"""Drift as people read it, with the two commands that end each difference, and as JSON."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from reconciler.core.drift import EXISTS, BusinessDrift, Finding, Report, Totals
from reconciler.core.plan import FORMAT_VERSION
from reconciler.core.sources import nextech
from reconciler.report.plan_text import value
from reconciler.report.problems import escaped, inert, json_text
from reconciler.report.view import counted

MARKS = {
    "changed_outside": "~",
    "not_applied_yet": "~",
    "conflict": "!",
    "missing": "-",
    "undeclared": "?",
    "unverified": "?",
    "unreadable": "x",
    "unmanaged": " ",
    "released": " ",
}
_COLOURS = {"~": "33", "!": "35", "-": "31", "x": "1;31", "?": "36"}
_WORDS = {
    "changed_outside": "changed outside git since it was applied",
    "not_applied_yet": "declared and not applied yet",
    "conflict": "changed in git and outside git",
    "missing": "gone",
    "undeclared": "applied, and declared no more",
    "unverified": "unverified",
    "unreadable": "could not be read",
    "unmanaged": "live, and nobody declares it",
    "released": "released: neither managed nor synced",
}
_LEAST_SHARED = 2
_MOST_NAMES = 12


def render_drift(report: Report, now: datetime, *, colour: bool = False) -> str:
    """The whole report as text. The last line is always the same and can be searched for."""
    lines: list[str] = []
    for it in report.objections:
        lines += [escaped(f"  x {it.code}  {it.slug}"), inert(f"      {it.message}")]
    if lines:
        lines = [_bold("Objections: apply refuses until each is allowed by name", colour), "", *lines, ""]
    lines += _causes(report, colour)
    for one in report.businesses:
        if not _only_unseen(one):
            lines += _business(one, now, colour)
    lines += _unseen(report, colour)
    lines += _accepted(report, colour)
    said = [*report.ended, *report.notes]
    if report.passing:
        said.append(f"{report.passing} differences were seen by one of the two reads only and are not reported")
    if said:
        lines += ["Notes", "", *(inert(f"  {it}") for it in said), ""]
    if not report.totals.drifted_fields and not report.is_unreadable:
        lines += ["No drift: nothing that can be seen differs from what is declared.", ""]
    lines.append(totals(report))
    return "\n".join(lines) + "\n"


def totals(report: Report) -> str:
    """``Drift: 3 drifted, …``: the figure of coverage beside the count, always."""
    it = report.totals
    return (
        f"Drift: {it.drifted_fields} drifted, {len(report.accepted)} accepted; {checked(it)}; "
        f"{it.unverified_fields} unverified; {it.unreadable_fields} unreadable"
    )


def checked(it: Totals) -> str:
    """``5 of 8 declared fields checked (62 %)``; no share where nothing is declared."""
    everything = it.checked_fields + it.unverified_fields + it.unreadable_fields
    return f"{it.checked_fields:,} of {everything:,} declared fields checked ({share(it)})"


def share(it: Totals) -> str:
    """``62 %``, or that there is nothing to check."""
    is_any = it.checked_fields or it.unverified_fields or it.unreadable_fields
    return f"{int(it.coverage * 100)} %" if is_any else "nothing is declared"


def drift_json(report: Report) -> str:
    """The published document."""
    it = report.totals
    document = {
        "format_version": FORMAT_VERSION,
        "kind": "drift",
        "summary": {
            "drifted_fields": it.drifted_fields,
            "checked_fields": it.checked_fields,
            "unverified_fields": it.unverified_fields,
            "unreadable_fields": it.unreadable_fields,
            "coverage": it.coverage,
        },
        "businesses": [
            {"slug": one.slug, "business": one.business, "fields": [field.to_json() for field in one.findings]}
            for one in report.businesses
        ],
        "accepted": [
            {"slug": field.slug, **field.to_json(), "reason": reason, "until": until, "by": by}
            for field, reason, until, by in report.accepted
        ],
    }
    return json_text(document)


def age(it: Finding, now: datetime) -> str:
    """``for 3 days``, ``for 5 hours``; empty where it was first seen just now, or where that is not on record."""
    if it.first_seen is None:
        return ""
    seconds = int((now - datetime.fromisoformat(it.first_seen)).total_seconds())
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"for {number} {word}{'s' if number > 1 else ''}"
    return ""


def _bold(text: str, colour: bool) -> str:
    return f"\x1b[1m{text}\x1b[0m" if colour else text


def _mark(it: Finding, colour: bool) -> str:
    mark = MARKS[it.kind]
    return f"\x1b[{_COLOURS[mark]}m{mark}\x1b[0m" if colour and mark in _COLOURS else mark


def shared(report: Report) -> list[tuple[int, str]]:
    """Differences that several businesses have in common: how many, and in words."""
    groups: defaultdict[tuple[str, str, str, str, str], set[str]] = defaultdict(set)
    for one in report.businesses:
        for it in one.findings:
            if it.is_drift and it.kind != "undeclared":
                kind = it.object.partition(":")[0]
                key = (kind, it.path, it.kind, json.dumps(it.declared), json.dumps(it.live))
                groups[key].add(one.slug)
    found: list[tuple[int, str]] = []
    for (kind, path, class_, declared, live), slugs in groups.items():
        if len(slugs) < _LEAST_SHARED:
            continue
        names = ", ".join(sorted(slugs)[:_MOST_NAMES]) + (", …" if len(slugs) > _MOST_NAMES else "")
        difference = f"declared {value(json.loads(declared))}, live {value(json.loads(live))}"
        found.append((len(slugs), f"{kind} {path}: {difference} ({_WORDS[class_]}), one cause: {names}"))
    return sorted(found, key=lambda it: (-it[0], it[1]))


def _causes(report: Report, colour: bool) -> list[str]:
    causes = shared(report)
    if not causes:
        return []
    lines = [_bold("The same difference in several businesses", colour), ""]
    lines += [f"  {size} businesses: {escaped(text)}" for size, text in causes]
    return [*lines, ""]


def _business(one: BusinessDrift, now: datetime, colour: bool) -> list[str]:
    shown = [it for it in one.findings if not is_counted(it)]
    counts = Counter((it.kind, it.note) for it in one.findings if is_counted(it))
    if not shown and not counts:
        return []
    lines = [f"{_bold(inert(one.slug), colour)}  {escaped(one.file) or one.business}"]
    for it in shown:
        lines += _finding(it, now, colour)
    for (kind, note), number in sorted(counts.items()):
        fields = "1 field" if number == 1 else f"{number} fields"
        lines.append(f"  {MARKS[kind]} {fields} {_WORDS[kind]}: {escaped(note)}")
    if any(it.is_drift for it in shown):
        lines += [f"    {it}" for it in to_live(one)]
    return [*lines, ""]


def is_counted(it: Finding) -> bool:
    """Is it one of many alike, of which the number says enough?"""
    return it.kind in ("unverified", "unreadable") and not it.object.startswith("nextech:")


def _only_unseen(one: BusinessDrift) -> bool:
    return not one.unreadable and all(it.kind == "unverified" for it in one.findings)


def _unseen(report: Report, colour: bool) -> list[str]:
    """Businesses of which nothing differs, and not all can be seen: a line for each reason, not for each of them."""
    fields = Counter[str]()
    slugs: defaultdict[str, list[str]] = defaultdict(list)
    for one in report.businesses:
        if _only_unseen(one):
            notes = Counter(it.note for it in one.findings)
            fields.update(notes)
            for note in notes:
                slugs[note].append(one.slug)
    if not fields:
        return []
    lines = [_bold("Not seen in full, and nothing differs", colour), ""]
    for note, number in sorted(fields.items()):
        names = ", ".join(slugs[note][:_MOST_NAMES]) + (", …" if len(slugs[note]) > _MOST_NAMES else "")
        what = f"{counted(number, 'field')} unverified in {counted(len(slugs[note]), 'business', 'businesses')}"
        lines += [escaped(f"  ? {what}: {note}"), inert(f"      {names}")]
    return [*lines, ""]


def _finding(it: Finding, now: datetime, colour: bool) -> list[str]:
    since = age(it, now)
    what = f"{it.object} {it.path}" if it.path != "exists" else it.object
    line = (
        f"  {_mark(it, colour)} {escaped(what)}  {_difference(it)}  ({_WORDS[it.kind]}{', ' + since if since else ''})"
    )
    where = f"  {it.position.file}:{it.position.line}" if it.position is not None and it.is_drift else ""
    lines = [line + escaped(where)]
    if it.note:
        lines.append(inert(f"      {it.note}"))
    if it.is_drift and (edit := to_git(it)):
        lines.append(f"      git := live   {edit}")
    return lines


def _difference(it: Finding) -> str:
    if it.path == "exists":
        return value(it.live) if isinstance(it.live, str) else "not there" if it.live is False else ""
    if it.kind == "unmanaged":
        return value(it.live)
    if it.object.startswith("nextech:"):
        return value(it.declared)
    return f"declared {value(it.declared)}, live {value(it.live)}"


def to_live(one: BusinessDrift) -> list[str]:
    """What makes the live state match git."""
    kinds = {it.kind for it in one.findings if it.is_drift and not it.object.startswith("nextech:")}
    if not kinds:
        return []
    if not one.file:
        return [
            escaped(f"live := git   restore the file, or let go of it: reconciler forget {one.slug}"),
            escaped(f"git := live   reconciler import {one.business} --slug {one.slug} --write"),
        ]
    if kinds == {"undeclared"}:
        return [escaped(f"live := git   restore the entry, or: reconciler forget {one.slug} --location BUSINESS")]
    held = next((it for it in one.findings if it.object == "group" and it.path == EXISTS and it.is_drift), None)
    if held is not None:
        return _to_group(one, held)
    return [f"live := git   reconciler plan {escaped(one.file)} --out plan.json && reconciler apply plan.json"]


def _to_group(one: BusinessDrift, held: Finding) -> list[str]:
    """Where no group can be compared with, a plan changes nothing: a person says which one is meant, or that it is gone."""
    pin = escaped(f"`group.id` in {one.file}")
    if held.kind != "missing":
        return [f"live := git   pin the group that is meant: {pin}"]
    if held.note.startswith("`group.id` names"):
        return ["live := git   ask Birdeye where the group is", f"git := live   correct {pin}"]
    return [
        escaped(f"live := git   ask Birdeye where the group is; if it is gone for good: reconciler forget {one.slug}"),
        f"git := live   pin the group that took its place: {pin}",
    ]


def to_git(it: Finding) -> str:
    """What makes git match the live state: the line to write, and where; a secret's line names no value."""
    where = f"{it.position.file}:{it.position.line}" if it.position is not None else ""
    if it.object.startswith("nextech:"):
        return escaped(f"correct the names in {where}")
    if it.path == "exists" or not where:
        return ""
    if it.path == "active":
        return escaped(f"{where}: state: {'active' if it.live else 'inactive'}")
    if it.path == "triggers":
        return escaped(f"{where}: triggers: {_yaml(it.live)}")
    spec = nextech.BY_KEY.get(it.path.removeprefix("properties."))
    if spec is None:
        return ""
    if spec.secure:
        return escaped(f"{where}: {spec.name}: a reference whose secret is the live value")
    if it.live is None:
        return escaped(f"{where}: delete the line {spec.name}")
    if not str(it.live).isprintable():
        return "the live value cannot be written in a declaration"
    return escaped(f"{where}: {spec.name}: {_yaml(_typed(spec, str(it.live)))}")


def _typed(spec: nextech.Field, wire: str) -> Any:
    if spec.kind == "list":
        return [part for raw in wire.split(spec.separator) if (part := raw.strip())]
    if spec.kind == "int" and wire.strip().isdecimal():
        return int(wire)
    return wire


def _yaml(it: Any) -> str:
    """JSON is YAML: flow lists and quoted text."""
    return json.dumps(it)


def _accepted(report: Report, colour: bool) -> list[str]:
    if not report.accepted:
        return []
    lines = [_bold("Accepted for a while", colour), ""]
    for it, reason, until, by in _sorted(report.accepted):
        lines.append(inert(f"  {it.slug} {it.object} {it.path}  {_difference(it)}"))
        lines.append(f"      until {until}, {escaped(by)}: {escaped(reason)}")
    return [*lines, ""]


def _sorted(accepted: Iterable[tuple[Finding, str, str, str]]) -> list[tuple[Finding, str, str, str]]:
    return sorted(accepted, key=lambda it: it[0].key)
