"""Every code, field and setting explained, from one source for ``explain`` and for the reference pages.

A topic is what one name stands for. Types, choices, limits and wire keys come from the schema, so from the models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from reconciler.core import codes, explain_fields, explain_settings, model, schema
from reconciler.core.sources import nextech
from reconciler.core.suggest import nearest

Kind = Literal["code", "objection", "field", "setting"]


@dataclass(frozen=True, slots=True)
class Topic:
    """What ``explain NAME`` says. ``facts`` are short lines ``(label, words)`` in the order in which they are shown."""

    kind: Kind
    name: str
    title: str
    text: str
    facts: tuple[tuple[str, str], ...] = ()
    bad: str = ""
    good: str = ""
    beside: str = ""
    commands: str = ""
    example: str = ""


@cache
def topics() -> Mapping[str, Topic]:
    """Every topic by its name: codes, objections, fields in the house order, settings."""
    found: dict[str, Topic] = {}
    for code in codes.registry().values():
        kind: Kind = "objection" if code.code in codes.OBJECTIONS else "code"
        facts = [("to do", code.remedy)]
        if kind == "code":
            facts.insert(0, ("severity", {"E": "error", "W": "warning", "N": "note"}[code.code[0]]))
        found[code.code] = Topic(
            kind, code.code, code.title, code.cause, tuple(facts), code.bad, code.good, code.beside, code.commands
        )
    nodes = _nodes(schema.declaration_schema())
    for path, field in explain_fields.FIELDS.items():
        found[path] = _field(path, field, nodes[path])
    for setting in explain_settings.SETTINGS:
        found[_setting_name(setting)] = _setting(setting)
    return found


def find(name: str) -> tuple[Topic, ...]:
    """The topics that a name stands for, in whatever case: usually one; a bare field name may stand in several places.

    Empty where there is none. ``locations.state``, ``locations[0].state`` and ``locations[].state`` are the same.
    """
    wanted = _plain(name)
    setting = wanted.removeprefix("setting:")
    found: list[Topic] = []
    for it in topics().values():
        own = _plain(it.name)
        bare = it.kind == "field" and own.rpartition(".")[2] == wanted
        if own == wanted or bare or (it.kind == "setting" and setting in _other_names(it)):
            found.append(it)
    return tuple(found)


def suggestion(name: str) -> str | None:
    """The name that was probably meant."""
    every = topics()
    if found := nearest(name, every):
        return found
    last = {it.name.rpartition(".")[2]: it.name for it in reversed(list(every.values())) if it.kind == "field"}
    found = nearest(name.rpartition(".")[2], last)
    return last[found] if found else None


def names() -> tuple[str, ...]:
    """Every name that can be asked for, for completion."""
    return tuple(topics())


def render_text(topic: Topic) -> str:
    """One topic for a terminal, ending in a line break."""
    head = f"{topic.name}: {topic.title}" if topic.title else topic.name
    out = [head, "", *_wrapped(topic.text)]
    if topic.facts:
        width = max(len(label) for label, _ in topic.facts)
        out.append("")
        for label, words in topic.facts:
            first, *rest = _wrapped(words, 100 - width - 4)
            out += [f"  {label:<{width}}  {first}", *(f"  {'':<{width}}  {it}" for it in rest)]
    for label, body in _examples(topic):
        out += ["", f"{label}:", "", *(f"    {it}".rstrip() for it in body.splitlines())]
    return "\n".join(out) + "\n"


def as_json(topic: Topic) -> dict[str, Any]:
    """One topic as plain values."""
    return {
        "kind": topic.kind,
        "name": topic.name,
        "title": topic.title,
        "text": topic.text,
        "facts": dict(topic.facts),
        "examples": dict(_examples(topic)),
    }


def reference_markdown() -> dict[str, str]:
    """The reference pages by file name: what ``explain`` says, page by page."""
    every = topics().values()
    return {
        "codes.md": _page(
            "Problem codes",
            "What `validate` says, each with what it means and what to do. A code never changes its meaning.",
            [it for it in every if it.kind == "code"],
        ),
        "objections.md": _page(
            "Objections",
            "Dangers in a plan that must be allowed by name before anything is written.",
            [it for it in every if it.kind == "objection"],
        ),
        "fields.md": _page(
            "Fields of a declaration",
            "One business, one file. `[]` stands for every item of a list.",
            [it for it in every if it.kind == "field"],
        ),
        "settings.md": _page(
            "Settings",
            "In `reconciler.yaml`, or in variables, which win. Secrets come from variables only.",
            [it for it in every if it.kind == "setting"],
        ),
    }


def _plain(name: str) -> str:
    parts = name.strip().casefold().split(".")
    return ".".join(part.partition("[")[0] for part in parts)


def _setting_name(it: explain_settings.SettingHelp) -> str:
    """Settings and fields share a few names; such a setting is ``setting:NAME``."""
    clash = any(path.rpartition(".")[2] == it.name for path in explain_fields.FIELDS)
    return f"setting:{it.name}" if clash else it.name


def _other_names(topic: Topic) -> set[str]:
    facts = dict(topic.facts)
    return {topic.name.removeprefix("setting:").casefold(), facts["variable"].casefold()}


def _setting(it: explain_settings.SettingHelp) -> Topic:
    where = f"`{it.key}`, or the variable" if it.key else "the variable only"
    facts = [("set by", where), ("variable", it.variable), ("default", it.default)]
    if it.secret:
        facts.append(("secret", "yes: never in a file, never shown"))
    return Topic("setting", _setting_name(it), "a setting", it.text, tuple(facts))


def _nodes(node: Mapping[str, Any], path: str = "") -> dict[str, tuple[Mapping[str, Any], bool]]:
    """Every field's part of the schema with whether it is required, by path."""
    found: dict[str, tuple[Mapping[str, Any], bool]] = {}
    for name, child in node.get("properties", {}).items():
        here = f"{path}.{name}".removeprefix(".")
        found[here] = (child, name in node.get("required", ()))
        found |= _nodes(child, here)
        if "items" in child:
            found |= _nodes(child["items"], f"{here}[]")
    return found


def _field(path: str, it: explain_fields.FieldHelp, node: tuple[Mapping[str, Any], bool]) -> Topic:
    part, required = node
    facts = [("takes", _takes(part))]
    if required:
        facts.append(("required", "yes"))
    elif it.absent:
        facts.append(("left out", it.absent))
    field = nextech.BY_NAME.get(path.rpartition(".")[2])
    if field is not None:
        apart = f", items separated by `{field.separator}`" if field.separator else ""
        facts.append(("sent as", f"the property `{field.key}`{apart}"))
    else:
        facts.append(("sent as", explain_fields.SENT.get(path, "nothing: it is ours")))
    if path.rpartition(".")[2] in model.SECRET_FIELDS:
        facts.append(("secret", "a reference; its lines are masked wherever they are shown"))
    return Topic("field", path, "a field of a declaration", it.text, tuple(facts), example=it.example)


def _takes(node: Mapping[str, Any]) -> str:
    if "enum" in node and len(node["enum"]) < 8:
        return " or ".join(f"`{it}`" for it in node["enum"])
    if node.get("type") == "array":
        least = ", at least one" if node.get("minItems") else ""
        if "properties" in node["items"]:
            return f"a list{least}, of entries with fields of their own: {', '.join(node['items']['properties'])}"
        return f"a list{least}, each item {_takes(node['items'])}"
    if "properties" in node:
        return "fields of its own: " + ", ".join(node["properties"])
    if node.get("type") == "integer":
        return _whole(node)
    if node.get("type") == "boolean":
        return "`true` or `false`"
    if "enum" in node:
        return "one of " + ", ".join(f"`{it}`" for it in node["enum"])
    return f"text: {node['patternErrorMessage']}" if "patternErrorMessage" in node else "text"


def _whole(node: Mapping[str, Any]) -> str:
    low, high = node.get("minimum"), node.get("maximum")
    if high is None:
        return f"a whole number from {low}"
    return "a whole number of at most 18 digits" if high > 10**9 else f"a whole number, {low} to {high}"


def _examples(topic: Topic) -> list[tuple[str, str]]:
    found = [
        ("instead of", topic.bad),
        ("brought about by", topic.commands),
        ("write" if topic.bad else "as it should be", topic.good),
        ("beside other.yaml", topic.beside),
        ("example", topic.example),
    ]
    return [(label, body) for label, body in found if body]


def _wrapped(text: str, width: int = 100) -> list[str]:
    """Greedy lines; ``textwrap`` would do, and break inside `` `code spans` `` no less."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def markdown(entries: Iterable[Topic]) -> str:
    """Topics as sections of a page, ending in a line break."""
    return "\n".join(_sections(entries)).removeprefix("\n") + "\n"


def _page(title: str, lead: str, entries: list[Topic]) -> str:
    return "\n".join([f"# {title}", "", lead, *_sections(entries)]) + "\n"


def _sections(entries: Iterable[Topic]) -> list[str]:
    out: list[str] = []
    for it in entries:
        name = it.name.removeprefix("setting:")
        out += ["", f"## `{name}`" + (f" {it.title}" if it.kind in ("code", "objection") else ""), "", it.text]
        if it.facts:
            out += ["", *(f"- {label}: {words}" for label, words in it.facts)]
        for label, body in _examples(it):
            language = "sh" if label == "brought about by" else "yaml"
            out += ["", f"{label.capitalize()}:", "", f"```{language}", body.rstrip("\n"), "```"]
    return out
