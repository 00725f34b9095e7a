"""The journal: an intent before every write and its outcome after, and a record of every run.

An intent is *open* until it has an outcome, and again where that outcome is ``unknown``: both must be settled by asking
the API before anything is created. The functions run inside the caller's transaction; an intent must be committed
before its request is sent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from reconciler.core.records import Intent
from reconciler.errors import InternalError
from reconciler.store.rows import fields_from_text, fields_to_text, json_from_text
from reconciler.store.schema import INTENTS, RUNS, from_text, to_text

OUTCOMES: Final = ("applied", "already", "failed", "unknown")


def open_intent(connection: Connection, intent: Intent) -> None:
    """Record that a write is about to be sent. Its ``id`` is new."""
    if intent.outcome is not None:
        raise InternalError(f"intent {intent.id} was opened with an outcome")
    connection.execute(
        insert(INTENTS).values(
            id=intent.id,
            plan_id=intent.plan_id,
            change_id=intent.change_id,
            kind=intent.kind,
            business=intent.business,
            slug=intent.slug,
            endpoint=intent.endpoint,
            at=to_text(intent.at),
            groups_before=json.dumps(intent.groups_before),
            fields=fields_to_text(intent.fields),
            settled=False,
            outcome=None,
            outcome_at=None,
            detail=intent.detail,
            group_id=intent.group_id,
        )
    )


def close_intent(
    connection: Connection, intent_id: str, *, outcome: str, at: datetime, detail: str = "", group_id: int | None = None
) -> None:
    """Record how a write ended. ``detail`` holds no secret. A certain outcome is final; an unknown one can be settled."""
    if outcome not in OUTCOMES:
        raise InternalError(f"intent {intent_id} was closed with the outcome {outcome!r}")
    values: dict[str, Any] = {
        "outcome": outcome,
        "outcome_at": to_text(at),
        "detail": detail,
        "settled": outcome != "unknown",
    }
    if group_id is not None:
        values["group_id"] = group_id
    statement = update(INTENTS).where(INTENTS.c.id == intent_id, INTENTS.c.settled.is_(False)).values(**values)
    if connection.execute(statement).rowcount != 1:
        raise InternalError(f"intent {intent_id} is not open")


def open_intents(connection: Connection) -> tuple[Intent, ...]:
    """Intents without an outcome or with an unknown one, oldest first."""
    found = connection.execute(select(INTENTS).where(INTENTS.c.settled.is_(False)))
    return tuple(sorted((_intent(row) for row in found), key=lambda it: (it.at, it.id)))


def intents(connection: Connection, *, plan_id: str) -> tuple[Intent, ...]:
    """Every intent of one plan, oldest first."""
    found = connection.execute(select(INTENTS).where(INTENTS.c.plan_id == plan_id))
    return tuple(sorted((_intent(row) for row in found), key=lambda it: (it.at, it.id)))


def _intent(row: Row[Any]) -> Intent:
    return Intent(
        id=row.id,
        plan_id=row.plan_id,
        change_id=row.change_id,
        kind=row.kind,
        business=row.business,
        slug=row.slug,
        endpoint=row.endpoint,
        at=from_text(row.at),
        groups_before=tuple(json_from_text(row.groups_before)),
        fields=fields_from_text(row.fields),
        outcome=row.outcome,
        outcome_at=None if row.outcome_at is None else from_text(row.outcome_at),
        detail=row.detail,
        group_id=row.group_id,
    )


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command that writes. Unfinished, or killed, where ``finished_at`` is None."""

    id: str
    operation: str
    who: str
    started_at: datetime
    plan_id: str | None = None
    commit: str | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    summary: Mapping[str, Any] = field(default_factory=dict)
    """Counts; never values."""


def start_run(connection: Connection, run: Run) -> None:
    """Record that a run begins."""
    connection.execute(
        insert(RUNS).values(
            id=run.id,
            operation=run.operation,
            who=run.who,
            plan_id=run.plan_id,
            commit=run.commit,
            started_at=to_text(run.started_at),
            finished_at=None,
            exit_code=None,
            summary=json.dumps(dict(run.summary), sort_keys=True),
        )
    )


def finish_run(
    connection: Connection, run_id: str, *, at: datetime, exit_code: int, summary: Mapping[str, Any]
) -> None:
    """Record how a run ended."""
    values = {"finished_at": to_text(at), "exit_code": exit_code, "summary": json.dumps(dict(summary), sort_keys=True)}
    if connection.execute(update(RUNS).where(RUNS.c.id == run_id).values(**values)).rowcount != 1:
        raise InternalError(f"run {run_id} was never started")


def runs(connection: Connection, *, limit: int = 20) -> tuple[Run, ...]:
    """The latest runs, newest first."""
    found = connection.execute(select(RUNS).order_by(RUNS.c.started_at.desc(), RUNS.c.id.desc()).limit(limit))
    return tuple(
        Run(
            id=row.id,
            operation=row.operation,
            who=row.who,
            started_at=from_text(row.started_at),
            plan_id=row.plan_id,
            commit=row.commit,
            finished_at=None if row.finished_at is None else from_text(row.finished_at),
            exit_code=row.exit_code,
            summary=json_from_text(row.summary),
        )
        for row in found
    )
