"""``init`` and ``new``: what they write, what they refuse, and the questions at a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.core import schema
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import Server, serve, variables
from reconciler.workflow import scaffold
from reconciler.workflow.formatting import house_text
from tests.scribbling import NAMES

SKIN = "RECONCILER_SECRET_EXAMPLE_SKIN_GROUP_PRACTICE_ID"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Path:
    monkeypatch.chdir(tmp_path)
    assert main.run(["init", "--empty", "-q"]) == 0
    capsys.readouterr()
    return tmp_path


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Server]:
    with serve(SandboxOptions(dialect="documented")) as server:
        yield server


def test_init_writes_a_repository_that_validates_and_is_in_the_house_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "practices"
    assert main.run(["init", str(folder)]) == 0
    said = capsys.readouterr()
    files = [
        "reconciler.yaml",
        "integrations/example-practice.yaml",
        "integration.schema.json",
        ".vscode/settings.json",
        ".vscode/extensions.json",
        ".gitignore",
        "README.md",
        *(f".github/workflows/reconciler-{it}.yml" for it in ("validate", "plan", "queue", "apply", "drift")),
        ".github/pull_request_template.md",
        ".github/CODEOWNERS.example",
        "ci/reconciler.gitlab-ci.yml",
        "ci/reconciler.sh",
        ".pre-commit-config.yaml",
    ]
    assert said.out == "".join(f"{folder}/{it}\n" for it in files)
    assert said.err == f"next: cd {folder} && reconciler new\n"
    assert sorted(str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()) == sorted(files)
    assert (folder / "integration.schema.json").read_text() == schema.render()
    assert json.loads((folder / ".vscode/settings.json").read_text())["yaml.schemas"] == {
        "./integration.schema.json": "integrations/**/*.yaml"
    }
    text = (folder / "integrations/example-practice.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=../integration.schema.json\n")
    assert house_text(text) == text
    monkeypatch.chdir(folder)
    assert main.run(["validate"]) == 0
    assert "error" not in capsys.readouterr().out
    assert main.run(["fmt", "--check"]) == 0


def test_init_replaces_nothing_without_force(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("mine\n")
    (tmp_path / ".gitignore").symlink_to("nowhere")
    assert main.run(["init", str(tmp_path), "--empty"]) == 0
    said = capsys.readouterr().err
    assert f"kept {tmp_path}/README.md, which is there already (--force replaces it)\n" in said
    assert (tmp_path / "README.md").read_text() == "mine\n"
    assert (tmp_path / ".gitignore").is_symlink()
    assert main.run(["init", str(tmp_path), "--empty"]) == 0
    assert capsys.readouterr().out == ""
    assert main.run(["init", str(tmp_path), "--empty", "--force", "-q"]) == 0
    assert (tmp_path / "README.md").read_text().startswith("# Integrations\n")
    assert not (tmp_path / ".gitignore").is_symlink()
    assert not (tmp_path / "nowhere").exists()


def test_init_puts_declarations_where_it_is_told_and_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(["init", "a", "--declarations", "x/y"]) == 0
    text = (tmp_path / "a/x/y/example-practice.yaml").read_text()
    assert text.startswith("# yaml-language-server: $schema=../../integration.schema.json\n")
    monkeypatch.chdir(tmp_path / "a")
    assert main.run(["validate", "-q"]) == 0
    for name in ("../out", "/tmp/x", "", "a/../..", "a\nb"):
        assert main.run(["init", "b", "--declarations", name]) == 64
    capsys.readouterr()
    assert not (tmp_path / "a/b").exists()


def test_new_takes_everything_by_flags(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["new", "example-skin", "--business", "100000000000900", "--name", "Example: Skin", "--offline"]
    arguments += ["--trigger", "nextechFulfilledAppointmentTrigger", "--practice-id", "file:practices.yaml#skin"]
    arguments += ["--type", "Procedure", "--type", "Surgery", "--status", "fulfilled", "--custom-status", "Checked Out"]
    arguments += ["--location", "100000000000901@America/New_York=Dermatology|Oncology"]
    arguments += ["--location", "100000000000902=NO", "--time-zone", "America/Chicago"]
    arguments += ["--practitioners", "100000000000902=417|704"]
    assert main.run(arguments) == 0
    text = (repository / "integrations/example-skin.yaml").read_text()
    assert (
        text
        == """\
# yaml-language-server: $schema=../integration.schema.json
version: 1
business: 100000000000900
name: "Example: Skin"
source: nextech
triggers:
  - nextechFulfilledAppointmentTrigger
group:
  practice_id: file:practices.yaml#skin
  appointment_types: [Procedure, Surgery]
  appointment_statuses: [fulfilled]
  custom_appointment_statuses: [Checked Out]
locations:
  - business: 100000000000901
    time_zone: America/New_York
    location_names: [Dermatology, Oncology]
  - business: 100000000000902
    time_zone: America/Chicago
    location_names: ["NO"]
    practitioner_ids: ["417", "704"]
"""
    )
    assert house_text(text) == text
    said = capsys.readouterr()
    assert said.out == "integrations/example-skin.yaml\n"
    assert said.err.endswith("\nnext: reconciler plan\n")


def test_a_practice_id_that_is_awaited_makes_a_declaration_that_waits(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["new", "example-new", "--business", "900", "--time-zone", "America/Denver", "--all-types", "--awaited"]
    assert main.run([*arguments, "--offline"]) == 0
    text = (repository / "integrations/example-new.yaml").read_text()
    assert "  # practice_id: env:RECONCILER_SECRET_EXAMPLE_NEW_PRACTICE_ID\n" in text
    assert "\nonboarding:\n  ordered_on: " in text
    assert house_text(text) == text
    assert main.run(["validate", "-q"]) == 0
    assert "note[N504]" in capsys.readouterr().err


GIVEN = ["new", "example-b", "--business", "901", "--time-zone", "America/Denver", "--all-types", "--offline"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["new"], "give SLUG: there is no terminal to ask at"),
        (["new", "example-b"], "give --business: there is no terminal to ask at"),
        (
            ["new", "example-b", "--business", "901", "--offline"],
            "give --type NAME or --all-types: there is no terminal",
        ),
        (
            ["new", "example-b", "--business", "901", "--all-types", "--offline"],
            "give --time-zone: there is no terminal to ask at",
        ),
        ([*GIVEN, "--location", "902@"], "--location 902@ZONE or --time-zone: `` is not a time zone"),
        (["new", "Example B"], "SLUG: small letters, digits and single hyphens, at most 100; not `run`"),
        (["new", "../x"], "SLUG: small letters"),
        (["new", "run"], "SLUG: small letters"),
        (["new", "example-a"], "SLUG: integrations/example-a.yaml has this slug already"),
        (["new", "b", "--business", "0900"], "--business: a business number is a positive whole number"),
        (["new", "b", "--business", "900"], "--business: business 900 is declared in integrations/example-a.yaml"),
        ([*GIVEN, "--type", "x"], "give --type or --all-types, not both"),
        ([*GIVEN, "--practice-id", "12345-secret"], "--practice-id: a secret is a reference"),
        (
            [*GIVEN, "--status", "fulfiled"],
            "--status: `fulfiled` is not an appointment status that Nextech sends; did you",
        ),
        ([*GIVEN, "--location", "902=a,b|"], "--location: must not be empty"),
        ([*GIVEN, "--practitioners", "902=417"], "--practitioners: 902 is none of the locations"),
        ([*GIVEN, "--practitioners", "x"], "--practitioners: write N=ID|ID"),
    ],
)
def test_what_is_missing_or_wrong_is_wrong_usage_and_nothing_is_written(
    repository: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    first = ["new", "example-a", "--business", "900", "--time-zone", "America/Denver", "--all-types", "--offline"]
    assert main.run(first) == 0
    capsys.readouterr()
    assert main.run(arguments) == 64
    text = capsys.readouterr().err
    assert f"error: {said}" in text
    assert "12345-secret" not in text
    assert [it.name for it in (repository / "integrations").iterdir() if it.suffix] == ["example-a.yaml"]


def test_a_declaration_that_breaks_a_rule_is_told_and_not_written(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*GIVEN, "--location", "902", "--location", "903"]
    assert main.run(arguments) == 1
    assert capsys.readouterr().err.endswith("integrations/example-b.yaml would have errors; nothing was written\n")
    assert not (repository / "integrations/example-b.yaml").exists()


def test_names_are_checked_against_the_live_systems(
    repository: Path, sandbox: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in variables(sandbox).items():
        monkeypatch.setenv(name, value)
    arguments = ["new", "example-x", "--business", "900", "--time-zone", "America/Denver", "--all-types"]
    arguments += ["--practice-id", f"env:{SKIN}"]
    for more, said in (
        (
            ["--trigger", "nextechFulfiledAppointmentTrigger"],
            "the source has no trigger `nextechFulfiledAppointmentTrigger`; "
            "did you mean `nextechFulfilledAppointmentTrigger`?",
        ),
        (["--location", "901=Dermatolgy"], "Nextech lists no location `Dermatolgy`; did you mean `Dermatology`?"),
        (
            ["--location", "901=Dermatology", "--practitioners", "901=Cleo Exampel"],
            "Nextech lists no practitioner `Cleo Exampel`; did you mean `Cleo Example` (411)?",
        ),
    ):
        assert main.run([*arguments, *more]) == 64
        assert said in capsys.readouterr().err
    good = ["--location", "901=Dermatology|Oncology", "--practitioners", "901=Cleo Example|412"]
    assert main.run([*arguments, *good]) == 0
    text = (repository / "integrations/example-x.yaml").read_text()
    assert text.endswith('    location_names: [Dermatology, Oncology]\n    practitioner_ids: ["411", "412"]\n')
    assert "names are not checked" not in capsys.readouterr().err


def test_an_api_that_cannot_be_reached_is_said_once_and_stops_nothing(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECONCILER_BIRDEYE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("RECONCILER_SECRET_EXAMPLE_B_PRACTICE_ID", "00000000-0000-4000-8000-000000000001")
    arguments = [it for it in GIVEN if it != "--offline"]
    assert main.run([*arguments, "--location", "902=Anything"]) == 0
    said = capsys.readouterr().err
    assert said.count("names are not checked: ") == 1
    assert "00000000-0000" not in said


def test_a_secret_that_is_not_at_hand_is_said_once(
    repository: Path, sandbox: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RECONCILER_BIRDEYE_URL", variables(sandbox)["RECONCILER_BIRDEYE_URL"])
    arguments = [it for it in GIVEN if it != "--offline"]
    assert main.run([*arguments, "--location", "902=a|b"]) == 0
    said = capsys.readouterr().err
    assert said.count("names are not checked: the secret env:RECONCILER_SECRET_EXAMPLE_B_PRACTICE_ID is not set\n") == 1


class Terminal:
    """The command at a pseudo-terminal: waits for words, types answers."""

    def __init__(self, arguments: list[str], folder: Path, **environ: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=folder,
            env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "dumb", **environ},
            stdin=slave,
            stderr=slave,
            stdout=subprocess.PIPE,
            text=True,
        )
        os.close(slave)
        self.seen = ""

    def answer(self, question: str, text: str) -> None:
        self.wait_for(question)
        os.write(self.master, f"{text}\n".encode())

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + 20
        while words not in self.seen:
            ready, _, _ = select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no {words!r} in {self.seen!r}"
            try:
                self.seen += os.read(self.master, 4096).decode()
            except OSError:
                raise AssertionError(f"no {words!r} in {self.seen!r}") from None
        self.seen = self.seen.partition(words)[2]

    def end(self) -> tuple[int, str]:
        try:
            out, _ = self.process.communicate(timeout=20)
        finally:
            self.process.kill()
            os.close(self.master)
        return self.process.returncode, out


def test_at_a_terminal_everything_is_asked_and_wrong_answers_are_asked_again(repository: Path, sandbox: Server) -> None:
    it = Terminal(["new"], repository, **variables(sandbox))
    it.answer("Slug (the file's name): ", "Example Skin")
    it.wait_for("small letters, digits and single hyphens")
    it.answer("Slug (the file's name): ", "example-skin")
    it.answer("Business number of the account: ", "100000000000900")
    it.answer("Its name (empty: none): ", "Example Skin")
    it.answer("Triggers, separated by commas [nextechFulfilledAppointmentTrigger]: ", "")
    it.answer("Practice id, as a reference to a secret (- while it is awaited)", f"env:{SKIN}")
    it.answer("Appointment types that count, separated by | (* for all): ", "Procedure | Surgery")
    it.answer("Appointment statuses (empty: fulfilled): ", "")
    it.answer("(empty: none): ", "Checked Out")
    it.answer("Business id of a location [100000000000900]: ", "100000000000901")
    it.answer("Its time zone, such as America/New_York: ", "America/NewYork")
    it.wait_for("did you mean `America/New_York`?")
    it.answer("Its time zone, such as America/New_York: ", "America/New_York")
    it.answer("(empty: every location): ", "Dermatolgy|Oncology")
    it.wait_for("Nextech lists no location `Dermatolgy`; did you mean `Dermatology`?")
    it.answer("(empty: every location): ", "Dermatology|Oncology")
    it.answer("Business id of a location (empty: no more): ", "100000000000902")
    it.answer("Its time zone, such as America/New_York [America/New_York]: ", "")
    it.answer("(empty: every location): ", "Lakeside")
    it.answer("Business id of a location (empty: no more): ", "")
    assert it.end() == (0, "integrations/example-skin.yaml\n")
    assert (
        (repository / "integrations/example-skin.yaml").read_text()
        == f"""\
# yaml-language-server: $schema=../integration.schema.json
version: 1
business: 100000000000900
name: Example Skin
source: nextech
triggers:
  - nextechFulfilledAppointmentTrigger
group:
  practice_id: env:{SKIN}
  appointment_types: [Procedure, Surgery]
  custom_appointment_statuses: [Checked Out]
locations:
  - business: 100000000000901
    time_zone: America/New_York
    location_names: [Dermatology, Oncology]
  - business: 100000000000902
    time_zone: America/New_York
    location_names: [Lakeside]
"""
    )


def test_an_answer_that_never_comes_writes_nothing(repository: Path) -> None:
    it = Terminal(["new", "--offline"], repository)
    it.wait_for("Slug (the file's name): ")
    os.write(it.master, b"\x04")
    code, out = it.end()
    assert (code, out) == (130, "")
    assert list((repository / "integrations").glob("*.yaml")) == []


@pytest.mark.parametrize("name", NAMES)
def test_any_name_makes_a_text_in_the_house_form(name: str) -> None:
    names = tuple(dict.fromkeys((name, "Other")))
    new = scaffold.New(
        "x", 1, name, (name,), None, names, (), names, (scaffold.Location(2, "UTC", names, names),), date(2026, 11, 24)
    )
    text = scaffold.declaration_text(new)
    assert house_text(text) == text
