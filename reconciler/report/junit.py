"""A view as JUnit XML: a suite for each business or file, a case for each change, difference or problem."""

from __future__ import annotations

import html

from reconciler.report.problems import escaped
from reconciler.report.view import Entry, Group, Point, View, place_text


def text(it: str) -> str:
    """Any text, as content or attribute: what XML 1.0 cannot hold is written as an escape."""
    return html.escape(escaped(it), quote=True)


def render(view: View) -> str:
    """The document. Failures are what is an error or a warning; what is only said passes."""
    suites = [_points(view)] if any(it.remark for section in view.sections for it in section.points) else []
    suites += [_group(view, it) for it in view.groups]
    suites += [
        (1, 0, [f'    <testcase classname="{text(name)}" name="nothing to say"/>'], text(name)) for name in view.passed
    ]
    if not suites:
        suites = [(1, 0, [f'    <testcase classname="{text(view.kind)}" name="{text(view.verdict)}"/>'], view.kind)]
    tests, failures = sum(it[0] for it in suites), sum(it[1] for it in suites)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>']
    lines.append(f'<testsuites name="reconciler {view.kind}" tests="{tests}" failures="{failures}" errors="0">')
    for number, failed, cases, name in suites:
        lines.append(f'  <testsuite name="{name}" tests="{number}" failures="{failed}" errors="0" skipped="0">')
        lines += [*cases, "  </testsuite>"]
    return "\n".join([*lines, "</testsuites>"]) + "\n"


_Suite = tuple[int, int, list[str], str]


def _points(view: View) -> _Suite:
    points: list[Point] = [it for section in view.sections for it in section.points if it.remark is not None]
    cases: list[str] = []
    failed = 0
    for it in points:
        if it.remark is None:
            continue
        bad = it.remark.level in ("error", "warning")
        failed += bad
        cases += _case(view.kind, it.head or it.text, it.remark.rule, it.text, bad=bad)
    return len(points), failed, cases, "of the whole run"


def _group(view: View, group: Group) -> _Suite:
    cases: list[str] = []
    failed = 0
    for it in group.entries:
        bad = it.remark is not None and it.remark.level in ("error", "warning")
        failed += bad
        rule = it.remark.rule if it.remark is not None else view.kind
        cases += _case(group.name, f"{it.word} {it.what}", rule, _body(it), bad=bad)
    return len(group.entries), failed, cases, text(group.name)


def _case(group: str, name: str, rule: str, body: str, *, bad: bool) -> list[str]:
    head = f'    <testcase classname="{text(group)}" name="{text(name)}"'
    if not bad:
        return [f"{head}/>"]
    lines = "\n".join(text(line) for line in body.split("\n"))
    first = text(body.split("\n", 1)[0])
    return [f"{head}>", f'      <failure type="{text(rule)}" message="{first}">{lines}</failure>', "    </testcase>"]


def _body(it: Entry) -> str:
    where = place_text(it.place)
    lines = [" ".join(part for part in (it.why or it.what, it.outcome, where) if part)]
    # A dash of ours begins each line: a log that this is printed to takes a line that begins with ``::`` for a command.
    lines += [f"- {row.path}: {row.before} -> {row.after} {row.note}".rstrip() for row in it.rows]
    return "\n".join([*lines, *(f"- {line}" for line in it.lines)])
