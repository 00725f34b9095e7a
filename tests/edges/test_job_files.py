"""The files of jobs: what ``init`` writes is what this repository uses, and nothing in them is more than a call of ours."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.workflow import scaffold

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CHOICES = scaffold.Choices("integrations", example=True, today=date(2026, 11, 24))
PINS = {
    "actions/checkout": "11bd71901bbe5b1630ceea73d27597364c9af683 # v4.2.2",
    "actions/setup-python": "a26af69be951a213d495a4c3e4e4022e16d87065 # v5.6.0",
    "actions/upload-artifact": "ea165f8d65b6e75b540449e92b4886f43607fa02 # v4.6.2",
    "actions/download-artifact": "d3f86a106a0bac45b974a628896c90dbdf5c8093 # v4.3.0",
}
COMMAND = re.compile(r'"\$RUNNER_TEMP/reconciler/bin/reconciler" ci [a-z-]+(?: --?[a-z]+ [a-z/.]+| [a-z/.]+)*')
INSTALL = (
    'python -m venv "$RUNNER_TEMP/reconciler"\n'
    '"$RUNNER_TEMP/reconciler/bin/python" -m pip install --quiet "$RECONCILER_PACKAGE"\n'
)


def read(path: Path) -> dict[Any, Any]:
    found = yaml.safe_load(path.read_text())
    assert isinstance(found, dict)
    return found


def written(tmp_path: Path, declarations: str = "integrations") -> Path:
    scaffold.init(tmp_path, scaffold.Choices(declarations, example=True, today=date(2026, 11, 24)), force=False)
    return tmp_path


def test_init_writes_the_jobs_that_this_repository_uses(tmp_path: Path) -> None:
    there = written(tmp_path)
    for path in sorted((there / ".github").rglob("*")):
        if path.is_file():
            assert path.read_text() == (ROOT / path.relative_to(there)).read_text(), path.name
    for path in sorted((there / "ci").iterdir()):
        assert path.read_text() == (ROOT / "deploy" / "ci" / path.name).read_text()


def test_another_folder_of_declarations_is_named_in_the_jobs(tmp_path: Path) -> None:
    there = written(tmp_path, "practices")
    apply = read(there / ".github" / "workflows" / "reconciler-apply.yml")
    assert apply[True]["push"]["paths"] == ["practices/**", "reconciler.yaml"]
    assert "/practices/ " in (there / ".github" / "CODEOWNERS.example").read_text()


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda it: it.name)
def test_a_workflow_has_the_shape_that_github_reads(path: Path) -> None:
    document = read(path)
    assert document.keys() == {"name", True, "permissions", "concurrency", "jobs"}  # YAML 1.1 reads `on` as true
    assert document["permissions"] == {}
    assert set(document[True]) <= {"pull_request", "push", "merge_group", "schedule", "workflow_dispatch"}
    assert document["concurrency"].keys() <= {"group", "cancel-in-progress", "queue"}
    for job in document["jobs"].values():
        assert job.keys() <= {"name", "if", "runs-on", "timeout-minutes", "environment", "permissions", "steps"}
        assert job["permissions"]["contents"] == "read"
        assert isinstance(job["timeout-minutes"], int)
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert step.keys() <= {"name", "id", "if", "uses", "with", "env", "run"}


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda it: it.name)
def test_every_action_is_pinned_by_commit_and_keeps_no_credentials(path: Path) -> None:
    text = path.read_text()
    for action, pin in re.findall(r"uses: ([^@\s]+)@(.+)", text):
        assert pin == PINS[action]
    for job in read(path)["jobs"].values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
    assert "pull_request_target" not in text


@pytest.mark.parametrize("path", [it for it in WORKFLOWS if it.name != "test.yml"], ids=lambda it: it.name)
def test_a_step_only_calls_a_command_of_ours(path: Path) -> None:
    for job in read(path)["jobs"].values():
        runs = [step["run"] for step in job["steps"] if "run" in step]
        assert runs[0] == INSTALL
        for run in runs[1:]:
            assert COMMAND.fullmatch(run), run
            name = run.split(" ci ")[1].split(" ")[0]
            done = subprocess.run(
                [sys.executable, "-m", "reconciler", "ci", name, "--help"], capture_output=True, timeout=30, check=False
            )
            assert done.returncode == 0
        assert not any("${{" in run for run in runs)


def test_only_apply_is_given_what_writes_and_nothing_is_given_the_ledger() -> None:
    for path in WORKFLOWS:
        document = read(path)
        names = {name for job in document["jobs"].values() for step in job["steps"] for name in step.get("env", {})}
        secrets = set(re.findall(r"^[^#\n]*secrets\.([A-Z_]+)", path.read_text(), re.M))
        assert "RECONCILER_LEDGER_STORE" not in names
        if path.name == "reconciler-apply.yml":
            assert {"RECONCILER_BIRDEYE_TOKEN", "RECONCILER_STORE"} <= secrets
            assert document["jobs"]["apply"]["environment"] == "reconciler-apply"
            assert document["concurrency"] == {
                "group": "reconciler-apply",
                "cancel-in-progress": False,
                "queue": "max",
            }
        else:
            assert not {"RECONCILER_BIRDEYE_TOKEN", "RECONCILER_STORE"} & secrets
        if path.name in ("reconciler-validate.yml", "test.yml"):
            assert secrets == set()


def test_the_files_say_where_jobs_run_and_what_happens_without_a_database() -> None:
    for name in ("plan", "queue", "apply", "drift"):
        text = (ROOT / ".github" / "workflows" / f"reconciler-{name}.yml").read_text()
        assert "inside the API's network" in text
        assert "Without one every run looks like a first run" in text
    for path in (ROOT / "deploy" / "ci").iterdir():
        assert "PostgreSQL" in path.read_text()


@pytest.mark.parametrize("persona", ["pedantic"])
def test_zizmor_finds_nothing(tmp_path: Path, persona: str) -> None:
    beside = Path(sys.executable).parent / "zizmor"
    program = str(beside) if beside.is_file() else shutil.which("zizmor")
    if program is None:
        pytest.skip("zizmor is not installed")
    there = written(tmp_path)
    for folder in (ROOT, there):
        done = subprocess.run(
            [program, "--offline", "--no-progress", "--persona", persona, str(folder / ".github" / "workflows")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_gitlab_file_is_yaml_with_the_same_jobs() -> None:
    document = read(ROOT / "deploy" / "ci" / "reconciler.gitlab-ci.yml")
    jobs = {name for name in document if not name.startswith(".")}
    assert jobs == {"reconciler-validate", "reconciler-plan", "reconciler-apply", "reconciler-drift"}
    assert document["reconciler-apply"]["resource_group"] == "reconciler-apply"
    for name in jobs:
        assert all(line.startswith("/tmp/reconciler/bin/reconciler ") for line in document[name]["script"])


def test_the_shell_file_runs_and_refuses_what_it_does_not_know() -> None:
    script = ROOT / "deploy" / "ci" / "reconciler.sh"
    done = subprocess.run(["sh", str(script)], capture_output=True, text=True, timeout=10, check=False)
    assert (done.returncode, done.stdout) == (64, "")
    assert "usage:" in done.stderr


def test_the_hooks_file_names_commands_that_exist() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [it["entry"] for it in hooks] == ["reconciler validate", "reconciler fmt"]
    wanted = {it["id"] for it in hooks}
    config = yaml.safe_load((ROOT / "reconciler" / "scaffold" / "pre-commit-config.yaml").read_text())
    assert {it["id"] for it in config["repos"][0]["hooks"]} == wanted


def test_code_owners_guard_settings_workflows_and_acceptances() -> None:
    text = (ROOT / ".github" / "CODEOWNERS.example").read_text()
    guarded = {line.split()[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert {"/reconciler.yaml", "/acceptances.yaml", "/.github/", "/ci/", "/integrations/"} <= guarded
