"""Every code, field and setting can be explained, by the names that people use."""

from __future__ import annotations

import re

import pytest

from reconciler.core import codes, explain, explain_fields, explain_settings, model
from reconciler.core.sources import nextech
from reconciler.declarations import shape, yaml_events
from reconciler.settings import load as settings


def test_every_code_every_field_and_every_setting_is_a_topic() -> None:
    by_kind = {kind: [it for it in explain.topics().values() if it.kind == kind] for kind in ("field", "setting")}
    assert {it.name for it in by_kind["field"]} == set(explain_fields.FIELDS)
    assert len(by_kind["setting"]) == len(explain_settings.SETTINGS)
    assert set(codes.registry()) <= set(explain.topics())


def test_the_settings_are_those_that_are_read() -> None:
    keys = set(settings._TOP) | {f"{group}.{key}" for group, kinds in settings._GROUPS.items() for key in kinds}
    assert {it.key for it in explain_settings.SETTINGS if it.key} == keys
    secrets = {f"RECONCILER_{group}_{key}".upper() for group, found in settings._SECRET_KEYS.items() for key in found}
    alone = {f"RECONCILER_{it.upper()}" for it in settings._VARIABLES_ONLY}
    assert {it.variable for it in explain_settings.SETTINGS if not it.key} == secrets | alone


def test_the_settings_outside_the_file_that_hold_secrets_are_marked() -> None:
    secret = {it.variable for it in explain_settings.SETTINGS if it.secret}
    assert secret == {f"RECONCILER_{g}_{k}".upper() for g, found in settings._SECRET_KEYS.items() for k in found} | {
        "RECONCILER_RECEIPT_KEY",
        "RECONCILER_LEDGER_KEY",
    }


@pytest.mark.parametrize("path", [path for path, it in explain_fields.FIELDS.items() if it.example])
def test_the_example_of_a_field_is_accepted_by_the_model(path: str) -> None:
    value = yaml_events.read(explain_fields.FIELDS[path].example, "x").value
    name = path.rpartition(".")[2]
    assert list(value) == [name]
    place = tuple(it.removesuffix("[]") for it in path.split(".")[:-1])
    found = shape._MODELS[place]
    field = next(it for it, info in found.model_fields.items() if (info.alias or it) == name)
    checked = found.__pydantic_validator__.validate_assignment(found.model_construct(), field, value[name])
    assert checked is not None


@pytest.mark.parametrize(
    ("asked", "names"),
    [
        ("e214", ["E214"]),
        ("Filter-Widened", ["filter-widened"]),
        ("group.appointment_types", ["group.appointment_types"]),
        ("appointment_types", ["group.appointment_types", "locations[].appointment_types"]),
        ("locations[0].time_zone", ["locations[].time_zone"]),
        ("locations.time_zone", ["locations[].time_zone"]),
        ("state", ["state", "locations[].state"]),
        ("contact_start", ["locations[].contact_start", "setting:contact_start"]),
        ("RECONCILER_BIRDEYE_URL", ["birdeye.url"]),
        ("birdeye.url", ["birdeye.url"]),
        ("reconciler_proxy", ["RECONCILER_PROXY"]),
        ("nothing", []),
        ("", []),
        (".", []),
    ],
)
def test_a_name_finds_its_topics(asked: str, names: list[str]) -> None:
    assert [it.name for it in explain.find(asked)] == names


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("E2O1", "E201"),
        ("locations[].timezone", "locations[].time_zone"),
        ("timezone", "locations[].time_zone"),
        ("filterwidened", "filter-widened"),
        ("zzzzzzzz", None),
    ],
)
def test_a_misspelt_name_finds_the_nearest(asked: str, meant: str | None) -> None:
    assert explain.suggestion(asked) == meant


def test_a_field_as_text() -> None:
    assert explain.render_text(explain.topics()["locations[].practitioner_ids"]) == (
        "locations[].practitioner_ids: a field of a declaration\n"
        "\n"
        "Ids of practitioners as text (`reconciler lookup practitioners`). `[]` is every practitioner.\n"
        "\n"
        "  takes     a list, each item text: one line, no `|`, no tab, no white space at either end\n"
        "  left out  what is live stays, else every practitioner\n"
        "  sent as   the property `practitioner.id`, items separated by `|`\n"
        "\n"
        "example:\n"
        "\n"
        '    practitioner_ids: ["417", "704"]\n'
    )


def test_a_secret_setting_as_json() -> None:
    assert explain.as_json(explain.topics()["RECONCILER_BIRDEYE_TOKEN"]) == {
        "kind": "setting",
        "name": "RECONCILER_BIRDEYE_TOKEN",
        "title": "a setting",
        "text": "The token of the integration API.",
        "facts": {
            "set by": "the variable only",
            "variable": "RECONCILER_BIRDEYE_TOKEN",
            "default": "none",
            "secret": "yes: never in a file, never shown",
        },
        "examples": {},
    }


def test_the_reference_has_every_topic_on_one_page_and_closes_its_fences() -> None:
    pages = explain.reference_markdown()
    assert list(pages) == ["codes.md", "objections.md", "fields.md", "settings.md"]
    titles = [title for page in pages.values() for title in re.findall(r"(?m)^## `([^`]+)`", page)]
    assert titles == [it.removeprefix("setting:") for it in explain.topics()]
    for page in pages.values():
        assert page.count("```") % 2 == 0
        assert page.endswith("\n")
        assert "\n\n\n" not in page


def test_what_explain_says_of_each_field_names_no_default_that_the_model_contradicts() -> None:
    for name, default in model.RUNNER_DEFAULTS.items():
        path = name if name in explain_fields.FIELDS else f"locations[].{name}"
        assert explain_fields.FIELDS[path].absent == str(default).replace("False", "false"), path


def test_no_sentence_is_left_without_its_end() -> None:
    for it in explain.topics().values():
        assert it.text.endswith((".", ")")), it.name


def test_every_field_says_how_it_is_sent_and_what_it_takes() -> None:
    """Ours is what is neither a property, nor named in a request: counted here, so that no field falls through."""
    fields = {it.name: dict(it.facts) for it in explain.topics().values() if it.kind == "field"}
    assert set(explain_fields.SENT) <= set(fields)
    ours = {name for name, facts in fields.items() if facts["sent as"] == "nothing: it is ours"}
    parts = ("moved", "allow", "onboarding")
    assert {name for name in ours if not name.startswith(parts)} == {
        "version",
        "name",
        "runner",
        "beta",
        "country",
        "group.excluded_patient_types",
        "group.minimum_age",
        "locations[].name",
        "locations[].time_zone",
        "locations[].frequency",
        "locations[].next_run",
        "locations[].contact_start",
    }
    assert all(name in ours for name in fields if name.startswith(parts))
    for name, facts in fields.items():
        assert facts["takes"], name
        assert facts["takes"].rstrip() == facts["takes"], name
        assert not facts["takes"].endswith(":"), name


def test_a_field_that_a_request_names_is_not_called_ours() -> None:
    assert dict(explain.topics()["business"].facts)["sent as"] == "`parentBusinessNumber`, whose group it is"
    assert dict(explain.topics()["group.campaign_tags"].facts) == {
        "takes": "a list, each item one of "
        + ", ".join(f"`{it}`" for it in (*nextech.CAMPAIGN_TAGS, *nextech.SENSITIVE_CAMPAIGN_TAGS)),
        "left out": "every tag that is not sensitive",
        "sent as": "`additionalParams` of a check-in",
    }
