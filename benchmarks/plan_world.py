"""Businesses with five locations each: declarations, what a rich server answers, and the records of an apply."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path

from reconciler import declarations
from reconciler.core import planner
from reconciler.core.live import LiveBusiness, LiveGroup, LiveMapping, Property, Trigger
from reconciler.core.records import FieldReceipt, InForce, ObjectReceipt, Recorded
from reconciler.core.values import fingerprint_of
from reconciler.core.world import World
from reconciler.store import in_force, keys, receipts
from reconciler.store.crypto import Fingerprints
from reconciler.store.database import open_store

FIRST = 200000000000000
LOCATIONS = 5
KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"
TRIGGER = "nextechFulfilledAppointmentTrigger"


def declaration(index: int, *, types: str = "[Procedure, Surgery]") -> str:
    """One file of 26 lines or so."""
    business = FIRST + index * 10
    locations = "".join(
        f"""  - business: {business + place + 1}
    name: Location {place}
    time_zone: America/New_York
    location_names: [Office {place}]
"""
        for place in range(LOCATIONS)
    )
    return f"""version: 1
business: {business}
name: Practice {index}
source: nextech
triggers: [{TRIGGER}]
group:
  practice_id: file:practices.json#p{index}.practice_id
  appointment_types: {types}
  appointment_statuses: [fulfilled]
  custom_appointment_statuses: [Checked Out]
locations:
{locations}"""


def write_declarations(folder: Path, count: int) -> None:
    """``count`` files."""
    (folder / "integrations").mkdir(parents=True)
    for index in range(count):
        (folder / "integrations" / f"practice-{index:05}.yaml").write_text(declaration(index))
    secrets = {f"p{index}": {"practice_id": practice_id(index)} for index in range(count)}
    (folder / "practices.json").write_text(json.dumps(secrets))


def practice_id(index: int) -> str:
    """Made up."""
    return f"00000000-0000-4000-8000-{index:012}"


def change_one_in(folder: Path, count: int, step: int) -> None:
    """Narrow the appointment types of every ``step``-th business."""
    for index in range(0, count, step):
        path = folder / "integrations" / f"practice-{index:05}.yaml"
        path.write_text(declaration(index, types="[Procedure]"))


def answers(count: int) -> dict[str, bytes]:
    """Path -> body, as a rich server answers: groups with properties and mappings, secure values masked."""
    found: dict[str, bytes] = {}
    catalogue = [
        {
            "id": 24,
            "integrationSourceId": 22,
            "triggerService": TRIGGER,
            "displayName": "Nextech Fulfilled Appointment Trigger",
            "active": True,
            "integrationSourceName": "Nextech",
            "integrationTriggerType": [{"id": 1, "name": "JOB"}],
        }
    ]
    found["/integration/trigger/integrationtriggers/sourceid/22"] = json.dumps(catalogue).encode()
    for index in range(count):
        business = FIRST + index * 10
        group = 1000 + index
        document = [
            {
                "groupId": group,
                "integrationSourceType": {"id": 22, "integrationSource": "NEXTECH", "sourceCategory": "Healthcare"},
                "integrationGroupTriggers": [{"triggerId": 24, "triggerTypeId": 1}],
                "integrationGroupProperties": [
                    {"propertyKey": "practice.id", "propertyValue": "********", "isSecure": True},
                    {"propertyKey": "appointment.types", "propertyValue": "Surgery|Procedure"},
                    {"propertyKey": "appointment.status", "propertyValue": "fulfilled"},
                    {"propertyKey": "appointment.custom.status", "propertyValue": "Checked Out"},
                ],
                "businessIntegrationMappings": [
                    {
                        "businessNumber": business + place + 1,
                        "integrationGroupId": group,
                        "active": True,
                        "integrationProperties": [{"propertyKey": "location.name", "propertyValue": f"Office {place}"}],
                    }
                    for place in range(LOCATIONS)
                ],
            }
        ]
        found[f"/integration/businessintegrationgroup/{business}"] = json.dumps(document).encode()
    return found


def live(count: int) -> dict[int, LiveBusiness]:
    """The same, as the client reads it."""
    found: dict[int, LiveBusiness] = {}
    for index in range(count):
        business, group = FIRST + index * 10, 1000 + index
        properties = (
            Property("practice.id", "********", secure=True),
            Property("appointment.types", "Surgery|Procedure"),
            Property("appointment.status", "fulfilled"),
            Property("appointment.custom.status", "Checked Out"),
        )
        mappings = tuple(
            LiveMapping(business + place + 1, group, True, (Property("location.name", f"Office {place}"),))
            for place in range(LOCATIONS)
        )
        found[business] = LiveBusiness(business, (LiveGroup(group, 22, (24,), properties, mappings),))
    return found


def record_an_apply(folder: Path, count: int) -> None:
    """The receipts and configurations in force that an apply of the declarations would have left in the store."""
    now = datetime.now(UTC)
    loaded = declarations.load(folder / "integrations", shown_from=folder, today=now.date())
    with open_store(f"sqlite:///{folder}/.reconciler/store.db", now=lambda: datetime.now(UTC), write=True) as store:
        given = keys.parse_key(KEY, named="the benchmark's key")
        fingerprint = Fingerprints(keys.inner_key(store, "receipt", given)).full
        secrets = {
            f"file:practices.json#p{index}.practice_id": fingerprint("practice.id", practice_id(index))
            for index in range(count)
        }
        world = World(
            loaded.declared,
            Recorded(),
            live(count),
            (Trigger(24, TRIGGER),),
            secrets,
            fingerprint,
            now,
            "http://127.0.0.1",
            loaded.digest,
        )
        objects: list[ObjectReceipt] = []
        documents: list[InForce] = []
        for one in planner.plan_businesses(world):
            group = one.choice.group
            if group is None or one.candidate is None:
                raise RuntimeError(f"the benchmark's business {one.slug} was not planned")
            parts = [("group", one.business, one.group_rows)]
            parts += [("mapping", it.want.business, it.rows) for it in one.locations]
            for kind, business, rows in parts:
                fields = tuple(
                    FieldReceipt(row.path, fingerprint_of(row.key, row.after, fingerprint), now, "bench")
                    for row in rows
                    if row.after is not None
                )
                objects.append(
                    ObjectReceipt(
                        kind,  # type: ignore[arg-type]
                        business,
                        one.slug,
                        group.group_id,
                        now,
                        "bench",
                        created=True,
                        was_active=kind == "mapping",
                        fields=fields,
                    )
                )
            documents.append(
                InForce(one.slug, one.business, 1, now, "bench", None, {**one.candidate, "group_created": True})
            )
        with store.begin() as connection:
            receipts.put_objects(connection, objects)
            for it in documents:
                in_force.put_in_force(connection, it)


if __name__ == "__main__":
    write_declarations(Path(sys.argv[1]), int(sys.argv[2]))
    record_an_apply(Path(sys.argv[1]), int(sys.argv[2]))
