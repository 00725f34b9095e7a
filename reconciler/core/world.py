"""Everything that a plan is made from, indexed for look-up by business."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any

from reconciler.core.declared import Declared
from reconciler.core.live import LiveBusiness, Trigger
from reconciler.core.records import InForce, Intent, ObjectReceipt, Recorded, unsure
from reconciler.core.values import Fingerprint


class Directory:
    """Who has which location and which slug, over all declarations. Made once for all parts of a run."""

    def __init__(self, declared: tuple[Declared, ...]) -> None:
        self.declared = declared

    @cached_property
    def location(self) -> dict[int, str]:
        """Location business -> slug of the declaration that has it."""
        return {it.business: one.slug for one in self.declared for it in one.declaration.locations}

    @cached_property
    def slugs(self) -> dict[str, str]:
        """Every slug that is or was (``moved``) a declared business -> its present slug."""
        found = {one.slug: one.slug for one in self.declared}
        for one in self.declared:
            for move in one.declaration.moved:
                found.setdefault(move.from_, one.slug)
        return found


@dataclass(frozen=True)
class World:
    """The inputs of ``planner.make_plan``."""

    declared: tuple[Declared, ...]
    """The whole directory, sorted by slug."""
    recorded: Recorded
    live: Mapping[int, LiveBusiness]
    """By parent business; one for each selected declaration."""
    catalogue: tuple[Trigger, ...]
    secrets: Mapping[str, str]
    """Reference -> full fingerprint."""
    fingerprint: Fingerprint
    now: datetime
    birdeye_url: str
    declarations_digest: str
    commit: str | None = None
    selected: frozenset[str] | None = None
    """Slugs that changes are planned for; None means all."""
    reassert: frozenset[str] = frozenset()
    nextech_names: Mapping[int, frozenset[str]] = field(default_factory=dict)
    """By location business: the location names that Nextech lists, where they were looked up."""
    other_groups: frozenset[int] = frozenset()
    """Groups that receipts outside ``recorded`` name."""
    manual_steps: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By slug: what a person does when the business is first set up."""
    directory: Directory | None = None
    """Of ``declared``, where it has been made already."""

    @cached_property
    def trigger_names(self) -> dict[int, str]:
        """Trigger id -> service."""
        return {it.id: it.service for it in self.catalogue}

    @cached_property
    def group_receipts(self) -> dict[int, tuple[ObjectReceipt, ...]]:
        """By parent business, newest first."""
        return self._receipts("group")

    @cached_property
    def mapping_receipts(self) -> dict[int, tuple[ObjectReceipt, ...]]:
        """By location business, newest first."""
        return self._receipts("mapping")

    def _receipts(self, kind: str) -> dict[int, tuple[ObjectReceipt, ...]]:
        found: defaultdict[int, list[ObjectReceipt]] = defaultdict(list)
        for receipt in self.recorded.objects:
            if receipt.kind == kind:
                for intent in self.intents.get(receipt.business, ()):
                    if intent.kind == kind and intent.group_id == receipt.group_id and intent.endpoint != "G+":
                        receipt = unsure(receipt, intent)
                found[receipt.business].append(receipt)
        return {
            key: tuple(sorted(them, key=lambda it: (it.at, it.group_id or 0), reverse=True))
            for key, them in found.items()
        }

    @cached_property
    def in_force(self) -> dict[str, InForce]:
        """By slug."""
        return {it.slug: it for it in self.recorded.in_force}

    @cached_property
    def in_force_location(self) -> dict[int, tuple[str, dict[str, Any]]]:
        """By location business: the slug it is in force under, and its part of the document."""
        found: dict[int, tuple[str, dict[str, Any]]] = {}
        for it in self.recorded.in_force:
            for key, location in it.document.get("locations", {}).items():
                found[int(key)] = (it.slug, location)
        return found

    @cached_property
    def intents(self) -> dict[int, tuple[Intent, ...]]:
        """Open intents by business."""
        found: defaultdict[int, list[Intent]] = defaultdict(list)
        for intent in self.recorded.open_intents:
            found[intent.business].append(intent)
        return {key: tuple(them) for key, them in found.items()}

    @cached_property
    def _directory(self) -> Directory:
        known = self.directory
        return known if known is not None and known.declared is self.declared else Directory(self.declared)

    @property
    def declared_location(self) -> dict[int, str]:
        """Location business -> slug of the declaration that has it."""
        return self._directory.location

    @property
    def declared_slugs(self) -> dict[str, str]:
        """Every slug that is or was (``moved``) a declared business -> its present slug."""
        return self._directory.slugs

    @cached_property
    def known_groups(self) -> frozenset[int]:
        """Group ids of the source that receipts or answers name: the only ones that are ever written to."""
        ids = {it.group_id for it in self.recorded.objects if it.group_id is not None}
        ids |= {group.group_id for business in self.live.values() for group in business.groups}
        return frozenset(ids) | self.other_groups

    def document_of(self, declared: Declared) -> dict[str, Any] | None:
        """What is in force for a declaration, under its slug or one it moved from."""
        slug = self.slug_in_force(declared)
        return self.in_force[slug].document if slug is not None else None

    def slug_in_force(self, declared: Declared) -> str | None:
        """The slug under which a declaration is in force: its own, or one it moved from."""
        for slug in (declared.slug, *(it.from_ for it in declared.declaration.moved)):
            if slug in self.in_force:
                return slug
        return None
