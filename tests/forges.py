"""GitHub and GitLab as far as comments, issues and runs need them, on loopback."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.edges.loopback_server import CLOSE, Loopback, Seen, Step, page, serving

BOT = "github-actions[bot]"


@dataclass
class Faults:
    """What goes wrong, by method; each entry is used once."""

    answers: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    lose_answer_of: set[str] = field(default_factory=set)
    """Methods whose next request is carried out and never answered."""


@dataclass
class FakeForge:
    """The state. Comments and issues are rows as the API gives them."""

    kind: str = "github"
    comments: list[dict[str, Any]] = field(default_factory=list)
    issues: list[dict[str, Any]] = field(default_factory=list)
    pulls: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """By commit."""
    runs: list[dict[str, Any]] = field(default_factory=list)
    pipelines: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """Of GitLab: the jobs of each."""
    requests: dict[int, dict[str, Any]] = field(default_factory=dict)
    """Of GitLab: single merge requests."""
    artifacts: dict[int, bytes] = field(default_factory=dict)
    """Of GitLab: plan.json by job."""
    meanwhile: list[str] = field(default_factory=list)
    """Bodies of comments that another job posts just before ours arrives."""
    faults: Faults = field(default_factory=Faults)
    writes: list[str] = field(default_factory=list)
    server: Loopback | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return self.server.url

    def add_comment(self, body: str, author: str = BOT) -> dict[str, Any]:
        name, who = ("user", "login") if self.kind == "github" else ("author", "username")
        row = {
            "id": max((it["id"] for it in self.comments), default=999) + 1,
            "body": body,
            name: {who: author},
            "system": False,
        }
        self.comments.append(row)
        return row

    def answer(self, seen: Seen) -> list[Step]:
        assert seen.headers.get("authorization" if self.kind == "github" else "private-token"), "no token was sent"
        queued = self.faults.answers.get(seen.method, [])
        if queued:
            status, headers = queued.pop(0)
            return page(status, {"message": "no"}, headers)
        status, value = self.handle(seen)
        if seen.method in self.faults.lose_answer_of:
            self.faults.lose_answer_of.discard(seen.method)
            return [CLOSE]
        return page(status, value)

    def handle(self, seen: Seen) -> tuple[int, object]:
        parts = urlsplit(seen.target)
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        pieces = parts.path.strip("/").split("/")
        if seen.method != "GET":
            self.writes.append(f"{seen.method} {parts.path}")
        body = json.loads(seen.body) if seen.body else {}
        if pieces == ["user"]:
            return (403, {"message": "no"}) if self.kind == "github" else (200, {"username": BOT})
        if pieces[-1] in ("comments", "notes"):
            if seen.method == "POST":
                while self.meanwhile:
                    self.add_comment(self.meanwhile.pop())
                return 201, self.add_comment(body["body"])
            return 200, paged(self.comments, query)
        if pieces[-2] in ("comments", "notes"):
            found = [it for it in self.comments if it["id"] == int(pieces[-1])]
            if seen.method == "DELETE":
                self.comments = [it for it in self.comments if it not in found]
                return (204, "") if found else (404, {"message": "no"})
            (row,) = found
            row["body"] = body["body"]
            return 200, row
        if pieces[-1] == "issues":
            if seen.method == "POST":
                return 201, self.add_issue(body)
            return 200, paged(self.issues, query)
        if pieces[-2] == "issues":
            return 200, self.edit_issue(int(pieces[-1]), body)
        if self.kind == "gitlab" and pieces[-1] == "jobs":
            return 200, paged(self.pipelines[int(pieces[-2])], query)
        if self.kind == "gitlab" and pieces[-2] == "artifacts":
            return 200, self.artifacts[int(pieces[-3])]
        if self.kind == "gitlab" and pieces[-2] == "merge_requests":
            return 200, self.requests[int(pieces[-1])]
        if pieces[-1] == "runs":
            return 200, {"workflow_runs": [it for it in self.runs if it["head_sha"] == query["head_sha"]]}
        if pieces[-2] == "pulls":
            return 200, {"head": {"sha": self.runs[-1]["head_sha"]}}
        return 200, self.pulls.get(pieces[-2], [])

    def add_issue(self, body: dict[str, Any]) -> dict[str, Any]:
        number = len(self.issues) + 1
        if self.kind == "github":
            row = {"number": number, "user": {"login": BOT}, "state": "open", **body}
        else:
            row = {"iid": number, "author": {"username": BOT}, "state": "opened", **body}
        self.issues.append(row)
        return row

    def edit_issue(self, number: int, body: dict[str, Any]) -> dict[str, Any]:
        row = self.issues[number - 1]
        event = body.pop("state_event", None)
        if event:
            body["state"] = {"close": "closed", "reopen": "opened"}[event]
        row.update(body)
        return row


def paged(found: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    size, number = int(query.get("per_page", "30")), int(query.get("page", "1"))
    return found[(number - 1) * size : number * size]


@contextlib.contextmanager
def forge(kind: str = "github") -> Iterator[FakeForge]:
    """A forge on loopback until the block ends."""
    it = FakeForge(kind)
    with serving(it.answer) as server:
        it.server = server
        yield it
