"""``held list``, ``held resend``, ``held discard``: check-ins that wait for a person."""

from __future__ import annotations

from typing import Any

import click

from reconciler.cli.options import Common, Outputs, common, output_option
from reconciler.clock import Clock
from reconciler.report.problems import json_text
from reconciler.workflow import holding
from reconciler.workflow.holding import Action, HeldRow


@click.group()
def held() -> None:
    """Check-ins of which nobody knows whether they arrived: list them, send them again, give them up."""


@held.command("list")
@click.argument("locations", nargs=-1, metavar="[SLUG|BUSINESS]...")
@click.option("--failed", is_flag=True, help="Those that Birdeye refused too.")
@output_option("text", "json")
@common
def list_(locations: tuple[str, ...], failed: bool, outputs: Outputs, common: Common) -> int:
    """What is held or still unknown, with its appointment in Nextech. Shows appointment ids: mind who reads it."""
    settings = common.settings()
    with holding.open_ledger(settings, Clock().now, write=False) as ledger:
        rows = holding.held(ledger, locations, with_failed=failed)
    outputs.write(lambda form: _json(rows) if form == "json" else _text(rows))
    return 0


def _document(row: HeldRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "slug": row.slug,
        "business": row.business,
        "day": None if row.day is None else row.day.isoformat(),
        "appointment": None if row.appointment_id is None else row.appointment_id.reveal(),
        "state": row.state,
        "reason": row.why,
        "since": row.since.isoformat(),
        "can_be_sent": row.can_be_sent,
    }


def _json(rows: tuple[HeldRow, ...]) -> str:
    document = {"format_version": "1.0", "kind": "held", "visits": [_document(it) for it in rows]}
    return json_text(document)


def _text(rows: tuple[HeldRow, ...]) -> str:
    if not rows:
        return "nothing waits\n"
    lines = []
    for it in rows:
        appointment = "?" if it.appointment_id is None else it.appointment_id.reveal()
        day = "" if it.day is None else f" of {it.day}"
        lines.append(f"{it.id}  {it.slug} {it.business}  {it.state}  appointment {appointment}{day}: {it.why}\n")
    noun = "check-in waits" if len(rows) == 1 else "check-ins wait"
    lines.append(f"{len(rows)} {noun}; `held resend ID` or `held discard ID`, with --by and --reason\n")
    return "".join(lines)


def _by(function: Any) -> Any:
    function = click.option("--reason", required=True, help="Why; nothing of a patient.")(function)
    return click.option("--by", required=True, metavar="NAME", help="Who decided it.")(function)


@held.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@_by
@common
def resend(ids: tuple[str, ...], by: str, reason: str, common: Common) -> int:
    """Have held or refused check-ins sent by the next pass. The patient may be contacted twice: look first."""
    return _act("resend", ids, by, reason, common)


@held.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
@_by
@common
def discard(ids: tuple[str, ...], by: str, reason: str, common: Common) -> int:
    """Give held, unknown or refused check-ins up: these visits are never contacted."""
    return _act("discard", ids, by, reason, common)


def _act(action: Action, ids: tuple[str, ...], by: str, reason: str, common: Common) -> int:
    settings = common.settings()
    clock = Clock()
    with holding.open_ledger(settings, clock.now, write=True) as ledger:
        visits = holding.act(ledger, action, ids, by=by, reason=reason, now=clock.now())
    what = "planned again, the next pass sends it" if action == "resend" else "discarded, never to be contacted"
    for it in visits:
        click.echo(f"{it.id}  {it.slug} {it.business}: {what}")
    return 0
