"""The sandbox's world: reads that lag show exactly what was, and the state file exactly what is."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.sandbox.records import Group, Mapping, Property
from reconciler.sandbox.world import World

PARENTS = (100000000000001, 100000000000100)
BUSINESSES = (100000000000101, 100000000000102)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(("add", "change", "delete", "map", "unmap", "wait")),
        st.integers(0, 1),
        st.integers(0, 3),
        st.booleans(),
    ),
    max_size=30,
)


def carry_out(world: World, step: tuple[str, int, int, bool]) -> None:
    kind, which, place, flag = step
    existing = sorted(world.groups)
    group_id = existing[place % len(existing)] if existing else None
    pairs = sorted(world.mappings)
    if kind == "add":
        world.add_group(Group(0, PARENTS[which], 22, ((24, 1),) if flag else ()))
    elif kind == "change" and group_id is not None:
        found = world.groups[group_id]
        world.put_group(Group(group_id, found.parent, 22, found.triggers, (Property("a", str(place), flag),)))
    elif kind == "delete" and group_id is not None:
        world.delete_group(group_id)
    elif kind == "map" and group_id is not None:
        world.put_mapping(Mapping(BUSINESSES[which], group_id, flag))
    elif kind == "unmap" and pairs:
        world.delete_mapping(*pairs[place % len(pairs)])
    world.commit()


def seen(world: World, lag_seconds: float) -> list[object]:
    groups = [world.groups_of(parent, lag_seconds=lag_seconds) for parent in PARENTS]
    mappings = [world.mappings_of(it, lag_seconds=lag_seconds) for it in BUSINESSES]
    inside = [world.mappings_in(it.group_id, lag_seconds=lag_seconds) for each in groups for it in each]
    return [groups, [sorted(it, key=str) for it in mappings], [sorted(it, key=str) for it in inside]]


@given(STEPS)
def test_a_lagging_read_shows_what_was_there(steps: list[tuple[str, int, int, bool]]) -> None:
    clock = [0.0]
    world = World(now=lambda: clock[0])
    then = [seen(world, 0.0)]
    for step in steps:
        clock[0] += 1.0
        carry_out(world, step)
        then.append(seen(world, 0.0))
    for age, shown in enumerate(reversed(then)):
        assert seen(world, float(age)) == shown


@settings(max_examples=30)
@given(STEPS)
def test_the_state_file_holds_what_the_world_holds(steps: list[tuple[str, int, int, bool]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state.json"
        world = World(state=state)
        for step in steps:
            carry_out(world, step)
        world.close()
        again = World(state=state)
        again.close()
        assert again.snapshot() == world.snapshot()
        assert seen(again, 0.0) == seen(world, 0.0)
