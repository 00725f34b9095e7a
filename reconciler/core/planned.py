"""One business, planned: what ``business`` makes, and what the plan, the objections and ``apply`` are made from."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.core import in_force, resolve
from reconciler.core.compare import Kept, Row
from reconciler.core.desired import Desired
from reconciler.core.groups import GroupChoice
from reconciler.core.plan import Change, Manual, Objection, Warning_


@dataclass(frozen=True, slots=True)
class Planned:
    """One business, planned. ``candidate`` comes into force when all its changes are made; None where nothing can."""

    slug: str
    business: int
    want: Desired
    choice: GroupChoice
    changes: tuple[Change, ...] = ()
    objections: tuple[Objection, ...] = ()
    manual: tuple[Manual, ...] = ()
    warnings: tuple[Warning_, ...] = ()
    unreadable: str = ""
    waiting: bool = False
    unchanged: int = 0
    unverified: int = 0
    never_sent: int = 0
    group_rows: tuple[Row, ...] = ()
    locations: tuple[resolve.LocationInput, ...] = ()
    kept: dict[str, Kept] = field(default_factory=dict)
    """Undeclared live properties: of ``group`` and of each location business."""
    old: in_force.Document | None = None
    candidate: in_force.Document | None = None
