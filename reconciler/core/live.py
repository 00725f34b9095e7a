"""Live state as one answer of the API showed it, and what could not be seen.

Visibility is judged per answer: a list that an answer did not have is ``None``, a list that was empty is ``()``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

MASK_CHARACTERS = frozenset("*•●·xX#")


@dataclass(frozen=True, slots=True)
class Property:
    """One property as shown. ``value`` is None where the answer has the key and no value."""

    key: str
    value: str | None
    secure: bool = False

    @property
    def is_masked(self) -> bool:
        """A secure value that is absent or replaced by mask characters; a value that has any ``*`` run counts."""
        if self.value is None or not self.value.strip():
            return self.secure
        return self.secure and (set(self.value) <= MASK_CHARACTERS or "**" in self.value or "••" in self.value)


@dataclass(frozen=True, slots=True)
class Trigger:
    """One entry of the source's trigger catalogue."""

    id: int
    service: str
    display_name: str = ""
    active: bool = True
    type_ids: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True)
class LiveMapping:
    """One business (location) mapped to one group."""

    business: int
    group_id: int | None
    active: bool | None = None
    """None where the answer has no flag."""
    properties: tuple[Property, ...] | None = None
    status: str | None = None
    frequency: str | None = None
    next_run_time: str | None = None


@dataclass(frozen=True, slots=True)
class LiveGroup:
    """One group of one parent business."""

    group_id: int
    source_id: int | None
    triggers: tuple[int, ...] | None = None
    properties: tuple[Property, ...] | None = None
    mappings: tuple[LiveMapping, ...] | None = None
    """What the group's own answer lists; None where it has no such member."""


Sight = Literal["shown", "unobservable", "unreadable", "not_read"]


@dataclass(frozen=True, slots=True)
class SeenMappings:
    """What one location's own mapping read gave."""

    sight: Sight
    mappings: tuple[LiveMapping, ...] = ()
    error: str = ""


@dataclass(frozen=True, slots=True)
class LiveBusiness:
    """All that was read about one parent business."""

    business: int
    groups: tuple[LiveGroup, ...] = ()
    """Of the source in question only; sorted by id."""
    error: str = ""
    """Why the groups could not be read; empty where they could."""
    not_found: bool = False
    """G answered 404: no group, unless a receipt says that there was one."""
    mappings: dict[int, SeenMappings] = field(default_factory=dict)
    """By location business; absent where no read of its own was needed."""

    @property
    def lists_mappings(self) -> bool:
        """Does any group's own answer have a list of mappings?"""
        return any(it.mappings is not None for it in self.groups)

    def listed(self) -> dict[int, tuple[LiveMapping, ...]]:
        """The mappings in the groups' own answers, by location business."""
        found: dict[int, tuple[LiveMapping, ...]] = {}
        for group in self.groups:
            for it in group.mappings or ():
                found[it.business] = (*found.get(it.business, ()), it)
        return found
