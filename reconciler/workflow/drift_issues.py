"""One issue for each business that drifts, or for each cause that several share: made, edited, closed, reopened.

An issue is recognised by a marker on its first line and by its author, never by its title, and is never made twice.
What a nightly run cannot read closes nothing.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from reconciler.clients import forge
from reconciler.errors import RemoteError
from reconciler.report import markdown
from reconciler.report.plan_text import value
from reconciler.report.problems import escaped
from reconciler.report.view import counted, cut
from reconciler.workflow.commenting import same

LABEL = "reconciler-drift"
SHARED_BY = 3
"""From so many businesses on, one difference is one cause and one issue."""
MOST_ISSUES = 50
"""A night never opens more: what drifts beyond that has one cause, or the comparison is broken."""
MOST_ROWS = 200
DRIFTED = frozenset({"changed_outside", "not_applied_yet", "conflict", "missing", "undeclared"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """An issue that should be open. ``key`` recognises it in the next run."""

    key: str
    title: str
    body: str


@dataclass
class Done:
    """What a run did."""

    created: int = 0
    edited: int = 0
    closed: int = 0
    reopened: int = 0
    unchanged: int = 0
    left_out: int = 0
    failed: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = (
            f"drift issues: {self.created} created, {self.edited} edited, {self.reopened} reopened, "
            f"{self.closed} closed, {self.unchanged} unchanged"
        )
        return text + (f"; {self.left_out} left out" if self.left_out else "")


def wanted(document: Mapping[str, Any], files: Mapping[str, str]) -> tuple[Wanted, ...]:
    """The issues for a published drift document (``drift --output json``), in a stable order; ``files`` by slug.

    Nothing in them changes from night to night while the drift is the same: not the time, not the job.
    """
    causes: defaultdict[tuple[str, str, str, str, str], list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for one in document["businesses"]:
        for it in one["fields"]:
            if it["class"] in DRIFTED:
                causes[_cause(it)].append((str(one["slug"]), it))
    shared = {key: them for key, them in causes.items() if len({slug for slug, _ in them}) >= SHARED_BY}
    alone: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for key, them in causes.items():
        if key not in shared:
            for slug, it in them:
                alone[slug].append(it)
    found = [_of_cause(key, them) for key, them in sorted(shared.items())]
    found += [_of_business(slug, them, files.get(slug)) for slug, them in sorted(alone.items())]
    return tuple(found)


def unread(document: Mapping[str, Any]) -> bool:
    """Could something not be read? Then no issue is closed: what was not seen is not mended."""
    return any(it["class"] == "unreadable" for one in document["businesses"] for it in one["fields"]) or bool(
        document["summary"]["unreadable_fields"]
    )


def settle(client: forge.Client, document: Mapping[str, Any], files: Mapping[str, str], run_url: str | None) -> Done:
    """Make the issues as they should be. Raises errors.RemoteError where they cannot even be listed."""
    done = Done()
    author = client.author()
    there: dict[str, forge.Issue] = {}
    twice: list[forge.Issue] = []
    for it in sorted(client.issues(LABEL), key=lambda one: one.number):
        key = _key_of(it.body)
        if key and it.author == author:
            if key in there:
                twice.append(it)
            else:
                there[key] = it
    due = wanted(document, files)
    for one in due:
        _one(client, there.pop(one.key, None), one, done)
    # Two jobs at once, or an answer that got lost, may have left a second one: the first is the one.
    for left in twice:
        if left.is_open:
            _close(client, left, "Another issue, older than this one, says the same.", done)
    if not unread(document):
        link = f" ([the job]({run_url}))" if run_url else ""
        for left in there.values():
            if left.is_open:
                _close(client, left, f"Nothing of this differs any more{link}.", done)
    return done


def _one(client: forge.Client, there: forge.Issue | None, one: Wanted, done: Done) -> None:
    try:
        if there is None:
            if done.created >= MOST_ISSUES:
                done.left_out += 1
                return
            client.create_issue(one.title, one.body, LABEL)
            done.created += 1
        elif there.is_open and same(there.body, one.body):
            done.unchanged += 1
        else:
            client.edit_issue(there.number, body=one.body, is_open=True)
            if there.is_open:
                done.edited += 1
            else:
                done.reopened += 1
    except RemoteError as error:
        done.failed.append(f"{one.title}: {error.message}")


def _close(client: forge.Client, it: forge.Issue, words: str, done: Done) -> None:
    first, _, _ = it.body.replace("\r\n", "\n").partition("\n")
    try:
        client.edit_issue(it.number, body=f"{first}\n\n{words}\n", is_open=False)
        done.closed += 1
    except RemoteError as error:
        done.failed.append(f"closing {it.number}: {error.message}")


def _key_of(body: str) -> str:
    first = body.lstrip().replace("\r\n", "\n").partition("\n")[0]
    prefix = "<!-- reconciler drift="
    return first if first.startswith(prefix) and first.endswith(" -->") else ""


def _cause(it: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    kind = str(it["object"]).partition(":")[0]
    return (kind, str(it["path"]), str(it["class"]), json.dumps(it["declared"]), json.dumps(it["live"]))


def _of_business(slug: str, them: list[dict[str, Any]], file: str | None) -> Wanted:
    marker = markdown.marker(drift="business", slug=slug)
    rows = [("", it) for it in sorted(them, key=lambda it: (str(it["object"]), str(it["path"])))]
    where = markdown.code(file) if file is not None else "what was declared; its file is gone"
    lead = f"{counted(len(rows), 'difference')} between what is live and {where}."
    commands = ["", "Make the live state match git:", ""]
    if file is None:
        commands[1] = "Restore the file, or let go of the business:"
        commands += _fenced(f"reconciler forget {slug}")
    else:
        path = shlex.quote(escaped(file))
        commands += _fenced(f"reconciler plan --out plan.json {path}", "reconciler apply plan.json")
        commands += ["", "Or make git match the live state, or agree with it for a while:", ""]
        commands += _fenced(
            f"reconciler drift {path}", f"reconciler accept {slug} --path PATH --reason TEXT --until DATE --by NAME"
        )
    return Wanted(marker, _title(f"Drift: {slug}"), _body(marker, rows, (lead,), commands))


def _of_cause(key: tuple[str, str, str, str, str], them: list[tuple[str, dict[str, Any]]]) -> Wanted:
    kind, path, class_, _, _ = key
    name = hashlib.sha256("\0".join(key).encode("utf-8", "replace")).hexdigest()[:16]
    marker = markdown.marker(drift="cause", id=name)
    businesses = len({slug for slug, _ in them})
    rows = sorted(them, key=lambda it: (it[0], str(it[1]["object"])))
    title = _title(f"Drift: {kind} {path} {class_.replace('_', ' ')} in several businesses")
    lead = (f"The same difference in {businesses:,} businesses has one cause: look for it before you mend each.",)
    return Wanted(marker, title, _body(marker, rows, lead))


def _title(text: str) -> str:
    # A title is plain text, but mentions in it are live.
    return cut(escaped(text).replace("@", "(at)"), forge.LONGEST_TITLE)


def _fenced(*lines: str) -> Iterable[str]:
    return ("```sh", *lines, "```")


def _body(marker: str, rows: list[tuple[str, dict[str, Any]]], lead: Iterable[str], foot: Iterable[str] = ()) -> str:
    """What differs, then what to do about it. A column of businesses only where there are several."""
    lines, foot = [marker, "", *lead, ""], list(foot)
    names = ["object", "field", "class", "declared", "live", "since"]
    if any(slug for slug, _ in rows):
        names.insert(0, "business")
    table = [f"| {' | '.join(names)} |", f"| {' | '.join('---' for _ in names)} |"]
    size = len("\n".join([*lines, *table, *foot]).encode()) + 400
    shown = 0
    for slug, it in rows[:MOST_ROWS]:
        cells = [
            *([slug] if len(names) == 7 else ()),
            str(it["object"]),
            str(it["path"]),
            str(it["class"]).replace("_", " "),
        ]
        cells += [value(it["declared"]), value(it["live"]), str(it["first_seen"] or "")]
        row = f"| {' | '.join(markdown.code(cell) for cell in cells)} |"
        size += len(row.encode()) + 1
        if size > markdown.COMMENT_BYTES:
            break
        table.append(row)
        shown += 1
    if shown < len(rows):
        table += ["", f"and {len(rows) - shown:,} more"]
    return "\n".join([*lines, *table, *foot]) + "\n"
