"""``demo``: the whole story against a sandbox of its own, without settings."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from reconciler.cli import demo_sync
from reconciler.cli.console import use_colour
from reconciler.cli.options import Common, common
from reconciler.sandbox import changes
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import EYE_EAST, EYE_WEST
from reconciler.sandbox.server import Server, serve, variables

SAMPLES = Path(__file__).parents[2] / "integrations"
STEP_SECONDS = 60


class Story:
    """Runs the program's own commands in a folder of its own, and tells what happens."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._server = server
        self.folder = folder
        kept = {key: value for key, value in os.environ.items() if not key.startswith("RECONCILER_")}  # noqa: TID251
        kept.pop("CI", None)
        # The sandbox bears more than the real API: nobody should wait for a quota that is not there.
        rates = {"RECONCILER_CONTACTS_REQUESTS_PER_SECOND": "1000", "RECONCILER_NEXTECH_REQUESTS_PER_SECOND": "1000"}
        self._environ = {**kept, **variables(server), **rates, "RECONCILER_ACTOR": "demo"}
        if use_colour():
            self._environ["FORCE_COLOR"] = "1"

    def heading(self, text: str) -> None:
        """What comes next, in a sentence."""
        line = f"\n== {text}\n"
        click.echo(f"\x1b[1m{line}\x1b[0m" if use_colour() else line)

    def run(self, *arguments: str, expect: int = 0, shown: int | None = None) -> str:
        """One command, echoed and shown (its last ``shown`` lines); another exit code ends the demo."""
        click.echo(f"$ reconciler {shlex.join(arguments)}")
        found = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env=self._environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=STEP_SECONDS,
            check=False,
        )
        text = found.stdout
        lines = text.splitlines()
        if shown is not None and len(lines) > shown:
            lines = [f"… ({len(lines) - shown} lines)", *lines[-shown:]]
        click.echo("\n".join(f"  {line}" if line else "" for line in lines))
        if found.returncode != expect:
            raise click.ClickException(f"the demo expected exit code {expect}, and got {found.returncode}")
        return text

    def edit(self, file: str, before: str, after: str) -> None:
        """Change a declaration as a person would, and show the change."""
        path = self.folder / "integrations" / file
        text = path.read_text(encoding="utf-8")
        if before not in text:
            raise click.ClickException(f"the demo did not find its line in {file}")
        path.write_text(text.replace(before, after, 1), encoding="utf-8")
        click.echo(f"  - {before.strip()}\n  + {after.strip()}")


@click.command()
@click.option("--folder", type=click.Path(path_type=Path), help="Where to work, instead of a new temporary folder.")
@common
def demo(folder: Path | None, common: Common) -> int:
    """Sandbox, validate, plan, apply, plan again, a change behind the tool's back; then the syncs of what was applied."""
    started = time.monotonic()
    if not SAMPLES.is_dir():
        raise click.ClickException(f"the sample declarations are not at {SAMPLES}: run the demo from a checkout")
    where = folder or Path(tempfile.mkdtemp(prefix="reconciler-demo-"))
    where.mkdir(parents=True, exist_ok=True)
    if (where / "integrations").exists():
        raise click.UsageError(f"{where} holds an earlier demo; give another --folder")
    shutil.copytree(SAMPLES, where / "integrations")
    with serve(SandboxOptions(dialect="rich")) as server:
        # Two small practices: Birdeye is told of each of their appointments, and nobody should wait for a thousand.
        server.app.emr.options.visits_by_practice.update({EYE_EAST: 4, EYE_WEST: 4})
        story = Story(server, where)
        tell(story, server)
        demo_sync.tell(story, server)
        click.echo("")
        story.heading(f"Done in {time.monotonic() - started:.0f} s. Everything is in {where}")
    click.echo(NEXT.format(folder=where))
    del common
    return 0


NEXT = """Next:
  1. reconciler sandbox              keep a sandbox running; it prints what to export
  2. edit {folder}/integrations/example-skin-group.yaml, then `reconciler plan` there
  3. reconciler explain filter-widened   what the objection above means, and its ways out
"""


def tell(story: Story, server: Server) -> None:
    """The reconciler's half of the story."""
    story.heading("Seven made-up practices are declared in YAML. Are the files right?")
    story.run("validate", shown=2)
    story.heading("What would change for one of them? Nothing exists yet, so everything is new.")
    story.run("plan", "integrations/example-skin-group.yaml")
    story.heading("And for all seven, saved for later:")
    story.run("plan", "--out", "plan.json", "--summary", shown=3)
    story.heading("Carry out exactly that plan.")
    story.run("apply", "plan.json", shown=2)
    story.heading("A second plan is empty. What cannot be read back is called unverified, not in sync.")
    story.run("plan")
    story.heading("Somebody changes a filter in the dashboard, behind the tool's back.")
    behind_the_back(server)
    story.heading(
        "The next plan notices, says who is affected, and will not widen a filter unless that is allowed by name."
    )
    story.run("plan")
    story.run("apply", "--auto-approve", expect=3, shown=2)
    story.run("apply", "--auto-approve", "--allow", "filter-widened:example-skin-group", shown=2)


def behind_the_back(server: Server) -> None:
    """Narrow the appointment types of one live group, as a person would in Birdeye's dashboard."""
    parent = 100000000000100
    group = next(it.group_id for it in server.app.world.groups.values() if it.parent == parent)
    wanted = {"action": "set_property", "group": group, "key": "appointment.types", "value": "Surgery"}
    changes.change(server.app.world, wanted)
    click.echo(f"  (dashboard) group {group} of business {parent}: appointment types are now Surgery only")
