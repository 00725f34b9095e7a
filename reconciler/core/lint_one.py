"""Rules that need one declaration and today's date."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from reconciler.core import codes
from reconciler.core.declared import Declared, Path
from reconciler.core.model import Allow, Group, Location
from reconciler.core.problems import Position, Problem, Severity
from reconciler.core.sources import nextech
from reconciler.core.suggest import listed, nearest, quoted

LONGEST_ALLOW = timedelta(days=14)
OLDEST_QUIET_START = timedelta(days=14)
"""An older ``contact_start`` is the objection ``contacts-backlog``."""
FARTHEST = timedelta(days=366)

_SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
_LISTS = tuple(it for it in nextech.FIELDS if it.kind == "list")


def told(
    it: Declared,
    path: Path,
    code: str,
    message: str,
    hint: str | None = None,
    *,
    also: tuple[tuple[Position, str], ...] = (),
) -> Problem:
    """A problem at one value of a declaration; the severity follows from the code's first letter."""
    severity = {"E": Severity.ERROR, "W": Severity.WARNING, "N": Severity.NOTE}[code[0]]
    secret = bool(path) and path[-1] == "practice_id"
    return Problem(code, severity, message, it.position(*path), hint, also, secret=secret)


Managed = list[tuple[int, Location]]


def managed(it: Declared) -> Managed:
    """The locations that we look after: neither they nor the business released."""
    if it.declaration.state == "released":
        return []
    return [(i, location) for i, location in enumerate(it.declaration.locations) if location.state != "released"]


def problems(it: Declared, today: date) -> Iterator[Problem]:
    """Every problem that one declaration has by itself, triggers apart."""
    here = managed(it)
    yield from _lists(it)
    yield from _practice_id(it, here)
    yield from _types(it, here)
    yield from _locations(it, here, today)
    yield from _business(it, here)
    if it.declaration.group.campaign_tags is not None:
        yield from _tags(it, it.declaration.group.campaign_tags)
    if it.declaration.allow:
        yield from _allows(it, today)
    if it.declaration.moved:
        yield from _moves(it)


def _lists(it: Declared) -> Iterator[Problem]:
    holders: list[tuple[Path, Group | Location]] = [(("group",), it.declaration.group)]
    holders += [(("locations", i), location) for i, location in enumerate(it.declaration.locations)]
    for where, holder in holders:
        values: Mapping[str, object] = holder.__dict__
        for field in _LISTS:
            items = values.get(field.name)
            if isinstance(items, tuple) and items and not _is_plain(field, items):
                yield from _items(it, (*where, field.name), field, items)
    group = it.declaration.group
    for name, items in (
        ("campaign_tags", group.campaign_tags),
        ("excluded_patient_types", group.excluded_patient_types),
    ):
        if items:
            yield from _twice(it, ("group", name), items, fold=False)


def _is_plain(field: nextech.Field, items: Sequence[str]) -> bool:
    """One item that says nothing: most lists."""
    return len(items) == 1 and field.separator not in items[0] and field.name != "appointment_statuses"


def _items(it: Declared, path: Path, field: nextech.Field, items: Sequence[str]) -> Iterator[Problem]:
    for i, item in enumerate(items):
        if field.separator in item:
            parts = ", ".join(f'"{part.strip()}"' for part in item.split(field.separator) if part.strip())
            message = f"{quoted(item)} holds a `{field.separator}`, which separates items on the wire"
            yield told(it, (*path, i), "E301", message, f"write separate items: {parts}")
        elif field.name == "appointment_statuses" and item.casefold() not in nextech.STATUS_WORDS:
            guess = nearest(item, nextech.STATUS_WORDS)
            hint = "is it a custom status? those go under `custom_appointment_statuses`"
            if guess:
                hint = f"did you mean: `{guess}`; or is it a custom status?"
            yield told(it, (*path, i), "E306", f"{quoted(item)} is not an appointment status that Nextech sends", hint)
    if len(items) > 1:
        yield from _twice(it, path, items, fold="status" in field.name)


def _twice(it: Declared, path: Path, items: Sequence[str], *, fold: bool) -> Iterator[Problem]:
    if len(items) == len(set(items)) and not fold:
        return
    first: dict[str, int] = {}
    for i, item in enumerate(items):
        earlier = first.setdefault(item.casefold() if fold else item, i)
        if earlier != i:
            also = ((it.position(*path, earlier), "first given here"),)
            yield told(it, (*path, i), "E302", f"{quoted(item)} stands twice in one list", "delete one", also=also)


def _practice_id(it: Declared, here: Managed) -> Iterator[Problem]:
    declaration = it.declaration
    if declaration.group.practice_id is not None:
        return
    lacking = [i for i, location in here if location.practice_id is None]
    if not lacking:
        return
    if declaration.is_waiting:
        message = (
            "the practice id has been ordered and is awaited: nothing is planned for this business until it is here"
        )
        yield told(it, ("onboarding", "ordered_on"), "N504", message)
        return
    hint = "give `group.practice_id`; or, while it is awaited, `onboarding.ordered_on`"
    for i in lacking if len(lacking) < len(here) else lacking[:1]:
        path: Path = ("locations", i, "business") if len(lacking) < len(here) else ("group",)
        yield told(it, path, "E307", "no practice id, neither of the group nor of the location", hint)


def _types(it: Declared, here: Managed) -> Iterator[Problem]:
    if it.declaration.triggers is not None and not any(
        nextech.trigger_service(name) == nextech.FULFILLED_TRIGGER for name in it.declaration.triggers
    ):
        return
    hint = "list them under `appointment_types`, unless that is what the client wants"
    if not it.declaration.group.appointment_types and any(lo.appointment_types is None for _, lo in here):
        given = it.declaration.group.appointment_types is not None
        message = "patients of ALL appointment types are contacted: " + (
            "the list is empty" if given else "none are listed"
        )
        if not given:
            message += " (or those that are live, where the group exists already)"
        yield told(it, ("group", "appointment_types"), "W401", message, hint)
    for i, location in here:
        if location.appointment_types == ():
            message = "patients of ALL appointment types are contacted at this location: the list is empty"
            yield told(it, ("locations", i, "appointment_types"), "W401", message, hint)


def _locations(it: Declared, here: Managed, today: date) -> Iterator[Problem]:
    declaration = it.declaration
    is_on = declaration.state == "active"
    names_told = False
    for i, location in here:
        if is_on and location.state == "active":
            if location.time_zone is None:
                hint = "write one as in `time_zone: America/New_York`"
                yield told(it, ("locations", i, "business"), "E313", "an active location needs a `time_zone`", hint)
            if declaration.beta and declaration.runner == "platform":
                message = "`beta: true` does not hold Birdeye's own scheduler back: patients would be contacted"
                hint = "set the location's `state: inactive`, or `runner: bundled`, or `beta: false`"
                yield told(
                    it, ("beta",), "E314", message, hint, also=((it.position("locations", i), "an active location"),)
                )
                is_on = False  # once is enough
        if declaration.runner == "platform":
            for name in {"frequency", "next_run"} & location.declared:
                message = (
                    f"`{name}` cannot be set through the API: with `runner: platform` it becomes a step for a person"
                )
                yield told(it, ("locations", i, name), "W409", message)
        if location.location_names and not names_told:
            names_told = True
            message = "location names are checked against all of Nextech's, which needs Nextech 14.4 or newer"
            yield told(it, ("locations", i, "location_names"), "N502", message)
        yield from _dates(it, i, location, today)
    for i, location in enumerate(declaration.locations):
        if location.state == "released" and declaration.state != "released":
            message = "released: not synced and not managed any more; what is live stays, and reports still list it"
            yield told(it, ("locations", i, "state"), "N503", message)


def _dates(it: Declared, i: int, location: Location, today: date) -> Iterator[Problem]:
    if location.contact_start is not None:
        start = date.fromisoformat(location.contact_start)
        path: Path = ("locations", i, "contact_start")
        if start < today - OLDEST_QUIET_START:
            message = f"patients seen since {start} are contacted, {(today - start).days} days back"
            hint = "a plan that first activates this location objects with `contacts-backlog`"
            yield told(it, path, "W407", message, hint)
        elif start > today + FARTHEST:
            message = f"nobody is contacted before {start}, more than a year away"
            yield told(it, path, "W407", message, "check the year")
    if location.next_run is not None and datetime.fromisoformat(location.next_run).date() > today + FARTHEST:
        message = f"the next run, {location.next_run}, is more than a year away"
        yield told(it, ("locations", i, "next_run"), "W408", message, "check the year")


def _business(it: Declared, here: Managed) -> Iterator[Problem]:
    declaration = it.declaration
    if declaration.practice_plus:
        hint = "leave it out, unless Nextech has confirmed it for this practice"
        yield told(it, ("practice_plus",), "W406", "Practice+ is not live in production", hint)
    if declaration.state == "released":
        message = "released: not synced and not managed any more; what is live stays, and reports still list it"
        yield told(it, ("state",), "N503", message)
    custom: Path | None = (
        ("group", "custom_appointment_statuses") if declaration.group.custom_appointment_statuses else None
    )
    for i, location in here:
        if custom is None and location.custom_appointment_statuses:
            custom = ("locations", i, "custom_appointment_statuses")
    if custom is not None:
        yield told(it, custom, "N501", "custom appointment statuses need Nextech 15.9 or newer")


def _tags(it: Declared, tags: Sequence[str]) -> Iterator[Problem]:
    known = (*nextech.CAMPAIGN_TAGS, *nextech.SENSITIVE_CAMPAIGN_TAGS)
    for i, tag in enumerate(tags):
        path: Path = ("group", "campaign_tags", i)
        if tag in nextech.SENSITIVE_CAMPAIGN_TAGS:
            message = f"the campaign tag {quoted(tag)} sends sensitive data of patients to Birdeye"
            yield told(it, path, "W405", message, "delete it, unless a campaign needs it and the client agreed")
        elif tag not in known:
            guess = nearest(tag, known)
            hint = f"did you mean: `{guess}`" if guess else f"known: {', '.join(known)}"
            yield told(it, path, "E325", f"unknown campaign tag {quoted(tag)}", hint)


def _allows(it: Declared, today: date) -> Iterator[Problem]:
    for i, allow in enumerate(it.declaration.allow):
        yield from _allow_code(it, ("allow", i, "code"), allow)
        until = date.fromisoformat(allow.until)
        path: Path = ("allow", i, "until")
        if until < today:
            yield told(it, path, "E318", f"this permission ended on {until}", "delete the entry")
        elif until > today + LONGEST_ALLOW:
            message = f"a permission lasts at most {LONGEST_ALLOW.days} days"
            yield told(it, path, "E317", message, f"write {today + LONGEST_ALLOW} or an earlier day")


def _allow_code(it: Declared, path: Path, allow: Allow) -> Iterator[Problem]:
    name = allow.code.partition(":")[0]
    if name in codes.COMMAND_LINE_ONLY or (name in codes.OBJECTIONS and allow.code.endswith(":run")):
        message = f"{quoted(allow.code)} cannot be allowed in a file"
        scope = "run" if allow.code.endswith(":run") else it.slug
        yield told(it, path, "E316", message, f"give `--allow {name}:{scope}` on the command line")
    elif allow.code not in codes.OBJECTIONS:
        can = sorted(set(codes.OBJECTIONS) - codes.COMMAND_LINE_ONLY)
        guess = nearest(name if name in can else allow.code, can)
        hint = f"did you mean: `{guess}`" if guess else f"one of {listed(can)}"
        yield told(it, path, "E315", f"no objection is called {quoted(allow.code)}", hint)


def _moves(it: Declared) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for i, move in enumerate(it.declaration.moved):
        path: Path = ("moved", i, "from")
        if move.to is not None and move.to != it.slug:
            message = f"`to` must be this file's own slug, {quoted(it.slug)}"
            yield told(it, ("moved", i, "to"), "E319", message, "correct it, or leave it out")
        if not _SLUG.fullmatch(move.from_):
            message = f"{quoted(move.from_)} cannot have been a slug"
            yield told(it, path, "E321", message, "the file's old name, without folder and `.yaml`")
        earlier = first.setdefault(move.from_, i)
        if earlier != i:
            also = ((it.position("moved", earlier, "from"), "first given here"),)
            yield told(it, path, "E302", f"{quoted(move.from_)} stands twice under `moved`", "delete one", also=also)
