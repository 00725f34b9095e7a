"""``status``, ``why``, ``authorize``, ``pause``, ``resume``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from reconciler.cli.console import use_colour
from reconciler.cli.options import Common, Outputs, common, output_option
from reconciler.clock import Clock
from reconciler.core.declared import Declared
from reconciler.core.sync_status import Ticket
from reconciler.errors import UsageError
from reconciler.report import status_text
from reconciler.report.documents import to_text
from reconciler.workflow import holding, onboarding, operating, session
from reconciler.workflow.syncing import open_runner

F = TypeVar("F", bound=Callable[..., Any])


def _person(function: F) -> F:
    function = click.option("--reason", required=True, metavar="TEXT", help="Why; nothing of a patient.")(function)
    return click.option("--by", required=True, metavar="NAME", help="Who decides.")(function)


@click.command()
@click.argument("names", nargs=-1, metavar="[SLUG|BUSINESS]...")
@click.option("--ticket", is_flag=True, help="What a ticket to Nextech needs.")
@click.option("--reveal", is_flag=True, help="With --ticket: the practice id too; on a terminal only.")
@output_option("text", "json")
@common
def status(names: tuple[str, ...], ticket: bool, reveal: bool, outputs: Outputs, common: Common) -> int:
    """How each location is configured, how its syncs fare, and where each onboarding stands."""
    if reveal and not ticket:
        raise click.UsageError("--reveal goes with --ticket")
    if reveal and not sys.stdout.isatty():
        raise UsageError("--reveal shows a practice id, so it needs a terminal", hint="run it yourself, without a pipe")
    settings, clock = common.settings(), Clock()
    waiting = _declared(settings, clock, names)
    on_the_way = {name for it in waiting if it.declaration.onboarding is not None for name in _names_of(it)}
    with holding.open_ledger(settings, clock.now, write=False) as opened:
        found = operating.status(
            opened,
            names,
            now=clock.now(),
            reveal=settings.secrets.reveal,
            pause_all=settings.pause_all,
            on_the_way=on_the_way,
        )
        tickets: tuple[Ticket, ...] = ()
        if ticket:
            tickets = operating.tickets(opened, settings, names, reveal=reveal, now=clock.now(), on_the_way=on_the_way)

    def render(form: str) -> str:
        if ticket and form == "text":
            return status_text.render_tickets(tickets)
        standings = onboarding.standings_beside(waiting, {it.slug for it in found}, clock.now().date())
        if form == "json":
            shown = [it.to_json() for it in standings]
            return to_text(status_text.status_document(found, tickets, onboarding=shown))
        return onboarding.table(standings) + status_text.render_status(found, colour=use_colour())

    outputs.write(render)
    return 0


def _declared(settings: Any, clock: Clock, names: tuple[str, ...]) -> list[Declared]:
    """The declarations, or those that are named; nothing where they are not at hand."""
    if not settings.declarations.is_dir():
        return []
    declared = session.load_declarations(settings, clock).declared
    return [it for it in declared if not names or set(names) & _names_of(it)]


def _names_of(it: Declared) -> set[str]:
    """What a person may call a business by: its slug, its number, those of its locations."""
    numbers = (it.declaration.business, *(one.business for one in it.declaration.locations))
    return {it.slug, *map(str, numbers)}


@click.command()
@click.argument("appointment")
@click.option("--business", type=int, metavar="N", help="Of this location only.")
@output_option("text", "json")
@common
def why(appointment: str, business: int | None, outputs: Outputs, common: Common) -> int:
    """Why a visit was contacted or not: the rule, the values compared, the configuration revision.

    APPOINTMENT is Nextech's id, or the short id of a log line.
    """
    settings = common.settings()
    with holding.open_ledger(settings, Clock().now, write=False) as opened:
        found = operating.why(opened, appointment, business=business)
    outputs.write(
        lambda form: to_text(status_text.why_document(found)) if form == "json" else status_text.render_why(found)
    )
    return 0


@click.command()
@click.argument("business", metavar="SLUG|BUSINESS")
@_person
@common
def authorize(business: str, by: str, reason: str, common: Common) -> int:
    """Try to read a practice that did not let us in; where it does again, its syncs go on and catch up."""
    settings, clock = common.settings(), Clock()
    with open_runner(settings, clock, write=True) as runner:
        practices = operating.authorize(runner, business, by=by, reason=reason)
    locations = sum(len(it.places) for it in practices)
    click.echo(f"authorised: {business}; {locations} locations catch up at their next pass")
    return 0


def _which(business: str | None, everything: bool) -> str | None:
    if everything == (business is not None):
        raise click.UsageError("give one of SLUG, BUSINESS and --all")
    return business


@click.command()
@click.argument("business", required=False, metavar="[SLUG|BUSINESS]")
@click.option("--all", "everything", is_flag=True, help="All sending, at once, also of passes that run now.")
@_person
@common
def pause(business: str | None, everything: bool, by: str, reason: str, common: Common) -> int:
    """Stop the syncs of a business or location, or all of them. What happens meanwhile is never made up."""
    name = _which(business, everything)
    settings, clock = common.settings(), Clock()
    with holding.open_ledger(settings, clock.now, write=True) as opened:
        _, is_new = operating.pause(opened, name, by=by, reason=reason, now=clock.now())
    click.echo(f"{'paused' if is_new else 'was paused already'}: {name or 'everything'}")
    return 0


@click.command()
@click.argument("business", required=False, metavar="[SLUG|BUSINESS]")
@click.option("--all", "everything", is_flag=True, help="End the pause of everything.")
@_person
@common
def resume(business: str | None, everything: bool, by: str, reason: str, common: Common) -> int:
    """End a pause, or a stop after a second executor was seen; contacts begin with the visits of today."""
    name = _which(business, everything)
    settings, clock = common.settings(), Clock()
    with holding.open_ledger(settings, clock.now, write=True) as opened:
        found = operating.resume(opened, name, by=by, reason=reason, now=clock.now())
    if found.was is None and not found.cleared:
        click.echo(f"was not paused: {name or 'everything'}")
    else:
        click.echo(f"resumed: {name or 'everything'}; visits before today are not made up")
    if found.given_up:
        click.echo(f"{found.given_up} contacts that were planned before are given up")
    for it in found.still_paused:
        click.echo(f"still paused otherwise: {it}")
    return 0
