"""One declaration as it was read: the model, with the place of every value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.model import Declaration
from reconciler.core.problems import Position

Path = tuple[str | int, ...]
"""Keys and indexes from the top of the document: ``("locations", 0, "business")``."""


@dataclass(frozen=True, slots=True)
class Declared:
    """One file that passed every check of its own."""

    slug: str
    file: str
    """As shown to people: relative, ``/`` separators."""
    declaration: Declaration
    positions: Mapping[Path, Position] = field(default_factory=dict)
    """Of values; a mapping's or list's own position is that of its key."""

    def position(self, *path: str | int) -> Position:
        """The place of a value, else of the nearest thing around it, else of the file."""
        for length in range(len(path), 0, -1):
            found = self.positions.get(tuple(path[:length]))
            if found is not None:
                return found
        return Position(self.file)
