"""Receipts: what was last sent, per object. The functions run inside the caller's transaction."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from reconciler.core.records import FieldReceipt, ObjectKind, ObjectReceipt, Recorded
from reconciler.store import in_force, journal, schema
from reconciler.store.rows import fields_from_text, fields_to_text, upsert
from reconciler.store.schema import from_text, to_text

_OBJECTS = schema.OBJECTS
_NO_GROUP = -1


def recorded(connection: Connection) -> Recorded:
    """Everything a plan is made from: receipts, configurations in force, intents without a certain outcome.

    Objects in the order of slug, kind, business and group; configurations in the order of slugs; intents by time.
    """
    return Recorded(objects(connection), in_force.every(connection), journal.open_intents(connection))


def outline(connection: Connection) -> Recorded:
    """The same without the fields of objects and with empty documents: who has been applied, in little memory."""
    columns = [it for it in _OBJECTS.c if it.name != "fields"]
    found = [_receipt(row, fields=()) for row in connection.execute(select(*columns))]
    return Recorded(_sorted(found), in_force.outline(connection), journal.open_intents(connection))


def of_slugs(connection: Connection, slugs: Collection[str]) -> Recorded:
    """What concerns some businesses, whole; no intents."""
    found = [_receipt(row) for row in connection.execute(select(_OBJECTS).where(_OBJECTS.c.slug.in_(slugs)))]
    return Recorded(_sorted(found), in_force.of_slugs(connection, slugs))


def objects(connection: Connection, slug: str | None = None) -> tuple[ObjectReceipt, ...]:
    """Every receipt, or those of one business, in the order of slug, kind, business and group."""
    query = select(_OBJECTS)
    if slug is not None:
        query = query.where(_OBJECTS.c.slug == slug)
    # Sorted here: the two databases order text differently.
    with _no_collection():
        found = [_receipt(row) for row in connection.execute(query)]
    return _sorted(found)


def _sorted(found: Iterable[ObjectReceipt]) -> tuple[ObjectReceipt, ...]:
    return tuple(sorted(found, key=lambda it: (it.slug, it.kind, it.business, _group_key(it.group_id))))


def put_object(connection: Connection, receipt: ObjectReceipt) -> None:
    """Record an object with all of its fields, in place of what was recorded for the same kind, business and group."""
    put_objects(connection, (receipt,))


def put_objects(connection: Connection, receipts: Iterable[ObjectReceipt]) -> None:
    """The same for many, in one statement. No two of them are of the same kind, business and group."""
    rows = [
        {
            "kind": it.kind,
            "business": it.business,
            "group_key": _group_key(it.group_id),
            "slug": it.slug,
            "at": to_text(it.at),
            "plan_id": it.plan_id,
            "commit": it.commit,
            "created": it.created,
            "was_active": it.was_active,
            "fields": fields_to_text(it.fields),
        }
        for it in receipts
    ]
    upsert(connection, _OBJECTS, rows)


def delete_object(connection: Connection, kind: ObjectKind, business: int, group_id: int | None = None) -> int:
    """Forget one object; without ``group_id``, the objects of this kind and business in every group. How many."""
    statement = delete(_OBJECTS).where(_OBJECTS.c.kind == kind, _OBJECTS.c.business == business)
    if group_id is not None:
        statement = statement.where(_OBJECTS.c.group_key == group_id)
    return connection.execute(statement).rowcount


def forget_slug(connection: Connection, slug: str) -> int:
    """Forget the receipts of a business and since when it differs, and take it out of force. How many receipts.

    The journal, the audit chain and the history of configurations keep what they hold.
    """
    in_force.delete_in_force(connection, slug)
    connection.execute(delete(schema.DRIFT_SEEN).where(schema.DRIFT_SEEN.c.slug == slug))
    return connection.execute(delete(_OBJECTS).where(_OBJECTS.c.slug == slug)).rowcount


def rename_slug(connection: Connection, old: str, new: str) -> None:
    """Carry everything that is recorded under one slug over to another (``moved``).

    What stands under the new slug already is kept where it is about other objects, and replaced by the old one's
    configuration in force and first-seen times where both have one.
    """
    if old == new:
        return
    connection.execute(update(_OBJECTS).where(_OBJECTS.c.slug == old).values(slug=new))
    connection.execute(update(schema.INTENTS).where(schema.INTENTS.c.slug == old).values(slug=new))
    history = schema.IN_FORCE_HISTORY
    connection.execute(update(history).where(history.c.slug == old).values(slug=new))
    for keyed in (schema.IN_FORCE, schema.DRIFT_SEEN):
        rows = [
            dict(row._mapping) | {"slug": new} for row in connection.execute(select(keyed).where(keyed.c.slug == old))
        ]
        if rows:
            connection.execute(delete(keyed).where(keyed.c.slug.in_([old, new])))
            connection.execute(insert(keyed), rows)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Keep the cycle collector still: it would go through all values again and again, for half of the time."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _group_key(group_id: int | None) -> int:
    return _NO_GROUP if group_id is None else group_id


def _receipt(row: Row[Any], *, fields: tuple[FieldReceipt, ...] | None = None) -> ObjectReceipt:
    return ObjectReceipt(
        kind=row.kind,
        business=row.business,
        slug=row.slug,
        group_id=None if row.group_key == _NO_GROUP else row.group_key,
        at=from_text(row.at),
        plan_id=row.plan_id,
        commit=row.commit,
        created=row.created,
        was_active=row.was_active,
        fields=fields_from_text(row.fields) if fields is None else fields,
    )
