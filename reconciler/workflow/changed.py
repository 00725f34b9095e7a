"""Which declarations differ from a git reference."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from reconciler.declarations import Loaded
from reconciler.errors import UsageError
from reconciler.settings.load import FILE_NAME
from reconciler.settings.values import Settings

SCHEMA_NAME = "integration.schema.json"
EVERYTHING = frozenset({FILE_NAME, SCHEMA_NAME})
"""A change of one of these may change every plan."""


def select_changed(settings: Settings, loaded: Loaded, reference: str, say: Callable[[str], None]) -> Loaded:
    """``loaded`` with only the changed files selected; all of them where settings or schema changed."""
    changed = changed_files(settings.folder, reference)
    if any(path.name in EVERYTHING for path in changed):
        say("settings or schema have changed: every business is planned")
        return loaded
    slugs = {it.slug for it in loaded.files if (settings.folder / it.file).resolve() in changed}
    say(f"{len(slugs)} of {len(loaded.files)} declarations differ from {reference}")
    return replace(loaded, selected=frozenset(slugs) & loaded.selected)


def changed_files(folder: Path, reference: str) -> frozenset[Path]:
    """Absolute paths that differ from ``reference`` in the working tree, files that git does not track included."""
    if reference.startswith("-"):
        raise UsageError(f"--changed-since {reference}: not a git reference")
    _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}", named=reference)
    top = Path(_git(folder, "rev-parse", "--show-toplevel", named=reference).strip("\n")).resolve()
    names = _git(folder, "diff", "--name-only", "-z", "--no-renames", reference, "--", named=reference).split("\0")
    others = _git(folder, "ls-files", "--others", "--exclude-standard", "--full-name", "-z", named=reference)
    return frozenset((top / name).resolve() for name in (*names, *others.split("\0")) if name)


def _git(folder: Path, *arguments: str, named: str) -> str:
    try:
        found = subprocess.run(  # noqa: S603 - arguments are ours; the reference is checked above
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=60,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("--changed-since needs git, which is not installed") from None
    except subprocess.TimeoutExpired:
        raise UsageError("--changed-since: git did not answer within 60 s") from None
    if found.returncode != 0:
        if "not a git repository" in found.stderr:
            raise UsageError(f"--changed-since {named}: {folder} is not in a git repository")
        raise UsageError(
            f"--changed-since {named}: git knows no such commit", hint="git fetch, or give another reference"
        )
    return found.stdout
