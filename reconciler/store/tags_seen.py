"""Which values the campaign tags of a location took in contacts that were sent: vocabulary and counts, no patient.

Functions run inside the caller's transaction, on the ledger. The practice's lock keeps two from counting at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from sqlalchemy import Connection

from reconciler.core import tags
from reconciler.store import sync_facts

PREFIX = "tags:"


def add(connection: Connection, business: int, seen: Mapping[tuple[str, str], int], *, now: datetime) -> None:
    """Count what contacts of a location carried: (tag, value) -> contacts."""
    day = now.astimezone(UTC).date().isoformat()
    sync_facts.put(connection, f"{PREFIX}{business}", tags.with_more(of(connection, business), seen, day))


def of(connection: Connection, business: int) -> tags.Seen:
    """What was seen at a location so far."""
    known = sync_facts.get(connection, f"{PREFIX}{business}") or {}
    return {
        tag: {value: (int(count), str(last)) for value, (count, last) in values.items()}
        for tag, values in known.items()
    }
