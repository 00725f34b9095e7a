"""GitLab's REST API (v4): notes of a merge request, issues, and which job planned a merged request.

Source: docs.gitlab.com, REST: notes, issues, "List merge requests associated with a commit", jobs, job artifacts. A job's own token may not write notes: a project access token with the
scope ``api`` and the role Reporter is needed.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.clients.forge import Comment, Issue, delete, number_of, pages, text_of, write
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
        for it in pages(self._transport, f"{self._project}/merge_requests/{number}/notes", params):
            found = number_of(it, "id")
            if found is not None and it.get("system") is not True:
                yield Comment(found, text_of(it, "author", "username"), text_of(it, "body"))

    def create_comment(self, number: int, body: str) -> None:
        """A new note."""
        write(self._transport, "POST", f"{self._project}/merge_requests/{number}/notes", {"body": body}, Retry.ONCE)

    def edit_comment(self, number: int, comment: int, body: str) -> None:
        """Another text for a note."""
        path = f"{self._project}/merge_requests/{number}/notes/{comment}"
        write(self._transport, "PUT", path, {"body": body}, Retry.SAFE_WRITE)

    def delete_comment(self, number: int, comment: int) -> None:
        """A note less."""
        delete(self._transport, f"{self._project}/merge_requests/{number}/notes/{comment}")

    def issues(self, label: str) -> Iterator[Issue]:
        """Every issue with a label, closed ones too."""
        for it in pages(self._transport, f"{self._project}/issues", {"labels": label, "state": "all", "sort": "asc"}):
            number = number_of(it, "iid")
            if number is not None:
                author, is_open = text_of(it, "author", "username"), text_of(it, "state") == "opened"
                yield Issue(number, author, text_of(it, "title"), text_of(it, "description"), is_open)

    def create_issue(self, title: str, body: str, label: str) -> None:
        """A new issue."""
        document = {"title": title, "description": body, "labels": label}
        write(self._transport, "POST", f"{self._project}/issues", document, Retry.ONCE)

    def edit_issue(self, number: int, *, body: str, is_open: bool) -> None:
        """Another text for an issue, open or closed."""
        document = {"description": body, "state_event": "reopen" if is_open else "close"}
        write(self._transport, "PUT", f"{self._project}/issues/{number}", document, Retry.SAFE_WRITE)

    def merged_by(self, commit: str) -> tuple[int, ...]:
        """The merge requests that ``commit`` merged: as merge commit, as squash, or fast-forward."""
        found = []
        for it in pages(self._transport, f"{self._project}/repository/commits/{commit}/merge_requests"):
            number = number_of(it, "iid")
            brought = {text_of(it, key) for key in ("merge_commit_sha", "squash_commit_sha", "sha")}
            if number is not None and text_of(it, "state") == "merged" and commit in brought:
                found.append(number)
        return tuple(found)

    def plan_job(self, number: int, name: str) -> int | None:
        """The newest job called ``name`` that succeeded, of the pipeline for the head of a merge request.

        Sources: docs.gitlab.com, REST: "Get single MR" (``head_pipeline``; it also holds a merged results pipeline),
        "List pipeline jobs". A job that is run again leaves the earlier one behind; the newest is the one.
        """
        path = f"{self._project}/merge_requests/{number}"
        request = self._transport.send("GET", path, endpoint="merge request").json()
        pipeline = number_of(request.get("head_pipeline") if isinstance(request, dict) else None, "id")
        if pipeline is None:
            return None
        listed = pages(self._transport, f"{self._project}/pipelines/{pipeline}/jobs", {"scope[]": "success"})
        mine = [it for it in listed if text_of(it, "name") == name and text_of(it, "status") == "success"]
        return max((found for it in mine if (found := number_of(it, "id")) is not None), default=None)

    def artifact(self, job: int, path: str) -> bytes:
        """One file that a job kept."""
        return self._transport.send("GET", f"{self._project}/jobs/{job}/artifacts/{path}", endpoint="artifact").body
