"""The view of a plan, fresh or saved, and of how an apply ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reconciler.core.plan import SUMMARY_KEYS, Change, FieldChange, Warning_
from reconciler.report.plan_text import MARKS, PlanView, totals
from reconciler.report.view import (
    Entry,
    Group,
    Level,
    Origin,
    Point,
    Remark,
    Row,
    Section,
    Shown,
    View,
    counted,
    shown,
    shown_field,
)

RISKY = frozenset({"deactivate", "move", "adopt", "manual"})
_RANK = {
    it: i for i, it in enumerate(("manual", "deactivate", "move", "update", "activate", "reassert", "adopt", "create"))
}
_LIVE = " live: "
"""In the note beside what goes live (``workflow.onboarding``)."""
_BAD = frozenset({"failed", "unknown"})
_LEVELS: dict[str, Level] = {"deactivate": "warning", "manual": "warning"}


@dataclass(frozen=True, slots=True)
class About:
    """What a view says of a plan beside the plan itself."""

    target: str = ""
    digest: str = ""
    created_at: str = ""
    commit: str | None = None
    origins: Mapping[str, Origin] | None = None
    """By change id, where they were found out."""
    onboarding: Section | None = None
    guarded: tuple[str, ...] = ()
    """Files of the request that decide where credentials go, or what runs with them."""
    notes: tuple[str, ...] = ()


def view_of_plan(it: PlanView, about: About = About()) -> View:
    """A plan. Objections that are allowed are listed as allowed and refuse nothing."""
    dangerous = frozenset(one.slug for one in it.objections)
    origins = about.origins or {}
    groups = _groups(it.changes, dangerous, origins, {})
    open_ = sum((one.code, one.slug) not in it.allowed for one in it.objections)
    level, verdict = _verdict(it, open_)
    return View(
        kind="plan",
        title=shown(f"Plan for {about.target}" if about.target else "Plan"),
        level=level,
        verdict=verdict,
        counts=tuple((name.replace("_", " "), getattr(it.summary, name)) for name in SUMMARY_KEYS),
        facts=_facts(about),
        sections=tuple(section for section in _sections(it, about) if section.points),
        groups=groups,
        total=shown(totals(it.summary)),
        digest=about.digest,
        extra=_notes(it, about),
    )


def view_of_apply(it: PlanView, outcomes: Mapping[str, tuple[str, str]], about: About = About()) -> View:
    """How an apply ended. ``outcomes``: change id -> (outcome, detail); what has none was not attempted."""
    counts = Counter(outcomes.get(one.id, ("not_attempted", ""))[0] for one in it.changes)
    names = ("applied", "already", "failed", "unknown", "skipped", "not_attempted")
    bad = [one for one in it.changes if outcomes.get(one.id, ("not_attempted", ""))[0] not in ("applied", "already")]
    points = tuple(_unfinished(one, outcomes.get(one.id, ("not_attempted", ""))) for one in bad)
    level: Level
    if not it.changes:
        level, verdict = "ok", "Nothing to do"
    elif not bad:
        verdict, level = f"All done: {counted(len(it.changes), 'change')}", "ok"
    else:
        verdict = f"Not all done: {counted(len(bad), 'change')} of {len(it.changes):,} did not succeed"
        level = "error" if _BAD & set(counts) or it.objections else "warning"
    base = view_of_plan(it, about)
    done = Section("Did not succeed", "error", points, by_group=True)
    said = ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in names if counts[name] or name == "applied")
    return View(
        kind="apply",
        title=shown(f"Apply to {about.target}" if about.target else "Apply"),
        level=level,
        verdict=shown(verdict),
        counts=tuple((name.replace("_", " "), counts[name]) for name in names),
        facts=base.facts,
        sections=(*((done,) if points else ()), *base.sections),
        groups=_groups(it.changes, frozenset(), {}, outcomes),
        total=shown(f"Apply: {said}"),
        digest=about.digest,
        extra=base.extra,
    )


def _verdict(it: PlanView, open_: int) -> tuple[Level, Shown]:
    businesses = len({one.slug for one in it.changes})
    what = f"{counted(len(it.changes), 'change')} in {counted(businesses, 'business', 'businesses')}"
    if it.summary.unreadable:
        unread = counted(it.summary.unreadable, "business", "businesses")
        return "error", shown(f"Incomplete: {unread} could not be read; {what} so far")
    if open_:
        return "error", shown(f"Refused as it stands: {counted(open_, 'objection')} to be allowed by name; {what}")
    if not it.changes:
        return "ok", shown("No changes: nothing that can be seen differs from what is declared")
    if it.summary.deactivate:
        return "warning", shown(f"{what}, {counted(it.summary.deactivate, 'deactivation')} among them")
    return "note", shown(what)


def _facts(about: About) -> tuple[tuple[str, Shown], ...]:
    facts = [("digest", shown(about.digest[:12]))] if about.digest else []
    if about.commit:
        facts.append(("commit", shown(about.commit[:12])))
    if about.created_at:
        facts.append(("made", shown(about.created_at)))
    return tuple(facts)


def _sections(it: PlanView, about: About) -> Iterable[Section]:
    yield Section(
        "Objections", "error", tuple(_objection(it, one.code, one.slug, one.message) for one in it.objections)
    )
    yield Section(
        "Deactivations",
        "warning",
        tuple(
            Point(shown(one.slug), shown(f"{one.kind} {one.business}: {one.reason}"), group=shown(one.slug))
            for one in it.changes
            if one.action == "deactivate"
        ),
        by_group=True,
    )
    yield Section("Goes live", "warning", tuple(_note(one) for one in it.warnings if _LIVE in one.text), by_group=True)
    guarded = tuple(
        Point(shown(one), Shown("decides where credentials go, or what runs with them")) for one in about.guarded
    )
    yield Section("Edits what guards this repository", "warning", guarded)
    yield Section("Could not be read", "error", tuple(_unread(it)))
    if it.summary.unverified_fields:
        text = f"{counted(it.summary.unverified_fields, 'declared field')} cannot be seen and may differ"
        never = [f"--reassert {slug}" for slug, _ in it.never_sent[:3]]
        remedy = shown(f"send what was never sent: {' '.join(never)}") if never else Shown("")
        yield Section("Unverified", "note", (Point(Shown(""), shown(text), remedy),))
    yield Section("Steps for a person", "note", tuple(_manual(it)))
    if about.onboarding is not None:
        yield about.onboarding


def _objection(it: PlanView, code: str, slug: str, message: str) -> Point:
    allowed = (code, slug) in it.allowed
    remedy = "allowed" if allowed else f"--allow {code}:{slug}"
    place = next((one.source for one in it.changes if one.slug == slug), None)
    level: Level = "note" if allowed else "error"
    remark = Remark(
        level,
        shown(f"objection/{code}"),
        shown(slug),
        shown(f"{message} ({remedy})"),
        place,
        f"{code}:{slug}",
    )
    return Point(shown(f"{code} {slug}"), shown(message), shown(remedy), shown(slug), remark)


def _unread(it: PlanView) -> Iterable[Point]:
    prefix = "could not be read: "
    for one in it.warnings:
        if one.text.startswith(prefix):
            text = shown(one.text.removeprefix(prefix))
            remark = Remark("error", "unreadable", shown(one.slug), shown(one.text), None, one.slug)
            yield Point(shown(one.slug), text, group=shown(one.slug), remark=remark)


def _manual(it: PlanView) -> Iterable[Point]:
    by_text: dict[str, list[str]] = {}
    for one in it.manual:
        by_text.setdefault(one.text, []).append(one.slug)
    for text, slugs in by_text.items():
        names = ", ".join(slugs[:12]) + (f" and {len(slugs) - 12:,} more" if len(slugs) > 12 else "")
        yield Point(shown(names), shown(text))


def _note(one: Warning_) -> Point:
    return Point(shown(one.slug), shown(one.text), group=shown(one.slug))


def _notes(it: PlanView, about: About) -> tuple[Section, ...]:
    points = [Point(Shown(""), shown(text)) for text in about.notes]
    points += [
        _note(one) for one in it.warnings if not one.text.startswith("could not be read: ") and _LIVE not in one.text
    ]
    return (Section("Notes", "note", tuple(points), by_group=True),) if points else ()


def _unfinished(change: Change, ended: tuple[str, str]) -> Point:
    outcome, detail = ended
    word = outcome.replace("_", " ")
    text = shown(f"{word}: {change.action} {change.kind} {change.business}{': ' + detail if detail else ''}")
    return Point(shown(change.slug), text, group=shown(change.slug))


def _groups(
    changes: Iterable[Change],
    dangerous: frozenset[str],
    origins: Mapping[str, Origin],
    outcomes: Mapping[str, tuple[str, str]],
) -> tuple[Group, ...]:
    by_slug: dict[str, list[Change]] = {}
    for it in changes:
        by_slug.setdefault(it.slug, []).append(it)
    return tuple(
        Group(
            shown(slug),
            shown(them[0].source.file),
            tuple(
                _entry(it, slug in dangerous, origins.get(it.id, ""), outcomes.get(it.id))
                for it in sorted(them, key=lambda it: (_RANK[it.action], it.business, it.kind))
            ),
        )
        for slug, them in sorted(by_slug.items())
    )


def _entry(it: Change, dangerous: bool, origin: Origin, ended: tuple[str, str] | None) -> Entry:
    what = f"{it.kind} {it.business}"
    level: Level = _LEVELS.get(it.action, "note")
    outcome = ""
    if ended is not None:
        outcome = ended[0].replace("_", " ")
        level = "error" if ended[0] in _BAD else "note" if ended[0] in ("applied", "already") else "warning"
    text = f"{it.action} {what}: {it.reason}" + (f" ({outcome})" if outcome else "")
    remark = Remark(
        level,
        f"change/{it.action}",
        shown(it.slug),
        shown(text),
        it.source,
        it.id,
    )
    return Entry(
        mark=MARKS[it.action],
        word=shown(it.action),
        what=shown(what),
        why=shown(it.reason),
        place=it.source,
        rows=tuple(_row(it, one) for one in it.fields),
        risky=it.action in RISKY or dangerous,
        outcome=shown(outcome),
        origin=origin,
        remark=remark,
    )


def _row(change: Change, it: FieldChange) -> Row:
    before = shown_field(it.before, sensitive=it.sensitive)
    after = shown_field(it.after, sensitive=it.sensitive)
    if change.action == "create" and it.before is None:
        before = Shown("")
    return Row(shown(it.path), before, after, Shown("unverified") if it.verdict == "unverified" else Shown(""))
