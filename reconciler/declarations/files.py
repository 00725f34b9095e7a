"""Finds and reads the files of the declarations folder without ever leaving it.

A pull request decides what is in that folder, and an error message shows lines of what was read; so a link to
``/proc/self/environ`` must never be followed. Every folder and file is opened relative to the open folder above it,
links refused (``O_NOFOLLOW``), and only regular files are opened at all: opening a pipe waits, opening a device acts.
Nothing of a refused file is read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from reconciler.core.problems import Position, Problem, Severity
from reconciler.declarations.yaml_events import MAX_BYTES

MAX_FOLDERS_DEEP = 32
SUFFIXES = (".yaml", ".yml")

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: should a pipe take the file's place after it was looked at, opening it must not wait.
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """One file below the folder: its path relative to it (``/`` separators), and its bytes or why there are none."""

    relative: str
    content: bytes | None
    problem: Problem | None = None


def shown_path(path: str) -> str:
    """A path as it can be printed and put into JSON: bytes of a name that are not UTF-8 as ``\\xNN``."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def read_folder(root: Path, *, below: Path, prefix: str) -> tuple[list[Found], Problem | None]:
    """Every declaration file of ``root``, any number of folders deep, sorted by path; or why the folder cannot be read.

    Names that begin with a dot are passed over. ``below`` is the folder from which ``root`` is reached without
    following a link, where it lies inside it; ``prefix`` is put before each path where a message shows it.
    """
    try:
        descriptor = _open_root(root, below)
    except FileNotFoundError:
        return [], _no_folder(prefix, "there is no such folder")
    except OSError as error:
        link = root.is_symlink() or error.errno in (40, 62)  # ELOOP on Linux, on macOS
        return [], _no_folder(prefix, "it is a link, or is reached through one" if link else _reason(error))
    try:
        return sorted(_walk(descriptor, "", prefix, 0), key=lambda it: it.relative), None
    finally:
        os.close(descriptor)


def _open_root(root: Path, below: Path) -> int:
    if not root.is_relative_to(below):
        return os.open(root, _FOLDER)
    descriptor = os.open(below, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for name in root.relative_to(below).parts:
        try:
            inner = os.open(name, _FOLDER, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _no_folder(shown: str, why: str) -> Problem:
    hint = "check the setting `declarations` and the folder you are in; `reconciler init` makes a first one"
    return Problem("E118", Severity.ERROR, f"no declarations: {why}", Position(shown.rstrip("/") or "."), hint)


def _walk(descriptor: int, folder: str, prefix: str, depth: int) -> Iterator[Found]:
    try:
        with os.scandir(descriptor) as listing:
            entries = [(it.name, _kind(it)) for it in listing if not it.name.startswith(".")]
    except OSError as error:
        yield _refused(folder, prefix, "E104", f"the folder cannot be read: {_reason(error)}", None)
        return
    for name, kind in entries:
        relative = folder + name
        if kind == "link":
            hint = "put the file itself here; a declaration may not come from outside the folder"
            yield _refused(relative, prefix, "E102", "a link is not followed", hint)
        elif kind == "folder":
            yield from _enter(descriptor, name, relative, prefix, depth)
        elif name.endswith(SUFFIXES):
            yield _read(descriptor, name, relative, prefix, is_regular=kind == "file")
        elif name.lower().endswith(SUFFIXES):
            message = "the name does not end in .yaml, in small letters"
            yield _refused(relative, prefix, "E119", message, "rename the file")


def _kind(entry: os.DirEntry[str]) -> str:
    if entry.is_symlink():
        return "link"
    if entry.is_dir(follow_symlinks=False):
        return "folder"
    return "file" if entry.is_file(follow_symlinks=False) else "other"


def _enter(above: int, name: str, relative: str, prefix: str, depth: int) -> Iterator[Found]:
    if depth >= MAX_FOLDERS_DEEP:
        yield _refused(relative, prefix, "E104", f"more than {MAX_FOLDERS_DEEP} folders deep", "move it up")
        return
    try:
        inner = os.open(name, _FOLDER, dir_fd=above)
    except OSError as error:
        yield _refused(relative, prefix, "E104", f"the folder cannot be read: {_reason(error)}", None)
        return
    try:
        yield from _walk(inner, relative + "/", prefix, depth + 1)
    finally:
        os.close(inner)


def _read(above: int, name: str, relative: str, prefix: str, *, is_regular: bool) -> Found:
    if not is_regular:
        return _refused(relative, prefix, "E101", "not a regular file", "only files are read; delete it")
    try:
        descriptor = os.open(name, _FILE, dir_fd=above)
    except OSError as error:
        return _refused(relative, prefix, "E104", f"the file cannot be read: {_reason(error)}", None)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return _refused(relative, prefix, "E101", "not a regular file", "only files are read; delete it")
        if status.st_size > MAX_BYTES:
            return _too_large(relative, prefix)
        content = os.read(descriptor, status.st_size + 1)  # asking for the most would reserve a megabyte each time
        while len(content) <= MAX_BYTES and (more := os.read(descriptor, MAX_BYTES + 1 - len(content))):
            content += more
    except OSError as error:
        return _refused(relative, prefix, "E104", f"the file cannot be read: {_reason(error)}", None)
    finally:
        os.close(descriptor)
    return Found(relative, content) if len(content) <= MAX_BYTES else _too_large(relative, prefix)


def _too_large(relative: str, prefix: str) -> Found:
    message = f"the file is larger than {MAX_BYTES // 1024} KiB"
    return _refused(relative, prefix, "E103", message, "one file declares one business; split it")


def _refused(relative: str, prefix: str, code: str, message: str, hint: str | None) -> Found:
    where = Position(shown_path(prefix + relative))
    return Found(relative, None, Problem(code, Severity.ERROR, message, where, hint))


def _reason(error: OSError) -> str:
    return (error.strerror or "input/output error").lower()
