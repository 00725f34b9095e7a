"""What every command has in common: help, wrong usage, exit codes, completion."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from reconciler import errors
from reconciler.cli import main


def run(arguments: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **variables}
    return subprocess.run(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_every_command_of_the_table_can_be_loaded_and_has_the_common_options() -> None:
    leaves: list[click.Command] = []
    for _, commands in main.SECTIONS:
        for target, _ in commands.values():
            module, _, attribute = target.partition(":")
            found = getattr(importlib.import_module(f"reconciler.cli.{module}"), attribute)
            assert isinstance(found, click.Command)
            leaves.extend(found.commands.values() if isinstance(found, click.Group) else [found])
    for leaf in leaves:
        if leaf.name != "completion":
            names = {name for option in leaf.params for name in option.opts}
            assert {"--config", "--log-format", "-v", "-q", "--debug"} <= names, leaf.name


@pytest.mark.parametrize("arguments", [["--help"], ["--version"]])
def test_help_and_version_load_nothing_heavy(tmp_path: Path, arguments: list[str]) -> None:
    code = (
        "import sys; from reconciler.cli.main import run; code = run(sys.argv[1:]);"
        "print(sorted({it.split('.')[0] for it in sys.modules} & "
        "{'httpx', 'sqlalchemy', 'rich', 'deepdiff', 'pydantic', 'alembic', 'yaml', 'cryptography'}), code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] 0"


def test_completion_of_commands_loads_no_command(tmp_path: Path) -> None:
    done = run(["-X"], tmp_path, COMP_WORDS="reconciler pl", COMP_CWORD="1", _RECONCILER_COMPLETE="bash_complete")
    assert (done.returncode, done.stdout, done.stderr) == (0, "plain,plan\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_completion_script(tmp_path: Path, shell: str) -> None:
    done = run(["completion", shell], tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "_RECONCILER_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["plna"],
            "Usage: reconciler [OPTIONS] COMMAND [ARGS]...\nerror: No such command 'plna'. Did you mean 'plan'?\n"
            "  = reconciler --help\n",
        ),
        (
            ["plan", "--confg", "x"],
            "Usage: reconciler plan [OPTIONS] [PATHS]...\nerror: No such option '--confg'. Did you mean '--config'?\n"
            "  = reconciler plan --help\n",
        ),
        (
            ["validate", "--output", "jsno"],
            "Usage: reconciler validate [OPTIONS] [PATHS]...\nerror: Invalid value for '--output': 'jsno' is not one of "
            "text, json, markdown, html, github, sarif, junit. Did you mean 'json'?\n  = reconciler validate --help\n",
        ),
    ],
)
def test_wrong_usage_is_64_with_the_nearest_word(tmp_path: Path, arguments: list[str], said: str) -> None:
    done = run(arguments, tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (64, "", said)


def test_a_wrong_setting_is_1_with_and_without_debug(tmp_path: Path) -> None:
    (tmp_path / "reconciler.yaml").write_text("birdeye: {tokn: CANARY}\n")
    said = f"error: {tmp_path}/reconciler.yaml: unknown setting `birdeye.tokn`\n  = did you mean `birdeye.token`?\n"
    done = run(["plan"], tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)
    done = run(["plan", "--debug"], tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith(said)
    assert "CANARY" not in done.stderr


@pytest.mark.parametrize("debug", [[], ["--debug"]])
@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.LockHeld("held"), 6),
        (errors.Unknown("gone", method="POST", path="/x"), 7),
        (errors.Stopped("stopped", exit_code=143), 143),
        (errors.DeclarationError([]), 1),
        (click.FileError("x", "full"), 1),
        (click.UsageError("no"), 64),
        (click.Abort(), 130),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError("a patient"), 1),
    ],
)
def test_an_exception_ends_in_its_code_also_with_debug(
    monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, debug: list[str]
) -> None:
    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(main.cli, "main", fail)
    assert main.run(["plan", *debug]) == code


def test_a_defect_is_one_line_with_a_run_id_and_no_details(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(**_: object) -> None:
        raise ValueError("a patient")

    monkeypatch.setattr(main.cli, "main", fail)
    assert main.run(["plan"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: this is a defect of reconciler (ValueError, run ")
    assert "a patient" not in err
