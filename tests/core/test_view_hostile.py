"""Ten thousand hostile texts through every renderer: nothing that they hold is acted on anywhere."""

from __future__ import annotations

import json
import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt

from reconciler.core.plan import Change, FieldChange, Manual, Objection, Plan, Warning_
from reconciler.core.problems import Position
from reconciler.report import annotations as commands_of
from reconciler.report import (
    documents,
    drift_text,
    formats,
    html,
    junit,
    markdown,
    plan_text,
    sarif,
    view_other,
    view_plan,
)
from reconciler.report.problems import escaped
from reconciler.report.view import View
from tests import reviewing

FRAGMENTS = (
    "\x1b[31mred\x1b[0m",
    "\r",
    "\n",
    "\r\n::error::no",
    "::error file=a::no",
    "\n  ::add-mask::word",
    "::stop-commands::x",
    "##[error]no",
    "##[add-mask]word",
    "</details>",
    "</summary><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "![image](https://example.com/x.png)",
    "[link](javascript:alert(1))",
    "[1](0)",
    "@org/team",
    "@all",
    "@someone",
    "<!channel>",
    "#123",
    "GH-12",
    "!45",
    "https://example.com/a?b=c",
    "www.example.com",
    "someone@example.com",
    "mailto:someone@example.com",
    "`",
    "```",
    "```\n@org/team",
    "~~~",
    "````diff",
    "|",
    "| --- |",
    "\\",
    "*bold*",
    "__under__",
    "# heading",
    "- item",
    "> quote",
    "/close",
    "---",
    "&lt;b&gt;",
    "&#64;org",
    "$x$",
    "=cmd()|'/c calc'!A0",
    "+1",
    "\u202egnp.exe\u2066",
    "\u200b",
    "\u2028",
    "\x00",
    "\x9b31m",
    "\ud800",
    "\ufffe",
    "]]>",
    "<!--",
    "-->",
    "--",
    '"',
    "'",
    "é漢字",
    " ",
    "a",
    "%0A::error::",
)
COUNT = 10_000
OUR_TAGS = frozenset({"details", "summary", "code", "sub", "br"})
FROM_MARKDOWN = frozenset(
    {"h3", "h4", "p", "strong", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "pre", "blockquote"}
)
HTML_TAGS = frozenset(
    {"html", "head", "meta", "title", "style", "body", "main", "h1", "h2", "p", "ul", "li", "b", "span", "section"}
    | {"code", "details", "summary", "div", "table", "thead", "tbody", "tr", "th", "td", "br"}
)
MENTION = re.compile(r"(?<![\w`])@[A-Za-z0-9]")
REFERENCE = re.compile(r"(?:#|(?<!\[)!)\d|https?://|www\.\w|mailto:\w")


def texts() -> list[str]:
    rng = random.Random(5)
    return ["".join(rng.choices(FRAGMENTS, k=rng.randint(1, 5))) for _ in range(COUNT)]


TEXTS = texts()


def plan(count: int = COUNT) -> Plan:
    """Every text in a slug, a file, a reason, a path, a value; some in the rest."""
    base = reviewing.hostile_plan("x")
    changes = tuple(
        Change(
            f"id{i}",
            "mapping",
            text,
            i,
            reviewing.ACTIONS[i % 8],
            text,
            Position(text, 3, 1),
            (FieldChange(text, text, [text]), FieldChange("secret", text, text, sensitive=True)),
        )
        for i, text in enumerate(TEXTS[:count])
    )
    some = TEXTS[:500]
    return replace(
        base,
        changes=changes,
        birdeye_url=TEXTS[1],
        commit=TEXTS[2],
        manual=tuple(Manual(it, it) for it in some),
        objections=tuple(Objection(it, it, it) for it in some),
        warnings=tuple(Warning_(it, f"{prefix}{it}") for it in some for prefix in ("", "could not be read: ")),
    )


def drift_view() -> View:
    findings = tuple(
        it for text in TEXTS[:1_000] for one in reviewing.hostile_drift(text).businesses for it in one.findings
    )
    base = reviewing.hostile_drift(TEXTS[3])
    business = reviewing.business_drift(TEXTS[4], *findings)
    return view_other.view_of_drift(replace(base, businesses=(business, *base.businesses)), reviewing.NOW)


def problems_view() -> View:
    return view_other.view_of_problems(
        [it for text in TEXTS[:1_000] for it in reviewing.hostile_problems(text)], TEXTS[:50]
    )


def apply_view() -> View:
    made = plan(1_000)
    outcomes = {it.id: ("failed", TEXTS[i]) for i, it in enumerate(made.changes)}
    return view_plan.view_of_apply(documents.view_of_plan(made), outcomes)


def plan_view() -> View:
    made = plan()
    about = view_plan.About(made.birdeye_url, "d" * 64, made.created_at, made.commit, notes=tuple(TEXTS[:100]))
    return view_plan.view_of_plan(documents.view_of_plan(made), about)


VIEWS: dict[str, Callable[[], View]] = {
    "plan": plan_view,
    "apply": apply_view,
    "drift": drift_view,
    "validate": problems_view,
}


@pytest.fixture(scope="module", params=sorted(VIEWS))
def hostile(request: pytest.FixtureRequest) -> View:
    return VIEWS[request.param]()


class Seen(HTMLParser):
    """Which tags and attributes a page has, and its text outside of code."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.open: list[str] = []
        self.outside: list[str] = []
        self.comments: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag not in ("meta", "br", "hr", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"code", "pre", "style"} & set(self.open):
            self.outside.append(data)

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def parsed(page: str) -> Seen:
    seen = Seen()
    seen.feed(page)
    seen.close()
    assert seen.open == []
    return seen


def assert_inert(text: str, *, commands: bool = False) -> None:
    raw = {it for it in set(text) if it != "\n" and unicodedata.category(it) in ("Cc", "Cf", "Cs", "Cn", "Zl", "Zp")}
    assert raw == set()
    if not commands:
        assert not any(line.lstrip().startswith("::") for line in text.split("\n"))
        assert "##[" not in text


def test_markdown_has_only_our_tags_and_no_live_mention_link_or_image(hostile: View) -> None:
    text = markdown.render(hostile)
    assert_inert(text)
    seen = parsed(MarkdownIt("commonmark", {"html": True}).enable("table").render(text))
    assert seen.tags <= OUR_TAGS | FROM_MARKDOWN
    assert seen.attributes <= {"open", "class", "style"}
    assert seen.comments == []
    outside = "\n".join(seen.outside)
    assert MENTION.findall(outside) == []
    assert REFERENCE.findall(outside) == []
    inside_fence = False
    for line in text.split("\n"):
        if line.startswith("```"):
            inside_fence = not inside_fence
        assert not line.startswith("/")
    assert not inside_fence


def test_html_has_only_our_tags_and_nothing_to_load(hostile: View) -> None:
    page = html.render(hostile)
    assert_inert(page)
    seen = parsed(page)
    assert seen.tags <= HTML_TAGS
    assert seen.attributes <= {
        "lang", "charset", "http-equiv", "content", "name", "class", "open", "scope", "data-side",
    }  # fmt: skip
    assert seen.comments == []


def test_annotations_are_ten_of_a_kind_each_a_command_of_ours(hostile: View) -> None:
    text = commands_of.render(hostile)
    assert_inert(text, commands=True)
    lines = text.splitlines()
    assert all(re.match(r"::(error|warning|notice) [a-z]+=", line) for line in lines)
    for kind in ("error", "warning", "notice"):
        assert sum(line.startswith(f"::{kind} ") for line in lines) <= 10
    order = [line.split(" ")[0] for line in lines]
    assert order == sorted(order, key=["::error", "::warning", "::notice"].index)


def test_sarif_is_ascii_json_with_plain_messages(hostile: View) -> None:
    text = sarif.render(hostile)
    assert text.isascii()
    assert_inert(text)
    (run,) = json.loads(text)["runs"]
    assert run["results"] != []
    for it in run["results"]:
        assert not re.search(r"(?<!\\)(?:\\\\)*\[", it["message"]["text"])
        assert len(it["locations"]) == 1
        for place in it["locations"]:
            assert re.fullmatch(r"[A-Za-z0-9._~/%-]*", place["physicalLocation"]["artifactLocation"]["uri"])


def test_junit_is_xml_of_our_elements(hostile: View) -> None:
    text = junit.render(hostile)
    assert_inert(text)
    root = ElementTree.fromstring(text)
    assert {it.tag for it in root.iter()} <= {"testsuites", "testsuite", "testcase", "failure"}
    assert int(root.attrib["tests"]) == len(root.findall(".//testcase"))
    assert int(root.attrib["failures"]) == len(root.findall(".//failure"))


def test_a_plan_an_apply_and_a_drift_report_as_text_hold_no_command_and_no_control_character() -> None:
    made = plan(COUNT)
    shown = documents.view_of_plan(made)
    outcomes = {it.id: ("failed", TEXTS[i]) for i, it in enumerate(made.changes)}
    findings = tuple(it for text in TEXTS for one in reviewing.hostile_drift(text).businesses for it in one.findings)
    base = reviewing.hostile_drift(TEXTS[3])
    report = replace(base, businesses=(reviewing.business_drift(TEXTS[4], *findings), *base.businesses))
    for text in (
        plan_text.render_plan(shown),
        plan_text.render_plan(shown, summary_only=True),
        plan_text.render_outcomes(made.changes, outcomes),
        drift_text.render_drift(report, reviewing.NOW),
    ):
        assert_inert(text)


def test_a_document_is_ascii_and_reads_back_as_it_was() -> None:
    document = {"kind": "plan", "texts": TEXTS}
    text = documents.to_text(document)
    assert text.isascii()
    assert_inert(text)
    assert json.loads(text) == document
    drift = drift_text.drift_json(reviewing.hostile_drift("".join(FRAGMENTS)))
    assert drift.isascii()
    assert_inert(drift)


ESCAPES: dict[str, Callable[[str], str]] = {
    "text": escaped,
    "prose": markdown.prose,
    "code": markdown.code,
    "html": html.text,
    "data": commands_of.data,
    "property": commands_of.property_,
    "sarif": sarif.message,
    "junit": junit.text,
}


@pytest.mark.parametrize("name", sorted(ESCAPES))
def test_an_escape_function_leaves_one_inert_line_and_loses_no_word(name: str) -> None:
    escape = ESCAPES[name]
    for text in TEXTS:
        out = escape(text)
        assert "\n" not in out
        assert "\r" not in out
        assert "\x1b" not in out
        assert not {"<", ">"} & set(out.replace("<code>", "").replace("</code>", "")) or name in (
            "text",
            "data",
            "property",
            "sarif",
        )
        if "red" in text:
            assert "red" in out


def test_a_marker_stays_within_its_comment() -> None:
    for text in TEXTS[:2_000]:
        line = markdown.marker(plan=text, target=text)
        assert line.startswith("<!-- reconciler plan=")
        assert line.endswith(" -->")
        assert "--" not in line[4:-3]
        assert "\n" not in line


def test_every_format_is_rendered_through_one_door() -> None:
    view = view_plan.view_of_plan(documents.view_of_plan(reviewing.plan(3)))
    for form in formats.FORMS:
        assert formats.render(view, form).endswith("\n")
