"""``plan --changed-since``: the files that differ from a git reference, however they came to differ."""

from __future__ import annotations

import subprocess
from datetime import date
from pathlib import Path

import pytest

from reconciler import declarations
from reconciler.cli import main
from reconciler.core.codes_examples import SMB
from reconciler.errors import UsageError
from reconciler.settings.load import load_settings
from reconciler.workflow.changed import select_changed

TODAY = date(2026, 11, 24)


def git(folder: Path, *arguments: str) -> None:
    own = ["-c", "user.name=Tester", "-c", "user.email=tester@example.com", "-c", "commit.gpgsign=false"]
    own += ["-c", "protocol.file.allow=always", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *own, *arguments], cwd=folder, check=True, capture_output=True, timeout=20)


def declaration(number: int) -> str:
    return SMB.replace("100000000000001", str(100000000000001 + number)).replace("EXAMPLE_NORTH", f"EXAMPLE_{number}")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    top = tmp_path / "top"
    (top / "integrations" / "east").mkdir(parents=True)
    (top / "reconciler.yaml").write_text("declarations: integrations\n")
    for number, name in enumerate(("a", "b", "east/c")):
        (top / "integrations" / f"{name}.yaml").write_text(declaration(number))
    git(top, "init", "-q")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "first")
    return top


def selected(top: Path, reference: str = "HEAD") -> tuple[list[str], str]:
    settings = load_settings(environ={}, cwd=top)
    loaded = declarations.load(settings.declarations, shown_from=settings.folder, today=TODAY)
    said: list[str] = []
    found = select_changed(settings, loaded, reference, said.append)
    assert (found.declared, found.problems, found.digest) == (loaded.declared, loaded.problems, loaded.digest)
    return sorted(found.selected), said[0]


def test_nothing_differs_from_what_was_committed(repository: Path) -> None:
    assert selected(repository) == ([], "0 of 3 declarations differ from HEAD")


def test_changed_staged_new_and_ignored_files_differ(repository: Path) -> None:
    folder = repository / "integrations"
    (folder / "a.yaml").write_text(declaration(0) + "# changed\n")
    (folder / "b.yaml").write_text(declaration(1) + "# staged\n")
    git(repository, "add", "integrations/b.yaml")
    (folder / "new.yaml").write_text(declaration(7))
    (folder / "ignored.yaml").write_text(declaration(8))
    (repository / ".gitignore").write_text("ignored.yaml\n")
    assert selected(repository)[0] == ["a", "b", "ignored", "new"]


def test_a_renamed_file_is_planned_under_its_new_name_and_a_deleted_one_not_at_all(repository: Path) -> None:
    git(repository, "mv", "integrations/a.yaml", "integrations/moved.yaml")
    (repository / "integrations" / "b.yaml").unlink()
    assert selected(repository) == (["moved"], "1 of 2 declarations differ from HEAD")


def test_the_user_s_own_git_configuration_changes_nothing(repository: Path) -> None:
    for name, value in (("diff.relative", "true"), ("diff.noprefix", "true"), ("diff.renames", "copies")):
        git(repository, "config", name, value)
    git(repository, "config", "status.showUntrackedFiles", "no")
    (repository / "integrations" / "east" / "c.yaml").write_text(declaration(2) + "# changed\n")
    (repository / "integrations" / "east" / "d.yaml").write_text(declaration(9))
    assert selected(repository)[0] == ["c", "d"]


@pytest.mark.parametrize("name", ["reconciler.yaml", "integration.schema.json"])
def test_everything_is_planned_where_settings_or_schema_changed(repository: Path, name: str) -> None:
    (repository / name).write_text("declarations: integrations # changed\n")
    git(repository, "add", ".")
    assert selected(repository) == (["a", "b", "c"], "settings or schema have changed: every business is planned")


def test_settings_below_the_top_and_a_reference_that_is_a_branch(repository: Path) -> None:
    git(repository, "branch", "before")
    (repository / "integrations" / "a.yaml").write_text(declaration(0) + "# changed\n")
    git(repository, "commit", "-q", "-a", "-m", "second")
    assert selected(repository, "before")[0] == ["a"]
    assert selected(repository, "HEAD~1")[0] == ["a"]
    assert selected(repository)[0] == []


def test_a_repository_inside_differs_as_a_whole(repository: Path) -> None:
    inside = repository / "integrations" / "inner"
    inside.mkdir()
    (inside / "x.yaml").write_text(declaration(5))
    git(inside, "init", "-q")
    git(inside, "add", ".")
    git(inside, "commit", "-q", "-m", "inner")
    assert selected(repository)[0] == ["x"]
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "a link to a commit of it")
    assert selected(repository)[0] == []
    (inside / "x.yaml").write_text(declaration(5) + "# changed\n")
    assert selected(repository)[0] == ["x"]


@pytest.mark.parametrize("reference", ["no-such-branch", "HEAD~99", "HEAD:integrations", "0" * 40])
def test_a_reference_that_does_not_exist_is_wrong_usage(repository: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="git knows no such commit") as caught:
        selected(repository, reference)
    assert caught.value.exit_code == 64
    assert "git fetch" in str(caught.value.hint)


@pytest.mark.parametrize("reference", ["", "--output=/x", "a\nb", "\x1b[31m"])
def test_what_cannot_be_a_reference_never_reaches_git(repository: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="not a git reference"):
        selected(repository, reference)


def test_a_folder_without_a_repository_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "integrations").mkdir()
    (tmp_path / "integrations" / "a.yaml").write_text(declaration(0))
    with pytest.raises(UsageError, match="is not in a git repository"):
        selected(tmp_path)


def test_git_that_is_not_there_is_told(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match="needs git"):
        selected(repository)


def test_plan_ends_in_64_and_shows_no_control_character(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    assert main.run(["plan", "--changed-since", "no-such"]) == 64
    assert capsys.readouterr().err == (
        "error: --changed-since no-such: git knows no such commit\n"
        "  = git fetch (a shallow checkout has no history: fetch-depth 0), or give another reference\n"
    )
