"""Drift: what of the live state is not what git says, field by field, and how much of it could be seen at all.

Made from the same rows as a plan (``core.compare``), so that the two cannot disagree. Objects are named ``group``,
``group:151`` (another group of the business), ``mapping:100000000000101`` and, for the side of the practice's own
system, ``nextech:100000000000101``. Whether a whole object is there has the path ``exists``.

Every declared wire field (triggers, properties of the group, ``active`` and properties of each location) is *checked*
where an answer showed it, *unverified* where answers came and none showed it, *unreadable* where no answer came: the
three add up. What receipts say never makes a field checked, so that seeing less can never look like seeing more.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from reconciler.core.plan import Objection
from reconciler.core.problems import Position

FieldClass = Literal[
    "changed_outside",
    "not_applied_yet",
    "conflict",
    "unverified",
    "unreadable",
    "unmanaged",
    "missing",
    "undeclared",
    "released",
]
DRIFTED: frozenset[FieldClass] = frozenset({"changed_outside", "not_applied_yet", "conflict", "missing", "undeclared"})
"""What ``drift`` exits 2 for."""
EXISTS = "exists"

Key = tuple[str, str, str]
"""Slug, object, path."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One field, or one whole object (path ``exists``), that is not simply as declared."""

    slug: str
    object: str
    path: str
    kind: FieldClass
    declared: Any = None
    """JSON values, as in a plan; fingerprints (``#1a2b3c4d``) where sensitive."""
    live: Any = None
    recorded: Any = None
    """What was last applied: its value where it is known to be one of the values at hand, else its fingerprint."""
    live_print: str = ""
    """Keyed fingerprint of the live value; for what is absent, of its absence. What an acceptance names."""
    position: Position | None = None
    first_seen: str | None = None
    """ISO, UTC; None where it is not on record."""
    note: str = ""
    """For people: why, or what to look at."""

    @property
    def key(self) -> Key:
        """What it is unique by."""
        return (self.slug, self.object, self.path)

    @property
    def is_drift(self) -> bool:
        """Does ``drift`` exit 2 for it, unless somebody accepted it?"""
        return self.kind in DRIFTED

    @property
    def location(self) -> int | None:
        """The location business that it is about, None for a group."""
        name, _, number = self.object.partition(":")
        return int(number) if name in ("mapping", "nextech") else None

    def to_json(self) -> dict[str, Any]:
        """As published."""
        return {
            "object": self.object,
            "path": self.path,
            "class": self.kind,
            "declared": self.declared,
            "live": self.live,
            "recorded": self.recorded,
            "first_seen": self.first_seen,
        }


@dataclass(frozen=True, slots=True)
class BusinessDrift:
    """All findings of one business, and how many of its declared wire fields were seen."""

    slug: str
    business: int
    """The parent business."""
    findings: tuple[Finding, ...]
    file: str = ""
    """Of its declaration; empty where there is none."""
    unreadable: str = ""
    """Why it could not be read."""
    declared_fields: int = 0
    unverified_fields: int = 0
    unreadable_fields: int = 0
    hidden: frozenset[tuple[str, str]] = frozenset()
    """(object, path) of each declared field that no answer showed, whatever its class."""

    @property
    def checked_fields(self) -> int:
        """Declared wire fields that an answer showed."""
        return self.declared_fields - self.unverified_fields - self.unreadable_fields

    @property
    def is_different(self) -> bool:
        """Is there anything that a second read could clear up?"""
        return any(it.is_drift and it.kind != "undeclared" for it in self.findings)


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of a whole report."""

    drifted_fields: int
    checked_fields: int
    unverified_fields: int
    unreadable_fields: int

    @property
    def coverage(self) -> float:
        """Checked of all declared wire fields, 0 to 1, rounded down to four places; 1 where nothing is declared."""
        everything = self.checked_fields + self.unverified_fields + self.unreadable_fields
        return self.checked_fields * 10_000 // everything / 10_000 if everything else 1.0


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that ``drift`` says."""

    businesses: tuple[BusinessDrift, ...]
    """Without what was accepted."""
    accepted: tuple[tuple[Finding, str, str, str], ...] = ()
    """(finding, reason, last day, who) of each difference that somebody accepted."""
    ended: tuple[str, ...] = ()
    """Acceptances that hold no more, in words."""
    passing: int = 0
    """Differences that only one of the two reads saw."""
    objections: tuple[Objection, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def totals(self) -> Totals:
        """Counts over all businesses."""
        return Totals(
            sum(it.is_drift for one in self.businesses for it in one.findings),
            sum(one.checked_fields for one in self.businesses),
            sum(one.unverified_fields for one in self.businesses),
            sum(one.unreadable_fields for one in self.businesses),
        )

    @property
    def is_unreadable(self) -> bool:
        """Could something not be read?"""
        return any(it.kind == "unreadable" for one in self.businesses for it in one.findings) or any(
            one.unreadable for one in self.businesses
        )

    @property
    def exit_code(self) -> int:
        """7 where something could not be read, 2 where something differs that nobody accepted, else 0."""
        if self.is_unreadable:
            return 7
        return 2 if self.totals.drifted_fields else 0


def merge(parts: Iterable[BusinessDrift], extra: Iterable[Finding]) -> list[BusinessDrift]:
    """Findings of another origin put into their businesses. One that is unreadable makes its declared field unreadable."""
    by_slug: dict[str, list[Finding]] = {}
    for it in extra:
        by_slug.setdefault(it.slug, []).append(it)
    merged: list[BusinessDrift] = []
    for one in parts:
        more = by_slug.get(one.slug, [])
        lost = {
            (f"mapping:{it.location}", it.path.replace("nextech.", "properties.", 1))
            for it in more
            if it.kind == "unreadable" and it.declared
        }
        merged.append(
            replace(
                one,
                findings=ordered([*one.findings, *more]),
                unverified_fields=one.unverified_fields - len(lost & one.hidden),
                unreadable_fields=one.unreadable_fields + len(lost),
            )
        )
    return merged


def confirmed(first: Iterable[BusinessDrift], second: Iterable[BusinessDrift]) -> tuple[list[BusinessDrift], int]:
    """The first reading, with each business that was read again as the second one saw it.

    Only differences that both saw are kept; the number of those that one reading alone saw comes second.
    """
    again = {(it.slug, it.business): it for it in second}
    kept: list[BusinessDrift] = []
    passing = 0
    for one in first:
        two = again.get((one.slug, one.business))
        if two is None or not one.is_different:
            kept.append(one)
            continue
        before = {it.key for it in one.findings if it.is_drift}
        now = {it.key for it in two.findings if it.is_drift}
        if not two.unreadable:
            passing += len(before ^ now)
        findings = tuple(it for it in two.findings if not it.is_drift or it.key in before)
        kept.append(replace(two, findings=findings))
    return kept, passing


def ordered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """By object, then path."""
    return tuple(sorted(findings, key=lambda it: (it.object, it.path, it.kind)))
