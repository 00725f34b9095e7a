"""Problems as people and machines read them: the house form for terminals and the published JSON.

Whatever a file holds may stand in a message or an excerpt, so control characters, those that change the direction of
text and those that end a line are escaped in every form. Lines of secret fields are masked.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from reconciler.core.model import SECRET_FIELDS
from reconciler.core.problems import Position, Problem, Severity
from reconciler.core.suggest import without_ids

MOST_SHOWN = 50
"""Problems told in full; the rest is counted."""
WIDEST_EXCERPT = 100
"""Columns of an excerpt; a longer line is cut around the caret."""
TAB_WIDTH = 4

_COLOURS = {Severity.ERROR: "1;31", Severity.WARNING: "1;33", Severity.NOTE: "1;36"}
_BREAK = re.compile(r"\r\n|\r|\n")
_SECRET_KEY = re.compile(r"(?:" + "|".join(sorted(SECRET_FIELDS)) + r")\s*[\"']?\s*:?")
_WHOLE_REFERENCE = re.compile(
    r"\s*[\"']?(?:env:RECONCILER_SECRET_[A-Z0-9_]+|file:[^\s#]+#[A-Za-z0-9_.-]+)[\"']?\s*(?:#.*)?"
)
_PLAIN_KEY = re.compile(r"[\s\-\"'\w.]*")
_VALUE = re.compile(r"\"[^\"]*\"|'[^']*'|[^\s,\[\]{}#\"':](?:[^,\[\]{}#:\n]*[^\s,\[\]{}#:])?")
_REACH = 5
"""How many lines after a secret key without a reference are masked too: a pasted value may be broken over lines."""
_MASK = "<masked>"


def render_text(
    problems: Sequence[Problem], sources: Mapping[str, str], *, colour: bool = False, most: int = MOST_SHOWN
) -> str:
    """Every problem in the house form, then a count. ``sources`` has the text of files by the path in positions.

    Of more than ``most``, errors are shown before warnings before notes, in their order; the rest is counted.
    """
    shown = _most_severe(problems, most)
    excerpts = _Excerpts(sources, frozenset((it.position.file, it.position.line) for it in problems if it.secret))
    parts = [_one(it, excerpts, colour=colour) for it in shown]
    left = len(problems) - len(shown)
    if left:
        parts.append(f"and {left:,} more, not shown: mend these first, or use --output json\n")
    if problems:
        parts.append(f"{counted(problems)}\n")
    return "\n".join(parts)


def counted(problems: Sequence[Problem]) -> str:
    """``2 errors, 1 warning in 2 files``."""
    words = []
    for severity in Severity:
        number = sum(it.severity is severity for it in problems)
        if number:
            words.append(f"{number:,} {severity.value}{'s' if number > 1 else ''}")
    files = len({it.position.file for it in problems})
    return f"{', '.join(words)} in {files:,} file{'s' if files > 1 else ''}" if words else "no problems"


def render_json(problems: Sequence[Problem]) -> str:
    """The published document of ``validate --output json``, ending in a line break."""
    document = {
        "format_version": "1.0",
        "kind": "validate",
        "problems": [
            {
                "code": it.code,
                "severity": it.severity.value,
                "file": it.position.file,
                "line": it.position.line,
                "column": it.position.column,
                "message": it.message,
                "hint": it.hint,
            }
            for it in problems
        ],
    }
    return json_text(document)


def escaped(text: str) -> str:
    """``text`` with every character that a terminal or reader could act on written as an escape."""
    if "##[" in text:
        # A job's log takes ``##[command]`` anywhere in a line for an order to the runner.
        text = text.replace("##[", "#\\x23[")
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_shown, text))


def json_text(document: Mapping[str, Any]) -> str:
    """A published document. ASCII only, and no order to a job's runner: nothing in it acts on what it is shown by."""
    return json.dumps(document, indent=2).replace("##[", "#\\u0023[") + "\n"


def inert(line: str) -> str:
    """A whole line of a report, escaped, that no job's log takes for a command: those begin with ``::``, indented too."""
    line = escaped(line)
    return line.replace("::", "\\x3a:", 1) if line.lstrip().startswith("::") else line


def _most_severe(problems: Sequence[Problem], most: int) -> list[Problem]:
    rank = {severity: i for i, severity in enumerate(Severity)}
    chosen = sorted(range(len(problems)), key=lambda i: (rank[problems[i].severity], i))[:most]
    return [problems[i] for i in sorted(chosen)]


def _one(problem: Problem, excerpts: _Excerpts, *, colour: bool) -> str:
    head = _paint(f"{problem.severity.value}[{problem.code}]", _COLOURS[problem.severity], colour)
    where = problem.position
    margin = " " * len(str(where.line))
    out = [f"{head}: {_paint(escaped(problem.message), '1', colour)}", f"{margin}--> {_place(where)}"]
    if problem.severity is Severity.NOTE:  # nothing to mend, so nothing to show
        return "\n".join(out) + "\n"
    out += excerpts.of(problem, margin)
    out += [f"{margin} = {escaped(why)}: {_place(place)}" for place, why in problem.also]
    if problem.hint:
        out.append(f"{margin} = {escaped(problem.hint)}")
    out.append(f"{margin} = more: reconciler explain {problem.code}")
    return "\n".join(out) + "\n"


def _place(position: Position) -> str:
    return f"{escaped(position.file)}:{position.line}:{position.column}"


class _Excerpts:
    """The lines of the files that problems are in, masked where they may hold a secret."""

    def __init__(self, sources: Mapping[str, str], secret: frozenset[tuple[str, int]]) -> None:
        self.sources = sources
        self.secret = secret
        """Files and lines of problems with secret fields: masked also where they stand above another problem."""
        self._lines: dict[str, list[str]] = {}

    def of(self, problem: Problem, margin: str) -> list[str]:
        """The line of a problem with a caret below, and the line above it; nothing where the text is not known."""
        file, number = problem.position.file, problem.position.line
        if file in self.sources and file not in self._lines:
            self._lines[file] = _BREAK.split(self.sources[file])
        lines = self._lines.get(file, [])
        if not 1 <= number <= len(lines):
            return []
        out = [f"{margin} |"]
        if number > 1 and lines[number - 2].strip():
            before, _ = _masked(lines, number - 2, always=(file, number - 1) in self.secret)
            before, _ = _near(before, 0)
            out.append(f"{number - 1:>{len(margin)}} | {_cut(_wide(before), 0)[0]}".rstrip())
        line, kept = _masked(lines, number - 1, always=(file, number) in self.secret)
        column = min(problem.position.column - 1, len(line))
        length = _length(problem, line, column) if column < kept else 1
        line, column = _near(line, column)
        shown, start = _cut(_wide(line), len(_wide(line[:column])))
        under = _width(shown[:start])
        wanted = _width(_wide(line[column : column + length]))
        carets = "^" * max(1, min(wanted, _width(shown) - under))
        return [*out, f"{number} | {shown}".rstrip(), f"{margin} | {' ' * under}{carets}"]


def _length(problem: Problem, line: str, column: int) -> int:
    if problem.length > 1 or problem.code[1:2] not in ("3", "4"):
        return problem.length
    found = _VALUE.match(line, column)  # rules know where a value begins and not where it ends
    return len(found.group()) if found else 1


def _masked(lines: Sequence[str], index: int, *, always: bool) -> tuple[str, int]:
    """One line without what may be a secret in it, and how many of its first characters are its own."""
    line = lines[index]
    found = _SECRET_KEY.search(line)
    if found:
        end = found.end()
        if _WHOLE_REFERENCE.fullmatch(line[end:]) and not always:
            return line, len(line)
        return f"{line[:end]} {_MASK}", end
    indent = len(line) - len(line.lstrip())
    if always:
        key, colon, _ = line.partition(":")
        if colon and _PLAIN_KEY.fullmatch(key):
            return f"{key}: {_MASK}", len(key) + 1
        return line[:indent] + _MASK, indent
    for back in range(index - 1, max(-1, index - 1 - _REACH), -1):
        above = lines[back]
        end = max((it.end() for it in _SECRET_KEY.finditer(above)), default=-1)
        if end < 0 or _WHOLE_REFERENCE.fullmatch(above[end:]):
            continue
        if not _begins_field(above, line) or _is_open(above[end:]):
            return line[:indent] + _MASK, indent
    line = without_ids(line)
    return line, len(line)


def _begins_field(secret_line: str, line: str) -> bool:
    """Does ``line`` begin a field of its own, no deeper than the secret's, so that it cannot be a part of its value?"""
    indent = len(line) - len(line.lstrip())
    own = len(secret_line) - len(secret_line.lstrip(" -"))
    return indent <= own and re.match(r"\s*(?:- )?[a-z_]+:(?:\s|$)", line) is not None


def _is_open(value: str) -> bool:
    """May the value go on over the next lines, whatever their indentation (a quote or bracket without its end)?"""
    return any(value.count(it) % 2 for it in "\"'") or value.count("[") + value.count("{") > value.count(
        "]"
    ) + value.count("}")


def _wide(text: str) -> str:
    """Escaped, with tabs as spaces."""
    return escaped(text.replace("\t", " " * TAB_WIDTH))


def _width(text: str) -> int:
    """Columns that a terminal needs: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(it) else 2 if unicodedata.east_asian_width(it) in "WF" else 1 for it in text)


def _near(line: str, column: int) -> tuple[str, int]:
    """What of a very long line can be shown at all, and where the column is in it: a megabyte is not worth escaping."""
    first = max(0, column - 2 * WIDEST_EXCERPT)
    return line[first : column + 2 * WIDEST_EXCERPT], column - first


def _cut(text: str, start: int) -> tuple[str, int]:
    """A long line cut around its character ``start``; gives also where that character is now."""
    if len(text) <= WIDEST_EXCERPT:
        return text, start
    first = max(0, min(start - WIDEST_EXCERPT // 2, len(text) - WIDEST_EXCERPT))
    left = "…" if first else ""
    right = "…" if first + WIDEST_EXCERPT < len(text) else ""
    return left + text[first : first + WIDEST_EXCERPT] + right, start - first + len(left)


@lru_cache(maxsize=4096)
def _shown(character: str) -> str:
    return character if _is_harmless(character) else _escape(character)


def _is_harmless(character: str) -> bool:
    return character.isprintable() and unicodedata.category(character) not in ("Cf", "Zl", "Zp")


def _escape(character: str) -> str:
    number = ord(character)
    if number == 0xA0:
        return "\\u00a0"
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def _paint(text: str, code: str, colour: bool) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if colour else text
