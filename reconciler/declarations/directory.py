"""A folder of files to declarations that passed every check, with every problem of every file in one reading."""

from __future__ import annotations

import gc
import hashlib
import marshal
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from reconciler.core import declared, lint, model
from reconciler.core.declared import Declared
from reconciler.core.problems import Position, Problem, Severity
from reconciler.core.suggest import nearest, quoted
from reconciler.declarations import apart, files, shape, yaml_events
from reconciler.declarations.cache import Cache, Memo

SLUG = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")
LONGEST_SLUG = 100
RESERVED_SLUGS = frozenset({"run"})
"""``--allow CODE:run`` speaks of a whole run."""


@dataclass(frozen=True, slots=True)
class File:
    """One file that was found. ``business`` and ``sha256`` are None where they could not be read."""

    file: str
    """As shown to people."""
    slug: str
    business: int | None
    sha256: str | None


@dataclass(frozen=True, slots=True)
class Loaded:
    """All that a declarations folder says."""

    declared: tuple[declared.Declared, ...]
    """Files of the right shape, sorted by slug; those against which a rule speaks are among them."""
    problems: tuple[Problem, ...]
    """Sorted by file and place."""
    digest: str
    """SHA-256 over the sorted pairs of relative path and SHA-256 of the content."""
    files: tuple[File, ...]
    selected: frozenset[str] = frozenset()
    """The slugs that ``paths`` names: all where it was not given."""
    sources: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The text of each readable file that has a problem, by the path in ``Position.file``, for excerpts."""

    @property
    def has_errors(self) -> bool:
        """Something must be mended before anything can be planned."""
        return any(it.severity is Severity.ERROR for it in self.problems)


class Positions(Mapping[declared.Path, Position]):
    """The places of one file's values, found when asked for: those of most files never are.

    A mapping or list is at its key; an item of a list at its first character.
    """

    __slots__ = ("_file", "_memo", "_text")

    def __init__(self, text: str, file: str, memo: Memo | None = None) -> None:
        self._text = text
        self._file = file
        self._memo: Memo = {} if memo is None else memo

    @property
    def text(self) -> str:
        """The whole file, for excerpts."""
        return self._text

    def __getitem__(self, path: declared.Path) -> Position:
        known = self._memo.get(path)
        if known is not None:
            return Position(self._file, *known)
        places = _places(self._text)
        span = places.keys.get(path) if path in places.containers else places.values.get(path)
        span = span or places.values.get(path) or places.keys[path]
        self._memo[path] = (span[0], span[1])
        return Position(self._file, span[0], span[1])

    def __iter__(self) -> Iterator[declared.Path]:
        return iter(_places(self._text).values)

    def __len__(self) -> int:
        return len(_places(self._text).values)


@lru_cache(maxsize=128)
def _places(text: str) -> yaml_events.Places:
    """Bounded, since ten thousand tables of places would take ten times the memory of their texts."""
    return yaml_events.read(text, "").places


def load(
    root: Path, *, shown_from: Path, today: date, paths: Sequence[Path] | None = None, cache_file: Path | None = None
) -> Loaded:
    """Read every declaration below ``root``; ``paths`` (files or folders below it) only says which are selected.

    The whole folder is always read: rules look across files. ``shown_from`` is the folder that paths in messages start
    at. Nothing is resolved, no network is used. ``cache_file`` keeps what was parsed and changes no result. A folder that is missing or has no declaration is the problem ``E118``.
    """
    root, shown_from = _absolute(root), _absolute(shown_from)
    prefix = _prefix(root, shown_from)
    was_enabled = gc.isenabled()
    gc.disable()  # many small objects, none of them garbage: the collector costs half the time
    try:
        found, missing = files.read_folder(root, below=shown_from, prefix=prefix)
        cache = Cache(cache_file) if cache_file is not None else None
        readings = _read_all(found, prefix, cache)
        loaded = _together(readings, missing, prefix, today, _Selection(root, paths, prefix))
        if cache is not None:
            cache.save()  # now, when the rules have asked for their places
        return loaded
    finally:
        if was_enabled:
            gc.freeze()  # what was read lives as long as the command: no collection need look at it again
            gc.enable()


def problems_of_selected(loaded: Loaded) -> tuple[Problem, ...]:
    """The problems of selected files, those in which one takes part, and those of no file (an empty folder, a wrong path)."""
    others = {it.file for it in loaded.files if it.slug not in loaded.selected}
    if not others:
        return loaded.problems
    return tuple(
        it
        for it in loaded.problems
        if it.position.file not in others or any(place.file not in others for place, _ in it.also)
    )


@dataclass(slots=True)
class _Reading:
    """One file, read as far as it goes."""

    relative: str
    file: File
    text: str | None = None
    declared: declared.Declared | None = None
    problems: list[Problem] = field(default_factory=list)
    left: Declared | None = None
    """What is left of a file of the wrong shape: told of, never planned."""


MANY = 2_000
"""From so many files on a second process reads the second half."""


def _read_all(found: Sequence[files.Found], prefix: str, cache: Cache | None) -> list[_Reading]:
    if len(found) < MANY or cache is not None or not apart.can_fork():
        return [_read(it, prefix, cache) for it in found]
    half = len(found) // 2
    with apart.Apart(lambda: marshal.dumps([_marshalled(it) for it in found[half:]])) as theirs:
        readings = [_read(it, prefix, cache) for it in found[:half]]
        content = theirs.result()
    known: list[bytes | None] = [None] * (len(found) - half) if content is None else marshal.loads(content)  # noqa: S302
    return (
        readings
        + [
            _read(it, prefix, cache, None if value is None else marshal.loads(value))  # noqa: S302 - our own child's
            for it, value in zip(found[half:], known, strict=True)
        ]
    )


Parsed = tuple[Any, yaml_events.Lists]
"""The value of a file in which the YAML is right, and the places of its first lists."""


def _marshalled(found: files.Found) -> bytes | None:
    """What ``_parsed`` gives for a file; None where there is something to tell of it, or a value that has no such form."""
    text = yaml_events.decode(found.content, "") if found.content is not None else None
    parsed = None if text is None or isinstance(text, Problem) else _parsed(text)
    try:
        return None if parsed is None else marshal.dumps(parsed)
    except ValueError:
        return None


def _parsed(text: str) -> Parsed | None:
    first: yaml_events.Lists = {}
    quick, value = yaml_events.read_quickly(text, lint.OFTEN_TOLD, first)
    return (value, first) if quick else None


def _read(found: files.Found, prefix: str, cache: Cache | None, parsed: Parsed | None = None) -> _Reading:
    """``parsed`` where it is known already."""
    name = files.shown_path(prefix + found.relative)
    slug = files.shown_path(found.relative).rpartition("/")[2].rpartition(".")[0]
    if found.content is None:
        reading = _Reading(found.relative, File(name, slug, None, None))
        reading.problems += [found.problem] if found.problem else []
        return reading
    digest = hashlib.sha256(found.content).hexdigest()
    text = yaml_events.decode(found.content, name)
    if isinstance(text, Problem):
        return _Reading(found.relative, File(name, slug, None, digest), problems=[text])
    memo: Memo = {}
    checked: model.Declaration | ValidationError | None = cache.get(digest, memo) if cache is not None else None
    if checked is None:
        parsed = parsed or _parsed(text)
        if parsed is not None:
            value, first = parsed
            checked = shape.check(value)
            memo.update({path: (line, column) for path, line, column in first.values()})
            if cache is not None and isinstance(checked, model.Declaration):
                cache.put(digest, value, memo)
    reading = _Reading(found.relative, File(name, slug, None, digest), text)
    if isinstance(checked, model.Declaration):
        reading.declared = declared.Declared(slug, name, checked, Positions(text, name, memo))
        reading.file = File(name, slug, checked.business, digest)
    else:
        value, reading.problems, left = _why_not(text, name)
        if left is not None:
            reading.left = declared.Declared(slug, name, left, Positions(text, name))
        reading.file = File(name, slug, _business(value), digest)
    reading.problems += _slug_problems(slug, name)
    return reading


def _why_not(text: str, file: str) -> tuple[Any, list[Problem], model.Declaration | None]:
    """The second, slower reading of a file that has problems; and what is left of it without them."""
    read = yaml_events.read(text, file)
    told = list(read.problems)
    left = None
    if not read.fatal:
        checked = shape.check(read.value)
        error = None if isinstance(checked, model.Declaration) else checked
        told += shape.problems(read.value, error, read.places, file)
        left = checked if isinstance(checked, model.Declaration) else shape.rest(read.value, checked)
    return read.value, told, left


def _business(value: Any) -> int | None:
    number = value.get("business") if isinstance(value, dict) else None
    return number if type(number) is int else None


def _slug_problems(slug: str, file: str) -> list[Problem]:
    if SLUG.fullmatch(slug) and len(slug) <= LONGEST_SLUG and slug not in RESERVED_SLUGS:
        return []
    message = f"the file's name, {quoted(slug)}, cannot be a slug"
    hint = f"small letters, digits and single hyphens, at most {LONGEST_SLUG}; not `run`"
    return [Problem("E120", Severity.ERROR, message, Position(file), hint)]


def _together(
    readings: list[_Reading], missing: Problem | None, prefix: str, today: date, selection: _Selection
) -> Loaded:
    told = [problem for it in readings for problem in it.problems]
    if missing:
        told.append(missing)
    elif not readings:
        hint = "check the setting `declarations` and the folder you are in; `reconciler init` makes a first one"
        told.append(
            Problem(
                "E118",
                Severity.ERROR,
                "no declarations: the folder has none",
                Position(prefix.rstrip("/") or "."),
                hint,
            )
        )
    told += _same_slug(readings)
    good = sorted((it.declared for it in readings if it.declared), key=lambda it: (it.slug, it.file))
    told += lint.lint(good, today=today)
    told += [problem for it in readings if it.left for problem in lint.of_values(it.left, today=today)]
    selected, unmatched = selection.of(readings)
    told += unmatched
    digest = hashlib.sha256()
    for it in readings:
        digest.update(os.fsencode(it.relative) + b"\0" + (it.file.sha256 or "-").encode() + b"\n")
    told.sort(key=lambda it: it.sort_key)
    with_problems = {it.position.file for it in told} | {place.file for it in told for place, _ in it.also}
    sources = {it.file.file: it.text for it in readings if it.text is not None and it.file.file in with_problems}
    listed = tuple(it.file for it in readings)
    return Loaded(tuple(good), tuple(told), digest.hexdigest(), listed, selected, sources)


def _same_slug(readings: list[_Reading]) -> list[Problem]:
    first: dict[str, str] = {}
    told: list[Problem] = []
    for it in readings:
        name = it.file.file
        earlier = first.setdefault(it.file.slug, name)
        if earlier != name:
            also = ((Position(earlier), "also here"),)
            message = f"two files have the slug {quoted(it.file.slug)}"
            told.append(Problem("E123", Severity.ERROR, message, Position(name), "rename one of them", also))
    return told


def _absolute(path: Path) -> Path:
    # Lexical on purpose: resolving would follow the links that must be refused.
    return Path(os.path.abspath(path))  # noqa: PTH100


def _prefix(root: Path, shown_from: Path) -> str:
    shown = root.relative_to(shown_from).as_posix() if root.is_relative_to(shown_from) else root.as_posix()
    return "" if shown == "." else shown.rstrip("/") + "/"


class _Selection:
    """Which files the arguments of a command name. They are compared as text and never opened."""

    def __init__(self, root: Path, paths: Sequence[Path] | None, prefix: str) -> None:
        self.root = root
        self.paths = None if paths is None else [(it, _absolute(it)) for it in paths]
        self.prefix = prefix

    def of(self, readings: list[_Reading]) -> tuple[frozenset[str], list[Problem]]:
        """The selected slugs, and a problem for each argument that names nothing."""
        if self.paths is None:
            return frozenset(it.file.slug for it in readings), []
        chosen: set[str] = set()
        told: list[Problem] = []
        for given, path in self.paths:
            inside = path.is_relative_to(self.root)
            wanted = path.relative_to(self.root).as_posix() if inside else ""
            slugs = {it.file.slug for it in readings if inside and _names(wanted, it.relative)}
            chosen |= slugs
            if not slugs:
                told.append(self._nothing(given, readings, inside=inside))
        return frozenset(chosen), told

    def _nothing(self, given: Path, readings: list[_Reading], *, inside: bool) -> Problem:
        shown = files.shown_path(str(given))
        if not inside:
            message = f"{quoted(shown)} is not below the declarations folder {quoted(self.prefix.rstrip('/') or '.')}"
            return Problem(
                "E121", Severity.ERROR, message, Position(shown), "only declarations of that folder are read"
            )
        guess = nearest(Path(shown).stem, [it.file.slug for it in readings])
        file = next((it.file.file for it in readings if it.file.slug == guess), None)
        hint = f"did you mean: `{file}`" if file else None
        return Problem("E121", Severity.ERROR, f"no declaration at {quoted(shown)}", Position(shown), hint)


def _names(wanted: str, relative: str) -> bool:
    return wanted == "." or relative == wanted or relative.startswith(wanted + "/")
