"""What a job's environment says of the forge that runs it: where its API is, which repository and which request.

A forge sets these variables for every job; a person's shell has none of them. The token goes to the API's host only, and
that host must be the forge's own, loopback, or one that ``RECONCILER_ALLOWED_HOSTS`` names.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from reconciler.errors import SettingsError
from reconciler.settings import hosts
from reconciler.settings.secrets import MAX_BYTES, Secret

GITHUB_API = "https://api.github.com"
GITLAB_API = "https://gitlab.com/api/v4"
_GITHUB_REF = re.compile(
    r"refs/(?:pull/(?P<pull>\d{1,18})/(?:merge|head)|heads/gh-readonly-queue/.+/pr-(?P<queued>\d{1,18})-[0-9a-f]{40})"
)
"""A pull request's, or a merge queue's branch for one."""
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class Forge:
    """The job's surroundings. ``kind`` is empty outside a forge's job."""

    kind: Literal["", "github", "gitlab"] = ""
    api_url: str = ""
    allowed_hosts: frozenset[str] = frozenset()
    repository: str = ""
    """``owner/name``; of GitLab the number of the project."""
    token: Secret | None = None
    number: int | None = None
    """Of the pull or merge request; None elsewhere."""
    base: str | None = None
    """What the request would be merged into, as git here names it."""
    commit: str | None = None
    run_id: str | None = None
    run_url: str | None = None
    author: str | None = None
    """Who our comments are by, where the token cannot tell."""
    summary_file: Path | None = None
    """Where the job's summary is written."""
    output_file: Path | None = None
    """Where values for later steps are written."""
    from_fork: bool = False


def load_forge(environ: Mapping[str, str] | None = None) -> Forge:
    """The surroundings of this job. Raises errors.SettingsError where a variable cannot be what it is for."""
    environ = os.environ if environ is None else environ
    if _get(environ, "GITHUB_REPOSITORY"):
        return _github(environ)
    if _get(environ, "CI_PROJECT_ID"):
        return _gitlab(environ)
    return Forge()


def _github(environ: Mapping[str, str]) -> Forge:
    url = (_get(environ, "GITHUB_API_URL") or GITHUB_API).rstrip("/")
    allowed = hosts.allowed_hosts(environ) | {"api.github.com"}
    hosts.check_url(url, "GITHUB_API_URL", allowed)
    repository = _get(environ, "GITHUB_REPOSITORY") or ""
    if not _REPOSITORY.fullmatch(repository) or ".." in repository:
        raise SettingsError("`GITHUB_REPOSITORY` is not OWNER/NAME")
    base = _get(environ, "RECONCILER_BASE")
    if base is None and (branch := _get(environ, "GITHUB_BASE_REF")):
        base = f"origin/{branch}"
    event = _event(environ)
    run_id = _get(environ, "GITHUB_RUN_ID")
    server = (_get(environ, "GITHUB_SERVER_URL") or "https://github.com").rstrip("/")
    summary, output = _get(environ, "GITHUB_STEP_SUMMARY"), _get(environ, "GITHUB_OUTPUT")
    return Forge(
        kind="github",
        api_url=url,
        allowed_hosts=allowed,
        repository=repository,
        token=_secret(environ, "GITHUB_TOKEN"),
        number=_number(environ, _GITHUB_REF.fullmatch(_get(environ, "GITHUB_REF") or "")),
        base=base,
        commit=_commit(environ, "GITHUB_SHA"),
        run_id=run_id if run_id and run_id.isdecimal() else None,
        run_url=f"{server}/{repository}/actions/runs/{run_id}" if run_id and run_id.isdecimal() else None,
        author=_get(environ, "RECONCILER_COMMENT_AUTHOR"),
        summary_file=Path(summary) if summary else None,
        output_file=Path(output) if output else None,
        from_fork=_is_fork(event),
    )


def _gitlab(environ: Mapping[str, str]) -> Forge:
    url = (_get(environ, "CI_API_V4_URL") or GITLAB_API).rstrip("/")
    allowed = hosts.allowed_hosts(environ) | {"gitlab.com"}
    hosts.check_url(url, "CI_API_V4_URL", allowed)
    project = _get(environ, "CI_PROJECT_ID") or ""
    if not project.isdecimal():
        raise SettingsError("`CI_PROJECT_ID` is not a number")
    iid = _get(environ, "CI_MERGE_REQUEST_IID")
    source = _get(environ, "CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
    return Forge(
        kind="gitlab",
        api_url=url,
        allowed_hosts=allowed,
        repository=project,
        token=_secret(environ, "GITLAB_TOKEN"),
        number=int(iid) if iid and iid.isdecimal() else _number(environ, None),
        base=_get(environ, "RECONCILER_BASE") or _commit(environ, "CI_MERGE_REQUEST_DIFF_BASE_SHA"),
        commit=_commit(environ, "CI_COMMIT_SHA"),
        run_id=_get(environ, "CI_PIPELINE_ID"),
        run_url=_get(environ, "CI_JOB_URL"),
        author=_get(environ, "RECONCILER_COMMENT_AUTHOR"),
        from_fork=bool(source and source != project),
    )


def _get(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name, "").strip() or None


def _secret(environ: Mapping[str, str], name: str) -> Secret | None:
    text = _get(environ, name)
    return Secret(text) if text else None


def _commit(environ: Mapping[str, str], name: str) -> str | None:
    text = _get(environ, name)
    return text if text and _COMMIT.fullmatch(text) else None


def _number(environ: Mapping[str, str], found: re.Match[str] | None) -> int | None:
    given = _get(environ, "RECONCILER_PULL_REQUEST")
    if given:
        if not given.isdecimal():
            raise SettingsError("`RECONCILER_PULL_REQUEST` is not a number")
        return int(given)
    return int(found["pull"] or found["queued"]) if found else None


def _event(environ: Mapping[str, str]) -> object:
    """The event that started the job; None where there is none or it cannot be read."""
    name = _get(environ, "GITHUB_EVENT_PATH")
    if name is None:
        return None
    try:
        with Path(name).open("rb") as opened:
            return json.loads(opened.read(MAX_BYTES * 8))
    except (OSError, ValueError, RecursionError):
        return None


def _is_fork(event: object) -> bool:
    def at(value: object, *keys: str) -> object:
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    head = at(event, "pull_request", "head", "repo", "full_name")
    base = at(event, "pull_request", "base", "repo", "full_name")
    return at(event, "pull_request") is not None and head != base
