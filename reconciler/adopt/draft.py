"""A declaration in the making: values and comments by place, and its text in the house form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from reconciler.core import house_form
from reconciler.report.problems import escaped

LONGEST_SHOWN = 80
"""Characters of a live value that a comment repeats."""
RELEASED = (
    "Released: not managed, nobody is contacted by us, and what is live stays.",
    "Delete this line once what the comments below name is mended.",
)
MODELINE = "# yaml-language-server: $schema=../integration.schema.json"


def comment(text: str) -> str:
    """One line of comment; whatever a reader could act on is escaped, since live values may stand in it."""
    return "# " + escaped(" ".join(text.split(" ")))


def shown(text: str) -> str:
    """A live value as a comment repeats it."""
    text = escaped(text)
    return f'"{text}"' if len(text) <= LONGEST_SHOWN else f'"{text[: LONGEST_SHOWN - 1]}…"'


@dataclass(slots=True)
class Part:
    """One mapping: the business, its group, or one location."""

    values: dict[str, Any] = field(default_factory=dict)
    """Field -> text, number, truth value, tuple of texts, or a tree of dicts and lists."""
    above: dict[str, list[str]] = field(default_factory=dict)
    """Field -> comments above it."""
    below: list[str] = field(default_factory=list)
    """Comments after the last field: what is not declared, and why."""
    is_active: bool | None = None
    """Of a location: as the API shows it."""

    def put(self, name: str, value: Any, *above: str) -> None:
        """Declare a field, with comments above it."""
        self.values[name] = value
        if above:
            self.above[name] = [comment(it) for it in above]

    def say(self, text: str) -> None:
        """A comment about what is not declared."""
        line = comment(text)
        if line not in self.below:
            self.below.append(line)


@dataclass(slots=True)
class Draft:
    """One declaration."""

    slug: str
    business: int
    top: Part = field(default_factory=Part)
    group: Part = field(default_factory=Part)
    locations: list[Part] = field(default_factory=list)
    secrets: dict[str, str] = field(default_factory=dict)
    """Variable that a value must be stored under -> what it is, in words."""

    def part(self, path: tuple[str | int, ...]) -> tuple[Part, str] | None:
        """The part and the field that a path of the document stands in."""
        if len(path) >= 2 and path[0] == "group" and isinstance(path[1], str):
            return self.group, path[1]
        if len(path) >= 3 and path[0] == "locations" and isinstance(path[1], int) and isinstance(path[2], str):
            return self.locations[path[1]], path[2]
        if len(path) >= 1 and isinstance(path[0], str) and path[0] not in ("group", "locations"):
            return self.top, path[0]
        return None

    def drop(self, path: tuple[str | int, ...], why: str) -> bool:
        """Leave a field undeclared and say why; False where there is none that can be left out."""
        found = self.part(path)
        if found is None:
            return False
        part, name = found
        if name not in part.values or name in ("version", "business", "source", "practice_id", "id"):
            return False
        value = part.values.pop(name)
        text = ", ".join(value) if isinstance(value, tuple) else str(value)
        part.above.pop(name, None)
        part.say(f"{name}: live {shown(text)} cannot be declared ({why}); it stays as it is")
        return True

    def release(self, path: tuple[str | int, ...], why: str) -> bool:
        """Let go of the location that a path stands in, since it cannot be managed as it is; False where there is none.

        One that is live and active is let go of with the whole business: without it, the business would look as if its
        last location were to be taken away.
        """
        if len(path) < 2 or path[0] != "locations" or not isinstance(path[1], int):
            return False
        part = self.locations[path[1]]
        part.say(f"not managed yet: {why}")
        if part.is_active:
            if self.top.values.get("state") == "released":
                return False
            self.top.put("state", "released", *RELEASED)
            return True
        if part.values.get("state") == "released":
            return False
        part.put("state", "released", *RELEASED)
        return True

    def render(self) -> str:
        """The text of the file."""
        root = _block(self.top)
        root.entries.append(house_form.Entry("group", _block(self.group)))
        places = house_form.Block(is_list=True)
        for location in self.locations:
            places.entries.append(house_form.Entry(None, _block(location)))
        root.entries.append(house_form.Entry("locations", places))
        return house_form.render(house_form.Document(root, [MODELINE]))


def _block(part: Part) -> house_form.Block:
    block = house_form.Block(below=list(part.below))
    for name, value in part.values.items():
        if value is None:
            continue
        block.entries.append(house_form.Entry(name, _node(value), list(part.above.get(name, ()))))
    return block


def _node(value: Any) -> house_form.Scalar | house_form.Block:
    if isinstance(value, bool):
        return house_form.Scalar("true" if value else "false", literal=True)
    if isinstance(value, int):
        return house_form.Scalar(str(value), literal=True)
    if isinstance(value, str):
        return house_form.Scalar(value)
    if isinstance(value, dict):
        entries = [house_form.Entry(str(key), _node(it)) for key, it in value.items() if it is not None]
        return house_form.Block(entries)
    items = [house_form.Entry(None, _node(it)) for it in value]
    flat = all(isinstance(it, str | int) for it in value)
    return house_form.Block(items, is_list=True, in_brackets=flat)
