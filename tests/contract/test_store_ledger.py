"""The ledger keeps one decision per visit, contacts a patient once a day, and forgets in the right order."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from reconciler.core import ledger_rules
from reconciler.core.decide import Decision
from reconciler.core.phi import Phi
from reconciler.errors import StoreError, UsageError
from reconciler.store import keys, ledger, ledger_keys, ledger_outbox, ledger_people, ledger_retention
from reconciler.store.database import Store
from reconciler.store.ledger import Entry
from reconciler.store.ledger_outbox import Claimed, Settlement
from reconciler.store.schema import KEYS, VISITS
from tests.ledgers import DAY, GIVEN, LOCATION, NOW, Desk

RESTRICTED = Decision(
    "restricted", "'Appointment type' is not in the allowed list", "appointment_types", (("type", ("Consult",)),)
)
NO_NAME = Decision("skipped", "no_name", "name")
AMBIGUOUS = Decision("held", "ambiguous_location", "location")
OTHER_KEY = keys.parse_key("other-key-0123456789abcdefghijklmnopqrst", named="RECONCILER_NEW_KEY")
LATER = NOW + timedelta(days=1)


@pytest.fixture
def desk(store: Store) -> Desk:
    return Desk(store)


def claim(desk: Desk, *, limit: int = 50, now: datetime = NOW) -> tuple[Claimed, ...]:
    with desk.store.begin() as connection:
        return ledger_outbox.claim(connection, desk.practice, [LOCATION], keys=desk.keys, limit=limit, now=now)


def settle(desk: Desk, claimed: Claimed, state: ledger_rules.State, *, code: int | None = None) -> int:
    settlement = Settlement(claimed.practice, claimed.appointment, claimed.intent_at, state, NOW, code, None)
    with desk.store.begin() as connection:
        return ledger_outbox.settle(connection, [settlement])


def has_payload(desk: Desk, number: int) -> bool:
    with desk.store.read() as connection:
        query = select(VISITS.c.payload).where(VISITS.c.appointment == desk.appointment(number))
        return connection.execute(query).scalar_one() is not None


def test_a_page_gets_one_result_for_each_visit_in_its_order(desk: Desk) -> None:
    results = desk.record(
        [
            desk.entry(1),
            desk.entry(2, decision=RESTRICTED),
            desk.entry(3, decision=AMBIGUOUS),
            desk.entry(4, patient=1),
        ]
    )
    assert [(it.effect, it.outcome, it.reason, it.state) for it in results] == [
        ("new", "send", "", "planned"),
        ("new", "restricted", "'Appointment type' is not in the allowed list", None),
        ("new", "held", "ambiguous_location", "held"),
        ("duplicate", "skipped", "duplicate_visit", None),
    ]
    row = desk.row(2)
    assert (row.compared, row.rule, row.revision, row.pass_id) == (
        (("type", ("Consult",)),),
        "appointment_types",
        3,
        "pass-1",
    )


@pytest.mark.parametrize("decision", [RESTRICTED, NO_NAME])
def test_what_was_missing_may_be_filled_in_within_the_overlap(desk: Desk, decision: Decision) -> None:
    desk.record([desk.entry(1, decision=decision)])
    results = desk.record([desk.entry(1)], pass_id="pass-2", now=LATER)
    assert [(it.effect, it.state) for it in results] == [("again", "planned")]


def test_a_visit_in_the_outbox_is_final_in_every_state(desk: Desk) -> None:
    desk.record([desk.entry(1), desk.entry(2, decision=AMBIGUOUS)])
    again = [desk.entry(1, decision=RESTRICTED), desk.entry(2)]
    results = desk.record(again, pass_id="pass-2", now=LATER)
    assert [(it.effect, it.outcome, it.state) for it in results] == [
        ("kept", "send", "planned"),
        ("kept", "held", "held"),
    ]


def test_a_confirmed_visit_is_already_sent_whatever_its_location_is_now(desk: Desk) -> None:
    desk.plan([1])
    (claimed,) = claim(desk)
    assert settle(desk, claimed, "confirmed") == 1
    (result,) = desk.record([replace(desk.entry(1), business=LOCATION + 1)], pass_id="pass-2", now=LATER)
    assert result.is_already_sent


def test_a_visit_decided_again_to_be_sent_obeys_the_guard_too(desk: Desk) -> None:
    desk.record([desk.entry(1), desk.entry(2, patient=1, decision=NO_NAME)])
    (result,) = desk.record([desk.entry(2, patient=1)], pass_id="pass-2", now=LATER)
    assert (result.effect, result.outcome, result.reason, result.state) == (
        "duplicate",
        "skipped",
        "duplicate_visit",
        None,
    )


def test_the_guard_is_per_location_patient_and_day(desk: Desk) -> None:
    entries = [
        desk.entry(1),
        desk.entry(2, patient=1, business=LOCATION + 1),
        desk.entry(3, patient=1, day=date(2026, 11, 22)),
    ]
    assert [it.state for it in desk.record(entries)] == ["planned"] * 3


def test_a_backfilled_visit_is_final_and_never_sent_and_guards_its_day(desk: Desk) -> None:
    (result,) = desk.record([desk.entry(1)], backfill=True)
    assert (result.outcome, result.state) == ("send", None)
    results = desk.record([desk.entry(1), desk.entry(2, patient=1)], pass_id="pass-2", now=LATER)
    assert [(it.effect, it.state) for it in results] == [("kept", None), ("duplicate", None)]
    assert claim(desk) == ()


def test_nothing_of_a_person_stands_in_a_row_in_clear(desk: Desk) -> None:
    desk.record([desk.entry(1), desk.entry(2, decision=AMBIGUOUS)])
    with desk.store.read() as connection:
        rows = b"".join(repr(tuple(row)).encode() for row in connection.execute(select(VISITS)))
    assert not any(canary in rows for canary in (b"Canary", b"canary", b"A-1", b"P-1", b"0000-4000"))


def test_a_payload_opens_in_its_own_row_only(desk: Desk) -> None:
    desk.plan([1, 2])
    with desk.store.begin() as connection:
        one, two = (VISITS.c.appointment == desk.appointment(it) for it in (1, 2))
        stolen = connection.execute(select(VISITS.c.payload).where(two)).scalar_one()
        connection.execute(VISITS.update().where(one).values(payload=stolen))
    assert [it.body is None for it in claim(desk)] == [True, False]


def test_claiming_takes_planned_rows_once_earliest_first_with_their_bodies(desk: Desk) -> None:
    desk.plan([3, 1, 2])
    first, second = claim(desk, limit=2), claim(desk)
    assert [it.appointment for it in (*first, *second)] == [desk.appointment(it) for it in (1, 2, 3)]
    assert first[0].body == desk.body(1)
    assert claim(desk) == ()
    assert desk.states() == {"intent": 3}


@pytest.mark.parametrize(
    ("state", "keeps"), [("confirmed", False), ("failed", True), ("unknown", True), ("planned", True)]
)
def test_an_outcome_settles_the_attempt_it_is_about(desk: Desk, state: ledger_rules.State, keeps: bool) -> None:
    desk.plan([1])
    (claimed,) = claim(desk)
    assert settle(desk, replace(claimed, intent_at=LATER), state) == 0
    assert settle(desk, claimed, state, code=1142) == 1
    assert (desk.row(1).state, desk.row(1).code, has_payload(desk, 1)) == (state, 1142, keeps)


def test_an_answer_that_comes_after_its_row_was_given_up_still_counts(desk: Desk) -> None:
    desk.plan([1, 2, 3])
    late = claim(desk)
    with desk.store.begin() as connection:
        assert ledger_outbox.adopt_orphans(connection, desk.practice, now=LATER) == 3
        assert ledger_outbox.resolve(connection, late[1], "held", now=LATER, customer_id=None)
        assert ledger_outbox.resolve(connection, late[2], "planned", now=LATER, customer_id=None)
    assert [settle(desk, it, "confirmed") for it in late] == [1, 1, 1]
    assert desk.states() == {"confirmed": 3}


@pytest.mark.parametrize("state", ["failed", "planned", "unknown"])
def test_any_other_answer_that_is_late_changes_nothing(desk: Desk, state: ledger_rules.State) -> None:
    desk.plan([1])
    (late,) = claim(desk)
    with desk.store.begin() as connection:
        ledger_outbox.adopt_orphans(connection, desk.practice, now=LATER)
    assert settle(desk, late, state) == 0
    assert (desk.row(1).state, desk.row(1).settled_at) == ("unknown", LATER)


def test_the_moves_of_outcomes_are_those_of_the_rules_but_for_late_confirmations() -> None:
    made = {(old, new) for new, olds in ledger_outbox.FROM.items() for old in olds}
    assert made - set(ledger_rules.MOVES) == {("planned", "confirmed"), ("held", "confirmed")}


def test_unknown_rows_are_due_in_the_order_in_which_they_became_unknown(desk: Desk) -> None:
    desk.plan([1, 2])
    one, two = claim(desk)
    settle(desk, two, "unknown")
    with desk.store.begin() as connection:
        ledger_outbox.adopt_orphans(connection, desk.practice, now=LATER)
    with desk.store.read() as connection:

        def due(before: datetime) -> list[str]:
            found = ledger_outbox.unknown_due(connection, desk.practice, keys=desk.keys, before=before, limit=9)
            return [claimed.appointment for _, claimed in found]

        assert due(NOW - timedelta(seconds=1)) == []
        assert due(NOW) == [two.appointment]
        assert due(LATER) == [two.appointment, one.appointment]
        assert ledger_outbox.next_unknown(connection, desk.practice) == NOW


def test_what_was_planned_for_a_location_that_stopped_is_discarded_with_its_payload(desk: Desk) -> None:
    desk.plan([1])
    with desk.store.begin() as connection:
        assert ledger_outbox.discard_planned(connection, [LOCATION], now=LATER) == 1
    assert (desk.states(), has_payload(desk, 1)) == ({"discarded": 1}, False)


def test_a_person_moves_held_rows_and_no_others(desk: Desk) -> None:
    desk.record([desk.entry(1), desk.entry(2), desk.entry(3, decision=AMBIGUOUS)])
    one, two = claim(desk)
    settle(desk, one, "unknown")
    settle(desk, two, "failed", code=1087)
    with desk.store.begin() as connection:
        ledger_outbox.resolve(connection, one, "held", now=NOW, customer_id="77")
        listed = ledger_people.held(connection, keys=desk.keys, states=("held", "unknown", "failed"))
        assert [(it.visit.state, it.appointment_id, it.has_contact) for it in listed] == [
            ("held", Phi("A-1"), True),
            ("failed", Phi("A-2"), True),
            ("held", Phi("A-3"), False),
        ]
        visits = ledger_people.find(connection, [it.visit.id for it in listed])
        with pytest.raises(UsageError, match="has no contact that could be sent"):
            ledger_people.move(connection, visits, "planned", keys=desk.keys, now=NOW)
        assert ledger_people.move(connection, visits[:2], "planned", keys=desk.keys, now=NOW) == 2
        assert ledger_people.move(connection, visits[2:], "discarded", keys=desk.keys, now=NOW) == 1
        gone = ledger_people.find(connection, [visits[2].id])
        with pytest.raises(UsageError, match=r"is discarded: it cannot be discarded; nothing was changed"):
            ledger_people.move(connection, gone, "discarded", keys=desk.keys, now=NOW)
    assert desk.states() == {"planned": 2, "discarded": 1}


@pytest.mark.parametrize("given", ["", "1234567", "not-hex-digits", "ffffffffffff"])
def test_an_id_that_names_no_row_is_refused(desk: Desk, given: str) -> None:
    desk.plan([1])
    with desk.store.read() as connection, pytest.raises(UsageError):
        ledger_people.find(connection, [given])


def test_why_answers_for_one_location_or_all(desk: Desk) -> None:
    desk.record([desk.entry(1, decision=RESTRICTED)])
    with desk.store.read() as connection:
        pairs = [(it, desk.appointment(1)) for it in (*ledger.practices(connection), "f" * 32)]
        assert ledger.why(connection, pairs) == (desk.row(1),)
        assert ledger.why(connection, pairs, business=LOCATION) == (desk.row(1),)
        assert ledger.why(connection, pairs, business=LOCATION + 1) == ()
        assert ledger.knows(connection, LOCATION)
        assert not ledger.knows(connection, LOCATION + 1)


def test_retention_reduces_first_and_deletes_last_and_says_what_it_forgot(desk: Desk) -> None:
    desk.record([desk.entry(1), desk.entry(2, decision=RESTRICTED), desk.entry(3)])
    one = claim(desk, limit=1)[0]
    settle(desk, one, "confirmed")

    def retain(days: int) -> ledger_retention.Retained:
        with desk.store.begin() as connection:
            now = NOW + timedelta(days=days)
            return ledger_retention.retain(connection, now=now, retention_days=400, keep_keys_days=500)

    assert retain(399) == ledger_retention.Retained(0, 0)
    assert retain(401) == ledger_retention.Retained(reduced=2, deleted=0)
    assert retain(402) == ledger_retention.Retained(0, 0)
    row = desk.row(2)
    assert (row.outcome, row.reason, row.rule, row.compared) == ("restricted", RESTRICTED.reason, "", ())
    # Still known, so still never contacted twice:
    (result,) = desk.record([desk.entry(1)], pass_id="pass-9", now=NOW + timedelta(days=402))
    assert result.is_already_sent
    assert retain(502) == ledger_retention.Retained(reduced=0, deleted=2)
    assert desk.states() == {"planned": 1}
    with desk.store.read() as connection:
        # The whole local day of what went, wherever that was.
        assert ledger_retention.forgotten_before(connection) == NOW + timedelta(days=2 + 2)


def test_a_new_key_seals_payloads_anew_and_pseudonyms_stay(desk: Desk) -> None:
    desk.plan(range(7))
    before = desk.appointment(1)
    assert ledger_keys.rotate(desk.store, GIVEN, OTHER_KEY) == 7
    again = Desk(desk.store, given=OTHER_KEY)
    assert again.appointment(1) == before
    assert [it.body for it in claim(again)] == [desk.body(it) for it in range(7)]
    with pytest.raises(StoreError, match="was made with another ledger key"):
        Desk(desk.store)
    with desk.store.read() as connection:
        assert connection.execute(select(KEYS.c.name)).scalars().all() == ["ledger"]


@pytest.mark.parametrize("batches", [0, 1, 2])
def test_a_rotation_killed_half_way_loses_nothing_and_goes_on(
    desk: Desk, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.plan(range(7))
    real, seen = ledger_keys._next_batch, []

    def dies(*arguments: object) -> object:
        seen.append(1)
        if len(seen) > batches:
            raise KeyboardInterrupt
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(ledger_keys, "_next_batch", dies)
        patch.setattr(ledger_keys.finish_rekey, "__kwdefaults__", {"batch": 3})
        with pytest.raises(KeyboardInterrupt):
            ledger_keys.rotate(desk.store, GIVEN, OTHER_KEY)
    half = Desk(desk.store, given=OTHER_KEY)
    with desk.store.read() as connection:
        assert ledger_keys.unfinished(connection) == 7
        states: tuple[ledger_rules.State, ...] = ("planned",)
        listed = ledger_people.held(connection, keys=half.keys, states=states)
    assert [it.appointment_id for it in listed] == [Phi(f"A-{it}") for it in range(7)]
    assert ledger_keys.rotate(desk.store, GIVEN, OTHER_KEY) == 7 - 3 * batches
    with desk.store.read() as connection:
        assert ledger_keys.unfinished(connection) == 0
    assert len(claim(Desk(desk.store, given=OTHER_KEY))) == 7


def test_a_runner_that_holds_the_old_key_seals_and_claims_nothing_more(desk: Desk) -> None:
    desk.plan([1])
    ledger_keys.rotate(desk.store, GIVEN, OTHER_KEY)
    with pytest.raises(StoreError, match="the ledger key was changed while this ran"):
        desk.plan([2])
    with pytest.raises(StoreError, match="the ledger key was changed while this ran"):
        claim(desk)
    assert desk.states() == {"planned": 1}


def test_payload_aad_and_shape_are_what_the_documents_say(desk: Desk) -> None:
    desk.plan([1])
    with desk.store.read() as connection:
        sealed = connection.execute(select(VISITS.c.payload)).scalar_one()
    aad = f"{desk.practice}|{desk.appointment(1)}|{LOCATION}".encode()
    assert json.loads(GIVEN.sealer("ledger").open(bytes(sealed), aad)) == {
        "appointment": "A-1",
        "body": desk.body(1).reveal(),
    }


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_forgotten_lies_before_what_may_be_contacted_its_whole_day_included(desk: Desk, seed: int) -> None:
    rng = random.Random(seed)
    starts: dict[int, datetime] = {}
    entries: list[Entry] = []
    for number in range(1, 60):
        entry = desk.entry(number, patient=rng.randrange(40), day=DAY + timedelta(days=rng.randrange(-30, 30)))
        if any(it.patient == entry.patient and it.day == entry.day for it in entries):
            continue
        start = datetime.combine(
            entry.day or DAY, time(rng.randrange(24), rng.randrange(60)), ZoneInfo("Pacific/Kiritimati")
        )
        starts[number] = start
        entries.append(replace(entry, start=start))
    for entry in entries:
        desk.record([entry], now=NOW + timedelta(days=rng.randrange(0, 20)))
    while claimed := claim(desk):
        for it in claimed:
            settle(desk, it, "confirmed")
    before = len(starts)
    for days in sorted(rng.sample(range(80, 160), 6)):
        with desk.store.begin() as connection:
            now = NOW + timedelta(days=days, hours=rng.randrange(24))
            ledger_retention.retain(
                connection, now=now, retention_days=50, keep_keys_days=100, limit=rng.randrange(1, 30)
            )
            known = set(ledger.last(connection, desk.practice, (desk.appointment(it) for it in starts)))
            bound = ledger_retention.forgotten_before(connection)
        gone = [starts[it] for it in starts if desk.appointment(it) not in known]
        # The patient's other visits of that day may begin until it ends, wherever the location is.
        assert all(bound is not None and it + timedelta(hours=25) <= bound for it in gone)
    assert len(known) < before


def test_what_waits_or_is_in_doubt_is_never_forgotten(desk: Desk) -> None:
    desk.record([desk.entry(1), desk.entry(2), desk.entry(3, decision=AMBIGUOUS), desk.entry(4)])
    settle(desk, claim(desk, limit=2)[0], "unknown")
    with desk.store.begin() as connection:
        now = NOW + timedelta(days=5_000)
        done = ledger_retention.retain(connection, now=now, retention_days=1, keep_keys_days=1)
        assert done == ledger_retention.Retained(0, 0)
        assert ledger_retention.forgotten_before(connection) is None
    assert desk.states() == {"unknown": 1, "intent": 1, "held": 1, "planned": 1}
