"""Writes the reference pages from the program: `python -m docs.generate`. A test fails where they are not current.

Commands come from click, everything that `explain` knows from `reconciler.core.explain`, exit codes from the tree of
errors, the JSON documents from commands that are run against a sandbox.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from docs import json_page
from reconciler import errors
from reconciler.cli.main import SECTIONS, cli
from reconciler.core import explain

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `python -m docs.generate`; do not edit. -->"

SHARED = ("config", "log_format", "verbose", "quiet")
"""Options that every command has; they are said once."""

LINKS = {
    "objections.md": "What an objection is, and why there is no `--force`: "
    "[what an objection is](../explanation/what-an-objection-is.md).",
    "codes.md": "`reconciler explain CODE` says the same at a terminal.",
    "declaration.md": "How keys that are absent are treated: [in force](../explanation/in-force.md). The schema for editors: "
    "`reconciler schema`.",
    "settings.md": "The nearest `reconciler.yaml` upwards from where you are is read; `--config FILE` names another one.",
}

EXIT_CODES: tuple[tuple[str, str], ...] = (
    ("64", "wrong usage: no such command, option or value"),
    ("1", "invalid input, or a failure before anything was changed"),
    ("6", "somebody else holds the lock"),
    ("7", "could not read enough to answer; never 0 in its place"),
    ("4", "the plan is stale: what it looked at has changed, or it has expired"),
    ("3", "refused: objections that nobody allowed; `sync`: a cap or a finding stopped a location"),
    ("5", "done in part, or an outcome is unknown; `sync`: something held, failed, unauthorised or not to be read"),
    ("2", "differences: `plan --detailed-exitcode`, `drift`, `check-plan` (a part of the plan is left), `fmt --check`"),
    ("0", "nothing to do, or all done; `drift` with nothing but unverified fields"),
    ("130, 143", "stopped by SIGINT or SIGTERM, everything in flight recorded"),
)
"""In the order in which they are decided: the first that applies."""


def commands_page() -> str:
    """Every command with its arguments and options, by section, as `--help` has them."""
    out = ["# Commands", "", NOTE, "", "`reconciler COMMAND --help` says the same at a terminal.", ""]
    for title, names in SECTIONS:
        links = ", ".join(f"[`{name}`](#{_anchor(name)})" for name in names)
        out.append(f"- {title}: {links}")
    out += ["", "## Every command", "", "| option | |", "| --- | --- |"]
    first = _load(next(iter(SECTIONS[0][1])))
    out += [_row(it) for it in _options(first, shared=True)]
    for title, names in SECTIONS:
        for name in names:
            out += ["", *_command(_load(name), f"reconciler {name}", level=2, section=title)]
    return "\n".join(out) + "\n"


def _load(name: str) -> click.Command:
    found = cli.get_command(click.Context(cli, info_name="reconciler"), name)
    if found is None:
        raise LookupError(name)
    return found


def _anchor(name: str) -> str:
    return f"reconciler-{name}"


def _command(it: click.Command, path: str, *, level: int, section: str = "") -> Iterator[str]:
    context = click.Context(it, info_name=path)
    yield f"{'#' * level} `{path}`"
    yield ""
    yield from inspect.cleandoc(it.help or "").splitlines()
    if isinstance(it, click.Group):
        for name in it.list_commands(context):
            child = it.get_command(context, name)
            if child is not None and not child.hidden:
                yield ""
                yield from _command(child, f"{path} {name}", level=level + 1)
        return
    yield ""
    yield f"    {path} {' '.join(it.collect_usage_pieces(context))}".rstrip()
    options = list(_options(it, shared=False))
    if options:
        yield ""
        yield "| option | |"
        yield "| --- | --- |"
        yield from (_row(one) for one in options)


def _options(it: click.Command, *, shared: bool) -> Iterator[click.Option]:
    for one in it.params:
        if isinstance(one, click.Option) and not one.hidden and (one.name in SHARED) is shared:
            yield one


def _row(it: click.Option) -> str:
    context = click.Context(click.Command("x"))
    names, words = it.get_help_record(context) or ("", "")
    return f"| `{_cell(names)}` | {_cell(words)} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def exit_codes_page() -> str:
    """The codes, and which error ends in which."""
    out = ["# Exit codes", "", NOTE, ""]
    out += ["The first that applies. They depend on what happened, never on the format of the output.", ""]
    out += ["| code | meaning |", "| --- | --- |", *(f"| {code} | {words} |" for code, words in EXIT_CODES)]
    out += ["", "`plan`, `show` and `drift` list objections and still end in 0, 2 or 7: only `apply` refuses (3)."]
    out += ["`apply` leaves out a business that cannot be read, carries out the others, and ends in 7.", ""]
    out += ["## What ends in which", "", "| code | error | |", "| --- | --- | --- |"]
    published = {it for it in every_error(errors.ReconcilerError) if it.__module__ == errors.__name__}
    for one in sorted(published, key=lambda it: (it.exit_code, it.__name__)):
        words = inspect.cleandoc(one.__doc__ or "").split("\n\n")[0]
        code = "130, 143" if one is errors.Stopped else str(one.exit_code)
        out.append(f"| {code} | {one.__name__} | {_cell(words.replace('``', '`'))} |")
    return "\n".join(out) + "\n"


def every_error(base: type[errors.ReconcilerError]) -> set[type[errors.ReconcilerError]]:
    """An error with all that are kinds of it."""
    return {base}.union(*(every_error(it) for it in base.__subclasses__()))


def pages() -> dict[str, str]:
    """Every reference page by its file name."""
    said = {
        ("declaration.md" if name == "fields.md" else name): text for name, text in explain.reference_markdown().items()
    }
    for name, text in said.items():
        title, _, rest = text.partition("\n")
        lead, _, rest = rest.lstrip("\n").partition("\n")
        said[name] = f"{title}\n\n{NOTE}\n\n{lead} {LINKS[name]}\n{rest}"
    return said | {
        "commands.md": commands_page(),
        "exit-codes.md": exit_codes_page(),
        "json.md": json_page.render(NOTE),
    }


def main() -> None:
    """Write every page that differs, and name it."""
    REFERENCE.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = REFERENCE / name
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(Path(__file__).parent)}\n")


if __name__ == "__main__":
    main()
