"""What the reminders remember, on both databases: states, appointments, requests, sealed and resealed, and forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select

from reconciler.core.phi import Phi
from reconciler.errors import StoreError
from reconciler.store import keys, ledger_keys, ledger_retention, reminders
from reconciler.store.database import Store
from reconciler.store.ledger_keys import LedgerKeys
from reconciler.store.reminders import AppointmentRow, ReminderState, RequestRow
from reconciler.store.schema import APPOINTMENT_REQUESTS, REMINDER_APPOINTMENTS
from tests.ledgers import GIVEN, LOCATION, NOW

PRACTICE = "p" * 32
ROW = AppointmentRow(LOCATION, "x" * 32, PRACTICE, "booked", NOW + timedelta(days=7), NOW + timedelta(days=8), NOW)
ITEM = {"requestId": "r-1", "customer": {"firstName": "Canary"}}


@pytest.fixture
def own(store: Store) -> LedgerKeys:
    return ledger_keys.load(store, GIVEN)


def announce(store: Store, own: LedgerKeys, *rows: AppointmentRow) -> None:
    with store.begin() as connection:
        reminders.announce(connection, own, [(it, Phi(f"A-{n}")) for n, it in enumerate(rows)], now=NOW)


def receive(store: Store, own: LedgerKeys, *idents: str) -> int:
    with store.begin() as connection:
        items = [(it, "book", Phi({**ITEM, "requestId": it})) for it in idents]
        return reminders.receive(
            connection, own, items, business=LOCATION, practice=PRACTICE, slug="skin-group", now=NOW
        )


def waiting(store: Store, own: LedgerKeys) -> list[RequestRow]:
    with store.read() as connection:
        return reminders.open_requests(connection, own, LOCATION, PRACTICE)


def test_a_location_stands_as_it_was_put(store: Store) -> None:
    state = ReminderState(LOCATION, "skin-group", PRACTICE, "ok", "", NOW, NOW, "17", NOW, NOW, NOW + timedelta(days=1))
    bare = ReminderState(LOCATION + 1, "skin-group", PRACTICE, "waiting", "soon")
    with store.begin() as connection:
        reminders.put(connection, state)
        reminders.put(connection, bare)
        reminders.put(connection, bare)
    with store.read() as connection:
        assert reminders.locations(connection) == {LOCATION: state, LOCATION + 1: bare}


def test_an_appointment_is_announced_once_and_then_told(store: Store, own: LedgerKeys) -> None:
    unsure = AppointmentRow(LOCATION, "x" * 32, PRACTICE, None, ROW.start, None, NOW)
    announce(store, own, unsure)
    announce(store, own, ROW)  # known: stays as it is
    with store.read() as connection:
        assert reminders.one(connection, LOCATION, PRACTICE, ROW.external) == unsure
        assert reminders.reveal_id(connection, own, ROW) == Phi("A-0")
        assert reminders.appointment_counts(connection) == {LOCATION: {"unknown": 1}}
    with store.begin() as connection:
        reminders.told(connection, [ROW], now=NOW)
    with store.read() as connection:
        assert reminders.known(connection, PRACTICE, [ROW.external, "y"]) == {(LOCATION, ROW.external): ROW}
        assert reminders.known(connection, "other", [ROW.external]) == {}
        assert reminders.appointment_counts(connection) == {LOCATION: {"booked": 1}}
        assert reminders.reveal_id(connection, own, ROW) == Phi("A-0")


def test_what_lies_ahead_leaves_out_the_past_the_cancelled_and_the_far(store: Store, own: LedgerKeys) -> None:
    def row(name: str, days: int, status: str | None = "booked", business: int = LOCATION) -> AppointmentRow:
        return AppointmentRow(business, name, PRACTICE, status, NOW + timedelta(days=days), None, NOW)

    rows = [
        row("late", 3),
        row("soon", 1, None),
        row("past", -1),
        row("far", 9),
        row("gone", 2, "cancelled"),
        row("else", 2, business=LOCATION + 1),
    ]
    announce(store, own, *rows)
    with store.read() as connection:
        found = reminders.ahead(connection, LOCATION, PRACTICE, after=NOW, to=NOW + timedelta(days=7))
    assert [it.external for it in found] == ["soon", "late"]


def test_requests_keep_their_order_and_each_is_taken_once(store: Store, own: LedgerKeys) -> None:
    assert receive(store, own, "r-2", "r-1") == 2
    assert receive(store, own, "r-1", "r-3") == 1
    found = waiting(store, own)
    assert [(it.request, it.state, it.kind) for it in found] == [
        ("r-2", "received", "book"),
        ("r-1", "received", "book"),
        ("r-3", "received", "book"),
    ]
    assert found[0].payload == Phi({"item": {**ITEM, "requestId": "r-2"}})


def test_what_was_asked_is_forgotten_once_it_is_reported(store: Store, own: LedgerKeys) -> None:
    receive(store, own, "r-1")
    (row,) = waiting(store, own)
    done = replace(row, state="answered", outcome="accepted", external="x" * 32, tries=1)
    with store.begin() as connection:
        reminders.put_request(connection, own, done, now=NOW)
    assert waiting(store, own) == [done]
    with store.begin() as connection:
        reminders.put_request(connection, own, replace(done, state="reported"), now=NOW)
        assert connection.execute(select(APPOINTMENT_REQUESTS.c.payload)).scalar_one() is None
    assert waiting(store, own) == []
    with store.read() as connection:
        assert reminders.request_counts(connection) == {LOCATION: {"accepted": 1}}
    assert receive(store, own, "r-1") == 0  # never a second time


def test_nothing_that_is_sealed_stands_in_the_tables_in_clear(store: Store, own: LedgerKeys) -> None:
    announce(store, own, ROW)
    receive(store, own, "r-1")
    with store.read() as connection:
        text = repr(connection.execute(select(REMINDER_APPOINTMENTS)).all())
        text += repr(connection.execute(select(APPOINTMENT_REQUESTS)).all())
    assert "A-0" not in text
    assert "Canary" not in text


def test_a_sealed_id_belongs_to_its_row(store: Store, own: LedgerKeys) -> None:
    other = AppointmentRow(LOCATION, "y" * 32, PRACTICE, "booked", ROW.start, None, NOW)
    announce(store, own, ROW, other)
    table = REMINDER_APPOINTMENTS
    with store.begin() as connection:
        theirs = connection.execute(select(table.c.sealed).where(table.c.external == other.external)).scalar_one()
        connection.execute(table.update().where(table.c.external == ROW.external).values(sealed=theirs))
    with store.read() as connection, pytest.raises(StoreError, match="is damaged, or is not where it was written"):
        reminders.reveal_id(connection, own, ROW)


def test_another_key_seals_everything_anew(store: Store, own: LedgerKeys) -> None:
    announce(store, own, ROW)
    receive(store, own, "r-1", "r-2")
    fresh = keys.parse_key("another-key-0123456789abcdefghijklmnopqrs", named="RECONCILER_LEDGER_KEY")
    assert ledger_keys.rotate(store, GIVEN, fresh) == 3
    now_own = ledger_keys.load(store, fresh)
    assert now_own.inner == own.inner  # so that pseudonyms stay
    with store.read() as connection:
        assert reminders.reveal_id(connection, now_own, ROW) == Phi("A-0")
        assert ledger_keys.unfinished(connection) == 0
    assert [it.request for it in waiting(store, now_own)] == ["r-1", "r-2"]
    with pytest.raises(StoreError):
        announce(store, own, ROW)


def test_what_is_old_goes_and_what_is_open_stays(store: Store, own: LedgerKeys) -> None:
    old = AppointmentRow(LOCATION, "o" * 32, PRACTICE, "completed", NOW - timedelta(days=401), None, NOW)
    announce(store, own, ROW, old)
    receive(store, own, "r-1", "r-2")
    first, _ = waiting(store, own)
    done = replace(first, state="reported", outcome="rejected")
    with store.begin() as connection:
        reminders.put_request(connection, own, done, now=NOW - timedelta(days=401))
        ledger_retention.retain(connection, now=NOW, retention_days=400, keep_keys_days=800)
    assert [it.request for it in waiting(store, own)] == ["r-2"]
    with store.read() as connection:
        assert reminders.appointment_counts(connection) == {LOCATION: {"booked": 1}}
        assert reminders.request_counts(connection) == {LOCATION: {"received": 1}}
