"""What several tables share: replacing a row, and receipts of fields as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from reconciler.core.records import FieldReceipt
from reconciler.errors import StoreError
from reconciler.store.schema import from_text, to_text


def upsert(connection: Connection, into: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, replacing those with the same primary key. Every row has every column."""
    if not rows:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(into)
    keys = [it.name for it in into.primary_key]
    values = {it.name: statement.excluded[it.name] for it in into.columns if it.name not in keys}
    connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values), rows)


def insert_new(connection: Connection, into: Table, row: dict[str, Any]) -> bool:
    """Insert a row unless its primary key is taken; whether it was inserted."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(into).values(row).on_conflict_do_nothing()
    # Unless told, SQLAlchemy drops the count of an INSERT with the cursor, and with psycopg that is at once.
    return connection.execute(statement, execution_options={"preserve_rowcount": True}).rowcount == 1


def fields_to_text(fields: Iterable[FieldReceipt]) -> str:
    """As kept in ``receipts.fields`` and ``intents.fields``.

    One array per field: path, fingerprint, time, plan id, commit, assumed, follows the group. A plan over 10,000
    businesses reads 300,000 of them, and names for the keys would double the time.
    """
    documents = [
        (it.path, it.fingerprint, to_text(it.at), it.plan_id, it.commit, int(it.assumed), int(it.follows_group))
        for it in fields
    ]
    return json.dumps(documents, separators=(",", ":"))


def fields_from_text(text: str) -> tuple[FieldReceipt, ...]:
    """The opposite. Raises ``StoreError`` for what we never wrote."""
    try:
        return tuple(
            [
                FieldReceipt(path, fingerprint, time_from_text(at), plan_id, commit, assumed == 1, follows_group == 1)
                for path, fingerprint, at, plan_id, commit, assumed, follows_group in json.loads(text)
            ]
        )
    except (ValueError, TypeError):
        raise StoreError("the store holds a receipt that cannot be read", hint="run `reconciler store check`") from None


time_from_text = lru_cache(maxsize=4096)(from_text)
"""``from_text``, remembered: the receipts of one apply share a few times."""


def json_from_text(text: str) -> Any:
    """A JSON value of ours. Raises ``StoreError`` for what we never wrote."""
    try:
        return json.loads(text)
    except ValueError:
        raise StoreError("the store holds a record that cannot be read", hint="run `reconciler store check`") from None
