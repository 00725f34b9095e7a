"""``drift`` and ``accept``: what is live and not as declared, and agreeing with it for a while."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import click

from reconciler.cli.console import Progress, say_error, use_colour
from reconciler.cli.options import Common, Outputs, common, output_option, write_file
from reconciler.clock import Clock
from reconciler.core import acceptances
from reconciler.core.drift import Finding, Report
from reconciler.core.sources import nextech
from reconciler.core.suggest import nearest
from reconciler.declarations import Loaded
from reconciler.errors import RemoteError, UsageError
from reconciler.report import drift_text
from reconciler.workflow import drifting
from reconciler.workflow.session import Session, load_declarations, open_session

CONFIRM_AFTER_SECONDS = 5.0
LONGEST_REASON = 300


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--confirm-after",
    type=click.FloatRange(0, 3600),
    default=CONFIRM_AFTER_SECONDS,
    show_default=True,
    metavar="SECONDS",
    help="What differs is read again after this long, and reported only where both reads saw it. Give 60 in a nightly "
    "job: an API that lags behind its own writes is then no drift.",
)
@output_option("text", "json", "markdown", "html", "github", "sarif", "junit")
@common
def drift(paths: tuple[Path, ...], confirm_after: float, outputs: Outputs, common: Common) -> int:
    """Compare what is declared with what is live; classify, count and report. Changes nothing live.

    PATH selects files or folders of the declarations. Since when something differs is remembered in the store, where
    there is one that can be written; none is made for it. The location names and practitioner ids are compared with
    Nextech's own lists too, with one request each for a practice id.

    Exit 0: nothing but unverified fields; 2: something differs that nobody accepted; 7: something could not be read.
    """
    settings, clock = common.settings(), Clock()
    loaded = load_declarations(settings, clock, paths)
    accepted = drifting.read_acceptances(settings.folder).acceptances
    unread: list[RemoteError] = []
    with Progress("reading", len(loaded.selected), quiet=common.quiet) as progress:
        opened = open_session(settings, clock, write=False, loaded=loaded, on_read=lambda business: progress.step())
        with opened as session:
            if not outputs.is_only_text:  # on a terminal the error says all there is
                session.inputs = replace(session.inputs, on_unread=unread.append)
            report = detect(session, confirm_after, accepted)
    now = clock.now()

    def render(form: str) -> str:
        if form == "json":
            return drift_text.drift_json(report)
        if form == "text":
            return drift_text.render_drift(report, now, colour=use_colour())
        from reconciler.report import formats, view_other

        return formats.render(view_other.view_of_drift(report, now), form)

    outputs.write(render)
    if not outputs.is_text:
        common.say(drift_text.totals(report))
    for error in unread:
        say_error(error)
    return report.exit_code


def detect(session: Session, confirm_after: float, accepted: tuple[acceptances.Acceptance, ...]) -> Report:
    """The report of an open session."""
    settings = session.settings

    def list_practitioners(reference: str, practice_plus: bool) -> frozenset[str]:
        practice_id = settings.secrets.reveal(reference)
        return frozenset(it.id for it in session.client.practitioners(practice_id, new_version=practice_plus))

    options = drifting.Options(
        sleep=session.clock.sleep,
        list_practitioners=list_practitioners,
        acceptances=accepted,
        confirm_after=confirm_after,
        remember=drifting.remembering(settings.store, session.store),
    )
    return drifting.detect(session.inputs, options)


def _until(ctx: click.Context, param: click.Parameter, text: str) -> date:
    del ctx, param
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a date such as 2026-12-31") from None


def _line(ctx: click.Context, param: click.Parameter, text: str) -> str:
    del ctx, param
    text = text.strip()
    if not text or not text.isprintable() or len(text) > LONGEST_REASON:
        raise click.BadParameter(f"must be one line of printable text, at most {LONGEST_REASON} characters")
    return text


@click.command()
@click.argument("slug")
@click.option("--path", "path", required=True, metavar="PATH", help="As drift names it, or the declaration's field.")
@click.option("--business", type=int, metavar="N", help="The location; without it the one place where PATH differs.")
@click.option("--reason", required=True, callback=_line, metavar="TEXT", help="Why it is right as it is.")
@click.option(
    "--until",
    required=True,
    callback=_until,
    metavar="DATE",
    help=f"The last day, at most {acceptances.LONGEST.days} days ahead: what should stay longer belongs into git.",
)
@click.option("--by", required=True, callback=_line, metavar="NAME", help="Who accepts it.")
@common
def accept(slug: str, path: str, business: int | None, reason: str, until: date, by: str, common: Common) -> int:
    """Accept a difference for a while: an entry in acceptances.yaml, to be reviewed like everything else.

    The entry holds the fingerprint of the live value, never the value. It ends by itself after its last day, or as soon
    as the live value is another one. Nothing live changes.
    """
    settings, clock = common.settings(), Clock()
    today = clock.now().date()
    if not today <= until <= today + acceptances.LONGEST:
        raise click.UsageError(f"--until {until}: a day from {today} to {today + acceptances.LONGEST}")
    file = drifting.read_acceptances(settings.folder)
    loaded = load_declarations(settings, clock)
    loaded = replace(loaded, selected=frozenset({slug}) & {it.slug for it in loaded.files})
    with open_session(settings, clock, write=False, loaded=loaded) as session:
        report = detect(session, 0.0, ())
    it = _chosen(report, loaded, slug, path, business)
    entry = acceptances.Acceptance(slug, it.location, it.path, it.live_print, reason, until, by)
    write_file(file.path, drifting.with_acceptance(file, entry))
    common.say(f"accepted until {until}: {slug} {it.object} {it.path} (in {acceptances.FILE_NAME}; commit it)")
    return 0


def _chosen(report: Report, loaded: Loaded, slug: str, path: str, business: int | None) -> Finding:
    """The one difference that is meant."""
    mine = [one for one in report.businesses if one.slug == slug]
    if not mine:
        close = nearest(slug, [it.slug for it in loaded.files])
        raise UsageError(
            f"no declaration or applied business is called {slug}", hint=f"did you mean: `{close}`" if close else None
        )
    if mine[0].unreadable:
        raise RemoteError(
            f"{slug} could not be read: {mine[0].unreadable}; nothing was accepted", method="GET", path=""
        )
    names = {path, f"properties.{path}"}
    if path in nextech.BY_NAME:
        names.add(nextech.BY_NAME[path].path)
    if path == "state":
        names.add("active")
    differ = [it for it in mine[0].findings if it.is_drift]
    found = [it for it in differ if it.path in names and business in (None, it.location)]
    if len(found) == 1:
        return found[0]
    there = "; ".join(_call(it) for it in (found or differ)) or "nothing of it differs"
    if found:
        raise UsageError(f"{path} differs in several places: {there}", hint="name the location with --business")
    where = f" of location {business}" if business is not None else ""
    raise UsageError(f"{path}{where} of {slug} does not differ, so nothing was accepted", hint=f"what differs: {there}")


def _call(it: Finding) -> Any:
    return f"--path {it.path}" + (f" --business {it.location}" if it.location is not None else "")
