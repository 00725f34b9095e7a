"""``sync``: one pass now."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import click

from reconciler.cli.console import Progress, use_colour
from reconciler.cli.options import Common, Outputs, common, output_option
from reconciler.cli.stopping import signals
from reconciler.clock import Clock
from reconciler.report.documents import to_text
from reconciler.report.formats import FORMS
from reconciler.report.sync_text import render_sync
from reconciler.workflow import operating_sync
from reconciler.workflow.operating_sync import Asked
from reconciler.workflow.syncing import open_runner

DAY = click.DateTime(formats=["%Y-%m-%d"])


@click.command()
@click.argument("names", nargs=-1, metavar="[SLUG|BUSINESS]...")
@click.option("--due", is_flag=True, help="Only locations whose slot has come.")
@click.option("--dry-run", is_flag=True, help="Report what would be sent; send and record nothing.")
@click.option("--date", "day", type=DAY, metavar="DAY", help="The visits of this local day, at most yesterday.")
@click.option("--max-contacts", type=click.IntRange(min=1), metavar="N", help="Send up to N where a cap stopped it.")
@click.option("--backfill", nargs=2, type=DAY, metavar="FROM TO", help="Record these days' visits; contact nobody.")
@click.option("--by", metavar="NAME", help="Who decides.")
@click.option("--reason", metavar="TEXT", help="Why.")
@output_option("text", "json", *FORMS)
@common
def sync(
    names: tuple[str, ...],
    due: bool,
    dry_run: bool,
    day: datetime | None,
    max_contacts: int | None,
    backfill: tuple[datetime, datetime] | None,
    by: str | None,
    reason: str | None,
    outputs: Outputs,
    common: Common,
) -> int:
    """Make one pass now: completed visits become review requests, once; appointments are kept in step with Birdeye."""
    asked = Asked(
        names=names,
        due=due,
        dry_run=dry_run,
        day=day.date() if day is not None else None,
        backfill=(backfill[0].date(), backfill[1].date()) if backfill else None,
        max_contacts=max_contacts,
        by=by,
        reason=reason,
    )
    operating_sync.check(asked)
    settings, clock = common.settings(), Clock()
    with (
        signals(clock) as stopped,
        open_runner(settings, clock, write=not dry_run) as runner,
        Progress("syncing", 0, quiet=True) as progress,
    ):
        report = operating_sync.sync(runner, asked, on_pass=lambda one: progress.step())
    report = replace(report, stopped=stopped.exit_code)

    def render(form: str) -> str:
        if form == "json":
            return to_text(report.to_json())
        if form == "text":
            return render_sync(report, colour=use_colour())
        from reconciler.report import formats, view_other

        return formats.render(view_other.view_of_sync(report), form)

    code = stopped.exit_code or report.exit_code
    if not dry_run:
        return outputs.write_done(render, code)
    outputs.write(render)
    return code
