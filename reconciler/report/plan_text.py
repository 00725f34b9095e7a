"""A plan, and how an apply ended, as people read them on a terminal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from reconciler.core.plan import Change, FieldChange, Manual, Objection, Summary, Warning_
from reconciler.report.problems import escaped, inert

MARKS = {
    "create": "+",
    "adopt": "+",
    "update": "~",
    "activate": "~",
    "deactivate": "-",
    "move": "~",
    "reassert": "!",
    "manual": ">",
}
_COLOURS = {"+": "32", "~": "33", "-": "31", "!": "35", ">": "36", "?": "2", "x": "1;31"}
_ORDER = ("manual", "deactivate", "move", "update", "activate", "reassert", "adopt", "create")
LONGEST_VALUE = 200


@dataclass(frozen=True, slots=True)
class PlanView:
    """What a plan shows, whether fresh or read from a file."""

    changes: tuple[Change, ...]
    summary: Summary
    manual: tuple[Manual, ...] = ()
    objections: tuple[Objection, ...] = ()
    warnings: tuple[Warning_, ...] = ()
    never_sent: tuple[tuple[str, int], ...] = ()
    allowed: frozenset[tuple[str, str]] = frozenset()
    """(code, slug) of objections that are allowed."""


def render_plan(view: PlanView, *, colour: bool = False, summary_only: bool = False) -> str:
    """The whole plan. The last line but ``never sent`` is always the same and can be searched for."""
    lines: list[str] = []
    lines += _objections(view, colour)
    lines += _manual(view, colour)
    lines += _summary_list(view.changes, colour) if summary_only else _by_business(view.changes, colour)
    lines += _warnings(view)
    if not view.changes:
        what = ("No other changes", "nothing else") if view.objections else ("No changes", "nothing")
        lines += [f"{what[0]}: {what[1]} that can be seen differs from what is declared.", ""]
    standing = sum((it.code, it.slug) not in view.allowed for it in view.objections)
    lines.append(totals(replace(view.summary, refused=standing)))
    if view.never_sent:
        count = sum(number for _, number in view.never_sent)
        slugs = escaped(" ".join(f"--reassert {slug}" for slug, _ in view.never_sent[:3]))
        more = " …" if len(view.never_sent) > 3 else ""
        lines.append(f"never sent: {count} fields ({slugs}{more})")
    return "\n".join(lines) + "\n"


def totals(summary: Summary) -> str:
    """``Plan: 2 create, 5 update, …``."""
    it = summary
    counts = [
        f"{it.create} create",
        f"{it.update} update",
        f"{it.activate} activate",
        f"{it.deactivate} deactivate",
        f"{it.move} move",
        f"{it.reassert} reassert",
        f"{it.adopt} adopt",
        f"{it.manual} manual",
    ]
    return (
        f"Plan: {', '.join(counts)}; {it.unverified_fields} unverified; {it.unchanged} unchanged; "
        f"{it.unreadable} unreadable; {it.refused} refused"
    )


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour and code else text


def _mark(action: str, colour: bool) -> str:
    mark = MARKS[action]
    return _paint(mark, _COLOURS[mark], colour)


def _objections(view: PlanView, colour: bool) -> list[str]:
    if not view.objections:
        return []
    lines = [_paint("Objections: each must be allowed by name before anything is written", "1", colour), ""]
    for it in view.objections:
        allowed = (it.code, it.slug) in view.allowed
        word = "allowed" if allowed else f"--allow {it.code}:{it.slug}"
        lines.append(f"  {_paint('x', _COLOURS['x'], colour)} {escaped(f'{it.code}  {it.slug}')}")
        lines += [inert(f"      {it.message}"), inert(f"      {word}")]
    return [*lines, ""]


def _manual(view: PlanView, colour: bool) -> list[str]:
    if not view.manual:
        return []
    lines = [_paint("Steps for a person", "1", colour), ""]
    by_text: defaultdict[str, list[str]] = defaultdict(list)
    for it in view.manual:
        by_text[it.text].append(it.slug)
    mark = _paint(">", _COLOURS[">"], colour)
    for text, slugs in by_text.items():
        lines += [f"  {mark} {escaped(text)}", inert(f"      {', '.join(slugs)}")]
    return [*lines, ""]


def _warnings(view: PlanView) -> list[str]:
    if not view.warnings:
        return []
    return ["Notes", "", *(inert(f"  {it.slug}: {it.text}") for it in view.warnings), ""]


def _summary_list(changes: Iterable[Change], colour: bool) -> list[str]:
    ordered = sorted(changes, key=lambda it: (it.slug, _ORDER.index(it.action)))
    lines = [
        f"{_mark(it.action, colour)} {it.action:<10} {it.kind:<7} {escaped(it.slug)} {it.business}" for it in ordered
    ]
    return [*lines, ""] if lines else []


def _by_business(changes: Iterable[Change], colour: bool) -> list[str]:
    by_slug: defaultdict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_slug[change.slug].append(change)
    lines: list[str] = []
    for slug, them in by_slug.items():
        lines.append(f"{_paint(inert(slug), '1', colour)}  {escaped(them[0].source.file)}")
        for change in sorted(them, key=lambda it: _ORDER.index(it.action)):
            lines += _change(change, colour)
        lines.append("")
    return lines


def _change(change: Change, colour: bool) -> list[str]:
    said = escaped(f"({change.reason})  {change.source.file}:{change.source.line}")
    lines = [f"  {_mark(change.action, colour)} {change.action} {change.kind} {change.business}  {said}"]
    width = min(max((len(it.path) for it in change.fields), default=0), 40)
    for it in change.fields:
        lines.append(inert(f"      {it.path:<{width}}  {_arrow(change, it)}"))
    return lines


def _arrow(change: Change, it: FieldChange) -> str:
    unverified = "  (unverified)" if it.verdict == "unverified" else ""
    if it.before == it.after and not it.sensitive:
        return f"{value(it.after)}{unverified}"
    if change.action == "create" and it.before is None:
        return value(it.after)
    return f"{value(it.before)} -> {value(it.after)}{unverified}"


def value(it: Any) -> str:
    """One side of a field: bare words, ``(none)``, lists with commas; control characters escaped, long text cut."""
    if it is None:
        return "(none)"
    if isinstance(it, bool):
        return "true" if it else "false"
    if isinstance(it, list):
        return _cut(escaped(", ".join(str(one) for one in it)) or "(empty)")
    if isinstance(it, dict):
        return _cut(escaped(", ".join(f"{key}={one}" for key, one in sorted(it.items()) if one is not None)))
    return _cut(escaped(str(it))) or '""'


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"


def render_outcomes(changes: Iterable[Change], outcomes: Mapping[str, tuple[str, str]], *, colour: bool = False) -> str:
    """One line per change that did not simply succeed, then the counts."""
    changes = tuple(changes)
    lines: list[str] = []
    counts: defaultdict[str, int] = defaultdict(int)
    for it in changes:
        outcome, detail = outcomes.get(it.id, ("not_attempted", ""))
        counts[outcome] += 1
        if outcome not in ("applied", "already"):
            of = escaped(f"of {it.slug} ({it.source})" + (f": {detail}" if detail else ""))
            code = _COLOURS["x"] if outcome in ("failed", "unknown") else ""
            lines.append(f"  {_paint(outcome, code, colour)} {it.action} {it.kind} {it.business} {of}")
    names = ("applied", "already", "failed", "unknown", "skipped", "not_attempted")
    said = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in names if counts[name] or name == "applied")
    lines.append(f"Apply: {said}")
    return "\n".join(lines) + "\n"
