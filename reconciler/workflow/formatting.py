"""``fmt``: declarations into the house form, their meaning and their comments unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path

from reconciler import errors
from reconciler.core import house_form
from reconciler.core.problems import Problem
from reconciler.declarations import layout, yaml_events
from reconciler.settings.values import Settings
from reconciler.workflow import authoring


@dataclass(frozen=True, slots=True)
class Formatted:
    """What became of the selected files."""

    changed: tuple[str, ...]
    """Paths as shown of files that were (or, when only checking, would be) written anew."""
    refused: tuple[Problem, ...]
    """The errors of files that were left alone."""
    sources: dict[str, str]
    total: int


def house_text(text: str) -> str:
    """The text of a declaration in the house form.

    Raises errors.InternalError rather than give a text that means something else, or lacks a comment.
    """
    text = text.removeprefix("\ufeff")
    made = house_form.render(layout.parse(text))
    before, after = yaml_events.read(text, ""), yaml_events.read(made, "")
    if after.problems or before.value != after.value or repr_types(before.value) != repr_types(after.value):
        raise errors.InternalError("formatting would change what the file means; it was left alone")
    if sorted(layout.comments_of(text)) != sorted(layout.comments_of(made)):
        raise errors.InternalError("formatting would lose a comment; the file was left alone")
    return made


def repr_types(value: object) -> object:
    """A value with the type of each scalar, so that ``1`` and ``true`` differ, whatever the order of keys."""
    if isinstance(value, dict):
        return {key: repr_types(it) for key, it in value.items()}
    if isinstance(value, tuple):
        return tuple(repr_types(it) for it in value)
    return type(value).__name__


def format_files(settings: Settings, paths: tuple[Path, ...], today: date, *, check: bool) -> Formatted:
    """Write every selected file anew that is not in the house form. Files with errors are left alone and told."""
    loaded = authoring.load(settings, paths, today)
    wrong = authoring.errors_of(loaded)
    changed: list[str] = []
    total = 0
    names = {it.file for it in loaded.files}
    refused = [it for name, found in wrong.items() if name not in names for it in found]
    for file in authoring.selected(loaded):
        total += 1
        if file.file in wrong:
            refused += wrong[file.file]
            continue
        text = authoring.read_again(settings, file)
        if text is None:
            raise errors.ReconcilerError(f"{file.file} was changed while it was read", hint="run the command again")
        made = house_text(text)
        if made != text:
            changed.append(file.file)
            if not check:
                authoring.write(settings.folder / file.file, made)
    return Formatted(tuple(changed), tuple(refused), dict(loaded.sources), total)
