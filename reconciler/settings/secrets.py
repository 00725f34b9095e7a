"""Secret references to values; a value shows itself to nobody who does not ask for it by ``reveal``."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from reconciler.errors import SecretError

MAX_BYTES = 1024 * 1024
MAX_DEPTH = 16

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]{0,17})\.[0-9]{1,17}")

_SECRET_VARIABLES = frozenset(
    {
        "RECONCILER_BIRDEYE_TOKEN",
        "RECONCILER_CONTACTS_API_KEY",
        "RECONCILER_NEXTECH_CLIENT_ID",
        "RECONCILER_NEXTECH_USERNAME",
        "RECONCILER_NEXTECH_PASSWORD",
        "RECONCILER_PRACTICE_PLUS_CLIENT_ID",
        "RECONCILER_PRACTICE_PLUS_CLIENT_SECRET",
        "RECONCILER_RECEIPT_KEY",
        "RECONCILER_LEDGER_KEY",
    }
)


class Secret:
    """A value that shows itself to nobody but ``reveal``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(…)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash(("Secret", self._value))


class Secrets:
    """Resolves secret references. Values are read when asked for and never shown."""

    def __init__(self, environ: Mapping[str, str], root: Path | None) -> None:
        self._environ = environ
        self._root = root
        self._files: dict[str, Any] = {}
        self._seen = dict.fromkeys(it.strip() for it in self.known())

    def __repr__(self) -> str:
        return "Secrets(…)"

    def resolve(self, reference: str) -> Secret:
        """The value of ``env:RECONCILER_SECRET_…`` or ``file:PATH#key.path``. Raises SecretError, never with a value."""
        kind, _, rest = reference.partition(":")
        if kind == "env" and rest.startswith("RECONCILER_SECRET_"):
            value = self._environ.get(rest)
            if value is None:
                raise SecretError(f"the secret {reference} is not set", hint=f"export {rest}=…")
        elif kind == "file":
            value = self._from_file(reference, rest)
        else:
            raise SecretError("a secret is a reference: env:RECONCILER_SECRET_… or file:PATH#key.path")
        if not value.strip():
            raise SecretError(f"the secret {reference} is empty")
        self._seen.setdefault(value.strip())
        return Secret(value.strip())

    def reveal(self, reference: str) -> str:
        """``resolve(reference).reveal()``."""
        return self.resolve(reference).reveal()

    def variable(self, name: str) -> str:
        """The value of one variable that a command line names. Raises SecretError where it is not set."""
        value = self._environ.get(name, "").strip()
        if not value:
            raise SecretError(f"the variable {name} is not set")
        self._seen.setdefault(value)
        return value

    def known(self) -> tuple[str, ...]:
        """Every value that could be a secret, for the log's last net."""
        return tuple(
            value for name, value in self._environ.items() if _is_secret_name(name) and len(value.strip()) >= 6
        )

    def seen(self) -> tuple[str, ...]:
        """``known()``, and every value that was resolved, in the order in which they were first seen."""
        return tuple(self._seen)

    def _from_file(self, reference: str, rest: str) -> str:
        path, _, key = rest.partition("#")
        if self._root is None:
            raise SecretError(
                f"the secret {reference} needs a secrets root", hint="export RECONCILER_SECRETS_ROOT=FOLDER"
            )
        if path not in self._files:
            self._files[path] = _parse_secret_file(reference, _read_below(self._root, path, reference))
        value: Any = self._files[path]
        for part in key.split("."):
            if not isinstance(value, dict) or part not in value:
                raise SecretError(f"the secret {reference} is not there: the file has no {key}")
            value = value[part]
        if not isinstance(value, str):
            raise SecretError(f"the secret {reference} is not text in its file", hint="put it in quotes")
        return value


def _is_secret_name(name: str) -> bool:
    return name.startswith("RECONCILER_SECRET_") or name in _SECRET_VARIABLES


def _read_below(root: Path, path: str, reference: str) -> bytes:
    """A regular file below the root, reached without a link; nothing of it in any error."""
    parts = Path(path).parts
    if Path(path).is_absolute() or ".." in parts or not parts:
        raise SecretError(f"the secret {reference} is outside the secrets root")
    try:
        handle = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        raise SecretError(f"the secrets root {root} cannot be opened") from None
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=handle)
            os.close(handle)
            handle = inner
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=handle)
    except OSError:
        raise SecretError(f"the file of the secret {reference} cannot be opened (links are not followed)") from None
    finally:
        os.close(handle)
    # By descriptor: ``fdopen`` raises on a folder, and leaves it open.
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise SecretError(f"the file of the secret {reference} is not a regular file of at most 1 MiB")
        with os.fdopen(file, "rb", closefd=False) as opened:
            return opened.read(MAX_BYTES)
    except OSError:
        raise SecretError(f"the file of the secret {reference} cannot be read") from None
    finally:
        os.close(file)


def _parse_secret_file(reference: str, data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
        if text.lstrip().startswith("{"):
            return json.loads(text, object_pairs_hook=_unique)
        return yaml_mapping(text)
    except (ValueError, RecursionError):
        raise SecretError(f"the file of the secret {reference} is neither YAML nor JSON") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def yaml_mapping(text: str) -> Any:
    """A small YAML document: no tags, anchors, aliases or duplicate keys. Raises ValueError with a place, never a value.

    Plain ``true``, ``false``, ``null`` and decimal numbers are what they say, everything else is text.
    """
    try:
        depth = 0
        # Flat, so neither depth nor aliases cost anything before they are refused.
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            place = _place(event.start_mark)
            if getattr(event, "anchor", None) is not None:
                raise ValueError(f"{place}: anchors and aliases are not accepted")
            if getattr(event, "tag", None) is not None:
                raise ValueError(f"{place}: tags are not accepted")
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise ValueError(f"{place}: nested more than {MAX_DEPTH} deep")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ValueError(f"{_place(getattr(error, 'problem_mark', None))}: not YAML") from None
    return {} if node is None else _plain(node)


def _place(mark: Any) -> str:
    return f"{mark.line + 1}:{mark.column + 1}" if mark is not None else "1:1"


def _plain(node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key, value in node.value:
            place = _place(key.start_mark)
            if not isinstance(key, yaml.ScalarNode):
                raise ValueError(f"{place}: a key must be text")
            if key.value in found:
                raise ValueError(f"{place}: a key is given twice")
            found[str(key.value)] = _plain(value)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(it) for it in node.value]
    if not isinstance(node, yaml.ScalarNode) or node.style is not None:
        return str(node.value)
    return {"true": True, "false": False}.get(node.value, number(node.value))


def number(text: str) -> Any:
    """A plain decimal number as such, nothing as None, anything else as the text it is."""
    if text in ("", "~", "null"):
        return None
    if _WHOLE.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else text
