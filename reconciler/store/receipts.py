"""Receipts: what was last sent, per object. The functions run inside the caller's transaction."""

from __future__ import annotations

import gc
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from reconciler.core.records import ObjectKind, ObjectReceipt, Recorded
from reconciler.store import in_force, journal, schema
from reconciler.store.rows import fields_from_text, fields_to_text, time_from_text, upsert
from reconciler.store.schema import to_text

_OBJECTS = schema.OBJECTS
_COLUMNS = (
    _OBJECTS.c.kind,
    _OBJECTS.c.business,
    _OBJECTS.c.group_key,
    _OBJECTS.c.slug,
    _OBJECTS.c.at,
    _OBJECTS.c.plan_id,
    _OBJECTS.c.commit,
    _OBJECTS.c.created,
    _OBJECTS.c.was_active,
)
_NO_GROUP = -1


def recorded(connection: Connection) -> Recorded:
    """Everything a plan is made from: receipts, configurations in force, intents without a certain outcome.

    Objects in the order of slug, kind, business and group; configurations in the order of slugs; intents by time.
    """
    return Recorded(objects(connection), in_force.every(connection), journal.open_intents(connection))


def outline(connection: Connection) -> Recorded:
    """The same without the fields of objects and with empty documents: who has been applied, in little memory."""
    found = [_receipt(*row) for row in _once(connection.execute(select(*_COLUMNS)))]
    return Recorded(_sorted(found), in_force.outline(connection), journal.open_intents(connection))


def of_slugs(connection: Connection, slugs: Collection[str]) -> Recorded:
    """What concerns some businesses, whole; no intents."""
    query = select(*_COLUMNS, _OBJECTS.c.fields).where(_OBJECTS.c.slug.in_(slugs))
    found = [_receipt(*row) for row in _values(connection.execute(query))]
    return Recorded(_sorted(found), in_force.of_slugs(connection, slugs))


def objects(connection: Connection, slug: str | None = None) -> tuple[ObjectReceipt, ...]:
    """Every receipt, or those of one business, in the order of slug, kind, business and group."""
    query = select(*_COLUMNS, _OBJECTS.c.fields)
    if slug is not None:
        query = query.where(_OBJECTS.c.slug == slug)
    # Sorted here: the two databases order text differently.
    with _no_collection():
        found = [_receipt(*row) for row in _values(connection.execute(query))]
    return _sorted(found)


def _values(rows: Iterable[Any]) -> Iterable[Any]:
    """The rows as plain tuples to the type checker, which knows each column otherwise."""
    return rows


def _once(rows: Iterable[Any]) -> Iterator[Iterable[Any]]:
    """The rows, with the words that many of them share (kinds, slugs, plan ids) in memory once."""
    known: dict[str, str] = {}
    for row in rows:
        yield [known.setdefault(it, it) if type(it) is str else it for it in row]


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


def _receipt(
    kind: ObjectKind,
    business: int,
    group_key: int,
    slug: str,
    at: str,
    plan_id: str,
    commit: str | None,
    created: bool,
    was_active: bool,
    fields: str | None = None,
) -> ObjectReceipt:
    """From the values of ``_COLUMNS`` in their order: to ask a row for each by its name would double the time."""
    return ObjectReceipt(
        kind,
        business,
        slug,
        None if group_key == _NO_GROUP else group_key,
        time_from_text(at),
        plan_id,
        commit,
        created,
        was_active,
        () if fields is None else fields_from_text(fields),
    )
