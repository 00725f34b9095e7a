"""Any bytes to plain values with the place of each, or to problems. Never a traceback, never a crash.

Built on libyaml's *events*, which are iterative: its loader recurses and dies of a few ten thousand nested brackets, and
PyYAML's constructors read ``NO`` as false, ``02134`` as 1116 and keep the last of two equal keys. What is accepted:

* UTF-8 (a byte order mark is tolerated, CRLF too), at most 1 MiB, 32 levels, 200,000 nodes, one document;
* plain scalars as in YAML 1.2's core schema, narrowed: ``true``, ``false``; ``null``, ``~`` and nothing; whole numbers of
  up to 18 digits and plain decimals, both without leading zeros, plus sign or underscores; all else is text;
* keys that are text, once each. Tags, directives, anchors, aliases and merge keys are refused.

Reading is done twice where a place is needed: the first time without a table of places, which most files never need.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from decimal import Decimal
from sys import intern
from typing import Any

import yaml
from yaml._yaml import CParser

from reconciler.core.problems import Position, Problem, Severity
from reconciler.core.suggest import quoted

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
MAX_NODES = 200_000
MAX_PROBLEMS = 1_000
"""Of one file; what lies beyond is counted, not told."""

Path = tuple[str | int, ...]
Span = tuple[int, int, int]
"""Line and column from 1, and how many characters of that line the thing takes (at least 1)."""

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}
_NUMERIC = frozenset("-0123456789")

# Not printable, invisible, read as a line break by YAML 1.1 and not by 1.2, or able to reorder what a reviewer sees.
# The joiners U+200C and U+200D stay: some scripts need them.
_FORBIDDEN = re.compile(
    "[^\t\n\r\x20-\x7e\xa0-\xac\xae-\u200a\u200c\u200d\u2010-\u2027\u202f-\u205f\u2070-\ud7ff"
    "\ue000-\ufefe\uff00-\ufffd\U00010000-\U000dffff\U000e0100-\U0010ffff]"
)
_BREAK = re.compile(r"\r\n|\r|\n")


@dataclass(slots=True)
class Places:
    """Where everything is. ``values`` has every value, ``keys`` every key of a mapping, by the path of its value."""

    values: dict[Path, Span] = field(default_factory=dict)
    keys: dict[Path, Span] = field(default_factory=dict)
    containers: set[Path] = field(default_factory=set)
    """Which of the values are mappings or lists."""
    nulls: list[Path] = field(default_factory=list)
    """Values that are ``null``, ``~`` or nothing at all."""
    settled: set[Path] = field(default_factory=set)
    """Paths that a problem was already told of; whatever else is wrong there is its consequence."""


@dataclass(frozen=True, slots=True)
class Read:
    """What one file gave. ``value`` is meaningless where ``fatal``."""

    value: Any
    places: Places
    problems: tuple[Problem, ...]
    fatal: bool
    """Nothing after the last problem was read."""


class _Fatal(Exception):
    """Reading cannot go on; the problem has been noted."""


def decode(content: bytes, file: str) -> str | Problem:
    """The text of a file: UTF-8, without its byte order mark, of characters that are allowed."""
    if len(content) > MAX_BYTES:
        message = f"the file is larger than {MAX_BYTES // 1024} KiB"
        return Problem("E103", Severity.ERROR, message, Position(file), "one file declares one business; split it")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", "replace")
        return Problem("E105", Severity.ERROR, "the file is not UTF-8", _place_after(before, file), "save it as UTF-8")
    text = text.removeprefix("\ufeff")
    found = None if text.isascii() and text.isprintable() else _FORBIDDEN.search(text)
    if found is None:
        return text
    message = f"a character that is not allowed here: U+{ord(found.group()):04X}"
    place = _place_after(text[: found.start()], file)
    return Problem(
        "E106", Severity.ERROR, message, place, "delete it; invisible characters mislead whoever reviews this"
    )


def _place_after(before: str, file: str) -> Position:
    lines = _BREAK.split(before)
    return Position(file, len(lines), len(lines[-1].removeprefix("\ufeff")) + 1)


Lists = dict[str, tuple[Path, int, int]]
"""By key: the path, line and column of the first list or mapping under a key of that name."""


def read_quickly(text: str, asked: frozenset[str] = frozenset(), first: Lists | None = None) -> tuple[bool, Any]:
    """``(True, value)`` where nothing is wrong and nothing is null; ``(False, None)`` where ``read`` must look again.

    ``first`` takes the place of the first list under each of the ``asked`` keys, which costs next to nothing here.
    """
    reader = _Reader(text, "", None, asked, {} if first is None else first)
    try:
        value = reader.run()
    except _Fatal:
        return False, None
    return (False, None) if reader.problems else (True, value)


def read(text: str, file: str) -> Read:
    """The values of one document with the place of each, and every problem of its YAML."""
    places = Places()
    reader = _Reader(text, file, places)
    try:
        value = reader.run()
    except _Fatal:
        return Read(None, places, tuple(reader.problems), fatal=True)
    return Read(value, places, tuple(reader.problems), fatal=False)


class _Reader:
    """One pass over the events of one document. Without ``places`` it stops at the first thing worth telling."""

    def __init__(
        self,
        text: str,
        file: str,
        places: Places | None,
        asked: frozenset[str] = frozenset(),
        first: Lists | None = None,
    ) -> None:
        self.text = text
        self.file = file
        self.places = places
        self.asked = asked
        self.first: Lists = {} if first is None else first
        self.problems: list[Problem] = []
        self.path: list[str | int] = []

    def run(self) -> Any:
        """The document's value. Raises ``_Fatal`` where it cannot be read to its end."""
        parser = CParser(self.text)
        try:
            return self._document(parser)
        except yaml.MarkedYAMLError as error:
            raise self._syntax(str(error.problem or ""), str(error.context or ""), *self._broken_at(error)) from None
        except (yaml.YAMLError, UnicodeError, ValueError):
            raise self._syntax("", "", 1, 1) from None
        finally:
            parser.dispose()

    def _broken_at(self, error: yaml.MarkedYAMLError) -> tuple[int, int]:
        """Line and column. The end of the file says nothing; the bracket or quote that is open there does."""
        mark = error.problem_mark or error.context_mark
        if mark is not None and not self.text[mark.index :].strip():
            mark = error.context_mark if error.context and _OPENING.search(error.context) else None
            if mark is None or not self.text[mark.index :].strip():
                end = _place_after(self.text.rstrip(), self.file)
                return end.line, end.column
        return (mark.line + 1, mark.column + 1) if mark is not None else (1, 1)

    def _document(self, parser: Any) -> Any:
        next_event = parser.get_event
        next_event()  # the stream's start
        event = next_event()
        if type(event) is yaml.StreamEndEvent:
            raise self._fatal("E117", "the file is empty", (1, 1, 1), "delete it, or declare a business in it")
        if event.version or event.tags:
            self._tell("E112", "a `%` directive is not allowed", (1, 1, 1), "delete the line")
        value = self._node(next_event)
        next_event()  # the document's end
        event = next_event()
        if type(event) is not yaml.StreamEndEvent:
            where = (event.start_mark.line + 1, event.start_mark.column + 1, 3)
            raise self._fatal(
                "E110", "a second document in one file", where, "one file holds one business: move it out"
            )
        return value

    # One loop instead of a function per node: no recursion whatever the input, and a third of the time.
    def _node(self, next_event: Any) -> Any:
        scalar, alias = yaml.ScalarEvent, yaml.AliasEvent
        mapping_start, sequence_start = yaml.MappingStartEvent, yaml.SequenceStartEvent
        mapping_end, sequence_end = yaml.MappingEndEvent, yaml.SequenceEndEvent
        places, asked = self.places, self.asked
        stack: list[tuple[Any, str | None]] = []
        here: Any = None
        """The mapping or list being filled; None at the top."""
        key: str | None = None
        """The key whose value comes next; None where a key comes next, and in lists."""
        named: Any = None
        """The event of the last key."""
        nodes = 0
        while True:
            event = next_event()
            kind = type(event)
            nodes += 1
            if nodes > MAX_NODES:
                raise self._fatal(
                    "E109", f"more than {MAX_NODES:,} values", _span(event), "one file declares one business"
                )
            if kind is scalar:
                if key is None and type(here) is dict:
                    key = self._key(event, here)
                    named = event
                    continue
                value = self._scalar(event)
            elif kind is mapping_end or kind is sequence_end:
                value = here if kind is mapping_end else tuple(here)
                here, key = stack.pop()
                if here is None:
                    return value
                if places is not None:
                    self.path.pop()
                if key is None:
                    here.append(value)
                else:
                    here[key] = value
                    key = None
                continue
            elif kind is mapping_start or kind is sequence_start:
                if key is None and type(here) is dict:
                    raise self._fatal("E116", "a key must be plain text", _span(event), None)
                if len(stack) >= MAX_DEPTH:
                    raise self._fatal("E108", f"nested more than {MAX_DEPTH} levels deep", _span(event), _UNCLOSED)
                if event.tag is not None or event.anchor is not None:
                    self._tag_or_anchor(event)
                if places is not None and here is not None:
                    self.path.append(len(here) if key is None else key)
                    places.values[tuple(self.path)] = _span(event)
                    places.containers.add(tuple(self.path))
                if key in asked and key not in self.first:
                    self.first[key] = (_path(stack, key), named.start_mark.line + 1, named.start_mark.column + 1)
                stack.append((here, key))
                here, key = ({}, None) if kind is mapping_start else ([], None)
                continue
            else:
                if kind is not alias:
                    raise self._syntax("", "", *_span(event)[:2])
                if key is None and type(here) is dict:
                    raise self._fatal("E113", "an alias (`*`) is not allowed", _span(event), _WRITE_OUT)
                self._tell("E113", "an alias (`*`) is not allowed", _span(event), _WRITE_OUT)
                value = None
            if places is not None and here is not None:
                path = (*self.path, len(here) if key is None else key)
                places.values[path] = _span(event)
                if value is None:
                    (places.nulls.append if kind is scalar else places.settled.add)(path)
            if here is None:
                return value
            if key is None:
                here.append(value)
            else:
                here[key] = value
                key = None

    def _key(self, event: Any, here: dict[str, Any]) -> str:
        text: str = event.value
        if not event.style and (text in _CONSTANTS or text[0] in _NUMERIC or text == "<<") and not event.tag:
            if text == "<<":
                self._tell("E114", "a merge key (`<<`) is not allowed", _span(event), _WRITE_OUT)
                return self._settle(text, event, here)
            if text in _CONSTANTS or _WHOLE.fullmatch(text) or _DECIMAL.fullmatch(text):
                shown = quoted(text) if text else "nothing"
                self._tell("E116", f"a key must be text, not {shown}", _span(event), "put it in quotes if it is meant")
                return self._settle(text, event, here)
        if event.tag is not None or event.anchor is not None:
            self._tag_or_anchor(event)
        if text in here:
            if self.places is None:
                raise _Fatal
            first = self.places.keys.get((*self.path, text)) or (1, 1, 1)
            also = ((Position(self.file, first[0], first[1]), "first given here"),)
            self._tell("E115", f"the key {quoted(text)} is given twice", _span(event), "keep one of the two", also=also)
            return self._settle(text, event, here)
        if event.style == '"' and _FORBIDDEN.search(text):
            self._tell("E106", "a key with a character that is not allowed", _span(event), None)
            return self._settle(text, event, here)
        if self.places is not None:
            self.places.keys[(*self.path, text)] = _span(event)
        return text

    def _settle(self, text: str, event: Any, here: dict[str, Any]) -> str:
        """A key of its own for a value that is read over, so that the value itself says nothing more."""
        if self.places is None:
            raise _Fatal
        key = f"\0{len(here)}:{text}"
        self.places.settled.add((*self.path, key))
        self.places.keys[(*self.path, key)] = _span(event)
        return key

    def _scalar(self, event: Any) -> Any:
        if event.tag is not None or event.anchor is not None:
            self._tag_or_anchor(event)
        text: str = event.value
        style = event.style
        if style:
            if style == '"' and _FORBIDDEN.search(text):
                hint = "text is printable; delete the escape"
                self._tell("E106", "an escape for a character that is not allowed", _span(event), hint)
            return text
        if text in _CONSTANTS:
            value = _CONSTANTS[text]
            if value is None and self.places is None:
                raise _Fatal
            return value
        if text[0] in _NUMERIC:
            if _WHOLE.fullmatch(text):
                return int(text)
            if _DECIMAL.fullmatch(text):
                return Decimal(text)
        return intern(text)  # thousands of files share their time zones, types, statuses and most names of places

    def _tag_or_anchor(self, event: Any) -> None:
        if event.tag is not None:
            self._tell(
                "E111", "a tag (`!`) is not allowed", _span(event), "delete the tag; quote the value if it is text"
            )
        if event.anchor is not None:
            self._tell("E113", "an anchor (`&`) is not allowed", _span(event), _WRITE_OUT)

    def _tell(
        self,
        code: str,
        message: str,
        span: Span,
        hint: str | None,
        *,
        also: tuple[tuple[Position, str], ...] = (),
    ) -> None:
        if self.places is None:
            raise _Fatal
        where = Position(self.file, span[0], span[1])
        if len(self.problems) >= MAX_PROBLEMS:
            message = f"more than {MAX_PROBLEMS:,} problems in this file; the rest is not told"
            self.problems.append(Problem("E122", Severity.ERROR, message, where, "mend these first"))
            raise _Fatal
        self.problems.append(Problem(code, Severity.ERROR, message, where, hint, also, span[2]))

    def _fatal(self, code: str, message: str, span: Span, hint: str | None) -> _Fatal:
        if self.places is not None:
            where = Position(self.file, span[0], span[1])
            self.problems.append(Problem(code, Severity.ERROR, message, where, hint, (), span[2]))
        return _Fatal()

    def _syntax(self, problem: str, context: str, line: int, column: int) -> _Fatal:
        if "nesting depth" in problem:  # newer releases of libyaml stop by themselves, and look far ahead
            return self._fatal("E108", f"nested more than {MAX_DEPTH} levels deep", (line, column, 1), _UNCLOSED)
        message, hint = _in_user_words(problem, context)
        return self._fatal("E107", message, (line, column, 1), hint)


_UNCLOSED = "a declaration needs six levels; look for a bracket that is not closed"
_WRITE_OUT = "write the value out in each place"

_OPENING = re.compile(r"flow|quoted")
_SYNTAX = (
    ("mapping values are not allowed", "a `:` where no key can stand", "put a value that holds `: ` in quotes"),
    (
        "cannot start any token",
        "a character that cannot begin a value",
        "indent with spaces, not tabs; else use quotes",
    ),
    ("found unexpected end of stream", "a quote is opened and never closed", "close the quote"),
    ("did not find expected ',' or", "a bracket is opened and never closed, or a comma is missing", "close it"),
    ("did not find expected '-'", "this line does not belong to the list above it", "check the indentation"),
    ("did not find expected key", "this line does not fit the lines above it", "check the indentation and the quotes"),
    ("could not find expected ':'", "a key without its `:`", "write `key: value`"),
    ("block sequence entries are not allowed", "a list item where none can stand", "begin the list on the next line"),
    ("unknown escape", "an escape that YAML does not know", "use single quotes, or double the backslash"),
    ("unexpected indentation", "a tab or a space where none can stand", "indent with spaces"),
    ("tab character", "a tab in the indentation", "indent with spaces"),
    ("undefined tag handle", "a tag (`!`) is not allowed", "delete the tag; quote the value if it is text"),
    ("did not find expected <document start>", "text after the end of the document", "check the indentation"),
    (
        "did not find expected node content",
        "a value is missing, or a bracket is not closed",
        "close it, or put the value in quotes",
    ),
)


def _in_user_words(problem: str, context: str) -> tuple[str, str | None]:
    both = f"{context} {problem}"
    for words, message, hint in _SYNTAX:
        if words in both:
            return f"this is not YAML: {message}", hint
    return "this is not YAML" + (f": {problem}" if problem else ""), None


def _path(stack: list[tuple[Any, str | None]], key: str) -> Path:
    """Where a key stands, from the mappings and lists that are open around it."""
    return (*(len(around) if above is None else above for around, above in stack[1:]), key)


def _span(event: Any) -> Span:
    start, end = event.start_mark, event.end_mark
    length = end.column - start.column if end.line == start.line else 1
    return (start.line + 1, start.column + 1, length if length > 0 else 1)
