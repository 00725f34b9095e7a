"""``plan``, ``show``, ``check-plan``: what would change, without changing anything."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from reconciler.cli.complete import complete_slugs
from reconciler.cli.console import Progress, say_error, use_colour
from reconciler.cli.options import Common, Outputs, common, output_option, write_file
from reconciler.cli.reports import PLAN_FORMS, plan_in
from reconciler.clock import Clock
from reconciler.core import saved
from reconciler.errors import ReconcilerError, RemoteError, Stale
from reconciler.report import documents
from reconciler.report.plan_text import PlanView, render_plan
from reconciler.workflow import applying, batches, onboarding
from reconciler.workflow.session import load_declarations, open_session

paths_argument = click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
reassert_option = click.option(
    "--reassert",
    "reassert",
    multiple=True,
    metavar="SLUG",
    shell_complete=complete_slugs,
    help="Send again what cannot be seen of a business.",
)


@click.command()
@paths_argument
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Save the plan for `apply FILE`.")
@click.option("--summary", "summary_only", is_flag=True, help="One line per change.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 where there are changes.")
@click.option("--changed-since", metavar="REF", help="Only files that differ from a git reference.")
@reassert_option
@output_option(*PLAN_FORMS)
@common
def plan(
    paths: tuple[Path, ...],
    out: Path | None,
    summary_only: bool,
    detailed_exitcode: bool,
    changed_since: str | None,
    reassert: tuple[str, ...],
    outputs: Outputs,
    common: Common,
) -> int:
    """Compare what is declared with what was applied and what is live; write nothing.

    PATH selects files or folders of the declarations; rules that look across files still see all of them.
    """
    settings, clock = common.settings(), Clock()
    loaded = load_declarations(settings, clock, paths, cached=changed_since is not None)
    if changed_since is not None:
        from reconciler.workflow.changed import select_changed

        loaded = select_changed(settings, loaded, changed_since, common.say)
    check_slugs(loaded, reassert, "--reassert")
    unread: list[RemoteError] = []
    with Progress("reading", len(loaded.selected), quiet=common.quiet) as progress:
        session = open_session(
            settings,
            clock,
            write=False,
            reassert=frozenset(reassert),
            loaded=loaded,
            on_read=lambda business: progress.step(),
        )
        with session as it:
            # On a terminal the error says all there is; a document has each business for itself.
            inputs = it.inputs if outputs.is_only_text else replace(it.inputs, on_unread=unread.append)
            made = batches.make_in_batches(inputs)
            weekly = onboarding.read_counts(it.store, clock.now())
    made = replace(made, plan=onboarding.with_reach(made.plan, loaded.declared, weekly))
    standings = onboarding.standings(
        (it for it in loaded.declared if it.slug in loaded.selected), made.plan.changes, clock.now().date()
    )
    if out is not None:
        write_file(out, documents.plan_document(made.plan))
    allowed = applying.allowances(
        [(one.code, it.slug) for it in made.world.declared for one in it.declaration.allow], settings.allow
    )
    view = documents.view_of_plan(made.plan, allowed)
    outputs.write(lambda form: _render(form, view, made.plan.to_json, standings, summary_only=summary_only))
    for error in unread:
        say_error(error)
    if made.plan.unreadable:
        return 7
    return 2 if detailed_exitcode and made.plan.changes else 0


def _render(
    form: str,
    view: PlanView,
    document: Callable[[], dict[str, Any]],
    standings: tuple[onboarding.Standing, ...],
    *,
    summary_only: bool,
) -> str:
    if form == "json":
        return documents.to_text(document())
    if form == "text":
        return onboarding.table(standings) + render_plan(view, colour=use_colour(), summary_only=summary_only)
    return plan_in(form, view, document(), onboarding=onboarding.section(standings))


def check_slugs(loaded: Any, slugs: tuple[str, ...], option: str) -> None:
    """Refuse a slug that no declaration has."""
    known = {it.slug for it in loaded.files} if slugs else set()
    for slug in slugs:
        if slug not in known:
            from reconciler.core.suggest import nearest

            close = nearest(slug, known)
            raise click.UsageError(
                f"{option} {slug}: no declaration has this slug." + (f" Did you mean '{close}'?" if close else "")
            )


def read_plan_file(file: Path) -> dict[str, Any]:
    """The document in a plan file. Raises ReconcilerError where it is not a whole plan."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ReconcilerError(f"the plan file {file} cannot be read: {error.strerror}") from None
    try:
        return saved.parse(data)
    except saved.Damaged as error:
        raise ReconcilerError(f"the plan file {file} is refused: {error}; nothing was changed") from None


@click.command()
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@click.option("--summary", "summary_only", is_flag=True, help="One line per change.")
@output_option(*PLAN_FORMS)
@common
def show(plan_file: Path, summary_only: bool, outputs: Outputs, common: Common) -> int:
    """Render a saved plan. A stale one is shown too, with a word on it."""
    document = read_plan_file(plan_file)
    if not saved.is_untouched(document):
        common.say(f"warning: {plan_file} was changed after it was made; `apply` will refuse it")
    elif saved.is_expired(document, Clock().now()):
        common.say(f"warning: {plan_file} expired at {document['expires_at']}; `apply` will refuse it")
    view = documents.view_of_document(document)
    outputs.write(lambda form: _render(form, view, lambda: document, (), summary_only=summary_only))
    return 7 if view.summary.unreadable else 0


@click.command("check-plan")
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@output_option("text", "json")
@common
def check_plan(plan_file: Path, outputs: Outputs, common: Common) -> int:
    """Is a saved plan still current? Exit 0: exactly, or all of it is done; 2: a part of it is left; 4: stale."""
    document = read_plan_file(plan_file)
    settings, clock = common.settings(), Clock()
    loaded = load_declarations(settings, clock)
    check_base(document, settings.birdeye.url, loaded.digest, clock)
    loaded = within(loaded, document)
    with open_session(settings, clock, write=False, loaded=loaded) as it:
        made = batches.make_in_batches(it.inputs)
    if made.plan.unreadable:
        common.say("the live state could not be read: " + "; ".join(f"{s}: {w}" for s, w in made.plan.unreadable))
        return 7
    missing = saved.not_covered(made.plan, document)
    if missing:
        raise Stale("the plan is stale; what is new:\n" + "\n".join(f"  {it}" for it in missing))
    is_same = made.plan.digest == document["digest"]
    state = "current" if is_same else "subset" if made.plan.changes else "done"
    outputs.write(
        lambda form: (
            documents.to_text({"format_version": "1.0", "kind": "check-plan", "state": state})
            if form == "json"
            else _STATES[state]
        )
    )
    return 2 if state == "subset" else 0


_STATES = {
    "current": "The plan is current.\n",
    "subset": "A part of the plan is left; the rest is done.\n",
    "done": "All of the plan is done.\n",
}


def within(loaded: Any, document: dict[str, Any]) -> Any:
    """``loaded`` with only those selected that a saved plan speaks of; all where it speaks of none."""
    slugs = saved.scope(document)
    return replace(loaded, selected=slugs & loaded.selected) if slugs else loaded


def check_base(document: dict[str, Any], birdeye_url: str, digest: str, clock: Clock) -> None:
    """The staleness checks that need no network, in the published order. Raises Stale."""
    hint = "make and review a new plan: reconciler plan --out FILE"
    if document["target"].get("birdeye_url") != birdeye_url:
        raise Stale(f"the plan was made for {document['target'].get('birdeye_url')}, not for {birdeye_url}", hint=hint)
    if document["base"]["declarations_digest"] != digest:
        raise Stale("the declarations have changed since the plan was made", hint=hint)
    if saved.is_expired(document, clock.now()):
        raise Stale(f"the plan expired at {document['expires_at']}", hint=hint)
    if not saved.is_untouched(document):
        raise ReconcilerError(
            "the plan file is refused: it was changed after it was made; nothing was changed", hint=hint
        )
