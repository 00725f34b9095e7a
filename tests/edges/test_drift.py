"""Drift against the sandbox: classes, coverage, the second read, first seen, Nextech's side, acceptances."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from reconciler.core.acceptances import Acceptance
from reconciler.errors import SecretError
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.records import Property
from reconciler.sandbox.server import Server, serve
from reconciler.workflow import drifting
from tests.drifting import Drifter, kinds
from tests.reconciling import SAMPLES, Reconciler

SKIN = "example-skin-group.yaml"


def make(tmp_path: Path, server: Server, *names: str) -> Reconciler:
    folder = tmp_path / "integrations"
    folder.mkdir(exist_ok=True)
    for file in sorted(SAMPLES.iterdir()):
        if not names or file.name in names:
            shutil.copy(file, folder)
    return Reconciler(server.url, folder, f"sqlite:///{tmp_path}/state/store.db")


@pytest.fixture
def rich() -> Iterator[Server]:
    with serve(SandboxOptions(dialect="rich", settings=("secure_values=plain",))) as server:
        yield server


def change_mapping(server: Server, business: int, *, key: str, value: str | None) -> None:
    world = server.app.world
    with world.lock:
        (mapping,) = world.mappings_of(business)
        kept = tuple(it for it in mapping.properties if it.key != key)
        world.put_mapping(replace(mapping, properties=kept if value is None else (*kept, Property(key, value))))
        world.commit()


@pytest.mark.parametrize("dialect", ["documented", "rich"])
def test_after_an_apply_nothing_drifts_and_nothing_is_written(tmp_path: Path, dialect: str) -> None:
    with serve(SandboxOptions(dialect=dialect)) as server:
        it = make(tmp_path, server)
        it.apply()
        drifter = Drifter(it)
        report = drifter.run()
        assert report.exit_code == 0
        assert {kind for *_, kind in kinds(report)} <= {"unverified"}
        totals = report.totals
        assert totals.drifted_fields == 0
        assert totals.checked_fields + totals.unverified_fields == 56
        assert totals.coverage == (0.125 if dialect == "documented" else 0.8571)
        assert drifter.waits == []
        assert {name for name, number in it.requests.items() if number} <= {"T", "G", "Mg", "L", "P"}


def test_a_value_changed_outside_is_named_with_both_sides_and_since_when(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich, SKIN)
    it.apply()
    change_mapping(rich, 100000000000101, key="location.name", value="Dermatology")
    monday = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    first = Drifter(replace(it, now=lambda: monday)).run()
    assert first.exit_code == 2
    (found,) = [field for one in first.businesses for field in one.findings if field.is_drift]
    assert found.to_json() == {
        "object": "mapping:100000000000101",
        "path": "properties.location.name",
        "class": "changed_outside",
        "declared": "Dermatology|Oncology",
        "live": "Dermatology",
        "recorded": "Dermatology|Oncology",
        "first_seen": "2026-11-23T03:00:00Z",
    }
    later = Drifter(replace(it, now=lambda: monday + timedelta(days=2))).run()
    assert [f.first_seen for one in later.businesses for f in one.findings if f.is_drift] == ["2026-11-23T03:00:00Z"]
    change_mapping(rich, 100000000000101, key="location.name", value="Oncology")
    other = Drifter(replace(it, now=lambda: monday + timedelta(days=3))).run()
    assert [f.first_seen for one in other.businesses for f in one.findings if f.is_drift] == ["2026-11-26T03:00:00Z"]


def test_without_a_store_nothing_is_recorded_and_none_is_made(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich, SKIN)
    report = Drifter(it).run()
    assert report.exit_code == 2
    assert {kind for *_, kind in kinds(report)} == {"not_applied_yet"}
    assert {field.first_seen for one in report.businesses for field in one.findings} == {None}
    assert not (tmp_path / "state").exists()


def test_only_what_both_reads_saw_is_reported(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich)
    it.apply()
    change_mapping(rich, 100000000000101, key="location.name", value="Dermatology")
    drifter = Drifter(
        it,
        between=lambda: change_mapping(rich, 100000000000101, key="location.name", value="Dermatology|Oncology"),
    )
    reads = len([1 for entry in rich.app.world.history if entry.endpoint == "G"])
    report = drifter.run(confirm_after=60.0)
    assert drifter.waits == [60.0]
    assert (report.exit_code, report.passing) == (0, 1)
    assert len([1 for entry in rich.app.world.history if entry.endpoint == "G"]) - reads == 7 + 1


def test_a_difference_that_only_the_second_read_saw_is_left_to_the_next_report(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich)
    it.apply()
    change_mapping(rich, 100000000000101, key="location.name", value="Dermatology")

    def outside() -> None:
        change_mapping(rich, 100000000000101, key="location.name", value="Dermatology|Oncology")
        change_mapping(rich, 100000000000102, key="location.name", value="Elsewhere")

    report = Drifter(it, between=outside).run(confirm_after=60.0)
    assert (report.exit_code, report.passing) == (0, 2)
    assert [found for found in kinds(report) if found[3] == "changed_outside"] == []
    later = Drifter(it).run(confirm_after=60.0)
    assert later.exit_code == 2
    assert [found for found in kinds(later) if found[3] == "changed_outside"] == [
        ("example-skin-group", "mapping:100000000000102", "properties.location.name", "changed_outside")
    ]


def test_what_cannot_be_read_lowers_coverage_and_exits_seven(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich)
    it.apply()
    before = Drifter(it).run().totals
    rich.app.faults.arm("/integration/businessintegrationgroup/100000000000100:*:403")
    report = Drifter(it).run()
    assert report.exit_code == 7
    assert report.totals.coverage < before.coverage
    assert report.totals.unreadable_fields == 13
    unreadable = [one for one in report.businesses if one.unreadable]
    assert [one.slug for one in unreadable] == ["example-skin-group"]
    assert {field.kind for field in unreadable[0].findings} == {"unreadable"}


def test_names_that_nextech_lists_no_more_are_missing_there(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich, SKIN)
    text = (it.folder / SKIN).read_text().replace("[Dermatology, Oncology]", "[Dermatolgy, Oncology]")
    (it.folder / SKIN).write_text(text)
    it.apply()
    report = Drifter(it).run()
    (found,) = [field for one in report.businesses for field in one.findings if field.is_drift]
    assert (found.object, found.path, found.kind, found.declared) == (
        "nextech:100000000000101",
        "nextech.location.name",
        "missing",
        ["Dermatolgy"],
    )
    assert "did you mean Dermatology for Dermatolgy?" in found.note
    assert it.requests["L"] == 1


def test_a_look_up_that_fails_is_unreadable_and_one_that_does_not_exist_is_not_asked(
    tmp_path: Path, rich: Server
) -> None:
    it = make(tmp_path, rich, SKIN)
    it.apply()
    whole = Drifter(it).run().totals
    rich.app.faults.arm("L:*:403")
    report = Drifter(it).run()
    assert report.exit_code == 7
    assert report.totals.coverage < whole.coverage
    assert (report.totals.unreadable_fields, report.totals.checked_fields) == (3, whole.checked_fields - 3)
    rich.app.faults.clear()
    rich.app.faults.arm("L:*:404")
    assert (Drifter(it).run().exit_code, Drifter(it).run().totals) == (0, whole)


def test_a_secret_that_does_not_resolve_leaves_its_field_unverified(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich, SKIN)
    it.apply()
    whole = Drifter(it).run().totals

    class Forgetful(Reconciler):
        def reveal(self, reference: str) -> str:
            raise SecretError(f"{reference} does not resolve")

    poor = Forgetful(it.url, it.folder, it.store_url)
    report = Drifter(poor).run()
    assert report.exit_code == 0
    assert report.totals.checked_fields == whole.checked_fields - 1
    assert "L" not in poor.requests
    assert [row[2:] for row in kinds(report)] == [("properties.practice.id", "unverified")]
    assert report.notes[0].startswith("env:RECONCILER_SECRET_EXAMPLE_SKIN_GROUP")


def test_an_accepted_difference_stands_apart_until_the_value_or_the_day_changes(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich, SKIN)
    it.apply()
    change_mapping(rich, 100000000000101, key="location.name", value="Dermatology")
    (found,) = [f for one in Drifter(it).run().businesses for f in one.findings if f.is_drift]
    until = it.now().date() + timedelta(days=10)
    entry = Acceptance(
        "example-skin-group", 100000000000101, found.path, found.live_print, "agreed", until, "Jo Example"
    )
    accepted = Drifter(it, acceptances=(entry,)).run()
    assert (accepted.exit_code, accepted.totals.drifted_fields) == (0, 0)
    assert [(f.path, reason, last) for f, reason, last, _ in accepted.accepted] == [
        (found.path, "agreed", until.isoformat())
    ]
    late = Drifter(replace(it, now=lambda: datetime.now(UTC) + timedelta(days=11)), acceptances=(entry,)).run()
    assert late.exit_code == 2
    assert late.ended == (
        f"example-skin-group mapping:100000000000101 {found.path}: the acceptance by Jo Example ended on {until}",
    )
    change_mapping(rich, 100000000000101, key="location.name", value="Oncology")
    other = Drifter(it, acceptances=(entry,)).run()
    assert other.exit_code == 2
    assert "was for another live value" in other.ended[0]


def test_files_and_entries_that_disappeared_and_released_ones_are_listed(tmp_path: Path, rich: Server) -> None:
    it = make(tmp_path, rich, SKIN, "example-orthopedics.yaml", "example-vein-inactive.yaml")
    it.apply()
    (it.folder / "example-orthopedics.yaml").unlink()
    skin = (it.folder / SKIN).read_text()
    (it.folder / SKIN).write_text(skin[: skin.index("  - business: 100000000000103")])
    vein = it.folder / "example-vein-inactive.yaml"
    vein.write_text(vein.read_text().replace("state: inactive", "state: released"))
    report = Drifter(it).run()
    assert [row for row in kinds(report) if row[3] != "unverified"] == [
        ("example-orthopedics", "group", "exists", "undeclared"),
        ("example-orthopedics", "mapping:100000000000301", "exists", "undeclared"),
        ("example-orthopedics", "mapping:100000000000302", "exists", "undeclared"),
        ("example-skin-group", "mapping:100000000000103", "exists", "undeclared"),
        ("example-vein-inactive", "group", "exists", "released"),
        ("example-vein-inactive", "mapping:100000000000601", "exists", "released"),
    ]
    assert report.exit_code == 2


def test_acceptances_keep_comments_and_other_entries() -> None:
    path = Path("acceptances.yaml")
    one = Acceptance("a", None, "triggers", "0" * 32, "because", date(2027, 1, 1), "Jo")
    two = Acceptance("b", 5, "active", "1" * 32, 'with "quotes": and # more', date(2027, 1, 2), "Zoë")
    text = drifting.with_acceptance(drifting.parse_acceptances(path, ""), one)
    text = "# ours\n" + text.replace("acceptances:\n", "acceptances:\n  # the first\n") + "# the end\n"
    text = drifting.with_acceptance(drifting.parse_acceptances(path, text), two)
    renewed = replace(one, until=date(2027, 6, 1))
    text = drifting.with_acceptance(drifting.parse_acceptances(path, text), renewed)
    assert text == (
        "# ours\nversion: 1\nacceptances:\n  # the first\n"
        '  - slug: a\n    path: "triggers"\n    live: "00000000000000000000000000000000"\n    reason: "because"\n'
        '    until: "2027-06-01"\n    by: "Jo"\n'
        '  - slug: b\n    business: 5\n    path: "active"\n    live: "11111111111111111111111111111111"\n'
        '    reason: "with \\"quotes\\": and # more"\n    until: "2027-01-02"\n    by: "Zoë"\n# the end\n'
    )
    assert drifting.parse_acceptances(path, text).acceptances == (renewed, two)
