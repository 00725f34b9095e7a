"""How drift is told: whole outputs, hostile values, and the commands that end a difference."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from reconciler.core.drift import BusinessDrift, Finding, Report, Totals
from reconciler.core.plan import Objection
from reconciler.core.problems import Position
from reconciler.report import drift_text, formats, view_other

NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)
HOSTILE = "\x1b[31mred\x1b[0m \u202egnp.exe\u2066 \n::error::no \r <script>|*_`[x](y)` \x00\u200b\ud7ff % @all #1"


def business(number: int, *findings: Finding, unreadable: str = "") -> BusinessDrift:
    return BusinessDrift(
        f"practice-{number}", number, findings, f"integrations/practice-{number}.yaml", unreadable, 10, 2, 0
    )


def changed(slug: str, **more: object) -> Finding:
    values = {
        "declared": "Procedure",
        "live": "Surgery",
        "recorded": "Procedure",
        "position": Position(f"integrations/{slug}.yaml", 9, 3),
        "first_seen": "2026-11-21T05:00:00Z",
    }
    return Finding(slug, "group", "properties.appointment.types", "changed_outside", **{**values, **more})  # type: ignore[arg-type]


def hostile() -> Report:
    finding = Finding(
        "practice-1",
        "group",
        f"properties.{HOSTILE}",
        "changed_outside",
        declared=HOSTILE,
        live=HOSTILE,
        recorded=HOSTILE,
        position=Position("integrations/practice-1.yaml", 3, 1),
        note=HOSTILE,
    )
    other = Finding("practice-1", "nextech:5", "nextech.location.name", "missing", declared=[HOSTILE], note=HOSTILE)
    kept = Finding("practice-1", "mapping:5", f"properties.{HOSTILE}", "unmanaged", live=HOSTILE)
    return Report(
        (business(1, finding, other, kept), business(2, unreadable=HOSTILE)),
        accepted=((finding, HOSTILE, "2026-12-31", HOSTILE),),
        ended=(HOSTILE,),
        objections=(Objection("filter-widened", "practice-1", HOSTILE),),
        notes=(HOSTILE,),
    )


RENDERERS: dict[str, Callable[[Report], str]] = {
    "text": lambda report: drift_text.render_drift(report, NOW),
    "json": drift_text.drift_json,
    "markdown": lambda report: formats.render(view_other.view_of_drift(report, NOW), "markdown"),
    "github": lambda report: formats.render(view_other.view_of_drift(report, NOW), "github"),
}


@pytest.mark.parametrize("form", sorted(RENDERERS))
def test_no_output_holds_a_character_that_a_reader_could_act_on(form: str) -> None:
    text = RENDERERS[form](hostile())
    assert all(line.isprintable() for line in text.splitlines())
    if form == "markdown":
        outside = re.sub(r"```+diff\n.*?\n```+", "", text, flags=re.DOTALL)
        assert [it for it in ("[x]", "@all", "<script>") if it in outside] == []
    if form == "github":
        assert [
            line for line in text.splitlines() if not line.startswith(("::warning ", "::error ", "::notice "))
        ] == []
    if form == "json":
        assert json.loads(text)["businesses"][0]["fields"][0]["live"] == HOSTILE


def test_one_cause_in_many_businesses_is_told_once_with_both_commands_for_each() -> None:
    report = Report(tuple(business(number, changed(f"practice-{number}")) for number in range(1, 38)))
    text = drift_text.render_drift(report, NOW)
    assert (
        "  37 businesses: group properties.appointment.types: declared Procedure, live Surgery "
        "(changed outside git since it was applied), one cause: practice-1, practice-10, practice-11, practice-12, "
        "practice-13, practice-14, practice-15, practice-16, practice-17, practice-18, practice-19, practice-2, …\n"
    ) in text
    assert (
        "practice-37  integrations/practice-37.yaml\n"
        "  ~ group properties.appointment.types  declared Procedure, live Surgery  "
        "(changed outside git since it was applied, for 3 days)  integrations/practice-37.yaml:9\n"
        '      git := live   integrations/practice-37.yaml:9: appointment_types: ["Surgery"]\n'
        "    live := git   reconciler plan integrations/practice-37.yaml --out plan.json "
        "&& reconciler apply plan.json\n"
    ) in text
    assert text.endswith(
        "Drift: 37 drifted, 0 accepted; 296 of 370 declared fields checked (80 %); 74 unverified; 0 unreadable\n"
    )


def test_the_document_is_the_published_one() -> None:
    document = json.loads(drift_text.drift_json(Report((business(1, changed("practice-1")),))))
    assert document == {
        "format_version": "1.0",
        "kind": "drift",
        "summary": {
            "drifted_fields": 1,
            "checked_fields": 8,
            "unverified_fields": 2,
            "unreadable_fields": 0,
            "coverage": 0.8,
        },
        "businesses": [
            {
                "slug": "practice-1",
                "business": 1,
                "fields": [
                    {
                        "object": "group",
                        "path": "properties.appointment.types",
                        "class": "changed_outside",
                        "declared": "Procedure",
                        "live": "Surgery",
                        "recorded": "Procedure",
                        "first_seen": "2026-11-21T05:00:00Z",
                    }
                ],
            }
        ],
        "accepted": [],
    }


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, ""), (59, ""), (60, "for 1 minute"), (7200, "for 2 hours"), (86_400 * 40, "for 40 days")]
)
def test_age_is_told_in_the_largest_unit(seconds: int, said: str) -> None:
    since = (NOW - timedelta(seconds=seconds)).isoformat()
    assert drift_text.age(changed("a", first_seen=since), NOW) == said


@pytest.mark.parametrize(
    ("path", "live", "said"),
    [
        ("active", False, "f.yaml:3: state: inactive"),
        ("triggers", ["a", "b"], 'f.yaml:3: triggers: ["a", "b"]'),
        ("properties.customer.fetch.delay", "2", "f.yaml:3: customer_fetch_delay_days: 2"),
        ("properties.location.name", "A|B", 'f.yaml:3: location_names: ["A", "B"]'),
        ("properties.location.name", None, "f.yaml:3: delete the line location_names"),
        ("properties.location.name", "A\nB", "the live value cannot be written in a declaration"),
        ("properties.practice.id", "#1a2b3c4d", "f.yaml:3: practice_id: a reference whose secret is the live value"),
    ],
)
def test_the_line_that_makes_git_match_is_given(path: str, live: object, said: str) -> None:
    finding = Finding("a", "mapping:5", path, "changed_outside", live=live, position=Position("f.yaml", 3, 1))
    assert drift_text.to_git(finding) == said


def test_where_nothing_is_declared_no_share_is_told() -> None:
    assert drift_text.checked(Totals(0, 0, 0, 0)) == "0 of 0 declared fields checked (nothing is declared)"
    assert drift_text.checked(Totals(1, 1500, 500, 0)) == "1,500 of 2,000 declared fields checked (75 %)"
