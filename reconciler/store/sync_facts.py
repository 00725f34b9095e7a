"""Single facts of the runner, by name, as JSON: what it learned about a practice, what people were told last.

Functions run inside the caller's transaction. Nothing of a person is ever a fact.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, delete, select

from reconciler.store.rows import json_from_text, upsert
from reconciler.store.schema import SYNC_META

PREFIX = "fact:"
"""Keeps facts apart from the pass numbers, which are in the same table."""


def get(connection: Connection, name: str) -> Any:
    """One fact, or None."""
    query = select(SYNC_META.c.value).where(SYNC_META.c.name == PREFIX + name)
    text = connection.execute(query).scalar_one_or_none()
    return None if text is None else json_from_text(text)


def put(connection: Connection, name: str, value: Any) -> None:
    """Record a fact; None forgets it."""
    if value is None:
        connection.execute(delete(SYNC_META).where(SYNC_META.c.name == PREFIX + name))
        return
    upsert(connection, SYNC_META, [{"name": PREFIX + name, "value": json.dumps(value, sort_keys=True)}])
