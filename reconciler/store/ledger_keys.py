"""The ledger's keys: payloads are sealed by the given key, pseudonyms come from the inner one; and how they rotate.

``store rekey ledger`` makes the new key the key in one transaction, in which the old payload key is kept, wrapped by
the new one; then it seals every payload anew, batch by batch, and forgets the old one. Killed anywhere, the new key
opens everything, and the next ``finish_rekey`` goes on where it stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Column, Connection, delete, func, select, update

from reconciler.core.phi import Phi
from reconciler.errors import StoreError
from reconciler.store import keys
from reconciler.store.crypto import Sealer, derive
from reconciler.store.database import Store
from reconciler.store.rows import upsert
from reconciler.store.schema import APPOINTMENT_REQUESTS, KEYS, REMINDER_APPOINTMENTS, VISITS, to_text

PREVIOUS: Final = "ledger previous"
"""The row of ``keys`` that holds the old payload key while payloads are being sealed anew."""
BATCH: Final = 500


@dataclass(frozen=True, slots=True, repr=False)
class LedgerKeys:
    """What seals and opens payloads, and what pseudonyms are made with. Shows nothing in a repr."""

    inner: bytes
    """For ``sync.pseudonyms``; the same for the life of the ledger."""
    sealer: Sealer
    previous: Sealer | None
    """Of a rotation that has not sealed every payload anew yet."""
    check_value: bytes

    def __repr__(self) -> str:
        return "LedgerKeys(…)"

    def seal(self, payload: Phi[bytes], aad: bytes) -> bytes:
        """Encrypt, bound to a row."""
        return self.sealer.seal(payload.reveal(), aad)

    def open(self, sealed: bytes, aad: bytes) -> Phi[bytes]:
        """Decrypt. Raises ``StoreError`` for another key, another row or changed bytes."""
        sealer = self.previous if self.previous is not None and self.previous.fits(sealed) else self.sealer
        return Phi(sealer.open(sealed, aad))

    def ensure_current(self, connection: Connection) -> None:
        """Raise ``StoreError`` where the key was rotated since it was loaded: ask before sealing, in the transaction."""
        query = select(KEYS.c.check_value).where(KEYS.c.name == "ledger").with_for_update(read=True)
        found = connection.execute(query).scalar_one_or_none()
        if found is None or bytes(found) != self.check_value:
            raise StoreError("the ledger key was changed while this ran; nothing further is sent", hint="run it again")


def load(store: Store, given: keys.GivenKey) -> LedgerKeys:
    """The keys of a ledger. Raises ``StoreError`` where the ledger was made with another key."""
    inner = keys.inner_key(store, "ledger", given)
    with store.read() as connection:
        previous = _previous(connection, given)
    return LedgerKeys(inner, given.sealer("ledger"), previous, given.check_value("ledger"))


def _previous(connection: Connection, given: keys.GivenKey) -> Sealer | None:
    wrapped = connection.execute(select(KEYS.c.wrapped).where(KEYS.c.name == PREVIOUS)).scalar_one_or_none()
    return None if wrapped is None else Sealer(given.unwrap("ledger", bytes(wrapped)))


def rekey(connection: Connection, old: keys.GivenKey, new: keys.GivenKey, *, store: Store) -> None:
    """Make ``new`` the ledger's key, in the caller's transaction; payloads follow by ``finish_rekey``.

    Raises ``StoreError`` while an earlier rotation is unfinished.
    """
    if connection.execute(select(KEYS.c.name).where(KEYS.c.name == PREVIOUS)).first() is not None:
        raise StoreError(
            "an earlier change of the ledger key is not finished; nothing was changed", hint="run it again: it goes on"
        )
    keys.rekey(connection, "ledger", old, new, store=store)
    material = derive(old.material, "ledger payload v1")
    row = {
        "name": PREVIOUS,
        "check_value": old.check_value("ledger"),
        "wrapped": new.wrap("ledger", material),
        "created_at": to_text(store.now()),
        "rotated_at": None,
    }
    upsert(connection, KEYS, [row])


def finish_rekey(store: Store, given: keys.GivenKey, *, batch: int = BATCH) -> int:
    """Seal every payload of the old key anew and forget that key; how many were sealed. Harmless where none is left."""
    ledger = load(store, given)
    if ledger.previous is None:
        return 0
    done = sum(_seal_anew(store, ledger, ledger.previous, kept, batch) for kept in KEPT)
    with store.begin() as connection:
        connection.execute(delete(KEYS).where(KEYS.c.name == PREVIOUS))
    return done


def _seal_anew(store: Store, ledger: LedgerKeys, previous: Sealer, kept: Kept, batch: int) -> int:
    done, after = 0, None
    while True:
        with store.begin() as connection:
            found = _next_batch(connection, kept, after, batch)
            for row in found:
                sealed = bytes(row[-1])
                if not previous.fits(sealed):
                    continue
                aad = kept.aad(row)
                fresh = ledger.seal(ledger.open(sealed, aad), aad)
                where = (kept.first == row[0]) & (kept.second == row[1])
                connection.execute(update(kept.first.table).where(where).values({kept.sealed.name: fresh}))
                done += 1
        if not found:
            return done
        after = (found[-1][0], found[-1][1])


def _next_batch(connection: Connection, kept: Kept, after: tuple[Any, Any] | None, batch: int) -> list[Any]:
    query = select(kept.first, kept.second, kept.third, kept.sealed).where(kept.sealed.is_not(None))
    if after is not None:
        query = query.where((kept.first > after[0]) | ((kept.first == after[0]) & (kept.second > after[1])))
    query = query.order_by(kept.first, kept.second).limit(batch).with_for_update()
    return [*connection.execute(query)]


def rotate(store: Store, old: keys.GivenKey, new: keys.GivenKey) -> int:
    """The whole rotation between two given keys; how many payloads were sealed anew.

    Killed anywhere, the same call goes on. Raises ``StoreError`` where neither is the ledger's key.
    """
    with store.read() as connection:
        goes_on = keys.fits(connection, "ledger", new)
    if not goes_on:
        finish_rekey(store, old)  # of an earlier rotation that nobody finished
        with store.begin() as connection:
            rekey(connection, old, new, store=store)
    return finish_rekey(store, new)


def rotate_file(store: Store, path: Path) -> int:
    """The same where the key lies in a file; a killed rotation is finished first, and then there is one more."""
    finish_rekey(store, keys.file_key(store, "ledger", path))
    new = keys.rekey_file(store, "ledger", path, turn=lambda at, old, fresh: rekey(at, old, fresh, store=store))
    return finish_rekey(store, new)


def unfinished(connection: Connection) -> int:
    """How many payloads a rotation has still to go through; 0 where none is under way."""
    if connection.execute(select(KEYS.c.name).where(KEYS.c.name == PREVIOUS)).first() is None:
        return 0
    counts = (select(func.count()).select_from(it.first.table).where(it.sealed.is_not(None)) for it in KEPT)
    return sum(int(connection.execute(it).scalar_one()) for it in counts)


def payload_aad(practice: str, appointment: str, business: int) -> bytes:
    """What binds a payload to its row."""
    return f"{practice}|{appointment}|{business}".encode()


def appointment_aad(business: int, external: str) -> bytes:
    """What binds the id of an appointment that Birdeye was told of to its row."""
    return f"reminder|{business}|{external}".encode()


def request_aad(business: int, request: str) -> bytes:
    """What binds what a patient asked for to its row."""
    return f"request|{business}|{request}".encode()


@dataclass(frozen=True, slots=True)
class Kept:
    """A column of sealed values: its table's key (two columns), a third that may belong to the binding."""

    first: Column[Any]
    second: Column[Any]
    third: Column[Any]
    sealed: Column[Any]
    aad: Callable[[Any], bytes]
    """Of a row of these columns."""


KEPT: Final = (
    Kept(
        VISITS.c.practice,
        VISITS.c.appointment,
        VISITS.c.business,
        VISITS.c.payload,
        lambda row: payload_aad(row[0], row[1], row[2]),
    ),
    Kept(
        REMINDER_APPOINTMENTS.c.business,
        REMINDER_APPOINTMENTS.c.external,
        REMINDER_APPOINTMENTS.c.practice,
        REMINDER_APPOINTMENTS.c.sealed,
        lambda row: appointment_aad(row[0], row[1]),
    ),
    Kept(
        APPOINTMENT_REQUESTS.c.business,
        APPOINTMENT_REQUESTS.c.request,
        APPOINTMENT_REQUESTS.c.practice,
        APPOINTMENT_REQUESTS.c.payload,
        lambda row: request_aad(row[0], row[1]),
    ),
)
"""Everything that the ledger key seals."""
