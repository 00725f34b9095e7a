"""The published JSON documents, as text: stable order, one trailing newline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.core.plan import SUMMARY_KEYS, Change, Manual, Objection, Plan, Summary, Warning_
from reconciler.core.saved import change_of
from reconciler.report.plan_text import PlanView
from reconciler.report.problems import json_text


def to_text(document: Mapping[str, Any]) -> str:
    """Readable JSON in the published key order."""
    return json_text(document)


def plan_document(plan: Plan) -> str:
    """``plan --output json`` and ``plan --out``."""
    return to_text(plan.to_json())


def apply_document(plan: Plan, changes: tuple[Change, ...], outcomes: Mapping[str, tuple[str, str]]) -> str:
    """``apply --output json``: the plan, each change with its ``outcome`` (and ``detail`` where there is one)."""
    document = plan.to_json() | {"kind": "apply"}
    shown = []
    for change in changes:
        outcome, detail = outcomes.get(change.id, ("not_attempted", ""))
        shown.append(change.to_json() | {"outcome": outcome} | ({"detail": detail} if detail else {}))
    return to_text(document | {"changes": shown})


def view_of_document(document: Mapping[str, Any]) -> PlanView:
    """A saved plan, to be shown."""
    summary = {key: int(document["summary"].get(key, 0)) for key in SUMMARY_KEYS}
    return PlanView(
        changes=tuple(change_of(it) for it in document["changes"]),
        summary=Summary(**summary),
        manual=tuple(Manual(str(it["slug"]), str(it["text"])) for it in document["manual"]),
        objections=tuple(
            Objection(str(it["code"]), str(it["slug"]), str(it["message"])) for it in document["objections"]
        ),
        warnings=tuple(Warning_(str(it["slug"]), str(it["text"])) for it in document["warnings"]),
    )


def view_of_plan(plan: Plan, allowed: frozenset[tuple[str, str]] = frozenset()) -> PlanView:
    """A fresh plan, to be shown."""
    return PlanView(plan.changes, plan.summary, plan.manual, plan.objections, plan.warnings, plan.never_sent, allowed)
