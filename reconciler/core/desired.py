"""What a declaration asks for, object by object, in comparable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core import live, values
from reconciler.core.declared import Declared
from reconciler.core.model import Group, Location, wire_value
from reconciler.core.sources import nextech

Secrets = Mapping[str, str]
"""Reference -> full fingerprint of the value it resolves to."""


@dataclass(frozen=True, slots=True)
class DesiredMapping:
    """One location as declared."""

    business: int
    active: bool
    released: bool
    index: int
    """In the declaration's ``locations``."""
    properties: dict[str, values.Value] = field(default_factory=dict)
    """By wire key; only what is declared at the location."""


@dataclass(frozen=True, slots=True)
class Desired:
    """One business as declared."""

    slug: str
    business: int
    pin: int | None
    released: bool
    triggers: tuple[int, ...] | None
    """Ids, sorted; None where never declared."""
    unknown_triggers: tuple[str, ...]
    properties: dict[str, values.Value]
    mappings: tuple[DesiredMapping, ...]


def desired(declared: Declared, *, secrets: Secrets, catalogue: tuple[live.Trigger, ...]) -> Desired:
    """The desired state of one business. Trigger names are looked up in the live catalogue."""
    declaration = declared.declaration
    ids: list[int] = []
    unknown: list[str] = []
    for name in declaration.triggers or ():
        found = find_trigger(name, catalogue)
        if found is None or not found.active:
            unknown.append(name)
        else:
            ids.append(found.id)
    return Desired(
        slug=declared.slug,
        business=declaration.business,
        pin=declaration.group.id,
        released=declaration.state == "released",
        triggers=tuple(sorted(set(ids))) if declaration.triggers is not None else None,
        unknown_triggers=tuple(unknown),
        properties=_properties(declaration.group, nextech.GROUP_FIELDS, secrets),
        mappings=tuple(
            DesiredMapping(
                business=it.business,
                active=declaration.state == "active" and it.state == "active",
                released=declaration.state == "released" or it.state == "released",
                index=index,
                properties=_properties(it, nextech.LOCATION_FIELDS, secrets),
            )
            for index, it in enumerate(declaration.locations)
        ),
    )


def find_trigger(name: str, catalogue: tuple[live.Trigger, ...]) -> live.Trigger | None:
    """The trigger that a name means: service first, then display name, both exactly, then without regard to case."""
    wanted = name.strip()
    exact = [it for it in catalogue if it.service == wanted] or [it for it in catalogue if it.display_name == wanted]
    if exact:
        return exact[0]
    folded = wanted.casefold()
    matches = [it for it in catalogue if folded in (it.service.casefold(), it.display_name.casefold())]
    return matches[0] if len(matches) == 1 else None


def _properties(part: Group | Location, fields: tuple[nextech.Field, ...], secrets: Secrets) -> dict[str, values.Value]:
    found: dict[str, values.Value] = {}
    for it in fields:
        value = getattr(part, it.name)
        if value is None:
            continue
        if it.secure:
            found[it.key] = values.secret(secrets[value])
        else:
            found[it.key] = values.plain(it.key, wire_value(it, value))
    return found


def declared_path(field_name: str, location: int | None) -> tuple[str | int, ...]:
    """Where in the document a field of the group, or of the location at an index, stands."""
    return ("group", field_name) if location is None else ("locations", location, field_name)
