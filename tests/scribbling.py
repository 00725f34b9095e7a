"""Declarations as people scribble them: random content in random styles of YAML, with comments in every place."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from reconciler.core.sources import nextech

NAMES = [
    "Downtown",
    "NO",
    "it's",
    'the "best"',
    "a\\b",
    "1.10",
    "0417",
    "2026-11-20",
    "x: y",
    "Café",
    "# five",
    "yes",
    "- a",
]
NAMES += [
    "[a]",
    "{b}",
    "c, d",
    "12:30",
    "1e3",
    "0x1F",
    ".5",
    "~",
    "null",
    "true",
    "Main Campus",
    "e",
    "@home",
    "100%",
    "'",
]
NAMES += [
    "!tag",
    "&anchor",
    "*alias",
    "| pipe",
    "> fold",
    "? key",
    "%percent",
    "`tick`",
    "=",
    "<<",
    "...",
    "---",
    "a#b",
    "_1",
]
PRACTICE = "env:RECONCILER_SECRET_EXAMPLE_PRACTICE_ID"


def declaration(random: Random) -> dict[str, Any]:
    """A declaration that passes every check of shape; most of its lists are there."""

    def some(source: list[str], most: int = 3) -> list[str]:
        return random.sample(source, random.randint(1, most))

    typed = [it for it in NAMES if "|" not in it]
    stated = [it for it in NAMES if "," not in it]
    group: dict[str, Any] = {"practice_id": PRACTICE, "appointment_types": some(typed)}
    optional: dict[str, Callable[[], Any]] = {
        "appointment_statuses": lambda: some(list(nextech.FHIR_STATUSES)),
        "custom_appointment_statuses": lambda: random.choice([[], some(stated)]),
        "customer_fetch_delay_days": lambda: random.randint(0, 60),
        "minimum_age": lambda: random.randint(0, 99),
        "campaign_tags": lambda: some(list(nextech.CAMPAIGN_TAGS)),
        "excluded_patient_types": lambda: some(NAMES),
    }
    group |= {name: make() for name, make in optional.items() if random.random() < 0.5}
    locations = []
    for number in range(random.randint(1, 3)):
        location: dict[str, Any] = {"business": 100000000000101 + number, "time_zone": "America/New_York"}
        more: dict[str, Callable[[], Any]] = {
            "name": lambda: random.choice(NAMES),
            "practitioner_ids": lambda: some(["417", "704", "A1", "1.0", "007"]),
            "frequency": lambda: random.choice(["1d", "12h"]),
            "next_run": lambda: "2026-11-24T06:00:00-05:00",
            "contact_start": lambda: "2026-11-20",
            "state": lambda: random.choice(["active", "inactive", "released"]),
            "show_by": lambda: random.choice(["type", "purpose"]),
        }
        location["location_names"] = [f"{random.choice(typed)} {number}"]
        location |= {name: make() for name, make in more.items() if random.random() < 0.4}
        locations.append(location)
    found: dict[str, Any] = {
        "version": 1,
        "business": 100000000000100,
        "source": "nextech",
        "group": group,
        "locations": locations,
    }
    top: dict[str, Callable[[], Any]] = {
        "name": lambda: random.choice(NAMES),
        "triggers": lambda: [nextech.FULFILLED_TRIGGER],
        "beta": lambda: random.choice([True, False]),
        "country": lambda: random.choice(["US", "NO"]),
        "onboarding": lambda: {
            "ordered_by": random.choice(NAMES),
            "steps": [{"step": random.choice(NAMES), "by": "Sam"}],
        },
    }
    return found | {name: make() for name, make in top.items() if random.random() < 0.6}


def scribble(value: dict[str, Any], random: Random) -> str:
    """The value as YAML, every choice of style made at random."""
    return _Writer(random).document(value)


class _Writer:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.comments = 0

    def document(self, value: dict[str, Any]) -> str:
        lines = ["# yaml-language-server: $schema=../integration.schema.json"] if self.chance(0.3) else []
        if self.chance(0.1):
            lines.append("---")
        lines += self.mapping(value, 0)
        lines += self.noise(0)
        text = "\n".join(lines) + ("" if self.chance(0.2) else "\n")
        return text.replace("\n", "\r\n") if self.chance(0.1) else text

    def chance(self, p: float) -> bool:
        return self.random.random() < p

    def comment(self) -> str:
        self.comments += 1
        return f"# {self.random.choice(['note', 'why: so', '- item', '[a, b', 'its'])} {self.comments}"

    def noise(self, indent: int) -> list[str]:
        lines: list[str] = []
        while self.chance(0.25):
            column = self.random.choice([indent, indent, indent, 0, indent + 2])
            lines.append(" " * column + self.comment() if self.chance(0.7) else " " * self.random.choice([0, 3]))
        return lines

    def beside(self) -> str:
        return " " * self.random.randint(1, 3) + self.comment() if self.chance(0.2) else ""

    def mapping(self, value: dict[str, Any], indent: int) -> list[str]:
        keys = list(value)
        self.random.shuffle(keys)
        lines: list[str] = []
        for key in keys:
            lines += self.noise(indent)
            shown = self.random.choice([key, key, key, f'"{key}"', f"'{key}'"])
            lines += self.valued(f"{' ' * indent}{shown}:", value[key], indent)
        return lines

    def valued(self, head: str, value: Any, indent: int) -> list[str]:
        if isinstance(value, dict):
            if not value or self.chance(0.1):
                return [f"{head} {self.inline(value)}{self.beside()}"]
            deeper = indent + self.random.choice([1, 2, 3, 4])
            return [head + self.beside(), *self.mapping(value, deeper), *self.noise(deeper)]
        if isinstance(value, list):
            if not value or self.chance(0.4):
                return self.brackets(head, value, indent)
            deeper = indent + self.random.choice([0, 1, 2, 4])
            lines = [head + self.beside()]
            for item in value:
                lines += self.noise(deeper)
                lines += self.item(item, deeper)
            return lines
        if isinstance(value, str) and self.chance(0.1) and value and value.strip(" ") == value and value[0] != "#":
            return [f"{head} {self.random.choice(['>-', '|-'])}{self.beside()}", " " * (indent + 5) + value]
        return [f"{head}{' ' * self.random.randint(1, 3)}{self.scalar(value)}{self.beside()}"]

    def item(self, value: Any, indent: int) -> list[str]:
        dash = " " * indent + "-"
        if not isinstance(value, dict):
            return [f"{dash} {self.inline(value)}{self.beside()}"]
        if not value or self.chance(0.1):
            return [f"{dash} {self.inline(value)}{self.beside()}"]
        inner = self.mapping(value, indent + 2)
        if inner[0].strip().startswith(("#", "%")) or not inner[0].strip():
            return [dash + self.beside(), *inner]
        return [f"{dash} {inner[0].strip()}", *inner[1:]]

    def brackets(self, head: str, value: list[Any], indent: int) -> list[str]:
        if not self.chance(0.3) or not value or any(isinstance(it, dict | list) for it in value):
            return [f"{head} {self.inline(value)}{self.beside()}"]
        lines = [f"{head} [{self.beside()}"]
        for i, it in enumerate(value):
            comma = "," if i + 1 < len(value) or self.chance(0.5) else ""
            lines.append(f"{' ' * (indent + 3)}{self.inline(it)}{comma}{self.beside()}")
        return [*lines, f"{' ' * (indent + 1)}]{self.beside()}"]

    def inline(self, value: Any) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key}: {self.inline(it)}" for key, it in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(self.inline(it) for it in value) + "]"
        return self.scalar(value, inside=True)

    def scalar(self, value: Any, *, inside: bool = False) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int):
            return str(value)
        if value is None:
            return self.random.choice(["null", "~"])
        double = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        single = "'" + value.replace("'", "''") + "'"
        safe = (
            value[:1].isalpha()
            and value == value.strip()
            and not any(it in value for it in "#:,[]{}\"'\\")
            and value not in ("true", "null")
        )
        return str(self.random.choice([double, single, value if safe else double]))
