"""The views of drift, validation and a sync."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime

from reconciler.core.drift import BusinessDrift, Finding, Report
from reconciler.core.problems import Problem, Severity
from reconciler.core.reminder_report import ReminderReport
from reconciler.core.sync_report import LocationReport, SyncReport
from reconciler.report import drift_text
from reconciler.report.problems import counted as counted_problems
from reconciler.report.view import (
    Entry,
    Group,
    Level,
    Point,
    Remark,
    Row,
    Section,
    Shown,
    View,
    counted,
    shown,
    shown_value,
)


def view_of_drift(report: Report, now: datetime) -> View:
    """A drift report: what differs, and how much could be seen."""
    totals = report.totals
    if report.is_unreadable:
        level: Level = "error"
        verdict = f"Incomplete: something could not be read; {counted(totals.drifted_fields, 'difference')} seen"
    elif totals.drifted_fields:
        businesses = sum(any(it.is_drift for it in one.findings) for one in report.businesses)
        what = counted(totals.drifted_fields, "difference")
        level, verdict = "warning", f"{what} in {counted(businesses, 'business', 'businesses')}"
    else:
        level, verdict = "ok", "No drift: nothing that can be seen differs from what is declared"
    coverage = drift_text.checked(totals)
    objections = tuple(
        Point(shown(f"{it.code} {it.slug}"), shown(it.message), shown(f"--allow {it.code}:{it.slug}"), shown(it.slug))
        for it in report.objections
    )
    causes = tuple(Point(shown(f"{size:,} businesses"), shown(text)) for size, text in drift_text.shared(report))
    unread = tuple(_unread(one) for one in report.businesses if one.unreadable)
    accepted = tuple(
        Point(
            shown(f"{it.slug} {it.object} {it.path}"),
            shown(f"until {until}, {by}: {reason}"),
            group=shown(it.slug),
        )
        for it, reason, until, by in sorted(report.accepted, key=lambda one: one[0].key)
    )
    said = [*report.ended, *report.notes]
    if report.passing:
        said.append(f"{report.passing} differences were seen by one of the two reads only and are not reported")
    sections = (
        Section("Objections", "error", objections),
        Section("Could not be read", "error", unread, by_group=True),
        Section("The same difference in several businesses", "warning", causes),
    )
    groups = [_drift_group(one, now) for one in report.businesses]
    unseen = tuple(
        Point(it.name, Shown("; ".join(it.lines)), group=it.name) for it in groups if it.lines and not it.entries
    )
    extra = (
        Section("Not seen in full, and nothing differs", "note", unseen, by_group=True),
        Section("Accepted for a while", "note", accepted),
        Section("Notes", "note", tuple(Point(Shown(""), shown(it)) for it in said)),
    )
    return View(
        kind="drift",
        columns=("live", "declared"),
        title=Shown("Drift"),
        level=level,
        verdict=shown(f"{verdict}; {coverage}"),
        counts=(
            ("drifted", totals.drifted_fields),
            ("accepted", len(report.accepted)),
            ("checked", totals.checked_fields),
            ("unverified", totals.unverified_fields),
            ("unreadable", totals.unreadable_fields),
        ),
        facts=(("coverage", shown(drift_text.share(totals))),),
        sections=tuple(it for it in sections if it.points),
        groups=tuple(it for it in groups if it.entries),
        total=shown(drift_text.totals(report)),
        passed=tuple(shown(one.slug) for one in report.businesses if not one.findings and not one.unreadable),
        extra=tuple(it for it in extra if it.points),
    )


def _unread(one: BusinessDrift) -> Point:
    place = one.findings[0].position if one.findings else None
    text = shown(f"could not be read: {one.unreadable}")
    remark = Remark("error", "drift/unreadable", shown(one.slug), text, place, one.slug)
    return Point(shown(one.slug), shown(one.unreadable), group=shown(one.slug), remark=remark)


def _drift_group(one: BusinessDrift, now: datetime) -> Group:
    name, file = shown(one.slug), shown(one.file or str(one.business))
    if one.unreadable:
        return Group(name, file, ())
    hidden = Counter((it.kind, it.note) for it in one.findings if drift_text.is_counted(it))
    seen = [it for it in one.findings if not drift_text.is_counted(it)]
    lines = [
        shown(f"{counted(number, 'field')} {kind}{': ' + note if note else ''}")
        for (kind, note), number in sorted(hidden.items())
        if kind != "unreadable"
    ]
    if any(it.is_drift for it in seen):
        lines += [shown(it) for it in drift_text.to_live(one)]
    entries = [_finding(it, now) for it in seen]
    for (kind, note), number in sorted(hidden.items()):
        if kind == "unreadable":
            text = shown(f"{counted(number, 'field')} could not be read{': ' + note if note else ''}")
            remark = Remark("error", "drift/unreadable", name, text, None, f"{one.slug}|{note}")
            entries.append(Entry("x", Shown("unreadable"), shown(counted(number, "field")), shown(note), remark=remark))
    return Group(name, file, tuple(entries), tuple(lines))


def _finding(it: Finding, now: datetime) -> Entry:
    what = it.object if it.path == "exists" else f"{it.object} {it.path}"
    since = drift_text.age(it, now)
    why = ", ".join(part for part in (it.kind.replace("_", " "), since, it.note) if part)
    rows: tuple[Row, ...] = ()
    if it.path != "exists" or isinstance(it.live, str):
        rows = (Row(shown(it.path), shown_value(it.live), shown_value(it.declared)),)
    edit = drift_text.to_git(it) if it.is_drift else ""
    remark = None
    if it.is_drift or it.kind == "unreadable":
        text = f"{what}: live {shown_value(it.live)}, declared {shown_value(it.declared)} ({why})"
        level: Level = "warning" if it.is_drift else "error"
        key = f"{it.slug}|{it.object}|{it.path}|{it.kind}"
        remark = Remark(level, f"drift/{it.kind}", shown(it.slug), shown(text), it.position, key)
    return Entry(
        mark=drift_text.MARKS[it.kind],
        word=shown(it.kind.replace("_", " ")),
        what=shown(what),
        why=shown(", ".join(part for part in (since, it.note) if part)),
        place=it.position,
        rows=rows,
        risky=it.kind in ("missing", "conflict"),
        lines=(shown(f"git := live   {edit}"),) if edit else (),
        remark=remark,
    )


def view_of_problems(problems: Sequence[Problem], files: Iterable[str] = ()) -> View:
    """What ``validate`` found. ``files``: all that were read, so that formats can list those without problems."""
    by_file: dict[str, list[Problem]] = {}
    for it in problems:
        by_file.setdefault(it.position.file, []).append(it)
    numbers = Counter(it.severity for it in problems)
    worst = next((it for it in Severity if numbers[it]), None)
    level: Level = "ok" if worst is None else worst.value
    return View(
        kind="validate",
        title=Shown("Validate"),
        level=level,
        verdict=shown(counted_problems(problems).capitalize()),
        counts=tuple((f"{it.value}s", numbers[it]) for it in Severity),
        groups=tuple(
            Group(shown(file), shown(file), tuple(_problem(it) for it in them))
            for file, them in sorted(by_file.items())
        ),
        total=shown(f"Validate: {counted_problems(problems)}"),
        passed=tuple(shown(it) for it in sorted(set(files) - set(by_file))),
    )


def _problem(it: Problem) -> Entry:
    mark = {Severity.ERROR: "x", Severity.WARNING: "!", Severity.NOTE: ">"}[it.severity]
    lines = [it.hint] if it.hint else []
    lines += [f"{why}: {place}" for place, why in it.also]
    text = "; ".join((it.message, *lines))
    key = f"{it.code}|{it.position.file}|{it.message}"
    remark = Remark(it.severity.value, it.code, shown(it.position.file), shown(text), it.position, key)
    return Entry(
        mark=mark,
        word=shown(it.code),
        what=shown(it.message),
        place=it.position,
        risky=it.severity is Severity.ERROR,
        lines=tuple(shown(line) for line in lines),
        remark=remark,
    )


def view_of_sync(report: SyncReport) -> View:
    """How a sync ended: counts only, nothing of a person."""
    totals = Counter[str]()
    for it in report.locations:
        totals.update({name: number for name, number in it.to_json().items() if name in _SYNC_COUNTS})
    bad = [it for it in report.locations if _troubled(it)]
    doubtful = totals["held"] or totals["failed"] or any(_needs_a_person(it) for it in report.locations)
    level: Level = "error" if bad or report.errors else "warning" if doubtful else "ok"
    what = f"{counted(totals['sent'], 'visit')} sent" + (" (dry run)" if report.dry_run else "")
    said = f"; {counted(len(bad), 'location')} did not run as declared" if bad else ""
    by_slug: dict[str, list[LocationReport]] = {}
    for it in report.locations:
        by_slug.setdefault(it.slug, []).append(it)
    errors = tuple(Point(Shown(""), shown(it)) for it in report.errors)
    return View(
        kind="sync",
        title=Shown("Sync"),
        level=level,
        verdict=shown(what + said),
        counts=tuple((name.replace("_", " "), totals[name]) for name in _SYNC_COUNTS),
        sections=(Section("Errors", "error", errors),) if errors else (),
        groups=tuple(
            Group(shown(slug), shown(""), tuple(_location(it) for it in them)) for slug, them in sorted(by_slug.items())
        ),
        total=shown("Sync: " + ", ".join(f"{totals[name]} {name.replace('_', ' ')}" for name in _SYNC_COUNTS)),
    )


_TROUBLE = ("error", "unauthorised", "stopped")


def _troubled(it: LocationReport) -> bool:
    return it.status in _TROUBLE or (it.reminders is not None and it.reminders.status in _TROUBLE)


def _needs_a_person(it: LocationReport) -> bool:
    return it.reminders is not None and it.reminders.needs_a_person


def _told(it: ReminderReport) -> list[tuple[str, object]]:
    """The counts of reminders that are not 0, after their status."""
    found: list[tuple[str, object]] = [("status", it.status)]
    for what, counts in (("appointments", it.upsert), ("requests", it.requests)):
        if counts is not None:
            numbers = counts.to_json().items()
            found += [(f"{what} {key}", number) for key, number in numbers if isinstance(number, int) and number]
            found += [(f"{what} unsent, {why}", number) for why, number in counts.to_json().get("unsent", {}).items()]
    return found


_SYNC_COUNTS = ("read", "eligible", "sent", "already_sent", "quarantined", "held", "failed", "pending")


def _location(it: LocationReport) -> Entry:
    document = it.to_json()
    rows = [Row(shown(name.replace("_", " ")), Shown(""), shown_value(document[name])) for name in _SYNC_COUNTS]
    for kind in ("restricted", "skipped"):
        rows += [Row(shown(f"{kind}: {why}"), Shown(""), shown_value(n)) for why, n in sorted(document[kind].items())]
    reminders = it.reminders
    if reminders is not None:
        rows += [Row(shown(f"reminders: {name}"), Shown(""), shown_value(value)) for name, value in _told(reminders)]
    bad = _troubled(it)
    status: str = it.status
    detail = it.detail
    if bad and reminders is not None and status not in _TROUBLE:
        status, detail = reminders.status, f"reminders: {reminders.detail}"
    text = shown(f"{status}: location {it.business}" + (f": {detail}" if detail else ""))
    level: Level = "error" if bad else "note"
    remark = Remark(level, f"sync/{status}", shown(it.slug), text, None, f"{it.slug}|{it.business}|{status}")
    return Entry(
        mark="x" if bad else " ",
        word=shown(status),
        what=shown(f"location {it.business}"),
        why=shown(detail),
        rows=tuple(rows),
        risky=bad,
        lines=tuple(shown(line) for line in (*it.warnings, *(reminders.warnings if reminders is not None else ()))),
        remark=remark if bad else None,
    )
