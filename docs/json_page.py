"""The page of the JSON documents: their members and types from documents that were really written, their meaning by hand.

A member without a meaning, or a meaning without a member, ends it with an error.
"""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docs import transcripts
from docs.json_meanings import DOCUMENTS
from reconciler.cli import main as program

SKIN = "integrations/example-skin-group.yaml"
NORTH = "example-dermatology-north"
EYES = "example-eye-partners"
APPOINTMENTS = ("709", "710")
"""Of the emulated practice, on the day before the story begins: one that is asked, one that is not."""
RICH_GROUP = 100000000000100


@dataclass
class Seen:
    """The members of one kind of document: the types of each path, in the order of appearance."""

    types: dict[str, list[str]] = field(default_factory=dict)

    def look(self, value: Any, path: str, free: frozenset[str]) -> None:
        """Take in one value with everything below it. ``free``: objects whose names are data."""
        if path:
            known = self.types.setdefault(path, [])
            if (name := _type(value)) not in known:
                known.append(name)
        if isinstance(value, dict):
            for name, child in value.items():
                self.look(child, f"{path}.{'NAME' if path in free else name}".removeprefix("."), free)
        if isinstance(value, list):
            for child in value:
                self.look(child, f"{path}[]", free)


def render(note: str) -> str:
    """The page. Raises LookupError where members and meanings do not go together."""
    seen = gather()
    out = ["# JSON documents", "", note, "", LEAD]
    for document in DOCUMENTS:
        found = seen[document.kind].types
        said = {part for path in document.meanings for part in _above(path)}
        bare = {path for path in found if path.endswith("[]") or "object" in found[path] or "list" in found[path]}
        unknown = found.keys() - said - bare
        missing = document.meanings.keys() - found.keys() - OPTIONAL.keys()
        if missing or unknown:
            raise LookupError(f"{document.kind}: no such member: {sorted(missing)}; no meaning for: {sorted(unknown)}")
        out += ["", f"## `{document.kind}`", "", f"{document.lead}", "", "| member | type | |", "| --- | --- | --- |"]
        for path, words in document.meanings.items():
            types = sorted(OPTIONAL.get(path, found.get(path, [])), key=lambda it: it == "null")
            out.append(f"| `{path}` | {' or '.join(types)} | {words} |")
    return "\n".join(out) + "\n"


ON_ITS_WAY = """\
version: 1
business: 100000000000900
source: nextech
locations:
  - business: 100000000000900
    time_zone: America/New_York
onboarding:
  ordered_by: Ada Example
  ordered_on: "2026-11-01"
"""

_VALUE = ["text", "list", "true or false"]
"""As a difference shows one: a flag, the triggers, anything else as it is on the wire, or a fingerprint."""
OPTIONAL: Mapping[str, list[str]] = {
    **{
        f"{where}.{side}": [*_VALUE, "null"]
        for where in ("businesses[].fields[]", "accepted[]")
        for side in ("declared", "live", "recorded")
    },
    "accepted[].first_seen": ["text", "null"],
    **{f"changes[].fields[].{side}": [*_VALUE, "whole number", "null"] for side in ("before", "after")},
    "errors[]": ["text"],
    "locations[].skipped.NAME": ["whole number"],
    "practices[].checks[].missing[]": ["text"],
    "visits[].code": ["whole number", "null"],
    "locations[].reminders.detail": ["text"],
    "locations[].reminders.warnings[]": ["text"],
    "locations[].reminders.upsert.since": ["text", "null"],
    "locations[].reminders.upsert.unsent.NAME": ["whole number"],
    "locations[].reminders.appointments.NAME": ["whole number"],
    "locations[].reminders.requests.NAME": ["whole number"],
    **{f"locations[].reminders.{key}": ["text", "null"] for key in ("mark", "checked_at", "last_success", "next_due")},
    **{key: ["text", "null"] for key in ("base.commit", "locations[].config.commit", "visits[].commit")},
    "tickets[].last_success": ["text", "null"],
    "locations[].flow.mark": ["text", "null"],
    "practices[].error": ["text", "null"],
    "groups[].properties.NAME": ["text", "null"],
    "warnings[].slug": ["text"],
    "warnings[].text": ["text"],
}
"""Members of which the story has none, or not all that there may be, with their types."""


def _above(path: str) -> list[str]:
    """A path with those that it stands in."""
    parts = path.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


LEAD = """\
`--output json` writes one document to standard output; `--output json=FILE` writes a file, and a command takes several `--output`. A document
begins with `format_version` and `kind`. An addition raises the minor version, anything else the major one: ignore members that you
do not know. `[]` stands for every item of a list, `NAME` for names that are data. Times are UTC. A sensitive value is a keyed
fingerprint such as `#1a2b3c4d`, never the value. Nothing of a patient stands in any of them, but for the appointment ids of `held`."""


def gather() -> Mapping[str, Seen]:
    """Every kind of document as commands write it in a short story against the sandbox."""
    free = {it.kind: frozenset(it.free) for it in DOCUMENTS}
    seen: dict[str, Seen] = {it.kind: Seen() for it in DOCUMENTS}

    def take(*arguments: str) -> None:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(io.StringIO()):
            program.run([*arguments, "--output", "json"])
        document = json.loads(text.getvalue())
        seen[document["kind"]].look(document, "", free[document["kind"]])

    with tempfile.TemporaryDirectory() as folder, transcripts.Runner(Path(folder).resolve()) as runner:
        tell(runner, take)
    return seen


def tell(runner: transcripts.Runner, take: Callable[..., None]) -> None:
    """The story: everything new, then a change on both sides, then a pass, with an answer that never came."""
    runner.do(transcripts.Step("<samples>", "", 0))
    runner.do(transcripts.Step("<sandbox>", "--dialect rich", 0))
    file = runner.folder / SKIN
    file.with_name("broken.yaml").write_text("version: 1\nbusines: 1\n", encoding="utf-8")
    take("validate")
    file.with_name("broken.yaml").unlink()
    take("plan", "--out", "plan.json")
    runner.do(transcripts.Step("<run>", "git init -q && git add . && git commit -qm first", 0))
    take("check-plan", "plan.json")
    take("apply", "--auto-approve")
    text = file.read_text(encoding="utf-8").replace("[Procedure, Surgery]", "[Procedure, Surgery, Laser]")
    file.write_text(text, encoding="utf-8")
    take("validate")
    world = runner.server.app.world
    group = next(it.group_id for it in world.groups.values() if it.parent == RICH_GROUP)
    remove = {"action": "set_property", "group": group, "key": "customer.fetch.delay", "value": "5"}
    runner.do(transcripts.Step("<change>", json.dumps(remove), 0))
    take("plan", "--reassert", "example-skin-group")
    path = ("accept", "example-skin-group", "--path", "customer_fetch_delay_days")
    runner.do(transcripts.Step("<run>", f"reconciler {' '.join(path)} --reason test --until 2026-12-01 --by you", 0))
    take("drift", "--confirm-after", "0")
    runner.do(transcripts.Step("<fault>", "/resources/v1/contact/external/preferences/checkin:2:reset-after-commit", 0))
    take("sync", NORTH, "--date", "2026-11-23")
    take("sync", EYES, "--dry-run")
    for what in ("groups", "locations", "practitioners"):
        take("lookup", what, "example-skin-group", *(["--check"] if what == "locations" else []))
    take("lookup", "triggers")
    take("lookup", "tags")
    take("lookup", "tags", NORTH)
    file.with_name("example-new.yaml").write_text(ON_ITS_WAY, encoding="utf-8")
    take("status")
    take("status", NORTH, "--ticket")
    for appointment in APPOINTMENTS:
        take("why", appointment)
    take("held", "list")
    take("audit", "verify")
    take("explain", "W404")


def _type(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int):
        return "whole number"
    if isinstance(value, float):
        return "number"
    if isinstance(value, str):
        return "text"
    return "list" if isinstance(value, list) else "object"
