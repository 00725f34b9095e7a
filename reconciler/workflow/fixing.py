"""``validate --fix``: the few mistakes that have one right answer, mended in place; every other byte stays.

Mended: a misspelt key with exactly one likeness, numbers without the quotes that text needs (and numbers in quotes that
must be numbers), white space at the ends of text, words that mean true or false, an item that stands twice in a list.
Nothing under a key that holds a secret, nothing that resembles one, no file that is not sound YAML; and a file is only
written when it has fewer errors than before and no new kind of them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from reconciler.core import model
from reconciler.core.house_form import Scalar
from reconciler.core.suggest import distance, quoted
from reconciler.declarations import File, layout, shape, yaml_events
from reconciler.declarations.layout import Container, Placed
from reconciler.report.problems import escaped
from reconciler.settings.values import Settings
from reconciler.workflow import authoring

_WORDS = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")
_DIGITS = re.compile(r"0|[1-9][0-9]{0,17}")
_LONGEST_TYPO = 40
"""Characters of a key that is compared with the known ones."""


@dataclass(frozen=True, slots=True)
class Edit:
    """``text[start:end]`` becomes ``new``; ``said`` is what a person reads."""

    start: int
    end: int
    new: str
    said: str


def fix(settings: Settings, paths: tuple[Path, ...], today: date) -> list[str]:
    """Mend every selected file that can be mended. Gives a line for each thing done, with its place."""
    loaded = authoring.load(settings, paths, today)
    wrong = authoring.errors_of(loaded)
    lines: list[str] = []
    for file in authoring.selected(loaded):
        if file.file in wrong:
            lines += _fix_file(settings, file)
    return lines


def _fix_file(settings: Settings, file: File) -> list[str]:
    raw = authoring.read_again(settings, file)
    if raw is None:
        return []
    text = raw.removeprefix("\ufeff")
    made, edits = fixed_text(text)
    if not edits:
        return []
    authoring.write(settings.folder / file.file, raw[: len(raw) - len(text)] + made)
    plain = text.replace("\r\n", "\n")
    return [escaped(f"{file.file}:{plain.count(chr(10), 0, it.start) + 1}: {it.said}") for it in edits]


def fixed_text(text: str) -> tuple[str, tuple[Edit, ...]]:
    """The text mended, with what was done in the order of the file; the text itself where nothing can be."""
    read = yaml_events.read(text, "")
    plain = text.replace("\r\n", "\n")
    # Places are those of a text with line feeds only, put back afterwards; line breaks of several kinds could not be.
    if read.fatal or read.problems or "\r" in plain or ("\r" in text and text.count("\r") != plain.count("\n")):
        return text, ()
    edits = sorted(_edits(layout.take_apart(plain)), key=lambda it: it.start)
    if not edits:
        return text, ()
    kept: list[Edit] = []
    for it in edits:
        if not kept or kept[-1].end <= it.start:
            kept.append(it)
    made = plain
    for it in reversed(kept):
        made = made[: it.start] + it.new + made[it.end :]
    before, after = _errors(plain), _errors(made)
    if after is None or before is None or sum(after.values()) >= sum(before.values()) or set(after) - set(before):
        return text, ()
    if sorted(layout.comments_of(plain)) != sorted(layout.comments_of(made)):
        return text, ()
    return made.replace("\n", "\r\n") if "\r" in text else made, tuple(kept)


def _errors(text: str) -> Counter[str] | None:
    """How many errors of its own a text has, by code, duplicates included; None where it is no sound YAML."""
    read = yaml_events.read(text, "")
    if read.problems:
        return None
    checked = shape.check(read.value)
    error = None if isinstance(checked, model.Declaration) else checked
    found = Counter(it.code for it in shape.problems(read.value, error, read.places, ""))
    found["twice"] = sum(1 for it in _edits(layout.take_apart(text)) if it.said.startswith("removed"))
    return +found


def _edits(taken: layout.Layout) -> Iterator[Edit]:
    yield from _mapping(taken.text, taken.root, model.Declaration, _children(taken))


def _children(taken: layout.Layout) -> dict[int, Container]:
    """The container that is an entry's value, by the entry's identity."""
    return {id(it.inside.above): it.inside for it in taken.placed if it.inside.above is not None}


def _mapping(text: str, here: Container, known: type[BaseModel], inner: dict[int, Container]) -> Iterator[Edit]:
    fields = {it.alias or name: it for name, it in known.model_fields.items()}
    given = {it.entry.key for it in here.placed}
    for it in here.placed:
        key = it.entry.key or ""
        if key not in fields:
            meant = _meant(key, [name for name in fields if name not in given])
            if meant is not None and text[it.start : it.start + len(key)] == key:
                yield Edit(it.start, it.start + len(key), meant, f"renamed {quoted(key)} to `{meant}`")
                given.add(meant)
                key = meant
        if key in fields and key not in model.SECRET_FIELDS:
            yield from _value(text, it, key, fields[key], inner)


def _meant(key: str, free: list[str]) -> str | None:
    """The one known key that a misspelt one can be: one slip away (two in a longer word), and no other as near."""
    folded = key.casefold().replace("-", "_").replace(" ", "_")
    if not 2 < len(folded) <= _LONGEST_TYPO:
        return None
    limit = 1 if len(folded) < 6 else 2
    near = sorted((distance(folded, it, limit), it) for it in free)
    near = [it for it in near if it[0] <= limit]
    if not near or (len(near) > 1 and near[0][0] == near[1][0]):
        return None
    return None if near[0][1] in model.SECRET_FIELDS else near[0][1]


def _value(text: str, it: Placed, key: str, field: FieldInfo, inner: dict[int, Container]) -> Iterator[Edit]:
    takes = _takes(field.annotation, field.metadata)
    container = inner.get(id(it))
    if isinstance(it.entry.node, Scalar):
        yield from _scalar(text, it, key, takes)
    elif container is None:
        return
    elif isinstance(takes, type) and issubclass(takes, BaseModel) and not container.block.is_list:
        yield from _mapping(text, container, takes, inner)
    elif isinstance(takes, tuple) and container.block.is_list:
        yield from _list(text, container, key, takes[0], inner)


def _list(text: str, here: Container, key: str, takes: Any, inner: dict[int, Container]) -> Iterator[Edit]:
    if isinstance(takes, type) and issubclass(takes, BaseModel):
        for it in here.placed:
            container = inner.get(id(it))
            if container is not None and not container.block.is_list:
                yield from _mapping(text, container, takes, inner)
        return
    seen: set[str] = set()
    for i, it in enumerate(here.placed):
        if not isinstance(it.entry.node, Scalar):
            return
        value = it.entry.node.text.strip()
        same = value.casefold() if "status" in key else value
        gone = _without(text, here, i) if same in seen and takes == "text" and value else None
        seen.add(same)
        if gone is not None:
            yield Edit(*gone, "", f"removed {quoted(value)}, which stands twice under `{key}`")
        else:
            yield from _scalar(text, it, key, takes)


def _without(text: str, here: Container, i: int) -> tuple[int, int] | None:
    """What to cut so that item ``i`` (never the first) is gone; None where a comment would go with it."""
    it, before = here.placed[i], here.placed[i - 1]
    if here.block.in_brackets:
        cut = (before.end, it.end)
        return None if "#" in text[cut[0] : it.value] else cut
    start = text.rfind("\n", 0, it.start) + 1
    end = text.find("\n", it.end)
    end = len(text) if end < 0 else end + 1
    alone = not text[start : it.start].strip() and not text[it.end : end].strip()
    return (start, end) if alone and "#" not in text[it.start : it.value] else None


def _scalar(text: str, it: Placed, key: str, takes: Any) -> Iterator[Edit]:
    node = it.entry.node
    assert isinstance(node, Scalar)  # noqa: S101 - callers have looked
    raw = text[it.value : it.end]
    if takes == "flag" and not (node.literal and node.text in ("true", "false")):
        word = _WORDS.get(node.text.casefold())
        if word is not None and "\n" not in raw:
            yield Edit(it.value, it.end, word, f"wrote `{word}` for {quoted(node.text)} at `{key}`")
    elif takes == "whole" and not node.literal and raw in (f'"{node.text}"', f"'{node.text}'"):
        if _DIGITS.fullmatch(node.text):
            yield Edit(it.value, it.end, node.text, f"took the quotes off {quoted(node.text)} at `{key}`")
    elif takes in ("text", "string") and node.literal and _NUMBER.fullmatch(raw):
        if takes == "text":
            yield Edit(it.value, it.end, f'"{raw}"', f"put {quoted(raw)} in quotes at `{key}`")
    elif takes == "text" and raw[:1] in "\"'" and raw[:1] == raw[-1:] and "\n" not in raw and "\\" not in raw:
        trimmed = raw[1:-1].strip()
        if trimmed and trimmed != raw[1:-1] and node.text.strip() != node.text:
            said = f"trimmed white space at the ends of {quoted(node.text.strip())} at `{key}`"
            yield Edit(it.value, it.end, raw[0] + trimmed + raw[-1], said)


def _takes(annotation: Any, metadata: list[Any]) -> Any:
    """``text``, ``string`` (of a form of its own), ``whole``, ``flag``, a model, or a tuple with what its items are."""
    origin = get_origin(annotation)
    if origin in (Union, UnionType):
        return _takes(next(it for it in get_args(annotation) if it is not type(None)), metadata)
    if origin is tuple:
        return (_takes(get_args(annotation)[0], []),)
    if origin is Literal:
        return "choice"
    if metadata_of := getattr(annotation, "__metadata__", None):
        return _takes(get_args(annotation)[0], [*metadata, *metadata_of])
    if annotation is str:
        return "text" if any(getattr(it, "func", None) is model._text for it in metadata) else "string"
    if annotation is bool:
        return "flag"
    return "whole" if annotation is int else annotation
