"""Makes the plan of a run: every business, in order, with its objections and counts."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

from reconciler.core import objections
from reconciler.core.business import Planned, plan_business
from reconciler.core.plan import Change, Plan, Summary, Warning_
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
    changes = tuple(sorted((it for one in planned for it in one.changes), key=_order))
    found = objections.find(world, planned)
    allowed = {(it.code, one.slug) for one in world.declared for it in one.declaration.allow}
    counts = Counter(it.action for it in changes)
    unreadable = tuple((one.slug, one.unreadable) for one in planned if one.unreadable)
    warnings = [it for one in planned for it in one.warnings]
    warnings += [Warning_(slug, f"could not be read: {why}") for slug, why in unreadable]
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
            unchanged=sum(one.unchanged for one in planned),
            unverified_fields=sum(one.unverified for one in planned),
            unreadable=len(unreadable),
            refused=sum((it.code, it.slug) not in allowed for it in found),
        ),
        changes=changes,
        manual=tuple(it for one in planned for it in one.manual),
        objections=found,
        warnings=tuple(sorted(warnings, key=lambda it: (it.slug, it.text))),
        never_sent=tuple((one.slug, one.never_sent) for one in planned if one.never_sent),
        unreadable=unreadable,
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
