"""Whose visit is it, and do the counts of a pass add up?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from reconciler.core.decide import Decision
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Quarantined
from reconciler.errors import InternalError

FinalOutcome = Literal[
    "sent", "already_sent", "restricted", "skipped", "quarantined", "held", "failed", "pending"
]  # fmt: skip
ELIGIBLE: frozenset[FinalOutcome] = frozenset({"sent", "failed", "held", "pending"})


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where one visit belongs. ``business`` is None for one that belongs to no location (counted per practice)."""

    business: int | None
    decision: Decision | None = None
    """Set where the assignment itself decides: ``other_practitioner`` or ``held: ambiguous_location``."""
    claimed_by: tuple[int, ...] = ()
    """Ascending; more than one where it is ambiguous (counted at the first)."""


def assign(visit: Appointment | Quarantined, locations: Sequence[LocationRules]) -> Assignment:
    """By location name (equal after trimming), then among the locations of that name by practitioner.

    ``locations``: all of the practice that could claim visits, due or not. One without names takes every name, one
    without practitioners every practitioner.
    """
    names = {it.strip() for it in visit.location_names}
    people = {it.strip() for it in visit.practitioner_ids}
    ordered = sorted(locations, key=lambda it: it.business)
    named = [it for it in ordered if not it.location_names or names & {one.strip() for one in it.location_names}]
    claims = [it for it in named if not it.practitioner_ids or people & {one.strip() for one in it.practitioner_ids}]
    claimed_by = tuple(it.business for it in claims)
    if len(claims) == 1:
        return Assignment(claimed_by[0], None, claimed_by)
    if claims:
        shown = (("locations", tuple(str(it) for it in claimed_by)), ("location name", visit.location_names))
        return Assignment(claimed_by[0], Decision("held", "ambiguous_location", "one location", shown), claimed_by)
    if len(named) == 1:
        shown = (("practitioner", visit.practitioner_ids), ("allowed", named[0].practitioner_ids))
        decision = Decision("skipped", "other_practitioner", "practitioner_ids", shown)
        return Assignment(named[0].business, decision)
    return Assignment(None)


def unknown_names(rules: LocationRules, practice_names: Iterable[str]) -> tuple[str, ...]:
    """The configured location names that the practice does not have, sorted: they stop the location."""
    return tuple(sorted({it.strip() for it in rules.location_names} - {it.strip() for it in practice_names}))


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of one location in one pass, as ``sync --output json`` has them."""

    read: int = 0
    eligible: int = 0
    sent: int = 0
    already_sent: int = 0
    restricted: Mapping[str, int] = field(default_factory=dict)
    """By reason, sorted."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    quarantined: int = 0
    held: int = 0
    failed: int = 0
    pending: int = 0


def count(outcomes: Iterable[tuple[FinalOutcome, str]], *, read: int) -> Counts:
    """The counts of (outcome, reason) pairs, one per visit; ``read`` is how many visits were cut for the location.

    Raises ``InternalError`` where they do not add up: the pass has failed then.
    """
    kinds: Counter[FinalOutcome] = Counter()
    reasons: dict[str, Counter[str]] = {"restricted": Counter(), "skipped": Counter()}
    for outcome, reason in outcomes:
        kinds[outcome] += 1
        if outcome in reasons:
            reasons[outcome][reason] += 1
    counts = Counts(
        read=read,
        eligible=sum(kinds[it] for it in ELIGIBLE),
        sent=kinds["sent"],
        already_sent=kinds["already_sent"],
        restricted=dict(sorted(reasons["restricted"].items())),
        skipped=dict(sorted(reasons["skipped"].items())),
        quarantined=kinds["quarantined"],
        held=kinds["held"],
        failed=kinds["failed"],
        pending=kinds["pending"],
    )
    check(counts)
    return counts


def check(counts: Counts) -> None:
    """Raises ``InternalError`` unless the two published sums hold (``interface.md``, *JSON documents*)."""
    parts = (
        counts.sent
        + counts.already_sent
        + sum(counts.restricted.values())
        + sum(counts.skipped.values())
        + counts.quarantined
        + counts.held
        + counts.failed
        + counts.pending
    )
    if counts.read != parts:
        raise InternalError(f"counting the visits of a pass: {counts.read} were read and {parts} have an outcome")
    eligible = counts.sent + counts.failed + counts.held + counts.pending
    if counts.eligible != eligible:
        raise InternalError(f"counting the visits of a pass: {counts.eligible} eligible, their outcomes say {eligible}")
