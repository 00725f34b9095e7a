"""``apply``: carry out a plan, a saved one or a fresh one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from reconciler.cli.complete import complete_allowances
from reconciler.cli.console import Progress, confirm_yes, counted, is_terminal, say_error, use_colour
from reconciler.cli.options import Common, Outputs, common, output_option
from reconciler.cli.reconcile import check_base, check_slugs, read_plan_file, reassert_option, within
from reconciler.cli.reports import PLAN_FORMS, apply_in
from reconciler.cli.stopping import signals
from reconciler.clock import Clock
from reconciler.core import objections
from reconciler.core.records import Recorded
from reconciler.errors import LockHeld, Refused, RemoteError, Stale, StoreError, UsageError
from reconciler.report import documents
from reconciler.report.plan_text import render_outcomes, render_plan
from reconciler.report.problems import escaped
from reconciler.store import leases
from reconciler.store.database import open_store
from reconciler.workflow import applying, planning
from reconciler.workflow.session import load_declarations, open_session

LOCK = "apply"
LOCK_WAIT_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)


@click.command()
@click.argument("plan_file", metavar="[PLAN]", required=False, type=click.Path(path_type=Path))
@click.option(
    "--approved",
    metavar="PLAN",
    type=click.Path(path_type=Path),
    help="Plan anew, and go on only with what this reviewed plan holds.",
)
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@click.option(
    "--allow",
    multiple=True,
    metavar="CODE:SLUG",
    shell_complete=complete_allowances,
    help="Allow an objection by name. Repeatable.",
)
@reassert_option
@click.option("--lock-timeout", type=click.FloatRange(min=0), default=0.0, metavar="S", help="Wait for the lock.")
@output_option(*PLAN_FORMS)
@common
def apply(
    plan_file: Path | None,
    approved: Path | None,
    auto_approve: bool,
    allow: tuple[str, ...],
    reassert: tuple[str, ...],
    lock_timeout: float,
    outputs: Outputs,
    common: Common,
) -> int:
    """Carry out a plan: a saved one as it is, or a fresh one after `yes` (or --auto-approve)."""
    if plan_file is not None and (approved is not None or reassert):
        raise click.UsageError("a saved PLAN goes with neither --approved nor --reassert")
    agreed = auto_approve or plan_file is not None or approved is not None
    if not agreed and not is_terminal():
        raise UsageError(
            "there is no terminal to ask on, so nothing was done", hint="give --auto-approve, or a saved PLAN"
        )
    outputs.check()
    settings, clock = common.settings(), Clock()
    check_allow(allow)
    document = read_plan_file(plan_file or approved) if plan_file or approved else None  # type: ignore[arg-type]
    loaded = load_declarations(settings, clock)
    check_slugs(loaded, reassert, "--reassert")
    check_allowed_slugs(loaded, allow, lambda: _outline(settings, clock))
    if plan_file is not None and document is not None:
        check_base(document, settings.birdeye.url, loaded.digest, clock)
        loaded = within(loaded, document)
    allow = (*allow, *settings.allow)
    approval = applying.Approval(document, exactly=plan_file is not None)
    planning.refuse_errors(loaded, recorded=None if loaded.files else _records(settings, clock))
    held = _Lock()
    with (
        signals(clock) as stopped,
        Progress("reading", len(loaded.selected), quiet=common.quiet) as progress,
        open_session(
            settings,
            clock,
            write=True,
            reassert=frozenset(reassert),
            loaded=loaded,
            fence=held.check,
            on_read=lambda business: progress.step(),
        ) as session,
        held.taken(session, lock_timeout, clock),
    ):
        made = applying.settle_and_make(session.inputs, lambda plan_id: session.deps(plan_id, allowed=allow))
        stopped.raise_if_set()
        allowed = frozenset(
            {(it.code, it.slug) for it in made.plan.objections}
            - {(it.code, it.slug) for it in applying.standing(made, allow)}
        )
        if outputs.is_text:
            click.echo(render_plan(documents.view_of_plan(made.plan, allowed), colour=use_colour()), nl=False)
        try:
            changes = applying.check_approval(made, approval)
            refused = applying.standing(made, allow)
            if refused:
                _refuse(outputs, made, refused)
        except (Stale, Refused) as error:
            if not made.plan.unreadable:
                raise
            # What could not be read comes before both in the published order of exit codes.
            say_error(error)
            _say_unreadable(made)
            return RemoteError.exit_code
        report = applying.Report(made.plan, changes)
        if changes or approval.document is not None:
            if changes and not agreed and not confirm_yes(f"Carry out {counted(len(changes), 'change')}?"):
                common.say("nothing was changed")
                return 1
            stopped.raise_if_set()
            report = _carry_out(session, made, changes, approval, allow, common, clock)
        report.stopped = stopped.exit_code
    code = 7 if made.plan.unreadable and not report.changes else report.exit_code

    def render(form: str) -> str:
        return _text(report) if form == "text" else _rendered(form, made, report)

    if report.outcomes:
        code = outputs.write_done(render, code)
    else:
        outputs.write(render)
    if report.error is not None:
        say_error(report.error)
    _say_unreadable(made)
    return code


def _say_unreadable(made: planning.Made) -> None:
    for slug, why in made.plan.unreadable:
        click.echo(f"error: left out, could not be read: {slug}: {escaped(why)}", err=True)


def _text(report: applying.Report) -> str:
    return render_outcomes(report.changes, report.outcomes, colour=use_colour()) if report.changes else ""


def _rendered(form: str, made: planning.Made, report: applying.Report) -> str:
    if form == "json":
        return documents.apply_document(made.plan, report.changes, report.outcomes)
    view = replace(documents.view_of_plan(made.plan), changes=report.changes)
    return apply_in(form, view, made.plan.to_json(), report.outcomes)


def _refuse(outputs: Outputs, made: planning.Made, refused: tuple[Any, ...]) -> None:
    if not outputs.is_text:
        outcomes = {it.id: ("not_attempted", "refused") for it in made.plan.changes}
        report = applying.Report(made.plan, made.plan.changes, outcomes)
        outputs.write(lambda form: "" if form == "text" else _rendered(form, made, report))
    names = ", ".join(f"{it.code}:{it.slug}" for it in refused)
    raise Refused(f"refused by objections that were not allowed: {names}; nothing was changed")


def _carry_out(
    session: Any,
    made: planning.Made,
    changes: tuple[Any, ...],
    approval: applying.Approval,
    allow: tuple[str, ...],
    common: Common,
    clock: Clock,
) -> applying.Report:
    del clock
    wire = sum(it.kind != "runner" and it.action != "manual" for it in changes)
    rate = session.settings.birdeye.requests_per_second
    common.say(
        f"{counted(len(changes), 'change')}: {counted(wire, 'write')}, each business then read back, at most {rate:g} requests a second"
    )
    with Progress("applying", len(changes), quiet=common.quiet) as progress:
        deps = session.deps(made.plan.plan_id, allowed=allow)
        deps = _with_progress(deps, progress, session.clock)
        return applying.carry_out(deps, made, changes, approval)


def _with_progress(deps: Any, progress: Progress, clock: Clock) -> Any:
    def on_outcome(change: Any, outcome: str, detail: str) -> None:
        del detail
        progress.step(f"{outcome} {change.slug}")

    return replace(deps, on_outcome=on_outcome, stop=clock.event)


def _records(settings: Any, clock: Clock) -> Any:
    with open_store(settings.store, now=clock.now, write=False) as store:
        return planning.read_records(store)


def _outline(settings: Any, clock: Clock) -> Recorded:
    with open_store(settings.store, now=clock.now, write=False) as store:
        return planning.read_outline(store)


def check_allow(allow: tuple[str, ...]) -> None:
    """Refuse an ``--allow`` that names no objection."""
    for text in allow:
        code, colon, slug = text.partition(":")
        if not colon or not slug:
            raise click.UsageError(f"--allow {text}: write CODE:SLUG (or CODE:run)")
        if code not in objections.CODES:
            from reconciler.core.suggest import nearest

            close = nearest(code, objections.CODES)
            raise click.UsageError(
                f"--allow {text}: no objection is called '{code}'." + (f" Did you mean '{close}'?" if close else "")
            )


def check_allowed_slugs(loaded: Any, allow: tuple[str, ...], outline: Callable[[], Recorded]) -> None:
    """Refuse an ``--allow`` for what is neither declared nor recorded. An objection that does not arise is no error."""
    known = {it.slug for it in loaded.files} | {"run"}
    asked = [(text, text.partition(":")[2]) for text in allow]
    if all(slug in known for _, slug in asked):
        return
    recorded = outline()  # what `undeclared` speaks of has no file any more
    known |= {it.slug for it in recorded.objects} | {it.slug for it in recorded.in_force}
    known |= {it.slug for it in recorded.open_intents}
    for text, slug in asked:
        if slug not in known:
            from reconciler.core.suggest import nearest

            close = nearest(slug, known)
            raise click.UsageError(
                f"--allow {text}: nothing that is declared or recorded has the slug '{slug}'."
                + (f" Did you mean '{close}'?" if close else "")
            )


class _Lock:
    """The lease of this run; ``check`` is asked before each request once it is held."""

    def __init__(self) -> None:
        self._lease: leases.Lease | None = None

    def check(self) -> None:
        if self._lease is not None:
            self._lease.check()

    @contextmanager
    def taken(self, session: Any, timeout: float, clock: Clock) -> Iterator[None]:
        settings = session.settings
        holder = leases.Holder("apply", settings.actor, settings.run_url, session.inputs.commit)
        deadline = clock.monotonic() + timeout
        waits = iter(LOCK_WAIT_SECONDS)
        wait = LOCK_WAIT_SECONDS[-1]
        while True:
            try:
                lease = leases.acquire(session.store, LOCK, holder)
                break
            except LockHeld:
                left = deadline - clock.monotonic()
                if left <= 0 or clock.stopped:
                    raise
                wait = next(waits, wait)
                clock.sleep(min(wait, left))
        try:
            with leases.Heartbeat(lease):
                self._lease = lease
                yield
        finally:
            self._lease = None
            try:
                lease.release()
            except StoreError as error:  # what was done must still be told; the lease runs out by itself
                click.echo(f"warning: the lock could not be given back: {error.message}; it frees itself", err=True)
