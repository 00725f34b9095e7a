"""A view as Markdown for GitHub and GitLab: a comment, an issue, a job summary.

Two ways for a foreign text to stand in Markdown, and no third: ``prose`` (entities for everything that Markdown, HTML
or a forge acts on, a zero-width space after what begins a mention or reference) and a line of a fenced block, whose
fence is longer than every run of backticks inside. A line never begins with a foreign text.

Too long for its place, a view is degraded by level, never cut: see ``LEVELS``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from reconciler.report.problems import escaped, inert
from reconciler.report.view import ORIGINS, Entry, Group, Point, Section, Shown, View, counted, cut, place_text

LEVELS = (
    "everything",
    "fields of risky changes only",
    "one line for each change",
    "counts for each business",
    "counts only",
)
MOST_POINTS = ((100_000,), (400,), (400, 120), (400, 120, 40), (1_000, 400, 120, 40, 15, 5, 0))
"""How many points of a section each level shows, the first that fits; the rest is counted."""
LONGEST_POINT = (4_000, 2_000, 600, 400, 240)
"""Bytes of one text of a point, once escaped."""
FIRST_SCREEN = 20
"""So many lines of a section stand open; the others are folded, so that the next section is seen too."""
ALWAYS_COUNTED = 3
"""So many counts are shown whatever they are: of a plan what is created, updated, deactivated."""
LONGEST_LINE = 1_000
"""Bytes of a title, verdict or fact, once escaped."""
COMMENT_BYTES = 60_000
"""GitHub takes 65,536 characters."""
SUMMARY_BYTES = 900_000
"""GitHub takes 1 MiB for a step, and drops all of a longer one."""

_ENTITIES = {ord(it): f"&#{ord(it)};" for it in "&<>\"'\\`*_{}[]()#|~@!$^"}
_ZERO_WIDTH = "&#8203;"
_SIGIL = re.compile(r"[@#!~$%^&](?=[\w\"'])")
_LINK = re.compile(r"://|(?i:www)\.|(?i:mailto|xmpp):")
_MARKER_UNSAFE = re.compile(r"[^A-Za-z0-9._:/=,@ -]")
_BLOCK = re.compile(r"[-+= ]|\d+[.)]")
_TICKS = re.compile(r"`+")
_FENCE_MARKS = {"~": "!", "?": "#", "x": "!", ">": "#"}
"""What a ``diff`` block colours instead of our own marks."""
_ALERTS = {"error": "CAUTION", "warning": "WARNING"}


def prose(text: str) -> str:
    """Any text, within a line of Markdown or a table's cell: nothing in it is acted on."""
    whole = _within(text)
    # At the start of a list's item these would begin a rule, a list or a block of code of their own.
    return f"&#{ord(whole[0])};{whole[1:]}" if _BLOCK.match(whole) else whole


def _within(text: str) -> str:
    out: list[str] = []
    last = 0
    text = escaped(text)
    for found in _LINK.finditer(text):
        out.append(_plain(text[last : found.start()]))
        out.append(f"{_plain(found.group()[:-1])}{_ZERO_WIDTH}{_plain(found.group()[-1])}")
        last = found.end()
    return "".join([*out, _plain(text[last:])])


def _plain(text: str) -> str:
    parts = []
    last = 0
    for found in _SIGIL.finditer(text):
        parts.append(text[last : found.end()].translate(_ENTITIES) + _ZERO_WIDTH)
        last = found.end()
    return "".join([*parts, text[last:].translate(_ENTITIES)])


def code(text: str) -> str:
    """Any text as inline code that also holds in a table: forges find no mention or reference in it."""
    return f"<code>{_within(text)}</code>" if text else ""


def marker(**parts: str) -> str:
    """The hidden first line of a comment, by which it is found again."""
    said = " ".join(f"{key}={_MARKER_UNSAFE.sub('_', value)}" for key, value in parts.items())
    return f"<!-- reconciler {said.replace('--', '__')} -->"


@dataclass(frozen=True, slots=True)
class Fitted:
    """Markdown that fits, and at which level (1 is everything)."""

    text: str
    level: int


class _TooLong(Exception):
    """The text passed its limit."""


class _Out:
    def __init__(self, limit: int) -> None:
        self._parts: list[str] = []
        self._left = limit

    def add(self, *lines: str) -> None:
        for line in lines:
            self._left -= len(line.encode()) + 1
            if self._left < 0:
                raise _TooLong
            self._parts.append(line)

    @property
    def text(self) -> str:
        return "\n".join(self._parts) + "\n"


def fit(view: View, budget: int, *, head: Sequence[str] = (), foot: Sequence[str] = (), whole: str = "") -> Fitted:
    """``view`` at the first level whose bytes, ``head`` and ``foot`` (lines of Markdown) included, are within ``budget``.

    ``whole`` says where all of it can be read, for a level that leaves something out. What the last level says, counts
    and no text of more than a line, is within any budget that a forge gives.
    """
    tries = [(level, most) for level, them in enumerate(MOST_POINTS, start=1) for most in them]
    for level, most in tries:
        out = _Out(budget if (level, most) != tries[-1] else 1 << 40)
        try:
            out.add(*head)
            more = f" {whole}" if whole else ""
            note = f"Too long to be shown whole: level {level} of 5, {LEVELS[level - 1]}.{more}" if level > 1 else ""
            _render(out, view, level, most, note)
            if foot:
                out.add("", *foot)
        except _TooLong:
            continue
        return Fitted(out.text, level)
    raise AssertionError("the last try has no limit")


def render(view: View) -> str:
    """All of it."""
    return fit(view, 1 << 40).text


def _render(out: _Out, view: View, level: int, most: int, note: str) -> None:
    facts = " · ".join(f"{name} {code(_clip(text, LONGEST_LINE))}" for name, text in view.facts)
    title, verdict = (prose(_clip(it, LONGEST_LINE)) for it in (view.title, view.verdict))
    out.add(f"### {title}", "", f"**{verdict}**", "")
    if level == len(LEVELS) or any(number for _, number in view.counts):
        # A forge is narrow: what is nothing stands in the total below.
        counts = [it for i, it in enumerate(view.counts) if it[1] or i < ALWAYS_COUNTED]
        out.add("| " + " | ".join(name for name, _ in counts) + " |")
        out.add("| " + " | ".join("---:" for _ in counts) + " |")
        out.add("| " + " | ".join(_number(number) for _, number in counts) + " |", "")
    if note:
        out.add(note, "")
    for section in view.sections:
        _section(out, section, level, most)
    if view.groups and level < 4:
        _groups(out, view, level)
    elif view.groups and level == 4:
        _table(out, view.groups)
    if _has_origins(view.groups) and level >= 4:
        _origin_counts(out, view.groups)
    for section in view.extra:
        _folded(out, section, level, most)
    if view.total:
        out.add(code(_clip(view.total, LONGEST_LINE)))
    if facts:
        out.add("", f"<sub>{facts}</sub>")


def _number(number: int) -> str:
    return f"**{number:,}**" if number else "0"


def _clip(text: str, longest: int) -> Shown:
    """So much of a text that its escaped form keeps within so many bytes."""
    text = cut(text, longest)
    while len(text) > 20 and (size := len(prose(text).encode())) > longest:
        text = cut(text, max(min(len(text) * longest // size, len(text) - 1), 1))
    return Shown(text)


def _points(section: Section, level: int, most: int) -> Iterable[str]:
    """A line for each point; where there are too many, one for each business, the rest counted."""
    points = section.points
    longest = LONGEST_POINT[level - 1]
    numbers = Counter(it.group for it in points)
    if section.by_group and level >= 4 and len(numbers) < len(points) > most:
        for group, number in list(numbers.items())[:most]:
            yield f"- {code(_clip(group, longest))} {number:,}"
        rest, groups = sum(list(numbers.values())[most:]), len(numbers) - most
    else:
        for it in points[:most]:
            yield _point(it, longest)
        rest, groups = len(points) - most, len({it.group for it in points[most:]})
    if rest > 0:
        of = f" in {counted(groups, 'business', 'businesses')}" if section.by_group else ""
        yield f"- and {rest:,} more{of}" if most else f"- {rest:,}{of}"


def _point(it: Point, longest: int) -> str:
    parts = [code(_clip(it.head, longest))] if it.head else []
    parts.append(prose(_clip(it.text, longest)))
    if it.remedy:
        parts.append(f"→ {code(_clip(it.remedy, longest))}")
    return "- " + " ".join(parts)


def _section(out: _Out, section: Section, level: int, most: int) -> None:
    alert = _ALERTS.get(section.level)
    lead = "> " if alert else ""
    if alert:
        out.add(f"> [!{alert}]")
    out.add(f"{lead}**{section.title} ({len(section.points):,})**", lead.rstrip())
    lines = list(_points(section, level, most))
    for line in lines[:FIRST_SCREEN]:
        out.add(lead + line)
    if lines[FIRST_SCREEN:]:
        out.add(
            lead.rstrip(), f"{lead}<details><summary>{len(lines) - FIRST_SCREEN:,} more lines</summary>", lead.rstrip()
        )
        for line in lines[FIRST_SCREEN:]:
            out.add(lead + line)
        out.add(lead.rstrip(), f"{lead}</details>")
    out.add("")


def _folded(out: _Out, section: Section, level: int, most: int) -> None:
    out.add(f"<details><summary>{section.title} ({len(section.points):,})</summary>", "")
    for line in _points(section, level, most):
        out.add(line)
    out.add("", "</details>", "")


def _has_origins(groups: Iterable[Group]) -> bool:
    return any(it.origin for group in groups for it in group.entries)


def _groups(out: _Out, view: View, level: int) -> None:
    groups = view.groups
    if not _has_origins(groups):
        for group in groups:
            _group(out, group, group.entries, level, view.columns)
        return
    for origin, title in ORIGINS:
        chosen = [(group, tuple(it for it in group.entries if it.origin == origin)) for group in groups]
        chosen = [(group, entries) for group, entries in chosen if entries]
        if not chosen and origin == "":
            continue
        number = sum(len(entries) for _, entries in chosen)
        out.add(f"#### {title}: {counted(number, 'change')}", "")
        for group, entries in chosen:
            _group(out, group, entries, level, view.columns)


def _group(out: _Out, group: Group, entries: tuple[Entry, ...], level: int, columns: tuple[str, str]) -> None:
    words = Counter(it.word for it in entries)
    said = ", ".join(f"{number:,} {prose(word)}" for word, number in sorted(words.items()))
    dangerous = any(it.risky for it in entries)
    out.add(f"<details{' open' if dangerous and level == 1 else ''}><summary>{code(group.name)} {said}</summary>", "")
    lines = [line for it in entries for line in _lines(it, level, columns)]
    if group.lines and level < 3:
        lines += [*([""] if lines else []), *(inert(f"  {line}") for line in group.lines)]
    longest = max((len(it) for line in lines for it in _TICKS.findall(line)), default=0)
    fence = "`" * max(3, longest + 1)
    out.add(f"{fence}diff", *lines, fence, "", "</details>", "")


def _lines(it: Entry, level: int, columns: tuple[str, str]) -> list[str]:
    """Lines of a fenced block: a mark of our own, or a space, begins each."""
    where = place_text(it.place)
    mark = _FENCE_MARKS.get(it.mark, it.mark)
    head = f"{mark} {it.word} {it.what}"
    if it.outcome:
        head += f"  [{it.outcome}]"
    if level < 3:
        head += f"  ({it.why})" if it.why else ""
        head += f"  {where}" if where else ""
    lines = [head.rstrip() or " "]
    if level == 1 or (level == 2 and it.risky):
        width = min(max((len(row.path) for row in it.rows), default=0), 40)
        for row in it.rows:
            note = f"  ({row.note})" if row.note else ""
            arrow = f"{row.before} -> {row.after}" if row.before else f"{row.after}"
            if columns[0] != "before":
                arrow = f"{columns[0]} {row.before}, {columns[1]} {row.after}"
            lines.append(f"    {row.path:<{width}}  {arrow}{note}".rstrip())
        lines += [f"    {line}" for line in it.lines]
    return [inert(line) for line in lines]


def _table(out: _Out, groups: Sequence[Group]) -> None:
    words = sorted({it.word for group in groups for it in group.entries})
    out.add("| business | " + " | ".join(prose(it) for it in words) + " |")
    out.add("| --- |" + " ---: |" * len(words))
    risk = {group.name: -sum(it.risky for it in group.entries) for group in groups}
    for group in sorted(groups, key=lambda it: (risk[it.name], it.name)):
        numbers = Counter(it.word for it in group.entries)
        out.add(f"| {code(group.name)} | " + " | ".join(_number(numbers[it]) for it in words) + " |")
    out.add("")


def _origin_counts(out: _Out, groups: Sequence[Group]) -> None:
    numbers = Counter(it.origin for group in groups for it in group.entries)
    for origin, title in ORIGINS:
        if numbers[origin] or origin:
            out.add(f"- {title}: {counted(numbers[origin], 'change')}")
    out.add("")
