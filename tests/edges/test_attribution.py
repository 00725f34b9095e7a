"""Where a change comes from: this request, main, or somebody outside git; and a base that cannot be read."""

from __future__ import annotations

import shutil
import subprocess
from datetime import date
from pathlib import Path

import pytest

from reconciler.core.plan import Action, Change, ChangeKind, FieldChange
from reconciler.core.problems import Position
from reconciler.settings.load import load_settings
from reconciler.settings.values import Settings
from reconciler.workflow import attribution
from tests.reconciling import SAMPLES

TODAY = date(2026, 11, 24)
SLUG = "example-skin-group"
PENDING = "declared and not applied yet"
OUTSIDE = "changed outside git since it was applied"


def git(folder: Path, *arguments: str) -> None:
    names = ["-c", "user.name=Jo Example", "-c", "user.email=jo@example.com"]
    subprocess.run(["git", *names, *arguments], cwd=folder, capture_output=True, timeout=30, check=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "deep" / "here"
    (place / "integrations" / "north").mkdir(parents=True)
    shutil.copy(SAMPLES / f"{SLUG}.yaml", place / "integrations" / "north")
    shutil.copy(SAMPLES / "example-orthopedics.yaml", place / "integrations")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "Declare")
    git(tmp_path, "switch", "-q", "-c", "request")
    return place


def settings_of(folder: Path) -> Settings:
    return load_settings(environ={}, cwd=folder)


def edit(folder: Path, before: str, after: str) -> None:
    path = folder / "integrations" / "north" / f"{SLUG}.yaml"
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def change(kind: ChangeKind, business: int, path: str, reason: str = PENDING, action: Action = "update") -> Change:
    fields = (FieldChange(path, "a", "b"),)
    return Change(f"{kind}{business}{path}{action}", kind, SLUG, business, action, reason, Position("x.yaml"), fields)


def origins(folder: Path, *changes: Change, base: str = "main") -> list[str]:
    found = attribution.attribute(settings_of(folder), changes, base, TODAY)
    return [found[it.id] for it in changes]


GROUP, DOWNTOWN, MIDTOWN = 100000000000100, 100000000000101, 100000000000102


def test_only_the_values_that_the_request_changed_are_its_own(folder: Path) -> None:
    edit(folder, "[Procedure, Surgery]", "[Surgery]")
    edit(folder, "location_names: [Cosmetic Center]", "location_names: [Center]")
    assert origins(
        folder,
        change("group", GROUP, "properties.appointment.types"),
        change("group", GROUP, "properties.appointment.status"),
        change("group", GROUP, "triggers", OUTSIDE),
        change("mapping", MIDTOWN, "properties.location.name"),
        change("mapping", DOWNTOWN, "properties.location.name", OUTSIDE),
        change("mapping", DOWNTOWN, "active"),
        change("mapping", DOWNTOWN, "properties.appointment.types", OUTSIDE),
    ) == ["pull", "main", "outside", "pull", "outside", "main", "pull"]


def test_an_untouched_file_is_never_the_requests(folder: Path) -> None:
    edit(folder, "# An enterprise", "# Only a comment: an enterprise")
    assert origins(
        folder,
        change("group", GROUP, "properties.appointment.types"),
        change("mapping", DOWNTOWN, "active", OUTSIDE),
        change("mapping", DOWNTOWN, "active", action="create"),
    ) == ["main", "outside", "main"]


def test_a_new_file_and_a_new_location_are_the_requests(folder: Path) -> None:
    edit(
        folder,
        "locations:\n",
        "locations:\n  - business: 100000000000109\n    time_zone: America/New_York\n    location_names: [New]\n",
    )
    assert origins(
        folder,
        change("mapping", 100000000000109, "active", action="create"),
        change("mapping", DOWNTOWN, "active", action="create"),
    ) == ["pull", "main"]
    (folder / "integrations" / "north" / f"{SLUG}.yaml").rename(folder / "integrations" / "renamed.yaml")
    assert origins(folder, change("group", GROUP, "triggers")) == ["pull"]


def test_a_deactivated_business_is_told_by_its_state(folder: Path) -> None:
    edit(folder, "source: nextech\n", "source: nextech\nstate: inactive\n")
    assert origins(folder, change("mapping", DOWNTOWN, "active", action="deactivate")) == ["pull"]


def test_what_main_has_gained_since_the_branch_is_not_the_requests(folder: Path) -> None:
    top = folder.parents[1]
    git(top, "switch", "-q", "main")
    edit(folder, "[Procedure, Surgery]", "[Surgery]")
    git(top, "commit", "-q", "-am", "On main")
    git(top, "switch", "-q", "request")
    assert origins(folder, change("group", GROUP, "properties.appointment.types")) == ["main"]


@pytest.mark.parametrize("base", ["nowhere", "--upload-pack=x", "a\nb", ""])
def test_a_base_that_git_does_not_know_is_said_and_runs_nothing(folder: Path, base: str) -> None:
    with pytest.raises(attribution.NoBase):
        origins(folder, change("group", GROUP, "triggers"), base=base)


def test_no_repository_is_said(tmp_path: Path) -> None:
    (tmp_path / "integrations").mkdir()
    with pytest.raises(attribution.NoBase, match="git"):
        origins(tmp_path, change("group", GROUP, "triggers"))


def test_links_in_the_base_are_not_followed(folder: Path) -> None:
    top = folder.parents[1]
    git(top, "switch", "-q", "main")
    (folder / "integrations" / "link.yaml").symlink_to("/etc/passwd")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "A link")
    found = attribution.base_declarations(settings_of(folder), "main", TODAY)
    assert sorted(found) == ["example-orthopedics", SLUG]


def test_a_request_that_edits_settings_workflows_or_acceptances_is_told(folder: Path) -> None:
    top = folder.parents[1]
    edit(folder, "[Procedure, Surgery]", "[Surgery]")
    assert attribution.guarded(settings_of(folder), "main") == ()
    for name in (".github/workflows/x.yml", "deep/here/reconciler.yaml", "deep/here/acceptances.yaml"):
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).write_text("declarations: integrations\n" if name.endswith("reconciler.yaml") else "a: 1\n")
    git(top, "add", ".")
    git(top, "commit", "-q", "-m", "Edit what guards")
    found = attribution.guarded(settings_of(folder), "main")
    assert set(found) == {".github/workflows/x.yml", "reconciler.yaml", "acceptances.yaml"}
