"""Onboarding as a state: who waits for what, and whom a business reaches when it goes live."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

from reconciler import declarations
from reconciler.core.plan import Change, FieldChange, Plan
from reconciler.core.problems import Position
from reconciler.store import counts
from reconciler.store.database import open_store
from reconciler.workflow import onboarding
from tests import reviewing

TODAY = date(2026, 11, 24)
NOW = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)

DECLARATION = """\
version: 1
business: {number}
source: nextech
triggers: [nextechFulfilledAppointmentTrigger]
group:
  appointment_types: [Procedure]
{practice}locations:
  - business: {number}
    time_zone: America/New_York
onboarding:
  ordered_by: Sam Example
  ordered_on: "2026-11-18"
  transaction_id: "20417"
  expected_by: "{expected}"
  steps:
    - step: order the API product
      by: Sam Example
      on: "2026-11-18"
    - step: switch appointment purpose off
      by: Kim Example
"""


def load(folder: Path, **files: tuple[int, str, bool]) -> declarations.Loaded:
    (folder / "integrations").mkdir()
    for slug, (number, expected, has_practice) in files.items():
        practice = f"  practice_id: env:RECONCILER_SECRET_{slug.upper()}_PRACTICE_ID\n" if has_practice else ""
        text = DECLARATION.format(number=100000000000000 + number, expected=expected, practice=practice)
        (folder / "integrations" / f"{slug}.yaml").write_text(text)
    return declarations.load(folder / "integrations", shown_from=folder, today=TODAY)


def put_in_force(slug: str, business: int = 1) -> Change:
    return Change("id", "runner", slug, business, "create", "put in force", Position("a.yaml"), ())


def test_who_waits_is_told_with_what_is_late_and_which_steps_are_left(tmp_path: Path) -> None:
    loaded = load(
        tmp_path, early=(1, "2026-11-27", False), late=(2, "2026-11-20", False), fresh=(3, "2026-11-20", True),
        old=(4, "2026-11-20", True),
    )  # fmt: skip
    assert not loaded.has_errors
    found = onboarding.standings(loaded.declared, [put_in_force("fresh")], TODAY)
    assert onboarding.table(found) == (
        "Onboarding\n\n"
        "  early  waiting     the practice id was ordered on 2026-11-18, by Sam Example, transaction 20417, "
        "expected by 2026-11-27  [1 of 2 steps]\n"
        "  fresh  to apply    the practice id is here; this plan puts it in force; "
        "switch appointment purpose off (Kim Example)  [1 of 2 steps]\n"
        "  late   late        the practice id was ordered on 2026-11-18, by Sam Example, transaction 20417, "
        "expected by 2026-11-20, 4 days late  [1 of 2 steps]\n"
        "  old    steps left  switch appointment purpose off (Kim Example)  [1 of 2 steps]\n\n"
    )
    section = onboarding.section(found)
    assert section is not None
    assert (section.title, section.level, len(section.points)) == ("Onboarding", "warning", 4)


def test_nobody_on_the_way_is_not_a_table() -> None:
    assert onboarding.table(()) == ""
    assert onboarding.section(()) is None


def test_what_goes_live_says_how_many_contacts_a_week_that_is(tmp_path: Path) -> None:
    store_url = f"sqlite:///{tmp_path / 'store.db'}"
    with open_store(store_url, now=lambda: NOW, write=True) as store:
        with store.begin() as connection:
            for week, sent in (("2026-W45", 100), ("2026-W46", 110), ("2026-W47", 150), ("2026-W48", 3)):
                counts.put_counts(connection, 100000000000003, week, {"passes": 7, "sent": sent, "read": 400})
            counts.put_counts(connection, 100000000000011, "2026-W47", {"passes": 7, "sent": 0, "read": 40})
        weekly = onboarding.read_counts(store, NOW)
    assert "2026-W48" not in weekly[100000000000003]
    plan = replace(reviewing.plan(16, per_business=8), warnings=())  # 3 and 11 activate, 0 and 8 create inactive
    told = onboarding.with_reach(plan, (), weekly)
    assert [(it.slug, it.text) for it in told.warnings] == [
        ("example-practice-00000", "1 location goes live: about 120 contacts a week, by the last 4 weeks"),
        (
            "example-practice-00001",
            "1 location goes live: about 40 visits, of which those with allowed values are contacted a week, "
            "by the last 4 weeks",
        ),
    ]
    assert told.digest == plan.digest


def test_leaving_beta_counts_every_location_and_says_what_was_never_counted(tmp_path: Path) -> None:
    loaded = load(tmp_path, fresh=(3, "2026-11-20", True))
    beta = replace(put_in_force("fresh"), action="update", fields=(FieldChange("beta", True, False),))
    plan: Plan = replace(reviewing.plan(1), changes=(beta,), warnings=())
    told = onboarding.with_reach(plan, loaded.declared, {})
    assert [it.text for it in told.warnings] == [
        "1 location goes live: no weekly counts yet; count with: reconciler sync fresh --dry-run"
    ]


def test_nothing_goes_live_nothing_is_noted() -> None:
    plan = reviewing.plan(4, actions=("update", "deactivate"))
    assert onboarding.with_reach(plan, (), {}) is plan
