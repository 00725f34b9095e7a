"""``explain`` and ``schema`` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest

from reconciler.cli import main
from reconciler.core import explain, schema


def test_a_code_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", "e219"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith(
        "E219: not a country\n\nA country is two capital letters.\n\n  severity  error\n  to do     Write `US`.\n\n"
        "instead of:\n\n    version: 1\n"
    )
    assert said.err == ""


def test_a_field_that_stands_in_two_places_is_explained_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", "customer_fetch_delay_days"]) == 0
    assert capsys.readouterr().out == (
        "group.customer_fetch_delay_days: a field of a declaration\n\n"
        "Days to wait after a visit before its patient is fetched.\n\n"
        "  takes     a whole number, 0 to 60\n  left out  what is live stays, else 0\n"
        "  sent as   the property `customer.fetch.delay`\n\nexample:\n\n    customer_fetch_delay_days: 2\n"
        "\n"
        "locations[].customer_fetch_delay_days: a field of a declaration\n\n"
        "Days to wait after a visit before its patient is fetched. Overrides the group's for this location.\n\n"
        "  takes     a whole number, 0 to 60\n  left out  the group's\n"
        "  sent as   the property `customer.fetch.delay`\n\nexample:\n\n    customer_fetch_delay_days: 2\n"
    )


def test_the_document_is_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", "minimum_age", "--output", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "format_version": "1.0",
        "kind": "explain",
        "topics": [
            {
                "kind": "field",
                "name": "group.minimum_age",
                "title": "a field of a declaration",
                "text": "Younger patients are not contacted; in years.",
                "facts": {
                    "takes": "a whole number, 0 to 150",
                    "left out": "none",
                    "sent as": "nothing: it is ours",
                },
                "examples": {"example": "minimum_age: 18"},
            }
        ],
    }


def test_markdown_is_the_section_of_the_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", "goes-live", "--output", "markdown"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("## `goes-live` a location starts to contact patients\n\n")
    assert said in explain.reference_markdown()["objections.md"]


@pytest.mark.parametrize("name", explain.names())
def test_every_name_is_answered(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", name]) == 0
    assert capsys.readouterr().err == ""


def test_an_unknown_name_is_wrong_usage_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", "locatons"]) == 64
    assert capsys.readouterr().err == (
        "Usage: reconciler explain [OPTIONS] CODE|FIELD|SETTING\n"
        "error: nothing is called 'locatons' here. Did you mean 'locations'?\n"
        "  = reconciler explain --help\n"
    )


def test_a_hostile_name_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["explain", "\x1b[31m\u202e" + "q" * 500]) == 64
    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\u202e" not in said
    assert len(said) < 400


def test_the_schema_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["schema"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == (schema.render(), "")


def test_the_schema_is_written_and_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "integration.schema.json"
    assert main.run(["schema", "--write", str(file), "--check"]) == 2
    assert not file.exists()
    assert main.run(["schema", "--write", str(file)]) == 0
    assert file.read_text() == schema.render()
    assert main.run(["schema", "--write", str(file), "--check"]) == 0
    file.write_text("{}")
    assert main.run(["schema", "--write", str(file), "--check"]) == 2
    assert main.run(["schema", "--check"]) == 64
    assert capsys.readouterr().err == (
        f"{file} is not the schema of this version\n"
        f"{file} is current\n"
        f"{file} is not the schema of this version\n"
        "Usage: reconciler schema [OPTIONS]\nerror: --check needs --write FILE: the file to compare\n"
        "  = reconciler schema --help\n"
    )


def test_names_are_completed() -> None:
    found = main.cli.get_command(click.Context(main.cli), "explain")
    assert found is not None
    argument = found.params[0]
    completed = argument.shell_complete(click.Context(found), "group.c")
    assert [it.value for it in completed] == [
        "group.custom_appointment_statuses",
        "group.customer_fetch_delay_days",
        "group.campaign_tags",
    ]
