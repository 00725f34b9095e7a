"""Values that an API which shows little, or replaces what it is sent, could lose."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.sandbox.changes import change
from tests.faults.test_write_faults import CHOSEN, reconciling
from tests.faults.workplace import declaration, wrong

FIRST = CHOSEN[0]


@pytest.mark.parametrize("dialect", ["documented", "rich"])
def test_a_filter_declared_after_the_first_apply_is_sent_also_where_nothing_is_shown(
    tmp_path: Path, dialect: str
) -> None:
    with reconciling(tmp_path, dialect=dialect) as (app, it):
        file = it.folder / f"{FIRST.slug}.yaml"
        file.write_text("".join(x for x in declaration(FIRST).splitlines(True) if "appointment_types" not in x))
        assert it.apply().exit_code == 0
        file.write_text(declaration(FIRST))
        assert it.apply().exit_code == 0
        assert wrong(app, CHOSEN) == []
        assert it.plan().changes == ()


@pytest.mark.parametrize("dialect", ["documented", "rich"])
def test_a_server_that_replaces_a_group_s_properties_loses_none(tmp_path: Path, dialect: str) -> None:
    with reconciling(tmp_path, dialect=dialect, settings=("group_post=replaces",)) as (app, it):
        file = it.folder / f"{FIRST.slug}.yaml"
        file.write_text(declaration(FIRST, types="[Surgery]"))
        assert it.apply().exit_code == 0
        (group,) = app.world.groups_of(FIRST.business)
        change(app.world, {"action": "set_property", "group": group.group_id, "key": "of.another", "value": "x"})
        file.write_text(declaration(FIRST))
        assert it.apply(f"filter-widened:{FIRST.slug}").exit_code == 0
        (group,) = app.world.groups_of(FIRST.business)
        kept = {each.key: each.value for each in group.properties}
        assert kept.pop("of.another", None) == ("x" if dialect == "rich" else None)
        assert kept == {
            "practice.id": FIRST.sites[0].practice_id,
            "appointment.types": "Procedure|Surgery",
            "customer.fetch.delay": "2",
        }
