"""``fmt`` on the command line: what it writes, what it lists, what it leaves alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli import main
from reconciler.core.codes_examples import SMB, swapped

UNTIDY = SMB.replace("version: 1\n", "").replace("name:", "version:   1\nname:") + "# end\n"
TIDY = SMB + "# end\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "integrations").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path / "integrations"


def test_files_are_written_in_the_house_form_and_keep_their_permissions(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = folder / "example-north.yaml"
    file.write_text(UNTIDY)
    file.chmod(0o640)
    assert main.run(["fmt"]) == 0
    assert file.read_text() == TIDY
    assert file.stat().st_mode & 0o777 == 0o640
    said = capsys.readouterr()
    assert (said.out, said.err) == ("integrations/example-north.yaml\n", "1 declaration: 1 changed\n")
    assert main.run(["fmt"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "1 declaration: 0 changed\n")
    assert [it.name for it in folder.iterdir()] == ["example-north.yaml"]


def test_check_lists_files_and_writes_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "example-north.yaml").write_text(UNTIDY)
    assert main.run(["fmt", "--check"]) == 2
    assert (folder / "example-north.yaml").read_text() == UNTIDY
    said = capsys.readouterr()
    assert (said.out, said.err) == ("integrations/example-north.yaml\n", "1 declaration: 1 would change\n")
    (folder / "example-north.yaml").write_text(TIDY)
    assert main.run(["fmt", "--check", "-q"]) == 0
    assert capsys.readouterr().err == ""


def test_only_the_files_that_are_named_are_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = swapped(UNTIDY, ("  - business: 100000000000001", "  - business: 100000000000002")).replace(
        "\nbusiness: 100000000000001", "\nbusiness: 100000000000002"
    )
    other = other.replace("business: 100000000000001", "business: 100000000000002").replace("NORTH", "SOUTH")
    (folder / "example-north.yaml").write_text(UNTIDY)
    (folder / "example-south.yaml").write_text(other)
    assert main.run(["fmt", "integrations/example-south.yaml"]) == 0
    assert capsys.readouterr().out == "integrations/example-south.yaml\n"
    assert (folder / "example-north.yaml").read_text() == UNTIDY


def test_a_file_with_errors_is_left_alone_and_told(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    wrong = UNTIDY.replace("source: nextech", "source: nextec")
    (folder / "example-north.yaml").write_text(wrong)
    assert main.run(["fmt"]) == 1
    assert (folder / "example-north.yaml").read_text() == wrong
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error[E209]: ")
    assert said.err.endswith("1 declaration: 0 changed, 1 with errors left alone\n")


def test_an_empty_folder_is_an_error_and_not_silence(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["fmt", "--check"]) == 1
    assert "error[E118]" in capsys.readouterr().err


def test_the_sample_declarations_can_be_formatted(capsys: pytest.CaptureFixture[str]) -> None:
    config = Path(__file__).parents[2] / "reconciler.yaml"
    arguments = ["--config", str(config)] if config.is_file() else []
    assert main.run(["fmt", "--check", *arguments]) in (0, 2)
    assert "left alone" not in capsys.readouterr().err
