"""What a report says in each format, at any size: whole outputs, budgets, levels, and the same bytes every time."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from reconciler.core.decide_assign import Counts
from reconciler.core.phi import Phi
from reconciler.core.plan import Plan
from reconciler.core.sync_report import LocationReport, SyncReport
from reconciler.report import annotations as commands_of
from reconciler.report import documents, formats, html, junit, markdown, plan_text, sarif, view, view_other, view_plan
from reconciler.report.html_style import STYLE
from tests import reviewing


def view_of(plan: Plan, **about: object) -> view.View:
    facts = view_plan.About("common-services.birdeye.com", plan.digest, plan.created_at, plan.commit, **about)  # type: ignore[arg-type]
    return view_plan.view_of_plan(documents.view_of_plan(plan), facts)


def small() -> Plan:
    """One deactivation."""
    return reviewing.plan(1, actions=("deactivate",), objections=1)


def test_a_small_plan_in_markdown_says_verdict_counts_objections_and_deactivations_before_the_details() -> None:
    text = markdown.render(view_of(small()))
    digest = small().digest[:12]
    assert (
        text
        == f"""\
### Plan for common-services.birdeye.com

**Refused as it stands: 1 objection to be allowed by name; 1 change in 1 business**

| create | update | deactivate | unchanged | unverified fields | refused |
| ---: | ---: | ---: | ---: | ---: | ---: |
| 0 | 0 | **1** | **7** | **1** | **1** |

> [!CAUTION]
> **Objections (1)**
>
> - <code>filter-widened example-practice-00000</code> location 0: every type instead of Procedure → <code>--allow filter-widened:example-practice-00000</code>

> [!WARNING]
> **Deactivations (1)**
>
> - <code>example-practice-00000</code> mapping 100000000000000: declared and not applied yet

**Unverified (1)**

- 1 declared field cannot be seen and may differ → <code>send what was never sent: --reassert example-practice-00000</code>

**Steps for a person (1)**

- <code>example-practice-00000</code> Nextech: switch appointment purpose off and save

<details open><summary><code>example-practice-00000</code> 1 deactivate</summary>

```diff
- deactivate mapping 100000000000000  (declared and not applied yet)  integrations/example-practice-00000.yaml:7
    active                    true -> false
    properties.location.name  Downtown -> Dermatology, Oncology
    properties.practice.id    #0a1b2c3d -> #4e5f6a7b  (unverified)
```

</details>

<details><summary>Notes (1)</summary>

- <code>example-practice-00000</code> waiting for the practice id ordered on 2026-11-20

</details>

<code>Plan: 0 create, 0 update, 0 activate, 1 deactivate, 0 move, 0 reassert, 0 adopt, 0 manual; 1 unverified; 7 unchanged; 0 unreadable; 1 refused</code>

<sub>digest <code>{digest}</code> · commit <code>0123456789ab</code> · made <code>2026-11-24T06:00:00Z</code></sub>
"""
    )


def test_a_small_plan_in_annotations_is_errors_first_and_ends_with_the_total() -> None:
    assert commands_of.render(view_of(small())) == (
        "::error file=integrations/example-practice-00000.yaml,line=7,col=5,"
        "title=objection/filter-widened example-practice-00000::location 0: every type instead of Procedure "
        "(--allow filter-widened:example-practice-00000)\n"
        "::warning file=integrations/example-practice-00000.yaml,line=7,col=5,"
        "title=change/deactivate example-practice-00000::deactivate mapping 100000000000000: "
        "declared and not applied yet\n"
        "::notice title=Plan for common-services.birdeye.com::Plan: 0 create, 0 update, 0 activate, 1 deactivate, "
        "0 move, 0 reassert, 0 adopt, 0 manual; 1 unverified; 7 unchanged; 0 unreadable; 1 refused\n"
    )


def test_of_many_problems_nine_of_a_kind_are_shown_and_the_rest_is_counted() -> None:
    problems = [it for i in range(30) for it in reviewing.hostile_problems(f"file-{i}")]
    text = commands_of.render(view_other.view_of_problems(problems))
    lines = text.splitlines()
    assert sum(line.startswith("::error ") for line in lines) == 10
    assert lines[9] == "::error title=More::and 21 more, not shown here"
    assert sum(line.startswith("::warning ") for line in lines) == 10
    assert sum(line.startswith("::notice ") for line in lines) == 9


def test_a_sensitive_value_that_is_no_fingerprint_is_masked_in_every_format() -> None:
    plan = reviewing.hostile_plan("00000000-0000-4000-8000-000000000001")
    fields = tuple(it for it in plan.changes[0].fields if it.sensitive)
    changes = tuple(
        replace(it, fields=fields, reason="r", slug="s", source=small().changes[0].source) for it in plan.changes
    )
    plan = replace(small(), changes=changes, objections=(), warnings=(), manual=())
    for form in formats.FORMS:
        text = formats.render(view_of(plan), form)
        assert "00000000-0000" not in text
    assert "&lt;masked&gt;" in html.render(view_of(plan))


def test_a_value_of_a_person_never_becomes_text_of_a_view() -> None:
    for bad in (Phi("Ann Example"), [Phi("Ann Example")], {"name": Phi("Ann Example")}):
        with pytest.raises(TypeError):
            view.shown_value(bad)
    with pytest.raises(TypeError):
        view.shown(Phi("Ann Example"))


def test_the_page_allows_its_own_style_by_hash_and_nothing_else() -> None:
    page = html.render(view_of(small()))
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert style.group(1) == STYLE
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    assert f'http-equiv="Content-Security-Policy" content="{policy}"' in page
    assert not re.search(r"(?:src|href|url\()", page.replace("default-src", "").replace("style-src", ""))


def test_a_sarif_result_is_recognised_again_when_its_line_has_moved() -> None:
    first = view_other.view_of_problems(reviewing.hostile_problems("a.yaml"))
    moved = [
        replace(it, position=replace(it.position, line=it.position.line + 10))
        for it in reviewing.hostile_problems("a.yaml")
    ]

    def prints(shown: view.View) -> list[str]:
        (run,) = json.loads(sarif.render(shown))["runs"]
        return [it["partialFingerprints"]["reconciler/v1"] for it in run["results"]]

    assert prints(first) == prints(view_other.view_of_problems(moved))
    assert len(set(prints(first))) == 3


def test_junit_lists_what_passed_too() -> None:
    text = junit.render(view_other.view_of_drift(reviewing.drift_report(), reviewing.NOW))
    assert '<testsuite name="example-quiet" tests="1" failures="0" errors="0" skipped="0">' in text
    assert junit.render(view_other.view_of_problems([], ["a.yaml"])).count("<testcase") == 1


def test_a_sync_is_counts_and_the_locations_that_did_not_run() -> None:
    fine = LocationReport(100000000000101, "example-skin-group", "ok", counts=Counts(read=9, eligible=7, sent=7))
    bad = LocationReport(100000000000102, "example-skin-group", "unauthorised", "the practice refuses the token")
    shown = view_other.view_of_sync(SyncReport((fine, bad)))
    assert (shown.level, shown.verdict) == ("error", "7 visits sent; 1 location did not run as declared")
    assert shown.total == (
        "Sync: 9 read, 7 eligible, 7 sent, 0 already sent, 0 quarantined, 0 held, 0 failed, 0 pending"
    )
    assert "! unauthorised location 100000000000102  (the practice refuses the token)" in markdown.render(shown)
    assert [it.rule for it in shown.remarks] == ["sync/unauthorised"]


def test_an_apply_names_what_did_not_succeed() -> None:
    plan = reviewing.plan(3, actions=("create",), objections=0)
    outcomes = {plan.changes[0].id: ("applied", ""), plan.changes[1].id: ("failed", "the API said no")}
    shown = view_plan.view_of_apply(documents.view_of_plan(plan), outcomes)
    assert (shown.level, shown.verdict) == ("error", "Not all done: 2 changes of 3 did not succeed")
    assert shown.total == "Apply: 1 applied, 1 failed, 1 not attempted"
    assert "failed: create mapping 100000000000001: the API said no" in markdown.render(shown)


@pytest.mark.parametrize("size", [1, 2, 30, 100, 300, 700, 3_000, 50_000])
@pytest.mark.parametrize("per_business", [1, 40])
def test_a_comment_of_any_size_fits_whole_and_keeps_counts_and_deactivations(size: int, per_business: int) -> None:
    plan = reviewing.plan(size, per_business=per_business)
    shown = view_of(plan, origins={it.id: "pull" for it in plan.changes})
    fitted = markdown.fit(shown, markdown.COMMENT_BYTES, head=("<!-- x -->",), foot=("the foot",), whole="See the job.")
    assert len(fitted.text.encode()) <= 60_000
    assert fitted.text.startswith("<!-- x -->\n### Plan for")
    assert fitted.text.endswith("\nthe foot\n")
    assert f"| **{plan.summary.create:,}** | " in fitted.text
    if plan.summary.deactivate:
        assert f"> **Deactivations ({plan.summary.deactivate:,})**" in fitted.text
    said = f"level {fitted.level} of 5, {markdown.LEVELS[fitted.level - 1]}. See the job."
    assert (said in fitted.text) == (fitted.level > 1)
    assert_whole(fitted.text)
    if size == 50_000:
        assert fitted.level >= 4


class Tags(HTMLParser):
    """Is every tag of a rendered comment closed, in order?"""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def assert_whole(text: str) -> None:
    tags = Tags()
    tags.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    tags.close()
    assert tags.open == []


@pytest.mark.parametrize("per_business", [1, 50])
@pytest.mark.parametrize("size", [400, 5_000, 50_000])
def test_many_deactivations_are_counted_and_named_as_far_as_there_is_room(size: int, per_business: int) -> None:
    plan = reviewing.plan(size, per_business=per_business, actions=("deactivate",))
    text = markdown.fit(view_of(plan), markdown.COMMENT_BYTES).text
    assert len(text.encode()) <= 60_000
    assert f"> **Deactivations ({size:,})**" in text
    assert_whole(text)
    shown = text[text.index("> **Deactivations") :]
    shown = shown[: shown.index("\n\n")]
    businesses = set(re.findall("<code>(example-practice-[0-9]+)</code>", shown))
    assert len(businesses) >= min(size // per_business, 120)
    more = re.search(r"\n> - and ([0-9,]+) more in ([0-9,]+) business", shown)
    told = int(more[2].replace(",", "")) if more else 0
    assert len(businesses) + told == size // per_business
    # The first screen goes on: what is beyond twenty lines is folded.
    assert shown[: shown.index("<details>")].count("\n> - ") == 20


def test_each_level_is_reached_by_some_plan() -> None:
    found = set()
    for size, per_business in ((1, 5), (250, 5), (600, 5), (3_000, 60), (50_000, 1)):
        plan = reviewing.plan(size, per_business=per_business, actions=("update", "update", "update", "deactivate"))
        found.add(markdown.fit(view_of(plan), markdown.COMMENT_BYTES).level)
    assert found == {1, 2, 3, 4, 5}


def test_the_longest_hostile_texts_do_not_push_out_the_counts() -> None:
    text = "`|@x<\u202e" * 200
    plan = reviewing.hostile_plan(text)
    many = replace(
        plan,
        objections=tuple(replace(plan.objections[0], slug=f"{i}{text}") for i in range(100)),
        manual=tuple(replace(plan.manual[0], text=f"{i}{text}") for i in range(100)),
        warnings=tuple(replace(it, slug=f"{i}{text}") for i in range(100) for it in plan.warnings),
        changes=tuple(replace(it, slug=f"{i}{text}", id=f"{i}") for i in range(100) for it in plan.changes),
    )
    fitted = markdown.fit(view_of(many), markdown.COMMENT_BYTES)
    assert len(fitted.text.encode()) <= 60_000
    assert "| **1** | **1** | **1** |" in fitted.text
    assert "> **Deactivations (100)**" in fitted.text
    assert_whole(fitted.text)
    worst = view_of(replace(many, birdeye_url=text, commit=text), onboarding=view.Section("Onboarding", "note", (
        view.Point(view.shown(text), view.shown(text), view.shown(text)),) * 100), guarded=(text,) * 100,
        notes=(text,) * 100)  # fmt: skip
    fitted = markdown.fit(worst, markdown.COMMENT_BYTES)
    assert len(fitted.text.encode()) <= 60_000
    assert "| **1** | **1** | **1** |" in fitted.text
    assert "> **Deactivations (100)**" in fitted.text


def test_fifty_thousand_changes_are_rendered_within_five_seconds_in_each_format() -> None:
    plan = reviewing.plan(50_000)
    shown = view_of(plan)
    renderers: list[Callable[[], str]] = [lambda: plan_text.render_plan(documents.view_of_plan(plan))]
    renderers += [partial(formats.render, shown, form) for form in formats.FORMS]
    for render in renderers:
        start = time.process_time()
        assert render()
        assert time.process_time() - start < 5.0


def test_a_job_summary_has_room_for_what_a_comment_leaves_out() -> None:
    shown = view_of(reviewing.plan(2_000))
    fitted = markdown.fit(shown, markdown.SUMMARY_BYTES)
    assert fitted.level == 1
    assert 60_000 < len(fitted.text.encode()) <= 900_000


RENDER_ALL = """
import hashlib, sys
from reconciler.report import documents, formats, view_plan
from tests import reviewing
plan = reviewing.plan(60)
shown = view_plan.view_of_plan(documents.view_of_plan(plan), view_plan.About("h", plan.digest, plan.created_at))
text = "".join(formats.render(shown, form) for form in formats.FORMS)
print(hashlib.sha256(text.encode()).hexdigest())
"""


def test_the_same_plan_gives_the_same_bytes_whatever_the_hash_seed_locale_and_time_zone() -> None:
    found = set()
    for seed, locale, zone in (
        ("0", "C", "UTC"),
        ("1", "C.UTF-8", "Asia/Tokyo"),
        ("4242", "POSIX", "America/New_York"),
    ):
        done = subprocess.run(
            [sys.executable, "-c", RENDER_ALL],
            cwd=Path(__file__).parents[2],
            env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed, "LC_ALL": locale, "LANG": locale, "TZ": zone},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        found.add(done.stdout)
    assert len(found) == 1


def test_the_order_in_which_changes_come_does_not_show() -> None:
    plan = reviewing.plan(40)
    turned = replace(plan, changes=tuple(reversed(plan.changes)))
    about = view_plan.About("h", "d")
    first = view_plan.view_of_plan(documents.view_of_plan(plan), about)
    second = view_plan.view_of_plan(documents.view_of_plan(turned), about)
    assert first.groups == second.groups
