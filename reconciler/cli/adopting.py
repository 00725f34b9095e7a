"""``import``: live state to declarations."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace

import click

from reconciler.cli.options import Common, common
from reconciler.clock import Clock
from reconciler.core.model import time_zones
from reconciler.core.suggest import nearest
from reconciler.errors import DeclarationError, Partial, ReconcilerError, RemoteError
from reconciler.report.problems import escaped
from reconciler.store import leases
from reconciler.workflow import importing, planning
from reconciler.workflow.session import load_declarations, open_session

LOCK = "apply"
"""The same as that of ``apply``: both write receipts."""


def _zones(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> dict[int | None, str]:
    del ctx, param
    found: dict[int | None, str] = {}
    for text in given:
        number, equals, zone = text.rpartition("=")
        if equals and not number.isdecimal():
            raise click.BadParameter(f"{text!r}: write ZONE, or BUSINESS=ZONE for one location")
        if zone not in time_zones():
            close = nearest(zone, time_zones())
            raise click.BadParameter(f"{zone!r} is not a time zone." + (f" Did you mean '{close}'?" if close else ""))
        found[int(number) if equals else None] = zone
    return found


@click.command("import")
@click.argument("businesses", nargs=-1, type=click.IntRange(min=1), metavar="BUSINESS...")
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Every business that the store remembers and no file declares. Birdeye's API has no list of businesses, so what "
    "this tool never applied must be named.",
)
@click.option("--write", is_flag=True, help="Write the files and record what was seen; without it, print them.")
@click.option("--slug", metavar="SLUG", help="The name of the file (of one BUSINESS).")
@click.option("--group", type=click.IntRange(min=1), metavar="ID", help="Which group, where BUSINESS has several.")
@click.option(
    "--location",
    "locations",
    type=click.IntRange(min=1),
    multiple=True,
    metavar="BUSINESS",
    help="A location of the one BUSINESS, where the API does not list them. Repeatable.",
)
@click.option(
    "--time-zone",
    "zones",
    multiple=True,
    callback=_zones,
    metavar="[BUSINESS=]ZONE",
    help="Of all locations, or of one. Without it a business with an active location is written as `released`: nothing is "
    "managed and nobody contacted until somebody adds it. Repeatable.",
)
@click.option(
    "--runner",
    type=click.Choice(["platform", "bundled"]),
    default="platform",
    show_default=True,
    help="Who syncs. What is live is run by Birdeye's own scheduler, and two of them contact every patient twice.",
)
@common
def import_(
    businesses: tuple[int, ...],
    everything: bool,
    write: bool,
    slug: str | None,
    group: int | None,
    locations: tuple[int, ...],
    zones: dict[int | None, str],
    runner: str,
    common: Common,
) -> int:
    """Write declarations of what is live, such that a plan finds nothing to change there.

    Nothing is put in force: the runner goes on as before until an apply. Defaults are left out; what the API does not
    show stands in comments; secrets are references, and the commands that store their values are printed. A file that is
    there is never written over, and what another file declares is left out.
    """
    if bool(businesses) == everything:
        raise click.UsageError("name one BUSINESS or more, or give --all")
    if (slug or group or locations) and len(businesses) != 1:
        raise click.UsageError("--slug, --group and --location go with exactly one BUSINESS")
    settings, clock = common.settings(), Clock()
    loaded = load_declarations(settings, clock)
    errors = [it for it in loaded.problems if it.severity == "error" and it.code != planning.EMPTY_FOLDER]
    if errors:
        raise DeclarationError(errors, message="the declarations have errors; nothing was read or changed")
    options = importing.Options(runner, zones, locations, group, slug)
    failed: list[ReconcilerError] = []
    done: list[importing.Imported] = []
    with open_session(settings, clock, write=write, loaded=loaded) as session, ExitStack() as stack:
        if write:
            holder = leases.Holder("import", settings.actor, settings.run_url, session.inputs.commit)
            lease = stack.enter_context(leases.acquire(session.store, LOCK, holder))
            stack.enter_context(leases.Heartbeat(lease))
        context = importing.Context(
            client=session.client,
            loaded=loaded,
            recorded=planning.read_records(session.store),
            fingerprint=session.inputs.fingerprint,
            reveal=session.inputs.reveal,
            now=clock.now,
            folder=settings.declarations,
            commit=session.inputs.commit,
        )
        wanted = importing.known_undeclared(context) if everything else tuple(dict.fromkeys(businesses))
        catalogue = session.client.triggers() if wanted else ()
        for number in wanted:
            try:
                it = importing.make(context, number, options, catalogue)
                if write:
                    importing.write_file(it)
                    importing.record(
                        session.store, it, who=settings.actor, run_url=settings.run_url, commit=context.commit
                    )
                    common.say(f"written: {importing.shown_path(it, settings.folder)}")
                else:
                    _print(it, is_first=not done)
                context = replace(context, loaded=importing.with_imported(context.loaded, it))
                done.append(it)
            except (importing.NotImported, RemoteError) as error:
                failed.append(error)
                common.say(f"error: {escaped(error.message)}" + (f"\n  = {escaped(error.hint)}" if error.hint else ""))
    _secrets(common, done)
    if not wanted:
        common.say("the store remembers no business that is not declared; name what to import by its number")
    return _exit_code(failed, done)


def _print(it: importing.Imported, *, is_first: bool) -> None:
    head = "" if is_first else "---\n"
    click.echo(f"{head}# {it.path.name}\n{it.text}", nl=False)


def _secrets(common: Common, done: list[importing.Imported]) -> None:
    """How a person stores what is never written: each command reads the value without showing it."""
    for it in done:
        for name, what in it.secrets.items():
            common.say(f"store the {what}:  read -rs {name} && export {name}")
    if any(it.secrets for it in done):
        common.say("  = in CI: secrets of the same names; values never go into a declaration")


def _exit_code(failed: list[ReconcilerError], done: list[importing.Imported]) -> int:
    if any(isinstance(it, RemoteError) for it in failed):
        return RemoteError.exit_code
    if failed:
        return Partial.exit_code if done else ReconcilerError.exit_code
    return 0
