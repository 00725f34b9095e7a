"""GitHub's REST API (version 2022-11-28): comments, issues, and which run planned a merged request.

Source: docs.github.com, REST: issue comments, issues, "List pull requests associated with a commit", "List workflow
runs for a repository". A pull request's comments are those of the issue of the same number.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.clients.forge import PAGE, Comment, Issue, delete, number_of, pages, rows, text_of, write
from reconciler.clients.transport import Retry, Transport

BOT = "github-actions[bot]"
"""Whom the job's own token comments as; it cannot ask for its own name."""


def headers(token: str | None) -> dict[str, str]:
    """For a transport to GitHub."""
    found = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}
    return found | ({"authorization": f"Bearer {token}"} if token else {})


class GitHub:
    """``forge.Client`` for one repository (``owner/name``)."""

    def __init__(self, transport: Transport, repository: str, author: str | None = None) -> None:
        self._transport = transport
        self._repo = f"/repos/{repository}"
        self._author = author

    def author(self) -> str:
        """The token's own login; the bot's where GitHub does not say."""
        if self._author is None:
            statuses = frozenset({401, 403, 404})
            reply = self._transport.send("GET", "/user", accept_statuses=statuses, endpoint="user")
            login = text_of(reply.json(), "login") if reply.status == 200 else ""
            self._author = login or BOT
        return self._author

    def comments(self, number: int) -> Iterator[Comment]:
        """Every comment of a pull request, oldest first."""
        for it in pages(self._transport, f"{self._repo}/issues/{number}/comments"):
            found = number_of(it, "id")
            if found is not None:
                yield Comment(found, text_of(it, "user", "login"), text_of(it, "body"))

    def create_comment(self, number: int, body: str) -> None:
        """A new comment."""
        write(self._transport, "POST", f"{self._repo}/issues/{number}/comments", {"body": body}, Retry.ONCE)

    def edit_comment(self, number: int, comment: int, body: str) -> None:
        """Another text for a comment."""
        del number
        write(self._transport, "PATCH", f"{self._repo}/issues/comments/{comment}", {"body": body}, Retry.SAFE_WRITE)

    def delete_comment(self, number: int, comment: int) -> None:
        """A comment less."""
        del number
        delete(self._transport, f"{self._repo}/issues/comments/{comment}")

    def issues(self, label: str) -> Iterator[Issue]:
        """Every issue with a label, closed ones too; pull requests are none."""
        for it in pages(self._transport, f"{self._repo}/issues", {"labels": label, "state": "all", "direction": "asc"}):
            number = number_of(it, "number")
            if number is not None and not (isinstance(it, dict) and "pull_request" in it):
                is_open = text_of(it, "state") == "open"
                yield Issue(number, text_of(it, "user", "login"), text_of(it, "title"), text_of(it, "body"), is_open)

    def create_issue(self, title: str, body: str, label: str) -> None:
        """A new issue."""
        write(
            self._transport,
            "POST",
            f"{self._repo}/issues",
            {"title": title, "body": body, "labels": [label]},
            Retry.ONCE,
        )

    def edit_issue(self, number: int, *, body: str, is_open: bool) -> None:
        """Another text for an issue, open or closed."""
        state = {"state": "open"} if is_open else {"state": "closed", "state_reason": "completed"}
        write(self._transport, "PATCH", f"{self._repo}/issues/{number}", {"body": body, **state}, Retry.SAFE_WRITE)

    def heads_merged_by(self, commit: str) -> tuple[str, ...]:
        """The heads of the pull requests that ``commit`` merged, or that it is a part of."""
        found = pages(self._transport, f"{self._repo}/commits/{commit}/pulls")
        return tuple(text_of(it, "head", "sha") for it in found if text_of(it, "merged_at"))

    def head_of(self, number: int) -> str:
        """The head of a pull request."""
        return text_of(
            self._transport.send("GET", f"{self._repo}/pulls/{number}", endpoint="pull").json(), "head", "sha"
        )

    def run_of(self, head: str, workflow: str) -> int | None:
        """The newest run for a pull request's head of the workflow whose file has this name, if it was not cancelled.

        A run that failed counts: a plan of which a business could not be read ends so, and is a plan.
        """
        params = [("head_sha", head), ("event", "pull_request"), ("status", "completed"), ("per_page", str(PAGE))]
        document = self._transport.send("GET", f"{self._repo}/actions/runs", params=params, endpoint="runs").json()
        listed = rows(document.get("workflow_runs")) if isinstance(document, dict) else []
        mine = [
            it
            for it in listed
            if text_of(it, "path").partition("@")[0].rpartition("/")[2] == workflow
            and text_of(it, "conclusion") not in ("cancelled", "skipped")
        ]
        return max((found for it in mine if (found := number_of(it, "id")) is not None), default=None)
