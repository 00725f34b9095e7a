"""``store check`` and ``store copy``."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, func, insert, select

from reconciler.errors import StoreError
from reconciler.store import audit, in_force, journal, keys, receipts, schema
from reconciler.store.database import Store, integrity
from reconciler.store.keys import GivenKey, KeyName

_CHUNK = 1_000


def check(store: Store, given: Mapping[KeyName, GivenKey] | None = None) -> list[str]:
    """Everything that is wrong with a store, one line each; empty for a sound one.

    Looks at the file, every record, the audit chain, intents whose outcome is not known, and the ``given`` keys.
    """
    problems = integrity(store)
    if problems:
        return problems  # the rest would only be consequences
    with store.read() as connection:
        problems += _unreadable(connection)
        for name, key in (given or {}).items():
            if keys.fits(connection, name, key) is False:
                problems.append(f"the {name} key is not the one that the store was made with")
        verified = audit.verify(connection)
        if verified.problem:
            problems.append(f"the audit chain is broken: {verified.problem}")
    return problems


def _unreadable(connection: Connection) -> list[str]:
    problems = []
    try:
        receipts.objects(connection)
    except (StoreError, ValueError, TypeError):
        problems.append("a receipt cannot be read")
    try:
        in_force.every(connection)
    except (StoreError, ValueError, TypeError):
        problems.append("a configuration in force cannot be read")
    try:
        for it in journal.open_intents(connection):
            state = "has an unknown outcome" if it.outcome else "has no outcome"
            problems.append(f"intent {it.id} ({it.endpoint}, {it.slug}, plan {it.plan_id}) {state}; run apply again")
    except (StoreError, ValueError, TypeError):
        problems.append("an intent cannot be read")
    return problems


def copy(source: Store, target: Store) -> dict[str, int]:
    """Copy every record but the locks into an empty store, in one transaction. Rows by table.

    Nothing may write to ``source`` meanwhile: hold its locks. Raises ``StoreError`` where ``target`` holds anything.
    """
    tables = [it for it in schema.METADATA.sorted_tables if it is not schema.LEASES]
    copied: dict[str, int] = {}
    with source.read() as reading, target.begin() as writing:
        for table in tables:
            if writing.execute(select(func.count()).select_from(table)).scalar_one():
                raise StoreError(
                    f"the store {target.shown} is not empty; nothing was copied", hint="copy into a new store"
                )
        for table in tables:
            copied[table.name] = 0
            with reading.execute(select(table), execution_options={"yield_per": _CHUNK}) as found:
                for rows in found.mappings().partitions(_CHUNK):
                    writing.execute(insert(table), [dict(it) for it in rows])
                    copied[table.name] += len(rows)
        verified = audit.verify(writing)
        if verified.problem:
            raise StoreError(f"the audit chain is broken: {verified.problem}; nothing was copied")
    return copied
