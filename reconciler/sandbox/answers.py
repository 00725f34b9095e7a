"""The answers of the integration API, in the shapes that the dialect chooses."""

from __future__ import annotations

import html
import random
from typing import TYPE_CHECKING, Any

from reconciler.sandbox.http import Response, json_response
from reconciler.sandbox.world import SOURCE_ID

if TYPE_CHECKING:
    from reconciler.sandbox.dialects import Dialect
    from reconciler.sandbox.practices import Place
    from reconciler.sandbox.records import CatalogueTrigger, Group, Mapping, Property
    from reconciler.sandbox.world import World

MASK = "********"


class Answers:
    """Shapes values of one world for one dialect."""

    def __init__(self, dialect: Dialect, world: World) -> None:
        self.dialect = dialect
        self._world = world

    def json(self, value: Any) -> Response:
        """A success with this body, after the freedoms that concern every body."""
        return json_response(self._spoken(value))

    def error(self, status: int, code: int, message: str) -> Response:
        """An answer that is not a success."""
        if self.dialect.errors == "text":
            return Response(status, message.encode(), (("Content-Type", "text/plain; charset=utf-8"),))
        if self.dialect.errors == "html":
            page = f"<html><head><title>{status}</title></head><body><h1>{html.escape(message)}</h1></body></html>"
            return Response(status, page.encode(), (("Content-Type", "text/html; charset=utf-8"),))
        return json_response({"code": code, "message": message}, status)

    def _spoken(self, value: Any) -> Any:
        dialect = self.dialect
        if isinstance(value, list):
            items = [self._spoken(it) for it in value]
            if dialect.order == "reversed":
                items.reverse()
            elif dialect.order == "shuffled":
                random.Random(f"{self._world.seed} {len(self._world.history)}").shuffle(items)
            return items
        if isinstance(value, dict):
            members = {key: self._spoken(it) for key, it in value.items() if it is not None or not dialect.drops_nulls}
            return members | {"revision": 1, "links": {"self": None}} if dialect.extra_members else members
        if isinstance(value, int) and not isinstance(value, bool) and dialect.numbers != "numbers":
            return str(value)
        if isinstance(value, str) and dialect.numbers == "swapped" and value.isdecimal() and str(int(value)) == value:
            return int(value)
        return value

    def trigger(self, it: CatalogueTrigger) -> dict[str, Any]:
        """One item of T."""
        return {
            "id": it.id,
            "integrationSourceId": it.source_id,
            "triggerService": it.service,
            "displayName": it.display_name,
            "description": it.description,
            "active": it.active,
            "integrationSourceName": "Nextech" if it.source_id == SOURCE_ID else "Example",
            "integrationTriggerType": [{"id": number, "name": name} for number, name in it.types],
        }

    def group(self, it: Group) -> dict[str, Any]:
        """One item of G."""
        name = "NEXTECH" if it.source_id == SOURCE_ID else "EXAMPLE"
        name = {"upper": name, "title": name.title(), "lower": name.lower()}[self.dialect.source_case]
        shown: dict[str, Any] = {
            "groupId": it.group_id,
            "integrationSourceType": {
                "id": it.source_id,
                "integrationSource": name,
                "sourceCategory": "Healthcare",
                "oauthEnabled": False,
            },
            "integrationGroupTriggers": [
                {"triggerId": trigger, "triggerTypeId": kind}
                if self.dialect.trigger_type_ids
                else {"triggerId": trigger}
                for trigger, kind in it.triggers
            ],
        }
        if self.dialect.group_properties:
            shown["integrationGroupProperties"] = self._properties(it.properties)
        if self.dialect.group_mappings:
            mappings = self._world.mappings_in(it.group_id, lag_seconds=self.dialect.read_lag_seconds)
            shown["businessIntegrationMappings"] = [self.mapping(each) for each in mappings]
        return shown

    def mapping(self, it: Mapping) -> dict[str, Any]:
        """One item of Mg."""
        shown: dict[str, Any] = {
            "businessNumber": it.business,
            "integrationGroupId": it.group_id,
            "active": it.active,
        }
        if self.dialect.mapping_properties:
            shown["integrationProperties"] = self._properties(it.properties)
        if self.dialect.mapping_status:
            shown["status"] = it.status or ("ACTIVE" if it.active else "INACTIVE")
            shown["frequency"] = it.frequency
            shown["nextRunTime"] = it.next_run_time if it.active else None
        return shown

    def _properties(self, properties: tuple[Property, ...]) -> list[dict[str, Any]]:
        return [self._property(it) for it in properties if not (it.secure and self.dialect.secure_values == "omitted")]

    def _property(self, it: Property) -> dict[str, Any]:
        shown: dict[str, Any] = {"propertyKey": it.key, "propertyValue": it.value}
        if it.secure:
            if self.dialect.secure_values == "absent":
                del shown["propertyValue"]
            elif self.dialect.secure_values in ("null", "masked"):
                shown["propertyValue"] = MASK if self.dialect.secure_values == "masked" else None
            shown["isSecure"] = True
        elif self.dialect.insecure_flags:
            shown["isSecure"] = False
        return shown

    def created(self, it: Group) -> Response:
        """The answer to G+."""
        match self.dialect.create_answer:
            case "integer":
                return self.json(it.group_id)
            case "groupId":
                return self.json({"groupId": it.group_id})
            case "id":
                return self.json({"id": it.group_id})
            case "group":
                return self.json(self.group(it))
            case "empty":
                return Response(200)
            case "no_content":
                return Response(204)

    def updated(self, it: Group) -> Response:
        """The answer to Gu."""
        return self._written(self.group(it))

    def mapped(self, it: Mapping) -> Response:
        """The answer to M+."""
        return self._written(self.mapping(it))

    def _written(self, shown: dict[str, Any]) -> Response:
        match self.dialect.write_answer:
            case "object":
                return self.json(shown)
            case "message":
                return self.json({"message": "success"})
            case "empty":
                return Response(200)

    def places(self, places: tuple[Place, ...], member: str) -> Response:
        """The answer to L and P."""
        match self.dialect.look_up_shape:
            case "strings":
                return self.json([it.name for it in places])
            case "wrapped":
                return self.json({"total": len(places), member: [{"id": it.id, "name": it.name} for it in places]})
            case "numbers":
                return self.json([{"id": int(it.id), "name": it.name} for it in places])
            case "objects":
                return self.json([{"id": it.id, "name": it.name} for it in places])
