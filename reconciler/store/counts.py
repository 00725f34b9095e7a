"""Weekly counts per location: the runner writes them, the blast radius of a plan is judged by them. No patient in them."""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, select

from reconciler.store.rows import json_from_text, upsert
from reconciler.store.schema import WEEKLY_COUNTS


def put_counts(connection: Connection, business: int, iso_week: str, counts: Mapping[str, int]) -> None:
    """Record the counts of a location (its business number) and week (``2026-W48``), replacing earlier ones."""
    row = {"business": business, "iso_week": iso_week, "counts": json.dumps(dict(counts), sort_keys=True)}
    upsert(connection, WEEKLY_COUNTS, [row])


def counts(connection: Connection, *, since: str = "") -> dict[int, dict[str, dict[str, int]]]:
    """Counts by location and week, from the week ``since`` on."""
    found: dict[int, dict[str, dict[str, int]]] = {}
    for row in connection.execute(select(WEEKLY_COUNTS)):
        if row.iso_week >= since:
            found.setdefault(row.business, {})[row.iso_week] = json_from_text(row.counts)
    return found
