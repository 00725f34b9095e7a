"""Rules that need every declaration: who claims which business, location name, practice and former slug."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reconciler.core.declared import Declared, Path
from reconciler.core.lint_one import managed, told
from reconciler.core.model import Location
from reconciler.core.problems import Position, Problem
from reconciler.core.suggest import quoted

Place = tuple[Declared, Path]


def problems(declared: Sequence[Declared]) -> Iterator[Problem]:
    """Every problem between declarations, and between the locations of one."""
    yield from _businesses(declared)
    yield from _practices(declared)
    yield from _moves(declared)


def _businesses(declared: Sequence[Declared]) -> Iterator[Problem]:
    first: dict[int, Place] = {}
    for it in declared:
        parent = it.declaration.business
        numbers: list[tuple[int, Path]] = [(parent, ("business",))]
        numbers += [(lo.business, ("locations", i, "business")) for i, lo in enumerate(it.declaration.locations)]
        is_smb = any(number == parent for number, _ in numbers[1:])
        if is_smb and len(numbers) > 2:
            at = next(path for number, path in numbers[1:] if number == parent)
            message = "a location with the parent's number means an SMB, which has exactly one location"
            hint = "give each location its own business id, or delete the others"
            yield told(it, at, "E312", message, hint, also=((it.position("business"), "the parent"),))
        for number, path in numbers:
            earlier = first.setdefault(number, (it, path))
            if earlier[1] is path and earlier[0] is it:
                continue
            also = ((earlier[0].position(*earlier[1]), "first given here"),)
            if earlier[0] is not it and path != ("business",) and number == parent:
                continue  # an SMB's one number is told at the top
            if earlier[0] is not it:
                message = f"business {number} is declared in two files"
                yield told(it, path, "E310", message, "delete one of them; one file owns a business", also=also)
            elif earlier[1] != ("business",):
                yield told(it, path, "E311", f"business {number} stands twice in this file", "delete one", also=also)


@dataclass(slots=True)
class _Claims:
    """Who claims one location name of one practice id."""

    whole: Place | None = None
    by_practitioner: dict[str, Place] = field(default_factory=dict)

    def claim(self, place: Place, practitioners: Sequence[str]) -> Place | None:
        """Note a claim; gives an earlier one that it cannot be told apart from."""
        clash = self.whole
        if not practitioners:
            clash = clash or next(iter(self.by_practitioner.values()), None)
            self.whole = self.whole or place
        for it in practitioners:
            clash = clash or self.by_practitioner.get(it)
        for it in practitioners:
            self.by_practitioner.setdefault(it, place)
        return clash


def _practices(declared: Sequence[Declared]) -> Iterator[Problem]:
    by_practice: dict[str, list[tuple[Declared, int, Location]]] = {}
    for it in declared:
        group_id = it.declaration.group.practice_id
        for i, location in managed(it):
            reference = location.practice_id or group_id
            if reference is not None:
                by_practice.setdefault(reference, []).append((it, i, location))
    for members in by_practice.values():
        if len(members) > 1:
            yield from _one_practice(members)


def _one_practice(members: Sequence[tuple[Declared, int, Location]]) -> Iterator[Problem]:
    named = [name for _, _, location in members for name in location.location_names or (None,)]
    if None not in named and len(named) == len(set(named)):
        return  # each name is claimed once
    claims: dict[str, _Claims] = {}
    for it, i, location in members:
        if not location.location_names:
            other, j, _ = next(member for member in members if member[0] is not it or member[1] != i)
            also = ((other.position("locations", j, "business"), "another location of it"),)
            message = (
                "several locations share this practice id, and this one has no `location_names`: it would claim all"
            )
            path: Path = (
                ("locations", i, "location_names") if location.location_names == () else ("locations", i, "business")
            )
            yield told(it, path, "E308", message, "list the names as Nextech spells them", also=also)
            continue
        for k, name in enumerate(dict.fromkeys(location.location_names)):
            place: Place = (it, ("locations", i, "location_names", k))
            clash = claims.setdefault(name, _Claims()).claim(place, location.practitioner_ids or ())
            if clash is None:
                continue
            both = "the location name {} is claimed twice for one practice id, and practitioners do not tell them apart"
            also = ((clash[0].position(*clash[1]), "also claimed here"),)
            hint = "give both locations `practitioner_ids` that do not overlap, or delete the name from one"
            yield told(it, place[1], "E309", both.format(quoted(name)), hint, also=also)


def _moves(declared: Sequence[Declared]) -> Iterator[Problem]:
    target: dict[str, tuple[str, Position]] = {}
    for it in declared:
        for i, move in enumerate(it.declaration.moved):
            path: Path = ("moved", i, "from")
            earlier = target.get(move.from_)
            if earlier is None:
                target[move.from_] = (it.slug, it.position(*path))
            elif earlier[0] != it.slug:
                message = f"{quoted(move.from_)} is claimed as the former name of two files"
                yield told(it, path, "E321", message, "delete one", also=((earlier[1], "also claimed here"),))
    for it in declared:
        for i, move in enumerate(it.declaration.moved):
            if _comes_back(it.slug, move.from_, target):
                message = f"the renames go in a circle: {quoted(move.from_)} became {quoted(it.slug)} and the reverse"
                if move.from_ == it.slug:
                    message = f"{quoted(it.slug)} is this file's own slug, not a former one"
                yield told(it, ("moved", i, "from"), "E320", message, "delete the entry that never happened")


def _comes_back(slug: str, former: str, target: dict[str, tuple[str, Position]]) -> bool:
    seen = set()
    here = slug
    while here not in seen:
        if here == former:
            return True
        seen.add(here)
        if here not in target:
            return False
        here = target[here][0]
    return False
