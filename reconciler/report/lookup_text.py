"""Look-ups as text, JSON and YAML to paste. Names come from remote systems: every form escapes what could act."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from reconciler.core import house_form
from reconciler.report.problems import escaped

Row = tuple[str, ...]


def table(rows: Sequence[Row], indent: str = "") -> list[str]:
    """Rows in aligned columns, escaped."""
    shown = [[escaped(it) for it in row] for row in rows]
    widths = [max((len(row[i]) for row in shown), default=0) for i in range(max(map(len, shown), default=0))]
    return [
        indent + "  ".join(it.ljust(width) for it, width in zip(row, widths, strict=False)).rstrip() for row in shown
    ]


def scalar(text: str) -> str:
    """``text`` as a YAML scalar that reads back as exactly ``text``, without a character that a terminal could act on."""
    if escaped(text) == text:
        return house_form.scalar(text)
    return '"' + "".join({'"': '\\"', "\\": "\\\\"}.get(it) or escaped(it) for it in text) + '"'


def yaml_list(key: str, items: Iterable[tuple[str, str]], indent: str = "") -> list[str]:
    """``key:`` with one item a line, each with a comment where it has one. An id is text, so digits are quoted."""
    lines = [f"{indent}{key}:"]
    for value, comment in items:
        written = f'"{value}"' if value.isascii() and value.isdigit() else scalar(value)
        lines.append(f"{indent}  - {written}" + (f"  # {escaped(comment)}" if comment else ""))
    return lines if len(lines) > 1 else [f"{indent}{key}: []"]


def comment(text: str) -> str:
    """One line of comment."""
    return f"# {escaped(text)}"
