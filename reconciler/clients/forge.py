"""What commenting and issues need of a forge, the same for GitHub and GitLab."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

PAGE = 100
MOST_PAGES = 100
LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True)
class Comment:
    """One comment of a request. ``author`` is a login."""

    id: int
    author: str
    body: str


@dataclass(frozen=True, slots=True)
class Issue:
    """One issue. ``number`` is the one that people see."""

    number: int
    author: str
    title: str
    body: str
    is_open: bool


class Client(Protocol):
    """The calls. All raise errors.RemoteError."""

    def author(self) -> str:
        """The login that our own comments have."""

    def comments(self, number: int) -> Iterator[Comment]:
        """Every comment of a request, oldest first."""

    def create_comment(self, number: int, body: str) -> None:
        """A new comment. Never sent twice: errors.Unknown says that nobody knows."""

    def edit_comment(self, number: int, comment: int, body: str) -> None:
        """Another text for a comment."""

    def issues(self, label: str) -> Iterator[Issue]:
        """Every issue with a label, closed ones too."""

    def create_issue(self, title: str, body: str, label: str) -> None:
        """A new issue. Never sent twice."""

    def edit_issue(self, number: int, *, body: str, is_open: bool) -> None:
        """Another text for an issue, open or closed."""


def number_of(value: Any, key: str) -> int | None:
    """A whole number of an answer's object, None where it has none."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def text_of(value: Any, *keys: str) -> str:
    """A text of an answer's object, empty where it has none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


def rows(value: Any) -> list[Any]:
    """A list answer; anything else counts as empty only where the caller has checked the status."""
    return value if isinstance(value, list) else []
