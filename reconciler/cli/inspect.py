"""``doctor`` and ``probe``: how this machine and the APIs are, before anything depends on it."""

from __future__ import annotations

import json

import click

from reconciler.cli.complete import complete_slugs
from reconciler.cli.console import use_colour
from reconciler.cli.options import Common, Outputs, common, output_option
from reconciler.clock import Clock
from reconciler.errors import ReconcilerError
from reconciler.report.problems import escaped

_COLOURS = {"ok": "32", "warn": "33", "fail": "31"}


@click.command()
@output_option("text", "json")
@common
def doctor(outputs: Outputs, common: Common) -> int:
    """Check settings, store, keys, hosts, APIs and clock; one line each. Writes nothing; exit 1 where anything fails."""
    from reconciler.workflow import checking

    try:
        settings = common.settings()
        checks = list(checking.examine(settings, Clock()))
    except ReconcilerError as error:
        checks = [checking.failed(error)]

    def line(it: checking.Check) -> str:
        state = f"{it.state:<4}"
        shown = f"\x1b[{_COLOURS[it.state]}m{state}\x1b[0m" if use_colour() else state
        remedy = f" -> {it.remedy}" if it.remedy and it.state != "ok" else ""
        return f"{shown}  {escaped(f'{it.name}: {it.text}{remedy}')}\n"

    document = {
        "format_version": "1.0",
        "kind": "doctor",
        "checks": [{"name": it.name, "state": it.state, "text": it.text, "remedy": it.remedy or None} for it in checks],
    }
    outputs.write(
        lambda form: json.dumps(document, indent=2) + "\n" if form == "json" else "".join(line(it) for it in checks)
    )
    return int(any(it.state == "fail" for it in checks))


@click.command()
@click.argument("targets", nargs=-1, metavar="[BUSINESS|SLUG]...", shell_complete=complete_slugs)
@output_option("text", "json")
@common
def probe(targets: tuple[str, ...], outputs: Outputs, common: Common) -> int:
    """Record which parts of the APIs show what, and say what changed since the last probe. Reads only.

    Nothing depends on the record: what is visible is judged anew for every answer.
    """
    from reconciler.workflow import probing
    from reconciler.workflow.looking import find_target
    from reconciler.workflow.session import load_declarations

    settings, clock = common.settings(), Clock()
    loaded = load_declarations(settings, clock)
    wanted = [find_target(loaded, it) for it in targets] or probing.every(loaded)
    found = probing.probe(settings, clock, wanted)
    changes, trouble = probing.record(settings, found)
    outputs.write(
        lambda form: (
            json.dumps(found.document(), indent=2) + "\n"
            if form == "json"
            else "".join(f"{name:<22}  {escaped(value)}\n" for name, value in found.features.items())
        )
    )
    for text in (*changes, *trouble):
        common.say(escaped(text))
    for text in found.unread:
        common.say(f"error: {escaped(text)}")
    return 7 if found.unread else 0
