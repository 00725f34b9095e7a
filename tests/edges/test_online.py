"""``validate --online``: what only the live systems can tell, each at its place, and what could not be asked."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest

from reconciler import declarations
from reconciler.cli import main
from reconciler.clients.integrations import NamedItem
from reconciler.core.live import LiveGroup, Trigger
from reconciler.core.sources import nextech
from reconciler.errors import Answered, RemoteError, SecretError
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve, variables
from reconciler.workflow import online

SAMPLES = Path(__file__).parents[2] / "integrations"
TODAY = date(2026, 11, 24)
NAMES = ("Downtown Clinic", "Uptown", "Lakeside")
TEXT = """\
version: 1
business: 100000000000100
name: Example
source: nextech
triggers: [nextechFulfilledAppointmentTrigger]
group:
  practice_id: env:RECONCILER_SECRET_A
  appointment_types: [Procedure]
locations:
  - business: 100000000000101
    time_zone: America/New_York
    location_names: [{0}]
    practitioner_ids: ["{1}"]
  - business: 100000000000102
    time_zone: America/New_York
    practice_id: env:RECONCILER_SECRET_B
    location_names: [{2}]
"""


@dataclass
class Api:
    """A practice behind A with three locations, one behind B with one; errors by request."""

    errors: dict[tuple[str, str], RemoteError] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    active: bool = True
    names: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"a": NAMES, "b": ("Harbour",)})
    ids: tuple[str, ...] = ("417", "704")

    def _ask(self, endpoint: str, what: str) -> None:
        self.asked.append((endpoint, what))
        if (endpoint, what) in self.errors:
            raise self.errors[endpoint, what]

    def triggers(self) -> tuple[Trigger, ...]:
        self._ask("T", "")
        return (Trigger(24, nextech.FULFILLED_TRIGGER, "Nextech Fulfilled Appointment Trigger", self.active),)

    def groups(self, business: int) -> tuple[LiveGroup, ...] | None:
        raise AssertionError(business)

    def locations(
        self, practice_id: str, *, business: int | None = None, new_version: bool = False
    ) -> tuple[NamedItem, ...]:
        assert (business, new_version) == (None, False)
        self._ask("L", practice_id)
        return tuple(NamedItem(str(i), it) for i, it in enumerate(self.names[practice_id]))

    def practitioners(self, practice_id: str, *, new_version: bool = False) -> tuple[NamedItem, ...]:
        assert not new_version
        self._ask("P", practice_id)
        return tuple(NamedItem(it, f"Person {it}") for it in self.ids)


def answered(status: int) -> Answered:
    return Answered(f"GET /nextech/locations: answered {status}", method="GET", path="/x", status=status)


def reveal(reference: str) -> str:
    return {"env:RECONCILER_SECRET_A": "a", "env:RECONCILER_SECRET_B": "b", "env:RECONCILER_SECRET_A2": "a"}[reference]


def found(api: Api, folder: Path, *values: str, copies: int = 1) -> tuple[list[str], tuple[str, ...]]:
    for number in range(copies):
        text = TEXT.format(*(values or ("Downtown Clinic", "417", "Harbour")))
        (folder / f"it-{number}.yaml").write_text(text.replace("0000001", f"000{number}001"))
    loaded = declarations.load(folder, shown_from=folder, today=TODAY)
    result = online.check(api, loaded.declared, reveal, concurrency=2)
    return [f"{it.position} {it.code} {it.message} ({it.hint})" for it in result.problems], result.unread


def test_right_names_are_no_problem_and_cost_one_request_each(tmp_path: Path) -> None:
    api = Api()
    assert found(api, tmp_path, copies=3) == ([], ())
    assert sorted(api.asked) == [("L", "a"), ("L", "b"), ("P", "a"), ("T", "")]


def test_each_wrong_name_is_told_at_its_place_with_what_was_meant(tmp_path: Path) -> None:
    assert found(Api(), tmp_path, "Uptown, downtown  clinic", "4l7", "Lakeside")[0] == [
        "it-0.yaml:12:30 E332 Nextech has no location `downtown  clinic` for this practice id "
        "(did you mean: `Downtown Clinic`)",
        "it-0.yaml:13:24 E333 Nextech has no practitioner with the id `4l7` for this practice id (did you mean: `417`)",
        "it-0.yaml:17:22 E332 Nextech has no location `Lakeside` for this practice id "
        "(it is listed for the practice id env:RECONCILER_SECRET_A)",
    ]


def test_a_trigger_that_is_switched_off_is_an_error(tmp_path: Path) -> None:
    problems, _ = found(Api(active=False), tmp_path)
    assert [it[:22] for it in problems] == ["it-0.yaml:5:12 E304 th"]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_practice_id_that_alone_is_refused_is_an_error_at_the_reference(tmp_path: Path, status: int) -> None:
    problems, unread = found(Api({("L", "b"): answered(status)}), tmp_path)
    assert unread == ()
    assert problems == [
        "it-0.yaml:16:18 E331 Nextech refuses the practice id behind this reference "
        "(compare with Nextech's case for the practice; is `practice_plus` right?)"
    ]


def test_an_empty_list_of_locations_is_one_problem_and_not_one_for_each_name(tmp_path: Path) -> None:
    problems, _ = found(Api(names={"a": NAMES, "b": ()}), tmp_path)
    assert [it.split(" (")[0] for it in problems] == [
        "it-0.yaml:16:18 E331 Nextech lists no location for the practice id behind this reference"
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 405, 500, 501])
def test_a_look_up_that_nobody_is_answered_is_no_finding_about_a_declaration(tmp_path: Path, status: int) -> None:
    problems, unread = found(Api({("L", "a"): answered(status), ("L", "b"): answered(status)}), tmp_path)
    assert problems == []
    assert unread == (
        f"locations of env:RECONCILER_SECRET_A: GET /nextech/locations: answered {status}",
        f"locations of env:RECONCILER_SECRET_B: GET /nextech/locations: answered {status}",
    )


def test_practitioners_without_ids_cannot_be_compared(tmp_path: Path) -> None:
    assert found(Api(ids=("", "")), tmp_path) == (
        [],
        ("practitioners of env:RECONCILER_SECRET_A: the answer has names and no ids",),
    )


def test_a_secret_that_does_not_resolve_is_told_and_the_rest_is_asked(tmp_path: Path) -> None:
    def half(reference: str) -> str:
        if reference.endswith("A"):
            raise SecretError(f"the secret {reference} is not set")
        return reveal(reference)

    (tmp_path / "it.yaml").write_text(TEXT.format("Uptown", "417", "Harbor"))
    loaded = declarations.load(tmp_path, shown_from=tmp_path, today=TODAY)
    result = online.check(Api(), loaded.declared, half, concurrency=2)
    assert [(it.code, it.hint) for it in result.problems] == [("E332", "did you mean: `Harbour`")]
    assert result.unread == ("the secret env:RECONCILER_SECRET_A is not set",)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copytree(SAMPLES, tmp_path / "integrations")
    monkeypatch.chdir(tmp_path)
    with serve(SandboxOptions(dialect="documented")) as server:
        for name, value in variables(server).items():
            monkeypatch.setenv(name, value)
        yield tmp_path


def test_the_samples_are_right_online_too(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    del place
    assert main.run(["validate", "--online"]) == 0
    assert "7 declarations: 0 errors" in capsys.readouterr().err


def test_a_finding_shows_its_line_and_ends_in_1(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place / "integrations" / "example-orthopedics.yaml"
    file.write_text(file.read_text().replace("Main Campus", "Main Campuss", 1))
    assert main.run(["validate", "--online"]) == 1
    out = capsys.readouterr().out
    assert "error[E332]: Nextech has no location `Main Campuss` for this practice id\n" in out
    assert " = did you mean: `Main Campus`\n" in out
    assert "Main Campuss" in out.partition("error[E332]")[2].partition("-->")[2].partition("= more")[0]


def test_what_cannot_be_asked_ends_in_7_after_the_offline_problems(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    del place
    monkeypatch.setattr("reconciler.clock.Clock.sleep", lambda self, seconds: None)
    monkeypatch.setenv("RECONCILER_BIRDEYE_URL", "http://127.0.0.1:9")
    monkeypatch.delenv("RECONCILER_SECRET_EXAMPLE_ORTHOPEDICS_PRACTICE_ID")
    assert main.run(["validate", "--online"]) == 7
    out, err = capsys.readouterr()
    assert "note[N50" in out
    assert (
        "error: could not be checked: the secret env:RECONCILER_SECRET_EXAMPLE_ORTHOPEDICS_PRACTICE_ID is not set\n"
        in err
    )
    assert "error: could not be checked: triggers: GET /integration/trigger/integrationtriggers/sourceid/22: " in err
    assert "00000000-0000-4000" not in out + err
