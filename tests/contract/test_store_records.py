"""Receipts, configurations in force, journal, drift and counts come back as they went in, on both databases."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.core.records import FieldReceipt, InForce, Intent, ObjectReceipt, Recorded
from reconciler.errors import InternalError, StoreError
from reconciler.store import counts, drift, in_force, journal, receipts
from reconciler.store.database import Store, open_store

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
PARENT = 100000000000100
LOCATION = 100000000000101


def field(path: str = "properties.location.name", **changes: Any) -> FieldReceipt:
    base = FieldReceipt(path=path, fingerprint="0f" * 16, at=NOW, plan_id="plan-1", commit="abc")
    return base._replace(**changes)


def group(**changes: Any) -> ObjectReceipt:
    base = ObjectReceipt(
        kind="group",
        business=PARENT,
        slug="skin",
        group_id=150,
        at=NOW,
        plan_id="plan-1",
        commit="abc",
        created=True,
        fields=(field("triggers"), field("properties.practice.id", commit=None, assumed=True)),
    )
    return base._replace(**changes)


def mapping(**changes: Any) -> ObjectReceipt:
    base = ObjectReceipt(
        kind="mapping",
        business=LOCATION,
        slug="skin",
        group_id=150,
        at=NOW,
        plan_id="plan-1",
        was_active=True,
        fields=(field("active"), field(follows_group=True)),
    )
    return base._replace(**changes)


def configuration(**changes: object) -> InForce:
    base = InForce(
        slug="skin",
        business=PARENT,
        revision=1,
        at=NOW,
        plan_id="plan-1",
        commit="abc",
        document={"locations": [{"business": LOCATION, "names": ["Zürich | ☃"]}], "empty": None},
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def intent(**changes: object) -> Intent:
    base = Intent(
        id="intent-1",
        plan_id="plan-1",
        change_id="change-1",
        kind="group",
        business=PARENT,
        slug="skin",
        endpoint="G+",
        at=NOW,
        groups_before=(1, 22),
        fields=(field("triggers"),),
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def everything(store: Store) -> Recorded:
    with store.read() as connection:
        return receipts.recorded(connection)


def test_a_new_store_has_recorded_nothing(store: Store) -> None:
    assert everything(store) == Recorded()


def test_reading_a_store_that_is_not_there_gives_nothing_and_makes_nothing(store_url: str) -> None:
    for _ in range(2):
        with open_store(store_url, now=lambda: NOW, write=False) as opened:
            assert opened.empty
            assert everything(opened) == Recorded()
            with pytest.raises(InternalError, match="for reading only"), opened.begin():
                pass


def test_records_come_back_as_they_went_in_also_after_reopening(store: Store, store_url: str) -> None:
    with store.begin() as connection:
        receipts.put_object(connection, mapping())
        receipts.put_object(connection, group())
        receipts.put_object(connection, group(group_id=None, slug="aaa"))
        in_force.put_in_force(connection, configuration())
        journal.open_intent(connection, intent())
    expected = Recorded(
        objects=(group(group_id=None, slug="aaa"), group(), mapping()),
        in_force=(configuration(),),
        open_intents=(intent(),),
    )
    assert everything(store) == expected
    store.close()
    with open_store(store_url, now=lambda: NOW, write=False) as reopened:
        assert not reopened.empty
        assert everything(reopened) == expected


def test_a_time_of_another_zone_comes_back_as_the_same_moment_in_utc(store: Store) -> None:
    there = NOW.astimezone(timezone(timedelta(hours=-5)))
    with store.begin() as connection:
        receipts.put_object(connection, group(at=there, fields=()))
    (found,) = everything(store).objects
    assert (found.at, found.at.tzinfo) == (NOW, UTC)


def test_a_time_without_a_zone_is_refused(store: Store) -> None:
    with pytest.raises(InternalError, match="without a zone"), store.begin() as connection:
        receipts.put_object(connection, group(at=NOW.replace(tzinfo=None)))


def test_an_object_is_replaced_with_all_of_its_fields(store: Store) -> None:
    later = group(plan_id="plan-2", fields=(field("triggers", plan_id="plan-2"),))
    with store.begin() as connection:
        receipts.put_object(connection, group())
        receipts.put_object(connection, later)
    assert everything(store).objects == (later,)


def test_one_object_or_all_of_a_business_can_be_forgotten(store: Store) -> None:
    with store.begin() as connection:
        receipts.put_objects(connection, [group(), group(group_id=151), mapping(), mapping(group_id=151)])
        assert receipts.delete_object(connection, "group", PARENT, 151) == 1
        assert receipts.delete_object(connection, "mapping", LOCATION) == 2
        assert receipts.delete_object(connection, "mapping", LOCATION) == 0
    assert everything(store).objects == (group(),)


def test_a_forgotten_business_leaves_the_others_its_journal_and_its_history(store: Store) -> None:
    with store.begin() as connection:
        receipts.put_objects(connection, [group(), mapping(), mapping(business=1, slug="other")])
        in_force.put_in_force(connection, configuration())
        journal.open_intent(connection, intent())
        drift.put_seen(connection, [drift.Seen("skin", "group", "triggers", "#00000000", NOW)])
        assert receipts.forget_slug(connection, "skin") == 2
        assert receipts.forget_slug(connection, "skin") == 0
    assert everything(store) == Recorded(objects=(mapping(business=1, slug="other"),), open_intents=(intent(),))
    with store.read() as connection:
        assert drift.seen(connection) == {}
        assert in_force.at_revision(connection, PARENT, 1) == configuration()


def test_a_block_that_raises_leaves_nothing_behind(store: Store) -> None:
    def fail_half_way() -> None:
        with store.begin() as connection:
            receipts.put_object(connection, group())
            journal.open_intent(connection, intent())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_half_way()
    assert everything(store) == Recorded()


def test_a_rename_carries_everything_over(store: Store) -> None:
    seen = drift.Seen("skin", "group", "triggers", "#00000000", NOW)
    with store.begin() as connection:
        receipts.put_objects(connection, [group(), mapping(), mapping(business=1, slug="other")])
        in_force.put_in_force(connection, configuration())
        journal.open_intent(connection, intent())
        drift.put_seen(connection, [seen])
        receipts.rename_slug(connection, "skin", "derma")
        receipts.rename_slug(connection, "derma", "derma")
    assert everything(store) == Recorded(
        objects=(group(slug="derma"), mapping(slug="derma"), mapping(business=1, slug="other")),
        in_force=(configuration(slug="derma"),),
        open_intents=(intent(slug="derma"),),
    )
    with store.read() as connection:
        assert drift.seen(connection) == {("derma", "group", "triggers"): replace(seen, slug="derma")}
        assert in_force.at_revision(connection, PARENT, 1) == configuration(slug="derma")
        assert receipts.objects(connection, "derma") == (group(slug="derma"), mapping(slug="derma"))


def test_every_configuration_stays_readable_and_no_revision_is_used_twice(store: Store) -> None:
    with store.begin() as connection:
        assert in_force.next_revision(connection, PARENT) == 1
        in_force.put_in_force(connection, configuration())
        in_force.put_in_force(connection, configuration(revision=2, document={"second": True}))
        assert in_force.in_force(connection, "skin") == configuration(revision=2, document={"second": True})
        assert in_force.delete_in_force(connection, "skin")
        assert not in_force.delete_in_force(connection, "skin")
    with store.read() as connection:
        assert in_force.in_force(connection, "skin") is None
        assert in_force.at_revision(connection, PARENT, 1) == configuration()
        assert in_force.at_revision(connection, PARENT, 3) is None
        assert in_force.next_revision(connection, PARENT) == 3


def test_a_revision_out_of_turn_is_refused(store: Store) -> None:
    with pytest.raises(InternalError, match="revision 7 was put in force where 1 is due"), store.begin() as connection:
        in_force.put_in_force(connection, configuration(revision=7))


def test_an_intent_is_open_until_its_outcome_is_certain(store: Store) -> None:
    later = NOW + timedelta(seconds=1)
    with store.begin() as connection:
        journal.open_intent(connection, intent())
        journal.close_intent(connection, "intent-1", outcome="unknown", at=NOW, detail="no answer")
    assert everything(store).open_intents == (intent(outcome="unknown", outcome_at=NOW, detail="no answer"),)
    with store.begin() as connection:
        journal.close_intent(connection, "intent-1", outcome="applied", at=later, group_id=150)
    assert everything(store).open_intents == ()
    with store.read() as connection:
        assert journal.intents(connection, plan_id="plan-1") == (
            intent(outcome="applied", outcome_at=later, group_id=150),
        )


@pytest.mark.parametrize("outcome", ["failed", "unknown", "applied"])
def test_a_certain_outcome_is_final(store: Store, outcome: str) -> None:
    with store.begin() as connection:
        journal.open_intent(connection, intent())
        journal.close_intent(connection, "intent-1", outcome="applied", at=NOW)
    with pytest.raises(InternalError, match="intent-1 is not open"), store.begin() as connection:
        journal.close_intent(connection, "intent-1", outcome=outcome, at=NOW)


def test_an_intent_that_was_never_opened_or_an_invented_outcome_is_refused(store: Store) -> None:
    with pytest.raises(InternalError, match="nothing is not open"), store.begin() as connection:
        journal.close_intent(connection, "nothing", outcome="applied", at=NOW)
    with pytest.raises(InternalError, match="outcome 'maybe'"), store.begin() as connection:
        journal.close_intent(connection, "nothing", outcome="maybe", at=NOW)


def test_the_same_intent_cannot_be_opened_twice_and_the_message_holds_none_of_it(store: Store) -> None:
    with store.begin() as connection:
        journal.open_intent(connection, intent(detail="canary-value"))
    with pytest.raises(StoreError, match="refused a statement") as caught, store.begin() as connection:
        journal.open_intent(connection, intent(detail="canary-value"))
    assert "canary" not in str(caught.value) + repr(caught.value) + repr(caught.value.__cause__)
    assert caught.value.__suppress_context__


def test_runs_are_listed_newest_first_with_their_end(store: Store) -> None:
    first = journal.Run(id="r1", operation="apply", who="ci", started_at=NOW, plan_id="p", commit="c")
    second = journal.Run(id="r2", operation="apply", who="ci", started_at=NOW + timedelta(hours=1))
    with store.begin() as connection:
        journal.start_run(connection, first)
        journal.start_run(connection, second)
        journal.finish_run(connection, "r1", at=NOW, exit_code=5, summary={"applied": 2})
    with store.read() as connection:
        assert journal.runs(connection) == (
            second,
            replace(first, finished_at=NOW, exit_code=5, summary={"applied": 2}),
        )
    with pytest.raises(InternalError, match="never started"), store.begin() as connection:
        journal.finish_run(connection, "r9", at=NOW, exit_code=0, summary={})


def test_first_seen_times_are_kept_replaced_and_forgotten_in_bulk(store: Store) -> None:
    many = [drift.Seen("skin", "group", f"properties.p{n}", "#00000000", NOW) for n in range(1_000)]
    with store.begin() as connection:
        drift.put_seen(connection, many)
        drift.put_seen(connection, [replace(many[0], live="#11111111")])
        drift.put_seen(connection, [])
        drift.delete_seen(connection, [it.key for it in many[1:]])
    with store.read() as connection:
        assert drift.seen(connection) == {many[0].key: replace(many[0], live="#11111111")}


def test_weekly_counts_are_replaced_and_read_from_a_week_on(store: Store) -> None:
    with store.begin() as connection:
        counts.put_counts(connection, LOCATION, "2026-W46", {"sent": 1})
        counts.put_counts(connection, LOCATION, "2026-W47", {"sent": 2})
        counts.put_counts(connection, LOCATION, "2026-W47", {"sent": 3, "eligible": 4})
    with store.read() as connection:
        assert counts.counts(connection, since="2026-W47") == {LOCATION: {"2026-W47": {"sent": 3, "eligible": 4}}}
        assert set(counts.counts(connection)[LOCATION]) == {"2026-W46", "2026-W47"}


def test_ten_thousand_businesses_load_in_seconds(store: Store) -> None:
    shared = tuple(field(f"properties.p{n}") for n in range(5))
    with store.begin() as connection:
        for start in range(0, 10_000, 2_000):
            numbers = range(start, start + 2_000)
            receipts.put_objects(
                connection, [group(business=n, slug=f"b{n}", group_id=n, fields=shared) for n in numbers]
            )
            receipts.put_objects(
                connection,
                [mapping(business=n * 10 + k, slug=f"b{n}", fields=shared) for n in numbers for k in range(4)],
            )
    started = time.perf_counter()
    found = everything(store)
    took = time.perf_counter() - started
    assert len(found.objects) == 50_000
    assert took < 2 * 3, f"{took:.2f} s"  # three times the figure: other tests run beside this one


TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
RECEIPTS = st.builds(
    ObjectReceipt,
    kind=st.sampled_from(["group", "mapping"]),
    business=st.integers(1, 10**15),
    slug=TEXT,
    group_id=st.none() | st.integers(0, 2**53),
    at=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # hypothesis adds the zone
    plan_id=TEXT,
    commit=st.none() | TEXT,
    created=st.booleans(),
    was_active=st.booleans(),
    fields=st.lists(
        st.builds(
            FieldReceipt,
            path=TEXT,
            fingerprint=TEXT,
            at=st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
            plan_id=TEXT,
            commit=st.none() | TEXT,
            assumed=st.booleans(),
            follows_group=st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(RECEIPTS, max_size=4, unique_by=lambda it: (it.kind, it.business, it.group_id)))
def test_any_receipts_come_back_as_they_went_in(store: Store, values: list[ObjectReceipt]) -> None:
    with store.begin() as connection:
        for it in everything(store).objects:
            receipts.delete_object(connection, it.kind, it.business)
        receipts.put_objects(connection, values)
    assert set(everything(store).objects) == set(values)
