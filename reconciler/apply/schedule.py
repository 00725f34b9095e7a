"""The writes of one business, in the order of ``integration-api.md``; never two where one serves."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

from reconciler.core import in_force, resolve
from reconciler.core.compare import Row
from reconciler.core.declared import Declared
from reconciler.core.live import LiveMapping
from reconciler.core.plan import Change
from reconciler.core.planned import Planned
from reconciler.core.records import ObjectKind
from reconciler.core.sources import nextech
from reconciler.core.values import Fingerprint, Value, fingerprint_of

Endpoint = Literal["G+", "Gu", "M+"]


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One property as it will be sent. A secret is its reference, resolved at the moment of sending."""

    key: str
    value: str | None = None
    reference: str | None = None
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Sent:
    """What a receipt will say about one field, once the write is confirmed."""

    path: str
    fingerprint: str
    follows_group: bool = False
    assumed: bool = False
    """The write does not carry it: declared, never sent, and known to be declared from now on."""


@dataclass(frozen=True, slots=True)
class Write:
    """One request. ``group_id`` is None where the group is made by the same run."""

    endpoint: Endpoint
    kind: ObjectKind
    business: int
    change_ids: tuple[str, ...]
    group_id: int | None
    active: bool | None = None
    triggers: tuple[int, ...] | None = None
    properties: tuple[Outgoing, ...] | None = None
    sent: tuple[Sent, ...] = ()
    dropped: tuple[str, ...] = ()
    """Paths whose receipts end: reset, or left out."""
    leaves: bool = False
    """Ends the location's mapping to a group that it moves away from: that group's receipt goes."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """The writes of one business and the changes that need none."""

    writes: tuple[Write, ...] = ()
    by_hand: tuple[str, ...] = field(default=())
    """Ids of ``manual`` changes."""


def schedule(declared: Declared, planned: Planned, changes: tuple[Change, ...], fingerprint: Fingerprint) -> Schedule:
    """All writes that ``changes`` of one business need. ``changes`` may be fewer than ``planned.changes``."""
    mine = {it.id: it for it in changes if it.kind != "runner"}
    group = next((it for it in mine.values() if it.kind == "group" and it.action != "manual"), None)
    by_hand = tuple(it.id for it in changes if it.action == "manual")
    maker = _Maker(declared, planned, fingerprint)
    first: list[Write] = []
    middle: list[Write] = []
    last: list[Write] = []
    for change in mine.values():
        if change.kind != "mapping" or change.action == "manual":
            continue
        one = next(it for it in planned.locations if it.want.business == change.business)
        if change.action == "move":
            first += [maker.leave(change, one, it) for it in one.sight.elsewhere]
            if one.sight.exists and not any(it.path != "integrationGroupId" for it in change.fields):
                continue
        write = maker.mapping(change, one)
        {"deactivate": first, "activate": last}.get(change.action, middle).append(write)
    if group is None:
        return Schedule((*first, *middle, *last), by_hand)
    if group.action == "create":
        return Schedule((*first, maker.create(group), *middle, *last), by_hand)
    properties, triggers = maker.update(group)
    if properties is not None and triggers is not None and not middle:
        both = replace(
            triggers,
            properties=properties.properties,
            sent=(*properties.sent, *triggers.sent),
            dropped=properties.dropped,
        )
        return Schedule((*first, both, *last), by_hand)
    before = [properties] if properties is not None else []
    after = [triggers] if triggers is not None else []
    return Schedule((*first, *before, *middle, *after, *last), by_hand)


@dataclass(frozen=True, slots=True)
class _Maker:
    declared: Declared
    planned: Planned
    fingerprint: Fingerprint

    def create(self, change: Change) -> Write:
        """One G+ with properties and triggers."""
        rows = self.planned.group_rows
        return Write(
            "G+",
            "group",
            change.business,
            (change.id,),
            None,
            triggers=self.planned.want.triggers or (),
            properties=tuple(self._outgoing(row, None) for row in rows if row.key in nextech.BY_KEY),
            sent=self._sent(rows),
        )

    def update(self, change: Change) -> tuple[Write | None, Write | None]:
        """Gu for properties and Gu for triggers; either may not be needed."""
        group = self.planned.choice.group
        assert group is not None  # noqa: S101 - an update has a group by construction
        wanted = {it.path for it in change.fields}
        rows = [row for row in self.planned.group_rows if row.path in wanted and not row.impossible]
        properties = [row for row in rows if row.key in nextech.BY_KEY]
        triggers = [row for row in rows if row.key == "triggers"]
        base = Write("Gu", "group", change.business, (change.id,), group.group_id)
        first = second = None
        if properties:
            # That properties are upserted by key is an inference: a server that replaces the list must lose nothing.
            kept = [row for row in self.planned.group_rows if self._is_kept(row, properties)]
            handled = {row.key for row in self.planned.group_rows}
            undeclared = [
                Outgoing(it.key, it.value, secure=it.secure)
                for it in group.properties or ()
                if it.key not in handled and it.value is not None and not it.is_masked
            ]
            first = replace(
                base,
                properties=(*(self._outgoing(row, None) for row in (*properties, *kept)), *undeclared),
                sent=(*self._sent((*properties, *kept)), *self._assumed(wanted)),
                dropped=tuple(row.path for row in properties if row.reset),
            )
        if triggers:
            sent = (*self._sent(triggers), *self._assumed(wanted))
            second = replace(base, triggers=self.planned.want.triggers or (), sent=sent)
        return first, second

    def _assumed(self, wanted: set[str]) -> tuple[Sent, ...]:
        """Declared fields that this update leaves as they are, unseen: the first receipt of the object knows them."""
        rows = [it for it in self.planned.group_rows if it.judged.never_sent and it.path not in wanted]
        return tuple(replace(it, assumed=True) for it in self._sent(rows))

    @staticmethod
    def _is_kept(row: Row, changed: list[Row]) -> bool:
        """A declared property that is as it should be, sent again beside the ones that change."""
        return (
            row.key in nextech.BY_KEY
            and row not in changed
            and row.after is not None
            and not row.impossible
            and not row.judged.never_sent
        )

    def mapping(self, change: Change, one: resolve.LocationInput) -> Write:
        """One M+ with everything known of the location: declared, in force, live and undeclared."""
        group = self.planned.choice.group
        handled = {row.key for row in one.rows}
        outgoing = [
            self._outgoing(row, one.want.index)
            for row in one.rows
            if row.key in nextech.BY_KEY and row.after is not None
        ]
        outgoing += self._carried(one, handled)
        dropped = [row.path for row in one.rows if row.reset and row.after is None]
        dropped += [row.path for row in one.rows if row.reset and row.after is not None and not row.follows_group]
        sent = list(self._sent(one.rows))
        for row in one.rows:
            if row.reset and row.after is None and not row.impossible:
                value = self._group_value(row.key)
                if value is not None:  # where a merging server still shows the override, the group's value follows
                    sent.append(Sent(row.path, fingerprint_of(row.key, value, self.fingerprint), follows_group=True))
        return Write(
            "M+",
            "mapping",
            one.want.business,
            (change.id,),
            group.group_id if group is not None else None,
            active=one.want.active,
            properties=tuple(outgoing),
            sent=tuple(sent),
            dropped=tuple(dropped),
        )

    def leave(self, change: Change, one: resolve.LocationInput, old: LiveMapping) -> Write:
        """Deactivates the mapping to the group that the location moves away from, its properties kept."""
        properties = tuple(
            Outgoing(it.key, it.value, secure=it.secure) for it in old.properties or () if not it.is_masked
        )
        return Write(
            "M+",
            "mapping",
            one.want.business,
            (change.id,),
            old.group_id,
            active=False,
            properties=properties,
            leaves=True,
        )

    def _carried(self, one: resolve.LocationInput, handled: set[str]) -> list[Outgoing]:
        have = one.sight.have
        if have is not None and have.properties is not None:
            return [
                Outgoing(it.key, it.value, secure=it.secure)
                for it in have.properties
                if it.key not in handled and it.value is not None and not it.is_masked
            ]
        if not one.sight.exists and not one.sight.vanished:
            return []
        location = in_force.location_of(self.planned.old, one.want.business) or {}
        carried: list[Outgoing] = []
        for key, side in location.get("values", {}).items():
            if key in handled:
                continue
            if "print" in side:
                if side["reference"]:
                    carried.append(Outgoing(key, reference=side["reference"], secure=True))
            else:
                carried.append(Outgoing(key, side["value"]))
        return carried

    def _outgoing(self, row: Row, index: int | None) -> Outgoing:
        assert row.after is not None  # noqa: S101 - rows without a value are left out before
        if not row.after.secret:
            return Outgoing(row.key, row.after.wire)
        declaration = self.declared.declaration
        spec = nextech.BY_KEY[row.key]
        part = declaration.group if index is None or row.follows_group else declaration.locations[index]
        return Outgoing(row.key, reference=getattr(part, spec.name), secure=True)

    def _group_value(self, key: str) -> Value | None:
        side = (self.planned.candidate or {"group": {}})["group"].get(key)
        return in_force.side_value(side)

    def _sent(self, rows: tuple[Row, ...] | list[Row]) -> tuple[Sent, ...]:
        return tuple(
            Sent(row.path, fingerprint_of(row.key, row.after, self.fingerprint), row.follows_group)
            for row in rows
            if row.after is not None and (not row.reset or row.follows_group)
        )
