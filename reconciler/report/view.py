"""What a report shows, before any format: one masked view, which Markdown, HTML, SARIF, JUnit and annotations render.

Every text of a view is ``Shown``: made here from JSON values by ``shown`` and ``shown_field``, which take no wrapped
value of a person (those refuse to become text), put ``<masked>`` in the place of a sensitive value that is no
fingerprint, and cut what is too long. What a format must escape, it escapes itself: the texts here are as they came,
control characters written as escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NewType

from reconciler.core.problems import Position
from reconciler.report.plan_text import value
from reconciler.report.problems import escaped

Shown = NewType("Shown", str)
"""Text that may be shown to everybody who reads the repository."""

Kind = Literal["plan", "apply", "drift", "validate", "sync"]
Level = Literal["ok", "note", "warning", "error"]
Origin = Literal["", "pull", "main", "outside"]
ORIGINS: tuple[tuple[Origin, str], ...] = (
    ("pull", "This pull request"),
    ("main", "Already on main and not applied"),
    ("outside", "Changed outside git"),
    ("", "Changes"),
)
"""Where changes come from, in the order in which they are shown."""

MASK = Shown("<masked>")
LONGEST_TEXT = 2_000
_FINGERPRINT = re.compile(r"#[0-9a-f]{8,64}")


@dataclass(frozen=True, slots=True)
class Remark:
    """One thing to say of one place: an annotation, a SARIF result, a failed JUnit case."""

    level: Level
    rule: str
    """Stable: ``E214``, ``objection/last-location``, ``change/deactivate``, ``drift/missing``."""
    group: Shown
    """Slug or file."""
    text: Shown
    place: Position | None = None
    key: str = ""
    """What it is recognised by in the next run; no values, no line numbers."""


@dataclass(frozen=True, slots=True)
class Row:
    """One field."""

    path: Shown
    before: Shown
    after: Shown
    note: Shown = Shown("")


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, difference, problem or location."""

    mark: str
    """One of ``+ ~ - ! > ? x`` or a space."""
    word: Shown
    what: Shown
    why: Shown = Shown("")
    place: Position | None = None
    rows: tuple[Row, ...] = ()
    risky: bool = False
    """Its fields are shown as long as there is any room."""
    outcome: Shown = Shown("")
    origin: Origin = ""
    lines: tuple[Shown, ...] = ()
    """Further lines, such as what ends a difference."""
    remark: Remark | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """One business, or one file."""

    name: Shown
    file: Shown
    entries: tuple[Entry, ...]
    lines: tuple[Shown, ...] = ()


@dataclass(frozen=True, slots=True)
class Point:
    """One line of a section: a code or slug in front, the words, and what to do."""

    head: Shown
    text: Shown
    remedy: Shown = Shown("")
    group: Shown = Shown("")
    remark: Remark | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """What stands on the first screen, before anything is folded."""

    title: str
    level: Level
    points: tuple[Point, ...]
    by_group: bool = False
    """When cut, say also how many groups it concerns."""


@dataclass(frozen=True, slots=True)
class View:
    """A whole report."""

    kind: Kind
    title: Shown
    level: Level
    verdict: Shown
    counts: tuple[tuple[str, int], ...]
    facts: tuple[tuple[str, Shown], ...] = ()
    sections: tuple[Section, ...] = ()
    groups: tuple[Group, ...] = ()
    total: Shown = Shown("")
    """The line that can be searched for."""
    passed: tuple[Shown, ...] = ()
    """Groups with nothing to say, for formats that list what was looked at."""
    digest: str = ""
    columns: tuple[str, str] = ("before", "after")
    """What the two sides of a field are."""
    extra: tuple[Section, ...] = field(default=())
    """Notes and tables that stand after the details."""

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Everything that has a place or a level, in the order shown."""
        found: list[Remark] = []
        for section in (*self.sections, *self.extra):
            found += [it.remark for it in section.points if it.remark is not None]
        for group in self.groups:
            found += [it.remark for it in group.entries if it.remark is not None]
        return tuple(found)

    def with_facts(self, *facts: tuple[str, Shown]) -> View:
        """The same view, said of something more."""
        return replace(self, facts=(*self.facts, *facts))


def shown(text: object) -> Shown:
    """Text or a number, as it may be shown. Raises TypeError for anything else, a value of a person included."""
    if isinstance(text, bool) or not isinstance(text, str | int):
        raise TypeError(f"a {type(text).__name__} is no text for a report")
    return Shown(cut(escaped(str(text)), LONGEST_TEXT))


def shown_value(it: Any) -> Shown:
    """A JSON value: bare words, ``(none)``, lists with commas, at most 200 characters."""
    _check(it)
    return Shown(value(it))


def shown_field(it: Any, *, sensitive: bool) -> Shown:
    """One side of a field. A sensitive one is a fingerprint or nothing; whatever else it holds is masked."""
    if not sensitive or it is None:
        return shown_value(it)
    return Shown(it) if isinstance(it, str) and _FINGERPRINT.fullmatch(it) else MASK


def cut(text: str, longest: int) -> str:
    """At most ``longest`` characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def counted(number: int, one: str, many: str | None = None) -> str:
    """``1 change``, ``2 changes``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def place_text(place: Position | None) -> Shown:
    """``file:line``."""
    return Shown("") if place is None else Shown(escaped(f"{place.file}:{place.line}"))


def worst(levels: Iterable[Level]) -> Level:
    """The most severe one."""
    order: tuple[Level, ...] = ("ok", "note", "warning", "error")
    return max(levels, key=order.index, default="ok")


def _check(it: Any) -> None:
    """Only what JSON knows: a wrapped value of a person is none of it."""
    if isinstance(it, dict):
        for key, one in it.items():
            _check(key)
            _check(one)
    elif isinstance(it, list):
        for one in it:
            _check(one)
    elif it is not None and not isinstance(it, str | int | float | bool):
        raise TypeError(f"a {type(it).__name__} is no value for a report")
