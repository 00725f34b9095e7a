"""Changes that somebody makes behind the API: what a dashboard user, or another team, would do.

Each is a JSON object with ``action``:

- ``set_property``, ``remove_property``: ``group`` or ``group`` and ``business``; ``key``, ``value``, ``secure``
- ``set_active``: ``business``, ``group``, ``active``; ``set_status``: likewise, ``status`` (null: by the flag)
- ``set_next_run``: ``business``, ``group``, ``next_run_time``
- ``set_triggers``: ``group``, ``triggers`` (ids); ``set_catalogue``: ``trigger``, ``active``
- ``add_group``: ``parent``, ``source`` (22), ``triggers``; ``add_mapping``: ``business``, ``group``, ``active``
- ``delete_group``: ``group``; ``delete_mapping``: ``business``, ``group``
- ``set_locations``: ``practice_id``, ``names``: what Nextech lists from now on (not kept in a state file)
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.errors import UsageError
from reconciler.sandbox.practices import Place
from reconciler.sandbox.records import Group, Mapping, Property, group_as_json, mapping_as_json

if TYPE_CHECKING:
    from reconciler.sandbox.world import World


def change(world: World, wanted: dict[str, Any]) -> dict[str, Any]:
    """Carry out one change and make it durable. Answers the changed object; raises ``UsageError`` or ``KeyError``."""
    with world.lock:
        answer = _changed(world, wanted)
        world.commit()
    return answer


def _changed(world: World, wanted: dict[str, Any]) -> dict[str, Any]:
    match wanted.get("action"):
        case "add_group":
            triggers = tuple((it, 1) for it in wanted.get("triggers", ()))
            return group_as_json(world.add_group(Group(0, wanted["parent"], wanted.get("source", 22), triggers)))
        case "delete_group":
            world.delete_group(wanted["group"])
            return {}
        case "set_triggers":
            group = replace(world.groups[wanted["group"]], triggers=tuple((it, 1) for it in wanted["triggers"]))
            world.put_group(group)
            return group_as_json(group)
        case "set_catalogue":
            world.set_trigger_active(wanted["trigger"], wanted["active"])
            return {}
        case "set_locations":
            practice = world.practices[wanted["practice_id"]]
            places = tuple(Place(str(9000 + index), name) for index, name in enumerate(wanted["names"]))
            world.practices[practice.practice_id] = replace(practice, locations=places)
            return {}
        case "add_mapping":
            mapping = Mapping(wanted["business"], wanted["group"], wanted.get("active", True))
        case "set_active":
            mapping = replace(_mapping(world, wanted), active=wanted["active"])
        case "set_status":
            mapping = replace(_mapping(world, wanted), status=wanted["status"])
        case "set_next_run":
            mapping = replace(_mapping(world, wanted), next_run_time=wanted["next_run_time"])
        case "delete_mapping":
            world.delete_mapping(wanted["business"], wanted["group"])
            return {}
        case "set_property" | "remove_property":
            return _property(world, wanted)
        case other:
            raise UsageError(f"{other}: not a change that the sandbox knows")
    world.put_mapping(mapping)
    return mapping_as_json(mapping)


def _mapping(world: World, wanted: dict[str, Any]) -> Mapping:
    return world.mappings[(wanted["business"], wanted["group"])]


def _property(world: World, wanted: dict[str, Any]) -> dict[str, Any]:
    owner = _mapping(world, wanted) if "business" in wanted else world.groups[wanted["group"]]
    kept = {it.key: it for it in owner.properties}
    if wanted["action"] == "set_property":
        before = kept.get(wanted["key"])
        secure = wanted.get("secure", before.secure if before else False)
        kept[wanted["key"]] = Property(wanted["key"], wanted["value"], secure)
    else:
        del kept[wanted["key"]]
    properties = tuple(kept.values())
    if isinstance(owner, Mapping):
        changed = replace(owner, properties=properties)
        world.put_mapping(changed)
        return mapping_as_json(changed)
    group = replace(owner, properties=properties)
    world.put_group(group)
    return group_as_json(group)
