"""A plan, an apply or a drift report in the formats that render a view, for the commands that print them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from reconciler.report.formats import FORMS
from reconciler.report.plan_text import PlanView

PLAN_FORMS = ("text", "json", *FORMS)


def plan_in(form: str, view: PlanView, document: Mapping[str, Any], **more: Any) -> str:
    """A plan in one of ``FORMS``; ``document`` is its published form."""
    from reconciler.report import formats, view_plan

    return formats.render(view_plan.view_of_plan(view, about(document, **more)), form)


def apply_in(form: str, view: PlanView, document: Mapping[str, Any], outcomes: Mapping[str, tuple[str, str]]) -> str:
    """How an apply ended, in one of ``FORMS``."""
    from reconciler.report import formats, view_plan

    return formats.render(view_plan.view_of_apply(view, outcomes, about(document)), form)


def about(document: Mapping[str, Any], **more: Any) -> Any:
    """What a view says of the plan in ``document`` beside its contents."""
    from reconciler.report import view_plan

    target = str(document["target"].get("birdeye_url", ""))
    return view_plan.About(
        target=urlsplit(target).netloc or target,
        digest=str(document["digest"]),
        created_at=str(document["created_at"]),
        commit=document["base"].get("commit"),
        **more,
    )
