"""Tolerant reading of JSON values as Nextech writes them: one function per kind of value.

Nothing here trusts a type: a number may come as a string, a scalar as an array of one, a missing value as ``null`` or
``""`` (``nextech-api.md`` sections 5.3, 6.3, 9). What cannot be read raises ``Malformed`` with a reason code and never
with the value. Optional values are read with ``soft``, which gives None instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, TypeVar

from reconciler.core.phi import Phi, wrap

T = TypeVar("T")

Json = Mapping[str, Any]

_MAX_ID = 64
"""FHIR STU3, data type ``id``: at most 64 characters."""
_MAX_TEXT = 20_000
_INSTANT = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)"
    r"(?:[Tt ](\d\d):(\d\d)(?::(\d\d)(?:[.,](\d{1,9}))?)?(Z|z|[+-]\d\d:?\d\d)?)?",
    re.ASCII,
)
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?(?:[Tt].*)?", re.ASCII)
_SURROGATE = re.compile("[\ud800-\udfff]")
_MAX_OFFSET = timedelta(hours=14)


class Malformed(Exception):
    """A value that cannot be read. ``reason`` is a stable code such as ``start_without_offset``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def soft(read: Callable[[Any], T | None], value: Any) -> T | None:
    """What ``read`` gives, or None where the value cannot be read."""
    try:
        return read(value)
    except Malformed:
        return None


def scalar(value: Any) -> Any:
    """The one value of an array of one; None for an empty array; other arrays and objects are malformed."""
    depth = 0
    while isinstance(value, list | tuple):
        if not value:
            return None
        if len(value) > 1 or depth > 1:
            raise Malformed("array_for_scalar")
        value, depth = value[0], depth + 1
    if isinstance(value, Mapping):
        raise Malformed("object_for_scalar")
    return value


def text(value: Any) -> str | None:
    """Trimmed text; None for null and for the empty string; whole numbers become text."""
    if not isinstance(value, str):
        value = scalar(value)
        if value is None:
            return None
        if isinstance(value, bool):
            raise Malformed("boolean_for_text")
        if isinstance(value, int | float):
            return _number(value)
        if not isinstance(value, str):
            raise Malformed("not_text")
    if len(value) > _MAX_TEXT:
        raise Malformed("text_too_long")
    if "\0" in value or (not value.isascii() and _SURROGATE.search(value)):
        # Half a surrogate pair or a NUL: no database column and no request could hold it.
        raise Malformed("text_not_unicode")
    return value.strip() or None


def _number(value: float) -> str:
    if not -(10**18) < value < 10**18:  # also false for NaN; math.isfinite fails on a huge whole number
        raise Malformed("number_out_of_range")
    return str(int(value)) if value == int(value) else repr(value)


def identifier(value: Any) -> str | None:
    """An id: text of at most 64 characters without white space, ``/`` or control characters. ``0`` is an id."""
    found = text(value)
    if found is not None and (len(found) > _MAX_ID or not found.isprintable() or re.search(r"[\s/?#]", found)):
        raise Malformed("id_malformed")
    return found


def whole(value: Any) -> int | None:
    """A whole number, also as text."""
    found = text(value)
    if found is None:
        return None
    if not re.fullmatch(r"-?\d{1,18}", found, re.ASCII):
        raise Malformed("not_a_number")
    return int(found)


def flag(value: Any) -> bool | None:
    """A boolean, also as ``"true"``, ``"false"``, 1 or 0 (the create example of ``nextech-api.md`` 6.5 sends text)."""
    value = scalar(value)
    if value is None or isinstance(value, bool):
        return value
    word = (text(value) or "").casefold()
    if word in {"true", "1", "yes"}:
        return True
    if word in {"false", "0", "no"}:
        return False
    raise Malformed("not_a_boolean")


def items(value: Any) -> tuple[Any, ...]:
    """The items of an array; a single value stands for an array of one; null for none. Nulls inside are left out."""
    if value is None:
        return ()
    if isinstance(value, list | tuple):
        return tuple(it for it in value if it is not None)
    return (value,)


def objects(value: Any) -> tuple[Json, ...]:
    """The objects of an array, as ``items``; what is not an object is left out."""
    return tuple([it for it in items(value) if type(it) is dict or isinstance(it, Mapping)])


def instant(value: Any, name: str) -> datetime:
    """An aware moment in UTC. ``name`` begins the reason code of a refusal.

    Refused: no value, a date alone, a moment without offset (whose midnight or zone is meant is not documented, and a
    wrong guess contacts a day too early). ``24:00`` is the next midnight, second 60 the next minute, further fraction
    digits than microseconds are cut.
    """
    found = text(value)
    if found is None:
        raise Malformed(f"{name}_missing")
    match = _INSTANT.fullmatch(found)
    if match is None:
        raise Malformed(f"{name}_malformed")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if hour is None:
        raise Malformed(f"{name}_date_only")
    if offset is None:
        raise Malformed(f"{name}_without_offset")
    try:
        moment = datetime(int(year), int(month), int(day), tzinfo=_zone(offset))
        moment += _clock(int(hour), int(minute), int(second or 0), int((fraction or "0").ljust(6, "0")[:6]))
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Malformed(f"{name}_malformed") from None


def _clock(hour: int, minute: int, second: int, microsecond: int) -> timedelta:
    if hour > 24 or minute > 59 or second > 60 or (hour == 24 and (minute or second or microsecond)):
        raise ValueError
    return timedelta(hours=hour, minutes=minute, seconds=second, microseconds=microsecond)


def _zone(offset: str) -> timezone:
    if offset in {"Z", "z"}:
        return UTC
    minutes = int(offset[-2:])
    ahead = timedelta(hours=int(offset[1:3]), minutes=minutes)
    if minutes > 59 or ahead > _MAX_OFFSET:
        raise ValueError
    return timezone(-ahead if offset[0] == "-" else ahead)


def birth_date(value: Any) -> date | None:
    """A date of birth. A year or a month alone gives its last day: the youngest that the person can be."""
    found = text(value)
    if found is None:
        return None
    match = _DATE.fullmatch(found)
    if match is None:
        raise Malformed("date_malformed")
    year, month, day = match.groups()
    try:
        if day is not None:
            return date(int(year), int(month), int(day))
        if month is not None:
            return date(int(year) + int(month) // 12, int(month) % 12 + 1, 1) - timedelta(days=1)
        return date(int(year), 12, 31)
    except (ValueError, OverflowError):
        raise Malformed("date_malformed") from None


@dataclass(frozen=True, slots=True)
class Reference:
    """A FHIR reference: what kind of thing (lower case), its id, and how it was displayed (trimmed)."""

    kind: str
    id: str | None
    display: str | None


def reference(value: Any) -> Reference | None:
    """``{"reference": "Patient/ID", "display": …}``; absolute URLs, versions and ``#contained`` ids are understood.

    ``kind`` is empty where only a display is given (Practice+ purposes), ``#`` for an id into ``contained``.
    """
    if isinstance(value, list | tuple):
        value = value[0] if len(value) == 1 else None
    if isinstance(value, str):
        value = {"reference": value}
    if type(value) is not dict and not isinstance(value, Mapping):  # asking the abstract class takes ten times as long
        return None
    display = soft(text, value.get("display"))
    target = soft(text, value.get("reference"))
    if target is None:
        return Reference("", None, display) if display else None
    if target.startswith("#"):
        return Reference("#", soft(identifier, target[1:]), display)
    pieces = target.split("/")
    if "_history" in pieces:
        pieces = pieces[: pieces.index("_history")]
    kind, last = (pieces[-2], pieces[-1]) if len(pieces) > 1 else ("", pieces[-1])
    return Reference(kind.strip().casefold(), soft(identifier, last), display)


def extensions(resource: Json) -> Iterator[tuple[str, Json]]:
    """Each extension with its bare name, lower case: Select writes URLs, Practice+ bare names (section 8.1).

    ``…/structuredefinition/appointment-type#name`` is named ``appointment-type#name``.
    """
    for it in objects(resource.get("extension")):
        url = soft(text, it.get("url"))
        if url is not None:
            yield url.rstrip("/").rsplit("/", 1)[-1].casefold(), it


def extension_displays(resource: Json, name: str) -> tuple[str, ...]:
    """The displays of every ``valueReference`` of that extension, in order, each once."""
    found: dict[str, None] = {}
    for key, it in extensions(resource):
        if key == name:
            target = reference(it.get("valueReference"))
            shown = target.display if target is not None else soft(text, it.get("valueString"))
            if shown:
                found[shown] = None
    return tuple(found)


def official_id(resource: Json) -> str | None:
    """``id``, else the identifier with ``use: official``. Identifiers of other kinds (SSN!) are never looked at."""
    found = identifier(resource.get("id"))
    if found is not None:
        return found
    for it in objects(resource.get("identifier")):
        if (soft(text, it.get("use")) or "").casefold() == "official":
            found = identifier(it.get("value"))
            if found is not None:
                return found
    return None


def resource_type(resource: Any) -> str:
    """The stated type, lower case; empty where there is none."""
    return (_stated_type(resource) or "").casefold()


def _stated_type(resource: Any) -> str | None:
    return soft(text, resource.get("resourceType")) if isinstance(resource, Mapping) else None


def typed(resource: Any, expected: str) -> Json:
    """The resource as an object of the expected type; a missing type is tolerated, another one is not."""
    if not isinstance(resource, Mapping):
        raise Malformed("not_an_object")
    kind = resource_type(resource)
    if kind == "operationoutcome":
        raise Malformed("operation_outcome")
    if kind not in {"", expected.casefold()}:
        raise Malformed("another_type")
    return resource


def readable_id(resource: Any) -> Phi[str] | None:
    """The id as far as it can be read."""
    return wrap(soft(official_id, resource)) if isinstance(resource, Mapping) else None


def kept(resource: Json, key: str, wanted: bool) -> Phi[str] | None:
    """The text of one key, wrapped, where it is wanted."""
    return wrap(soft(text, resource.get(key))) if wanted else None


def last_updated(resource: Json) -> datetime | None:
    """``meta.lastUpdated``; None where it cannot be read (before Select 14.3 there is none)."""
    meta = resource.get("meta")
    return soft(lambda it: instant(it, "meta"), meta.get("lastUpdated")) if isinstance(meta, Mapping) else None


def plain(value: Any) -> str | None:
    """Text with every run of white space as one space and without control characters."""
    found = soft(text, value)
    if found is None:
        return None
    return "".join(it for it in " ".join(found.split()) if it.isprintable()).strip() or None
