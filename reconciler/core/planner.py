"""Makes the plan of a run: every business, in order, with its objections and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from reconciler.core import objections
from reconciler.core.business import plan_business
from reconciler.core.plan import Change, Manual, Plan, Summary, Warning_
from reconciler.core.planned import Planned
from reconciler.core.world import World

PLAN_LIFETIME = timedelta(hours=24)

_PHASE = {"deactivate": 0, "create": 1, "adopt": 1, "update": 1, "reassert": 1, "move": 2, "activate": 3, "manual": 5}
_KIND = {"group": 0, "mapping": 1, "runner": 2}


def plan_businesses(world: World) -> tuple[Planned, ...]:
    """Every selected business, sorted by slug."""
    return tuple(
        plan_business(world, it) for it in world.declared if world.selected is None or it.slug in world.selected
    )


def make_plan(world: World, planned: tuple[Planned, ...]) -> Plan:
    """The plan: changes in the order of slug and of execution, objections over the whole run."""
    builder = Builder()
    for one in planned:
        builder.add(world, one)
    return builder.build(world)


@dataclass
class Builder:
    """Makes a plan business by business, so that those without a change need not be kept."""

    changes: list[Change] = field(default_factory=list)
    judged: list[objections.Judged] = field(default_factory=list)
    warnings: list[Warning_] = field(default_factory=list)
    manual: list[Manual] = field(default_factory=list)
    never_sent: list[tuple[str, int]] = field(default_factory=list)
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    unchanged: int = 0
    unverified: int = 0

    def add(self, world: World, one: Planned) -> None:
        """One business; ``world`` has what was recorded and seen of it."""
        self.changes += one.changes
        self.judged.append(objections.of_business(world, one))
        self.warnings += one.warnings
        self.manual += one.manual
        self.unchanged += one.unchanged
        self.unverified += one.unverified
        if one.never_sent:
            self.never_sent.append((one.slug, one.never_sent))
        if one.unreadable:
            self.unreadable.append((one.slug, one.unreadable))
            self.warnings.append(Warning_(one.slug, f"could not be read: {one.unreadable}"))

    def extend(self, other: Builder) -> None:
        """Businesses that another builder was given, after those of this one."""
        self.changes += other.changes
        self.judged += other.judged
        self.warnings += other.warnings
        self.manual += other.manual
        self.never_sent += other.never_sent
        self.unreadable += other.unreadable
        self.unchanged += other.unchanged
        self.unverified += other.unverified

    def build(self, world: World) -> Plan:
        """The plan; ``world`` has at least an outline of all that was recorded."""
        found = objections.of_run(world, self.judged)
        allowed = {(it.code, one.slug) for one in world.declared for it in one.declaration.allow}
        counts = Counter(it.action for it in self.changes)
        return Plan(
            created_at=instant(world.now),
            expires_at=instant(world.now + PLAN_LIFETIME),
            birdeye_url=world.birdeye_url,
            commit=world.commit,
            declarations_digest=world.declarations_digest,
            summary=Summary(
                create=counts["create"],
                update=counts["update"],
                deactivate=counts["deactivate"],
                activate=counts["activate"],
                move=counts["move"],
                reassert=counts["reassert"],
                adopt=counts["adopt"],
                manual=counts["manual"],
                unchanged=self.unchanged,
                unverified_fields=self.unverified,
                unreadable=len(self.unreadable),
                refused=sum((it.code, it.slug) not in allowed for it in found),
            ),
            changes=tuple(sorted(self.changes, key=_order)),
            manual=tuple(self.manual),
            objections=found,
            warnings=tuple(sorted(self.warnings, key=lambda it: (it.slug, it.text))),
            never_sent=tuple(self.never_sent),
            unreadable=tuple(self.unreadable),
        )


def _order(change: Change) -> tuple[str, int, int, int, str]:
    if change.kind == "runner":
        return (change.slug, 4, change.business, _KIND[change.kind], change.id)
    phase = 1 if change.kind == "group" else _PHASE[change.action]
    if change.kind == "mapping" and phase == 1:
        phase = 2
    return (change.slug, phase, change.business, _KIND[change.kind], change.id)


def instant(moment: datetime) -> str:
    """An aware UTC moment as ``2026-11-24T12:00:00Z``."""
    return moment.replace(microsecond=0).isoformat().replace("+00:00", "Z")
