"""Secret references to values; a value shows itself to nobody who does not ask for it by ``reveal``."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from reconciler.errors import SecretError

MAX_BYTES = 1024 * 1024

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
        return Secret(value.strip())

    def reveal(self, reference: str) -> str:
        """``resolve(reference).reveal()``."""
        return self.resolve(reference).reveal()

    def variable(self, name: str) -> str:
        """The value of one variable that a command line names. Raises SecretError where it is not set."""
        value = self._environ.get(name, "").strip()
        if not value:
            raise SecretError(f"the variable {name} is not set")
        return value

    def known(self) -> tuple[str, ...]:
        """Every value that could be a secret, for the log's last net."""
        return tuple(
            value for name, value in self._environ.items() if _is_secret_name(name) and len(value.strip()) >= 6
        )

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
    with os.fdopen(file, "rb") as opened:
        found = os.fstat(opened.fileno())
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_BYTES:
            raise SecretError(f"the file of the secret {reference} is not a regular file of at most 1 MiB")
        return opened.read(MAX_BYTES)


def _parse_secret_file(reference: str, data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
        return json.loads(text) if text.lstrip().startswith("{") else yaml_mapping(text)
    except (ValueError, RecursionError):
        raise SecretError(f"the file of the secret {reference} is neither YAML nor JSON") from None


def yaml_mapping(text: str) -> Any:
    """A small YAML document with text values only: no tags, links between nodes or duplicate keys."""
    import yaml

    def build(node: yaml.Node, depth: int) -> Any:
        if depth > 16 or not node.tag.startswith("tag:yaml.org,2002:"):
            raise ValueError("too deep, or tagged")
        if isinstance(node, yaml.MappingNode):
            found: dict[str, Any] = {}
            for key, value in node.value:
                if not isinstance(key, yaml.ScalarNode) or key.value in found:
                    raise ValueError("a key is given twice or is no text")
                found[str(key.value)] = build(value, depth + 1)
            return found
        if isinstance(node, yaml.SequenceNode):
            return [build(it, depth + 1) for it in node.value]
        plain = cast("yaml.ScalarNode", node)
        if plain.style is None and plain.tag != "tag:yaml.org,2002:str":
            return {"tag:yaml.org,2002:bool": plain.value in ("true", "True")}.get(plain.tag, number(plain.value))
        return str(plain.value)

    try:
        node = yaml.compose(
            text, Loader=yaml.CSafeLoader if text.count("[") + text.count("{") < 64 else yaml.SafeLoader
        )
        return {} if node is None else build(node, 0)
    except yaml.YAMLError:
        raise ValueError("not YAML") from None


def number(text: str) -> Any:
    """A plain YAML number, else the text."""
    if text in ("", "~", "null"):
        return None
    try:
        return int(text) if not text.startswith("0") or text == "0" else text
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return text
