"""Finds the drift of each business from its planned rows (``core.drift`` says what the words mean)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from reconciler.core import compare, live, values
from reconciler.core.compare import Row
from reconciler.core.declared import Declared
from reconciler.core.desired import Desired
from reconciler.core.drift import EXISTS, BusinessDrift, FieldClass, Finding, ordered
from reconciler.core.planned import Planned
from reconciler.core.problems import Position
from reconciler.core.records import FieldReceipt, ObjectReceipt
from reconciler.core.resolve import LocationInput
from reconciler.core.sources import nextech
from reconciler.core.values import Value
from reconciler.core.verdict import Judged
from reconciler.core.world import World

_SAME = Judged("same")
_STATES = {True: "active", False: "inactive"}


def find(world: World, planned: Iterable[Planned], unresolved: Mapping[str, str] | None = None) -> list[BusinessDrift]:
    """Every selected business, and those that were applied and are declared no more; sorted by slug.

    ``unresolved`` maps the fingerprint of a stand-in to the reference that did not resolve: such a field is unverified.
    """
    unresolved = unresolved or {}
    by_slug = {it.slug: it for it in world.declared}
    found = [_Business(world, by_slug[one.slug], one, unresolved).result() for one in planned]
    return sorted([*found, *_undeclared_files(world)], key=lambda it: (it.slug, it.business))


def absent_print(world: World, what: str) -> str:
    """The fingerprint of something that is not there."""
    return world.fingerprint("absent", what)


def _state(active: bool | None) -> str | None:
    return None if active is None else _STATES[active]


class _Business:
    """One declared business. Rows become findings; what has no row is counted and listed as not seen."""

    def __init__(self, world: World, declared: Declared, planned: Planned, unresolved: Mapping[str, str]) -> None:
        self.world = world
        self.declared = declared
        self.planned = planned
        self.unresolved = unresolved
        self.findings: list[Finding] = []
        self.shown: set[tuple[str, str]] = set()
        """(object, path) of declared fields that an answer showed."""
        self.told: set[tuple[str, str]] = set()
        """(object, path) of declared fields that need no further word."""

    def result(self) -> BusinessDrift:
        planned = self.planned
        if planned.want.released:
            return self._released()
        everything = dict(_declared_fields(planned.want))
        if planned.unreadable:
            self._not_seen(everything, "unreadable", planned.unreadable)
            return self._done(everything, unreadable=planned.unreadable)
        if planned.waiting:
            self._not_seen(everything, "unverified", "nothing is read before the practice id has come")
            return self._done(everything)
        if planned.choice.held:
            self._held()
        else:
            self._group()
            for one in planned.locations:
                self._location(one)
            self._strangers()
        self._undeclared_entries()
        self._not_seen(everything, "unverified", "no answer showed it")
        return self._done(everything)

    def _done(self, everything: Mapping[tuple[str, str], Value | None], unreadable: str = "") -> BusinessDrift:
        hidden = frozenset(set(everything) - self.shown)
        return BusinessDrift(
            slug=self.planned.slug,
            business=self.planned.business,
            findings=ordered(self.findings),
            file=self.declared.file,
            unreadable=unreadable,
            declared_fields=len(everything),
            unverified_fields=0 if unreadable else len(hidden),
            unreadable_fields=len(hidden) if unreadable else 0,
            hidden=hidden,
        )

    def _add(self, object_: str, path: str, kind: FieldClass, **more: Any) -> None:
        self.findings.append(Finding(self.planned.slug, object_, path, kind, **more))

    def _not_seen(self, everything: Mapping[tuple[str, str], Value | None], kind: FieldClass, why: str) -> None:
        for (object_, path), value in everything.items():
            if (object_, path) in self.shown or (object_, path) in self.told:
                continue
            receipt = self._receipt(object_)
            self._add(
                object_,
                path,
                kind,
                declared=self._display(path, value),
                recorded=self._recorded(receipt.field(path) if receipt else None, path, (value,)),
                position=self._position(object_, path),
                note=why,
            )

    def _receipt(self, object_: str) -> ObjectReceipt | None:
        choice = self.planned.choice
        if object_ == "group":
            return choice.receipt
        group_id = choice.group.group_id if choice.group is not None else None
        receipts = self.world.mapping_receipts.get(int(object_.partition(":")[2]), ())
        if group_id is None:
            return receipts[0] if receipts else None
        return next((it for it in receipts if it.group_id == group_id), None)

    def _position(self, object_: str, path: str) -> Position:
        spec = nextech.BY_KEY.get(path.removeprefix("properties."))
        name = "state" if path == "active" else spec.name if spec is not None else path
        if path == "triggers":
            return self.declared.position("triggers")
        if object_ == "group":
            return self.declared.position("group", name)
        number = int(object_.partition(":")[2])
        index = next((it.index for it in self.planned.want.mappings if it.business == number), 0)
        return self.declared.position("locations", index, name)

    def _display(self, path: str, value: Value | None) -> Any:
        if value is None:
            return None
        if value.secret and value.canon in self.unresolved:
            return None
        key = path.removeprefix("properties.")
        row = Row(path, key, value, None, None, _SAME, ())
        return compare.display(row, value, self.world.trigger_names)

    def _recorded(self, receipt: FieldReceipt | None, path: str, at_hand: Iterable[Value | None]) -> Any:
        if receipt is None:
            return None
        key = path.removeprefix("properties.")
        for value in at_hand:
            if value is not None and values.fingerprint_of(key, value, self.world.fingerprint) == receipt.fingerprint:
                return self._display(path, value)
        return values.short(receipt.fingerprint)

    # -- objects --------------------------------------------------------------------------------------------------

    def _held(self) -> None:
        """No group to compare with: it vanished, or several could be meant."""
        choice, want = self.planned.choice, self.planned.want
        seen = self.world.live.get(want.business)
        listed = [it.group_id for it in seen.groups] if seen is not None else []
        gone = any(it.code == "group-vanished" for it in choice.objections)
        self._add(
            "group",
            EXISTS,
            "missing" if gone else "not_applied_yet",
            declared=True,
            live=False if gone else None,
            recorded=choice.receipt is not None,
            live_print=absent_print(self.world, "group" if gone else f"group {sorted(listed)}"),
            position=self.declared.position("group"),
            note="; ".join(it.message for it in choice.objections),
        )
        if gone:  # that they are not there has been seen
            self.shown |= {it for it, _ in _declared_fields(want) if it[0] == "group"}

    def _group(self) -> None:
        choice = self.planned.choice
        for row in self.planned.group_rows:
            self._row("group", row, choice.receipt, exists=choice.group is not None, visible=True)
        properties = choice.group.properties if choice.group is not None else None
        self._kept("group", self.planned.kept.get("group"), properties)
        shown = choice.group.triggers if choice.group is not None else None
        if self.planned.want.triggers is None and shown:
            value = compare.trigger_value(shown)
            self._add("group", "triggers", "unmanaged", live=self._display("triggers", value), live_print=value.canon)

    def _location(self, one: LocationInput) -> None:
        object_ = f"mapping:{one.want.business}"
        where = self.declared.position("locations", one.want.index)
        receipt = one.sight.receipt
        if one.want.released:
            state = one.sight.have.active if one.sight.have is not None else None
            self._add(
                object_,
                EXISTS,
                "released",
                declared="released",
                live=_state(state),
                recorded=receipt is not None,
                position=where,
            )
            return
        if one.sight.vanished:
            elsewhere = ", ".join(str(it.group_id) for it in one.sight.elsewhere)
            self._add(
                object_,
                EXISTS,
                "missing",
                declared=True,
                live=False,
                recorded=True,
                live_print=absent_print(self.world, f"{object_} {elsewhere}"),
                position=where,
                note=f"it is mapped to group {elsewhere}" if elsewhere else "the API lists it no more",
            )
            fields = {it for it, _ in _declared_fields(self.planned.want) if it[0] == object_}
            self.shown |= fields
            return
        for row in one.rows:
            self._row(object_, row, receipt, exists=one.sight.exists, visible=one.sight.visible)
        have = one.sight.have
        self._kept(object_, self.planned.kept.get(str(one.want.business)), have.properties if have else None)

    def _row(self, object_: str, row: Row, receipt: ObjectReceipt | None, *, exists: bool, visible: bool) -> None:
        place = (object_, row.path)
        seen = row.shown if exists else visible
        unknown = row.after is not None and row.after.secret and row.after.canon in self.unresolved
        if seen and not unknown:
            self.shown.add(place)
        self.told.add(place)
        judged = row.judged
        if judged.verdict == "same":
            return
        kind: FieldClass = "unverified" if judged.verdict == "unverified" or unknown else judged.cause or "conflict"
        at_hand = (row.after, row.live, row.before)
        note = "no answer showed it"
        if unknown and row.after is not None:
            note = f"the reference {self.unresolved[row.after.canon]} does not resolve here"
        elif kind != "unverified":
            note = "applied once and declared no more" if row.reset else ""
            if not exists:
                note = "the object is not there yet"
        self._add(
            object_,
            row.path,
            kind,
            declared=self._display(row.path, row.after),
            live=self._display(row.path, row.live),
            recorded=self._recorded(receipt.field(row.path) if receipt else None, row.path, at_hand),
            live_print=self._live_print(row),
            position=self.declared.position(*row.where),
            note=note,
        )

    def _live_print(self, row: Row) -> str:
        if row.live is not None:
            return values.fingerprint_of(row.key, row.live, self.world.fingerprint)
        return absent_print(self.world, row.path)

    def _kept(self, object_: str, kept: compare.Kept | None, properties: tuple[live.Property, ...] | None) -> None:
        for key in kept.keys if kept is not None else ():
            prop = next(it for it in properties or () if it.key == key)
            value = values.of_property(prop, self.world.fingerprint)
            path = f"properties.{key}"
            self._add(
                object_,
                path,
                "unmanaged",
                live=value.display if value is not None else None,
                live_print=values.fingerprint_of(key, value, self.world.fingerprint) if value is not None else "",
                note="" if value is not None else "set, and its value is not shown",
            )

    def _strangers(self) -> None:
        """Groups and mappings that are live beside ours and that nobody declares or applied."""
        seen = self.world.live.get(self.planned.business)
        group = self.planned.choice.group
        for other in seen.groups if seen is not None else ():
            if group is None or other.group_id != group.group_id:
                self._add(f"group:{other.group_id}", EXISTS, "unmanaged", live=True)
        for it in (group.mappings if group is not None else None) or ():
            if it.business not in self.world.declared_location and it.business not in self.world.mapping_receipts:
                state = _state(it.active)
                self._add(f"mapping:{it.business}", EXISTS, "unmanaged", live=state)

    def _undeclared_entries(self) -> None:
        """Applied locations of this business whose entry has disappeared."""
        gone: set[int] = set()
        for receipt in self.world.recorded.objects:
            if receipt.kind == "mapping" and self.world.declared_slugs.get(receipt.slug) == self.planned.slug:
                gone.add(receipt.business)
        for it in self.world.recorded.in_force:
            if self.world.declared_slugs.get(it.slug) == self.planned.slug:
                gone |= {int(key) for key in it.document.get("locations", {})}
        listed = {
            it.business: it.active
            for it in (self.planned.choice.group.mappings if self.planned.choice.group is not None else None) or ()
        }
        for business in sorted(gone - set(self.world.declared_location)):
            self._undeclared(f"mapping:{business}", _state(listed.get(business)))

    def _undeclared(self, object_: str, state: str | None) -> None:
        self._add(
            object_,
            EXISTS,
            "undeclared",
            live=state,
            recorded=True,
            live_print=absent_print(self.world, f"{object_} undeclared"),
            position=self.declared.position("locations"),
            note="its entry has disappeared; ways out: inactive, released, or reconciler forget",
        )

    def _released(self) -> BusinessDrift:
        planned = self.planned
        receipts = self.world.group_receipts.get(planned.business, ())
        where = self.declared.position("state")
        self._add("group", EXISTS, "released", declared="released", live=None, recorded=bool(receipts), position=where)
        for it in planned.want.mappings:
            known = bool(self.world.mapping_receipts.get(it.business))
            self._add(f"mapping:{it.business}", EXISTS, "released", declared="released", recorded=known, position=where)
        self._undeclared_entries()
        return self._done({})


def _declared_fields(want: Desired) -> Iterator[tuple[tuple[str, str], Value | None]]:
    """((object, path), value) of every declared wire field of a business that is not released."""
    if want.triggers is not None or want.unknown_triggers:
        value = compare.trigger_value(want.triggers or ()) if not want.unknown_triggers else None
        yield ("group", "triggers"), value
    for key, value in want.properties.items():
        yield ("group", f"properties.{key}"), value
    for it in want.mappings:
        if it.released:
            continue
        object_ = f"mapping:{it.business}"
        yield (object_, "active"), values.plain("active", "true" if it.active else "false")
        for key, value in it.properties.items():
            yield (object_, f"properties.{key}"), value


def _undeclared_files(world: World) -> list[BusinessDrift]:
    """Businesses that were applied and whose file has disappeared, judged over the whole directory."""
    objects: dict[tuple[str, int], list[Finding]] = {}
    parents = {it.slug: it.business for it in world.recorded.in_force}
    for receipt in world.recorded.objects:
        if receipt.kind == "group":
            parents.setdefault(receipt.slug, receipt.business)
    named: dict[str, set[str]] = {}
    for receipt in world.recorded.objects:
        if receipt.slug not in world.declared_slugs:
            object_ = "group" if receipt.kind == "group" else f"mapping:{receipt.business}"
            if receipt.kind == "group" or receipt.business not in world.declared_location:
                named.setdefault(receipt.slug, set()).add(object_)
    for it in world.recorded.in_force:
        if it.slug not in world.declared_slugs:
            named.setdefault(it.slug, set()).add("group")
            gone = {int(key) for key in it.document.get("locations", {})} - set(world.declared_location)
            named[it.slug] |= {f"mapping:{number}" for number in gone}
    elsewhere = {it.declaration.business: it.slug for it in world.declared}
    for slug, names in named.items():
        business = parents.get(slug, 0)
        renamed = elsewhere.get(business)
        hint = f"; it looks like a rename: add `moved: [{{from: {slug}}}]` to {renamed}" if renamed else ""
        objects[slug, business] = [
            Finding(
                slug,
                name,
                EXISTS,
                "undeclared",
                recorded=True,
                live_print=absent_print(world, f"{name} undeclared"),
                note=f"its declaration has disappeared{hint}",
            )
            for name in names
        ]
    return [BusinessDrift(slug, business, ordered(them)) for (slug, business), them in objects.items()]
