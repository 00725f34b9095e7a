"""Parsed declarations by the SHA-256 of their bytes, in a file that may be deleted at any time.

A hit saves reading YAML and nothing else: the value is validated anew, and every rule is judged anew, so a cache never
changes a verdict. Only files without any problem of their own are kept. JSON lines: a header, then
``["SHA-256 of the bytes","SHA-256 of the rest",PLACES,VALUE]``, where the places are those that a rule asked for. A header of another version, a torn or changed line, a file
that others may write: all are passed over as if nothing were there.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
from pydantic import ValidationError

from reconciler.core import model
from reconciler.core.sources import nextech
from reconciler.declarations import shape, yaml_events

Memo = dict[tuple[str | int, ...], tuple[int, int]]
"""Line and column of values that were asked for, by path."""
LARGEST_BYTES = 256 << 20
FEW = 20
"""So many new files are read again next time rather than written: the whole file would have to be."""
_HEAD = 2 + 64 + 3 + 64 + 2  # '["' hash '","' hash '",'


@cache
def _header() -> bytes:
    """Names everything that reading depends on, by content: a development checkout changes without its version."""
    digest = hashlib.sha256(pydantic.VERSION.encode())
    for module in (model, nextech, yaml_events, shape):
        digest.update(Path(str(module.__file__)).read_bytes())
    return json.dumps({"format_version": "1.0", "kind": "declarations-cache", "reader": digest.hexdigest()}).encode()


class Cache:
    """One cache file. ``get`` and ``put`` while loading, then ``save``."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = self._read()
        self._used: dict[str, tuple[bytes, Memo]] = {}
        self._new = 0

    def _read(self) -> dict[bytes, bytes]:
        try:
            handle = os.open(self._file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return {}
        try:  # by descriptor: ``fdopen`` raises on a folder, and leaves it open
            found = os.fstat(handle)
            ours = stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022
            if not ours or found.st_size > LARGEST_BYTES:
                return {}
            with os.fdopen(handle, "rb", closefd=False) as opened:
                header, _, rest = opened.read(LARGEST_BYTES).partition(b"\n")
        except OSError:
            return {}
        finally:
            os.close(handle)
        if header != _header():
            return {}
        return {line[2:66]: line for line in rest.split(b"\n") if len(line) > _HEAD}

    def get(self, digest: str, memo: Memo) -> model.Declaration | None:
        """The declaration that these bytes are, or None where the file itself must be read; known places go to ``memo``."""
        line = self._known.get(digest.encode())
        if line is None:
            return None
        rest = line[_HEAD:-1]
        if line != _line(digest, rest):
            return None
        places, _, value = rest.partition(b",{")
        value = b"{" + value
        try:
            found = model.share_fields_set(model.Declaration.model_validate_json(value))
            memo.update({tuple(path): (int(row), int(column)) for path, row, column in json.loads(places)})
        except (ValidationError, ValueError, TypeError):
            memo.clear()
            return None
        self._used[digest] = (value, memo)
        return found

    def put(self, digest: str, value: Any, memo: Memo) -> None:
        """Keep what a file without problems says, as it was before it became a model; ``memo`` is read when saving."""
        try:
            text = json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
            if b"\\ud" in text.lower():
                return
        except (TypeError, ValueError):
            return  # a value that JSON has no form for
        self._used[digest] = (text, memo)
        self._new += 1

    def save(self) -> None:
        """Write what was used this time, where that is worth it. Failing is no matter."""
        if self._new <= FEW and self._new * 50 <= len(self._used):
            return
        lines = [_line(digest, _places(memo) + b"," + text) for digest, (text, memo) in self._used.items()]
        name = None
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._file.parent, prefix=f".{self._file.name}.")  # 0600
            with os.fdopen(handle, "wb") as opened:
                opened.write(b"\n".join([_header(), *lines]) + b"\n")
            Path(name).replace(self._file)
        except OSError:
            if name is not None:
                Path(name).unlink(missing_ok=True)


def _places(memo: Memo) -> bytes:
    return json.dumps([[list(path), *place] for path, place in memo.items()], separators=(",", ":")).encode()


def _line(digest: str, value: bytes) -> bytes:
    own = hashlib.sha256(value).hexdigest()
    return b'["' + digest.encode() + b'","' + own.encode() + b'",' + value + b"]"
