"""Mutated Bundles through everything that reads Nextech: client, paging, models, decisions, contacts.

Whatever is damaged: no unexpected exception; of a page whose frame is sound each resource is read or quarantined, and
its neighbours are read as if nothing had happened; a page whose frame is damaged is a failed read, never a short one.
"""

from __future__ import annotations

import copy
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

import pytest

from reconciler import errors
from reconciler.clients.nextech import NextechClient
from reconciler.clients.reply import Reply
from reconciler.core import decide, fhir, fhir_patient
from reconciler.core.contact_channels import OptOuts
from reconciler.core.decide_rules import LocationRules
from reconciler.core.fhir_models import Appointment, Location, Patient, Practitioner, Quarantined
from reconciler.core.phi import Phi
from reconciler.core.sources import nextech

SAMPLE, ALL = 1_000, 100_000
SIZE = 5
KEEP = frozenset((*nextech.CAMPAIGN_TAGS, *nextech.SENSITIVE_CAMPAIGN_TAGS))
S = "https://select.nextech-api.com/api/structuredefinition/"
BASE = "https://select.example.com/api"
NOW = datetime(2026, 11, 24, 15, tzinfo=UTC)
RULES = LocationRules(
    "example", 1, 1, 1, "America/New_York", campaign_tags=tuple(KEEP), minimum_age=18, excluded_patient_types=("VIP",)
)
MOMENTS = decide.Moments(NOW, date(2026, 11, 1))
DEEP: Any = []
for _ in range(60):
    DEEP = [DEEP]
JUNK: tuple[Any, ...] = (
    None,
    "",
    " ",
    "\x00",
    "\u202e\x1b[31m",
    "x" * 30_000,
    "2026-02-30T25:61:61-99:99",
    "2026-11-20T14:30:00",
    "0000-00-00",
    "9999-12-31T23:59:59-14:00",
    "Patient/",
    "#",
    "//",
    "[object Object]",
    "true",
    True,
    False,
    0,
    -1,
    2**63,
    10**40,
    1.5,
    -0.0,
    1e308,
    [],
    {},
    [None],
    [[]],
    ["a", "b"],
    [{"a": 1}, 2, None],
    {"value": None},
    {"reference": {}},
    {"extension": "x"},
    {"url": 5, "valueString": []},
    DEEP,
)


def appointment(number: int) -> dict[str, Any]:
    guid = f"6e0b7b1c-52d4-4c0a-9f3e-{number:012d}"
    return {
        "resourceType": "Appointment",
        "id": str(1000 + number),
        "meta": {"lastUpdated": "2026-11-23T20:41:07.35+00:00"},
        "contained": [{"resourceType": "Location", "id": "3", "name": "Downtown"}],
        "extension": [
            {
                "url": S + "appointment-status",
                "valueReference": {"reference": "appointment-status/2", "display": "Out"},
            },
            {"url": S + "appointment-type", "valueReference": {"reference": "appointment-type/14", "display": "Laser"}},
            {"url": S + "appointment-purpose", "valueReference": {"display": "Skin"}},
        ],
        "identifier": [{"use": "official", "value": str(1000 + number)}],
        "status": "fulfilled",
        "description": "a description",
        "start": f"2026-11-23T{9 + number % 8:02d}:30:00-05:00",
        "end": f"2026-11-23T{9 + number % 8:02d}:45:00-05:00",
        "comment": "a comment",
        "participant": [
            {"actor": {"reference": f"Patient/{guid}", "display": "Marsh, Dana"}},
            {"actor": {"reference": "Location/3", "display": "Downtown"}},
            {"actor": {"reference": "practitioner/417", "display": "Okafor, Lena"}},
        ],
    }


def patient(number: int) -> dict[str, Any]:
    guid = f"6e0b7b1c-52d4-4c0a-9f3e-{number:012d}"
    return {
        "resourceType": "Patient",
        "id": guid,
        "meta": {"lastUpdated": "2026-11-20T20:40:58.113+00:00"},
        "extension": [
            {"url": "http://hl7.org/fhir/v3/Ethnicity", "valueCodeableConcept": {"text": "Some ethnicity"}},
            {"url": S + "primary-care-physician", "valueReference": {"display": "Pruitt, Elle"}},
            {"url": S + "patient-status", "valueString": "Patient"},
            {"url": S + "exclude-from-mailings", "valueBoolean": False},
            {"url": S + "patient-type", "valueReference": {"display": "Insurance Patient"}},
        ],
        "identifier": [
            {"use": "official", "value": guid},
            {"system": "http://hl7.org/fhir/sid/us-ssn", "value": "000-00-1234"},
        ],
        "name": [{"use": "official", "family": "Marsh", "given": ["Dana", "R"]}],
        "telecom": [
            {"system": "email", "value": f"dana{number}@example.com"},
            {"system": "phone", "value": "(941) 555-0142", "use": "mobile", "rank": "1"},
            {"system": "sms", "extension": [{"url": S + "method-privacy", "valueBoolean": False}]},
        ],
        "birthDate": "1979-06-14",
        "address": [{"use": "home", "city": "Sarasota", "state": "FL"}],
        "generalPractitioner": {"reference": "practitioner/9107", "display": "Okafor, Lena"},
    }


def location(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Location",
        "id": str(500 + number),
        "extension": [{"url": S + "managed", "valueBoolean": True}],
        "identifier": [{"use": "official", "value": str(500 + number)}],
        "name": f"Place {number}",
        "status": "active",
    }


def practitioner(number: int) -> dict[str, Any]:
    return {
        "resourceType": "Practitioner",
        "identifier": [{"use": "official", "value": str(500 + number)}],
        "active": True,
        "name": [{"use": "official", "family": "Okafor", "given": ["Lena"]}],
    }


@dataclass(frozen=True)
class Kind:
    """One endpoint: how a resource is made, asked for and read."""

    name: str
    make: Callable[[int], dict[str, Any]]
    ask: Callable[[NextechClient], Any]
    read: Callable[[Any], Any]
    value: type


KINDS = (
    Kind(
        "Appointment",
        appointment,
        lambda it: it.appointments("p", start=date(2026, 11, 23), end=date(2026, 11, 24)),
        lambda it: fhir.appointment(it, keep=KEEP),
        Appointment,
    ),
    Kind(
        "Patient",
        patient,
        lambda it: it.patients("p", ["a"]),
        lambda it: fhir_patient.patient(it, keep=KEEP),
        Patient,
    ),
    Kind("Location", location, lambda it: it.locations("p"), fhir.location, Location),
    Kind("Practitioner", practitioner, lambda it: it.practitioners("p"), fhir.practitioner, Practitioner),
)
WEIGHTS = (5, 5, 1, 1)
GOOD = {it.name: tuple(it.read(it.make(number)) for number in range(SIZE)) for it in KINDS}


class Wire:
    """A transport that gives the same bytes to every request, and a token source that has one token."""

    product = "Nextech Select"
    header = value = "token"

    def __init__(self) -> None:
        self.body = b""
        self.asked = 0

    def send(self, method: str, path: str, **given: Any) -> Reply:
        self.asked += 1
        return Reply(200, {}, self.body, method, path)

    def current(self) -> Wire:
        return self


def bundle(kind: Kind) -> dict[str, Any]:
    entries = [{"fullUrl": f"{BASE}/{kind.name}/{number}", "resource": kind.make(number)} for number in range(SIZE)]
    return {
        "resourceType": "Bundle",
        "type": "searchset",
        "total": SIZE,
        "link": [{"relation": "self", "url": f"{BASE}/{kind.name}?_count=50"}],
        "entry": entries,
    }


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place inside a value."""
    found: list[tuple[Any, ...]] = [path] if path else []
    inner: Any = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        found += places(one, (*path, key))
    return found


def damage(rng: random.Random, root: Any, *, deepest: int = 99) -> None:
    """Change one place of ``root``: another value, away, twice, under another name, in a list, swapped with another."""
    where = rng.choice([it for it in places(root) if len(it) <= deepest])
    holder = root
    for key in where[:-1]:
        holder = holder[key]
    key = where[-1]
    how = rng.randrange(8)
    if how < 4:
        holder[key] = copy.deepcopy(rng.choice(JUNK))
    elif how == 4:
        del holder[key]
    elif how == 5:
        holder[key] = [holder[key], copy.deepcopy(holder[key])]
    elif how == 6 and isinstance(holder, dict) and isinstance(key, str):
        holder[key.swapcase()] = holder.pop(key)
    elif isinstance(holder, dict):
        other = rng.choice(list(holder))
        holder[key], holder[other] = holder[other], holder[key]
    else:
        rng.shuffle(holder)


def one_resource(rng: random.Random, document: dict[str, Any]) -> int:
    """Damage inside one resource, which keeps the rest of the page out of it; its number."""
    victim = rng.randrange(SIZE)
    entry = document["entry"][victim]
    if rng.random() < 0.05:
        entry["resource"] = copy.deepcopy(rng.choice(JUNK))
        return victim
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        if isinstance(entry["resource"], dict) and entry["resource"]:
            damage(rng, entry["resource"])
    return victim


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def scratched(rng: random.Random, body: bytes) -> bytes:
    """Bytes lost, changed or put in."""
    made = bytearray(body)
    how = rng.randrange(4)
    at = rng.randrange(len(made))
    if how == 0:
        return bytes(made[:at])
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(made))
        if how == 1:
            made[at] = rng.randrange(256)
        elif how == 2:
            made[at:at] = rng.choice(
                (b"\x00", b"\xff\xfe", b'"', b"{", b"]", b"<html>", b"\\ud800", b"1" * 5000, b"NaN")
            )
        else:
            del made[at : at + rng.randrange(1, 40)]
    return bytes(made)


def read(wire: Wire, kind: Kind, body: bytes) -> list[Any] | None:
    """Everything that came, read; None where the read failed as a read may."""
    wire.body, wire.asked = body, 0
    client = NextechClient(cast(Any, wire), cast(Any, wire), base_url=BASE, now=time.monotonic)
    try:
        found = [kind.read(one) for page in kind.ask(client) for one in page.resources]
    except errors.RemoteError as error:
        return None if "Dana" not in error.message else [error]
    finally:
        assert wire.asked <= 12, "there is no end"
    for one in found:
        assert isinstance(one, (kind.value, Quarantined))
        if isinstance(one, Quarantined):
            assert one.reason
            assert one.resource_type
    return found


def judge(found: list[Any], patients: Mapping[Phi[str], Patient | Quarantined]) -> None:
    """Every visit that was read gets exactly one outcome, and a contact is one that can be sent."""
    decided = decide.decide_all(
        found, RULES, MOMENTS, patients=patients, external_id=lambda it: "pseudonym", opt_outs=OptOuts()
    )
    with_id = {it.id for it in found if it.id is not None}
    assert len(decided) == len(with_id) + sum(it.id is None for it in found)
    for it in decided:
        assert it.decision.outcome in ("send", "skipped", "restricted", "quarantined")
        if it.contact is not None:
            body = it.contact.body().reveal()
            json.dumps(body, ensure_ascii=False).encode()
            assert body.get("emailId") or body.get("phone")


PATIENTS = {it.id: it for it in GOOD["Patient"]}


def mutant(seed: int, wire: Wire) -> str:
    """Make, read and judge one; what was done to it, and what came of it."""
    rng = random.Random(seed)
    kind = rng.choices(KINDS, WEIGHTS)[0]
    document = bundle(kind)
    good = GOOD[kind.name]
    how = rng.choices(("resource", "frame", "bytes"), (6, 2, 2))[0]
    if how == "resource":
        victim = one_resource(rng, document)
        found = read(wire, kind, encoded(document))
        assert found is not None, "one resource spoiled the page"
        assert len(found) == SIZE
        assert [it for number, it in enumerate(found) if number != victim] == [
            it for number, it in enumerate(good) if number != victim
        ]
        came = "quarantined" if isinstance(found[victim], Quarantined) else "read"
    else:
        if how == "frame":
            for _ in range(rng.choice((1, 1, 2, 4))):
                damage(rng, document, deepest=rng.choice((1, 3, 99)))
        body = encoded(document)
        found = read(wire, kind, scratched(rng, body) if how == "bytes" else body)
        came = "failed" if found is None else "read"
    if found is not None and kind.name == "Appointment":
        judge(found, PATIENTS)
    if found is not None and kind.name == "Patient":
        by_id = {it.id: it for it in found if it.id is not None}
        judge(list(GOOD["Appointment"]), by_id)
    return f"{how} {came}"


def mutants(seeds: range) -> Counter[str]:
    wire = Wire()
    seen: Counter[str] = Counter()
    for seed in seeds:
        try:
            seen[mutant(seed, wire)] += 1
        except Exception as error:  # the seed makes it again
            raise AssertionError(f"seed {seed}: {type(error).__name__}: {error}") from error
    return seen


EVERY = {
    "resource read",
    "resource quarantined",
    "frame read",
    "frame failed",
    "bytes read",
    "bytes failed",
}


def test_a_whole_page_is_read_and_everybody_on_it_is_contacted() -> None:
    wire = Wire()
    for kind in KINDS:
        found = read(wire, kind, encoded(bundle(kind)))
        assert found is not None
        assert tuple(found) == GOOD[kind.name]
        assert all(isinstance(it, kind.value) for it in found)
    decided = decide.decide_all(
        GOOD["Appointment"], RULES, MOMENTS, patients=PATIENTS, external_id=lambda it: "x", opt_outs=OptOuts()
    )
    assert [it.decision.outcome for it in decided] == ["send"] * SIZE


def test_a_sample_of_damaged_pages_is_read_or_quarantined_or_failed_and_nothing_else() -> None:
    assert set(mutants(range(SAMPLE))) == EVERY


@pytest.mark.slow
def test_a_hundred_thousand_damaged_pages_are_read_or_quarantined_or_failed_and_nothing_else() -> None:
    seen = mutants(range(SAMPLE, SAMPLE + ALL))
    assert set(seen) == EVERY
    assert seen.total() == ALL
