"""``ci``: what jobs of GitHub and GitLab run. Each ends with the exit code of the command that it decorates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from reconciler.cli.ci_find import client_of, fetch_plan, find_plan
from reconciler.cli.options import Common, common, write_file
from reconciler.cli.reports import about
from reconciler.clock import Clock
from reconciler.core import saved
from reconciler.errors import ReconcilerError, RemoteError
from reconciler.report import annotations as workflow_commands
from reconciler.report import documents, formats, markdown, view_plan
from reconciler.report.problems import escaped
from reconciler.report.view import View
from reconciler.settings.forge import Forge, load_forge

_LOCK_WAIT = "1800"
_MEANS = {
    1: "the declarations or the settings have errors, or something failed before anything was looked at",
    6: "the lock is held",
    7: "too little could be read",
    64: "wrong usage",
}
"""What an exit code without a plan or report means, for a person in a pull request."""
_ALLOWED_BY = (
    "<sub>An objection is allowed by <code>allow:</code> in the declaration, reviewed here like everything else, or by "
    "name where somebody starts the apply job by hand (<code>RECONCILER_ALLOW</code>); <code>adopt</code>, "
    "<code>ambiguous-group</code>, <code>group-vanished</code>, <code>undeclared</code> and those of a whole run only by "
    "name.</sub>"
)


@click.group()
def ci() -> None:
    """What jobs of GitHub and GitLab run: a plan as one comment, a reviewed plan carried out, drift as issues."""


@ci.command("validate")
@common
def ci_validate(common: Common) -> int:
    """Validate with annotations on the lines. Needs no secret and no network, so it runs for forks too."""
    code = _run("validate", "--output", "github")
    forge = load_forge()
    if forge.from_fork:
        text = "a request from a fork: validated only; nobody plans it until it is on a branch of this repository"
        common.say(text)
        _append(forge, f"{text.capitalize()}.\n")
    return code


@ci.command("plan")
@click.option("--out", type=click.Path(path_type=Path), default=Path("plan.json"), show_default=True, metavar="FILE")
@click.option("--base", metavar="REF", help="What the request would be merged into; the job's environment knows.")
@common
def ci_plan(out: Path, base: str | None, common: Common) -> int:
    """Plan; then a comment, a job summary and annotations. Ends with the plan's own exit code."""
    page = out.with_suffix(".html")
    _forget(out, page)
    code = _run("plan", "--out", str(out), "--output", "text")
    forge = load_forge()
    view = _plan_view(out, forge, base, common)
    if view is not None:
        write_file(page, formats.render(view, "html"))
        if forge.kind == "github":
            click.echo(workflow_commands.render(view), nl=False)
        _summarise(forge, view)
    else:
        _append(forge, f"**The plan failed (exit {code}): {_MEANS.get(code, 'see the log')}.**\n")
    _told(lambda: _comment(forge, view, code, common), "the comment could not be posted", common)
    return code


@ci.command("comment")
@click.argument("plan_file", metavar="[PLAN]", required=False, type=click.Path(path_type=Path))
@click.option("--base", metavar="REF", help="What the request would be merged into; the job's environment knows.")
@click.option("--exit-code", "code", type=int, metavar="N", help="Of the plan; this command then ends with it.")
@common
def comment(plan_file: Path | None, base: str | None, code: int | None, common: Common) -> int:
    """Post a saved plan as the request's one comment, or, without a plan, that planning failed.

    The comment is found by its hidden first line and by its author, edited in place, and left alone where it says the
    same already. What could not be posted is said, and changes no exit code that was given.
    """
    forge = load_forge()
    view = _plan_view(plan_file, forge, base, common) if plan_file is not None else None
    failed = 1 if code is None and view is None else code or 0
    posted = _told(lambda: _comment(forge, view, failed, common), "the comment could not be posted", common)
    if code is not None:
        return code
    return 0 if posted else RemoteError.exit_code


@ci.command("summary")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@common
def summary(file: Path, common: Common) -> int:
    """Write a saved plan, or the Markdown of another report, to the job's summary; to standard output without one."""
    forge = load_forge()
    if file.suffix == ".md":
        _append(forge, _within_budget(file.read_text(encoding="utf-8", errors="replace")), show=True)
        return 0
    view = _plan_view(file, forge, None, common)
    if view is None:
        raise ReconcilerError(f"{file} is no plan of ours; no summary was written")
    _summarise(forge, view, show=True)
    return 0


@ci.command("check")
@click.argument("plan_file", metavar="PLAN", type=click.Path(path_type=Path))
@common
def check(plan_file: Path, common: Common) -> int:
    """For a merge queue: is the reviewed plan still current? A part of it that is done already does no harm."""
    del common
    code = _run("check-plan", str(plan_file))
    return 0 if code == 2 else code


@ci.command("apply")
@click.option("--approved", type=click.Path(path_type=Path), required=True, metavar="PLAN", help="The reviewed plan.")
@common
def ci_apply(approved: Path, common: Common) -> int:
    """Plan anew on main and carry out what the reviewed plan holds, nothing else; then a summary."""
    written = Path("apply.md")
    _forget(written, Path("apply.json"))
    code = _run(
        "apply", "--approved", str(approved), "--lock-timeout", _LOCK_WAIT,
        "--output", "text", "--output", "json=apply.json", "--output", "markdown=apply.md",
    )  # fmt: skip
    forge = load_forge()
    if written.is_file():
        _append(forge, _within_budget(written.read_text(encoding="utf-8")))
    else:
        _append(forge, f"**The apply ended with exit code {code} and changed nothing; the job's log says why.**\n")
    del common
    return code


@ci.command("drift")
@click.option("--issues/--no-issues", default=True, help="Keep one issue for each business or cause.")
@click.option("--confirm-after", default="60", metavar="SECONDS", show_default=True)
@common
def ci_drift(issues: bool, confirm_after: str, common: Common) -> int:
    """Look for drift; then issues and a job summary. Ends with the exit code of `drift`."""
    _forget(Path("drift.md"), Path("drift.json"), Path("drift.html"))
    code = _run(
        "drift", "--confirm-after", confirm_after, "--output", "text", "--output", "json=drift.json",
        "--output", "html=drift.html", "--output", "markdown=drift.md",
    )  # fmt: skip
    forge = load_forge()
    if Path("drift.md").is_file():
        _append(forge, _within_budget(Path("drift.md").read_text(encoding="utf-8")))
    else:
        _append(forge, f"**Looking for drift failed (exit {code}): {_MEANS.get(code, 'see the log')}.**\n")
    if issues and Path("drift.json").is_file():
        _told(lambda: _settle(forge, Path("drift.json"), common), "not every issue could be kept", common)
    return code


@ci.command("drift-issues")
@click.argument("file", metavar="DRIFT_JSON", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@common
def drift_issues(file: Path, common: Common) -> int:
    """Make, edit, close and reopen issues so that they say what `drift --output json=DRIFT_JSON` found."""
    return 0 if _told(lambda: _settle(load_forge(), file, common), "not every issue could be kept", common) else 7


ci.add_command(find_plan)
ci.add_command(fetch_plan)


def _forget(*files: Path) -> None:
    """What an earlier job in the same folder left is not this one's."""
    for it in files:
        it.unlink(missing_ok=True)


def _run(*arguments: str) -> int:
    """One of our own commands, in this process, as a shell would run it."""
    from reconciler.cli.main import run

    return run(list(arguments))


def _plan_view(file: Path | None, forge: Forge, base: str | None, common: Common) -> View | None:
    """The view of a plan file, its changes attributed where that can be done; None where there is no plan."""
    if file is None or not file.is_file():
        return None
    try:
        document = saved.parse(file.read_bytes())
    except (OSError, saved.Damaged) as error:
        common.say(f"warning: {file} cannot be shown: {error}")
        return None
    shown = documents.view_of_document(document)
    base = base or forge.base
    origins: Mapping[str, Any] | None = None
    notes: tuple[str, ...] = ()
    guarded: tuple[str, ...] = ()
    if base is not None:
        from reconciler.workflow import attribution

        try:
            settings = common.settings()
            guarded = attribution.guarded(settings, base)
            if shown.changes:
                origins = attribution.attribute(settings, shown.changes, base, Clock().now().date())
        except ReconcilerError as error:
            notes = (f"where changes come from is not known: {error.message}",)
            common.say(f"warning: {notes[0]}")
    standings = _standings(shown.changes, common)
    # Without the time: the same plan of the same commit is the same comment.
    facts = about(document | {"created_at": ""}, origins=origins, notes=notes, onboarding=standings, guarded=guarded)
    return view_plan.view_of_plan(shown, facts)


def _standings(changes: Any, common: Common) -> Any:
    """The section of who is on the way; None where nobody is, or the declarations cannot be read."""
    from reconciler.workflow import onboarding
    from reconciler.workflow.session import load_declarations

    try:
        loaded = load_declarations(common.settings(), Clock())
    except ReconcilerError:
        return None
    return onboarding.section(onboarding.standings(loaded.declared, changes, Clock().now().date()))


def _comment(forge: Forge, view: View | None, code: int, common: Common) -> bool:
    from reconciler.workflow import commenting

    if forge.number is None:
        common.say("no request is known here, so no comment was written")
        return True
    if forge.from_fork:
        common.say("a request from a fork: no comment was written, since its job holds no credentials")
        return True
    target = _target(common)
    with client_of(forge) as client:
        beginning = commenting.beginning("plan", target)
        if view is None:
            there = commenting.find(client, forge.number, beginning)
            earlier = there.body if there is not None else None
            why = _MEANS.get(code, "")
            body = commenting.failure_body(earlier, "plan", target, code, forge.run_url, why)
        else:
            whole = (
                f"[The job]({forge.run_url}) has all of it." if forge.run_url else "The job's artifact has all of it."
            )
            foot = (_ALLOWED_BY,) if any(it.title == "Objections" for it in view.sections) else ()
            body = commenting.body(view, "plan", target, whole=whole, foot=foot)
        done = commenting.post(client, forge.number, beginning, body)
    common.say(f"comment {done}")
    return True


def _target(common: Common) -> str:
    from urllib.parse import urlsplit

    url = common.settings().birdeye.url
    return urlsplit(url).netloc or str(url)


def _settle(forge: Forge, file: Path, common: Common) -> bool:
    from reconciler.workflow import drift_issues as issues
    from reconciler.workflow.session import load_declarations

    try:
        document = json.loads(file.read_bytes())
        if document["kind"] != "drift":
            raise ValueError
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ReconcilerError(f"{file} is no drift report (drift --output json={file})") from None
    files = {it.slug: it.file for it in load_declarations(common.settings(), Clock()).files}
    with client_of(forge) as client:
        done = issues.settle(client, document, files, forge.run_url)
    common.say(str(done))
    for text in done.failed:
        click.echo(f"error: {escaped(text)}", err=True)
    return not done.failed


def _told(act: Callable[[], bool], what: str, common: Common) -> bool:
    """Do it; an error is said and changes nothing of what the job decorates."""
    del common
    try:
        return act()
    except ReconcilerError as error:
        click.echo(f"error: {what}: {escaped(error.message)}", err=True)
        if error.hint:
            click.echo(f"  = {escaped(error.hint)}", err=True)
        return False


def _summarise(forge: Forge, view: View, *, show: bool = False) -> None:
    whole = "The plan is an artifact of this job."
    _append(forge, markdown.fit(view, markdown.SUMMARY_BYTES, whole=whole).text, show=show)


def _within_budget(text: str) -> str:
    if len(text.encode()) <= markdown.SUMMARY_BYTES:
        return text
    first = next((line for line in text.split("\n") if line.startswith("**")), "")
    return f"{first}\n\nToo long for a summary: the job's artifacts hold all of it.\n"


def _append(forge: Forge, text: str, *, show: bool = False) -> None:
    """Onto the job's summary; where the forge has none, ``show`` it on standard output."""
    if forge.summary_file is None:
        if show:
            click.echo(text, nl=False)
        return
    try:
        with forge.summary_file.open("a", encoding="utf-8") as opened:
            opened.write(text)
    except OSError as error:
        click.echo(f"error: the summary could not be written: {error.strerror}", err=True)
