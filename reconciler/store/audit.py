"""The audit chain: who changed what, when, for which commit. Each record's hash covers the one before it.

A record names objects and fields, never a value. An edit, a deletion, an insertion or another order breaks the chain;
a cut at the end shows against the stored head, and a chain rewritten as a whole against a head that was kept elsewhere.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from reconciler.core.plan import canonical_json
from reconciler.errors import InternalError, UsageError
from reconciler.store.rows import insert_new
from reconciler.store.schema import AUDIT, AUDIT_HEAD, to_text

KEYS: Final = frozenset(
    {
        "operation",
        "who",
        "reason",
        "commit",
        "plan_id",
        "run_id",
        "run_url",
        "version",
        "slug",
        "business",
        "allowed",
        "objects",
        "outcome",
        "counts",
    }
)
"""What a record may say beside its time. There is no key for a value, and this list is why there never is one."""

OBJECT_KEYS: Final = frozenset(
    {"kind", "slug", "business", "group_id", "action", "outcome", "fields", "change_id", "revision"}
)
"""What each of ``objects`` may say; ``fields`` is a list of paths."""

_START: Final = "0" * 64
_CHUNK: Final = 5_000


@dataclass(frozen=True, slots=True)
class Head:
    """The last record: its number from 1 (0: no record) and its hash. Text form ``SEQ:HASH``."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"


@dataclass(frozen=True, slots=True)
class Verified:
    """What ``verify`` found. The chain is whole where ``problem`` is None."""

    count: int
    """Records that were checked and are right."""
    head: Head
    """The last of them."""
    problem: str | None = None
    seq: int | None = None
    """The record at which the chain breaks."""


def parse_head(text: str) -> Head:
    """``SEQ:HASH`` as printed. Raises ``UsageError`` for anything else."""
    seq, _, digest = text.strip().partition(":")
    if not (seq.isascii() and seq.isdigit() and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
        raise UsageError("a head of the audit chain is written SEQ:HASH", hint="copy it from `audit verify`")
    return Head(int(seq), digest)


def append(connection: Connection, entry: Mapping[str, Any], *, at: datetime) -> Head:
    """Add a record and return the new head. Writers take turns until the end of the caller's transaction."""
    _refuse_unknown(entry)
    insert_new(connection, AUDIT_HEAD, {"id": 1, "seq": 0, "hash": _START})
    before = _head(connection, lock=True)
    text = canonical_json({**entry, "at": to_text(at)}).decode()
    head = Head(before.seq + 1, _hash(before.hash, before.seq + 1, text))
    connection.execute(insert(AUDIT).values(seq=head.seq, entry=text, hash=head.hash))
    connection.execute(update(AUDIT_HEAD).values(seq=head.seq, hash=head.hash))
    return head


def _refuse_unknown(entry: Mapping[str, Any]) -> None:
    unknown = set(entry) - KEYS
    for it in entry.get("objects", ()):
        unknown |= set(it) - OBJECT_KEYS
        if not all(isinstance(path, str) for path in it.get("fields", ())):
            raise InternalError("the fields of an audit record are paths")
    if unknown:
        raise InternalError(f"an audit record has no key {sorted(unknown)}")


def head(connection: Connection) -> Head:
    """The stored head. Keep it elsewhere too: ``verify(…, expect=…)`` compares."""
    return _head(connection, lock=False)


def _head(connection: Connection, *, lock: bool) -> Head:
    query = select(AUDIT_HEAD.c.seq, AUDIT_HEAD.c.hash).where(AUDIT_HEAD.c.id == 1)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return Head(0, _START) if row is None else Head(row.seq, row.hash)


def _hash(before: str, seq: int, entry: str) -> str:
    return hashlib.sha256(f"{before}:{seq}:{entry}".encode()).hexdigest()


def records(connection: Connection, *, limit: int = 50) -> tuple[dict[str, Any], ...]:
    """The latest records, newest first, each with its ``seq``."""
    query = select(AUDIT.c.seq, AUDIT.c.entry).order_by(AUDIT.c.seq.desc()).limit(limit)
    return tuple({"seq": row.seq, **json.loads(row.entry)} for row in connection.execute(query))


def verify(connection: Connection, *, expect: Head | None = None) -> Verified:
    """Recompute the chain. ``expect`` is a head from earlier: the chain must still hold that very record."""
    last = Head(0, _START)
    query = select(AUDIT.c.seq, AUDIT.c.entry, AUDIT.c.hash).order_by(AUDIT.c.seq)
    seen = expect is None or expect == last
    with connection.execute(query, execution_options={"yield_per": _CHUNK}) as found:
        for seq, entry, stored in found.yield_per(_CHUNK):
            due = last.seq + 1
            if seq != due:
                return Verified(last.seq, last, f"record {due} is missing", due)
            if _hash(last.hash, seq, entry) != stored:
                return Verified(last.seq, last, f"record {seq} is not what was written", seq)
            if expect is not None and seq == expect.seq:
                if stored != expect.hash:
                    return Verified(last.seq, last, f"record {seq} is not the one that was expected", seq)
                seen = True
            last = Head(seq, stored)
    stored_head = head(connection)
    if stored_head != last:
        problem = f"the chain ends at record {last.seq}, and its head says {stored_head.seq}"
        return Verified(last.seq, last, problem, last.seq + 1)
    if not seen:
        return Verified(last.seq, last, f"the chain ends at record {last.seq}, before the expected one", last.seq + 1)
    return Verified(last.seq, last)
