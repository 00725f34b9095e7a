"""How problems look: whole outputs in three forms, and nothing in them that a terminal or a CI service would obey."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core.problems import Position, Problem, Severity
from reconciler.report import problems as report
from tests import reviewing

SOURCE = """\
version: 1
group:
  practice_id: a-literal
  appointment_types: [Procedure, 日本語, "a|b"]
\tlocatons: []
"""
UNKNOWN = Problem(
    "E201",
    Severity.ERROR,
    "unknown field `locatons`",
    Position("integrations/example.yaml", 5, 2),
    "did you mean: `locations`",
    length=8,
)
SECRET = Problem(
    "E212",
    Severity.ERROR,
    "a secret is given as a reference, never as itself",
    Position("integrations/example.yaml", 3, 3),
    "write a reference",
    length=11,
    secret=True,
)
PIPE = Problem(
    "E301",
    Severity.ERROR,
    "`a|b` holds a `|`",
    Position("integrations/example.yaml", 4, 39),
    also=((Position("integrations/other.yaml", 7, 1), "also here"),),
)
NOTE = Problem("N501", Severity.NOTE, "needs Nextech 15.9", Position("integrations/example.yaml", 4, 3))
ALL = (SECRET, PIPE, NOTE, UNKNOWN)
SOURCES = {"integrations/example.yaml": SOURCE}


def test_text_is_the_house_form() -> None:
    assert (
        report.render_text(ALL, SOURCES)
        == """\
error[E212]: a secret is given as a reference, never as itself
 --> integrations/example.yaml:3:3
  |
2 | group:
3 |   practice_id: <masked>
  |   ^^^^^^^^^^^
  = write a reference
  = more: reconciler explain E212

error[E301]: `a|b` holds a `|`
 --> integrations/example.yaml:4:39
  |
3 |   practice_id: <masked>
4 |   appointment_types: [Procedure, 日本語, "a|b"]
  |                                          ^^^^^
  = also here: integrations/other.yaml:7:1
  = more: reconciler explain E301

note[N501]: needs Nextech 15.9
 --> integrations/example.yaml:4:3

error[E201]: unknown field `locatons`
 --> integrations/example.yaml:5:2
  |
4 |   appointment_types: [Procedure, 日本語, "a|b"]
5 |     locatons: []
  |     ^^^^^^^^
  = did you mean: `locations`
  = more: reconciler explain E201

3 errors, 1 note in 1 file
"""
    )


def test_json_is_as_published() -> None:
    document = json.loads(report.render_json((UNKNOWN,)))
    assert document == {
        "format_version": "1.0",
        "kind": "validate",
        "problems": [
            {
                "code": "E201",
                "severity": "error",
                "file": "integrations/example.yaml",
                "line": 5,
                "column": 2,
                "message": "unknown field `locatons`",
                "hint": "did you mean: `locations`",
            }
        ],
    }
    assert json.loads(report.render_json(())) == {"format_version": "1.0", "kind": "validate", "problems": []}


def test_github_shows_errors_first() -> None:
    assert reviewing.annotated((NOTE, PIPE)) == (
        "::error file=integrations/example.yaml,line=4,col=39,title=E301::`a|b` holds a `|`"
        "; also here: integrations/other.yaml:7:1\n"
        "::notice file=integrations/example.yaml,line=4,col=3,title=N501::needs Nextech 15.9\n"
        "::notice title=Validate::Validate: 1 error, 1 note in 1 file\n"
    )


def test_no_problems_is_no_text() -> None:
    assert (report.render_text((), {}), reviewing.annotated(())) == (
        "",
        "::notice title=Validate::Validate: no problems\n",
    )
    assert report.counted(()) == "no problems"


def test_colour_is_asked_for() -> None:
    assert report.render_text((UNKNOWN,), {}, colour=True).startswith(
        "\x1b[1;31merror[E201]\x1b[0m: \x1b[1munknown field `locatons`\x1b[0m\n"
    )


def test_after_fifty_the_rest_is_counted_and_errors_stay() -> None:
    many = [Problem("W401", Severity.WARNING, "w", Position("a.yaml", i)) for i in range(1, 61)]
    text = report.render_text([*many, UNKNOWN], SOURCES)
    assert text.count("warning[W401]") == 49
    assert "error[E201]" in text
    assert text.endswith(
        "and 11 more, not shown: mend these first, or use --output json\n\n1 error, 60 warnings in 2 files\n"
    )


def test_a_long_line_is_cut_around_the_caret() -> None:
    source = "a: [" + "x, " * 300 + "bad, " + "y, " * 300 + "]"
    at = source.index("bad") + 1
    problem = Problem("E206", Severity.ERROR, "m", Position("a.yaml", 1, at), length=3)
    lines = report.render_text((problem,), {"a.yaml": source}).splitlines()
    excerpt, caret = lines[3], lines[4]
    assert len(excerpt) < 120
    assert excerpt[caret.index("^") : caret.rindex("^") + 1] == "bad"
    assert "…" in excerpt[:6]
    assert excerpt[-1] == "…"


def test_the_file_of_an_excerpt_may_be_unknown_or_shorter() -> None:
    expected = (
        "error[E201]: unknown field `locatons`\n --> integrations/example.yaml:5:2\n  = did you mean: `locations`\n"
    )
    for sources in ({}, {"integrations/example.yaml": "one line"}):
        assert report.render_text((UNKNOWN,), sources).startswith(expected)


HOSTILE = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    (
        "\x1b[31m",
        "\r\n::error::x",
        "::add-mask::",
        "\u202eabc",
        "\u2028::stop-commands::x",
        "%0A::error::",
        "\x00",
        "\x9b31m",
    )
)


@given(HOSTILE, HOSTILE, HOSTILE, st.integers(1, 3), st.integers(1, 60))
@settings(max_examples=300, deadline=None)
def test_no_hostile_text_reaches_a_terminal_or_a_ci_service(
    message: str, hint: str, source: str, line: int, column: int
) -> None:
    where = Position(f"a{message}.yaml", line, column)
    problem = Problem("E301", Severity.ERROR, message, where, hint, ((where, hint),), 5)
    text = report.render_text((problem,), {where.file: source})
    assert all(it.isprintable() or it == "\n" for it in text)
    assert "\u202e" not in text
    assert not any(it.startswith("::") for it in text.splitlines())
    assert all(it.startswith("::") for it in reviewing.annotated((problem,)).splitlines())
    assert report.render_json((problem,)).isascii()
