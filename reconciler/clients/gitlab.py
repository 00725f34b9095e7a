"""GitLab's REST API (v4): notes of a merge request, and issues.

Source: docs.gitlab.com, REST: notes, issues. A job's own token may not write notes: a project access token with the
scope ``api`` and the role Reporter is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from reconciler import errors
from reconciler.clients.forge import MOST_PAGES, PAGE, Comment, Issue, number_of, text_of
from reconciler.clients.transport import Retry, Transport


def headers(token: str | None) -> dict[str, str]:
    """For a transport to GitLab."""
    return {"private-token": token} if token else {}


class GitLab:
    """``forge.Client`` for one project (its number)."""

    def __init__(self, transport: Transport, project: str, author: str | None = None) -> None:
        self._transport = transport
        self._project = f"/projects/{project}"
        self._author = author

    def author(self) -> str:
        """The token's own user name."""
        if self._author is None:
            self._author = text_of(self._transport.send("GET", "/user", endpoint="user").json(), "username")
        return self._author

    def comments(self, number: int) -> Iterator[Comment]:
        """Every note of a merge request that a user wrote, oldest first."""
        params = {"sort": "asc", "order_by": "created_at"}
        for it in self._pages(f"{self._project}/merge_requests/{number}/notes", params):
            found = number_of(it, "id")
            if found is not None and it.get("system") is not True:
                yield Comment(found, text_of(it, "author", "username"), text_of(it, "body"))

    def create_comment(self, number: int, body: str) -> None:
        """A new note."""
        self._write("POST", f"{self._project}/merge_requests/{number}/notes", {"body": body}, Retry.ONCE)

    def edit_comment(self, number: int, comment: int, body: str) -> None:
        """Another text for a note."""
        path = f"{self._project}/merge_requests/{number}/notes/{comment}"
        self._write("PUT", path, {"body": body}, Retry.SAFE_WRITE)

    def issues(self, label: str) -> Iterator[Issue]:
        """Every issue with a label, closed ones too."""
        for it in self._pages(f"{self._project}/issues", {"labels": label, "state": "all", "sort": "asc"}):
            number = number_of(it, "iid")
            if number is not None:
                author, is_open = text_of(it, "author", "username"), text_of(it, "state") == "opened"
                yield Issue(number, author, text_of(it, "title"), text_of(it, "description"), is_open)

    def create_issue(self, title: str, body: str, label: str) -> None:
        """A new issue."""
        document = {"title": title, "description": body, "labels": label}
        self._write("POST", f"{self._project}/issues", document, Retry.ONCE)

    def edit_issue(self, number: int, *, body: str, is_open: bool) -> None:
        """Another text for an issue, open or closed."""
        document = {"description": body, "state_event": "reopen" if is_open else "close"}
        self._write("PUT", f"{self._project}/issues/{number}", document, Retry.SAFE_WRITE)

    def artifact(self, job: int, path: str) -> bytes:
        """One file that a job kept."""
        return self._transport.send("GET", f"{self._project}/jobs/{job}/artifacts/{path}", endpoint="artifact").body

    def _pages(self, path: str, params: Mapping[str, str]) -> Iterator[Any]:
        for page in range(1, MOST_PAGES + 1):
            query = [*params.items(), ("per_page", str(PAGE)), ("page", str(page))]
            value = self._transport.send("GET", path, params=query, endpoint=f"GET {path}").json()
            if not isinstance(value, list):
                msg = f"GET {path}: the answer is no list"
                raise errors.Garbage(msg, method="GET", path=path)
            yield from value
            if len(value) < PAGE:
                return

    def _write(self, method: str, path: str, body: Mapping[str, Any], retry: Retry) -> None:
        self._transport.send(method, path, json_body=body, retry=retry, endpoint=f"{method} {path}")
