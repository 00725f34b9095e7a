"""All businesses of a plan: bounded, past failures, until a signal."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field

from reconciler.apply.business import Result, apply_business
from reconciler.apply.deps import Deps
from reconciler.core.declared import Declared
from reconciler.core.plan import Change
from reconciler.core.planned import Planned
from reconciler.core.world import World
from reconciler.errors import LockHeld, ReconcilerError


@dataclass
class Applied:
    """Outcomes of every change, in plan order; ``error`` ended the run early."""

    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    requests: int = 0
    error: ReconcilerError | None = None


def apply_plan(deps: Deps, world: World, planned: tuple[Planned, ...], changes: tuple[Change, ...]) -> Applied:
    """Carry out ``changes``, business by business. A failed business does not stop the others; a lost lock stops all."""
    by_slug: dict[str, list[Change]] = {}
    for change in changes:
        by_slug.setdefault(change.slug, []).append(change)
    declared: dict[str, Declared] = {it.slug: it for it in world.declared}
    work = [it for it in planned if it.slug in by_slug]
    applied = Applied()

    def one(it: Planned) -> Result:
        mine = tuple(by_slug[it.slug])
        if deps.stop.is_set():
            for change in mine:
                deps.on_outcome(change, "not_attempted", "stopped")
            return Result(it.slug, {change.id: ("not_attempted", "stopped") for change in mine})
        return apply_business(deps, world, declared[it.slug], it, mine)

    with ThreadPoolExecutor(max_workers=max(1, deps.concurrency), thread_name_prefix="apply") as pool:
        for future in as_completed([pool.submit(one, it) for it in work]):
            result = future.result()
            applied.outcomes |= result.outcomes
            applied.requests += result.requests
            if result.error is not None:
                deps.stop.set()  # the lock or the store is gone for every business
                if applied.error is None or isinstance(result.error, LockHeld):
                    applied.error = result.error
    for change in changes:
        applied.outcomes.setdefault(change.id, ("not_attempted", ""))
    return applied
