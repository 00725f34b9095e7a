"""``ci find-plan`` and ``ci fetch-plan``: which plan was reviewed for what is about to be applied."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from reconciler.cli.options import Common, common, write_file
from reconciler.clock import Clock
from reconciler.core import saved
from reconciler.errors import ReconcilerError, UsageError
from reconciler.report import documents
from reconciler.settings.forge import Forge, load_forge

PLAN_WORKFLOW = "reconciler-plan.yml"
PLAN_JOB = "reconciler-plan"


@contextlib.contextmanager
def client_of(forge: Forge) -> Iterator[Any]:
    """A client of the job's forge until the block ends."""
    from reconciler.workflow import commenting

    transport, client = commenting.open_client(forge, Clock())
    with transport:
        yield client


@click.command("find-plan")
@click.option("--workflow", default=PLAN_WORKFLOW, show_default=True, metavar="FILE", help="The workflow that plans.")
@common
def find_plan(workflow: str, common: Common) -> int:
    """Find the run that planned what this commit merges; its number goes to the step's output `run_id`.

    Of GitLab it is the number of the job, which `fetch-plan` finds by itself.
    """
    forge = load_forge()
    if forge.kind == "gitlab":
        with client_of(forge) as client:
            click.echo(str(_job_that_planned(client, forge, PLAN_JOB)))
        return 0
    with client_of(forge) as client:
        if forge.number is not None:
            heads = (client.head_of(forge.number),)
        elif forge.commit is not None:
            heads = client.heads_merged_by(forge.commit)
        else:
            raise UsageError("neither a pull request nor a commit is known here")
        found = next((run for head in heads if head and (run := client.run_of(head, workflow)) is not None), None)
    if found is None:
        raise _not_planned()
    if forge.output_file is not None:
        with forge.output_file.open("a", encoding="utf-8") as opened:
            opened.write(f"run_id={found}\n")
    click.echo(str(found))
    common.say(f"planned by run {found}")
    return 0


@click.command("fetch-plan")
@click.option(
    "--job",
    type=click.IntRange(min=1),
    envvar="RECONCILER_PLAN_JOB",
    metavar="N",
    help="The job that planned, or RECONCILER_PLAN_JOB; without it the one that planned what this commit merges.",
)
@click.option(
    "--job-name", default=PLAN_JOB, show_default=True, metavar="NAME", help="How the job that plans is called."
)
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE")
@common
def fetch_plan(job: int | None, job_name: str, out: Path, common: Common) -> int:
    """Fetch the reviewed plan from a GitLab job (GitHub's own action does it there).

    The plan is that of the merge request which this commit merged: of the newest job that planned its head.
    """
    forge = load_forge()
    if forge.kind != "gitlab":
        raise UsageError("fetch-plan asks GitLab; on GitHub use find-plan and actions/download-artifact")
    out.unlink(missing_ok=True)
    with client_of(forge) as client:
        job = job or _job_that_planned(client, forge, job_name)
        data = client.artifact(job, "plan.json")
    try:
        document = saved.parse(data)
    except saved.Damaged as error:
        raise ReconcilerError(f"what job {job} kept is no plan: {error}; nothing was changed") from None
    write_file(out, documents.to_text(document))
    common.say(f"plan {document['plan_id']} of job {job}")
    return 0


def _job_that_planned(client: Any, forge: Forge, name: str) -> int:
    """Of GitLab: the job that planned the request, or what the commit merges."""
    if forge.number is None and forge.commit is None:
        raise UsageError("neither a merge request nor a commit is known here")
    numbers = (forge.number,) if forge.number is not None else client.merged_by(forge.commit)
    for number in numbers:
        found: int | None = client.plan_job(number, name)
        if found is not None:
            return found
    raise _not_planned()


def _not_planned() -> ReconcilerError:
    return ReconcilerError(
        "no job has planned what this commit merges; nothing was changed",
        hint="merge by a request whose plan job has run, or apply by hand with a saved plan",
    )
