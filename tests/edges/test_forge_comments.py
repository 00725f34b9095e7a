"""One comment that stays current and issues that follow the drift, against forges on loopback that fail as real ones do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest

from reconciler import errors
from reconciler.clients import github, gitlab
from reconciler.clients.forge import Client
from reconciler.core.drift import Report
from reconciler.report import documents, markdown, view_plan
from reconciler.report.drift_text import drift_json
from reconciler.settings.forge import load_forge
from reconciler.workflow import commenting, drift_issues
from tests import reviewing
from tests.edges.loopback_server import connected
from tests.forges import BOT, FakeForge, forge

TARGET = "common-services.birdeye.com"
BEGINNING = commenting.beginning("plan", TARGET)


@contextmanager
def client_of(it: FakeForge) -> Iterator[Client]:
    if it.kind == "github":
        with connected(it.url, headers=github.headers("t")) as transport:
            yield github.GitHub(transport, "example/integrations")
    else:
        with connected(it.url, headers=gitlab.headers("t")) as transport:
            yield gitlab.GitLab(transport, "42")


@pytest.fixture(params=["github", "gitlab"])
def there(request: pytest.FixtureRequest) -> Iterator[FakeForge]:
    with forge(request.param) as it:
        yield it


def body_of(size: int) -> str:
    plan = reviewing.plan(size)
    about = view_plan.About(TARGET, plan.digest, "", plan.commit)
    return commenting.body(view_plan.view_of_plan(documents.view_of_plan(plan), about), "plan", TARGET)


def test_a_comment_is_created_then_left_alone_then_edited_in_place(there: FakeForge) -> None:
    with client_of(there) as client:
        assert commenting.post(client, 7, BEGINNING, body_of(3)) == "created"
        assert commenting.post(client, 7, BEGINNING, body_of(3)) == "unchanged"
        assert commenting.post(client, 7, BEGINNING, body_of(9)) == "edited"
    assert [it["body"] for it in there.comments] == [body_of(9)]
    assert len(there.writes) == 2
    assert body_of(9).startswith(BEGINNING)
    assert body_of(9).split("\n")[0].endswith(" -->")


def test_our_comment_is_found_on_a_later_page_and_an_imitation_is_left_alone(there: FakeForge) -> None:
    for i in range(230):
        there.add_comment(f"comment {i}", "somebody")
    imitation = there.add_comment(body_of(1), "somebody")
    ours = there.add_comment(body_of(2))
    other = there.add_comment(commenting.body(view(), "plan", "other.example.com"))
    with client_of(there) as client:
        assert commenting.post(client, 7, BEGINNING, body_of(5)) == "edited"
    assert ours["body"] == body_of(5)
    assert imitation["body"] == body_of(1)
    assert "other.example.com" in other["body"]


def test_of_two_comments_of_ours_the_first_is_kept(there: FakeForge) -> None:
    first, second = there.add_comment(body_of(1)), there.add_comment(body_of(2))
    person = there.add_comment("a word", "somebody")
    with client_of(there) as client:
        assert commenting.post(client, 7, BEGINNING, body_of(3)) == "edited"
        assert commenting.post(client, 7, BEGINNING, body_of(3)) == "unchanged"
    assert second not in there.comments
    assert there.comments == [first, person]
    assert first["body"] == body_of(3)


def test_a_job_that_another_one_overtakes_leaves_one_comment_with_what_it_says(there: FakeForge) -> None:
    there.meanwhile = [body_of(2)]
    with client_of(there) as client:
        assert commenting.post(client, 7, BEGINNING, body_of(3)) == "created"
    assert [it["body"] for it in there.comments] == [body_of(3)]


def test_two_jobs_at_once_leave_one_comment(there: FakeForge) -> None:
    for _ in range(10):
        there.comments.clear()
        start = threading.Barrier(2)

        def job(size: int, start: threading.Barrier = start) -> str:
            with client_of(there) as client:
                start.wait(5)
                return commenting.post(client, 7, BEGINNING, body_of(size))

        with ThreadPoolExecutor(2) as pool:
            done = list(pool.map(job, (2, 3)))
        assert set(done) <= {"created", "edited"}
        assert len(there.comments) == 1
        assert there.comments[0]["body"] in (body_of(2), body_of(3))


def view() -> Any:
    return view_plan.view_of_plan(documents.view_of_plan(reviewing.plan(1)))


def test_what_a_person_wrote_into_our_comment_is_replaced_by_the_plan(there: FakeForge) -> None:
    row = there.add_comment(body_of(2) + "\nlooks good to me")
    with client_of(there) as client:
        assert commenting.post(client, 7, BEGINNING, body_of(2)) == "edited"
        row["body"] = body_of(2).replace("\n", "\r\n")
        assert commenting.post(client, 7, BEGINNING, body_of(2)) == "unchanged"


def test_a_forge_that_is_down_for_a_moment_or_asks_to_wait_is_asked_again(there: FakeForge) -> None:
    there.add_comment(body_of(2))
    there.faults.answers = {"GET": [(502, {}), (429, {"Retry-After": "0"})], "PATCH": [(503, {})], "PUT": [(503, {})]}
    with client_of(there) as client:
        assert commenting.post(client, 7, BEGINNING, body_of(4)) == "edited"
    assert len(there.comments) == 1


def test_a_create_whose_answer_is_lost_is_looked_for_and_never_sent_twice(there: FakeForge) -> None:
    there.faults.lose_answer_of = {"POST"}
    with client_of(there) as client:
        assert commenting.post(client, 7, BEGINNING, body_of(4)) == "created"
    assert len(there.comments) == 1
    with client_of(there) as client:
        assert commenting.post(client, 7, BEGINNING, body_of(4)) == "unchanged"


@pytest.mark.parametrize(
    ("status", "headers"), [(403, {"x-ratelimit-remaining": "0"}), (401, {}), (404, {}), (500, {}), (422, {})]
)
def test_a_forge_that_refuses_is_an_error_that_names_no_token(
    there: FakeForge, status: int, headers: dict[str, str]
) -> None:
    there.faults.answers = {"POST": [(status, headers)] * 20}
    with client_of(there) as client, pytest.raises(errors.RemoteError) as caught:
        commenting.post(client, 7, BEGINNING, body_of(1))
    assert str(status) in caught.value.message
    assert there.comments == []


def test_a_failure_is_said_first_and_keeps_the_last_good_plan_once(there: FakeForge) -> None:
    good = body_of(3)
    once = commenting.failure_body(good, "plan", TARGET, 7, "https://example.com/run/1")
    twice = commenting.failure_body(once, "plan", TARGET, 7, "https://example.com/run/1")
    assert once == twice
    assert once.startswith(BEGINNING)
    assert "> **The plan failed (exit 7): nothing here is current.**" in once
    assert once.endswith("\n".join(good.rstrip().split("\n")[-2:]) + "\n")
    long = commenting.failure_body(good + "x" * 60_000, "plan", TARGET, 1, None)
    assert len(long.encode()) < 1_000
    assert commenting.failure_body(None, "plan", TARGET, 1, None).count("succeeded") == 0
    with client_of(there) as client:
        commenting.post(client, 7, BEGINNING, once)
        assert commenting.post(client, 7, BEGINNING, good) == "edited"


def document(*slugs: str, live: str = "Procedure", kind: str = "changed_outside") -> dict[str, Any]:
    businesses = tuple(
        reviewing.business_drift(slug, reviewing.finding(slug, kind=kind, live=f"{live}{i if len(slugs) < 3 else ''}"))
        for i, slug in enumerate(slugs)
    )
    report = Report(businesses)
    found: dict[str, Any] = json.loads(drift_json(report))
    return found


def settle(there: FakeForge, found: dict[str, Any]) -> str:
    with client_of(there) as client:
        return str(drift_issues.settle(client, found, {"a": "integrations/a.yaml"}, "https://example.com/run/1"))


def test_an_issue_is_made_left_alone_edited_closed_and_reopened(there: FakeForge) -> None:
    assert settle(there, document("a")).startswith("drift issues: 1 created, 0 edited")
    assert "1 unchanged" in settle(there, document("a"))
    assert "1 edited" in settle(there, document("a", live="Surgery"))
    assert "1 closed" in settle(there, document())
    assert settle(there, document()) == ("drift issues: 0 created, 0 edited, 0 reopened, 0 closed, 0 unchanged")
    assert "1 reopened" in settle(there, document("a"))
    (issue,) = there.issues
    assert issue["title"] == "Drift: a"
    text = issue["body"] if there.kind == "github" else issue["description"]
    assert "reconciler plan --out plan.json integrations/a.yaml" in text
    assert "reconciler accept a --path PATH" in text


def test_a_second_issue_of_ours_for_the_same_business_is_closed(there: FakeForge) -> None:
    settle(there, document("a"))
    text = there.issues[0]["body" if there.kind == "github" else "description"]
    there.add_issue({"title": "Drift: a", ("body" if there.kind == "github" else "description"): text})
    assert settle(there, document("a")) == "drift issues: 0 created, 0 edited, 0 reopened, 1 closed, 1 unchanged"
    assert [it["state"] in ("open", "opened") for it in there.issues] == [True, False]
    assert "0 closed, 1 unchanged" in settle(there, document("a"))


def test_an_issue_says_what_differs_and_what_ends_it(there: FakeForge) -> None:
    settle(there, document("a", "b"))
    first, second = (it["body" if there.kind == "github" else "description"] for it in there.issues)
    assert (
        first
        == """\
<!-- reconciler drift=business slug=a -->

1 difference between what is live and <code>integrations/a.yaml</code>.

| object | field | class | declared | live | since |
| --- | --- | --- | --- | --- | --- |
| <code>group</code> | <code>properties.appointment.types</code> | <code>changed outside</code> | <code>Procedure&#124;Surgery</code> | <code>Procedure0</code> | <code>2026-11-21T05:00:00Z</code> |

Make the live state match git:

```sh
reconciler plan --out plan.json integrations/a.yaml
reconciler apply plan.json
```

Or make git match the live state, or agree with it for a while:

```sh
reconciler drift integrations/a.yaml
reconciler accept a --path PATH --reason TEXT --until DATE --by NAME
```
"""
    )
    assert "what was declared; its file is gone." in second
    assert "reconciler forget b" in second


def test_one_difference_in_many_businesses_is_one_issue(there: FakeForge) -> None:
    assert "1 created" in settle(there, document("a", "b", "c", "d"))
    (issue,) = there.issues
    assert issue["title"] == "Drift: group properties.appointment.types changed outside in several businesses"


def test_what_could_not_be_read_closes_nothing(there: FakeForge) -> None:
    settle(there, document("a"))
    assert "0 closed" in settle(there, document("b", kind="unreadable"))


def test_hostile_live_values_stay_inert_in_an_issue(there: FakeForge) -> None:
    settle(there, document("a", live="@org/team ![x](https://example.com/x) </table> \n/close"))
    (issue,) = there.issues
    text = issue["body"] if there.kind == "github" else issue["description"]
    assert "@org" not in text
    assert "</table>" not in text
    assert "\n/close" not in text
    assert len(text.encode()) <= markdown.COMMENT_BYTES


def test_the_surroundings_of_a_job_say_where_and_what() -> None:
    common = {"GITHUB_REPOSITORY": "example/integrations", "GITHUB_TOKEN": "t", "GITHUB_RUN_ID": "9"}
    pull = load_forge({**common, "GITHUB_REF": "refs/pull/12/merge", "GITHUB_BASE_REF": "main"})
    assert (pull.kind, pull.number, pull.base, pull.api_url) == ("github", 12, "origin/main", "https://api.github.com")
    assert pull.run_url == "https://github.com/example/integrations/actions/runs/9"
    queue = load_forge({**common, "GITHUB_REF": f"refs/heads/gh-readonly-queue/main/pr-31-{'a' * 40}"})
    assert queue.number == 31
    assert load_forge({**common, "GITHUB_REF": "refs/heads/main"}).number is None
    merge = load_forge({"CI_PROJECT_ID": "42", "CI_MERGE_REQUEST_IID": "5", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "43"})
    assert (merge.kind, merge.number, merge.from_fork) == ("gitlab", 5, True)
    assert load_forge({}).kind == ""
    assert repr(pull.token) == "Secret(…)"


@pytest.mark.parametrize(
    "url", ["https://evil.example.com", "http://api.github.com", "https://api.github.com@evil.example.com"]
)
def test_a_token_never_goes_to_a_host_that_is_not_allowed(url: str) -> None:
    with pytest.raises(errors.SettingsError):
        load_forge({"GITHUB_REPOSITORY": "a/b", "GITHUB_API_URL": url})
    with pytest.raises(errors.SettingsError):
        load_forge({"GITHUB_REPOSITORY": "a/../b"})


def test_the_job_that_planned_a_merge_is_the_newest_that_succeeded_for_its_head() -> None:
    commit = "c" * 40
    with forge("gitlab") as it:
        it.pulls[commit] = [
            {"iid": 4, "state": "merged", "merge_commit_sha": "d" * 40, "squash_commit_sha": None, "sha": "e" * 40},
            {"iid": 5, "state": "merged", "merge_commit_sha": None, "squash_commit_sha": commit, "sha": "f" * 40},
            {"iid": 6, "state": "opened", "merge_commit_sha": None, "squash_commit_sha": None, "sha": commit},
        ]
        it.requests = {5: {"iid": 5, "head_pipeline": {"id": 70}}, 9: {"iid": 9, "head_pipeline": None}}
        it.pipelines[70] = [
            {"id": 1, "name": "reconciler-plan", "status": "success"},
            {"id": 3, "name": "reconciler-plan", "status": "success"},
            {"id": 4, "name": "reconciler-plan", "status": "failed"},
            {"id": 8, "name": "reconciler-validate", "status": "success"},
        ]
        it.artifacts[3] = b"{}"
        with connected(it.url, headers=gitlab.headers("t")) as transport:
            client = gitlab.GitLab(transport, "42")
            assert client.merged_by(commit) == (5,)
            assert client.plan_job(5, "reconciler-plan") == 3
            assert client.plan_job(5, "another") is None
            assert client.plan_job(9, "reconciler-plan") is None
            assert client.artifact(3, "plan.json") == b"{}"


def test_the_run_that_planned_a_merge_is_the_newest_of_its_head() -> None:
    with forge() as it:
        it.pulls["c" * 40] = [{"merged_at": "2026", "head": {"sha": "h1"}}, {"merged_at": None, "head": {"sha": "h2"}}]
        path = ".github/workflows/reconciler-plan.yml"
        it.runs = [
            {"id": 5, "path": path, "head_sha": "h1"},
            {"id": 8, "path": path, "head_sha": "h1", "conclusion": "failure"},
            {"id": 9, "path": path, "head_sha": "h1", "conclusion": "cancelled"},
            {"id": 9, "path": ".github/workflows/other.yml", "head_sha": "h1"},
        ]
        with connected(it.url, headers=github.headers("t")) as transport:
            client = github.GitHub(transport, "example/integrations")
            assert client.author() == BOT
            assert client.heads_merged_by("c" * 40) == ("h1",)
            assert client.run_of("h1", "reconciler-plan.yml") == 8
            assert client.run_of("h3", "reconciler-plan.yml") is None
            assert client.heads_merged_by("d" * 40) == ()
