"""``validate`` and ``explain``: what files say, without network."""

from __future__ import annotations

from pathlib import Path

import click

from reconciler.cli.console import use_colour
from reconciler.cli.options import Common, Outputs, common, output_option
from reconciler.clock import Clock
from reconciler.core.problems import Severity
from reconciler.report import problems as report


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--online", is_flag=True, help="Also ask the APIs: names, triggers, practice ids.")
@click.option("--fix", is_flag=True, help="Mend what can be mended safely, in place.")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@output_option("text", "json", "github")
@common
def validate(paths: tuple[Path, ...], online: bool, fix: bool, strict: bool, outputs: Outputs, common: Common) -> int:
    """Show every problem of every declaration in one run. No network unless --online."""
    from reconciler import declarations

    settings = common.settings()
    today = Clock().now().date()
    if fix:
        from reconciler.workflow.fixing import fix as mend

        for line in mend(settings, paths, today):
            common.say(line)
    loaded = declarations.load(settings.declarations, shown_from=settings.folder, today=today, paths=paths or None)
    found = loaded.problems
    if online and not loaded.has_errors:
        from reconciler.workflow.online import online_problems

        found = tuple(sorted((*found, *online_problems(settings, loaded, today)), key=lambda it: it.sort_key))
    outputs.write(
        lambda form: {
            "json": lambda: report.render_json(found),
            "github": lambda: report.render_github(found),
            "text": lambda: report.render_text(found, loaded.sources, colour=use_colour()),
        }[form]()
    )
    errors = sum(it.severity is Severity.ERROR for it in found)
    warnings = sum(it.severity is Severity.WARNING for it in found)
    common.say(f"{len(loaded.files)} declarations: {errors} errors, {warnings} warnings")
    return 1 if errors or (strict and warnings) else 0
