"""``validate``, ``fmt``, ``schema`` and ``explain``: what files say, without network unless asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from reconciler.cli.console import counted, use_colour
from reconciler.cli.options import Common, Outputs, common, output_option, write_file
from reconciler.clock import Clock
from reconciler.core.problems import Severity
from reconciler.report import problems as report


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--online", is_flag=True, help="Also ask the APIs: names, triggers, practice ids.")
@click.option("--fix", is_flag=True, help="Mend what can be mended safely, in place.")
@click.option("--strict", is_flag=True, help="Exit 1 for warnings too.")
@output_option("text", "json", "markdown", "html", "github", "sarif", "junit")
@common
def validate(paths: tuple[Path, ...], online: bool, fix: bool, strict: bool, outputs: Outputs, common: Common) -> int:
    """Show every problem of every declaration in one run. No network unless --online.

    PATH selects files or folders of the declarations: their problems, and those that they have with other files.
    """
    from reconciler import declarations

    settings = common.settings()
    today = Clock().now().date()
    if fix:
        from reconciler.workflow.fixing import fix as mend

        for line in mend(settings, paths, today):
            common.say(line)
    loaded = declarations.load(settings.declarations, shown_from=settings.folder, today=today, paths=paths or None)
    found, sources = declarations.problems_of_selected(loaded), dict(loaded.sources)
    selected = [it.file for it in loaded.files if it.slug in loaded.selected]
    unread: tuple[str, ...] = ()
    if online and not any(it.severity is Severity.ERROR for it in found):
        from reconciler.workflow.online import online_problems

        asked = online_problems(settings, loaded, today)
        found = tuple(sorted((*found, *asked.problems), key=lambda it: it.sort_key))
        unread = asked.unread
        sources |= asked.sources
    elif online:
        unread = ("nothing was asked: mend the errors first",)

    def render(form: str) -> str:
        if form == "json":
            return report.render_json(found)
        if form == "text":
            return report.render_text(found, sources, colour=use_colour())
        from reconciler.report import formats, view_other

        return formats.render(view_other.view_of_problems(found, selected), form)

    outputs.write(render)
    errors = sum(it.severity is Severity.ERROR for it in found)
    warnings = sum(it.severity is Severity.WARNING for it in found)
    common.say(f"{counted(len(selected), 'declaration')}: {counted(errors, 'error')}, {counted(warnings, 'warning')}")
    for line in unread:
        click.echo(f"error: could not be checked: {report.escaped(line)}", err=True)
    if errors or (strict and warnings):
        return 1
    return 7 if unread else 0


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option("--check", is_flag=True, help="Write nothing; list files that would change, and exit 2 if there are any.")
@common
def fmt(paths: tuple[Path, ...], check: bool, common: Common) -> int:
    """Bring declarations into the house form: order of keys, indentation, quotes. Comments and meaning stay."""
    from reconciler.workflow.formatting import format_files

    done = format_files(common.settings(), paths, Clock().now().date(), check=check)
    for file in done.changed:
        click.echo(report.escaped(file))
    if done.refused:
        click.echo(report.render_text(done.refused, done.sources, colour=use_colour(sys.stderr)), err=True, nl=False)
    verb = "would change" if check else "changed"
    left = f", {len({it.position.file for it in done.refused})} with errors left alone" if done.refused else ""
    common.say(f"{counted(done.total, 'declaration')}: {len(done.changed)} {verb}{left}")
    if done.refused:
        return 1
    return 2 if check and done.changed else 0


def _complete_topic(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[Any]:
    from click.shell_completion import CompletionItem

    from reconciler.core import explain as topics

    word = incomplete.casefold()
    return [
        CompletionItem(it, help=topic.title) for it, topic in topics.topics().items() if it.casefold().startswith(word)
    ]


@click.command()
@click.argument("name", metavar="CODE|FIELD|SETTING", shell_complete=_complete_topic)
@output_option("text", "json", "markdown")
@common
def explain(name: str, outputs: Outputs, common: Common) -> int:
    """Explain a problem's code, an objection, a field of a declaration (group.practice_id), or a setting."""
    import json

    from reconciler.core import explain as topics

    found = topics.find(name)
    if not found:
        close = topics.suggestion(name)
        hint = f" Did you mean '{close}'?" if close else " `reconciler validate` shows codes, `schema` every field."
        raise click.UsageError(f"nothing is called {report.escaped(name[:60])!r} here.{hint}")
    document = {"format_version": "1.0", "kind": "explain", "topics": [topics.as_json(it) for it in found]}
    outputs.write(
        lambda form: {
            "json": lambda: json.dumps(document, indent=2) + "\n",
            "markdown": lambda: topics.markdown(found),
            "text": lambda: "\n".join(topics.render_text(it) for it in found),
        }[form]()
    )
    return 0


@click.command()
@click.option("--write", "file", type=click.Path(path_type=Path, dir_okay=False), help="Write a file instead.")
@click.option("--check", is_flag=True, help="Write nothing; exit 2 where the file is missing or of another version.")
@common
def schema(file: Path | None, check: bool, common: Common) -> int:
    """Print the JSON Schema (draft-07) of a declaration, for editors."""
    from reconciler.core.schema import render

    text = render()
    if check:
        if file is None:
            raise click.UsageError("--check needs --write FILE: the file to compare")
        same = file.is_file() and file.read_text(encoding="utf-8", errors="replace") == text
        common.say(f"{file} is {'current' if same else 'not the schema of this version'}")
        return 0 if same else 2
    if file is None:
        click.echo(text, nl=False)
    else:
        write_file(file, text)
    return 0
