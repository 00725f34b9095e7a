"""A file's text to a tree that keeps its comments, for commands that write it anew (``fmt``) or edit it (``--fix``).

Only for texts that ``yaml_events.read`` found nothing against: no anchors, tags, second documents or null. Comments are
what stands between scalars from a ``#`` on; each belongs to the entry beside or below it, or to the end of the mapping
or list that it is indented like.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml._yaml import CParser

from reconciler.core.house_form import MODELINE, Block, Document, Entry, Scalar

_COMMENT = re.compile(r"#[^\n]*")
_LITERAL = re.compile(r"true|false|-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")


@dataclass(slots=True, eq=False)
class Placed:
    """One entry with its place: ``start`` (of its key or dash) and ``end`` are indexes into the text."""

    entry: Entry
    inside: Container
    start: int
    value: int
    """Where its value begins."""
    end: int = 0
    """After its value's last character."""


@dataclass(slots=True, eq=False)
class Container:
    """One mapping or list with its place."""

    block: Block
    column: int
    start: int
    above: Placed | None
    """The entry whose value it is."""
    end: int = 0
    placed: list[Placed] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Layout:
    """A text taken apart. ``text`` has line feeds only; every place is an index into it."""

    text: str
    root: Container
    placed: list[Placed]
    """Every entry, in the order in which they begin."""
    comments: list[tuple[int, str]]


def comments_of(text: str) -> list[str]:
    """Every comment of a text, trimmed at its end, in order."""
    return [it for _, it in take_apart(text).comments]


def take_apart(text: str) -> Layout:
    """The entries and comments of a text with their places. Raises ``yaml.YAMLError`` where it is not YAML."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    dashes = [it.start_mark.index for it in _tokens(text) if type(it) is yaml.BlockEntryToken]
    placed: list[Placed] = []
    spans: list[tuple[int, int, bool]] = []
    here: Container | None = None
    root: Container | None = None
    pending: tuple[str, int] | None = None
    for event in _events(text):
        start, end = event.start_mark.index, event.end_mark.index
        is_key = False
        if type(event) is yaml.ScalarEvent:
            in_block = event.style in ("|", ">")
            spans.append((start, end, in_block))
            is_key = here is not None and not here.block.is_list and pending is None
            if is_key:
                pending = (event.value, start)
                continue
            if here is None:
                continue
            node: Scalar | Block = Scalar(event.value, not event.style and bool(_LITERAL.fullmatch(event.value)))
            if in_block:
                end = start + len(text[start:end].rstrip())
        elif type(event) in (yaml.MappingStartEvent, yaml.SequenceStartEvent):
            node = Block([], type(event) is yaml.SequenceStartEvent, bool(event.flow_style))
        elif type(event) in (yaml.MappingEndEvent, yaml.SequenceEndEvent):
            if here is None:
                continue
            here.end = end if here.block.in_brackets else max((it.end for it in here.placed), default=end)
            if here.above is not None:
                here.above.end = here.end
                here = here.above.inside
            continue
        else:
            continue
        one = _place(here, node, pending, dashes, start, end) if here is not None else None
        pending = None
        if one is not None:
            placed.append(one)
        if isinstance(node, Block):
            here = Container(node, event.start_mark.column, start, one)
            root = root or here
    if root is None:
        root = Container(Block(), 0, 0, None, len(text))
    return Layout(text, root, placed, list(_comments(text, spans)))


def parse(text: str) -> Document:
    """The tree of a text, every comment in it attached to something."""
    layout = take_apart(text)
    starts = [it.start for it in layout.placed]
    for index, comment in layout.comments:
        _attach(layout, starts, index, comment)
    for it in layout.placed:
        if _begins_line(layout.text, it.start) and _blank_before(layout.text, it.start):
            it.entry.above.append("")
    header: list[str] = []
    first = layout.placed[0].entry if layout.placed else None
    if first is not None:
        last_blank = max((i for i, it in enumerate(first.above) if not it), default=-1)
        count = max(last_blank + 1, 1 if first.above and first.above[0].startswith(MODELINE) else 0)
        header, first.above = first.above[:count], first.above[count:]
    return Document(layout.root.block, header)


def _place(
    here: Container, node: Scalar | Block, pending: tuple[str, int] | None, dashes: list[int], start: int, end: int
) -> Placed:
    key, begin = pending if pending is not None else (None, start)
    if key is None and not here.block.in_brackets:
        before = bisect_left(dashes, start) - 1
        begin = dashes[before] if before >= 0 else start
    one = Placed(Entry(key, node), here, begin, start, end)
    here.block.entries.append(one.entry)
    here.placed.append(one)
    return one


def _events(text: str) -> Iterator[Any]:
    parser = CParser(text)
    try:
        while parser.check_event():
            yield parser.get_event()
    finally:
        parser.dispose()


def _tokens(text: str) -> Iterator[Any]:
    parser = CParser(text)
    try:
        while parser.check_token():
            yield parser.get_token()
    finally:
        parser.dispose()


def _comments(text: str, spans: list[tuple[int, int, bool]]) -> Iterator[tuple[int, str]]:
    at = 0
    for start, end, in_block in [*spans, (len(text), len(text), False)]:
        for found in _COMMENT.finditer(text, at, start):
            yield found.start(), found.group().rstrip()
        at = end
        if in_block:  # its first line holds the indicator, and perhaps a comment
            head = _COMMENT.search(text, start, max(start, text.find("\n", start)))
            if head:
                yield head.start(), head.group().rstrip()


def _attach(layout: Layout, starts: list[int], index: int, comment: str) -> None:
    text = layout.text
    at = bisect_left(starts, index)
    last = layout.placed[at - 1] if at else None
    following = layout.placed[at] if at < len(starts) else None
    container = last.inside if last else None
    if following is not None and following.inside.above is last:
        container = following.inside
    _open_brackets(container, index)
    if last is not None and not _begins_line(text, index):
        while last.inside.block.in_brackets and last.inside.end <= index and last.inside.above is not None:
            last = last.inside.above
        if last.entry.beside:
            last.entry.above.append(comment)
        else:
            last.entry.beside = comment
        return
    lines = [""] if _blank_before(text, index) else []
    column = index - (text.rfind("\n", 0, index) + 1)
    inside = container
    while inside is not None and (following is None or inside is not following.inside):
        if (
            not inside.block.in_brackets
            and inside.column <= column
            and inside.placed
            and _deeper(inside, column, following)
        ):
            inside.block.below += [*lines, comment]
            return
        inside = inside.above.inside if inside.above is not None else None
    if following is not None:
        following.entry.above += [*lines, comment]
    else:
        layout.root.block.below += [*lines, comment]


def _deeper(inside: Container, column: int, following: Placed | None) -> bool:
    """Does a comment at ``column`` belong inside, and not above what follows?"""
    return following is None or max(inside.column, column) > following.inside.column


def _open_brackets(container: Container | None, index: int) -> None:
    """A comment inside brackets ends its line, so the list gets lines of its own."""
    while container is not None:
        if container.block.in_brackets and container.start < index < container.end:
            container.block.in_brackets = False
        container = container.above.inside if container.above is not None else None


def _begins_line(text: str, index: int) -> bool:
    return not text[text.rfind("\n", 0, index) + 1 : index].strip()


def _blank_before(text: str, index: int) -> bool:
    line = text.rfind("\n", 0, index)
    return line > 0 and not text[text.rfind("\n", 0, line) + 1 : line].strip()
