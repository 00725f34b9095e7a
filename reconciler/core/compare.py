"""Declared against recorded and live, object by object: rows, one per field, each with its verdict.

Plan and drift are both made from these rows, so that they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from reconciler.core import live, verdict
from reconciler.core.desired import Desired, DesiredMapping
from reconciler.core.records import FieldReceipt, ObjectReceipt
from reconciler.core.sources import nextech
from reconciler.core.values import Fingerprint, Value, canonical, of_property, plain

LEFT_OUT = None
"""``Row.after`` of an override that is taken back by not sending it."""


class Row(NamedTuple):  # made by the hundred thousand: a dataclass that is frozen takes four times as long
    """One field of one object. ``live`` and ``after`` are comparable values; None means none."""

    path: str
    key: str
    after: Value | None
    live: Value | None
    before: Value | None
    """The live value, else the one in force."""
    judged: verdict.Judged
    where: tuple[str | int, ...]
    """Its place in the declaration."""
    reset: bool = False
    """The key was applied once and is declared no more."""
    follows_group: bool = False
    shown: bool = True
    impossible: bool = False
    """No request can do it (a secret that cannot be taken back): a step for a person."""

    @property
    def sensitive(self) -> bool:
        """Is the field a secret?"""
        return any(it is not None and it.secret for it in (self.after, self.live, self.before))


@dataclass(frozen=True, slots=True)
class Kept:
    """Live properties that nobody declares: carried along in every write of the object, and reported."""

    keys: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    """Those whose value cannot be sent again."""


_NOTHING_KEPT = Kept()


@dataclass(frozen=True, slots=True)
class Context:
    """What comparing needs beside the two sides."""

    fingerprint: Fingerprint
    in_force: Mapping[str, Value] = field(default_factory=dict)
    """Known values of this object by wire key, from the configuration in force."""
    group_values: Mapping[str, Value] = field(default_factory=dict)
    """For a mapping: the group's values by wire key, declared, else live, else in force, else default."""
    inherited: Mapping[str, str] = field(default_factory=dict)
    """For a mapping: the group's canonical values that it has where a key is absent, as far as they are known."""


def shown_value(properties: tuple[live.Property, ...] | None, key: str, fingerprint: Fingerprint) -> verdict.Shown:
    """What an answer shows of one key."""
    if properties is None:
        return verdict.Hidden.NOT_SHOWN
    for prop in properties:
        if prop.key == key:
            value = of_property(prop, fingerprint)
            return verdict.Hidden.NOT_SHOWN if value is None else value
    spec = nextech.BY_KEY.get(key)
    return verdict.Hidden.NOT_SHOWN if spec is not None and spec.secure else verdict.Hidden.ABSENT


_DEFAULTS = {it.key: None if it.default is None else canonical(it.key, it.default) for it in nextech.FIELDS}


def default_of(key: str) -> str | None:
    """The canonical default of a wire key."""
    return _DEFAULTS[key]


def compare_group(
    want: Desired, have: live.LiveGroup | None, receipt: ObjectReceipt | None, context: Context
) -> tuple[tuple[Row, ...], Kept]:
    """Rows of a group. ``have`` is None where it does not exist: then every declared field is different."""
    rows: list[Row] = []
    if want.triggers is not None:
        rows.append(_triggers_row(want.triggers, have, receipt, context))
    properties = have.properties if have is not None else ()
    rows += _property_rows(
        want.properties, properties, receipt, context, exists=have is not None, where=("group",), scope="group"
    )
    return tuple(rows), _kept(want.properties, properties, rows)


def compare_mapping(
    want: DesiredMapping,
    have: live.LiveMapping | None,
    receipt: ObjectReceipt | None,
    context: Context,
    *,
    exists: bool,
) -> tuple[tuple[Row, ...], Kept]:
    """Rows of a mapping. ``exists`` with no ``have`` means: known from receipts only, nothing of it is shown."""
    fingerprint = context.fingerprint
    where: tuple[str | int, ...] = ("locations", want.index)
    after = plain("active", "true" if want.active else "false")
    shown: verdict.Shown = verdict.Hidden.NOT_SHOWN
    if have is not None and have.active is not None:
        shown = plain("active", "true" if have.active else "false")
    rows = [
        _row(
            "active",
            "active",
            after,
            shown,
            receipt,
            context,
            exists=exists,
            where=(*where, "state"),
            default=None,
            fingerprint=fingerprint,
        )
    ]
    properties: tuple[live.Property, ...] | None = have.properties if have is not None else None
    if not exists:
        properties = ()
    rows += _property_rows(want.properties, properties, receipt, context, exists=exists, where=where, scope="location")
    return tuple(rows), _kept(want.properties, properties, rows)


def _triggers_row(
    want: tuple[int, ...], have: live.LiveGroup | None, receipt: ObjectReceipt | None, context: Context
) -> Row:
    shown: verdict.Shown = verdict.Hidden.NOT_SHOWN
    if have is not None and have.triggers is not None:
        shown = trigger_value(have.triggers)
    return _row(
        "triggers",
        "triggers",
        trigger_value(want),
        shown,
        receipt,
        context,
        exists=have is not None,
        where=("triggers",),
        default=None,
        fingerprint=context.fingerprint,
    )


def trigger_value(ids: tuple[int, ...]) -> Value:
    """A set of trigger ids as a comparable value; its wire form is the sorted ids with commas."""
    text = ",".join(str(it) for it in sorted(set(ids)))
    return Value(text, text)


def _row(
    path: str,
    key: str,
    after: Value,
    shown: verdict.Shown,
    receipt: ObjectReceipt | None,
    context: Context,
    *,
    exists: bool,
    where: tuple[str | int, ...],
    default: str | None,
    fingerprint: Fingerprint,
    reset: bool = False,
    follows_group: bool = False,
) -> Row:
    live_value = shown if isinstance(shown, Value) else None
    # A receipt of the object holds every field that was ever sent or assumed: what it lacks was declared since.
    is_new_field = (
        receipt is not None
        and bool(receipt.fields)
        and receipt.field(path) is None
        and shown is verdict.Hidden.NOT_SHOWN
    )
    if not exists or is_new_field:
        judged = verdict.NOT_APPLIED_YET
    else:
        judged = verdict.judge(
            key,
            after,
            shown,
            receipt=receipt.field(path) if receipt is not None else None,
            default=default,
            fingerprint=fingerprint,
        )
    before = live_value
    if before is None and shown is verdict.Hidden.NOT_SHOWN:
        before = context.in_force.get(key)
    return Row(
        path,
        key,
        after,
        live_value,
        before,
        judged,
        where,
        reset=reset,
        follows_group=follows_group,
        shown=shown is not verdict.Hidden.NOT_SHOWN,
    )


def _property_rows(
    want: Mapping[str, Value],
    properties: tuple[live.Property, ...] | None,
    receipt: ObjectReceipt | None,
    context: Context,
    *,
    exists: bool,
    where: tuple[str | int, ...],
    scope: nextech.Scope,
) -> list[Row]:
    rows: list[Row] = []
    recorded = {it.path for it in receipt.fields} if receipt is not None and exists else frozenset()
    for spec in nextech.GROUP_FIELDS if scope == "group" else nextech.LOCATION_FIELDS:
        declared = want.get(spec.key)
        if declared is None and spec.path not in recorded:
            continue
        shown = shown_value(properties, spec.key, context.fingerprint)
        if declared is not None:
            rows.append(
                _row(
                    spec.path,
                    spec.key,
                    declared,
                    shown,
                    receipt,
                    context,
                    exists=exists,
                    where=(*where, spec.name),
                    default=_stands_for(spec, scope, context),
                    fingerprint=context.fingerprint,
                )
            )
            continue
        old = receipt.field(spec.path) if receipt is not None and exists else None
        if old is not None:
            row = _reset_row(spec, shown, receipt, old, context, where=where, scope=scope)
            if row is not None:
                rows.append(row)
    return rows


def _stands_for(spec: nextech.Field, scope: nextech.Scope, context: Context) -> str | None:
    """The value that an absent key counts as: its default, and for an override only where the group has that too."""
    default = default_of(spec.key)
    if scope == "location" and "group" in spec.scopes and context.inherited.get(spec.key) != default:
        return None
    return default


def _reset_row(
    spec: nextech.Field,
    shown: verdict.Shown,
    receipt: ObjectReceipt | None,
    old: FieldReceipt,
    context: Context,
    *,
    where: tuple[str | int, ...],
    scope: nextech.Scope,
) -> Row | None:
    """A key that was applied once and is declared no more (the three-way rule); None where nothing is left to do."""
    live_value = shown if isinstance(shown, Value) else None
    before = live_value or (context.in_force.get(spec.key) if shown is verdict.Hidden.NOT_SHOWN else None)
    different = verdict.NOT_APPLIED_YET
    if scope == "location" and "group" in spec.scopes:
        if shown is verdict.Hidden.ABSENT:
            return None
        group_value = context.group_values.get(spec.key)
        if live_value is not None and not old.follows_group:
            if group_value is not None and live_value.canon == group_value.canon:
                return None
            return Row(spec.path, spec.key, LEFT_OUT, live_value, before, different, where, reset=True)
        if group_value is None:
            return Row(spec.path, spec.key, LEFT_OUT, live_value, before, different, where, reset=True, impossible=True)
        row = _row(
            spec.path,
            spec.key,
            group_value,
            shown,
            receipt,
            context,
            exists=True,
            where=where,
            default=None,
            fingerprint=context.fingerprint,
            reset=True,
            follows_group=True,
        )
        return row if row.judged.verdict == "different" else None
    if spec.secure:
        if shown is verdict.Hidden.ABSENT:
            return None
        return Row(
            spec.path,
            spec.key,
            LEFT_OUT,
            live_value,
            before,
            different,
            where,
            reset=True,
            shown=shown is not verdict.Hidden.NOT_SHOWN,
            impossible=True,
        )
    value = plain(spec.key, spec.default or "")
    row = _row(
        spec.path,
        spec.key,
        value,
        shown,
        receipt,
        context,
        exists=True,
        where=where,
        default=default_of(spec.key),
        fingerprint=context.fingerprint,
        reset=True,
    )
    return row if row.judged.verdict == "different" else None


def _kept(want: Mapping[str, Value], properties: tuple[live.Property, ...] | None, rows: list[Row]) -> Kept:
    handled = set(want) | {it.key for it in rows if it.reset}
    keys: list[str] = []
    masked: list[str] = []
    for prop in properties or ():
        if prop.key in handled:
            continue
        spec = nextech.BY_KEY.get(prop.key)
        secure = prop.secure or (spec is not None and spec.secure)
        if prop.value is None or canonical(prop.key, prop.value) != _default_of_any(prop.key):
            keys.append(prop.key)
        if live.Property(prop.key, prop.value, secure).is_masked:
            masked.append(prop.key)
    return Kept(tuple(sorted(set(keys))), tuple(sorted(set(masked)))) if keys or masked else _NOTHING_KEPT


def _default_of_any(key: str) -> str | None:
    return default_of(key) if key in nextech.BY_KEY else None


def display(row: Row, value: Value | None, trigger_names: Mapping[int, str]) -> Any:
    """The JSON value of one side of a row."""
    if value is None:
        return None
    if row.key == "triggers":
        return sorted(trigger_names.get(int(it), it) for it in value.wire.split(",") if it)
    if row.key == "active":
        return value.wire == "true"
    return value.display
