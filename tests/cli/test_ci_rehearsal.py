"""The jobs, rehearsed in a git repository: branch, plan, comment, merge, apply --approved, drift; and what goes wrong."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import sample_secrets
from reconciler.sandbox.records import Property
from reconciler.sandbox.server import Server, serve, variables
from tests.forges import FakeForge, forge
from tests.reconciling import SAMPLES

SLUG = "example-skin-group"
FILE = f"integrations/{SLUG}.yaml"


@dataclass
class Repository:
    """A repository of declarations, with the APIs and the forge that its jobs talk to."""

    folder: Path
    server: Server
    forge: FakeForge
    job: dict[str, str] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        names = ["-c", "user.name=Jo Example", "-c", "user.email=jo@example.com"]
        done = subprocess.run(
            ["git", *names, *arguments], cwd=self.folder, capture_output=True, text=True, timeout=30, check=True
        )
        return done.stdout.strip()

    def commit(self, words: str) -> str:
        self.git("add", "integrations", "reconciler.yaml")
        self.git("commit", "-q", "-m", words)
        return self.git("rev-parse", "HEAD")

    def edit(self, before: str, after: str) -> None:
        path = self.folder / FILE
        text = path.read_text()
        assert before in text
        path.write_text(text.replace(before, after))

    def run(self, *arguments: str, code: int, **environ: str) -> subprocess.CompletedProcess[str]:
        everything = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            **sample_secrets(),
            **variables(self.server),
            "GITHUB_API_URL": self.forge.url,
            "GITHUB_REPOSITORY": "example/integrations",
            "GITHUB_TOKEN": "token-of-the-job",
            "GITHUB_RUN_ID": "77",
            "GITHUB_STEP_SUMMARY": str(self.folder / "summary.md"),
            "GITHUB_OUTPUT": str(self.folder / "output.txt"),
            **self.job,
            **environ,
        }
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env=everything,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "token-of-the-job" not in done.stdout + done.stderr
        return done

    def rename_location(self, name: str) -> None:
        """What somebody does in Birdeye's dashboard."""
        world = self.server.app.world
        (mapping,) = world.mappings_of(100000000000101)
        world.put_mapping(replace(mapping, properties=(Property("location.name", name),)))


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    (tmp_path / "integrations").mkdir()
    shutil.copy(SAMPLES / f"{SLUG}.yaml", tmp_path / "integrations")
    (tmp_path / "reconciler.yaml").write_text("declarations: integrations\n")
    with serve(SandboxOptions(dialect="rich")) as server, forge() as there:
        it = Repository(tmp_path, server, there)
        it.git("init", "-q", "-b", "main")
        it.commit("Declare")
        it.run("apply", "--auto-approve", "-q", code=0)
        yield it


PULL = {"GITHUB_REF": "refs/pull/12/merge", "RECONCILER_BASE": "main"}


def test_from_branch_to_merge_to_drift(repository: Repository) -> None:
    it = repository
    # On main and not applied; changed outside git; and the request's own change.
    it.edit("frequency: 12h", "frequency: 2d")
    it.commit("Sync every second day")
    it.rename_location("Dermatology")
    it.git("switch", "-q", "-c", "request")
    it.edit("Procedure", "Consultation")
    head = it.commit("Consultations instead of procedures")
    planned = it.run("ci", "plan", code=0, **PULL)
    assert "comment created" in planned.stderr
    (comment,) = it.forge.comments
    body = comment["body"]
    assert body.startswith("<!-- reconciler comment=plan target=127.0.0.1:")
    order = [
        body.index(f"#### {title}")
        for title in ("This pull request: ", "Already on main and not applied: ", "Changed outside git: ")
    ]
    assert order == sorted(order)
    pull, main, outside = body[order[0] : order[1]], body[order[1] : order[2]], body[order[2] :]
    assert "Consultation" in pull
    assert "12h -> 2d" in main
    assert "location.name" in outside
    assert "::notice title=Plan for" in planned.stdout
    assert (it.folder / "summary.md").read_text().startswith("### Plan for")
    page = (it.folder / "plan.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "<h2>Already on main and not applied: 1 change</h2>" in page

    again = it.run("ci", "plan", code=0, **PULL)
    assert "comment unchanged" in again.stderr
    assert it.forge.writes == ["POST /repos/example/integrations/issues/12/comments"]

    it.git("switch", "-q", "main")
    it.git("merge", "-q", "--no-ff", "-m", "Merge the request", "request")
    merged = it.git("rev-parse", "HEAD")
    it.forge.pulls[merged] = [{"merged_at": "2026-11-24T06:00:00Z", "head": {"sha": head}}]
    it.forge.runs = [{"id": 501, "path": ".github/workflows/reconciler-plan.yml", "head_sha": head}]
    found = it.run("ci", "find-plan", code=0, GITHUB_REF="refs/heads/main", GITHUB_SHA=merged)
    assert found.stdout == "501\n"
    assert (it.folder / "output.txt").read_text() == "run_id=501\n"
    allow = "filter-widened:example-skin-group"
    it.run("ci", "check", "plan.json", code=0, **PULL)
    done = it.run(
        "ci", "apply", "--approved", "plan.json", code=0, GITHUB_REF="refs/heads/main", RECONCILER_ALLOW=allow
    )
    assert "Apply: " in done.stdout
    assert "All done" in (it.folder / "apply.md").read_text()

    nightly = it.run("ci", "drift", "--confirm-after", "0", code=0)
    assert "0 created" in nightly.stderr
    it.rename_location("Oncology")
    drifted = it.run("ci", "drift", "--confirm-after", "0", code=2)
    assert "drift issues: 1 created" in drifted.stderr
    assert "1 unchanged" in it.run("ci", "drift", "--confirm-after", "0", code=2).stderr
    (issue,) = it.forge.issues
    assert (issue["title"], issue["state"], issue["labels"]) == (f"Drift: {SLUG}", "open", ["reconciler-drift"])
    assert FILE in issue["body"]
    it.run("apply", "--auto-approve", "-q", "--allow", allow, code=0)
    assert "1 closed" in it.run("ci", "drift", "--confirm-after", "0", code=0).stderr
    assert issue["state"] == "closed"
    it.rename_location("Oncology")
    assert "1 reopened" in it.run("ci", "drift", "--confirm-after", "0", code=2).stderr


def test_what_was_not_reviewed_is_not_applied(repository: Repository) -> None:
    it = repository
    it.edit("Procedure", "Consultation")
    it.run("plan", "--out", "reviewed.json", code=0)
    it.edit("Consultation", "Follow-up")
    refused = it.run("ci", "apply", "--approved", "reviewed.json", code=4)
    assert "does not hold everything that would be done now" in refused.stderr
    assert "ended with exit code 4 and changed nothing" in (it.folder / "summary.md").read_text()
    it.run("ci", "apply", "--approved", "nothing.json", code=1)


def test_the_plan_keeps_its_own_code_when_the_comment_cannot_be_posted(repository: Repository) -> None:
    it = repository
    it.edit("Procedure", "Consultation")
    it.forge.faults.answers = {"POST": [(403, {"x-ratelimit-remaining": "0"})]}
    refused = it.run("ci", "plan", code=0, **PULL)
    assert (
        "error: the comment could not be posted: POST /repos/example/integrations/issues/12/comments" in refused.stderr
    )
    assert "error: the comment could not be posted: GITHUB_TOKEN is not set" in it.run(
        "ci", "plan", code=0, GITHUB_TOKEN="", **PULL
    ).stderr.replace("token-of-the-job", "")
    it.server.app.faults.arm("G:*:403")
    unread = it.run("ci", "plan", code=7, **PULL)
    assert "comment created" in unread.stderr
    assert "**Incomplete: 1 business could not be read" in it.forge.comments[0]["body"]


def test_a_plan_that_fails_is_a_comment_too_and_keeps_the_last_good_one(repository: Repository) -> None:
    it = repository
    it.edit("Procedure", "Consultation")
    it.run("ci", "plan", code=0, **PULL)
    it.edit("source: nextech", "source: nexttech")
    it.run("ci", "plan", code=1, **PULL)
    (comment,) = it.forge.comments
    assert (
        "> **The plan failed (exit 1): nothing here is current.** The declarations or the settings have"
        in comment["body"]
    )
    assert (
        "was looked at. [The job](https://github.com/example/integrations/actions/runs/77) says why." in comment["body"]
    )
    assert "The last plan that succeeded:" in comment["body"]
    assert "Consultation" in comment["body"]
    it.edit("source: nexttech", "source: nextech")
    it.run("ci", "plan", code=0, **PULL)
    assert "failed" not in comment["body"]

    summary = (it.folder / "summary.md").read_text()
    assert "**The plan failed (exit 1): the declarations or the settings have errors" in summary


BAD_SETTINGS = {
    "birdeye:\n  url: https://evil.example.com\n": "leads to the host evil.example.com, which is not allowed",
    "nextech:\n  url: https://evil.example.com\n": "leads to the host evil.example.com, which is not allowed",
    "nextech:\n  token_url: https://evil.example.com\n": "leads to the host evil.example.com, which is not allowed",
    "practice_plus:\n  url: https://evil.example.com\n": "leads to the host evil.example.com, which is not allowed",
    "contacts:\n  url: https://evil.example.com\n": "leads to the host evil.example.com, which is not allowed",
    "notices: [https://evil.example.com/hook]\n": "leads to the host evil.example.com, which is not allowed",
    "allowed_hosts: [evil.example.com]\n": "allowed_hosts",
    "secrets_root: /etc\n": "secrets_root",
    "proxy: http://evil.example.com\n": "proxy",
    "ca_bundle: x.pem\n": "ca_bundle",
    "birdeye:\n  token: abc\n": "token",
}


def test_a_request_that_edits_settings_chooses_neither_host_nor_root_nor_token(repository: Repository) -> None:
    it = repository
    names = ("BIRDEYE_URL", "NEXTECH_URL", "NEXTECH_TOKEN_URL", "PRACTICE_PLUS_URL", "CONTACTS_URL")
    for text, said in BAD_SETTINGS.items():
        (it.folder / "reconciler.yaml").write_text(text)
        done = it.run("ci", "plan", code=1, **PULL, **{f"RECONCILER_{name}": "" for name in names})
        assert said in done.stderr, text


def test_a_request_that_edits_the_names_of_secrets_reads_nothing_else(repository: Repository) -> None:
    it = repository
    before = "env:RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID"
    for after in (
        "env:GITHUB_TOKEN", "env:RECONCILER_BIRDEYE_TOKEN", "env:HOME", "file:/etc/passwd#x", "file:../../x.yaml#y",
        "00000000-0000-4000-8000-000000000002",
    ):  # fmt: skip
        it.edit(f"practice_id: {before}", f"practice_id: {after}")
        done = it.run("ci", "plan", code=1, **PULL)
        assert "practice_id" in done.stderr
        (comment,) = it.forge.comments
        assert "**The plan failed (exit 1): nothing here is current.**" in comment["body"]
        it.edit(f"practice_id: {after}", f"practice_id: {before}")


def test_what_guards_the_repository_is_told_on_the_first_screen_when_a_request_edits_it(repository: Repository) -> None:
    it = repository
    it.git("switch", "-q", "-c", "request")
    it.edit("Procedure", "Consultation")
    (it.folder / ".github" / "workflows").mkdir(parents=True)
    (it.folder / ".github" / "workflows" / "reconciler-plan.yml").write_text("on: push\n")
    (it.folder / "reconciler.yaml").write_text("declarations: integrations\nmax_contacts_per_run: 4000\n")
    it.git("add", ".github")
    it.commit("Edit what guards")
    it.run("ci", "plan", code=0, **PULL)
    body = it.forge.comments[0]["body"]
    assert "> **Edits what guards this repository (2)**" in body
    assert "> - <code>.github/workflows/reconciler-plan.yml</code>" in body
    assert body.index("Edits what guards") < body.index("#### This pull request")
    assert "An objection is allowed by <code>allow:</code>" in body


def test_a_forge_that_cannot_be_reached_or_asks_to_wait_for_an_hour_changes_no_exit_code(
    repository: Repository,
) -> None:
    it = repository
    it.edit("Procedure", "Consultation")
    with socket.create_server(("127.0.0.1", 0)) as held:
        nobody = f"http://127.0.0.1:{held.getsockname()[1]}"
    done = it.run("ci", "plan", "--out", "one.json", code=0, GITHUB_API_URL=nobody, **PULL)
    assert "error: the comment could not be posted: " in done.stderr
    it.forge.faults.answers = {"POST": [(429, {"Retry-After": "3600"})] * 9}
    start = time.monotonic()
    done = it.run("ci", "plan", "--out", "one.json", code=0, **PULL)
    assert "error: the comment could not be posted: " in done.stderr
    assert time.monotonic() - start < 20
    assert (it.folder / "one.json").is_file()


def test_what_an_earlier_job_left_in_the_folder_is_not_taken_for_this_ones(repository: Repository) -> None:
    it = repository
    it.rename_location("Oncology")
    it.run("ci", "drift", "--confirm-after", "0", code=2)
    it.run("plan", "--out", "reviewed.json", code=0)
    it.run("ci", "apply", "--approved", "reviewed.json", code=3)
    (it.folder / "summary.md").unlink()
    (it.folder / "reconciler.yaml").write_text("nothing: known\n")
    it.run("ci", "drift", "--confirm-after", "0", code=1)
    it.run("ci", "apply", "--approved", "reviewed.json", code=1)
    assert len(it.forge.issues) == 1
    summary = (it.folder / "summary.md").read_text()
    assert summary.startswith("**Looking for drift failed (exit 1): ")
    assert "**The apply ended with exit code 1 and changed nothing" in summary
    assert not (it.folder / "drift.json").exists()


def test_on_gitlab_the_apply_job_finds_the_reviewed_plan_by_itself(repository: Repository) -> None:
    it = repository
    it.forge.kind = "gitlab"
    nothing = dict.fromkeys((name for name in ("GITHUB_REPOSITORY", "GITHUB_TOKEN", "GITHUB_STEP_SUMMARY")), "")
    job = {**nothing, "CI_API_V4_URL": it.forge.url, "CI_PROJECT_ID": "42", "GITLAB_TOKEN": "token-of-the-job"}
    it.git("switch", "-q", "-c", "request")
    it.edit("Procedure", "Consultation")
    it.commit("Consultations instead of procedures")
    base = it.git("rev-parse", "main")
    planned = it.run(
        "ci", "plan", code=0, CI_MERGE_REQUEST_IID="5", CI_MERGE_REQUEST_SOURCE_PROJECT_ID="42",
        CI_MERGE_REQUEST_DIFF_BASE_SHA=base, **job,
    )  # fmt: skip
    assert "comment created" in planned.stderr
    assert it.forge.writes == ["POST /projects/42/merge_requests/5/notes"]
    assert "#### This pull request: " in it.forge.comments[0]["body"]
    it.git("switch", "-q", "main")
    it.git("merge", "-q", "--no-ff", "-m", "Merge the request", "request")
    commit = it.git("rev-parse", "HEAD")
    nobody = it.run("ci", "fetch-plan", "--out", "reviewed.json", code=1, CI_COMMIT_SHA=commit, **job)
    assert "no job has planned what this commit merges; nothing was changed" in nobody.stderr
    it.forge.pulls[commit] = [{"iid": 5, "state": "merged", "merge_commit_sha": commit}]
    it.forge.requests[5] = {"iid": 5, "head_pipeline": {"id": 70}}
    it.forge.pipelines[70] = [{"id": 11, "name": "reconciler-plan", "status": "success"}]
    it.forge.artifacts[11] = (it.folder / "plan.json").read_bytes()
    it.forge.artifacts[12] = b"{}"
    found = it.run("ci", "fetch-plan", "--out", "reviewed.json", code=0, CI_COMMIT_SHA=commit, **job)
    assert "of job 11" in found.stderr
    assert it.run("ci", "find-plan", code=0, CI_COMMIT_SHA=commit, **job).stdout == "11\n"
    by_hand = it.run(
        "ci", "fetch-plan", "--out", "other.json", code=1, CI_COMMIT_SHA=commit, RECONCILER_PLAN_JOB="12", **job
    )
    assert "what job 12 kept is no plan" in by_hand.stderr
    allow = "filter-widened:example-skin-group"
    it.run("ci", "apply", "--approved", "reviewed.json", code=0, RECONCILER_ALLOW=allow, **job)


def test_validate_runs_for_a_fork_without_any_secret(repository: Repository) -> None:
    it = repository
    event = it.folder / "event.json"
    event.write_text(
        '{"pull_request": {"head": {"repo": {"full_name": "else/x"}}, "base": {"repo": {"full_name": "a/b"}}}}'
    )
    bare = dict.fromkeys((*sample_secrets(), *variables(it.server), "GITHUB_TOKEN"), "")
    done = it.run("ci", "validate", code=0, GITHUB_EVENT_PATH=str(event), **bare)
    assert "a request from a fork: validated only" in done.stderr
