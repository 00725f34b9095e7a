"""Did you mean: the nearest of the words that would have been right, and how a person's words are repeated."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from functools import lru_cache

LONGEST_QUOTE = 60
"""Characters of a person's value that a message repeats."""

# A practice id is one, and people paste it where it does not belong.
_UUID = re.compile(r"(?i)[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


def without_ids(text: str) -> str:
    """``text`` with what looks like a practice id replaced by as many asterisks."""
    return _UUID.sub(lambda it: "*" * len(it.group()), text)


def quoted(text: str) -> str:
    """A value as a message repeats it: in backticks, cut where long, ids masked. Escaping is the renderer's."""
    text = without_ids(text)
    return f"`{text}`" if len(text) <= LONGEST_QUOTE else f"`{text[: LONGEST_QUOTE - 1]}…`"


def listed(words: Iterable[str]) -> str:
    """``a, b or c``, each in backticks."""
    shown = [f"`{it}`" for it in words]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def nearest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that ``word`` most likely stands for, or None.

    One edit apart (a letter added, lost, changed, or two swapped; case, ``-``, ``_`` and space do not count) comes first,
    then two edits in a longer word, then the likeness of ``difflib``.
    """
    folded = _folded(word[:200])
    by_fold: dict[str, str] = {}
    for choice in sorted(choices):
        by_fold.setdefault(_folded(choice), choice)
    if folded in by_fold:
        return by_fold[folded]
    limit = 1 if len(folded) < 6 else 2
    near = [
        (distance(folded, it, limit), it)
        for it in by_fold
        if abs(len(it) - len(folded)) <= limit and len(it) > 2  # one edit turns any two letters into any others
    ]
    near = [it for it in near if it[0] <= limit]
    if near:
        return by_fold[min(near)[1]]
    found = difflib.get_close_matches(folded, list(by_fold), n=1, cutoff=0.72)
    return by_fold[found[0]] if found else None


def _folded(word: str) -> str:
    return word.casefold().replace("-", "_").replace(" ", "_")


@lru_cache(maxsize=4096)
def distance(one: str, other: str, limit: int) -> int:
    """Optimal string alignment distance, where more than ``limit`` counts as ``limit + 1``."""
    if abs(len(one) - len(other)) > limit:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for i, left in enumerate(one, 1):
        current = [i]
        for j, right in enumerate(other, 1):
            cost = min(row[j] + 1, current[-1] + 1, row[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            current.append(cost)
        if min(current) > limit:
            return limit + 1
        before, row = row, current
    return min(row[-1], limit + 1)
