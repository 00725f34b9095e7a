"""Reading of answers whose shape is known in part: numbers may be texts and the reverse, and more may be there.

Each function raises ``Misshapen`` for what cannot be meant; its text names members, never values.
"""

from __future__ import annotations

import re
from typing import Any

NUMBER = re.compile(r"[+-]?[0-9]{1,19}(\.0+)?")
TRUE = frozenset({"true", "1", "yes", "y", "active", "enabled"})
FALSE = frozenset({"false", "0", "no", "n", "inactive", "disabled"})


class Misshapen(ValueError):
    """An answer is not of the shape that its endpoint gives."""


def whole(value: object, member: str) -> int:
    """A whole number, also from a text."""
    number = whole_or_none(value)
    if number is None:
        raise Misshapen(f"{member} is not a whole number")
    return number


def whole_or_none(value: object) -> int | None:
    """A whole number, also from a text; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        return int(value.strip().split(".")[0])
    return None


def flag_or_none(value: object, member: str) -> bool | None:
    """A flag, also from a text or a number; None where there is none."""
    if value is None or isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, (str, int)) else ""
    if word in TRUE:
        return True
    if word in FALSE:
        return False
    raise Misshapen(f"{member} is neither true nor false")


def text_or_none(value: object, member: str) -> str | None:
    """A text, also from a number or a flag; None where there is none."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, (int, float)):
        return str(value)
    raise Misshapen(f"{member} is not a text")


def objects(value: object, member: str) -> list[dict[str, Any]]:
    """A list of objects."""
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Misshapen(f"{member} is not a list of objects")
    return value


def objects_or_none(value: object, member: str) -> list[dict[str, Any]] | None:
    """A list of objects; None where there is none."""
    return None if value is None else objects(value, member)
