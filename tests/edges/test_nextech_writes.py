"""Writes to Nextech against the sandbox: once, with a fresh token where the old one ran out, and refusals in its words."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from reconciler import errors
from reconciler.clients.nextech_writes import WriteOutcome, Written
from reconciler.core.phi import Phi
from reconciler.sandbox.emr import Visit
from reconciler.sync.reminder_ports import EmrWrites
from tests.syncing import PRACTICE_ID, Bench, bench, practice

EMR = "/nextech-api/api/Appointment"
STRUCTURE = "https://select.nextech-api.com/api/structuredefinition/"


def body(**changes: Any) -> Phi[dict[str, Any]]:
    return Phi(
        {
            "resourceType": "Appointment",
            "extension": [
                {
                    "url": STRUCTURE + "appointment-type",
                    "valueReference": {"reference": "appointment-type/14"},
                },
                {
                    "url": STRUCTURE + "appointment-purpose",
                    "valueReference": {"reference": "appointment-purpose/58"},
                },
                {"url": STRUCTURE + "appointment-schedule", "valueString": "book"},
            ],
            "status": "proposed",
            "start": "2026-12-04T10:00:00-05:00",
            "end": "2026-12-04T10:30:00-05:00",
            "participant": [
                {"actor": {"reference": f"patient/{practice().guid(5)}"}},
                {"actor": {"reference": "location/3"}},
                {"actor": {"reference": "practitioner/417"}},
            ],
            **changes,
        }
    )


@pytest.fixture
def it(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made


def writes(it: Bench, *, plus: bool = False) -> EmrWrites:
    assert it.deps.ports is not None
    return it.deps.ports(plus).writes


def booked(it: Bench) -> list[Visit]:
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    return list(it.app.emr.edits(known).booked.values())


def test_a_booking_comes_back_with_its_id(it: Bench) -> None:
    done = writes(it).book(PRACTICE_ID, body())
    assert (done.outcome, done.status) == (WriteOutcome.DONE, 201)
    assert done.resource is not None
    (made,) = booked(it)
    assert done.resource.reveal()["id"] == str(made.id)
    assert (made.patient, made.status) == (5, "pending")
    assert "Appointment" not in repr(done)


def test_held_instead_of_booked_where_that_is_asked(it: Bench) -> None:
    marks = body().reveal()["extension"]
    marks[2]["valueString"] = "hold"
    writes(it).book(PRACTICE_ID, body(extension=marks))
    assert [each.status for each in booked(it)] == ["proposed"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": "booked"}, "Emulated: the status must be proposed"),
        ({"start": "2026-12-04T10:00:00"}, "Emulated: start and end must be instants with an offset, in order"),
        ({"participant": []}, "Emulated: a known location and practitioner are required"),
        ({"extension": []}, "Emulated: a known appointment-type is required"),
    ],
)
def test_a_409_is_a_refusal_in_nextechs_words(it: Bench, changes: dict[str, Any], said: str) -> None:
    done = writes(it).book(PRACTICE_ID, body(**changes))
    assert done == Written(WriteOutcome.REFUSED, 409, said=Phi(said))
    assert booked(it) == []


def test_types_and_purposes_are_not_required_where_the_practice_does_not(it: Bench) -> None:
    it.app.emr.options.codes_required = False
    assert writes(it).book(PRACTICE_ID, body(extension=[])).outcome is WriteOutcome.DONE


def test_a_prospect_that_cannot_be_booked_leaves_nobody_behind(it: Bench) -> None:
    inside = {
        "resourceType": "Patient",
        "name": [{"family": "Example", "given": ["Ada"]}],
        "telecom": [{"system": "phone", "use": "home", "value": "(941) 555-0142"}],
    }
    actors = body().reveal()["participant"][1:]
    done = writes(it).book(PRACTICE_ID, body(contained=[inside], participant=actors))  # no e-mail
    assert done.outcome is WriteOutcome.REFUSED
    known = it.app.emr.practice(PRACTICE_ID)
    assert known is not None
    assert it.app.emr.edits(known).prospects == {}


def test_a_token_that_ran_out_is_renewed_and_the_booking_made_once(it: Bench) -> None:
    it.app.emr.options.token_calls = 1
    first = writes(it).book(PRACTICE_ID, body())
    second = writes(it).book(PRACTICE_ID, body(start="2026-12-04T11:00:00-05:00", end="2026-12-04T11:30:00-05:00"))
    assert [first.outcome, second.outcome] == [WriteOutcome.DONE] * 2
    assert len(booked(it)) == 2
    assert it.requests["POST Appointment"] == 3  # the one in the middle was refused for its token


def test_a_quota_is_waited_for_since_nothing_was_done(it: Bench) -> None:
    it.app.faults.arm(f"{EMR}:1:429")
    assert writes(it).book(PRACTICE_ID, body()).outcome is WriteOutcome.DONE
    assert len(booked(it)) == 1


@pytest.mark.parametrize(
    "kind", ["reset-after-commit", "503-after-commit", "502-before-commit", "html", "truncated", "cut", "reset"]
)
def test_what_cannot_be_read_is_an_unknown_outcome_and_never_sent_again(it: Bench, kind: str) -> None:
    it.app.faults.arm(f"{EMR}:1:{kind}")
    done = writes(it).book(PRACTICE_ID, body())
    assert done.outcome is WriteOutcome.UNKNOWN or (done.outcome is WriteOutcome.DONE and done.resource is None)
    assert it.requests.get("POST Appointment", 0) <= 1


def test_a_practice_that_does_not_let_us_in_is_said_to_be_unauthorised(it: Bench) -> None:
    it.app.emr.unauthorised[PRACTICE_ID] = 401
    with pytest.raises(errors.PracticeUnauthorised):
        writes(it).book(PRACTICE_ID, body())
    assert booked(it) == []


def test_rights_that_we_lack_altogether_are_no_refusal_of_a_booking(it: Bench) -> None:
    it.app.emr.unauthorised[PRACTICE_ID] = 403
    assert writes(it).book(PRACTICE_ID, body()) == Written(WriteOutcome.NOT_SENT, 403)


def test_confirming_and_cancelling(it: Bench) -> None:
    number = it.book("2026-12-01", status="pending")
    done = writes(it).change(PRACTICE_ID, Phi(str(number)), {"resourceType": "Appointment", "status": "booked"})
    assert (done.outcome, [each.status for each in booked(it)]) == (WriteOutcome.DONE, ["booked"])
    cancel = {"resourceType": "Appointment", "status": "cancelled"}
    assert writes(it).change(PRACTICE_ID, Phi(str(number)), cancel).outcome is WriteOutcome.DONE
    assert writes(it).change(PRACTICE_ID, Phi(str(number)), cancel) == Written(
        WriteOutcome.REFUSED, 422, said=Phi("Emulated: it is already cancelled")
    )
    assert writes(it).change(PRACTICE_ID, Phi("1"), cancel) == Written(
        WriteOutcome.REFUSED, 404, said=Phi("Emulated: no such appointment")
    )


def test_an_id_that_is_none_never_becomes_a_path(it: Bench) -> None:
    assert writes(it).change(PRACTICE_ID, Phi("../Patient/1"), {}) == Written(WriteOutcome.REFUSED, 404)
    assert it.requests == {}


def test_appointments_by_their_ids_and_people_by_name_and_birth_date(it: Bench) -> None:
    numbers = [it.book("2026-12-01", hour=8 + k // 4, minute=15 * (k % 4)) for k in range(6)]
    pages = list(writes(it).by_id(PRACTICE_ID, [*map(str, numbers), "12345"]))
    assert sorted(int(one["id"]) for page in pages for one in page.resources) == numbers
    person = practice().person(5)
    found = [
        one
        for page in writes(it).people(PRACTICE_ID, family=person.family, given=person.given, birth_date=person.birth)
        for one in page.resources
    ]
    assert person.guid in {one["id"] for one in found}
    assert list(writes(it).people(PRACTICE_ID, family="A,B", given="C", birth_date=date(1980, 1, 1))) == []
    assert it.app.emr.violations == []


def test_practice_plus_patches(tmp_path: Path) -> None:
    with bench(tmp_path) as it:
        it.app.emr.add(practice(plus=True))
        number = it.book("2026-12-01", status="pending")
        done = writes(it, plus=True).change(
            PRACTICE_ID, Phi(str(number)), {"resourceType": "Appointment", "status": "booked"}
        )
        assert (done.outcome, done.status) == (WriteOutcome.DONE, 204)
        assert [each.status for each in booked(it)] == ["booked"]
