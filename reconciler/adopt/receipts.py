"""The receipts of an import: what is declared now is what was last known to be sent, by whomever."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

from reconciler.core import compare, live, values
from reconciler.core.desired import Desired
from reconciler.core.records import FieldReceipt, ObjectKind, ObjectReceipt
from reconciler.core.values import Fingerprint, Value

PLAN_ID = "import"


def receipts(
    want: Desired,
    group: live.LiveGroup,
    mappings: Mapping[int, live.LiveMapping | None],
    before: Mapping[tuple[ObjectKind, int], ObjectReceipt],
    *,
    fingerprint: Fingerprint,
    resolves: Callable[[str], bool],
    at: datetime,
    commit: str | None,
) -> tuple[ObjectReceipt, ...]:
    """One for the group and for each location that is declared and not released.

    A field that was not shown gets an *assumed* receipt, so that the next edit of it is sent. Where a secret is neither
    shown nor resolved (``resolves`` is asked with the full fingerprint) the object's receipt has no field at all: one that
    had some, and not this one, would say that the secret was declared since and is to be sent. ``created`` and
    ``was_active`` of an earlier receipt of ours are kept.
    """

    def one(kind: ObjectKind, business: int, found: list[FieldReceipt | None], active: bool) -> ObjectReceipt:
        old = before.get((kind, business))
        fields = [] if None in found else [it for it in found if it is not None]
        return ObjectReceipt(
            kind=kind,
            business=business,
            slug=want.slug,
            group_id=group.group_id,
            at=at,
            plan_id=PLAN_ID,
            commit=commit,
            created=old.created if old is not None else False,
            was_active=active or (old.was_active if old is not None else False),
            fields=tuple(fields),
        )

    def field(
        path: str, value: Value, properties: tuple[live.Property, ...] | None, *, is_shown: bool | None = None
    ) -> FieldReceipt | None:
        key = path.removeprefix("properties.")
        if is_shown is None:
            seen = compare.shown_value(properties, key, fingerprint)
            is_shown = isinstance(seen, Value)
            if isinstance(seen, Value) and value.secret:
                value = seen
        if value.secret and not is_shown and not resolves(value.canon):
            return None
        return FieldReceipt(
            path,
            values.fingerprint_of(key, value, fingerprint),
            at,
            PLAN_ID,
            commit,
            assumed=not is_shown,
        )

    found: list[FieldReceipt | None] = []
    if want.triggers is not None:
        found.append(field("triggers", compare.trigger_value(want.triggers), None, is_shown=True))
    found += [field(f"properties.{key}", value, group.properties) for key, value in want.properties.items()]
    result = [one("group", want.business, found, False)]
    for it in want.mappings:
        if it.business not in mappings:
            continue
        have = mappings[it.business]
        active = values.plain("active", "true" if it.active else "false")
        is_shown = have is not None and have.active is not None
        found = [] if it.released else [field("active", active, None, is_shown=is_shown)]
        properties = have.properties if have is not None else None
        found += [
            field(f"properties.{key}", value, properties) for key, value in it.properties.items() if not it.released
        ]
        was_active = bool(have.active) if have is not None else False
        result.append(one("mapping", it.business, found, was_active))
    return tuple(result)
