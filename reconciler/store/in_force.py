"""Configurations in force, and every earlier one. The functions run inside the caller's transaction."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select

from reconciler.core.records import InForce
from reconciler.errors import InternalError
from reconciler.store.rows import json_from_text, upsert
from reconciler.store.schema import IN_FORCE, IN_FORCE_HISTORY, from_text, to_text


def every(connection: Connection) -> tuple[InForce, ...]:
    """All of them, in the order of slugs."""
    found = (_in_force(row) for row in connection.execute(select(IN_FORCE)))
    return tuple(sorted(found, key=lambda it: it.slug))


def outline(connection: Connection) -> tuple[InForce, ...]:
    """All of them with an empty document, in the order of slugs."""
    columns = [it for it in IN_FORCE.c if it.name != "document"]
    found = [
        InForce(row.slug, row.business, row.revision, from_text(row.at), row.plan_id, row.commit, {})
        for row in connection.execute(select(*columns))
    ]
    return tuple(sorted(found, key=lambda it: it.slug))


def of_slugs(connection: Connection, slugs: Collection[str]) -> tuple[InForce, ...]:
    """Those of some businesses, in the order of slugs."""
    found = (_in_force(row) for row in connection.execute(select(IN_FORCE).where(IN_FORCE.c.slug.in_(slugs))))
    return tuple(sorted(found, key=lambda it: it.slug))


def in_force(connection: Connection, slug: str) -> InForce | None:
    """The configuration of one business, or None."""
    row = connection.execute(select(IN_FORCE).where(IN_FORCE.c.slug == slug)).one_or_none()
    return None if row is None else _in_force(row)


def at_revision(connection: Connection, business: int, revision: int) -> InForce | None:
    """What was in force for a parent business at an earlier revision, also after a rename or ``forget``."""
    query = select(IN_FORCE_HISTORY).where(
        IN_FORCE_HISTORY.c.business == business, IN_FORCE_HISTORY.c.revision == revision
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _in_force(row)


def next_revision(connection: Connection, business: int) -> int:
    """The revision that the next ``put_in_force`` of a parent business must have. Never one that was used before."""
    query = select(func.max(IN_FORCE_HISTORY.c.revision)).where(IN_FORCE_HISTORY.c.business == business)
    return (connection.execute(query).scalar() or 0) + 1


def put_in_force(connection: Connection, value: InForce) -> None:
    """Put a configuration in force; the one before stays readable by ``at_revision``."""
    if value.revision != (due := next_revision(connection, value.business)):
        raise InternalError(f"{value.slug}: revision {value.revision} was put in force where {due} is due")
    row = {
        "slug": value.slug,
        "business": value.business,
        "revision": value.revision,
        "at": to_text(value.at),
        "plan_id": value.plan_id,
        "commit": value.commit,
        "document": json.dumps(value.document, sort_keys=True, separators=(",", ":"), ensure_ascii=False),
    }
    connection.execute(insert(IN_FORCE_HISTORY).values(row))
    upsert(connection, IN_FORCE, [row])


def delete_in_force(connection: Connection, slug: str) -> bool:
    """Take a configuration out of force (``forget``); its history stays. Whether there was one."""
    return connection.execute(delete(IN_FORCE).where(IN_FORCE.c.slug == slug)).rowcount > 0


def _in_force(row: Row[Any]) -> InForce:
    return InForce(
        slug=row.slug,
        business=row.business,
        revision=row.revision,
        at=from_text(row.at),
        plan_id=row.plan_id,
        commit=row.commit,
        document=json_from_text(row.document),
    )
