"""What the commands that write declarations have in common: the files, read once more and replaced as a whole."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from reconciler import declarations, errors
from reconciler.core import declared, lint, model
from reconciler.core.problems import Problem, Severity
from reconciler.declarations import File, Loaded, directory, shape, yaml_events
from reconciler.settings.values import Settings


def load(settings: Settings, paths: tuple[Path, ...], today: date) -> Loaded:
    """Every declaration; ``paths`` says which are selected. No network, no secret."""
    return declarations.load(settings.declarations, shown_from=settings.folder, today=today, paths=paths or None)


def errors_of(loaded: Loaded) -> dict[str, list[Problem]]:
    """The errors of each file, by the path as it is shown."""
    found: dict[str, list[Problem]] = {}
    for it in loaded.problems:
        if it.severity is Severity.ERROR:
            found.setdefault(it.position.file, []).append(it)
    return found


def selected(loaded: Loaded) -> Iterator[File]:
    """The files that the arguments of a command name, in the order of their paths."""
    for it in loaded.files:
        if it.slug in loaded.selected:
            yield it


def read_again(settings: Settings, file: File) -> str | None:
    """The text of a file that ``load`` has read, with its line breaks; None where it is not the same any more."""
    path = settings.folder / file.file
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as opened:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                return None
            content = opened.read(yaml_events.MAX_BYTES + 1)
    except OSError:
        return None
    if hashlib.sha256(content).hexdigest() != file.sha256:
        return None
    return content.decode("utf-8")


def problems_of_new(loaded: Loaded, slug: str, shown: str, text: str, today: date) -> tuple[Problem, ...]:
    """Every problem that a text would have as one more declaration beside those that are there."""
    read = yaml_events.read(text, shown)
    if read.problems:
        return read.problems
    checked = shape.check(read.value)
    if not isinstance(checked, model.Declaration):
        return shape.problems(read.value, checked, read.places, shown)
    one = declared.Declared(slug, shown, checked, directory.Positions(text, shown))
    return tuple(it for it in lint.lint((*loaded.declared, one), today=today) if it.position.file == shown)


def write(path: Path, text: str, *, new: bool = False) -> None:
    """Put a file in place as a whole, or not at all; its permissions stay. ``new`` refuses to replace one.

    Raises errors.ReconcilerError where it cannot be written or, with ``new``, is there already.
    """
    name = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(handle)
        Path(name).chmod(_mode(path))
        if new:
            os.link(name, path)  # unlike a rename it never replaces
        else:
            Path(name).replace(path)
            name = ""
    except FileExistsError:
        raise errors.ReconcilerError(f"{path} is there already; nothing was written") from None
    except OSError as error:
        raise errors.ReconcilerError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        if name:
            Path(name).unlink(missing_ok=True)


def _mode(path: Path) -> int:
    try:
        return stat.S_IMODE(path.lstat().st_mode)
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask
