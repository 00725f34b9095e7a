"""Every code that a problem or an objection can have: what it means, why, what to do, and an example of each side.

A code never changes its meaning and is never used again. ``E1xx``: the file or its YAML; ``E2xx``: the shape; ``E3xx``:
a rule; ``W4xx``: a warning; ``N5xx``: a note; words: objections of a plan. The tests run every example.
"""

from __future__ import annotations

from datetime import date
from functools import cache

from reconciler.core import codes_objections, codes_online, codes_rules, codes_shape, codes_yaml
from reconciler.core.codes_examples import Explanation
from reconciler.core.suggest import nearest

EXAMPLE_TODAY = date(2026, 11, 24)
"""The day on which the examples are judged."""

OBJECTIONS = tuple(it.code for it in codes_objections.ENTRIES)
"""The codes of ``--allow CODE:SLUG``, in the published order."""
COMMAND_LINE_ONLY = frozenset({"adopt", "ambiguous-group", "group-vanished", "undeclared"})
"""Objections that no file can allow."""


@cache
def registry() -> dict[str, Explanation]:
    """Every explanation by its code, in order."""
    entries = (
        *codes_yaml.ENTRIES,
        *codes_shape.ENTRIES,
        *codes_rules.ENTRIES,
        *codes_online.ENTRIES,
        *codes_objections.ENTRIES,
    )
    return {it.code: it for it in entries}


def explain(code: str) -> Explanation | None:
    """What one code means, in whatever case it is written; None where there is no such code."""
    return registry().get(code.upper()) or registry().get(code.lower())


def suggestion(code: str) -> str | None:
    """The code that was probably meant."""
    return nearest(code, registry())
