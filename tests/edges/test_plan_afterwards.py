"""What an earlier apply left behind decides the next plan: values that ended, names that changed, groups once answered."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.core.in_force import location_of, resolved_value
from reconciler.core.live import LiveBusiness, LiveGroup, LiveMapping
from reconciler.core.mappings import see_mapping
from reconciler.core.records import Recorded
from reconciler.core.world import World
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.server import serve
from reconciler.store.database import open_store
from reconciler.store.in_force import every, in_force
from tests.edges.test_plan_scenarios import NORTH, SKIN, Story, codes, fields, said, story

__all__ = ["story"]

PARENT, SECOND = 100000000000100, 100000000000102
OVERRIDE = "    customer_fetch_delay_days: 1 # overrides the group's\n"


def used(it: Story, slug: str, business: int, key: str) -> str | None:
    """What the runner uses."""
    with open_store(it.it.store_url, now=it.it.now, write=False) as store, store.read() as connection:
        found = in_force(connection, slug)
        value = resolved_value(location_of(found.document if found is not None else None, business), key)
        return value.wire if value is not None else None


def slugs_in_force(it: Story) -> list[str]:
    with open_store(it.it.store_url, now=it.it.now, write=False) as store, store.read() as connection:
        return sorted(each.slug for each in every(connection))


def live(it: Story, business: int) -> dict[str, str | None]:
    (mapping,) = [each for each in it.server.app.world.mappings.values() if each.business == business]
    return {each.key: each.value for each in mapping.properties}


def test_an_override_that_ended_does_not_come_back(story: Story) -> None:
    story.take(SKIN)
    story.apply()
    assert used(story, SKIN, SECOND, "customer.fetch.delay") == "1"
    story.edit(SKIN, OVERRIDE, "")
    story.apply()
    assert used(story, SKIN, SECOND, "customer.fetch.delay") == "2"
    text = story.path(SKIN).read_text()
    mark = f"  - business: {SECOND}\n"
    assert mark in text
    story.path(SKIN).write_text(text.replace(mark, f"{mark}    practitioner_ids: ['7']\n"))
    story.apply()
    assert live(story, SECOND).get("customer.fetch.delay") in (None, "2")
    assert live(story, SECOND)["practitioner.id"] == "7"
    assert used(story, SKIN, SECOND, "customer.fetch.delay") == "2"


def test_a_value_of_a_location_alone_that_ended_does_not_come_back(story: Story) -> None:
    story.take(SKIN)
    mark = f"  - business: {SECOND}\n"
    story.edit(SKIN, mark, f"{mark}    practitioner_ids: ['7']\n")
    story.apply()
    story.edit(SKIN, "    practitioner_ids: ['7']\n", "")
    story.apply(f"filter-widened:{SKIN}")
    assert used(story, SKIN, SECOND, "practitioner.id") == ""
    story.edit(SKIN, OVERRIDE, "")
    story.apply()
    assert live(story, SECOND).get("practitioner.id", "") == ""
    assert used(story, SKIN, SECOND, "practitioner.id") == ""


def test_a_filter_of_the_group_that_ended_is_in_force_no_more(story: Story) -> None:
    story.take(SKIN)
    story.apply()
    story.edit(SKIN, "  appointment_types: [Procedure, Surgery]\n", "")
    story.apply(f"filter-widened:{SKIN}")
    assert used(story, SKIN, SECOND, "appointment.types") == ""


def test_an_override_declared_again_after_it_ended_is_judged_against_the_group(story: Story) -> None:
    story.take(SKIN)
    story.apply()
    story.edit(SKIN, OVERRIDE, "")
    story.apply()
    mark = f"  - business: {SECOND}\n"
    story.edit(SKIN, mark, mark + OVERRIDE)
    assert codes(story.it.plan()) == {("filter-widened", SKIN)}


@pytest.mark.parametrize("dialect", ["documented", "rich"])
def test_an_override_with_the_default_is_sent_where_the_group_has_another_value(tmp_path: Path, dialect: str) -> None:
    with serve(SandboxOptions(dialect=dialect)) as server:
        story = Story(server, tmp_path)
        story.take(SKIN)
        story.apply()
        story.edit(SKIN, OVERRIDE, "    customer_fetch_delay_days: 0\n")
        story.apply(f"filter-widened:{SKIN}")
        assert live(story, SECOND)["customer.fetch.delay"] == "0"
        first = f"  - business: {PARENT + 1}\n"
        story.edit(SKIN, first, f"{first}    appointment_types: []\n")
        plan = story.it.plan()
        assert ("update", "mapping", PARENT + 1) in said(plan)
        assert codes(plan) == {("filter-widened", SKIN)}
        story.apply(f"filter-widened:{SKIN}")
        assert live(story, PARENT + 1)["appointment.types"] == ""


def test_a_write_to_a_mapping_whose_properties_are_not_shown_says_that_it_may_clear_some(tmp_path: Path) -> None:
    with serve(SandboxOptions(dialect="rich", settings=("mapping_properties=false",))) as server:
        story = Story(server, tmp_path)
        story.take(SKIN)
        story.apply()
        story.edit(SKIN, OVERRIDE, "    customer_fetch_delay_days: 4\n")
        warned = [it.text for it in story.it.plan().warnings]
        assert f"the write to location {SECOND} may clear properties set elsewhere" in warned


def test_a_file_renamed_without_a_word_takes_its_locations_over(story: Story) -> None:
    story.take(NORTH)
    story.apply()
    story.path(NORTH).rename(story.path("north-two"))
    assert ("undeclared", NORTH) in codes(story.it.plan())
    story.apply(f"undeclared:{NORTH}")
    assert slugs_in_force(story) == ["north-two"]
    assert codes(story.it.plan()) == set()


def test_a_released_business_is_synced_again_only_when_allowed(story: Story) -> None:
    story.take(NORTH)
    story.apply()
    story.edit(NORTH, "version: 1\n", "version: 1\nstate: released\n")
    story.apply()
    story.edit(NORTH, "state: released\n", "")
    assert codes(story.it.plan()) == {("goes-live", NORTH)}
    assert story.it.apply().exit_code == 3
    story.apply(f"goes-live:{NORTH}")


def test_a_business_that_leaves_birdeyes_scheduler_asks_a_person_to_switch_its_job_off(story: Story) -> None:
    step = "confirm that Birdeye's own job is off"
    story.take(NORTH)
    story.edit(NORTH, "version: 1\n", "version: 1\nrunner: platform\n")
    story.apply()
    assert not any(step in it.text for it in story.it.plan().manual)
    story.edit(NORTH, "runner: platform\n", "runner: bundled\n")
    plan = story.it.plan()
    assert fields(plan) == {"runner": ("platform", "bundled")}
    assert any(step in it.text for it in plan.manual)


def test_a_group_that_an_answer_named_is_not_created_again_while_it_is_not_listed(story: Story) -> None:
    story.take(NORTH)
    story.server.app.faults.arm("G:*:empty-list")
    assert story.it.apply().exit_code == 5
    for _ in range(2):
        report = story.it.apply()
        assert (report.exit_code, [it.code for it in report.refused]) == (3, ["group-vanished"])
    assert len(story.server.app.world.groups) == 1
    story.server.app.faults.clear()
    story.apply()
    assert len(story.server.app.world.groups) == 1


def test_a_location_that_one_answer_maps_twice_and_not_alike_is_unreadable() -> None:
    now = datetime(2026, 11, 1, tzinfo=UTC)
    empty = World(
        (), Recorded((), (), ()), {}, (), {}, lambda key, canon: f"{key}={canon}", now, "http://127.0.0.1", ""
    )
    group = LiveGroup(150, 22, mappings=(LiveMapping(7, 150, True), LiveMapping(7, 150, False)))
    seen = LiveBusiness(1, groups=(group,))
    sight = see_mapping(empty, 7, group, seen, seen.listed())
    assert (sight.exists, sight.unreadable) == (
        False,
        "location 7 is listed more than once as mapped to group 150, and not alike",
    )
    alike = LiveGroup(150, 22, mappings=(LiveMapping(7, 150, True), LiveMapping(7, 150, True)))
    seen = LiveBusiness(1, groups=(alike,))
    sight = see_mapping(empty, 7, alike, seen, seen.listed())
    assert (sight.exists, sight.unreadable) == (True, "")


def test_another_practice_id_after_an_override_ended_is_an_objection_where_nothing_is_shown(tmp_path: Path) -> None:
    with serve(SandboxOptions(dialect="rich", settings=("secure_values=masked", "mapping_put=merges"))) as server:
        story = Story(server, tmp_path)
        story.it.secrets |= {"RECONCILER_SECRET_OTHER": "00000000-0000-4000-8000-0000000000ff"}
        story.take(SKIN)
        mark = f"  - business: {SECOND}\n"
        other = "    practice_id: env:RECONCILER_SECRET_OTHER\n"
        story.edit(SKIN, mark, mark + other)
        story.apply()
        story.edit(SKIN, other, "")
        assert story.it.apply(f"practice-changed:{SKIN}").exit_code == 0
        story.edit(SKIN, mark, mark + other)
        assert ("practice-changed", SKIN) in codes(story.it.plan())


@pytest.mark.parametrize("fault", ["502-after-commit", "502-before-commit"])
@pytest.mark.parametrize(
    ("before", "after"), [("    customer_fetch_delay_days: 4\n", OVERRIDE), ("", OVERRIDE), (OVERRIDE, "")]
)
def test_what_a_write_of_unknown_outcome_may_have_changed_is_sent_again_when_it_is_declared_as_before(
    story: Story, fault: str, before: str, after: str
) -> None:
    """``after`` is declared, then ``before``, of which nobody learns the outcome, then ``after`` again."""
    mark = f"  - business: {SECOND}\n"
    story.take(SKIN)
    story.edit(SKIN, OVERRIDE, "")
    story.edit(SKIN, mark, mark + after)
    story.apply()
    story.edit(SKIN, mark + after, mark + before)
    story.server.app.faults.arm(f"M+:*:{fault}")
    story.it.deadline_seconds = 0.5
    story.it.apply(f"filter-widened:{SKIN}")
    story.it.deadline_seconds = 10.0
    story.server.app.faults.clear()
    story.edit(SKIN, mark + before, mark + after)
    story.apply(f"filter-widened:{SKIN}")
    assert live(story, SECOND).get("customer.fetch.delay", "2") == ("1" if after else "2")
    assert used(story, SKIN, SECOND, "customer.fetch.delay") == ("1" if after else "2")


def test_a_location_that_a_write_of_unknown_outcome_stopped_is_active_as_declared(story: Story) -> None:
    mark = f"  - business: {SECOND}\n"
    story.take(SKIN)
    story.apply()
    story.edit(SKIN, mark, f"{mark}    state: inactive\n")
    story.server.app.faults.arm("M+:*:502-after-commit")
    story.it.deadline_seconds = 0.5
    story.it.apply()
    story.it.deadline_seconds = 10.0
    story.server.app.faults.clear()
    story.edit(SKIN, f"{mark}    state: inactive\n", mark)
    assert any(it.business == SECOND for it in story.it.plan().changes)
    story.apply(f"goes-live:{SKIN}")
    (mapping,) = [it for it in story.server.app.world.mappings.values() if it.business == SECOND]
    assert mapping.active
