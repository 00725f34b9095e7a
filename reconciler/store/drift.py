"""Since when a difference has been seen. The functions run inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, select, tuple_

from reconciler.store.rows import upsert
from reconciler.store.schema import DRIFT_SEEN, from_text, to_text

SeenKey = tuple[str, str, str]
"""Slug, object (``group``, ``mapping:100000000000101``), path."""

_CHUNK = 300


@dataclass(frozen=True, slots=True)
class Seen:
    """One difference and the moment it was first seen. Another live value is another difference."""

    slug: str
    object: str
    path: str
    live: str
    """Keyed fingerprint of the live value."""
    first_seen: datetime

    @property
    def key(self) -> SeenKey:
        """What it is unique by."""
        return (self.slug, self.object, self.path)


def seen(connection: Connection) -> dict[SeenKey, Seen]:
    """Every difference on record."""
    found = (
        Seen(row.slug, row.object, row.path, row.live, from_text(row.first_seen))
        for row in connection.execute(select(DRIFT_SEEN))
    )
    return {it.key: it for it in found}


def put_seen(connection: Connection, values: Iterable[Seen]) -> None:
    """Record differences, in place of those with the same key."""
    rows = [
        {
            "slug": it.slug,
            "object": it.object,
            "path": it.path,
            "live": it.live,
            "first_seen": to_text(it.first_seen),
        }
        for it in values
    ]
    upsert(connection, DRIFT_SEEN, rows)


def delete_seen(connection: Connection, keys: Iterable[SeenKey]) -> None:
    """Forget differences that have ended."""
    wanted = list(keys)
    columns = tuple_(DRIFT_SEEN.c.slug, DRIFT_SEEN.c.object, DRIFT_SEEN.c.path)
    for start in range(0, len(wanted), _CHUNK):  # a statement has a limited number of parameters
        connection.execute(delete(DRIFT_SEEN).where(columns.in_(wanted[start : start + _CHUNK])))
