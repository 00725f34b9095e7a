"""The rules that hold between the fields of a declaration, and between declarations.

Pure: declarations and today's date in, problems out. Each rule is explained, with an example that breaks it, in
``core.codes``; its code is all that ties the two together. Rules of one declaration are in ``lint_one``, those that look
at triggers in ``lint_triggers``, those that need all declarations in ``lint_across``.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from reconciler.core import lint_across, lint_one, lint_triggers, live
from reconciler.core.declared import Declared
from reconciler.core.model import Declaration, Location
from reconciler.core.problems import Problem
from reconciler.core.sources import nextech

OFTEN_TOLD = frozenset({"custom_appointment_statuses", "location_names"})
"""Keys of lists that most declarations have and that a note stands at: their places are wanted in nearly every file."""


OF_VALUES = frozenset({"E301", "E302", "E305", "E306", "E315", "E316", "E317", "E318", "E325", "W402"})
"""Rules that look at values where they stand: they hold in a file of which other parts are of the wrong shape."""


def of_values(it: Declared, *, today: date) -> list[Problem]:
    """What those rules say of a declaration from which the parts of the wrong shape were taken out."""
    told = (*lint_one.problems(it, today), *lint_triggers.problems(it, None))
    return [problem for problem in told if problem.code in OF_VALUES]


def lint(
    declared: Sequence[Declared], *, today: date, catalogue: Sequence[live.Trigger] | None = None
) -> tuple[Problem, ...]:
    """Every problem of every rule, sorted by place. ``catalogue`` is the source's live one, where it is known.

    Without a catalogue an unknown trigger is a warning; with one, an unknown or inactive trigger is an error.
    """
    told: list[Problem] = []
    for it in declared:
        told += lint_one.problems(it, today)
        told += lint_triggers.problems(it, catalogue)
    told += lint_across.problems(declared)
    return tuple(sorted(told, key=lambda it: it.sort_key))


def against_catalogue(declared: Sequence[Declared], catalogue: Sequence[live.Trigger]) -> tuple[Problem, ...]:
    """Only what the live catalogue says of the triggers, for declarations that passed everything else before."""
    told = [problem for it in declared for problem in lint_triggers.problems(it, catalogue)]
    return tuple(sorted(told, key=lambda it: it.sort_key))


def manual_steps(declaration: Declaration) -> tuple[str, ...]:
    """What only a person can do for this business, in Nextech's or Birdeye's own settings. Empty where nothing syncs."""
    active = [it for it in declaration.locations if it.state == "active"] if declaration.state == "active" else []
    if not active:
        return ()
    steps = [
        *_show_by_steps(
            [it for it in active if it.show_by == "purpose"], [it for it in active if it.show_by != "purpose"]
        )
    ]
    services = {nextech.trigger_service(it) for it in declaration.triggers or ()}
    if nextech.WRITEBACK_TRIGGER in services:
        steps.append('Nextech: set "require a cancellation reason" to No (reminders need it)')
    if declaration.runner == "bundled":
        number = declaration.business
        steps.append(
            f"Birdeye: confirm that Birdeye's own job is off for business {number}; two jobs text every patient twice"
        )
    return tuple(steps)


def _show_by_steps(by_purpose: Sequence[Location], by_type: Sequence[Location]) -> tuple[str, ...]:
    steps = []
    if by_type:
        of = f" (for {_names(by_type)})" if by_purpose else ""
        steps.append(f"Nextech: switch appointment purpose off and save, since appointments are shown by type{of}")
    if by_purpose:
        of = f" (for {_names(by_purpose)})" if by_type else ""
        steps.append(
            "Nextech: map exactly one appointment type under each purpose, and add the rule to templates and slots with "
            f'"All" selected in its note, since appointments are shown by purpose{of}'
        )
    return tuple(steps)


def _names(locations: Sequence[Location]) -> str:
    return ", ".join(it.name or str(it.business) for it in locations)
