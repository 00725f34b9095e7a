"""The house form of a declaration's text: a tree with its comments to text, always the same way.

Keys in the order of the models (which is that of the documentation), two spaces of indentation, quotes where they are
needed or where a plain word would look like something else (``"417"``, ``"NO"``, ``"2026-11-20"``), at most one blank line
at a time, one line break at the end. Lists keep the style that their author chose, brackets or dashes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

from pydantic import BaseModel

from reconciler.core import model

WIDEST = 120
"""Columns; a longer list in brackets gets a line for each item."""
MODELINE = "# yaml-language-server:"

_WORDS = frozenset({"y", "n", "yes", "no", "on", "off", "true", "false", "null", "~"})
_LIKE_NUMBER = re.compile(
    r"[-+]?(?:[0-9][0-9_,]*(?:\.[0-9_]*)?|\.[0-9_]+)(?:[eE][-+]?[0-9]*)?"  # 1, 01, 1_000, 1.5, 1e3
    r"|[-+]?0[xXoObB][0-9A-Fa-f_]+"
    r"|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?"  # sexagesimal in YAML 1.1
    r"|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt\s].*)?"  # a timestamp in YAML 1.1
    r"|[-+]?\.(?:inf|nan)",
    re.IGNORECASE,
)
_PLAIN = re.compile(r"[^\W_][^\n\r\t]*|[_/(.][^\n\r\t]*")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


@dataclass(slots=True)
class Scalar:
    """One value. ``literal`` is a number or a truth value, printed as it is; anything else is text."""

    text: str
    literal: bool = False


@dataclass(slots=True)
class Entry:
    """One key with its value, or one item of a list (``key`` is None)."""

    key: str | None
    node: Scalar | Block
    above: list[str] = field(default_factory=list)
    """Comments on lines of their own; an empty string is a blank line."""
    beside: str = ""
    """A comment at the end of the line."""


@dataclass(slots=True)
class Block:
    """A mapping or a list."""

    entries: list[Entry] = field(default_factory=list)
    is_list: bool = False
    in_brackets: bool = False
    below: list[str] = field(default_factory=list)
    """Comments after the last entry."""


@dataclass(slots=True)
class Document:
    """A whole file. ``header`` are the comments that belong to the file and not to its first key."""

    root: Block
    header: list[str] = field(default_factory=list)


def render(document: Document) -> str:
    """The text in the house form. Changes the order of keys, and nothing of what they mean."""
    _sort(document.root, model.Declaration)
    lines = [*_blanks_once(document.header), *_block(document.root, 0)]
    while lines and not lines[0]:
        lines.pop(0)
    return "\n".join(lines) + "\n"


def scalar(text: str, *, in_brackets: bool = False) -> str:
    """Text as YAML, plain where every reader of YAML, old and new, takes it for the same text."""
    if _is_plain(text, in_brackets=in_brackets):
        return text
    printable = not any(it in text for it in "\n\r\t")
    if printable and ('"' in text or "\\" in text):
        return "'" + text.replace("'", "''") + "'"
    return '"' + "".join(_ESCAPES.get(it, it) for it in text) + '"'


def key_order(path_model: type[BaseModel]) -> tuple[str, ...]:
    """The keys of one mapping in the house order."""
    return tuple(it.alias or name for name, it in path_model.model_fields.items())


def _is_plain(text: str, *, in_brackets: bool) -> bool:
    if not _PLAIN.fullmatch(text) or text != text.strip() or text.casefold() in _WORDS:
        return False
    if _LIKE_NUMBER.fullmatch(text) or text.endswith(":") or ": " in text or " #" in text:
        return False
    if text.startswith(("...", ". ")):
        return False
    return not (in_brackets and any(it in text for it in ",[]{}?"))


def _sort(block: Block, known: type[BaseModel] | None) -> None:
    if known is not None and not block.is_list:
        order = {name: i for i, name in enumerate(key_order(known))}
        block.entries.sort(key=lambda it: order.get(it.key or "", len(order)))
    for entry in block.entries:
        if isinstance(entry.node, Block):
            _sort(entry.node, known if block.is_list else _inner(known, entry.key))


def _inner(known: type[BaseModel] | None, key: str | None) -> type[BaseModel] | None:
    """The model of a mapping, or of each item of a list, that stands at ``key``."""
    if known is None:
        return None
    found = next((it for name, it in known.model_fields.items() if (it.alias or name) == key), None)
    return next(_models(found.annotation), None) if found else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for it in get_args(annotation):
        yield from _models(it)


def _block(block: Block, indent: int) -> list[str]:
    """The lines of a mapping or list that stands on lines of its own."""
    lines: list[str] = []
    space = " " * indent
    for i, entry in enumerate(block.entries):
        above = _blanks_once(entry.above)
        while i == 0 and above and not above[0]:
            above = above[1:]
        lines += [space + it if it else "" for it in above]
        lines += _item(entry, indent) if block.is_list else _key(entry, indent)
    return lines + [space + it if it else "" for it in _blanks_once(block.below)]


def _key(entry: Entry, indent: int) -> list[str]:
    head = f"{' ' * indent}{scalar(entry.key or '')}:"
    beside = f" {entry.beside}" if entry.beside else ""
    short = _short(entry.node, len(head) + 1)
    if short is not None:
        return [f"{head} {short}{beside}"]
    assert isinstance(entry.node, Block)  # noqa: S101 - a scalar is always short
    return [head + beside, *_block(entry.node, indent + 2)]


def _item(entry: Entry, indent: int) -> list[str]:
    beside = f" {entry.beside}" if entry.beside else ""
    short = _short(entry.node, indent + 2)
    if short is not None:
        return [f"{' ' * indent}- {short}{beside}"]
    assert isinstance(entry.node, Block)  # noqa: S101
    inner = entry.node
    first = inner.entries[0] if inner.entries else None
    lead: list[str] = [entry.beside] if entry.beside else []
    if first is not None and first.above:
        lead += [it for it in first.above if it]  # above the dash: below it there is no place
        first.above = []
    lines = _block(inner, indent + 2)
    lines[0] = f"{' ' * indent}- {lines[0].lstrip()}"
    return [" " * indent + it for it in lead] + lines


def _short(node: Scalar | Block, column: int) -> str | None:
    """The node on the line of its key, or None where it needs lines of its own."""
    if isinstance(node, Scalar):
        return node.text if node.literal else scalar(node.text)
    if not node.entries:
        return "[]" if node.is_list else "{}"
    if not (node.is_list and node.in_brackets):
        return None
    parts = []
    for entry in node.entries:
        if not isinstance(entry.node, Scalar) or entry.beside or entry.above:
            return None
        parts.append(entry.node.text if entry.node.literal else scalar(entry.node.text, in_brackets=True))
    text = f"[{', '.join(parts)}]"
    return text if column + len(text) <= WIDEST and not node.below else None


def _blanks_once(lines: Sequence[str]) -> list[str]:
    found: list[str] = []
    for it in lines:
        if it or not found or found[-1]:
            found.append(it)
    return found
