"""The files of jobs: what ``init`` writes is what this repository uses, and nothing in them is more than a call of ours."""

from __future__ import annotations

import os
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
    "actions/checkout": "3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "actions/setup-python": "5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
    "actions/upload-artifact": "bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "actions/download-artifact": "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1",
}
"""Each looked up in a copy of the action's repository: the commit is the one that the tag names, and runs on Node 24."""
COMMAND = re.compile(r'"\$RUNNER_TEMP/reconciler/bin/reconciler" ci [a-z-]+(?: --?[a-z]+ [a-z/.]+| [a-z/.]+)*')
INSTALL = (
    'python -m venv "$RUNNER_TEMP/reconciler"\n'
    '"$RUNNER_TEMP/reconciler/bin/python" -m pip install --quiet "$RECONCILER_PACKAGE"\n'
)


def beside(name: str) -> str:
    """A program of the tests' own environment, or of the machine."""
    own = Path(sys.executable).parent / name
    program = str(own) if own.is_file() else shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed")
    return program


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
    program = beside("zizmor")
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


@pytest.mark.parametrize("kind", ["github-workflows", "gitlab-ci"])
def test_the_published_schema_finds_nothing(tmp_path: Path, kind: str) -> None:
    program = beside("check-jsonschema")
    there = written(tmp_path)
    files = [*WORKFLOWS, *sorted((there / ".github" / "workflows").glob("*.yml"))]
    more: list[str] = []
    if kind == "gitlab-ci":
        files, more = [there / "ci" / "reconciler.gitlab-ci.yml"], ["--data-transform", "gitlab-ci"]
    done = subprocess.run(
        [program, "--builtin-schema", f"vendor.{kind}", *more, *map(str, files)],
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
    assert (
        document[".reconciler"]["image"] == "python:3.11"
    )  # the slim one has no git, which tells what a request changes
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
    done = subprocess.run(
        [beside("pre-commit"), "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    config = yaml.safe_load((ROOT / "reconciler" / "scaffold" / "pre-commit-config.yaml").read_text())
    both = ("id", "name", "entry", "files", "pass_filenames", "require_serial")
    assert [{key: it[key] for key in both} for it in config["repos"][0]["hooks"]] == [
        {key: it[key] for key in both} for it in hooks
    ]


def test_pre_commit_runs_the_hooks_of_a_new_repository_and_stops_a_mistake(tmp_path: Path) -> None:
    program = beside("pre-commit")
    there = written(tmp_path / "repository", "practices")
    (tmp_path / "home").mkdir()
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "PRE_COMMIT_HOME": str(tmp_path / "cache"),
        "LANG": "C.UTF-8",
    }

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            arguments, cwd=there, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    assert run("git", "init", "-q").returncode == 0
    assert run("git", "add", ".").returncode == 0
    clean = run(program, "run", "--all-files")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    assert clean.stdout.count("Passed") == 2
    declaration = there / "practices" / "example-practice.yaml"
    declaration.write_text(declaration.read_text().replace("source: nextech", "source: nexttech"))
    run("git", "add", ".")
    stopped = run(program, "run")
    assert stopped.returncode == 1
    assert "E" in stopped.stdout
    assert "practices/example-practice.yaml:" in stopped.stdout


def test_what_jobs_leave_in_a_folder_is_never_committed_and_the_script_runs(tmp_path: Path) -> None:
    there = written(tmp_path)
    subprocess.run(["git", "init", "-q"], cwd=there, check=True, timeout=30)
    names = ["plan.json", "plan.html", "apply.json", "apply.md", "drift.json", "drift.html", "drift.md"]
    names += ["reviewed.json", "validate.xml", "a.plan.json", ".reconciler/store.db", ".env"]
    done = subprocess.run(
        ["git", "check-ignore", *names], cwd=there, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout.split() == names
    assert os.access(there / "ci" / "reconciler.sh", os.X_OK)
    done = subprocess.run([there / "ci" / "reconciler.sh"], capture_output=True, text=True, timeout=10, check=False)
    assert done.returncode == 64


def test_the_readme_of_a_new_repository_names_what_the_jobs_need(tmp_path: Path) -> None:
    text = (written(tmp_path) / "README.md").read_text()
    for path in WORKFLOWS:
        for environment in re.findall(r"environment: (\S+)", path.read_text()):
            assert f"`{environment}`" in text
    for name in ("RECONCILER_RUNS_ON", "RECONCILER_PACKAGE", "RECONCILER_STORE", "RECONCILER_RECEIPT_KEY"):
        assert f"`{name}`" in text


def test_code_owners_guard_settings_workflows_and_acceptances() -> None:
    text = (ROOT / ".github" / "CODEOWNERS.example").read_text()
    guarded = {line.split()[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert {"/reconciler.yaml", "/acceptances.yaml", "/.github/", "/ci/", "/integrations/"} <= guarded
