"""A view as one HTML page: no script, nothing loaded from anywhere, a policy that forbids both, light and dark."""

from __future__ import annotations

import base64
import hashlib
import html
from collections import Counter
from collections.abc import Iterable, Sequence

from reconciler.report.html_style import STYLE
from reconciler.report.problems import escaped
from reconciler.report.view import ORIGINS, Entry, Group, Section, View, counted, place_text

OPEN_UP_TO = 40
"""Of so many businesses the details are open from the start."""


def text(it: str) -> str:
    """Any text, as content or attribute of HTML."""
    return html.escape(escaped(it), quote=True)


def render(view: View) -> str:
    """The page."""
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        '<meta name="referrer" content="no-referrer">',
        f"<title>{text(view.title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        "<main>",
        f"<h1>{text(view.title)}</h1>",
        f'<p class="verdict {view.level}">{text(view.verdict)}</p>',
        '<ul class="counts">',
        *(
            f"<li{_class('zero' if not number else '')}><b>{number:,}</b><span>{text(name)}</span></li>"
            for name, number in view.counts
        ),
        "</ul>",
    ]
    for section in view.sections:
        parts += _section(section)
    parts += _groups(view)
    for section in view.extra:
        parts += _folded(section)
    facts = " · ".join(f"{text(name)} <code>{text(it)}</code>" for name, it in view.facts)
    parts.append(f'<p class="foot"><code>{text(view.total)}</code>{"<br>" + facts if facts else ""}</p>')
    return "\n".join([*parts, "</main>", "</body>", "</html>"]) + "\n"


def _policy() -> str:
    # The hash is over what stands between the tags, so that this one style is allowed and no other.
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""


def _section(section: Section) -> Iterable[str]:
    yield f'<section class="box section {section.level}">'
    yield f"<h2>{text(section.title)} ({len(section.points):,})</h2>"
    yield from _points(section)
    yield "</section>"


def _folded(section: Section) -> Iterable[str]:
    yield f'<details class="box extra"{" open" if len(section.points) <= OPEN_UP_TO else ""}>'
    said = f'<span class="said">{len(section.points):,}</span>'
    yield f'<summary><span class="name">{text(section.title)}</span>{said}</summary>'
    yield from _points(section)
    yield "</details>"


def _points(section: Section) -> Iterable[str]:
    yield "<ul>"
    for it in section.points:
        head = f"<code>{text(it.head)}</code> " if it.head else ""
        remedy = f' <span class="remedy">→ <code>{text(it.remedy)}</code></span>' if it.remedy else ""
        yield f"<li>{head}{text(it.text)}{remedy}</li>"
    yield "</ul>"


def _groups(view: View) -> Iterable[str]:
    is_open = len(view.groups) <= OPEN_UP_TO
    if not any(it.origin for group in view.groups for it in group.entries):
        if view.groups:
            yield f"<h2>{'Files' if view.kind == 'validate' else 'Businesses'}</h2>"
        for group in view.groups:
            yield from _group(group, group.entries, is_open, view.columns)
        return
    for origin, title in ORIGINS:
        chosen = [(group, tuple(it for it in group.entries if it.origin == origin)) for group in view.groups]
        chosen = [(group, entries) for group, entries in chosen if entries]
        if chosen or origin:
            number = sum(len(entries) for _, entries in chosen)
            yield f"<h2>{title}: {counted(number, 'change')}</h2>"
        for group, entries in chosen:
            yield from _group(group, entries, is_open, view.columns)


def _group(group: Group, entries: Sequence[Entry], is_open: bool, columns: tuple[str, str]) -> Iterable[str]:
    words = Counter(it.word for it in entries)
    said = ", ".join(f"{number:,} {text(word)}" for word, number in sorted(words.items()))
    yield f'<details class="box"{" open" if is_open or any(it.risky for it in entries) else ""}>'
    yield f'<summary><span class="name">{text(group.name)}</span><span class="said">{said}</span></summary>'
    for it in entries:
        yield from _entry(it, columns)
    if group.lines:
        yield '<div class="entry"><ul class="lines">'
        yield from (f"<li><code>{text(line)}</code></li>" for line in group.lines)
        yield "</ul></div>"
    yield "</details>"


_KINDS = {"-": "deactivate", "+": "create", "x": "bad", "!": "bad"}


def _entry(it: Entry, columns: tuple[str, str]) -> Iterable[str]:
    yield f'<div class="entry {_KINDS.get(it.mark, "other")}">'
    outcome = f' <span class="outcome">{text(it.outcome)}</span>' if it.outcome else ""
    why = f' <span class="why">{text(it.why)}</span>' if it.why else ""
    place = f' <span class="place">{text(place_text(it.place))}</span>' if it.place is not None else ""
    yield (
        f'<p><span class="mark">{text(it.mark.strip())}</span><span class="word">{text(it.word)}</span> '
        f"{text(it.what)}{outcome}{why}{place}</p>"
    )
    if it.rows:
        yield f"<table><thead><tr><th>field</th><th>{columns[0]}</th><th>{columns[1]}</th></tr></thead><tbody>"
        for row in it.rows:
            note = f' <span class="unverified">({text(row.note)})</span>' if row.note else ""
            yield (
                f'<tr><th class="path" scope="row">{text(row.path)}{note}</th><td class="old" data-side="{columns[0]}">{text(row.before)}</td>'
                f'<td class="new" data-side="{columns[1]}">{text(row.after)}</td></tr>'
            )
        yield "</tbody></table>"
    if it.lines:
        yield '<ul class="lines">'
        yield from (f"<li><code>{text(line)}</code></li>" for line in it.lines)
        yield "</ul>"
    yield "</div>"
