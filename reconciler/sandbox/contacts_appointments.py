"""The appointment endpoints of the emulated contacts API: the provisional contract of ``sync.md``, *Reminders*.

``PUT /v1/appointments/{externalId}``, ``GET /v1/appointments/requests?after=…&limit=…``, ``POST
/v1/appointments/requests/{requestId}/result``. Keys, limits and errors are those of the other endpoints.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final
from urllib.parse import unquote

from reconciler.sandbox.contacts_api import PREFIX, Call, Refused, admit, check_email, error, parsed_body
from reconciler.sandbox.contacts_book import CUSTOMER, MEMBERS, STATUSES
from reconciler.sandbox.contacts_world import ContactsWorld
from reconciler.sandbox.http import Request, Response, json_response

PATH: Final = PREFIX + "/v1/appointments"
MOST: Final = 100
_RESULT: Final = re.compile(r"/requests/(?P<request>[^/]+)/result")
_UPSERT: Final = re.compile(r"/(?P<external>[^/]+)")


def handle(request: Request, world: ContactsWorld) -> Response:
    """Answer a request; its path begins with ``PATH``."""
    path = request.path.removeprefix(PATH).rstrip("/")
    with world.lock:
        upsert, result = _UPSERT.fullmatch(path), _RESULT.fullmatch(path)
        try:
            if request.method == "GET" and path == "/requests":
                world.requests["requests"] += 1
                return _requests(admit(request, world))
            if request.method == "POST" and result is not None:
                world.requests["result"] += 1
                return _result(admit(request, world), unquote(result["request"]))
            if request.method == "PUT" and upsert is not None and path != "/requests":
                world.requests["appointment"] += 1
                return _upsert(admit(request, world), unquote(upsert["external"]))
        except Refused as refused:
            return error(refused, world)
    return json_response({"code": 404, "message": "Not found"}, 404)


def _upsert(call: Call, external_id: str) -> Response:
    world, body = call.world, parsed_body(call.request)
    if body.get("externalId") != external_id or body.get("status") not in STATUSES:
        raise Refused(4091)
    for name in ("start", "updatedAt", *(["end"] if "end" in body else [])):
        try:
            if datetime.fromisoformat(str(body.get(name))).tzinfo is None:
                raise Refused(4091)
        except ValueError:
            raise Refused(4091) from None
    customer = body.get("customer", {})
    if not isinstance(customer, dict):
        raise Refused(4091)
    check_email(customer.get("emailId"))
    _inspect(world, body, customer)
    number = world.book.upsert(call.business, external_id, body, world.clock())
    if number is None:
        raise Refused(4090)
    return json_response({"appointmentId": number})


def _inspect(world: ContactsWorld, body: dict[str, Any], customer: dict[str, Any]) -> None:
    """Note what an upsert carries beyond the contract. Names of members only, never values."""
    world.violations += [f"unknown member {name}" for name in sorted(set(body) - MEMBERS)]
    world.violations += [f"unknown member customer.{name}" for name in sorted(set(customer) - CUSTOMER)]
    if "timeZone" not in body:
        world.violations.append("an appointment without a time zone")


def _requests(call: Call) -> Response:
    cursor, limit = call.request.first("after") or "0", call.request.first("limit") or "25"
    if not (cursor.isascii() and cursor.isdigit() and limit.isascii() and limit.isdigit()):
        raise Refused(4091)
    if int(limit) > MOST:
        raise Refused(2347)
    found = call.world.book.after(call.business, int(cursor), int(limit))
    following = str(found[-1].number) if found else cursor
    return json_response({"items": [it.item for it in found], "next": following})


def _result(call: Call, request_id: str) -> Response:
    body = parsed_body(call.request)
    asked = call.world.book.find(call.business, request_id)
    if asked is None:
        raise Refused(4092)
    if body.get("outcome") not in ("accepted", "rejected"):
        raise Refused(4091)
    if asked.results and asked.results[-1]["outcome"] != body["outcome"]:
        raise Refused(4093)
    asked.results.append(body)
    return json_response({"requestId": request_id})
