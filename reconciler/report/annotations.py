"""A view as GitHub's workflow commands: ten of each kind, errors first, and one line that counts the rest."""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.report.problems import escaped
from reconciler.report.view import Level, Remark, View

MOST = 10
"""GitHub shows ten of each kind for a step, and drops the others without a word."""
_COMMANDS: dict[Level, str] = {"error": "error", "warning": "warning", "note": "notice"}


def data(text: str) -> str:
    """Any text as the message of a workflow command."""
    return escaped(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def property_(text: str) -> str:
    """Any text as a property of a workflow command."""
    return data(text).replace(":", "%3A").replace(",", "%2C")


def render(view: View) -> str:
    """One line for each remark that GitHub would show, each beginning with a command of ours; then the total."""
    lines: list[str] = []
    by_level: dict[Level, list[Remark]] = {"error": [], "warning": [], "note": []}
    for it in view.remarks:
        by_level[it.level].append(it)
    for level, found in by_level.items():
        lines += _lines(_COMMANDS[level], found)
    if view.total and len(by_level["note"]) < MOST:
        lines.append(f"::notice title={property_(view.title)}::{data(view.total)}")
    return "".join(f"{it}\n" for it in lines)


def _lines(command: str, found: list[Remark]) -> Iterable[str]:
    # The notices leave room for the total.
    most = MOST - 1 if command == "notice" else MOST
    shown = found if len(found) <= most else found[: most - 1]
    for it in shown:
        where = ""
        if it.place is not None:
            where = f"file={property_(it.place.file)},line={it.place.line},col={it.place.column},"
        yield f"::{command} {where}title={property_(_title(it))}::{data(it.text)}"
    if len(found) > len(shown):
        yield f"::{command} title=More::and {len(found) - len(shown):,} more, not shown here"


def _title(it: Remark) -> str:
    return it.rule if it.place is not None and it.group == it.place.file else f"{it.rule} {it.group}"
