"""The values that the emulated Birdeye keeps: properties, groups, mappings, triggers, and the request history."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Property:
    """One key-value pair of a group or mapping; ``secure`` values are shown as the dialect says."""

    key: str
    value: str
    secure: bool = False


@dataclass(frozen=True, slots=True)
class Group:
    """One integration group. ``triggers`` are pairs of trigger id and trigger type id."""

    group_id: int
    parent: int
    source_id: int
    triggers: tuple[tuple[int, int], ...] = ()
    properties: tuple[Property, ...] = ()


@dataclass(frozen=True, slots=True)
class Mapping:
    """One business mapped to one group. ``status`` overrides what the flag says (``UNAUTHORIZED``)."""

    business: int
    group_id: int
    active: bool
    properties: tuple[Property, ...] = ()
    status: str | None = None
    frequency: str = "1d"
    next_run_time: str | None = None


@dataclass(frozen=True, slots=True)
class CatalogueTrigger:
    """One entry of the trigger catalogue of a source."""

    id: int
    source_id: int
    service: str
    display_name: str
    description: str
    active: bool = True
    types: tuple[tuple[int, str], ...] = ((1, "JOB"),)


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of the history, in the order in which requests took effect.

    ``endpoint`` is the letter of the request table, or the prefix of a mounted API. ``status`` is what the client was
    sent, None where the connection was cut. ``committed`` tells whether a write took effect, whatever was answered.
    """

    number: int
    time: float
    method: str
    path: str
    endpoint: str
    status: int | None
    committed: bool
    fault: str | None = None
    body: Any = None

    def as_json(self) -> dict[str, Any]:
        """The entry as the admin endpoint shows it; ``time`` in seconds since 1970."""
        return {
            "number": self.number,
            "time": self.time,
            "method": self.method,
            "path": self.path,
            "endpoint": self.endpoint,
            "status": self.status,
            "committed": self.committed,
            "fault": self.fault,
            "body": self.body,
        }


def property_as_json(it: Property) -> dict[str, Any]:
    """As the state file keeps it: always the plain value."""
    return {"key": it.key, "value": it.value, "secure": it.secure}


def property_from_json(value: dict[str, Any]) -> Property:
    """The reverse of ``property_as_json``."""
    return Property(value["key"], value["value"], value["secure"])


def group_as_json(it: Group) -> dict[str, Any]:
    """As the state file keeps it."""
    return {
        "group_id": it.group_id,
        "parent": it.parent,
        "source_id": it.source_id,
        "triggers": [list(pair) for pair in it.triggers],
        "properties": [property_as_json(each) for each in it.properties],
    }


def group_from_json(value: dict[str, Any]) -> Group:
    """The reverse of ``group_as_json``."""
    return Group(
        value["group_id"],
        value["parent"],
        value["source_id"],
        tuple((pair[0], pair[1]) for pair in value["triggers"]),
        tuple(map(property_from_json, value["properties"])),
    )


def mapping_as_json(it: Mapping) -> dict[str, Any]:
    """As the state file keeps it."""
    return {
        "business": it.business,
        "group_id": it.group_id,
        "active": it.active,
        "properties": [property_as_json(each) for each in it.properties],
        "status": it.status,
        "frequency": it.frequency,
        "next_run_time": it.next_run_time,
    }


def mapping_from_json(value: dict[str, Any]) -> Mapping:
    """The reverse of ``mapping_as_json``."""
    properties = tuple(map(property_from_json, value["properties"]))
    rest = {key: value[key] for key in ("status", "frequency", "next_run_time")}
    return Mapping(value["business"], value["group_id"], value["active"], properties, **rest)
