"""Values in the one form in which declared, recorded and live are compared.

Lists are sets, numbers are numbers, a secret is its keyed fingerprint. A fingerprint function maps (key, canonical
value) to 32 hex digits; it comes from the store, so the core never holds the key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from reconciler.core import live
from reconciler.core.sources import nextech

Fingerprint = Callable[[str, str], str]


@dataclass(frozen=True, slots=True)
class Value:
    """One comparable value. ``wire`` is empty for a secret, whose ``canon`` is a full fingerprint."""

    wire: str
    canon: str
    secret: bool = False

    @property
    def display(self) -> str:
        """What a plan may show: the wire value, or ``#`` and 8 digits of the fingerprint."""
        return short(self.canon) if self.secret else self.wire


def short(fingerprint: str) -> str:
    """A fingerprint as plans print it."""
    return f"#{fingerprint[:8]}"


@lru_cache(maxsize=65_536)
def canonical(key: str, value: str) -> str:
    """The canonical form of a wire value of one property key. Unknown keys compare as they are."""
    field = nextech.BY_KEY.get(key)
    if field is None:
        return value
    if field.kind == "list":
        return field.separator.join(sorted(items(field, value)))
    stripped = value.strip()
    if field.kind == "int":
        try:
            return str(int(stripped))
        except ValueError:
            return stripped
    return stripped


@lru_cache(maxsize=65_536)
def items(field: nextech.Field, value: str) -> frozenset[str]:
    """The items of a list on the wire, trimmed, empty ones dropped."""
    return frozenset(part for raw in value.split(field.separator) if (part := raw.strip()))


@lru_cache(maxsize=65_536)
def plain(key: str, wire: str) -> Value:
    """A value that is no secret."""
    return Value(wire, canonical(key, wire))


@lru_cache(maxsize=65_536)
def recorded(wire: str, canon: str) -> Value:
    """A value that is no secret, as a record has it."""
    return Value(wire, canon)


def secret(fingerprint: str) -> Value:
    """A secret, by its full fingerprint."""
    return Value("", fingerprint, secret=True)


def fingerprint_of(key: str, value: Value, fingerprint: Fingerprint) -> str:
    """What a receipt holds for a value."""
    return value.canon if value.secret else fingerprint(key, value.canon)


def of_property(prop: live.Property, fingerprint: Fingerprint) -> Value | None:
    """A live property, comparable; None where it is masked or has no value."""
    field = nextech.BY_KEY.get(prop.key)
    secure = prop.secure or (field is not None and field.secure)
    if secure and live.Property(prop.key, prop.value, secure=True).is_masked:
        return None
    if prop.value is None:
        return plain(prop.key, "")
    return secret(fingerprint(prop.key, prop.value.strip())) if secure else plain(prop.key, prop.value)
