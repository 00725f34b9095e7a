"""Every wire field, under every setting of every dialect, in every combination of declared, recorded and live.

The expected class is worked out here from the table of the design, without any code of the reconciler: by what the
dialect shows, what the receipt says and what is live.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import yaml

from reconciler.core import compare, values
from reconciler.core.records import FieldReceipt, ObjectReceipt
from reconciler.sandbox.dialects import Dialect, dialect
from reconciler.sandbox.options import SandboxOptions
from reconciler.sandbox.practices import Account
from reconciler.sandbox.records import Group, Mapping, Property
from reconciler.sandbox.server import Server, serve
from reconciler.store import receipts as receipt_rows
from reconciler.store.crypto import Fingerprints
from reconciler.store.database import open_store
from tests.drifting import Drifter
from tests.reconciling import KEY, Reconciler

AT = datetime(2026, 11, 20, tzinfo=UTC)
D, X, Y, ABSENT, NONE, NO_MAPPING, NO_GROUP = "declared", "x", "y", "absent", "none", "no mapping", "no group"
SITUATIONS = tuple(itertools.product((NONE, D, X), (D, X, Y, ABSENT, NO_MAPPING, NO_GROUP)))
"""What the receipts say, what is live."""

GROUP = {
    "appointment.types": ("appointment_types", "Surgery|Procedure", "Procedure", "Botox"),
    "appointment.status": ("appointment_statuses", "completed,arrived", "completed", "booked"),
    "appointment.custom.status": ("custom_appointment_statuses", "Seen,Checked Out", "Seen", "Left"),
    "customer.fetch.delay": ("customer_fetch_delay_days", "2", "3", "4"),
}
LOCATION = GROUP | {
    "location.name": ("location_names", "NAMES", "Elsewhere", "Nowhere"),
    "practitioner.id": ("practitioner_ids", "IDS", "41799", "70499"),
    "past.duration": ("past_months", "6", "3", "4"),
    "future.duration": ("future_months", "6", "3", "4"),
    "appointment.preference": ("show_by", "purpose", "type", "other"),
}
TRIGGERS = {D: (24, 31), X: (24,), Y: (38,), ABSENT: ()}
SERVICES = {24: "nextechFulfilledAppointmentTrigger", 31: "appointmentTrigger", 38: "nextechAppointmentUpsertTrigger"}
OTHER_IDS = {X: "00000000-0000-4000-8000-00000000000a", Y: "00000000-0000-4000-8000-00000000000b"}
SEPARATORS = {"location.name": "|", "practitioner.id": "|", "appointment.types": "|"}


Setting = tuple[str, tuple[str, ...]]
"""Base dialect, and what is set on top of it."""
SHOWS = ("secure_values", "group_properties", "group_mappings", "mapping_endpoint", "mapping_properties", "no_groups")
"""The options that decide what a read shows."""


def settings() -> list[Setting]:
    """Each value of each of the options that is not the base's own, and each base as it is."""
    hints = get_type_hints(Dialect)
    found: list[Setting] = []
    for base in ("rich", "documented"):
        found.append((base, ()))
        for field in fields(Dialect):
            hint = hints[field.name]
            choices: tuple[Any, ...] = get_args(hint) or ((True, False) if hint is bool else (0.0, 5.0))
            texts = [str(it).lower() if isinstance(it, bool) else str(it) for it in choices]
            plain = dialect(base)
            found += [(base, (one,)) for text in texts if plain.set(one := f"{field.name}={text}") != plain]
    return found


def combinations() -> list[Setting]:
    """Everything that a read may show or not, in every combination."""
    bools = ("true", "false")
    return [
        (
            "rich",
            (
                f"secure_values={secure}",
                f"group_properties={in_group}",
                f"group_mappings={listed}",
                f"mapping_endpoint={endpoint}",
                f"mapping_properties={in_mapping}",
            ),
        )
        for secure, in_group, listed, endpoint, in_mapping in itertools.product(
            ("plain", "masked", "omitted"), bools, bools, ("on", "404"), bools
        )
    ]


def test_every_option_of_a_dialect_is_among_the_settings() -> None:
    names = {one.partition("=")[0] for _, chosen in settings() for one in chosen}
    assert names == {field.name for field in fields(Dialect)}


@dataclass(frozen=True)
class Case:
    """One business in one situation."""

    account: Account
    names: str
    ids: str
    recorded: str
    live: str

    def wire(self, key: str, which: str, *, location: bool) -> str:
        if key == "practice.id":
            return self.account.sites[0].practice_id if which == D else OTHER_IDS[which]
        _, *three = (LOCATION if location else GROUP)[key]
        text = three[(D, X, Y).index(which)]
        return {"NAMES": self.names, "IDS": self.ids}.get(text, text)

    def properties(self, which: str, *, location: bool, sort: bool) -> tuple[Property, ...]:
        if which == ABSENT:
            return ()
        found = [Property("practice.id", self.wire("practice.id", which, location=location), secure=True)]
        for key in LOCATION if location else GROUP:
            value = self.wire(key, which, location=location)
            if sort:
                separator = SEPARATORS.get(key, ",")
                value = separator.join(sorted(value.split(separator)))
            found.append(Property(key, value))
        return tuple(found)

    def yaml(self) -> str:
        def part(keys: dict[str, Any], *, location: bool) -> dict[str, Any]:
            found: dict[str, Any] = {"practice_id": f"env:RECONCILER_SECRET_{self.account.business}"}
            for key, (name, *_) in keys.items():
                text = self.wire(key, D, location=location)
                separator = SEPARATORS.get(key, "," if "status" in key else "")
                found[name] = text.split(separator) if separator else int(text) if text.isdigit() else text
            return found

        return yaml.safe_dump(
            {
                "version": 1,
                "business": self.account.business,
                "source": "nextech",
                "triggers": [SERVICES[it] for it in TRIGGERS[D]],
                "group": part(GROUP, location=False),
                "locations": [
                    {
                        "business": self.account.sites[0].business,
                        "time_zone": "America/New_York",
                        **part(LOCATION, location=True),
                    }
                ],
            }
        )


def expected(case: Case, spoken: Dialect) -> tuple[dict[tuple[str, str], str], int]:
    """Class by (object, path), same ones left out, and how many declared fields an answer showed."""
    mapping_of = f"mapping:{case.account.sites[0].business}"
    paths = [("group", "triggers"), ("group", "properties.practice.id")]
    paths += [("group", f"properties.{key}") for key in GROUP]
    paths += [(mapping_of, "active"), (mapping_of, "properties.practice.id")]
    paths += [(mapping_of, f"properties.{key}") for key in LOCATION]
    recorded, live = case.recorded, case.live
    group_is_live, mapping_is_live = live != NO_GROUP, live not in (NO_GROUP, NO_MAPPING)
    has_receipt = recorded != NONE
    late = spoken.read_lag_seconds > 0  # reads show how it was before anything was there
    if late:
        group_is_live = mapping_is_live = False
    listed = spoken.group_mappings and group_is_live
    visible = listed or spoken.mapping_endpoint == "on"
    if not group_is_live and has_receipt:
        if spoken.no_groups == "404":
            return dict.fromkeys(paths, "unreadable"), 0
        gone = {path: "unverified" for path in paths if path[0] != "group"}
        return {("group", "exists"): "missing"} | gone, 6
    found: dict[tuple[str, str], str] = {}
    shown_count = 0
    for path in paths:
        object_, name = path
        in_group = object_ == "group"
        if in_group and not group_is_live:
            found[path] = "not_applied_yet"
            shown_count += 1
            continue
        if not in_group and visible and not mapping_is_live:
            shown_count += 1
            if has_receipt:
                found[mapping_of, "exists"] = "missing"
            else:
                found[path] = "not_applied_yet"
            continue
        if not in_group and not visible and not has_receipt:
            found[path] = "not_applied_yet"
            continue
        secure = name == "properties.practice.id"
        if name in ("triggers", "active"):
            shown = in_group or visible
        else:
            shown = spoken.group_properties if in_group else visible and spoken.mapping_properties
            shown = shown and (not secure or (spoken.secure_values == "plain" and live != ABSENT))
        now = D if in_group and live == NO_MAPPING else live
        if name == "active" and now != D:
            now = X  # there are only two
        shown_count += shown
        if not shown:
            found[path] = "not_applied_yet" if recorded == X else "unverified"
        elif now != D:
            if recorded == NONE:
                found[path] = "not_applied_yet"
            elif recorded == D:
                found[path] = "changed_outside"
            else:
                # an absent key stands for its default, which here only show_by's x is
                is_recorded = now == X or (name == "properties.appointment.preference" and now == ABSENT)
                found[path] = "not_applied_yet" if is_recorded else "conflict"
    return found, shown_count


def populate(server: Server, it: Reconciler, spoken: Dialect) -> list[Case]:
    """The folder, the live state and the receipts of every situation, one business each."""
    world = server.app.world
    prints = Fingerprints(KEY)
    cases: list[Case] = []
    receipts: list[ObjectReceipt] = []
    accounts = [one for one in world.accounts.values() if one.slug.startswith("generated-")]
    with world.lock:
        for (recorded, live), account in zip(SITUATIONS, accounts, strict=True):
            practice = world.practices[account.sites[0].practice_id]
            case = Case(
                account,
                "|".join(place.name for place in reversed(practice.locations)),
                "|".join(place.id for place in reversed(practice.practitioners)),
                recorded,
                live,
            )
            cases.append(case)
            business = account.sites[0].business
            state = live if live in (D, X, Y, ABSENT) else D
            made = world.add_group(
                Group(
                    0,
                    account.business,
                    22,
                    tuple((number, 1) for number in TRIGGERS[state]),
                    case.properties(state, location=False, sort=spoken.sorts_items),
                )
            )
            own = case.properties(state, location=True, sort=spoken.sorts_items)
            world.put_mapping(Mapping(business, made.group_id, state == D, own))
            if live == NO_GROUP:
                world.delete_group(made.group_id)
            elif live == NO_MAPPING:
                world.delete_mapping(business, made.group_id)
            if recorded != NONE:
                receipts += receipts_of(case, made.group_id, prints)
            (it.folder / f"{account.slug}.yaml").write_text(case.yaml())
            it.secrets[f"RECONCILER_SECRET_{account.business}"] = account.sites[0].practice_id
        world.commit()
    with open_store(it.store_url, now=it.now, write=True) as store, store.begin() as connection:
        receipt_rows.put_objects(connection, receipts)
    return cases


def receipts_of(case: Case, group_id: int, prints: Fingerprints) -> list[ObjectReceipt]:
    found: list[ObjectReceipt] = []
    for location in (False, True):
        which = case.recorded
        sent = {
            "practice.id": values.secret(prints.full("practice.id", case.wire("practice.id", which, location=location)))
        }
        for key in LOCATION if location else GROUP:
            sent[key] = values.plain(key, case.wire(key, which, location=location))
        fields_ = [
            FieldReceipt(f"properties.{key}", values.fingerprint_of(key, value, prints.full), AT, "p")
            for key, value in sent.items()
        ]
        if location:
            active = "true" if which == D else "false"
            fields_.append(FieldReceipt("active", prints.full("active", active), AT, "p"))
        else:
            triggers = compare.trigger_value(TRIGGERS[which])
            fields_.append(FieldReceipt("triggers", prints.full("triggers", triggers.canon), AT, "p"))
        found.append(
            ObjectReceipt(
                "mapping" if location else "group",
                case.account.sites[0].business if location else case.account.business,
                case.account.slug,
                group_id,
                AT,
                "p",
                created=True,
                fields=tuple(fields_),
            )
        )
    return found


def judge(tmp_path: Path, base: str, chosen: tuple[str, ...]) -> int:
    """Compare every cell of one dialect; how many there were."""
    spoken = dialect(base).set(*chosen)
    options = SandboxOptions(dialect=base, settings=chosen, practices=len(SITUATIONS))
    folder = tmp_path / "integrations"
    folder.mkdir(parents=True)
    cells = 0
    with serve(options) as server:
        it = Reconciler(server.url, folder, f"sqlite:///{tmp_path}/store.db", secrets={})
        cases = populate(server, it, spoken)
        report = Drifter(it).run(confirm_after=0)
        by_slug = {one.slug: one for one in report.businesses}
        for case in cases:
            one = by_slug[case.account.slug]
            want, shown = expected(case, spoken)
            found = {(field.object, field.path): field.kind for field in one.findings if field.kind != "unmanaged"}
            assert found == want, (base, chosen, case.recorded, case.live)
            assert one.checked_fields == shown, (base, chosen, case.recorded, case.live)
            assert one.declared_fields == 17
            cells += one.declared_fields
    return cells


def judge_all(tmp_path: Path, chosen: list[Setting]) -> None:
    cells = sum(judge(tmp_path / str(i), *one) for i, one in enumerate(chosen))
    assert cells == len(chosen) * len(SITUATIONS) * 17


def decides_what_is_shown(chosen: Setting) -> bool:
    return not chosen[1] or chosen[1][0].partition("=")[0] in SHOWS


@pytest.mark.parametrize("part", range(2))
def test_the_class_of_every_field_is_right_whatever_the_api_shows(tmp_path: Path, part: int) -> None:
    judge_all(tmp_path, [one for one in settings() if decides_what_is_shown(one)][part::2])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_the_class_of_every_field_is_right_in_every_dialect(tmp_path: Path, part: int) -> None:
    judge_all(tmp_path, [one for one in settings() if not decides_what_is_shown(one)][part::6])


@pytest.mark.slow
@pytest.mark.parametrize("part", range(6))
def test_the_class_of_every_field_is_right_in_every_combination_of_what_is_shown(tmp_path: Path, part: int) -> None:
    judge_all(tmp_path, combinations()[part::6])
