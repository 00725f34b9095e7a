"""Which declarations differ from a git reference."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from reconciler.declarations import Loaded
from reconciler.errors import UsageError
from reconciler.settings.load import FILE_NAME
from reconciler.settings.values import Settings

SCHEMA_NAME = "integration.schema.json"
EVERYTHING = frozenset({FILE_NAME, SCHEMA_NAME})
"""A change of one of these may change every plan."""
GIT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Changed:
    """Absolute paths that differ from a commit. A path may be a folder: a submodule, or a repository inside this one."""

    top: Path
    """The work tree."""
    tracked: frozenset[Path]
    """Changed, added, deleted (a renamed file under both names), in the index or only on disk."""
    untracked: frozenset[Path]
    """What git does not know, below the declarations; ignored files too, since they are read like any other."""

    def holds(self, path: Path) -> bool:
        """Is the path, or a folder above it, among them?"""
        every = self.tracked | self.untracked
        return path in every or any(above in every for above in path.parents)

    def among(self, paths: Sequence[Path]) -> list[int]:
        """The indexes of those that ``holds`` is true of. A folder of theirs is resolved once for all in it."""
        real: dict[Path, tuple[Path, bool]] = {}
        found = []
        every = self.tracked | self.untracked
        for index, path in enumerate(paths):
            parent = path.parent
            if parent not in real:
                folder = parent.resolve()
                real[parent] = (folder, self.holds(folder))
            folder, whole = real[parent]
            if whole or folder / path.name in every:
                found.append(index)
        return found


def select_changed(settings: Settings, loaded: Loaded, reference: str, say: Callable[[str], None]) -> Loaded:
    """``loaded`` with only the changed files selected; all of them where what concerns all has changed: the settings,
    the schema, a tracked file of secrets. Raises errors.UsageError for a reference that git does not know.
    """
    root = settings.declarations.resolve()
    changed = changed_files(settings.folder, reference, root)
    why = _everything(settings, changed, root)
    if why:
        say(f"{why}: every business is planned")
        return loaded
    slugs = {loaded.files[it].slug for it in changed.among([settings.folder / one.file for one in loaded.files])}
    say(f"{len(slugs)} of {len(loaded.files)} declarations differ from {reference}")
    return replace(loaded, selected=frozenset(slugs) & loaded.selected)


def _everything(settings: Settings, changed: Changed, root: Path) -> str:
    if not root.is_relative_to(changed.top):
        return "the declarations are in another repository than the settings"
    if any(path.name in EVERYTHING for path in changed.tracked | changed.untracked):
        return "settings or schema have changed"
    if settings.file is not None and changed.holds(settings.file.resolve()):
        return "settings or schema have changed"
    secrets = settings.secrets_root.resolve() if settings.secrets_root else None
    declared = {it for it in changed.tracked if it.is_relative_to(root) and it.suffix in (".yaml", ".yml")}
    if secrets is not None and any(it.is_relative_to(secrets) for it in changed.tracked - declared):
        return "a file of secrets has changed"
    return ""


def changed_files(folder: Path, reference: str, below: Path) -> Changed:
    """What differs from ``reference`` in the work tree that ``folder`` is in, untracked files only ``below`` a folder."""
    if not reference or reference.startswith("-") or not reference.isprintable():
        raise UsageError("--changed-since: not a git reference")
    top = Path(_git(folder, "rev-parse", "--show-toplevel", named=reference).removesuffix("\n")).resolve()
    commit = _git(
        folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}", named=reference
    ).strip()
    # Every option that a user's own configuration could turn round is given: the names of all files, from the top.
    options = ("--name-only", "-z", "--no-renames", "--no-relative", "--no-ext-diff", "--ignore-submodules=none")
    tracked = _git(top, "diff", *options, commit, "--", named=reference)
    others = ""
    if below.is_relative_to(top) and below.exists():
        inside = below.relative_to(top).as_posix()
        others = _git(top, "--literal-pathspecs", "ls-files", "--others", "-z", "--", inside, named=reference)
    return Changed(top, _paths(top, tracked), _paths(top, others))


def _paths(top: Path, listed: str) -> frozenset[Path]:
    # Not resolved: a link that was changed is the link, and where it leads was not.
    return frozenset(top / name.rstrip("/") for name in listed.split("\0") if name)


def _git(folder: Path, *arguments: str, named: str) -> str:
    try:
        found = subprocess.run(  # noqa: S603 - arguments are ours; the reference is checked above
            ["git", "--no-optional-locks", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=GIT_SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("--changed-since needs git, which is not installed") from None
    except (OSError, subprocess.TimeoutExpired):
        raise UsageError(f"--changed-since: git did not answer within {GIT_SECONDS} s") from None
    if found.returncode == 0:
        return found.stdout
    if "not a git repository" in found.stderr:
        raise UsageError(f"--changed-since {named}: {folder} is not in a git repository")
    if "dubious ownership" in found.stderr:
        raise UsageError(
            f"--changed-since {named}: git does not trust {folder}, which belongs to another user",
            hint="git config --global --add safe.directory FOLDER",
        )
    if "rev-parse" in arguments:
        hint = "git fetch (a shallow checkout has no history: fetch-depth 0), or give another reference"
        raise UsageError(f"--changed-since {named}: git knows no such commit", hint=hint)
    raise UsageError(f"--changed-since {named}: git {arguments[0]} failed", hint="run `git status` there")
