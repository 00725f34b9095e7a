"""Where each change of a plan comes from: this request, what is on main already, or somebody outside git.

The declarations of the base are read from git as they are there, and compared with those at hand, value by value. A
change that touches a value which the request changed is the request's. Every other one would be planned on the base
too: the plan's own reason says whether the live state has moved, or main was never applied.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from datetime import date
from pathlib import Path, PurePosixPath
from typing import Any

from reconciler import declarations
from reconciler.core.declared import Declared
from reconciler.core.plan import Change
from reconciler.core.sources import nextech
from reconciler.errors import ReconcilerError
from reconciler.report.view import Origin
from reconciler.settings.values import Settings

MOST_FILES = 50_000
_OUTSIDE = "outside git since it was applied"
_GUARDED = re.compile(
    r"(?:.*/)?(?:reconciler\.yaml|acceptances\.yaml|\.gitlab-ci\.yml|CODEOWNERS|\.pre-commit-config\.yaml)"
    r"|\.github/.*|(?:.*/)?ci/reconciler\..*"
)
_WHOLE = frozenset({"create", "adopt", "move"})


class NoBase(ReconcilerError):
    """The base cannot be read; the message says why. The plan is not to be blamed."""


def attribute(settings: Settings, changes: Iterable[Change], base: str, today: date) -> dict[str, Origin]:
    """By change id. Raises NoBase."""
    before = base_declarations(settings, base, today)
    after = _by_slug(declarations.load(settings.declarations, shown_from=settings.folder, today=today).declared)
    touched: dict[str, frozenset[tuple[int, str]]] = {}
    found: dict[str, Origin] = {}
    for it in changes:
        if it.slug not in touched:
            touched[it.slug] = _touched(before.get(it.slug), after.get(it.slug))
        found[it.id] = origin(it, touched[it.slug])
    return found


def guarded(settings: Settings, base: str) -> tuple[str, ...]:
    """Files of the request that decide where credentials go or what runs with them. Raises NoBase."""
    folder = settings.folder
    commit = _commit(folder, base)
    names = _git(folder, "diff", "--name-only", "-z", "--no-renames", "--relative", commit, "--").split(b"\0")
    top = _git(
        folder, "diff", "--name-only", "-z", "--no-renames", commit, "--", ":(top).github", ":(top).gitlab-ci.yml"
    )
    found = {it.decode("utf-8", "surrogateescape") for it in (*names, *top.split(b"\0")) if it}
    return tuple(sorted(it for it in found if _GUARDED.fullmatch(it)))


def _commit(folder: Path, base: str) -> str:
    """The commit where the request leaves ``base``."""
    if not base or base.startswith("-") or not base.isprintable():
        raise NoBase(f"{base!r} is no git reference")
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}").decode().strip()
    with contextlib.suppress(NoBase):  # a shallow checkout knows no common commit: the base itself is near enough
        commit = _git(folder, "merge-base", commit, "HEAD").decode().strip()
    return commit


def origin(change: Change, touched: frozenset[tuple[int, str]]) -> Origin:
    """``touched``: (location, or 0 for the business; name of a value) of what the request changed in this business."""
    names = {_name(it.path) for it in change.fields}
    if change.action in _WHOLE or not names:
        names = {"*"}
    for place in (change.business, 0) if change.kind != "group" else (0,):
        here = {name for where, name in touched if where == place}
        if "*" in here or here & names or (here and "*" in names):
            return "pull"
    return "outside" if _OUTSIDE in change.reason else "main"


def base_declarations(settings: Settings, base: str, today: date) -> dict[str, Declared]:
    """The declarations of the commit where the request leaves ``base``, by slug. Raises NoBase."""
    folder = settings.folder
    commit = _commit(folder, base)
    top = Path(_git(folder, "rev-parse", "--show-toplevel").decode("utf-8", "surrogateescape").strip("\n"))
    root = settings.declarations.resolve()
    if not root.is_relative_to(top.resolve()):
        raise NoBase("the declarations are outside the git repository")
    inside = root.relative_to(top.resolve()).as_posix()
    with tempfile.TemporaryDirectory(prefix="reconciler-base-") as name:
        where = Path(name) / "declarations"
        where.mkdir()
        _extract(top, commit, inside, where)
        return _by_slug(declarations.load(where, shown_from=where, today=today).declared)


def _extract(top: Path, commit: str, inside: str, where: Path) -> None:
    """Write the regular YAML files of a folder of a commit."""
    listed = _git(top, "ls-tree", "-r", "-z", "--full-tree", commit, "--", f"{inside}/" if inside != "." else ".")
    wanted: list[tuple[str, PurePosixPath]] = []
    for entry in listed.split(b"\0"):
        head, _, raw = entry.partition(b"\t")
        path = PurePosixPath(raw.decode("utf-8", "surrogateescape"))
        mode, _, rest = head.decode().partition(" ")
        if mode not in ("100644", "100755") or path.suffix != ".yaml":
            continue
        relative = path.relative_to(inside) if inside != "." else path
        if ".." not in relative.parts:
            wanted.append((rest.split(" ")[1], relative))
    if len(wanted) > MOST_FILES:
        raise NoBase(f"the base has more than {MOST_FILES} declarations")
    ids = "".join(f"{sha}\n" for sha, _ in wanted).encode()
    data = _git(top, "cat-file", "--batch", given=ids) if wanted else b""
    at = 0
    for sha, relative in wanted:
        end = data.index(b"\n", at)
        name, kind, count = data[at:end].split(b" ")
        if name.decode() != sha or kind != b"blob":
            raise NoBase("git did not give the base's files")
        size = int(count)
        target = where / relative
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data[end + 1 : end + 1 + size])
        at = end + 1 + size + 1


def _git(folder: Path, *arguments: str, given: bytes | None = None) -> bytes:
    try:
        done = subprocess.run(  # noqa: S603 - arguments are ours; references are checked
            ["git", "-C", str(folder), *arguments],  # noqa: S607 - the user's own git
            input=given,
            capture_output=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        raise NoBase("git cannot be run, or did not answer") from None
    if done.returncode != 0:
        raise NoBase("git does not know the base: fetch it (fetch-depth: 0)")
    return done.stdout


def _by_slug(them: Iterable[Declared]) -> dict[str, Declared]:
    return {it.slug: it for it in them}


def _touched(before: Declared | None, after: Declared | None) -> frozenset[tuple[int, str]]:
    """What differs between two declarations of one business."""
    if before is None or after is None:
        # A new or deleted file; one that is on neither side is not the request's.
        return frozenset({(0, "*")}) if (before is None) != (after is None) else frozenset()
    old, new = _values(before), _values(after)
    found = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    gone = {place for place, _ in old} ^ {place for place, _ in new}
    return frozenset(found | {(place, "*") for place in gone})


def _values(it: Declared) -> dict[tuple[int, str], Any]:
    """Every declared value by (location, or 0; its name)."""
    document = it.declaration.model_dump(mode="json", exclude_unset=True)
    found: dict[tuple[int, str], Any] = {}
    for key, value in document.items():
        if key == "locations":
            for location in value:
                place = location["business"]
                found |= {(place, _name(name)): one for name, one in location.items()}
        elif key == "group":
            found |= {(0, "group.id" if name == "id" else _name(name)): one for name, one in _items(value)}
        elif key not in ("allow", "moved", "version"):
            found[0, _name(key)] = value
    return found


def _items(value: Any) -> Iterable[tuple[str, Any]]:
    return value.items() if isinstance(value, Mapping) else ()


_NAMES = {"active": "state", "slug": "*", "declaration": "*", "integrationGroupId": "*"}


def _name(path: str) -> str:
    """The name that a declaration has for a field of a plan; ``state`` for its wire form too."""
    spec = nextech.BY_KEY.get(path.removeprefix("properties."))
    if spec is not None:
        return spec.name
    return _NAMES.get(path, path.split(".")[0] if path.startswith("onboarding") else path)
