"""Look-ups: what the source, a business and a practice have, by the name that a person gives."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from reconciler.clients.integrations import NamedItem
from reconciler.core import desired
from reconciler.core.declared import Declared
from reconciler.core.live import LiveGroup, Trigger
from reconciler.core.model import Location
from reconciler.core.naming import folded
from reconciler.core.suggest import nearest
from reconciler.declarations import Loaded
from reconciler.errors import Answered, RemoteError, SecretError, UsageError
from reconciler.settings.secrets import Secrets

NO_SUCH = "no declaration has the business or slug {text}"


class Asks(Protocol):
    """What look-ups need of ``clients.integrations.IntegrationsClient``."""

    def triggers(self) -> tuple[Trigger, ...]:
        """T."""

    def groups(self, business: int) -> tuple[LiveGroup, ...] | None:
        """G."""

    def locations(
        self, practice_id: str, *, business: int | None = None, new_version: bool = False
    ) -> tuple[NamedItem, ...]:
        """L."""

    def practitioners(self, practice_id: str, *, new_version: bool = False) -> tuple[NamedItem, ...]:
        """P."""


@dataclass(frozen=True, slots=True)
class Target:
    """What the argument of a look-up means."""

    business: int
    """The parent's, or the location's where one was named."""
    declared: Declared | None = None
    location: int | None = None
    """Index of the location that was named, where it is not the parent."""

    @property
    def parent(self) -> int:
        """The business that groups belong to."""
        return self.declared.declaration.business if self.declared else self.business


def find_target(loaded: Loaded, text: str) -> Target:
    """The business that a slug, a number or a name stands for. Raises errors.UsageError with what was probably meant."""
    if text.isascii() and text.isdigit():
        return _by_number(loaded, int(text))
    by_slug = {it.slug: it for it in loaded.declared}
    if text in by_slug:
        return Target(by_slug[text].declaration.business, by_slug[text])
    if any(it.slug == text for it in loaded.files):
        raise UsageError(f"the declaration {text} has errors", hint="reconciler validate")
    named = [target for name, target in _names(loaded) if folded(name) == folded(text)]
    if len(named) == 1:
        return named[0]
    if named:
        listed = ", ".join(f"{it.business} ({it.declared.slug if it.declared else ''})" for it in named)
        raise UsageError(f"{text} names several businesses: {listed}", hint="give one of the numbers")
    close = nearest(text, by_slug) or nearest(text, {name for name, _ in _names(loaded)})
    raise UsageError(NO_SUCH.format(text=text), hint=f"did you mean {close}?" if close else None)


def _by_number(loaded: Loaded, number: int) -> Target:
    for it in loaded.declared:
        if it.declaration.business == number:
            return Target(number, it)
    for it in loaded.declared:
        for i, location in enumerate(it.declaration.locations):
            if location.business == number:
                return Target(number, it, i)
    return Target(number)


def _names(loaded: Loaded) -> Iterable[tuple[str, Target]]:
    for it in loaded.declared:
        if it.declaration.name:
            yield it.declaration.name, Target(it.declaration.business, it)
        for i, location in enumerate(it.declaration.locations):
            if location.name and location.name != it.declaration.name:
                yield location.name, Target(location.business, it, i)


def no_such(business: int, *, hint: str | None = None) -> UsageError:
    """Of a number that no declaration has."""
    return UsageError(NO_SUCH.format(text=business), hint=hint)


@dataclass(frozen=True, slots=True)
class Practice:
    """One practice id to ask, by its reference, and whom it is for."""

    reference: str
    level: str
    """``location``, ``group`` or ``argument``: where the reference stands."""
    practice_plus: bool = False
    locations: tuple[tuple[int, tuple[str, ...], tuple[str, ...]], ...] = ()
    """Declared locations of it: business, location names, practitioner ids."""


def practices_of(target: Target | None, reference: str | None, *, practice_plus: bool) -> tuple[Practice, ...]:
    """The practice ids that a look-up asks: the one given, else the location's before the group's. In file order."""
    declared = target.declared if target else None
    plus = practice_plus or (declared is not None and declared.declaration.practice_plus)
    wanted = _wanted(target)
    if reference is not None:
        mine = tuple(_facts(it) for it in wanted)
        if target is not None and not mine:
            mine = ((target.business, (), ()),)
        return (Practice(reference, "argument", plus, mine),)
    if target is None:
        raise UsageError("name a business or slug, or give --practice-id REF")
    if declared is None:
        raise no_such(target.business, hint="give --practice-id env:RECONCILER_SECRET_… or file:PATH#key.path")
    group = declared.declaration.group.practice_id
    found: dict[str, Practice] = {}
    for location in wanted:
        own = location.practice_id or group
        if own is None:
            continue
        level = "location" if location.practice_id else "group"
        before = found.get(own, Practice(own, level, plus))
        found[own] = Practice(own, before.level, plus, (*before.locations, _facts(location)))
    if not found and group is not None:
        found[group] = Practice(group, "group", plus)
    if not found:
        raise UsageError(f"{declared.slug} has no practice id yet", hint="give --practice-id REF, or declare it")
    return tuple(found.values())


def _wanted(target: Target | None) -> Sequence[Location]:
    if target is None or target.declared is None:
        return ()
    every = target.declared.declaration.locations
    return every if target.location is None else (every[target.location],)


def _facts(it: Location) -> tuple[int, tuple[str, ...], tuple[str, ...]]:
    return it.business, it.location_names or (), it.practitioner_ids or ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What ``--check`` said of one location that is set up."""

    business: int
    ok: bool
    text: str
    missing: tuple[str, ...] = ()
    """Declared names or ids that are not listed."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What one practice id gave, or why nothing."""

    practice: Practice
    items: tuple[NamedItem, ...] = ()
    error: str = ""
    checks: tuple[Checked, ...] = field(default=())


def look_up(client: Asks, secrets: Secrets, what: str, practices: Sequence[Practice], *, check: bool) -> list[Listed]:
    """Every practice's ``locations`` or ``practitioners``. An error of one is its own; a secret that does not resolve
    raises errors.SecretError before anything is asked.
    """
    values = {it.reference: _reveal(secrets, it.reference) for it in practices}
    return [_one(client, values[it.reference], what, it, check=check) for it in practices]


def _reveal(secrets: Secrets, reference: str) -> str:
    if not reference.startswith(("env:", "file:")):
        # Not repeated: it may be the practice id itself.
        raise UsageError(
            "--practice-id takes a reference, never the id itself: env:RECONCILER_SECRET_… or file:PATH#key"
        )
    try:
        return secrets.reveal(reference)
    except SecretError as error:
        raise SecretError(f"{error.message}; nothing was asked", hint=error.hint) from None


def _one(client: Asks, value: str, what: str, practice: Practice, *, check: bool) -> Listed:
    plus = practice.practice_plus
    try:
        if what == "practitioners":
            items = client.practitioners(value, new_version=plus)
        else:
            items = client.locations(value, new_version=plus)
    except RemoteError as error:
        return Listed(practice, error=error.message)
    if not check:
        return Listed(practice, items)
    if what == "practitioners":
        known = {it.id for it in items}
        return Listed(
            practice, items, checks=tuple(_declared(business, ids, known) for business, _, ids in practice.locations)
        )
    known = {it.name for it in items}
    found = []
    for business, names, _ in practice.locations:
        asked = _configured(client, value, business, plus)
        declared = _declared(business, names, known)
        found.append(declared if asked.ok and not declared.ok else asked)
    return Listed(practice, items, checks=tuple(found))


def _declared(business: int, wanted: tuple[str, ...], known: set[str]) -> Checked:
    missing = tuple(it for it in wanted if it not in known)
    return Checked(business, not missing, "declared, and not listed" if missing else "all is listed", missing)


def _configured(client: Asks, value: str, business: int, plus: bool) -> Checked:
    """The only request that names a business: Nextech then checks the names that are configured for it."""
    try:
        client.locations(value, business=business, new_version=plus)
    except Answered as error:
        return Checked(business, False, error.remote_message or error.message)
    except RemoteError as error:
        return Checked(business, False, error.message)
    return Checked(business, True, "all is listed")


@dataclass(frozen=True, slots=True)
class TriggerRow:
    """One entry of the catalogue, and how it stands to a business."""

    trigger: Trigger
    declared: bool = False
    live_groups: tuple[int, ...] = ()

    @property
    def id(self) -> str:
        """The service, by which it is declared."""
        return self.trigger.service

    @property
    def name(self) -> str:
        """The display name, else the service."""
        return self.trigger.display_name or self.trigger.service


def triggers(client: Asks, target: Target | None) -> tuple[TriggerRow, ...]:
    """The source's catalogue; with a business, which ones it declares and which its groups have now."""
    catalogue = client.triggers()
    groups = client.groups(target.parent) or () if target else ()
    declared: set[int] = set()
    if target and target.declared:
        for name in target.declared.declaration.triggers or ():
            match = desired.find_trigger(name, catalogue)
            declared |= {match.id} if match else set()
    return tuple(
        TriggerRow(it, it.id in declared, tuple(g.group_id for g in groups if it.id in (g.triggers or ())))
        for it in catalogue
    )


def groups(client: Asks, target: Target) -> tuple[tuple[LiveGroup, ...], dict[int, str]]:
    """The groups of a business, and the services of their triggers by id."""
    found = client.groups(target.parent) or ()
    names = {it.id: it.service for it in client.triggers()} if any(it.triggers for it in found) else {}
    return found, names
