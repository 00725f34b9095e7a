"""What commenting, issues and finding a plan need of a forge, the same for GitHub and GitLab, and how both give lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from reconciler import errors
from reconciler.clients.transport import Retry, Transport

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

    def delete_comment(self, number: int, comment: int) -> None:
        """A comment less; one that is gone already is no error."""

    def issues(self, label: str) -> Iterator[Issue]:
        """Every issue with a label, closed ones too."""

    def create_issue(self, title: str, body: str, label: str) -> None:
        """A new issue. Never sent twice."""

    def edit_issue(self, number: int, *, body: str, is_open: bool) -> None:
        """Another text for an issue, open or closed."""


def pages(transport: Transport, path: str, params: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Every row of a list that comes in pages: both forges count them alike. Raises errors.Garbage for no list."""
    for page in range(1, MOST_PAGES + 1):
        query = [*(params or {}).items(), ("per_page", str(PAGE)), ("page", str(page))]
        value = transport.send("GET", path, params=query, endpoint=f"GET {path}").json()
        if not isinstance(value, list):
            msg = f"GET {path}: the answer is no list"
            raise errors.Garbage(msg, method="GET", path=path)
        yield from value
        if len(value) < PAGE:
            return


def write(transport: Transport, method: str, path: str, body: Mapping[str, Any], retry: Retry) -> None:
    """One request that changes something."""
    transport.send(method, path, json_body=body, retry=retry, endpoint=f"{method} {path}")


def delete(transport: Transport, path: str) -> None:
    """One thing less; one that is not there is no error."""
    transport.send(
        "DELETE", path, retry=Retry.SAFE_WRITE, accept_statuses=frozenset({404, 410}), endpoint=f"DELETE {path}"
    )


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
