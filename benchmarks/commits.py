"""How many ledger rows each durable transaction of a sync holds: counts, which no busy machine changes.

    python -m benchmarks.commits [--visits 20000] [--days 2] [--rate 100000]

``--rate``: check-ins a second; 20 is what a sync keeps to by itself, and 2,000 visits then take a minute.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, event

from benchmarks import sync

WORDS = {"INSERT": "decisions", "UPDATE": "sending"}
"""What a statement on the ledger's table is for: decisions are new rows, intents and outcomes change them."""


@dataclass
class Commits:
    """Rows of the ledger, and durable transactions that wrote any, by what they are for."""

    rows: Counter[str] = field(default_factory=Counter)
    transactions: Counter[str] = field(default_factory=Counter)

    def per_transaction(self, *purposes: str) -> float:
        """Rows in a transaction, of these purposes or of all."""
        chosen = purposes or tuple(self.rows)
        return sum(self.rows[it] for it in chosen) / max(1, sum(self.transactions[it] for it in chosen))


@contextmanager
def counting() -> Iterator[Commits]:
    """Count what every database of this process commits in the block."""
    from reconciler.store.schema import VISITS

    found = Commits()
    open_: dict[Any, Counter[str]] = {}

    def executed(
        connection: Connection, cursor: Any, statement: str, parameters: Any, context: Any, executemany: bool
    ) -> None:
        words = statement.split(None, 3)
        table = words[2] if words[0] == "INSERT" else words[1] if len(words) > 1 else ""
        if words[0] in WORDS and table.strip('"') == VISITS.name and cursor.rowcount > 0:
            open_.setdefault(connection.connection.dbapi_connection, Counter())[WORDS[words[0]]] += cursor.rowcount

    def committed(connection: Connection) -> None:
        rows = open_.pop(connection.connection.dbapi_connection, Counter())
        found.rows.update(rows)
        found.transactions.update(rows.keys())

    def rolled_back(connection: Connection) -> None:
        open_.pop(connection.connection.dbapi_connection, None)

    listeners = (("after_cursor_execute", executed), ("commit", committed), ("rollback", rolled_back))
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        yield found
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)


def counted() -> None:
    """One sync in this process, and its counts."""
    from reconciler.clock import Clock
    from reconciler.settings.load import load_settings
    from reconciler.workflow import operating_sync
    from reconciler.workflow.syncing import open_runner

    with counting() as found, open_runner(load_settings(environ=os.environ), Clock(), write=True) as runner:
        report = operating_sync.sync(runner, operating_sync.Asked())
    print(f"  {sum(it.counts.sent for it in report.locations)} contacts at {sync.THREADS} parallel sends")
    for name in WORDS.values():
        rows, transactions = found.rows[name], found.transactions[name]
        print(f"  {name:<10} {rows:7} rows in {transactions:5} transactions: {found.per_transaction(name):6.1f} each")
    print(f"  all        {found.per_transaction():.1f} rows in a durable transaction")


def main(arguments: list[str] | None = None) -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.commits")
    parser.add_argument("--visits", type=int, nargs="+", default=[20_000])
    parser.add_argument("--days", type=int, default=2, help="how many days the visits are spread over")
    parser.add_argument("--rate", type=int, default=100_000, help="check-ins a second")
    parser.add_argument("--counted", action="store_true", help="be the sync whose commits are counted")
    given, _ = parser.parse_known_args(arguments)
    if given.counted:
        counted()
        return
    for visits in given.visits:
        with tempfile.TemporaryDirectory() as name, sync.sandbox(visits, given.days) as variables:
            sync.put_in_force(Path(name), given.days)
            environ = os.environ | sync.settings(variables, Path(name))
            environ["RECONCILER_CONTACTS_REQUESTS_PER_SECOND"] = str(given.rate)
            print(f"{visits} appointments, {given.rate} check-ins a second at most", flush=True)
            subprocess.run([sys.executable, "-m", "benchmarks.commits", "--counted"], env=environ, check=True)


if __name__ == "__main__":
    main()
