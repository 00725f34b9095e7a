"""How the emulated integration API answers where ``integration-api.md`` leaves it open: every freedom is one option.

``documented`` shows only what the manual prints; ``rich`` shows all that a kinder server might. Single options change
either one: ``dialect("documented").set("create_answer=id")``.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args, get_type_hints

from reconciler.errors import UsageError


@dataclass(frozen=True, slots=True)
class Dialect:
    """One way to answer. The defaults are those of ``rich``."""

    create_answer: Literal["integer", "groupId", "id", "group", "empty", "no_content"] = "groupId"
    """What G+ answers: ``150``, ``{"groupId": 150}``, ``{"id": 150}``, the whole group, an empty body, or 204."""
    write_answer: Literal["object", "message", "empty"] = "object"
    """What Gu and M+ answer: the group or mapping as a read would show it, ``{"message": "success"}``, or nothing."""
    secure_values: Literal["absent", "null", "masked", "plain", "omitted"] = "masked"
    """A secure property without its value, with null, with asterisks, as it is; or left out as a whole."""
    group_properties: bool = True
    """G shows ``integrationGroupProperties``."""
    group_mappings: bool = True
    """G shows ``businessIntegrationMappings``."""
    mapping_endpoint: Literal["on", "404", "405"] = "on"
    """Mg answers, or the whole path does not exist."""
    mapping_properties: bool = True
    """Mappings, in G and Mg, show ``integrationProperties``."""
    mapping_status: bool = True
    """Mappings show ``status``, ``frequency`` and ``nextRunTime``."""
    mapping_put: Literal["replaces", "merges"] = "replaces"
    """What a second M+ for a pair does to the properties that it does not have."""
    group_post: Literal["upserts", "replaces", "ignores", "rejects"] = "upserts"
    """What Gu does with ``integrationGroupProperties``."""
    no_groups: Literal["empty", "404"] = "empty"
    """G for a business without a group."""
    unknown_business: Literal["404", "400", "empty", "accepted"] = "404"
    """Reads of a business that Birdeye does not have; ``accepted`` lets it also be written to."""
    numbers: Literal["numbers", "strings", "swapped"] = "numbers"
    """Numbers as they are, as strings, or swapped: strings of digits become numbers too."""
    order: Literal["kept", "reversed", "shuffled"] = "kept"
    """The order of lists in answers."""
    trigger_type_ids: bool = True
    """Triggers of a group show ``triggerTypeId``."""
    insecure_flags: bool = False
    """Properties that are not secure show ``isSecure: false``."""
    extra_members: bool = False
    """Answers have members that no documentation names."""
    source_case: Literal["upper", "title", "lower"] = "upper"
    """How ``integrationSource`` is spelled."""
    look_up_shape: Literal["objects", "strings", "wrapped", "numbers"] = "objects"
    """L and P: objects, plain names, an object around the list, or objects whose ids are numbers."""
    trims: bool = False
    """Stored values lose white space at either end and around separators."""
    sorts_items: bool = False
    """Stored lists (by pipe or comma) come back sorted."""
    drops_empty: bool = False
    """A property whose value is empty is not stored; an existing one is removed."""
    drops_nulls: bool = False
    """Members whose value is null are left out of answers."""
    read_lag_seconds: float = 0.0
    """G and Mg show what was there so long ago (60 at most)."""
    errors: Literal["json", "text", "html"] = "json"
    """The body of an answer that is not a success."""

    def set(self, *settings: str) -> Dialect:
        """A dialect with ``name=value`` settings applied; raises ``UsageError`` for what does not exist."""
        changes: dict[str, object] = {}
        hints = get_type_hints(Dialect)
        for setting in settings:
            name, equals, text = setting.partition("=")
            if not equals or name not in hints:
                names = ", ".join(field.name for field in fields(Dialect))
                raise UsageError(
                    f"--set {setting}: not a setting of the sandbox", hint=f"NAME=VALUE; names are {names}"
                )
            changes[name] = _parsed(setting, hints[name], text)
        return replace(self, **changes)  # type: ignore[arg-type]


def _parsed(setting: str, hint: object, text: str) -> object:
    if hint is bool:
        if text in ("true", "on", "false", "off"):
            return text in ("true", "on")
        raise UsageError(f"--set {setting}: the value is true or false")
    if hint is float:
        try:
            seconds = float(text)
        except ValueError:
            seconds = -1.0
        if 0 <= seconds <= 60:
            return seconds
        raise UsageError(f"--set {setting}: the value is a number of seconds from 0 to 60")
    choices = get_args(hint)
    if text in choices:
        return text
    raise UsageError(f"--set {setting}: the value is one of {', '.join(choices)}")


RICH = Dialect()
DOCUMENTED = Dialect(
    write_answer="message",
    secure_values="omitted",
    group_properties=False,
    group_mappings=False,
    mapping_endpoint="404",
    mapping_status=False,
)
DIALECTS = {"documented": DOCUMENTED, "rich": RICH}


def dialect(name: str) -> Dialect:
    """The dialect of this name; raises ``UsageError`` where there is none."""
    if name not in DIALECTS:
        raise UsageError(f"--dialect {name}: not a dialect", hint=f"one of {', '.join(DIALECTS)}")
    return DIALECTS[name]
