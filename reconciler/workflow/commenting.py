"""One comment of a request that stays current: found by its marker and its author, edited in place, never doubled."""

from __future__ import annotations

from typing import Literal

from reconciler import errors
from reconciler.clients import forge, github, gitlab
from reconciler.clients.transport import RateLimiter, Transport
from reconciler.clock import Clock
from reconciler.report import markdown
from reconciler.report.view import View
from reconciler.settings.forge import Forge

Done = Literal["created", "edited", "unchanged"]
FAILED_FROM = "<!-- reconciler failed -->"
FAILED_TO = "<!-- reconciler failed end -->"
DEADLINE_SECONDS = 60.0
REQUESTS_PER_SECOND = 5.0
"""Forges throttle those who write quickly."""


def post(client: forge.Client, number: int, beginning: str, body: str) -> Done:
    """Make ``body`` the one comment of ours that begins with ``beginning`` (a marker, without its end).

    A comment that somebody else wrote is never taken for ours, whatever it begins with. Of several of ours, left by two
    jobs that ran at once or by one that nobody heard of, the first is kept and the others are deleted: whoever creates
    one looks again, so that also two who look at the same moment end with one. Raises errors.RemoteError.
    """
    found = find_all(client, number, beginning)
    if not found:
        try:
            client.create_comment(number, body)
        except errors.Unknown:
            found = find_all(client, number, beginning)  # made after all?
            if not found:
                raise
        else:
            found = find_all(client, number, beginning)
        _keep_first(client, number, found, body)
        return "created"
    return _keep_first(client, number, found, body)


def _keep_first(client: forge.Client, number: int, found: list[forge.Comment], body: str) -> Done:
    done: Done = "unchanged"
    if found and not same(found[0].body, body):
        client.edit_comment(number, found[0].id, body)
        done = "edited"
    for it in found[1:]:
        client.delete_comment(number, it.id)
    return done


def find(client: forge.Client, number: int, beginning: str) -> forge.Comment | None:
    """Our comment, or None."""
    return next(iter(find_all(client, number, beginning)), None)


def find_all(client: forge.Client, number: int, beginning: str) -> list[forge.Comment]:
    """Every comment of ours that begins so, oldest first."""
    author = client.author()
    found = [it for it in client.comments(number) if it.author == author and it.body.lstrip().startswith(beginning)]
    return sorted(found, key=lambda it: it.id)


def same(one: str, other: str) -> bool:
    """Equal as a forge stores them: line ends and white space at the end do not count."""
    return one.replace("\r\n", "\n").rstrip() == other.replace("\r\n", "\n").rstrip()


def beginning(kind: str, target: str) -> str:
    """What the marker of a kind and target begins with."""
    return markdown.marker(comment=kind, target=target, v="1").removesuffix(" -->") + " "


def body(view: View, kind: str, target: str, *, whole: str = "", foot: tuple[str, ...] = ()) -> str:
    """The text of a comment: marker, then the view at the level that fits."""
    marker = markdown.marker(comment=kind, target=target, v="1", digest=view.digest[:16] or "none")
    return markdown.fit(view, markdown.COMMENT_BYTES, head=(marker,), foot=foot, whole=whole).text


def failure_body(earlier: str | None, kind: str, target: str, code: int, run_url: str | None, why: str = "") -> str:
    """A comment that says that the run failed, with what the last good one said kept below while there is room."""
    marker = markdown.marker(comment=kind, target=target, v="1", digest="failed")
    link = f" [The job]({run_url}) says why." if run_url else " The job's log says why."
    lines = [
        marker,
        FAILED_FROM,
        "> [!CAUTION]",
        f"> **The {kind} failed (exit {code}): nothing here is current.**{f' {why.capitalize()}.' if why else ''}{link}",
        FAILED_TO,
        "",
    ]
    text = "\n".join(lines)
    kept = without_failure(earlier or "")
    if kept.strip():
        text += f"The last {kind} that succeeded:\n\n{kept.strip()}\n"
    if len(text.encode()) > markdown.COMMENT_BYTES:
        text = "\n".join(lines)
    return text


def without_failure(text: str) -> str:
    """A comment's text without its marker and without an earlier failure."""
    text = text.replace("\r\n", "\n")
    first, _, rest = text.partition("\n")
    text = rest if first.startswith("<!-- reconciler ") else text
    if FAILED_FROM in text and FAILED_TO in text:
        before, _, after = text.partition(FAILED_FROM)
        text = before + after.partition(FAILED_TO)[2].lstrip("\n")
        head, _, rest = text.partition("\n")
        text = rest if head.startswith("The last ") and head.endswith(" that succeeded:") else text
    return text


def open_client(it: Forge, clock: Clock) -> tuple[Transport, forge.Client]:
    """A client for the job's forge, and its transport, which the caller closes. Raises errors.SettingsError."""
    if not it.kind or it.token is None:
        name = "GITLAB_TOKEN" if it.kind == "gitlab" else "GITHUB_TOKEN"
        raise errors.SettingsError(
            "there is no forge to write to" if not it.kind else f"{name} is not set",
            hint="this runs in a job of GitHub or GitLab" if not it.kind else f"give the job {name}",
        )
    token = it.token.reveal()
    transport = Transport(
        base_url=it.api_url,
        allowed_hosts=it.allowed_hosts,
        headers=github.headers(token) if it.kind == "github" else gitlab.headers(token),
        limiter=RateLimiter(REQUESTS_PER_SECOND, now=clock.monotonic, sleep=clock.sleep),
        concurrency=1,
        deadline_seconds=DEADLINE_SECONDS,
        now=clock.monotonic,
        wall=clock.now,
        sleep=clock.sleep,
        jitter=lambda: 0.5,
    )
    if it.kind == "github":
        return transport, github.GitHub(transport, it.repository, it.author)
    return transport, gitlab.GitLab(transport, it.repository, it.author)
