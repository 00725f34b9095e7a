"""The ledger's keys: payloads are sealed by the given key, pseudonyms come from the inner one; and how they rotate.

``store rekey ledger`` makes the new key the key in one transaction, in which the old payload key is kept, wrapped by
the new one; then it seals every payload anew, batch by batch, and forgets the old one. Killed anywhere, the new key
opens everything, and the next ``finish_rekey`` goes on where it stopped.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, select, update

from reconciler.core.phi import Phi
from reconciler.errors import StoreError
from reconciler.store import keys
from reconciler.store.crypto import Sealer, derive
from reconciler.store.database import Store
from reconciler.store.rows import upsert
from reconciler.store.schema import KEYS, VISITS, to_text

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
    done, after = 0, ("", "")
    while True:
        with store.begin() as connection:
            found = _next_batch(connection, after, batch)
            for row in found:
                if not ledger.previous.fits(bytes(row.payload)):
                    continue
                aad = payload_aad(row.practice, row.appointment, row.business)
                fresh = ledger.seal(ledger.open(bytes(row.payload), aad), aad)
                where = (VISITS.c.practice == row.practice) & (VISITS.c.appointment == row.appointment)
                connection.execute(update(VISITS).where(where).values(payload=fresh))
                done += 1
            if not found:
                connection.execute(delete(KEYS).where(KEYS.c.name == PREVIOUS))
                return done
            after = (found[-1].practice, found[-1].appointment)


def _next_batch(connection: Connection, after: tuple[str, str], batch: int) -> list[Row[Any]]:
    columns: tuple[Any, ...] = (VISITS.c.practice, VISITS.c.appointment, VISITS.c.business, VISITS.c.payload)
    later = (VISITS.c.practice > after[0]) | ((VISITS.c.practice == after[0]) & (VISITS.c.appointment > after[1]))
    query = select(*columns).where(VISITS.c.payload.is_not(None), later)
    query = query.order_by(VISITS.c.practice, VISITS.c.appointment).limit(batch).with_for_update()
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
    query = select(func.count()).select_from(VISITS).where(VISITS.c.payload.is_not(None))
    return int(connection.execute(query).scalar_one())


def payload_aad(practice: str, appointment: str, business: int) -> bytes:
    """What binds a payload to its row."""
    return f"{practice}|{appointment}|{business}".encode()
