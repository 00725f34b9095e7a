"""Plans and drift reports made for tests of what people review: of any size, and with any text in any place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache

from reconciler.core.drift import BusinessDrift, Finding, Report
from reconciler.core.plan import Action, Change, FieldChange, Manual, Objection, Plan, Summary, Warning_, change_id
from reconciler.core.problems import Position, Problem, Severity
from reconciler.report import formats, view_other

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
ACTIONS: tuple[Action, ...] = ("create", "update", "deactivate", "activate", "move", "reassert", "adopt", "manual")


def change(number: int, action: Action, slug: str, text: str = "Dermatology") -> Change:
    """One change of a location, with a field of every kind."""
    business = 100_000_000_000_000 + number
    file = f"integrations/{slug}.yaml"
    fields = (
        FieldChange("active", action != "activate", action == "activate"),
        FieldChange("properties.location.name", ["Downtown"], [text, "Oncology"]),
        FieldChange("properties.practice.id", "#0a1b2c3d", "#4e5f6a7b", sensitive=True, verdict="unverified"),
    )
    reason = "declared and not applied yet"
    return Change(
        change_id("mapping", business, slug), "mapping", slug, business, action, reason, Position(file, 7, 5), fields
    )


@lru_cache(maxsize=4)
def plan(
    size: int, *, per_business: int = 5, actions: tuple[Action, ...] = ACTIONS, objections: int | None = None
) -> Plan:
    """A plan of ``size`` changes."""
    changes = tuple(
        change(i, actions[i % len(actions)], f"example-practice-{i // per_business:05}") for i in range(size)
    )
    counts = {name: sum(it.action == name for it in changes) for name in ACTIONS}
    slugs = sorted({it.slug for it in changes})
    refused = min(len(slugs), 3) if objections is None else objections
    return Plan(
        created_at="2026-11-24T06:00:00Z",
        expires_at="2026-11-25T06:00:00Z",
        birdeye_url="https://common-services.birdeye.com",
        commit="0123456789abcdef0123456789abcdef01234567",
        declarations_digest="d" * 64,
        summary=Summary(
            **counts, unchanged=7, unverified_fields=size, unreadable=1 if size > 3 else 0, refused=refused
        ),
        changes=changes,
        manual=tuple(Manual(slug, "Nextech: switch appointment purpose off and save") for slug in slugs),
        objections=tuple(
            Objection("filter-widened", slugs[i], f"location {i}: every type instead of Procedure")
            for i in range(refused)
        ),
        warnings=(
            *(Warning_(slug, "waiting for the practice id ordered on 2026-11-20") for slug in slugs[:2]),
            *((Warning_(slugs[-1], "could not be read: GET /integrations: 503"),) if size > 3 else ()),
        ),
        never_sent=((slugs[0], 2),) if slugs else (),
    )


def hostile_plan(text: str) -> Plan:
    """A plan with one text wherever text may come from outside."""
    base = change(1, "deactivate", "example")
    fields = (
        FieldChange(text, text, text),
        FieldChange("properties.location.name", [text, text], {text: text}),
        FieldChange("properties.practice.id", text, text, sensitive=True),
    )
    changes = tuple(
        Change(f"id{i}", "mapping", text, base.business, action, text, Position(text, 3, 1), fields)
        for i, action in enumerate((ACTIONS[2], ACTIONS[0], ACTIONS[1]))
    )
    return Plan(
        created_at="2026-11-24T06:00:00Z",
        expires_at="2026-11-25T06:00:00Z",
        birdeye_url=text,
        commit=text,
        declarations_digest="d",
        summary=Summary(deactivate=1, create=1, update=1, refused=1, unverified_fields=3, unreadable=1),
        changes=changes,
        manual=(Manual(text, text),),
        objections=(Objection(text, text, text),),
        warnings=(Warning_(text, text), Warning_(text, f"could not be read: {text}")),
        never_sent=((text, 2),),
    )


def finding(slug: str, path: str = "properties.appointment.types", **more: object) -> Finding:
    """One difference."""
    values: dict[str, object] = {
        "declared": "Procedure|Surgery",
        "live": "Procedure",
        "recorded": "Procedure|Surgery",
        "position": Position(f"integrations/{slug}.yaml", 9, 3),
        "first_seen": "2026-11-21T05:00:00Z",
    }
    kind = more.pop("kind", "changed_outside")
    return Finding(slug, str(more.pop("object", "group")), path, kind, **{**values, **more})  # type: ignore[arg-type]


def business_drift(slug: str, *findings: Finding, unreadable: str = "") -> BusinessDrift:
    """One business of a drift report."""
    return BusinessDrift(slug, 100_000_000_000_100, findings, f"integrations/{slug}.yaml", unreadable, 20, 2, 0)


def drift_report() -> Report:
    """A report with a difference of each kind."""
    kinds = ("changed_outside", "not_applied_yet", "conflict", "missing", "undeclared", "unverified", "unmanaged")
    return Report(
        (
            business_drift("example-eye-partners", finding("example-eye-partners", kind="missing", path="exists")),
            business_drift(
                "example-skin-group",
                *(finding("example-skin-group", kind=it, object=f"mapping:{i}") for i, it in enumerate(kinds)),
            ),
            business_drift("example-vein", unreadable="GET /integrations: 503"),
            business_drift("example-quiet"),
        ),
        accepted=((finding("example-allergy"), "agreed with the client", "2026-12-31", "Jo Example"),),
        notes=("one note",),
    )


def hostile_drift(text: str) -> Report:
    """A report with one text wherever text may come from outside."""
    return Report(
        (
            business_drift(
                text,
                finding(text, text, declared=text, live=text, recorded=text, note=text),
                finding(text, text, kind="unverified", note=text, object=f"group:{text}"),
                finding(text, text, kind="unreadable", note=text, object=f"nextech:{text}"),
                finding(text, "exists", kind="missing", live=text, note=text, object="mapping:7"),
            ),
            business_drift(f"{text}2", unreadable=text),
        ),
        accepted=((finding(text, text, note=text), text, text, text),),
        ended=(text,),
        objections=(Objection(text, text, text),),
        notes=(text,),
    )


def hostile_problems(text: str) -> tuple[Problem, ...]:
    """Problems with one text wherever text may come from outside."""
    also = ((Position(text, 2, 2), text),)
    return tuple(Problem(f"E{i}14", it, text, Position(text, 1, 1), text, also) for i, it in enumerate(Severity))


def annotated(problems: Sequence[Problem]) -> str:
    """What `validate --output github` prints of problems."""
    return formats.render(view_other.view_of_problems(problems), "github")
