"""Request bodies and parameters, checked as strictly as a server that answers 400 would."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from reconciler.sandbox.records import Property

if TYPE_CHECKING:
    from reconciler.sandbox.http import Request


class BadRequest(Exception):
    """The request cannot be carried out: a status, a code, and a message without any value that may be secret."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


def json_object(request: Request) -> dict[str, Any]:
    """The body as a JSON object."""
    if "json" not in request.headers.get("content-type", ""):
        raise BadRequest(4150, "Content-Type must be application/json", status=415)
    try:
        value = json.loads(request.body)
    except (ValueError, RecursionError):
        raise BadRequest(4000, "The body is not JSON") from None
    if not isinstance(value, dict):
        raise BadRequest(4000, "The body is not a JSON object")
    return value


def _member(body: dict[str, Any], name: str) -> Any:
    if name not in body:
        raise BadRequest(4000, f"{name} is missing")
    return body[name]


def number(body: dict[str, Any], name: str) -> int:
    """A whole number. Neither true, nor a fraction, nor a string will do."""
    value = _member(body, name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise BadRequest(4000, f"{name} must be a whole number")
    return value


def flag(body: dict[str, Any], name: str) -> bool:
    """True or false."""
    value = _member(body, name)
    if not isinstance(value, bool):
        raise BadRequest(4000, f"{name} must be true or false")
    return value


def _objects(body: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = _member(body, name)
    if not isinstance(value, list) or not all(isinstance(it, dict) for it in value):
        raise BadRequest(4000, f"{name} must be a list of objects")
    return value


def triggers(body: dict[str, Any]) -> tuple[tuple[int, int], ...]:
    """Pairs of trigger id and trigger type id, each once."""
    found = [
        (number(it, "triggerId"), number(it, "triggerTypeId")) for it in _objects(body, "integrationGroupTriggers")
    ]
    if len(set(found)) < len(found):
        raise BadRequest(4000, "integrationGroupTriggers names a trigger twice")
    return tuple(found)


def properties(body: dict[str, Any], name: str) -> tuple[Property, ...] | None:
    """The properties of a body, or None where it has no such member."""
    if name not in body:
        return None
    found: dict[str, Property] = {}
    for it in _objects(body, name):
        key, value, secure = it.get("propertyKey"), it.get("propertyValue"), it.get("isSecure", False)
        if not isinstance(key, str) or not key:
            raise BadRequest(4000, f"{name}: propertyKey must be a string")
        if not isinstance(value, str):
            raise BadRequest(4000, f"{name}: propertyValue must be a string")
        if not isinstance(secure, bool):
            raise BadRequest(4000, f"{name}: isSecure must be true or false")
        if key in found:
            raise BadRequest(4000, f"{name}: a propertyKey stands there twice")
        found[key] = Property(key, value, secure)
    return tuple(found.values())


def number_in_path(text: str, what: str) -> int:
    """A whole number written in ASCII digits, at most 18 of them."""
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise BadRequest(4000, f"The {what} must be a whole number")
    return int(text)


def flag_in_query(request: Request, name: str) -> bool:
    """A query parameter that is true or false; false where it is absent."""
    text = request.first(name)
    if text not in (None, "true", "false"):
        raise BadRequest(4000, f"{name} must be true or false")
    return text == "true"
