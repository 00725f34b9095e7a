"""Completion of slugs and codes, from local files only and without loading anything heavy: a person waits at a key.

Slugs are names of files, so nothing is parsed. The folder is the one that the settings name; of the settings file only
that line is looked at, and anything odd about it means the default.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import click
from click.shell_completion import CompletionItem

MOST_FILES = 20_000
MOST_OFFERED = 500
_LINE = re.compile(r"""^declarations:\s*(?P<quote>["']?)(?P<path>[^"'#\n]+?)(?P=quote)\s*(?:#.*)?$""", re.M)
_SETTINGS = "reconciler.yaml"
_LARGEST_SETTINGS = 1 << 20


def folder(cwd: Path) -> Path:
    """The declarations folder, as the settings would say."""
    given = os.environ.get("RECONCILER_DECLARATIONS", "").strip()  # noqa: TID251 - loading settings would take 50 ms
    for above in (cwd, *cwd.parents):
        file = above / _SETTINGS
        if file.is_file():
            try:
                found = (
                    _LINE.search(file.read_text(encoding="utf-8")) if file.stat().st_size < _LARGEST_SETTINGS else None
                )
            except (OSError, UnicodeDecodeError):
                found = None
            return above / (given or (found["path"].strip() if found else "integrations"))
    return cwd / (given or "integrations")


def slugs(root: Path, beginning: str = "") -> list[str]:
    """Slugs of files below ``root`` that begin with a text, sorted; links are not followed."""
    return sorted(it for it in _stems(root, 0) if it.startswith(beginning))


def _stems(root: Path, depth: int) -> Iterator[str]:
    if depth > 8:
        return
    try:
        with os.scandir(root) as listing:
            for count, it in enumerate(listing):
                if count > MOST_FILES:
                    return
                if it.name.startswith("."):
                    continue
                if it.is_dir(follow_symlinks=False):
                    yield from _stems(Path(it.path), depth + 1)
                elif it.name.endswith((".yaml", ".yml")) and it.name.isprintable():
                    yield it.name.rpartition(".")[0]
    except OSError:
        return


def complete_slugs(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Slugs, for an argument or option that takes one."""
    del context, parameter
    return [CompletionItem(it) for it in slugs(folder(Path.cwd()), incomplete)[:MOST_OFFERED]]


def complete_allowances(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """``CODE:SLUG`` and ``CODE:run``, for ``--allow``: codes until there is a colon, then slugs."""
    del context, parameter
    from reconciler.core.codes_objections import ENTRIES

    code, colon, rest = incomplete.partition(":")
    if not colon:
        return [CompletionItem(f"{it.code}:", help=it.title) for it in ENTRIES if it.code.startswith(code)]
    if code not in {it.code for it in ENTRIES}:
        return []
    offered = [*(["run"] if "run".startswith(rest) else []), *slugs(folder(Path.cwd()), rest)]
    return [CompletionItem(f"{code}:{it}") for it in offered[:MOST_OFFERED]]


_LOOK_UPS = ("triggers", "groups", "locations", "practitioners", "tags")
_TAKE_SLUGS = frozenset({"accept", "authorize", "forget", "import", "pause", "probe", "resume", "status", "sync"})
_TAKE_OPTIONS = frozenset({"apply", "plan"})
_OPTIONS = {"--allow": complete_allowances, "--reassert": complete_slugs}


def stand_in(name: str) -> click.Command | None:
    """A command with only what completes slugs and codes, for one whose module takes half a second to load.

    None where the command itself must be asked: for the names of its options, or another value.
    """
    last = (os.environ.get("COMP_WORDS", "").split() or [""])[-1]  # noqa: TID251 - click's way to be asked
    if last.startswith("-") and last not in _OPTIONS:
        return None
    if name == "lookup":
        commands = {it: _taking_slugs(it) for it in _LOOK_UPS}
        return click.Group(name, commands=commands)
    if name in _TAKE_SLUGS:
        return _taking_slugs(name)
    if name in _TAKE_OPTIONS and (last in _OPTIONS or _is_value_of_option()):
        options: list[click.Parameter] = [
            click.Option([option], multiple=True, shell_complete=complete) for option, complete in _OPTIONS.items()
        ]
        return click.Command(name, params=options, context_settings={"ignore_unknown_options": True})
    return None


def _is_value_of_option() -> bool:
    words = os.environ.get("COMP_WORDS", "").split()  # noqa: TID251
    return len(words) > 1 and words[-2] in _OPTIONS


def _taking_slugs(name: str) -> click.Command:
    argument = click.Argument(["targets"], nargs=-1, shell_complete=complete_slugs)
    return click.Command(name, params=[argument], context_settings={"ignore_unknown_options": True})
