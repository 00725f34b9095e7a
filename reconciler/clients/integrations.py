"""Birdeye's integration API: triggers, groups, mappings, and Nextech's locations and practitioners as it knows them.

Source of every path and shape: ``integration-api.md`` ([doc] the integration's support manual, [inferred] our reading).
A tolerant reader: unknown members are ignored, numbers may be texts and the reverse, the order of lists means nothing.
What an endpoint does not give (HTML, an object with ``code``, another shape) is ``errors.Garbage`` after a read and
``errors.Unknown`` after a write, which may have been carried out. Practice ids are secrets: no message has one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler import errors
from reconciler.clients import tolerant
from reconciler.clients.transport import Reply, Retry
from reconciler.core import live
from reconciler.core.sources import nextech

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from reconciler.clients.transport import Transport

HEADERS = {"cache-control": "no-cache"}  # [doc] as the manual's requests have it
T = TypeVar("T")
GOOD_CODES = frozenset({"0", "200", "201", "ok", "success"})
"""Codes of an answer object that say success [inferred]."""


class MappingsUnobservable(errors.Answered):
    """The server does not list mappings (404 or 405 on Mg, in ``status``). No failure: nobody can see them there.

    A 404 may also mean that this business has none; the two cannot be told apart.
    """


@dataclass(frozen=True, slots=True)
class NamedItem:
    """A location or practitioner as Nextech names it. ``id`` is empty where the answer has names only."""

    id: str
    name: str


class IntegrationsClient:
    """One method per endpoint. Thread-safe as the transport is. Counts by endpoint: T, G, G+, Gu, M+, Mg, L, P."""

    def __init__(
        self,
        transport: Transport,
        source_id: int = nextech.SOURCE_ID,
        *,
        source_name: str = nextech.SOURCE_NAME,
    ) -> None:
        self._transport = transport
        self._source_id = source_id
        self._source_name = source_name

    def triggers(self) -> tuple[live.Trigger, ...]:
        """T: the source's trigger catalogue, sorted by id, inactive entries included."""
        reply = self._get(f"/integration/trigger/integrationtriggers/sourceid/{self._source_id}", endpoint="T")
        return self._read(reply, self._triggers)

    def groups(self, business: int) -> tuple[live.LiveGroup, ...] | None:
        """G: this source's groups of a parent business, sorted by id; None where the answer is 404.

        A group whose answer names no source at all is given, with ``source_id`` None: leaving it out could lead to a
        second one.
        """
        path = f"/integration/businessintegrationgroup/{business}"
        reply = self._get(path, endpoint="G", accept_statuses=frozenset({404}))
        return None if reply.status == 404 else self._read(reply, self._groups)

    def mappings(self, business: int) -> tuple[live.LiveMapping, ...]:
        """Mg: the mappings of one business, sorted by group. Raises MappingsUnobservable for 404 and 405."""
        path = f"/integration/businessintegrationmapping/{business}"
        reply = self._get(path, endpoint="Mg", accept_statuses=frozenset({404, 405}))
        if reply.status in {404, 405}:
            message = f"GET {path}: answered {reply.status}: mappings cannot be observed"
            raise MappingsUnobservable(message, method="GET", path=path, status=reply.status)
        found = self._read(reply, lambda value: _mappings(value, business=business))
        return tuple(mapping for mapping in found if mapping.business == business)

    def create_group(
        self, business: int, *, properties: Sequence[live.Property], triggers: Sequence[tuple[int, int]]
    ) -> int | None:
        """G+: create a group; its id, or None where the answer has none. ``triggers`` are (id, type id).

        Never sent twice: a second one would be a second group. Raises errors.Unknown where it may have been created.
        """
        body: dict[str, Any] = {
            "parentBusinessNumber": business,
            "integrationGroupProperties": _wire(properties),
            "integrationSourceId": self._source_id,
            "integrationGroupTriggers": _wire_triggers(triggers),
        }
        try:
            reply = self._write(
                "PUT",
                "/integration/add/businessintegrationgroup",
                body,
                endpoint="G+",
                retry=Retry.ONCE,
                properties=properties,
            )
        except errors.Garbage as error:
            raise _unsure(error.message, error.method, error.path) from None
        return None if not reply.body.strip() else _created_id(_json_or_none(reply))

    def update_group(
        self,
        group_id: int,
        *,
        triggers: Sequence[tuple[int, int]] | None = None,
        properties: Sequence[live.Property] | None = None,
    ) -> None:
        """Gu: make ``triggers`` the exact set of a group's triggers, or upsert ``properties`` by key, or both.

        Without ``triggers`` the group's triggers are left alone.
        """
        if triggers is None and not properties:
            raise errors.InternalError("an update of a group without content")
        body: dict[str, Any] = {"groupId": group_id}
        if triggers is not None:
            body["integrationGroupTriggers"] = _wire_triggers(triggers)
        if properties:
            body["integrationGroupProperties"] = _wire(properties)
        self._write(
            "POST",
            "/integration/update/businessintegrationgroup",
            body,
            endpoint="Gu",
            retry=Retry.SAFE_WRITE,
            properties=properties or (),
            params=[("replaceTriggers", "false" if triggers is None else "true")],
        )

    def put_mapping(self, business: int, group_id: int, active: bool, properties: Sequence[live.Property] = ()) -> None:
        """M+: map one business to a group. May replace the whole property list, so ``properties`` must be complete."""
        body: dict[str, Any] = {"businessNumber": business, "active": active, "integrationGroupId": group_id}
        if properties:
            body["integrationProperties"] = _wire(properties)
        self._write(
            "PUT",
            "/integration/add/businessintegrationmapping",
            body,
            endpoint="M+",
            retry=Retry.SAFE_WRITE,
            properties=properties,
        )

    def locations(
        self, practice_id: str, *, business: int | None = None, new_version: bool = False
    ) -> tuple[NamedItem, ...]:
        """L: the locations that Nextech knows for a practice id, sorted by name.

        ``business`` only where that location is already set up, to check its configured names.
        """
        params = [("practiceId", practice_id)]
        if business is not None:
            params.append(("businessNumber", str(business)))
        return self._named("/nextech/locations", params, new_version=new_version, endpoint="L")

    def practitioners(self, practice_id: str, *, new_version: bool = False) -> tuple[NamedItem, ...]:
        """P: the practitioners of a practice id, sorted by name."""
        return self._named(
            "/nextech/practitioners", [("practiceId", practice_id)], new_version=new_version, endpoint="P"
        )

    def _named(
        self, path: str, params: list[tuple[str, str]], *, new_version: bool, endpoint: str
    ) -> tuple[NamedItem, ...]:
        params = [*params, ("nextechNewVersion", "true" if new_version else "false")]
        secrets = (params[0][1],)
        reply = self._get(path, endpoint=endpoint, params=params, secrets=secrets)
        return self._read(reply, _named_items, secrets=secrets)

    def _get(
        self,
        path: str,
        *,
        endpoint: str,
        params: Sequence[tuple[str, str]] = (),
        accept_statuses: frozenset[int] = frozenset(),
        secrets: Sequence[str] = (),
    ) -> Reply:
        return self._transport.send(
            "GET",
            path,
            params=params,
            headers=HEADERS,
            accept_statuses=accept_statuses,
            endpoint=endpoint,
            secrets=secrets,
        )

    def _write(
        self,
        method: str,
        path: str,
        body: dict[str, Any],
        *,
        endpoint: str,
        retry: Retry,
        properties: Sequence[live.Property],
        params: Sequence[tuple[str, str]] = (),
    ) -> Reply:
        secrets = tuple(item.value for item in properties if item.secure and item.value)
        reply = self._transport.send(
            method,
            path,
            params=params,
            json_body=body,
            headers=HEADERS,
            retry=retry,
            endpoint=endpoint,
            secrets=secrets,
        )
        if reply.body.lstrip()[:1] == b"<":
            raise _unsure(f"{method} {path}: answered {reply.status} with a web page", method, path)
        value = _json_or_none(reply)
        if said := self._error_object(value, secrets):
            raise _unsure(f"{method} {path}: answered {reply.status} with {said}", method, path)
        return reply

    def _read(self, reply: Reply, read: Callable[[Any], T], *, secrets: Sequence[str] = ()) -> T:
        value = reply.json()
        said = self._error_object(value, secrets)
        reason = ""
        if not said:
            try:
                return read(value)
            except tolerant.Misshapen as error:
                reason = str(error)
        what = said or f"what this endpoint does not give: {reason}"
        message = f"{reply.method} {reply.path}: answered {reply.status} with {what}"
        raise errors.Garbage(message, method=reply.method, path=reply.path)

    def _error_object(self, value: Any, secrets: Sequence[str]) -> str:
        """What an object with a ``code`` says went wrong, fit to be shown; empty for everything else."""
        if not isinstance(value, dict) or "code" not in value or str(value["code"]).strip().lower() in GOOD_CODES:
            return ""
        code = self._transport.shown(str(value["code"]), secrets)
        message = value.get("message")
        said = f": {self._transport.shown(message, secrets)}" if isinstance(message, str) else ""
        return f"an error of code {code}{said}"

    def _triggers(self, value: Any) -> tuple[live.Trigger, ...]:
        found = []
        for item in tolerant.objects(value, "the answer"):
            source = tolerant.whole_or_none(item.get("integrationSourceId"))
            if source is not None and source != self._source_id:
                continue
            types = tolerant.objects_or_none(item.get("integrationTriggerType"), "integrationTriggerType")
            trigger = live.Trigger(
                id=tolerant.whole(item.get("id"), "id"),
                service=tolerant.text_or_none(item.get("triggerService"), "triggerService") or "",
                display_name=tolerant.text_or_none(item.get("displayName"), "displayName") or "",
                active=tolerant.flag_or_none(item.get("active"), "active") is not False,
            )
            if types:
                ids = tuple(sorted({tolerant.whole(each.get("id"), "integrationTriggerType.id") for each in types}))
                trigger = live.Trigger(trigger.id, trigger.service, trigger.display_name, trigger.active, ids)
            found.append(trigger)
        return tuple(sorted(found, key=lambda trigger: (trigger.id, trigger.service)))

    def _groups(self, value: Any) -> tuple[live.LiveGroup, ...]:
        found = []
        for item in tolerant.objects(value, "the answer"):
            is_ours, source = self._source(item)
            if is_ours:
                found.append(_group(item, source))
        if len({group.group_id for group in found}) != len(found):
            raise tolerant.Misshapen("one groupId stands twice")
        return tuple(sorted(found, key=lambda group: group.group_id))

    def _source(self, item: dict[str, Any]) -> tuple[bool, int | None]:
        """Whether a group is of this source, and the source id that its answer shows."""
        shown = item.get("integrationSourceType")
        kind = shown if isinstance(shown, dict) else {"id": shown}
        source = tolerant.whole_or_none(kind.get("id"))
        if source is None:
            source = tolerant.whole_or_none(item.get("integrationSourceId"))
        if source is not None:
            return source == self._source_id, source
        name = kind.get("integrationSource")
        return not isinstance(name, str) or name.strip().upper() == self._source_name, None


def _group(item: dict[str, Any], source: int | None) -> live.LiveGroup:
    group_id = tolerant.whole(item.get("groupId", item.get("id")), "groupId")
    triggers = tolerant.objects_or_none(item.get("integrationGroupTriggers"), "integrationGroupTriggers")
    mappings = item.get("businessIntegrationMappings")
    return live.LiveGroup(
        group_id=group_id,
        source_id=source,
        triggers=None
        if triggers is None
        else tuple(sorted({tolerant.whole(each.get("triggerId"), "triggerId") for each in triggers})),
        properties=_properties(item.get("integrationGroupProperties"), "integrationGroupProperties"),
        mappings=None if mappings is None else _mappings(mappings, group_id=group_id),
    )


def _mappings(value: Any, *, business: int | None = None, group_id: int | None = None) -> tuple[live.LiveMapping, ...]:
    """Mappings sorted by business and group; what an item leaves out is the one that was asked about."""
    found = []
    for item in tolerant.objects(value, "the list of mappings"):
        shown_group = item.get("integrationGroupId", item.get("groupId"))
        found.append(
            live.LiveMapping(
                business=tolerant.whole(item.get("businessNumber", business), "businessNumber"),
                group_id=group_id if shown_group is None else tolerant.whole(shown_group, "integrationGroupId"),
                active=tolerant.flag_or_none(item.get("active"), "active"),
                properties=_properties(item.get("integrationProperties"), "integrationProperties"),
                status=tolerant.text_or_none(item.get("status"), "status"),
                frequency=tolerant.text_or_none(item.get("frequency"), "frequency"),
                next_run_time=tolerant.text_or_none(item.get("nextRunTime"), "nextRunTime"),
            )
        )
    return tuple(sorted(found, key=lambda each: (each.business, -1 if each.group_id is None else each.group_id)))


def _properties(value: Any, member: str) -> tuple[live.Property, ...] | None:
    items = tolerant.objects_or_none(value, member)
    if items is None:
        return None
    found = []
    for item in items:
        key = tolerant.text_or_none(item.get("propertyKey"), "propertyKey")
        if not key:
            raise tolerant.Misshapen(f"an item of {member} has no propertyKey")
        found.append(
            live.Property(
                key=key,
                value=tolerant.text_or_none(item.get("propertyValue"), "propertyValue"),
                secure=tolerant.flag_or_none(item.get("isSecure"), "isSecure") is True,
            )
        )
    return tuple(sorted(found, key=lambda each: (each.key, each.value or "")))


def _wire(properties: Sequence[live.Property]) -> list[dict[str, Any]]:
    """Properties as requests have them; ``isSecure`` is left out unless it is true [doc]."""
    written = []
    for item in properties:
        if item.value is None or item.is_masked:
            raise errors.InternalError(f"the property {item.key} has no value that could be sent")
        entry: dict[str, Any] = {"propertyKey": item.key, "propertyValue": item.value}
        if item.secure:
            entry["isSecure"] = True
        written.append(entry)
    return written


def _wire_triggers(triggers: Sequence[tuple[int, int]]) -> list[dict[str, int]]:
    return [{"triggerId": trigger, "triggerTypeId": kind} for trigger, kind in triggers]


def _json_or_none(reply: Reply) -> Any:
    try:
        return reply.json()
    except errors.Garbage:
        return None


def _created_id(value: Any, *, named_only: bool = False) -> int | None:
    """The group id in an answer to G+: bare, ``groupId``, ``id``, a whole group, or one of these one level down."""
    if not isinstance(value, dict):
        if isinstance(value, list) and len(value) == 1:
            return _created_id(value[0], named_only=named_only)
        return None if named_only else _positive(value)
    for member in ("groupId", "integrationGroupId", "businessIntegrationGroupId", "id"):
        if (found := _positive(value.get(member))) is not None:
            return found
    inner = [each for key, each in value.items() if key != "integrationSourceType" and isinstance(each, dict)]
    found_inside = {_created_id(each, named_only=True) for each in inner} - {None}
    if not found_inside and not named_only:
        # {"data": 150}: only where the member's name says that it wraps the result.
        found_inside = {_positive(value.get(member)) for member in ("data", "result", "response")} - {None}
    return found_inside.pop() if len(found_inside) == 1 else None


def _positive(value: Any) -> int | None:
    number = tolerant.whole_or_none(value)
    return number if number is not None and number > 0 else None


def _unsure(what: str, method: str, path: str) -> errors.Unknown:
    message = f"{what}; it may or may not have been carried out"
    return errors.Unknown(message, method=method, path=path, hint="plan again: it reads what is there first")


def _named_items(value: Any) -> tuple[NamedItem, ...]:
    """Items of L and P: a list of objects or of texts, or an object whose one list-valued member holds them."""
    if isinstance(value, dict):
        lists = [each for each in value.values() if isinstance(each, list)]
        if len(lists) != 1:
            raise tolerant.Misshapen("an object without exactly one list")
        value = lists[0]
    if not isinstance(value, list):
        raise tolerant.Misshapen("the answer is not a list")
    return tuple(sorted({_named_item(each) for each in value}, key=lambda item: (item.name, item.id)))


def _named_item(value: Any) -> NamedItem:
    if not isinstance(value, dict):
        name = tolerant.text_or_none(value, "a name")
        if not name:
            raise tolerant.Misshapen("an item is empty")
        return NamedItem("", name)
    item_id = tolerant.text_or_none(value.get("id"), "id") or ""
    name = tolerant.text_or_none(value.get("name"), "name") or ""
    if not item_id and not name:
        raise tolerant.Misshapen("an item has neither id nor name")
    return NamedItem(item_id, name)
