"""``drift``, ``accept`` and ``import`` as commands: exit codes, streams and files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import sample_secrets
from reconciler.sandbox.records import Property
from reconciler.sandbox.server import Server, serve, variables
from tests.reconciling import SAMPLES

SKIN = "example-skin-group"


@dataclass
class Workplace:
    folder: Path
    server: Server

    def run(self, *arguments: str, code: int) -> subprocess.CompletedProcess[str]:
        environ = {
            "PATH": os.environ["PATH"],
            "LANG": "C.UTF-8",
            **sample_secrets(),
            **variables(self.server),
        }
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=self.folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Workplace]:
    (tmp_path / "integrations").mkdir()
    shutil.copy(SAMPLES / f"{SKIN}.yaml", tmp_path / "integrations")
    with serve(SandboxOptions(dialect="rich")) as server:
        it = Workplace(tmp_path, server)
        it.run("apply", "--auto-approve", "-q", code=0)
        yield it


def test_drift_is_found_accepted_and_quiet_until_it_changes(place: Workplace) -> None:
    world = place.server.app.world
    (mapping,) = world.mappings_of(100000000000101)
    world.put_mapping(replace(mapping, properties=(Property("location.name", "Dermatology"),)))
    document = json.loads(place.run("drift", "--confirm-after", "0", "--output", "json", code=2).stdout)
    assert document["summary"]["drifted_fields"] == 1
    until = (datetime.now(UTC).date() + timedelta(days=30)).isoformat()
    agreed = ("--reason", "agreed", "--until", until, "--by", "Jo Example")
    done = place.run("accept", SKIN, "--path", "location_names", *agreed, code=0)
    assert done.stdout == ""
    assert f"accepted until {until}: {SKIN} mapping:100000000000101 properties.location.name" in done.stderr
    quiet = place.run("drift", "--confirm-after", "0", code=0).stdout
    assert f"until {until}, Jo Example: agreed" in quiet
    assert "Drift: 0 drifted, 1 accepted" in quiet


def test_only_what_differs_is_accepted_and_not_for_ever(place: Workplace) -> None:
    agreed = ("--reason", "agreed", "--until", datetime.now(UTC).date().isoformat(), "--by", "Jo Example")
    gone = place.run("accept", SKIN, "--path", "triggers", *agreed, code=64).stderr
    assert "triggers of example-skin-group does not differ, so nothing was accepted" in gone
    late = place.run(
        "accept", SKIN, "--path", "triggers", "--reason", "r", "--until", "2099-01-01", "--by", "J", code=64
    )
    assert "--until 2099-01-01: a day from" in late.stderr
    (place.folder / "acceptances.yaml").write_text("version: 1\nacceptances:\n  - slug: a\n    pth: b\n")
    broken = place.run("drift", code=1).stderr
    assert "acceptances.yaml:4:5: unknown key `pth` (did you mean: `path`)" in broken


def test_what_cannot_be_read_exits_seven_and_writes_every_format(place: Workplace) -> None:
    place.server.app.faults.arm("G:*:403")
    done = place.run("drift", "--output", "json", "--output", "github=a.txt", "--output", "markdown=b.md", code=7)
    summary = json.loads(done.stdout)["summary"]
    assert (summary["unreadable_fields"], summary["coverage"]) == (13, 0.0)
    assert (place.folder / "a.txt").read_text().startswith("::error ")
    assert "could not be read" in (place.folder / "b.md").read_text()


def test_an_empty_folder_is_an_error_and_not_a_clean_report(place: Workplace) -> None:
    shutil.rmtree(place.folder / ".reconciler")
    (place.folder / "integrations" / f"{SKIN}.yaml").unlink()
    assert "E118" in place.run("drift", code=1).stderr


def test_a_store_that_cannot_be_written_is_no_hindrance(place: Workplace) -> None:
    world = place.server.app.world
    (mapping,) = world.mappings_of(100000000000101)
    world.put_mapping(replace(mapping, active=False))
    (store,) = (place.folder / ".reconciler").glob("store.db")
    before = store.read_bytes()
    store.chmod(0o444)
    (place.folder / ".reconciler").chmod(0o555)
    try:
        place.run("drift", "--confirm-after", "0", code=2)
    finally:
        (place.folder / ".reconciler").chmod(0o755)
        store.chmod(0o644)
    if os.getuid() != 0:  # root may write where nobody may
        assert store.read_bytes() == before


def test_import_prints_then_writes_and_never_over_a_file(place: Workplace) -> None:
    (place.folder / "integrations" / f"{SKIN}.yaml").unlink()
    shutil.rmtree(place.folder / ".reconciler")
    number = "100000000000100"
    options = ("--slug", "skin", "--time-zone", "America/New_York")
    shown = place.run("import", number, *options, code=0)
    assert shown.stdout.startswith("# skin.yaml\n# yaml-language-server:")
    assert "read -rs RECONCILER_SECRET_SKIN_PRACTICE_ID && export RECONCILER_SECRET_SKIN_PRACTICE_ID" in shown.stderr
    assert list((place.folder / "integrations").iterdir()) == []
    place.run("import", number, *options, "--write", code=0)
    text = (place.folder / "integrations" / "skin.yaml").read_text()
    assert f"# skin.yaml\n{text}" == shown.stdout
    over = place.run("import", number, *options, "--write", code=1)
    assert "is declared in integrations/skin.yaml already" in over.stderr
    assert (place.folder / "integrations" / "skin.yaml").read_text() == text


def test_import_says_what_it_cannot_do(place: Workplace) -> None:
    assert "name one BUSINESS or more, or give --all" in place.run("import", code=64).stderr
    assert "the store remembers no business" in place.run("import", "--all", code=0).stderr
    other = place.run("import", "100000000000200", "999", code=1).stderr
    assert "business 100000000000200 has no group of this source: there is nothing to declare" in other
    unknown = place.run("import", "1", "--time-zone", "America/New_Yrok", code=64).stderr
    assert "Did you mean 'America/New_York'?" in unknown
