"""What ``init`` and ``new`` write: the files of a repository, as a table, and the text of a first declaration."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib import resources
from pathlib import Path

from reconciler import errors
from reconciler.core import schema
from reconciler.core.house_form import MODELINE, scalar
from reconciler.workflow import authoring

FOLDER = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)*")
"""What a declarations folder may be called: relative, below the repository."""


@dataclass(frozen=True, slots=True)
class Choices:
    """What ``init`` was told."""

    declarations: str
    example: bool
    today: date


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the scaffold. ``path`` may hold ``{declarations}``."""

    path: str
    text: Callable[[Choices], str]
    wanted: Callable[[Choices], bool] = lambda choices: True
    runs: bool = False
    """A program: whoever may read it may run it."""


@dataclass(frozen=True, slots=True)
class Location:
    """One location of a new declaration. ``names`` is None where every location of the practice counts."""

    business: int
    time_zone: str
    names: tuple[str, ...] | None = None
    practitioners: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class New:
    """What ``new`` was told. ``practice_id`` is None while it is awaited; ``types`` is empty for all types."""

    slug: str
    business: int
    name: str | None
    triggers: tuple[str, ...]
    practice_id: str | None
    types: tuple[str, ...]
    statuses: tuple[str, ...]
    custom_statuses: tuple[str, ...]
    locations: tuple[Location, ...]
    today: date
    schema_path: str | None = None
    """From the declaration to the schema, where there is one."""


def variable_for(slug: str, what: str = "PRACTICE_ID") -> str:
    """The variable that holds a secret of a business."""
    return f"RECONCILER_SECRET_{slug.upper().replace('-', '_')}_{what}"


def declaration_text(new: New) -> str:
    """A declaration in the house form, with comments where something may have to be filled in."""
    lines = [f"{MODELINE} $schema={new.schema_path}"] if new.schema_path else []
    lines += ["version: 1", f"business: {new.business}"]
    if new.name is not None:
        lines.append(f"name: {scalar(new.name)}")
    lines += ["source: nextech", "triggers:", *(f"  - {scalar(it)}" for it in new.triggers), "group:"]
    if new.practice_id is not None:
        lines.append(f"  practice_id: {scalar(new.practice_id)}")
    if new.types:
        lines += _list("appointment_types", new.types, 2)
    else:
        lines.append("  appointment_types: [] # all types; list those whose patients are to be contacted")
    if new.statuses:
        lines += _list("appointment_statuses", new.statuses, 2)
    if new.custom_statuses:
        lines += _list("custom_appointment_statuses", new.custom_statuses, 2)
    else:
        lines.append("  # If the practice marks finished visits by a status of its own (ask the client):")
        lines.append("  # custom_appointment_statuses: [Checked Out]")
    if new.practice_id is None:
        lines.append("  # When Nextech's case shows the practice id, and the variable holds it:")
        lines.append(f"  # practice_id: env:{variable_for(new.slug)}")
    lines.append("locations:")
    for it in new.locations:
        lines += [f"  - business: {it.business}", f"    time_zone: {it.time_zone}"]
        if it.names:
            lines += _list("location_names", it.names, 4)
        if it.practitioners:
            lines += _list("practitioner_ids", it.practitioners, 4)
    if new.practice_id is None:
        lines += ["onboarding:", f'  ordered_on: "{new.today}" # nothing is planned until the practice id is here']
    return "\n".join(lines) + "\n"


def _list(key: str, items: tuple[str, ...], indent: int) -> list[str]:
    space = " " * indent
    short = f"{space}{key}: [{', '.join(scalar(it, in_brackets=True) for it in items)}]"
    if len(short) <= 120:
        return [short]
    return [f"{space}{key}:", *(f"{space}  - {scalar(it)}" for it in items)]


def init(folder: Path, choices: Choices, *, force: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Write every wanted file below ``folder``. Gives what was written and what was kept since it is there already.

    Raises errors.UsageError for a folder name that leads elsewhere, errors.ReconcilerError where writing fails.
    """
    if not FOLDER.fullmatch(choices.declarations):
        raise errors.UsageError("the declarations folder is a name below the repository", hint="--declarations NAME")
    written: list[str] = []
    kept: list[str] = []
    for piece in TABLE:
        if not piece.wanted(choices):
            continue
        name = piece.path.format(declarations=choices.declarations)
        path = folder / name
        there = os.path.lexists(path)
        if there and not force:
            kept.append(name)
            continue
        authoring.write(path, piece.text(choices), new=not there)
        if piece.runs:
            path.chmod(path.stat().st_mode | 0o111)
        written.append(name)
    return tuple(written), tuple(kept)


def _example(choices: Choices) -> str:
    text = declaration_text(
        New(
            slug="example-practice",
            business=100000000000001,
            name="Example Practice",
            triggers=("nextechFulfilledAppointmentTrigger",),
            practice_id=None,
            types=("New Patient", "Follow-up"),
            statuses=(),
            custom_statuses=(),
            locations=(Location(100000000000001, "America/New_York"),),
            today=choices.today,
            schema_path="../" * (choices.declarations.count("/") + 1) + schema.FILE_NAME,
        )
    )
    modeline, _, body = text.partition("\n")
    return f"""{modeline}
# One file declares one business; this one is made up. Write your own with `reconciler new`, then delete it.
# The file's name, without .yaml, is the slug by which every command calls the business.
# `reconciler explain FIELD` tells of each field, `reconciler validate` of every mistake.

{body}"""


def _settings(choices: Choices) -> str:
    return f"""\
# Settings of reconciler. Every one of them can be a variable too, which wins: birdeye.url is RECONCILER_BIRDEYE_URL.
# Secrets come from variables only: RECONCILER_BIRDEYE_TOKEN, RECONCILER_NEXTECH_PASSWORD, ...
# `reconciler explain SETTING` tells of each.
declarations: {choices.declarations}

# Where what was applied is remembered. CI and runner share a database; its password comes from a variable.
# store: postgresql://reconciler@db.example.com/reconciler

# birdeye:
#   requests_per_second: 50
#   concurrency: 8
# contact_start: "{choices.today}" # nobody whose visit was earlier is contacted
# max_contacts_per_run: 5000 # of one location, in one pass
"""


def _vscode_settings(choices: Choices) -> str:
    document = {
        "yaml.schemas": {f"./{schema.FILE_NAME}": f"{choices.declarations}/**/*.yaml"},
        "[yaml]": {"editor.insertSpaces": True, "editor.tabSize": 2, "editor.autoIndent": "advanced"},
        "files.insertFinalNewline": True,
        "files.trimTrailingWhitespace": True,
    }
    return json.dumps(document, indent=2) + "\n"


def _extensions(choices: Choices) -> str:
    return json.dumps({"recommendations": ["redhat.vscode-yaml"]}, indent=2) + "\n"


def _gitignore(choices: Choices) -> str:
    return """\
# The local store and its keys
.reconciler/
# Plans and reports
*.plan.json
/plan.json
/plan.html
/reviewed.json
/apply.json
/apply.md
/drift.json
/drift.html
/drift.md
/validate.xml
# Secrets
.env
.env.*
"""


def _readme(choices: Choices) -> str:
    return f"""\
# Integrations

Nextech to Birdeye, one file for each practice, in `{choices.declarations}/`.

- `reconciler new` writes a declaration; names are checked against the live systems as they are typed.
- `reconciler validate` tells every mistake, without network; `--online` also asks the live systems; `--fix` mends.
- `reconciler fmt` brings files into one form.
- `reconciler plan` shows what would change, `reconciler apply` carries it out.
- `reconciler explain CODE|FIELD|SETTING` explains what a message, a field or a setting means.

Secrets never stand in a file: a declaration holds a reference, such as
`env:{variable_for("example-practice")}`.

## Jobs

A request is validated and planned, the plan is one comment that stays current; after the merge what was reviewed is
applied, nothing else; every night drift is looked for. `.github/workflows/` holds the jobs for GitHub,
`ci/reconciler.gitlab-ci.yml` for GitLab, `ci/reconciler.sh` for any other service; delete what is not yours. Once:

1. Put a runner of your own inside the network of Birdeye's integration API. On GitHub its label goes into the variable
   `RECONCILER_RUNS_ON`: without it only `validate` runs.
2. Make a PostgreSQL database that jobs and syncs share (`RECONCILER_STORE`), and a key (`RECONCILER_RECEIPT_KEY`).
3. Name in the variable `RECONCILER_PACKAGE` what pip installs, pinned.
4. Make the environments `reconciler-plan`, with credentials that only read, and `reconciler-apply`, with those that
   write, for the main branch alone and with reviewers. The files name every variable and secret.
5. Rename `.github/CODEOWNERS.example`, put your teams in, and protect the main branch: code owners' reviews, the checks
   `validate` and `plan`.
6. `pip install pre-commit && pre-commit install`: mistakes are told before they are pushed.

## Editors

Editors that know YAML check and complete declarations by `{schema.FILE_NAME}`; after an upgrade write it anew with
`reconciler schema --write {schema.FILE_NAME}`.
"""


def _kept(name: str) -> Callable[[Choices], str]:
    """A file of the package's folder ``scaffold``, which this repository uses too; the folder's name filled in."""

    def text(choices: Choices) -> str:
        found = (resources.files("reconciler") / "scaffold" / name).read_text(encoding="utf-8")
        found = found.replace("integrations/", f"{choices.declarations}/")
        return found.replace("{declarations}", choices.declarations)

    return text


WORKFLOWS = ("validate", "plan", "queue", "apply", "drift")


TABLE: tuple[Piece, ...] = (
    Piece("reconciler.yaml", _settings),
    Piece("{declarations}/example-practice.yaml", _example, lambda choices: choices.example),
    Piece("{declarations}/.gitkeep", lambda choices: "", lambda choices: not choices.example),
    Piece(schema.FILE_NAME, lambda choices: schema.render()),
    Piece(".vscode/settings.json", _vscode_settings),
    Piece(".vscode/extensions.json", _extensions),
    Piece(".gitignore", _gitignore),
    Piece("README.md", _readme),
    *(Piece(f".github/workflows/reconciler-{it}.yml", _kept(f"github/reconciler-{it}.yml")) for it in WORKFLOWS),
    Piece(".github/pull_request_template.md", _kept("github/pull_request_template.md")),
    Piece(".github/CODEOWNERS.example", _kept("github/CODEOWNERS.example")),
    Piece("ci/reconciler.gitlab-ci.yml", _kept("ci/reconciler.gitlab-ci.yml")),
    Piece("ci/reconciler.sh", _kept("ci/reconciler.sh"), runs=True),
    Piece(".pre-commit-config.yaml", _kept("pre-commit-config.yaml")),
)
"""Every file that ``init`` writes, in the order in which it tells of them; what CI needs is added here."""
