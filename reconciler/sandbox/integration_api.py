"""Birdeye's integration API: a function from request to response over a world, in a dialect.

Paths, bodies and names are those of ``integration-api.md``. What it leaves open is an option of ``dialects.Dialect``.
Error codes are made up, since none is documented.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from reconciler.sandbox import bodies
from reconciler.sandbox.answers import Answers
from reconciler.sandbox.bodies import BadRequest
from reconciler.sandbox.dialects import RICH, Dialect
from reconciler.sandbox.records import Group, Mapping, Property

if TYPE_CHECKING:
    from reconciler.sandbox.http import Request, Response
    from reconciler.sandbox.world import World

CATALOGUE_PATH = "/integration/trigger/integrationtriggers/sourceid/"
GROUPS_PATH = "/integration/businessintegrationgroup/"
ADD_GROUP_PATH = "/integration/add/businessintegrationgroup"
UPDATE_GROUP_PATH = "/integration/update/businessintegrationgroup"
ADD_MAPPING_PATH = "/integration/add/businessintegrationmapping"
MAPPINGS_PATH = "/integration/businessintegrationmapping/"
LOCATIONS_PATH = "/nextech/locations"
PRACTITIONERS_PATH = "/nextech/practitioners"

_EXACT = {
    ADD_GROUP_PATH: ("PUT", "G+"),
    UPDATE_GROUP_PATH: ("POST", "Gu"),
    ADD_MAPPING_PATH: ("PUT", "M+"),
    LOCATIONS_PATH: ("GET", "L"),
    PRACTITIONERS_PATH: ("GET", "P"),
}
_BEGINNING = {CATALOGUE_PATH: ("GET", "T"), GROUPS_PATH: ("GET", "G"), MAPPINGS_PATH: ("GET", "Mg")}
LETTERS = ("T", "G", "G+", "Gu", "M+", "Mg", "L", "P")
WRITES = ("G+", "Gu", "M+")


def endpoint_of(request: Request) -> str | None:
    """The letter that ``integration-api.md`` gives this path, whatever the method; None for any other path."""
    exact = _EXACT.get(request.path)
    if exact is not None:
        return exact[1]
    for beginning, (_, letter) in _BEGINNING.items():
        if request.path.startswith(beginning):
            return letter
    return None


def handle(request: Request, world: World, dialect: Dialect = RICH) -> Response:
    """Answer one request. The caller holds the world's lock."""
    answers = Answers(dialect, world)
    letter = endpoint_of(request)
    if letter is None or (letter == "Mg" and dialect.mapping_endpoint == "404"):
        return answers.error(404, 404, "No such path")
    if letter == "Mg" and dialect.mapping_endpoint == "405":
        return answers.error(405, 405, "Method not allowed")
    method = _EXACT[request.path][0] if request.path in _EXACT else "GET"
    if request.method != method:
        return answers.error(405, 405, f"Method not allowed, use {method}")
    try:
        return _HANDLERS[letter](request, world, answers)
    except BadRequest as bad:
        return answers.error(bad.status, bad.code, str(bad))


def _catalogue(request: Request, world: World, answers: Answers) -> Response:
    source = bodies.number_in_path(request.path.removeprefix(CATALOGUE_PATH), "source id")
    return answers.json([answers.trigger(it) for it in world.catalogue.values() if it.source_id == source])


def _groups(request: Request, world: World, answers: Answers) -> Response:
    parent = bodies.number_in_path(request.path.removeprefix(GROUPS_PATH), "business number")
    _check_readable(parent, world, answers.dialect)
    groups = world.groups_of(parent, lag_seconds=answers.dialect.read_lag_seconds)
    if not groups and answers.dialect.no_groups == "404":
        return answers.error(404, 4041, f"No integration group of business {parent}")
    return answers.json([answers.group(it) for it in groups])


def _mappings(request: Request, world: World, answers: Answers) -> Response:
    business = bodies.number_in_path(request.path.removeprefix(MAPPINGS_PATH), "business number")
    _check_readable(business, world, answers.dialect)
    found = world.mappings_of(business, lag_seconds=answers.dialect.read_lag_seconds)
    return answers.json([answers.mapping(it) for it in found])


def _check_readable(business: int, world: World, dialect: Dialect) -> None:
    if not world.knows_business(business) and dialect.unknown_business in ("404", "400"):
        raise BadRequest(4040, f"Business {business} does not exist", status=int(dialect.unknown_business))


def _check_writable(business: int, world: World, dialect: Dialect) -> None:
    if not world.knows_business(business) and dialect.unknown_business != "accepted":
        raise BadRequest(4001, f"Business {business} does not exist")


def _triggers(body: dict[str, Any], source: int, world: World) -> tuple[tuple[int, int], ...]:
    wanted = bodies.triggers(body)
    for trigger_id, type_id in wanted:
        known = world.catalogue.get(trigger_id)
        if known is None or known.source_id != source:
            raise BadRequest(4003, f"Trigger {trigger_id} does not exist for source {source}")
        if not known.active:
            raise BadRequest(4004, f"Trigger {trigger_id} is not active")
        if type_id not in {each for each, _ in known.types}:
            raise BadRequest(4005, f"Trigger {trigger_id} has no type {type_id}")
    return wanted


def _add_group(request: Request, world: World, answers: Answers) -> Response:
    body = bodies.json_object(request)
    parent = bodies.number(body, "parentBusinessNumber")
    source = bodies.number(body, "integrationSourceId")
    properties = bodies.properties(body, "integrationGroupProperties") or ()
    if source not in {it.source_id for it in world.catalogue.values()}:
        raise BadRequest(4002, f"Integration source {source} does not exist")
    triggers = _triggers(body, source, world) if "integrationGroupTriggers" in body else ()
    _check_writable(parent, world, answers.dialect)
    made = world.add_group(Group(0, parent, source, triggers, _stored((), properties, answers.dialect, replaces=True)))
    return answers.created(made)


def _update_group(request: Request, world: World, answers: Answers) -> Response:
    replaces = bodies.flag_in_query(request, "replaceTriggers")
    body = bodies.json_object(request)
    group = _group(body, "groupId", world)
    properties = bodies.properties(body, "integrationGroupProperties")
    if properties is not None:
        if answers.dialect.group_post == "rejects":
            raise BadRequest(4007, "integrationGroupProperties is not accepted here")
        if answers.dialect.group_post != "ignores":
            whole = answers.dialect.group_post == "replaces"
            stored = _stored(group.properties, properties, answers.dialect, replaces=whole)
            group = replace(group, properties=stored)
    if "integrationGroupTriggers" in body:
        wanted = _triggers(body, group.source_id, world)
        kept = () if replaces else group.triggers
        group = replace(group, triggers=(*kept, *(it for it in wanted if it not in kept)))
    elif replaces:
        raise BadRequest(4008, "integrationGroupTriggers is missing, and replaceTriggers is true")
    world.put_group(group)
    return answers.updated(group)


def _group(body: dict[str, Any], member: str, world: World) -> Group:
    group_id = bodies.number(body, member)
    found = world.groups.get(group_id)
    if found is None:
        raise BadRequest(4006, f"Integration group {group_id} does not exist")
    return found


def _add_mapping(request: Request, world: World, answers: Answers) -> Response:
    body = bodies.json_object(request)
    business = bodies.number(body, "businessNumber")
    active = bodies.flag(body, "active")
    properties = bodies.properties(body, "integrationProperties")
    group = _group(body, "integrationGroupId", world)
    _check_writable(business, world, answers.dialect)
    before = world.mappings.get((business, group.group_id))
    whole = answers.dialect.mapping_put == "replaces"
    stored = _stored(before.properties if before else (), properties or (), answers.dialect, replaces=whole)
    mapping = Mapping(business, group.group_id, active, stored, next_run_time="2026-11-25T11:00:00Z")
    if before is not None:
        mapping = replace(before, active=active, properties=stored)
    world.put_mapping(mapping)
    return answers.mapped(mapping)


def _stored(
    before: tuple[Property, ...], given: tuple[Property, ...], dialect: Dialect, *, replaces: bool
) -> tuple[Property, ...]:
    """The properties after a write, in the form in which the dialect's server keeps them."""
    kept = {} if replaces else {it.key: it for it in before}
    for each in given:
        value = each.value
        separator = "|" if "|" in value else ","
        if dialect.trims:
            value = separator.join(part.strip() for part in value.split(separator))
        if dialect.sorts_items:
            value = separator.join(sorted(value.split(separator)))
        if dialect.drops_empty and not value:
            kept.pop(each.key, None)
        else:
            kept[each.key] = replace(each, value=value)
    return tuple(kept.values())


def _locations(request: Request, world: World, answers: Answers) -> Response:
    practice = _practice(request, world)
    names = {it.name for it in practice.locations} if practice is not None else set()
    asked = request.first("businessNumber")
    if asked:
        business = bodies.number_in_path(asked, "businessNumber")
        mappings = world.mappings_of(business)
        if not mappings:
            raise BadRequest(4009, f"Business {business} is not set up")
        configured = {it.value for each in mappings for it in each.properties if it.key == "location.name"}
        missing = sorted({name for value in configured for name in value.split("|") if name} - names)
        if missing:
            raise BadRequest(4010, f"configured locations do not exist in nextech: {', '.join(missing)}")
    return answers.places(practice.locations if practice is not None else (), "locations")


def _practitioners(request: Request, world: World, answers: Answers) -> Response:
    practice = _practice(request, world)
    return answers.places(practice.practitioners if practice is not None else (), "practitioners")


def _practice(request: Request, world: World) -> Any:
    """The practice that a look-up names; None where it belongs to the other Nextech product."""
    practice_id = request.first("practiceId")
    if not practice_id:
        raise BadRequest(4011, "practiceId is missing")
    practice_plus = bodies.flag_in_query(request, "nextechNewVersion")
    practice = world.practices.get(practice_id)
    if practice is None:
        raise BadRequest(4012, "Nextech does not know this practice id")
    return practice if practice.practice_plus == practice_plus else None


_HANDLERS = {
    "T": _catalogue,
    "G": _groups,
    "G+": _add_group,
    "Gu": _update_group,
    "M+": _add_mapping,
    "Mg": _mappings,
    "L": _locations,
    "P": _practitioners,
}
