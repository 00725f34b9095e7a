"""The JSON Schema (draft-07) of a declaration, for editors: made from the models, so that it cannot fall behind them.

It judges what one value can be judged by. ``NOT_JUDGED`` lists what the loader refuses and an editor cannot: rules that
hold between fields or between files, and how a scalar is spelt, which a schema never sees.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from reconciler.core import codes, explain_fields, model
from reconciler.core.sources import nextech

FILE_NAME = "integration.schema.json"
"""What ``init`` calls the file that the modeline of a declaration points to."""

NOT_JUDGED: Mapping[str, str] = {
    "E103": "the size of a file",
    "E106": "invisible characters",
    "E108": "how deep a file is nested",
    "E109": "how many values a file has",
    "E110": "a second document",
    "E111": "tags",
    "E112": "directives",
    "E113": "anchors and aliases",
    "E114": "merge keys",
    "E116": "how keys are spelt",
    "E117": "an empty file",
    "E204": "spelling: editors read `True` and `TRUE` as `true`",
    "E205": "spelling: editors read `1.0`, `+1`, `01`, `0x1` and `1e0` as whole numbers",
    "E209": "spelling, likewise",
    "E213": "spelling, likewise; and editors do not count beyond 53 bits",
    "E214": "whether the IANA database has a time zone of that form",
    "E220": "spelling, likewise",
    "E302": "duplicates that differ in case only, and those of `moved`",
    "E303": "the live catalogue of triggers",
    "E304": "the live catalogue of triggers",
    "E305": "two names of one trigger",
    "E307": "a practice id somewhere",
    "E308": "several locations of one practice",
    "E309": "several locations of one name",
    "E310": "one business in two files",
    "E311": "one business twice in a file",
    "E312": "an SMB of several locations",
    "E313": "a time zone for what is active",
    "E314": "`beta` beside `platform`",
    "E317": "today's date",
    "E318": "today's date",
    "E319": "the file's own name",
    "E320": "renames in a circle",
    "E321": "a former name claimed twice",
}
"""Codes of errors that no schema tells of in every case, each with what they are about."""

_YEARS = "(?!0000)[0-9]{4}"
_LEAP = "(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][48]|[2468]0|[13579][26])00)"
_DATE = (
    f"(?:{_YEARS}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP}-02-29)"
)
_CLOCK = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SLUG = "[a-z0-9]+(?:[-_][a-z0-9]+)*"

_FORMS: Mapping[str, dict[str, Any]] = {
    "_secret_reference": {
        "pattern": (
            r"^(?:env:RECONCILER_SECRET_[A-Z0-9_]+|file:(?![/~])(?!(?:[^#\s]*/)?\.\.[/#])[^#\s]+#[A-Za-z0-9_.-]+)$"
        ),
        "patternErrorMessage": "a secret is a reference: env:RECONCILER_SECRET_… or file:PATH#key.path",
    },
    "_business_number": {"minimum": 1, "maximum": 10**18 - 1},
    "_time_zone": {
        "pattern": r"^[A-Z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}$",
        "patternErrorMessage": "a time zone is a name of the IANA database, such as America/New_York",
        "examples": [
            "America/New_York",
            "America/Chicago",
            "America/Denver",
            "America/Phoenix",
            "America/Los_Angeles",
            "America/Anchorage",
            "Pacific/Honolulu",
            "America/Puerto_Rico",
        ],
    },
    "_frequency": {
        "pattern": "^[1-9][0-9]{0,3}[hd]$",
        "patternErrorMessage": "a frequency is a whole number of hours or days, such as 12h or 1d",
        "examples": ["1d", "12h"],
    },
    "_iso_date": {"pattern": f"^{_DATE}$", "patternErrorMessage": 'a date is written as in "2026-11-20"'},
    "_moment": {
        "pattern": f"^{_DATE}T{_CLOCK}(?::[0-5][0-9])?(?:Z|[+-]{_CLOCK})$",
        "patternErrorMessage": 'a moment has an offset, as in "2026-11-24T06:00:00-05:00"',
    },
    "_text": {
        "pattern": r"^\S(?:[^\n\t]*\S)?$",
        "patternErrorMessage": "not empty, one line, no tab, no white space at either end",
    },
    "_country": {"pattern": "^[A-Z]{2}$", "patternErrorMessage": "a country is two capital letters, such as US"},
}
"""What each validator of ``core.model`` accepts, by its name."""


class _Generator(GenerateJsonSchema):
    """Pydantic's generator, without null, and with the forms of our own validators."""

    def nullable_schema(self, schema: Any) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def function_after_schema(self, schema: Any) -> JsonSchemaValue:
        name = getattr(schema["function"]["function"], "__name__", "")
        return {**super().function_after_schema(schema), **_FORMS[name]}


def declaration_schema() -> dict[str, Any]:
    """The schema as a new value of plain dicts and lists."""
    found: dict[str, Any] = json.loads(render())
    return found


def render() -> str:
    """The schema as a file: JSON, ASCII, ending in a line break; the same on every machine."""
    return json.dumps(_schema(), indent=2) + "\n"


@cache
def _schema() -> dict[str, Any]:
    made = model.Declaration.model_json_schema(by_alias=True, schema_generator=_Generator)
    body = _clean(made, made.get("$defs", {}), "")
    body.pop("$defs", None)
    for path, more in _particulars().items():
        _at(body, path).update(more)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A declaration: one business, its group, triggers and locations",
        **body,
    }


def _clean(node: Mapping[str, Any], definitions: Mapping[str, Any], path: str) -> dict[str, Any]:
    """One node without references, titles, empty defaults and docstrings, described from the one source of help."""
    given = dict(node)
    if "allOf" in given and len(given["allOf"]) == 1:
        given = {**given.pop("allOf")[0], **given}
    if "$ref" in given:
        given = {**definitions[given.pop("$ref").rpartition("/")[2]], **given}
    found: dict[str, Any] = {}
    for key, value in given.items():
        if key in ("title", "description", "$defs") or (
            key == "default" and (value is None or isinstance(value, dict | list))
        ):
            continue
        if key == "const":
            found["enum"] = [value]
        elif key == "properties":
            found[key] = {
                name: _clean(it, definitions, f"{path}.{name}".removeprefix(".")) for name, it in value.items()
            }
        elif key == "items":
            found[key] = _clean(value, definitions, f"{path}[]")
        elif key == "exclusiveMinimum":
            found["minimum"] = value + 1
        else:
            found[key] = value
    text = explain_fields.text_of(path)
    return {"description": text, **found} if text else found


def _at(schema: dict[str, Any], path: str) -> dict[str, Any]:
    for step in path.split("."):
        name = step.removesuffix("[]")
        schema = schema["properties"][name]
        if step.endswith("[]"):
            schema = schema["items"]
    return schema


def _particulars() -> dict[str, dict[str, Any]]:
    """What depends on the field and not on its type, by path."""
    found: dict[str, dict[str, Any]] = {
        "triggers[]": {"examples": [*nextech.KNOWN_TRIGGERS, *nextech.KNOWN_TRIGGERS.values()]},
        "group.campaign_tags": {"uniqueItems": True},
        "group.campaign_tags[]": {"enum": [*nextech.CAMPAIGN_TAGS, *nextech.SENSITIVE_CAMPAIGN_TAGS]},
        "group.excluded_patient_types": {"uniqueItems": True},
        "moved[].from": {"pattern": f"^{_SLUG}$", "patternErrorMessage": "the file's old name, without `.yaml`"},
        "allow[].code": {"enum": [it for it in codes.OBJECTIONS if it not in codes.COMMAND_LINE_ONLY]},
        "country": {"examples": ["US"]},
        "source": {"default": "nextech"},
        "version": {"default": 1},
    }
    for field in nextech.FIELDS:
        if field.kind != "list":
            continue
        for scope in sorted(field.scopes):
            path = f"group.{field.name}" if scope == "group" else f"locations[].{field.name}"
            found[path] = {"uniqueItems": True}
            apart = field.separator
            found[f"{path}[]"] = {
                "pattern": rf"^[^{apart}\s](?:[^{apart}\n\t]*[^{apart}\s])?$",
                "patternErrorMessage": f"one line, no `{apart}`, no tab, no white space at either end",
            }
            if field.name == "appointment_statuses":
                words = "|".join(_any_case(it) for it in nextech.STATUS_WORDS)
                found[f"{path}[]"] = {
                    "pattern": f"^(?:{words})$",
                    "patternErrorMessage": f"one of {', '.join(nextech.STATUS_WORDS)}",
                    "examples": list(nextech.STATUS_WORDS),
                }
    return found


def _any_case(word: str) -> str:
    return "".join(f"[{it.upper()}{it}]" if it.isalpha() else it for it in word)
