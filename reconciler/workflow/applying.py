"""Carrying out: settle, plan under the lock, check what was approved, write, and count how it ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from reconciler.apply.deps import Deps
from reconciler.apply.run import apply_plan
from reconciler.apply.settle import settle
from reconciler.core import objections, saved
from reconciler.core.plan import Change, Objection, Plan
from reconciler.errors import LockHeld, Partial, ReconcilerError, Stale
from reconciler.workflow.batches import make_in_batches
from reconciler.workflow.planning import Inputs, Made, read_outline


@dataclass(frozen=True)
class Approval:
    """What a person has agreed to before: nothing, a saved plan, or (``--approved``) a reviewed one."""

    document: dict[str, Any] | None = None
    exactly: bool = True
    """A saved plan must be current; an approved one is only compared with."""


@dataclass
class Report:
    """How an apply ended. ``outcomes``: change id -> (outcome, detail), for every change shown."""

    plan: Plan
    changes: tuple[Change, ...] = ()
    outcomes: dict[str, tuple[str, str]] = field(default_factory=dict)
    requests: int = 0
    refused: tuple[Objection, ...] = ()
    error: ReconcilerError | None = None
    stopped: int = 0
    """Exit code of the signal that ended it."""

    @property
    def exit_code(self) -> int:
        """The first that applies, as ``interface.md`` orders them."""
        kinds = {outcome for outcome, _ in self.outcomes.values()}
        changed = bool(kinds & {"applied", "unknown"})
        if self.error is not None and not changed:
            return self.error.exit_code
        if isinstance(self.error, LockHeld):
            return self.error.exit_code
        if self.plan.unreadable:
            return 7
        if self.refused:
            return 3
        by_hand = any(
            it.action == "manual" and it.kind != "runner" and self.outcomes[it.id][0] == "skipped"
            for it in self.changes
        )
        if kinds & {"failed", "unknown", "not_attempted"} or by_hand or self.error is not None:
            return self.stopped or Partial.exit_code
        return self.stopped


def allowances(declared_allow: Iterable[tuple[str, str]], command_line: Iterable[str]) -> frozenset[tuple[str, str]]:
    """(code, slug) pairs that are allowed. Some codes are only ever allowed on the command line."""
    found = {
        (code, slug) for code, slug in declared_allow if code not in objections.COMMAND_LINE_ONLY and slug != "run"
    }
    for text in command_line:
        code, _, slug = text.partition(":")
        found.add((code, slug))
    return frozenset(found)


def standing(made: Made, command_line: Iterable[str]) -> tuple[Objection, ...]:
    """The objections that nobody allowed."""
    declared_allow = [(it.code, one.slug) for one in made.world.declared for it in one.declaration.allow]
    allowed = allowances(declared_allow, command_line)
    return tuple(it for it in made.plan.objections if (it.code, it.slug) not in allowed)


def settle_and_make(inputs: Inputs, deps: Callable[[str], Deps]) -> Made:
    """Under the lock: what an earlier run left open is settled first, then everything is planned."""
    recorded = read_outline(inputs.store)
    if recorded.open_intents:
        made = make_in_batches(inputs)
        settle(deps("settle"), made.world, recorded.open_intents)
    return make_in_batches(inputs)


def check_approval(made: Made, approval: Approval) -> tuple[Change, ...]:
    """The changes to carry out. Raises errors.Stale where the approval does not cover them."""
    plan = made.plan
    if approval.document is None:
        return plan.changes
    missing = saved.not_covered(plan, approval.document)
    if missing:
        what = "is not current" if approval.exactly else "does not hold everything that would be done now"
        raise Stale(f"the plan {what}:\n" + "\n".join(f"  {it}" for it in missing), hint="make and review a new plan")
    return plan.changes


def carry_out(deps: Deps, made: Made, changes: tuple[Change, ...], approval: Approval) -> Report:
    """The writes. Changes of a saved plan that are done already are reported as ``already``."""
    plan = made.plan
    report = Report(plan, changes)
    unreadable = {slug for slug, _ in plan.unreadable}
    doable = tuple(it for it in changes if it.slug not in unreadable)
    applied = apply_plan(deps, made.world, made.planned, doable)
    report.outcomes = applied.outcomes
    report.requests = applied.requests
    report.error = applied.error
    if approval.document is not None and approval.exactly:
        done = saved.already_done(plan, approval.document)
        report.changes = (*changes, *done)
        report.outcomes |= {it.id: ("already", "") for it in done}
    return report
