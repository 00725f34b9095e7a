"""What is wrong with an input, where, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How much a problem stops: an error stops everything, a warning and a note only speak."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in a file: path as shown to people (relative, ``/`` separators), line and column from 1."""

    file: str
    line: int = 1
    column: int = 1

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in one place. ``code`` (``E214``, ``W301``) is stable for ever and explained by ``explain``."""

    code: str
    severity: Severity
    message: str
    position: Position
    hint: str | None = None
    """The remedy, one line, such as ``did you mean: `locations```."""
    also: tuple[tuple[Position, str], ...] = ()
    """Second places, each with a word on why (``first given here``)."""
    length: int = 1
    """How many characters the caret underlines, from 1."""
    secret: bool = False
    """The excerpt of this line must be masked: it holds a field that is a secret."""

    @property
    def sort_key(self) -> tuple[Position, str, str]:
        """File, line, column, then code and message: the order in which problems are shown."""
        return (self.position, self.code, self.message)
