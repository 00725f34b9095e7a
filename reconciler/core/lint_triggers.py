"""Rules about the triggers that a declaration names."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from reconciler.core import desired, live
from reconciler.core.declared import Declared
from reconciler.core.lint_one import managed, told
from reconciler.core.problems import Problem
from reconciler.core.sources import nextech
from reconciler.core.suggest import nearest, quoted

_REMINDERS = (nextech.WRITEBACK_TRIGGER, nextech.UPSERT_TRIGGER)


def problems(it: Declared, catalogue: Sequence[live.Trigger] | None) -> Iterator[Problem]:
    """Every problem of one declaration's triggers."""
    names = it.declaration.triggers
    if names is None:
        return
    known = [nextech.trigger_service(name) for name in names]
    if catalogue is None:
        yield from _offline(it, names)
    else:
        found: list[Problem] = []
        known = list(_online(it, names, catalogue, found))
        yield from found
    yield from _twice(it, names, known)
    yield from _pairs(it, known)


def _offline(it: Declared, names: Sequence[str]) -> Iterator[Problem]:
    choices = nextech.trigger_names()
    for i, name in enumerate(names):
        if name not in choices:
            guess = nearest(name, choices)
            hint = f"did you mean: `{guess}`" if guess else "compare with `reconciler lookup triggers`"
            yield told(it, ("triggers", i), "W402", f"{quoted(name)} is not a trigger known here", hint)


def _online(
    it: Declared, names: Sequence[str], catalogue: Sequence[live.Trigger], found: list[Problem]
) -> Iterator[str | None]:
    """The service behind each name, as far as the catalogue tells; what is wrong goes to ``found``."""
    choices = {name for trigger in catalogue for name in (trigger.service, trigger.display_name) if name}
    for i, name in enumerate(names):
        trigger = desired.find_trigger(name, tuple(catalogue))
        if trigger is None:
            service = nextech.trigger_service(name)
            guess = service if service in choices else nearest(name, choices)
            hint = f"did you mean: `{guess}`" if guess else "compare with `reconciler lookup triggers`"
            found.append(told(it, ("triggers", i), "E303", f"the source has no trigger {quoted(name)}", hint))
            yield service
            continue
        alike = sorted({other.service for other in catalogue if other.display_name == name})
        if trigger.service != name and len(alike) > 1:
            message = f"{quoted(name)} names several triggers of the source"
            found.append(told(it, ("triggers", i), "E303", message, f"name one by its service: {', '.join(alike)}"))
        elif not trigger.active:
            message = f"the trigger {quoted(name)} is switched off at its source"
            found.append(told(it, ("triggers", i), "E304", message, "ask Birdeye to activate it, or delete it here"))
        yield trigger.service


def _twice(it: Declared, names: Sequence[str], known: Sequence[str | None]) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for i, name in enumerate(names):
        earlier = first.setdefault(known[i] or name, i)
        if earlier != i:
            also = ((it.position("triggers", earlier), "first given here"),)
            message = f"{quoted(name)} is the same trigger as {quoted(names[earlier])}"
            if name == names[earlier]:
                message = f"the trigger {quoted(name)} is given twice"
            yield told(it, ("triggers", i), "E305", message, "delete one", also=also)


def _pairs(it: Declared, known: Sequence[str | None]) -> Iterator[Problem]:
    reminders = [service for service in _REMINDERS if service in known]
    if len(reminders) == 1:
        missing = next(service for service in _REMINDERS if service not in known)
        at = known.index(reminders[0])
        message = f"reminders need both appointment triggers, and `{nextech.KNOWN_TRIGGERS[missing]}` is not here"
        yield told(it, ("triggers", at), "W403", message, f"add `{missing}`")
    if reminders:
        at = min(known.index(service) for service in reminders)
        message = "reminders need Nextech 15.9 or newer: cancelling came with it, reading only what changed with 14.3"
        yield told(it, ("triggers", at), "N505", message)
    if set(known) == {nextech.FULFILLED_TRIGGER} and not it.declaration.group.custom_appointment_statuses:
        if all(location.custom_appointment_statuses for _, location in managed(it)):
            return
        message = "the fulfilled trigger alone, and no custom appointment statuses: confirm with the client"
        hint = "ask whether the practice uses custom statuses; if so, list them under `custom_appointment_statuses`"
        yield told(it, ("triggers", 0), "W404", message, hint)
