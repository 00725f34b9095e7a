"""Plain values to a declaration, or to problems in the user's words, each at its place."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from reconciler.core import model
from reconciler.core.problems import Position, Problem, Severity
from reconciler.core.sources import nextech
from reconciler.core.suggest import listed, nearest, quoted, without_ids
from reconciler.declarations.yaml_events import MAX_PROBLEMS, Path, Places, Span

_MODELS: dict[tuple[str, ...], type[BaseModel]] = {
    (): model.Declaration,
    ("group",): model.Group,
    ("locations",): model.Location,
    ("moved",): model.Moved,
    ("allow",): model.Allow,
    ("onboarding",): model.Onboarding,
    ("onboarding", "steps"): model.Step,
}
"""Which model stands where; indexes left out."""

_BOOLEAN_WORDS = {
    **dict.fromkeys(("yes", "on", "y", "true"), "true"),
    **dict.fromkeys(("no", "off", "n", "false"), "false"),
}
_LITERAL = "a secret is given as a reference, never as itself"
_LITERAL_HINT = "write `env:RECONCILER_SECRET_…` or `file:PATH#key.path`; if this was a real secret, have it replaced"
_UNFIT = {
    "business": ("E213", "a business number is a positive whole number of at most 18 digits", None),
    "time_zone": ("E214", "is not a time zone", "write one as in `America/New_York`"),
    "frequency": ("E215", "is not a frequency", "a whole number of hours or days, such as `12h` or `1d`"),
    "date": ("E216", "is not a date", "write it as in `2026-11-20`"),
    "moment": ("E217", "is not a moment with an offset", "write it as in `2026-11-24T06:00:00-05:00`"),
    "country": ("E219", "is not a country", "two capital letters, such as `US`"),
}
_STAND_INS: Mapping[str, Any] = {"version": 1, "business": 1, "name": "-", "source": "nextech"}
"""For required values, where only the rest is of interest."""
_ROUNDS = 3
"""Taking one value out may leave another without its fellow."""
_FEW = 30
"""Unknown keys of one mapping among which a missing one is sought; a file of thousands is no slip of the finger."""
_SENSITIVE_PARTS = ("practi", "key", "secret", "token", "pass", "api", "uuid", "guid", "cred")
"""A misspelt key that holds one of these may stand before a pasted secret, so its line is masked too."""


def fields_at(path: Path) -> tuple[str, ...]:
    """The keys that may stand in the mapping at ``path``, sorted; empty where no mapping belongs."""
    found = _MODELS.get(tuple(it for it in path if isinstance(it, str)))
    return tuple(sorted(it.alias or name for name, it in found.model_fields.items())) if found else ()


def check(value: Any) -> model.Declaration | ValidationError:
    """The declaration, or what pydantic has against it."""
    try:
        return model.share_fields_set(model.Declaration.model_validate(value))
    except ValidationError as error:
        return error


def rest(value: Any, error: ValidationError) -> model.Declaration | None:
    """The declaration without the values of which ``error`` speaks; None where what is left is none.

    A list is taken out as a whole, so that every place that is left is the place in the file.
    """
    if not isinstance(value, dict):
        return None
    left: dict[str, Any] = copy.deepcopy(value)
    for _ in range(_ROUNDS):
        for detail in error.errors(include_url=False, include_input=False):
            path = detail["loc"]
            key = str(path[-1]) if path else ""
            if detail["type"] == "too_short":
                continue  # as a rule since its items are wrong, which are told of by themselves
            if detail["type"] != "missing":
                _take_out(left, path)
            elif path[:-1] and path[0] != "locations":
                _take_out(left, path[:1])
            elif key in _STAND_INS:
                holder = left["locations"][path[1]] if path[:-1] else left
                holder[key] = _STAND_INS[key]
        checked = check(left)
        if isinstance(checked, model.Declaration):
            return checked
        error = checked
    return None


def _take_out(value: Any, path: tuple[int | str, ...]) -> None:
    """Delete the innermost key of a mapping that ``path`` names."""
    here, keys = value, []
    for part in path:
        if isinstance(here, dict):
            keys.append((here, part))
            here = here.get(part)
        elif isinstance(here, list | tuple) and isinstance(part, int) and part < len(here):
            here = here[part]
        else:
            break
    if keys:
        holder, key = keys[-1]
        holder.pop(key, None)


def problems(value: Any, error: ValidationError | None, places: Places, file: str) -> tuple[Problem, ...]:
    """Every problem of shape. ``error`` is what ``check`` gave; nulls are told here too, since a model would take them."""
    told: list[Problem] = []
    settled = places.settled | set(places.nulls)
    for path in places.nulls:
        if not _is_settled(path, places.settled):
            told.append(_null(path, places, file))
    if error is not None:
        teller = _Teller(value, places, file)
        for detail in error.errors(include_url=False, include_input=False):
            path = tuple(it for it in detail["loc"])
            if not _is_settled(path, settled) and not teller.is_consequence(path, detail["type"]):
                told.append(teller.tell(path, detail))
            if len(told) > MAX_PROBLEMS:
                break
    return tuple(told)


def _is_settled(path: Path, settled: set[Path]) -> bool:
    return any(path[:length] in settled for length in range(1, len(path) + 1))


def _null(path: Path, places: Places, file: str) -> Problem:
    span = places.keys.get(path) or places.values.get(path) or (1, 1, 1)
    where = Position(file, span[0], span[1])
    if path and isinstance(path[-1], int):
        message = "an empty item in a list"
        return Problem("E203", Severity.ERROR, message, where, "delete the item", (), span[2], _is_secret(path))
    name = str(path[-1])
    hint = _choices(path)
    message = f"{quoted(name)} has no value"
    return Problem("E203", Severity.ERROR, message, where, hint, (), span[2], _is_secret(path))


_EMPTY_IS_ALL = {
    "appointment_types": "all types",
    "location_names": "every location",
    "practitioner_ids": "every practitioner",
}
"""Lists whose empty value lets everything through; never called `none`, which is the opposite."""
_ON_THE_WIRE = {spec.name for spec in nextech.FIELDS} | {"triggers"}


def _choices(path: Path) -> str:
    """What can be done about a null: both choices, where the field has both."""
    name = str(path[-1])
    found = _MODELS.get(tuple(it for it in path[:-1] if isinstance(it, str)))
    field = found.model_fields.get(name) if found else None
    delete = "delete the key"
    if name in _ON_THE_WIRE:
        delete += " (not managed: what is live stays; once applied: reset)"
    if field is None:
        return f"{delete}, or give it a value"
    kind = f"{field.annotation} {field.metadata}"
    if field.is_required():
        return "list at least one" if "tuple" in kind else "give it a value"
    if "tuple" not in kind:
        return f"{delete}, or give it a value"
    if "MinLen" in kind:
        return f"{delete}, or list at least one"
    return f"{delete}, or write `{name}: []` ({_EMPTY_IS_ALL.get(name, 'none')})"


def _is_secret(path: Path) -> bool:
    return any(it in model.SECRET_FIELDS for it in path)


class _Teller:
    """Tells one of pydantic's errors in the user's words."""

    def __init__(self, value: Any, places: Places, file: str) -> None:
        self.value = value
        self.places = places
        self.file = file

    def is_consequence(self, path: Path, kind: str) -> bool:
        """Is it told already? A list counts as too short for pydantic where all its items are wrong."""
        if kind == "missing":  # a misspelt key is told where it stands, with this one as the suggestion
            where, fields = path[:-1], fields_at(path[:-1])
            unknown = (it for it in self._given(where) if it not in fields)
            return any(self._guess(it, where) == path[-1] for it in islice(unknown, _FEW))
        return kind == "too_short" and bool(self._raw(path))

    def tell(self, path: Path, detail: Mapping[str, Any]) -> Problem:
        """One problem. Never repeats anything of a secret field."""
        kind: str = detail["type"]
        if kind == "extra_forbidden":
            return self._unknown(path)
        if kind == "missing":
            return self._missing(path)
        if _is_secret(path):
            return self._at(path, "E212", _LITERAL, _LITERAL_HINT, key=True)
        code, message, hint = self._wrong(path, kind, detail.get("ctx") or {})
        return self._at(path, code, message, hint)

    def _at(self, path: Path, code: str, message: str, hint: str | None, *, key: bool = False) -> Problem:
        line, column, length = self._span(path, key=key)
        where = Position(self.file, line, column)
        return Problem(code, Severity.ERROR, message, where, hint, (), length, _is_secret(path))

    def _span(self, path: Path, *, key: bool = False) -> Span:
        if key and path in self.places.keys:
            return self.places.keys[path]
        for length in range(len(path), 0, -1):
            found = self.places.values.get(path[:length]) or self.places.keys.get(path[:length])
            if found:
                return found
        return (1, 1, 1)

    def _unknown(self, path: Path) -> Problem:
        name = str(path[-1])
        fields = fields_at(path[:-1])
        guess = self._guess(name, path[:-1])
        elsewhere = sorted({_where(place) for place in _MODELS if name in fields_at(place)})
        if guess:
            hint = f"did you mean: `{guess}`"
        elif elsewhere:
            hint = f"it belongs {' or '.join(elsewhere)}"
        else:
            hint = f"fields here: {', '.join(fields)}"
        problem = self._at(path, "E201", f"unknown field {quoted(name)}", hint, key=True)
        folded = name.casefold()
        if guess in model.SECRET_FIELDS or any(it in folded for it in _SENSITIVE_PARTS):
            return Problem(
                problem.code, problem.severity, problem.message, problem.position, hint, (), problem.length, True
            )
        return problem

    def _guess(self, name: str, where: Path) -> str | None:
        fields = fields_at(where)
        given = self._given(where)
        return nearest(name, [it for it in fields if it not in given]) or nearest(name, fields)

    def _given(self, path: Path) -> Mapping[str, Any]:
        here = self._raw(path)
        return here if isinstance(here, dict) else {}

    def _missing(self, path: Path) -> Problem:
        name = str(path[-1])
        where = path[:-1]
        hint = {
            "version": "write `version: 1` as the first line",
            "source": "write `source: nextech`",
            "business": "write the business number, such as `business: 100000000000001`",
            "locations": "list at least one location; an SMB's is its own business number",
        }.get(name)
        if not where:
            first = min(self.places.keys.values(), default=(1, 1, 1))
            return Problem("E202", Severity.ERROR, f"`{name}` is missing", Position(self.file, *first[:2]), hint)
        return self._at(where, "E202", f"`{name}` is missing", hint, key=True)

    def _wrong(self, path: Path, kind: str, context: Mapping[str, Any]) -> tuple[str, str, str | None]:
        raw = self._raw(path)
        shown = _shown(raw)
        name = next((str(it) for it in reversed(path) if isinstance(it, str)), "the file")
        if kind == "value_error":
            return self._unfit(path, raw, context)
        if kind in ("bool_type", "bool_parsing"):
            word = _BOOLEAN_WORDS.get(raw.casefold()) if isinstance(raw, str) else None
            return "E204", f"`{name}` is `true` or `false`, not {shown}", f"write `{word}`" if word else None
        if kind.startswith("int_"):
            return "E205", f"`{name}` is a whole number, not {shown}", _plain_digits(raw)
        if kind == "string_type":
            hint = None if isinstance(raw, dict | tuple) else f'put it in quotes: "{_yaml_word(raw)}"'
            return "E206", f"`{name}` takes text, not {shown}", hint
        if kind == "tuple_type":
            return "E207", f"`{name}` takes a list, not {shown}", self._as_list(path, raw)
        if kind in ("model_type", "model_attributes_type", "dict_type"):
            return "E208", f"{_mapping_name(path)} takes fields, not {shown}", _fields_hint(path)
        if kind == "literal_error":
            return self._choice(path, name, raw)
        if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
            return "E210", f"`{name}` cannot be {shown}", _limits(path)
        if kind == "too_short":
            return "E211", f"`{name}` cannot be an empty list", "delete the key, or list at least one"
        return "E200", f"`{name}` does not fit: {shown}", "see the fields of a declaration in the documentation"

    def _unfit(self, path: Path, raw: Any, context: Mapping[str, Any]) -> tuple[str, str, str | None]:
        error = context.get("error")
        kind = error.kind if isinstance(error, model.UnfitError) else "text"
        if kind == "text":
            return "E218", "text that is empty, broken over lines, or begins or ends with white space", "trim it"
        code, message, hint = _UNFIT[kind]
        if kind == "business":
            return code, message, hint
        guess = nearest(raw, model.time_zones()) if kind == "time_zone" and isinstance(raw, str) else None
        return code, f"{_shown(raw)} {message}", f"did you mean: `{guess}`" if guess else hint

    def _choice(self, path: Path, name: str, raw: Any) -> tuple[str, str, str | None]:
        if path == ("version",):
            return "E220", f"version {_shown(raw)} is not known here", "write `version: 1`"
        found = _MODELS.get(tuple(it for it in path[:-1] if isinstance(it, str)))
        field = found.model_fields.get(str(path[-1])) if found else None
        choices = tuple(_literals(field.annotation)) if field else ()
        guess = nearest(raw, choices) if isinstance(raw, str) else None
        hint = f"did you mean: `{guess}`" if guess else None
        return "E209", f"`{name}` is {listed(choices)}, not {_shown(raw)}", hint

    def _as_list(self, path: Path, raw: Any) -> str | None:
        if isinstance(raw, dict | tuple):
            return None
        text = _yaml_word(raw)
        field = nextech.BY_NAME.get(str(path[-1]))
        parts = [text]
        if field and field.separator and field.separator in text:
            parts = [it.strip() for it in text.split(field.separator) if it.strip()]
        inside = ", ".join(f'"{it}"' for it in parts)
        return f"write `[{inside}]`" if len(inside) < 100 else "write one item to a line, each after `- `"

    def _raw(self, path: Path) -> Any:
        here = self.value
        for step in path:
            try:
                here = here[step]
            except (KeyError, IndexError, TypeError):
                return None
        return here


def _where(place: tuple[str, ...]) -> str:
    return f"under `{'.'.join(place)}`" if place else "at the top level"


def _mapping_name(path: Path) -> str:
    if not path:
        return "a declaration"
    if isinstance(path[-1], int):
        return f"an item of `{path[-2]}`" if len(path) > 1 else "an item"
    return f"`{path[-1]}`"


def _fields_hint(path: Path) -> str | None:
    fields = fields_at(path)
    return f"fields here: {', '.join(fields)}" if fields else None


def _literals(annotation: Any) -> Iterator[str]:
    for it in get_args(annotation):
        if isinstance(it, str):
            yield it
        elif it is not type(None):
            yield from _literals(it)


def _limits(path: Path) -> str | None:
    return {
        "customer_fetch_delay_days": "0 to 60 days",
        "past_months": "0 to 120 months",
        "future_months": "0 to 120 months",
        "minimum_age": "0 to 150 years",
        "id": "a positive whole number",
    }.get(str(path[-1]) if path else "")


def _shown(raw: Any) -> str:
    if isinstance(raw, bool):
        return f"`{str(raw).lower()}`"
    if isinstance(raw, dict):
        return "fields"
    if isinstance(raw, tuple):
        return "a list"
    if raw is None:
        return "nothing"
    return quoted(str(raw)) if not isinstance(raw, str) or raw else "empty text"


def _yaml_word(raw: Any) -> str:
    return str(raw).lower() if isinstance(raw, bool) else without_ids(str(raw))[:60]


def _plain_digits(raw: Any) -> str | None:
    if isinstance(raw, str):
        digits = raw.replace("_", "").replace(",", "").replace(" ", "").lstrip("+").lstrip("0")
        if digits.isascii() and digits.isdigit() and len(digits) <= 18:
            return f"write `{digits}`, without quotes" if digits == raw else f"write `{digits}`"
        if digits.isascii() and digits.isdigit():
            return "at most 18 digits"
    return None
