"""Coverage never rises when something can be seen no more."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.core import drift, drift_emr, drift_find, planner
from reconciler.core.declared import Declared
from reconciler.core.drift import Report
from reconciler.core.live import LiveBusiness, LiveGroup, LiveMapping, Property, SeenMappings, Trigger
from reconciler.core.model import Declaration
from reconciler.core.records import FieldReceipt, ObjectReceipt, Recorded
from reconciler.core.sources import nextech
from reconciler.core.world import World

NOW = datetime(2026, 11, 24, tzinfo=UTC)
REFERENCE = "env:RECONCILER_SECRET_A"
CATALOGUE = (Trigger(24, "nextechFulfilledAppointmentTrigger"), Trigger(31, "appointmentTrigger"))


def fingerprint(key: str, value: str) -> str:
    return hashlib.sha256(f"{key}\0{value}".encode()).hexdigest()[:32]


OPTIONAL: dict[str, Any] = {
    "appointment_types": ("Procedure", "Surgery"),
    "appointment_statuses": ("completed",),
    "custom_appointment_statuses": ("Seen",),
    "customer_fetch_delay_days": 2,
}
LOCATION: dict[str, Any] = OPTIONAL | {
    "location_names": ("North", "South"),
    "practitioner_ids": ("417",),
    "past_months": 6,
    "show_by": "purpose",
}
VALUES = {
    "appointment.types": "Procedure|Surgery",
    "appointment.status": "completed",
    "appointment.custom.status": "Seen",
    "customer.fetch.delay": "2",
    "location.name": "North|South",
    "practitioner.id": "417",
    "past.duration": "6",
    "appointment.preference": "purpose",
    "practice.id": "the id",
}


@st.composite
def declarations(draw: st.DrawFn, number: int) -> Declared:
    parent = 1000 * (number + 1)
    group = {name: OPTIONAL[name] for name in draw(st.sets(st.sampled_from(sorted(OPTIONAL))))}
    locations = []
    for i in range(draw(st.integers(1, 3))):
        own = {name: LOCATION[name] for name in draw(st.sets(st.sampled_from(sorted(LOCATION))))}
        state = draw(st.sampled_from(["active", "active", "inactive", "released"]))
        locations.append({"business": parent + i + 1, "time_zone": "America/New_York", "state": state, **own})
    document: dict[str, Any] = {
        "version": 1,
        "business": parent,
        "source": "nextech",
        "group": {"practice_id": REFERENCE, **group},
        "locations": tuple(locations),
    }
    if draw(st.booleans()):
        document["triggers"] = ("nextechFulfilledAppointmentTrigger",)
    slug = f"practice-{number}"
    return Declared(slug, f"{slug}.yaml", Declaration.model_validate(document))


@st.composite
def properties(draw: st.DrawFn, *, location: bool) -> tuple[Property, ...]:
    found = []
    for spec in nextech.LOCATION_FIELDS if location else nextech.GROUP_FIELDS:
        choice = draw(st.sampled_from(["same", "other", "absent"]))
        if choice != "absent" and spec.key in VALUES:
            value = VALUES[spec.key] if choice == "same" else "7"
            found.append(Property(spec.key, value, spec.secure))
    return tuple(found)


@st.composite
def mappings(draw: st.DrawFn, business: int, group_id: int) -> LiveMapping:
    own = draw(properties(location=True))
    return LiveMapping(business, group_id, draw(st.booleans()), own)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    declared = tuple(draw(declarations(number)) for number in range(draw(st.integers(1, 3))))
    live: dict[int, LiveBusiness] = {}
    receipts: list[ObjectReceipt] = []
    for number, one in enumerate(declared):
        it = one.declaration
        group_id = 150 + number
        there = draw(st.booleans()) or draw(st.booleans())
        listed = draw(st.booleans())
        places = [draw(mappings(lo.business, group_id)) for lo in it.locations if draw(st.booleans())]
        group = LiveGroup(
            group_id,
            22,
            draw(st.sampled_from([(24,), (24, 31), ()])),
            draw(properties(location=False)),
            tuple(places) if listed else None,
        )
        own: dict[int, SeenMappings] = {}
        if not listed and there:
            for lo in it.locations:
                mine = tuple(place for place in places if place.business == lo.business)
                own[lo.business] = SeenMappings("shown", mine)
        live[it.business] = LiveBusiness(it.business, (group,) if there else (), mappings=own)
        for kind, business in [("group", it.business), *(("mapping", lo.business) for lo in it.locations)]:
            if draw(st.booleans()):
                sent = draw(st.sampled_from(["same", "other"]))
                fields = tuple(
                    FieldReceipt(f"properties.{key}", fingerprint(key, value if sent == "same" else "9"), NOW, "p")
                    for key, value in VALUES.items()
                )
                receipts.append(
                    ObjectReceipt(kind, business, one.slug, group_id, NOW, "p", fields=fields)  # type: ignore[arg-type]
                )
    return World(
        declared=declared,
        recorded=Recorded(objects=tuple(receipts)),
        live=live,
        catalogue=CATALOGUE,
        secrets={REFERENCE: fingerprint("practice.id", "the id")},
        fingerprint=fingerprint,
        now=NOW,
        birdeye_url="https://example.com",
        declarations_digest="",
    )


def report(world: World, emr: frozenset[str] | str | None) -> Report:
    planned = planner.plan_businesses(world)
    found = drift_find.find(world, planned)
    wanted = tuple(drift_emr.mapped(world, planned, {}))
    listed: dict[drift_emr.Ask, frozenset[str] | str] = {} if emr is None else {it.ask: emr for it in wanted}
    return Report(tuple(drift.merge(found, drift_emr.find(world, wanted, listed))))


def hidden(draw: Callable[..., Any], it: LiveBusiness) -> LiveBusiness:
    """The same business with one thing less to be seen."""
    what = draw(
        st.sampled_from(
            ["all", "triggers", "properties", "list", "own", "own fails", "flags", "own properties", "masked"]
        )
    )
    if what == "all":
        return LiveBusiness(it.business, error="503")

    def mapping(one: LiveMapping) -> LiveMapping:
        if what == "flags":
            return replace(one, active=None)
        if what == "own properties":
            return replace(one, properties=None)
        if what == "masked":
            return replace(one, properties=masked(one.properties))
        return one

    def masked(properties: tuple[Property, ...] | None) -> tuple[Property, ...] | None:
        return (
            tuple(replace(prop, value="********") if prop.secure else prop for prop in properties or ())
            if properties is not None
            else None
        )

    groups = []
    for group in it.groups:
        if what == "triggers":
            group = replace(group, triggers=None)
        elif what == "properties":
            group = replace(group, properties=None)
        elif what == "list":
            group = replace(group, mappings=None)
        elif what == "masked":
            group = replace(group, properties=masked(group.properties))
        if group.mappings is not None:
            group = replace(group, mappings=tuple(mapping(one) for one in group.mappings))
        groups.append(group)
    own = {
        business: replace(seen, mappings=tuple(mapping(one) for one in seen.mappings))
        for business, seen in it.mappings.items()
    }
    fails = any(seen.sight == "unreadable" for seen in own.values())
    if what == "own" and not fails:  # from an error to an endpoint that does not exist is not less
        own = {}
    elif what == "own fails":
        own = dict.fromkeys(own, SeenMappings("unreadable", error="503"))
    return LiveBusiness(it.business, tuple(groups), it.error, it.not_found, own)


@settings(max_examples=120)
@given(st.data())
def test_coverage_never_rises_when_less_can_be_seen(data: st.DataObject) -> None:
    world = data.draw(worlds())
    emr: frozenset[str] | str | None = data.draw(st.sampled_from([None, frozenset({"North", "417"})]))
    before = report(world, emr).totals
    for _ in range(data.draw(st.integers(1, 3))):
        business = data.draw(st.sampled_from(sorted(world.live)))
        world = replace(world, live={**world.live, business: hidden(data.draw, world.live[business])})
        if emr is not None and data.draw(st.booleans()):
            emr = "503"
        after = report(world, emr).totals
        assert after.coverage <= before.coverage
        assert after.checked_fields <= before.checked_fields
        everything = [it.checked_fields + it.unverified_fields + it.unreadable_fields for it in (before, after)]
        assert everything[0] == everything[1]
        assert after.unverified_fields >= 0
        assert after.checked_fields >= 0
        assert after.unreadable_fields >= 0
        before = after


@settings(max_examples=100)
@given(st.data())
def test_what_the_api_does_not_answer_for_is_unreadable_and_exits_seven(data: st.DataObject) -> None:
    world = data.draw(worlds())
    business = data.draw(st.sampled_from(sorted(world.live)))
    before = report(world, None)
    world = replace(world, live={**world.live, business: LiveBusiness(business, error="503")})
    after = report(world, None)
    assert after.exit_code == 7
    mine = next(one for one in before.businesses if one.business == business)
    if mine.checked_fields:
        assert after.totals.checked_fields < before.totals.checked_fields
