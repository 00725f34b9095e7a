"""``lookup`` against the sandbox: text, JSON, YAML to paste; nearly is never exactly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli import main
from reconciler.clients.transport import Reply, Transport
from reconciler.core import naming
from reconciler.report.lookup_text import scalar
from reconciler.report.problems import escaped
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import SKIN, Place
from reconciler.sandbox.server import Server, serve, variables

SAMPLES = Path(__file__).parents[2] / "integrations"
SKIN_REF = "env:RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID"
HOSTILE = 'Down\x1b[31mtown\u202e\n"Clinic\\'


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(SandboxOptions(dialect="rich")) as it:
        yield it


@pytest.fixture
def place(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(SAMPLES, tmp_path / "integrations")
    for name, value in variables(server).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main.run(["lookup", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.usefixtures("place")
def test_locations_of_a_slug_are_listed_by_the_practice_id_that_counts(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "locations", "example-eye-partners")
    assert (code, err) == (0, "")
    assert out == (
        "env:RECONCILER_SECRET_EXAMPLE_EYE_PARTNERS_EAST_PRACTICE_ID (the location's; 100000000000201)\n"
        "  31  East Eye Clinic\n"
        "env:RECONCILER_SECRET_EXAMPLE_EYE_PARTNERS_WEST_PRACTICE_ID (the location's; 100000000000202)\n"
        "  41  West Eye Clinic\n"
        "  42  West Surgery Center\n"
    )


@pytest.mark.usefixtures("place")
def test_a_location_s_own_practice_id_comes_before_the_group_s(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "locations", "100000000000202")
    assert code == 0
    assert (
        out.splitlines()[0]
        == "env:RECONCILER_SECRET_EXAMPLE_EYE_PARTNERS_WEST_PRACTICE_ID (the location's; 100000000000202)"
    )
    assert "East" not in out


@pytest.mark.usefixtures("place")
def test_yaml_can_be_pasted(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "practitioners", "example-orthopedics", "--output", "yaml")[:2] == (
        0,
        'practitioner_ids:\n  - "417"  # Hana Example\n  - "704"  # Ivo Example\n  - "811"  # Jun Example\n',
    )
    assert run(capsys, "locations", "example-orthopedics", "--output", "yaml")[:2] == (
        0,
        "location_names:\n  - Main Campus\n",
    )
    code, out, _ = run(capsys, "triggers", "--output", "yaml")
    assert code == 0
    assert "nextechFulfilledAppointmentTrigger" in yaml.safe_load(out)["triggers"]


@pytest.mark.usefixtures("place")
def test_json_says_where_the_practice_id_stands_and_never_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "locations", "example-skin-group", "--output", "json")
    assert code == 0
    assert SKIN not in out + err
    found = json.loads(out)
    assert (found["format_version"], found["kind"], found["what"]) == ("1.0", "lookup", "locations")
    (practice,) = found["practices"]
    assert practice["locations"] == [100000000000101, 100000000000102, 100000000000103]
    assert practice["error"] is None
    assert {"id": "21", "name": "Dermatology"} in practice["listed"]


@pytest.mark.usefixtures("place")
def test_a_name_that_is_nearly_right_is_told_and_not_taken(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "locations", "example-skin-group", "--name", "Dermatologie") == (
        1,
        f"{SKIN_REF} (the group's; 100000000000101, 100000000000102, 100000000000103)\n  21  Dermatology\n",
        "no location is called exactly Dermatologie; did you mean Dermatology?\n",
    )
    assert run(capsys, "locations", "example-skin-group", "--name", "Dermatology")[0] == 0
    code, _, err = run(capsys, "locations", "example-skin-group", "--name", "zzzz")
    assert (code, err) == (1, "no location is called exactly zzzz\n")


@pytest.mark.usefixtures("place")
def test_a_text_that_several_names_hold_lists_them(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "practitioners", "example-skin-group", "--name", "example")
    assert (code, len(out.splitlines())) == (1, 4)
    assert err == "no practitioner is called exactly example; 3 are like it\n"


@pytest.mark.usefixtures("place")
def test_a_slug_that_is_nearly_right_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "groups", "example-skin-grup") == (
        64,
        "",
        "error: no declaration has the business or slug example-skin-grup\n  = did you mean example-skin-group?\n",
    )


@pytest.mark.usefixtures("place")
def test_a_practice_id_itself_is_refused_without_repeating_it(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "locations", "--practice-id", SKIN)
    assert (code, out) == (64, "")
    assert SKIN not in err
    code, _, err = run(capsys, "locations", "--practice-id", "env:RECONCILER_SECRET_NOT_THERE")
    assert code == 1
    assert err.startswith("error: the secret env:RECONCILER_SECRET_NOT_THERE is not set; nothing was asked\n")


@pytest.mark.usefixtures("place")
def test_the_business_number_is_sent_only_with_check(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[list[str]] = []
    send = Transport.send

    def noted(self: Transport, method: str, path: str, **more: Any) -> Reply:
        asked.append([name for name, _ in more.get("params", ())])
        return send(self, method, path, **more)

    monkeypatch.setattr(Transport, "send", noted)
    assert run(capsys, "locations", "example-skin-group")[0] == 0
    plain, whole = ["practiceId", "nextechNewVersion"], ["practiceId", "businessNumber", "nextechNewVersion"]
    assert asked == [plain]
    code, out, _ = run(capsys, "locations", "example-skin-group", "--check")
    assert asked == [plain, plain, whole, whole, whole]
    assert code == 1
    assert "  wrong  100000000000101: Business [removed] is not set up\n" in out


@pytest.mark.usefixtures("place")
def test_groups_show_no_secure_value(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["apply", "--auto-approve", "-q"]) in (0, 3)
    capsys.readouterr()
    code, out, err = run(capsys, "groups", "example-skin-group")
    assert code == 0
    assert SKIN not in out + err
    if out:
        assert "practice.id" in out


def test_hostile_names_are_escaped_everywhere(place: Path, server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    del place
    world = server.app.world
    practice = world.practices[SKIN]
    world.practices[SKIN] = replace(practice, locations=(Place("9\x07", HOSTILE),))
    try:
        for form in ("text", "json", "yaml"):
            for extra in ([], ["--check"], ["--name", "Downtown"]):
                _, out, err = run(capsys, "locations", "example-skin-group", "--output", form, *extra)
                assert escaped(out.replace("\n", "")) == out.replace("\n", "")
                assert escaped(err.replace("\n", "")) == err.replace("\n", "")
        _, out, _ = run(capsys, "locations", "example-skin-group", "--output", "yaml")
        assert yaml.safe_load(out) == {"location_names": [HOSTILE]}
    finally:
        world.practices[SKIN] = practice


def test_a_server_that_is_down_is_7(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del place
    monkeypatch.setattr("reconciler.clock.Clock.sleep", lambda self, seconds: None)
    monkeypatch.setenv("RECONCILER_BIRDEYE_URL", "http://127.0.0.1:9")
    code, out, err = run(capsys, "locations", "example-skin-group")
    assert code == 7
    assert "Dermatology" not in out
    assert err.startswith(f"error: {SKIN_REF}: GET /nextech/locations: ")
    assert SKIN not in err


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_name_as_yaml_reads_back_as_itself(name: str) -> None:
    written = scalar(name)
    assert escaped(written) == written
    assert yaml.safe_load(f"- {written}\n") == [name]


@given(st.text(), st.lists(st.text(min_size=1), max_size=5))
def test_a_search_gives_each_index_once_and_exact_ones_alone(text: str, names: list[str]) -> None:
    items = [Place("", it) for it in names]
    found = naming.search(text, items)
    assert not (found.exact and found.near)
    assert all(names[i] == text for i in found.exact)
    assert len(set(found.near)) == len(found.near)
    assert [i for i, it in enumerate(names) if it == text] == list(found.exact)
