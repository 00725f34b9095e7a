"""Which of the names that a system lists a person means: exactly, or nearly, and never by guessing among several."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from reconciler.core.suggest import nearest


class Named(Protocol):
    """What a search looks at."""

    @property
    def id(self) -> str:
        """Its id as text; empty where the answer had none."""

    @property
    def name(self) -> str:
        """Its name."""


@dataclass(frozen=True, slots=True)
class Found:
    """What one search gave: ``exact`` hits (several where a name or id stands for several things), else ``near`` ones."""

    exact: tuple[int, ...] = ()
    near: tuple[int, ...] = ()
    """Indexes, best first; empty where anything is exact."""


def search(text: str, items: Sequence[Named]) -> Found:
    """Which items ``text`` means. Near ones: alike but for case, width and spaces; then holding the text; then
    a slip of the finger away (at most one, with all that bear its name).
    """
    exact = tuple(i for i, it in enumerate(items) if text in (it.name, it.id) and text)
    if exact:
        return Found(exact)
    wanted = folded(text)
    if not wanted:
        return Found()
    alike = tuple(i for i, it in enumerate(items) if wanted in (folded(it.name), folded(it.id)))
    if alike:
        return Found((), alike)
    holding = tuple(i for i, it in enumerate(items) if wanted in folded(it.name))
    if holding:
        return Found((), holding)
    close = nearest(text, {it.name for it in items if it.name})
    return Found((), tuple(i for i, it in enumerate(items) if it.name == close)) if close else Found()


def folded(text: str) -> str:
    """``text`` without regard to case, form of characters and amount of white space."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
