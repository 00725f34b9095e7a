"""Where each business stands on its way to going live, and whom it reaches when it does. Counts only, nobody's name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from reconciler.core.declared import Declared
from reconciler.core.plan import Change, Plan, Warning_
from reconciler.report.problems import escaped
from reconciler.report.view import Level, Point, Section, counted, shown
from reconciler.store import counts
from reconciler.store.database import Store

WEEKS = 4
"""Weekly counts of so many past weeks are looked at; the running one is not over."""

PUTS_IN_FORCE = "the practice id is here; this plan puts it in force"

Counts = Mapping[int, Mapping[str, Mapping[str, int]]]


@dataclass(frozen=True, slots=True)
class Standing:
    """One business on its way. ``stage``: ``waiting``, ``late``, ``to apply``, ``steps left``."""

    slug: str
    stage: str
    text: str
    steps_done: int = 0
    steps: int = 0

    @property
    def steps_text(self) -> str:
        """``1 of 3 steps``."""
        return f"{self.steps_done} of {counted(self.steps, 'step')}" if self.steps else ""

    def to_json(self) -> dict[str, Any]:
        """For ``status --output json``."""
        return {
            "slug": self.slug,
            "stage": self.stage,
            "text": self.text,
            "steps_done": self.steps_done,
            "steps": self.steps,
        }


def standings(declared: Iterable[Declared], changes: Iterable[Change], today: date) -> tuple[Standing, ...]:
    """Every business that waits for something or somebody, by slug. Waiting is no error.

    What the plan would put in force for the first time has not been applied; what has neither that nor an open step has
    arrived and is not listed.
    """
    new = {it.slug for it in changes if it.kind == "runner" and it.action == "create"}
    found = (_standing(it, it.slug in new, today) for it in declared if it.declaration.onboarding is not None)
    return tuple(sorted((it for it in found if it is not None), key=lambda it: it.slug))


def standings_beside(declared: Iterable[Declared], applied: Collection[str], today: date) -> tuple[Standing, ...]:
    """The same without a plan: what is not among the ``applied`` slugs has not been put in force yet."""
    found = (_standing(it, it.slug not in applied, today) for it in declared if it.declaration.onboarding is not None)
    text = "the practice id is here; it is not applied yet"
    shown = (replace(it, text=it.text.replace(PUTS_IN_FORCE, text)) for it in found if it is not None)
    return tuple(sorted(shown, key=lambda it: it.slug))


def _standing(one: Declared, is_new: bool, today: date) -> Standing | None:
    it = one.declaration.onboarding
    if it is None:
        return None
    done = sum(step.on is not None for step in it.steps)
    left = [step.step + (f" ({step.by})" if step.by else "") for step in it.steps if step.on is None]
    if one.declaration.is_waiting:
        said = [f"the practice id was ordered on {it.ordered_on}"]
        if it.ordered_by:
            said.append(f"by {it.ordered_by}")
        if it.transaction_id:
            said.append(f"transaction {it.transaction_id}")
        stage = "waiting"
        if it.expected_by is not None:
            late = (today - date.fromisoformat(str(it.expected_by))).days
            said.append(f"expected by {it.expected_by}" + (f", {counted(late, 'day')} late" if late > 0 else ""))
            stage = "late" if late > 0 else stage
        return Standing(one.slug, stage, ", ".join(said), done, len(it.steps))
    if is_new:
        return Standing(one.slug, "to apply", "; ".join([PUTS_IN_FORCE, *left]), done, len(it.steps))
    return Standing(one.slug, "steps left", "; ".join(left), done, len(it.steps)) if left else None


def section(found: tuple[Standing, ...]) -> Section | None:
    """For a view; None where nobody waits."""
    if not found:
        return None
    level: Level = "warning" if any(it.stage == "late" for it in found) else "note"
    points = tuple(
        Point(shown(it.slug), shown(f"{it.stage}: {it.text}"), shown(it.steps_text), shown(it.slug)) for it in found
    )
    return Section("Onboarding", level, points, by_group=True)


def table(found: tuple[Standing, ...]) -> str:
    """For a terminal: one line for each business; empty where nobody waits."""
    if not found:
        return ""
    wide = min(max(len(it.slug) for it in found), 40)
    lines = ["Onboarding", ""]
    for it in found:
        steps = f"  [{it.steps_text}]" if it.steps else ""
        lines.append(f"  {it.slug:<{wide}}  {it.stage:<10}  {escaped(it.text)}{steps}")
    return "\n".join([*lines, "", ""])


def read_counts(store: Store, now: datetime) -> Counts:
    """Weekly counts of the last weeks; empty where the store has none."""
    if store.empty:
        return {}
    first = week_of(now - timedelta(weeks=WEEKS))
    with store.read() as connection:
        found = counts.counts(connection, since=first)
    this = week_of(now)
    return {business: {week: one for week, one in weeks.items() if week < this} for business, weeks in found.items()}


def week_of(moment: datetime) -> str:
    """``2026-W48``."""
    year, week, _ = moment.isocalendar()
    return f"{year}-W{week:02d}"


def with_reach(plan: Plan, declared: Iterable[Declared], weekly: Counts) -> Plan:
    """The plan, with a note beside every business that goes live: how many contacts a week that is, by what is known."""
    locations = {it.slug: [one.business for one in it.declaration.locations] for it in declared}
    live: defaultdict[str, set[int]] = defaultdict(set)
    for it in plan.changes:
        if _goes_live(it):
            live[it.slug] |= {it.business} if it.kind == "mapping" else set(locations.get(it.slug, ()))
    notes = [Warning_(slug, _reach(slug, sorted(them), weekly)) for slug, them in live.items() if them]
    if not notes:
        return plan
    return replace(plan, warnings=tuple(sorted((*plan.warnings, *notes), key=lambda it: (it.slug, it.text))))


def _goes_live(it: Change) -> bool:
    if it.kind == "mapping":
        after = {field.path: field.after for field in it.fields}.get("active", True)
        return it.action == "activate" or (it.action == "create" and after in (True, "true"))
    return it.kind == "runner" and any(
        (field.path, field.before, field.after) == ("beta", True, False)
        or (field.path, field.before, field.after) == ("state", "inactive", "active")
        for field in it.fields
    )


def _reach(slug: str, businesses: list[int], weekly: Counts) -> str:
    known = {it: weekly[it] for it in businesses if weekly.get(it)}
    what = f"{counted(len(businesses), 'location')} {'goes' if len(businesses) == 1 else 'go'} live"
    if not known:
        return f"{what}: no weekly counts yet; count with: reconciler sync {slug} --dry-run"
    key, word = "sent", "contacts"
    if not any(one.get("sent") for weeks in known.values() for one in weeks.values()):
        key, word = "read", "visits, of which those with allowed values are contacted"
    total = sum(round(sum(one.get(key, 0) for one in weeks.values()) / len(weeks)) for weeks in known.values())
    rest = len(businesses) - len(known)
    more = f" ({counted(rest, 'location')} without counts yet)" if rest else ""
    return f"{what}: about {total:,} {word} a week, by the last {WEEKS} weeks{more}"
