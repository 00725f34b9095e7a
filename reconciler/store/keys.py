"""Keys: where they come from, how a wrong one is refused, how they rotate.

A *given* key comes from a variable or a key file. The *inner* key, which fingerprints and pseudonyms use, is derived
once from the first given key and kept in the store, wrapped by the current one. ``rekey`` wraps it anew, so that every
fingerprint stays what it was. The store keeps no given key; a check value tells whether the right one was given.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, Row, select, update

from reconciler.errors import InternalError, SettingsError, StoreError
from reconciler.store.crypto import KEY_BYTES, Sealer, derive
from reconciler.store.database import Store
from reconciler.store.rows import insert_new
from reconciler.store.schema import KEYS, to_text

KeyName = Literal["receipt", "ledger"]

VARIABLES: Final[dict[KeyName, str]] = {"receipt": "RECONCILER_RECEIPT_KEY", "ledger": "RECONCILER_LEDGER_KEY"}
_NONCE_BYTES: Final = 12
_DISTINCT: Final = 10
_FILE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, repr=False)
class GivenKey:
    """A key as given. Its bytes never show in a repr."""

    material: bytes

    def __repr__(self) -> str:
        return "GivenKey(…)"

    def check_value(self, name: KeyName) -> bytes:
        """Tells this key from another one, and nothing else."""
        return derive(self.material, f"{name} check v1", 16)

    def first_inner(self, name: KeyName) -> bytes:
        """The inner key of a store whose first key this is."""
        return derive(self.material, f"{name} inner v1")

    def wrap(self, name: KeyName, inner: bytes) -> bytes:
        """The inner key, sealed by this one."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + AESGCM(derive(self.material, f"{name} wrap v1")).encrypt(nonce, inner, name.encode())

    def unwrap(self, name: KeyName, wrapped: bytes) -> bytes:
        """The opposite. Raises ``StoreError`` where the bytes have changed."""
        cipher = AESGCM(derive(self.material, f"{name} wrap v1"))
        try:
            return cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError):
            raise StoreError(f"the {name} key in the store is damaged", hint="restore a backup of the store") from None

    def sealer(self, name: KeyName) -> Sealer:
        """For payloads that ``rekey`` encrypts anew."""
        return Sealer(derive(self.material, f"{name} payload v1"))


def parse_key(text: str, *, named: str) -> GivenKey:
    """A key from text: 32 characters or more of hex, base64 or anything else, white space around it dropped.

    The text is used as it stands, never decoded: one key has one spelling. ``named`` says where it came from. Raises
    ``SettingsError`` for one that is too short or too plain to be random.
    """
    material = text.strip().encode("utf-8", "surrogateescape")
    if len(material) < KEY_BYTES or len(set(material)) < _DISTINCT:
        raise SettingsError(
            f"{named} is no key: it needs {KEY_BYTES} random characters or more", hint="openssl rand -hex 32"
        )
    return GivenKey(material)


def key_file(store_file: Path, name: KeyName) -> Path:
    """Where the key of an SQLite store lies: ``store.db`` has ``store.receipt.key``."""
    return store_file.with_name(f"{store_file.stem}.{name}.key")


def load_key(path: Path) -> GivenKey | None:
    """The key in a file; None where there is no file. Raises ``StoreError`` for one that others may read."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"the key file {path} cannot be read: {os.strerror(error.errno or 0)}") from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"the key file {path} is not a regular file")
        if found.st_uid != os.geteuid():
            raise StoreError(f"the key file {path} belongs to another user (uid {found.st_uid})")
        if stat.S_IMODE(found.st_mode) & 0o077:
            raise StoreError(
                f"the key file {path} may be read by other users",
                hint=f"chmod 600 {path}; if anybody has read it, run `reconciler store rekey`",
            )
        text = os.read(handle, _FILE_BYTES).decode("utf-8", "replace")
    finally:
        os.close(handle)
    return parse_key(text, named=f"the key file {path}")


def load_or_create_key(path: Path) -> GivenKey:
    """The key in a file, made first (random, 0600, its folder 0700) where there is none. Two processes get one key."""
    found = load_key(path)
    if found is not None:
        return found
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        _write_key(fresh, secrets.token_hex(KEY_BYTES))
        try:
            os.link(fresh, path)  # fails where another process was faster: its key is the key
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise StoreError(f"the key file {path} cannot be written: {os.strerror(error.errno or 0)}") from None
    made = load_key(path)
    if made is None:
        raise StoreError(f"the key file {path} was removed while it was being made")
    return made


def _write_key(path: Path, text: str) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def inner_key(store: Store, name: KeyName, given: GivenKey) -> bytes:
    """The inner key of a store. Raises ``StoreError`` where the store was made with another key.

    A store that is open for writing remembers the first key that it is given. One that is open for reading and has
    seen none gives the inner key that this key would become, so that a plan shows the fingerprints an apply will.
    """
    with store.read() as connection:
        row = _row(connection, name)
    if row is None and store.writable:
        with store.begin() as connection:
            inner = given.first_inner(name)
            values = {
                "name": name,
                "check_value": given.check_value(name),
                "wrapped": given.wrap(name, inner),
                "created_at": to_text(store.now()),
                "rotated_at": None,
            }
            insert_new(connection, KEYS, values)  # another process may have been faster, with another key
            row = _row(connection, name)
    if row is None:
        return given.first_inner(name)
    if not _opens(row, name, given):
        raise StoreError(
            f"the store {store.shown} was made with another {name} key; nothing was changed",
            hint=f"give the key it was made with: {VARIABLES[name]}, or the key file beside the store",
        )
    return given.unwrap(name, row.wrapped)


def fits(connection: Connection, name: KeyName, given: GivenKey) -> bool | None:
    """Whether a key is the store's; None where the store has seen none yet."""
    row = _row(connection, name)
    return None if row is None else _opens(row, name, given)


def rekey(connection: Connection, name: KeyName, old: GivenKey, new: GivenKey, *, store: Store) -> None:
    """Wrap the inner key by a new given key, in the caller's transaction, where payloads are encrypted anew too."""
    row = _row(connection, name, lock=True)
    if row is None:
        raise StoreError(f"the store {store.shown} has no {name} key yet; there is nothing to rotate")
    if not _opens(row, name, old):
        raise StoreError(f"the old key is not the {name} key of the store {store.shown}; nothing was changed")
    inner = old.unwrap(name, row.wrapped)
    values = {
        "check_value": new.check_value(name),
        "wrapped": new.wrap(name, inner),
        "rotated_at": to_text(store.now()),
    }
    if connection.execute(update(KEYS).where(KEYS.c.name == name).values(**values)).rowcount != 1:
        raise InternalError(f"the {name} key vanished while it was rotated")


Turn = Callable[[Connection, GivenKey, GivenKey], None]
"""What makes a new key (the last one) a store's key, in a transaction."""


def rekey_file(store: Store, name: KeyName, path: Path, *, turn: Turn | None = None) -> GivenKey:
    """Rotate the key that lies in a file, and return the new one.

    A process killed half way leaves a pair that ``file_key`` puts right. ``turn`` stands in for ``rekey``.
    """
    old = file_key(store, name, path)
    fresh = _next(path)
    try:
        fresh.unlink(missing_ok=True)
        _write_key(fresh, secrets.token_hex(KEY_BYTES))
        _sync_folder(path.parent)
        new = load_key(fresh)
        if new is None:
            raise InternalError("the new key file vanished")
        # Where this fails the new file stays: whether a broken commit took effect only the next `file_key` can tell.
        with store.begin() as connection:
            if turn is None:
                rekey(connection, name, old, new, store=store)
            else:
                turn(connection, old, new)
        fresh.replace(path)
        _sync_folder(path.parent)
        return new
    except OSError as error:
        raise StoreError(f"the key file {path} cannot be replaced: {os.strerror(error.errno or 0)}") from None


def file_key(store: Store, name: KeyName, path: Path) -> GivenKey:
    """The key of a store whose key lies in a file; made where the store has none and is open for writing.

    Where ``rekey_file`` was killed between the store and the file, the new key is the store's: it is used, and the
    file is put right. Raises ``StoreError`` where the file is gone and the store needs it.
    """
    with store.read() as connection:
        known = _row(connection, name) is not None
        current = load_key(path)
        if known and (current is None or not fits(connection, name, current)):
            fresh = load_key(_next(path))
            if fresh is not None and fits(connection, name, fresh):
                if store.writable:
                    _next(path).replace(path)
                return fresh
    if current is not None:
        return current
    if known:
        raise StoreError(
            f"the key file {path} is gone, and the store {store.shown} was made with it",
            hint="restore the key file from a backup",
        )
    if store.writable:
        return load_or_create_key(path)
    # Nothing is recorded and nothing may be written: fingerprints of this run are for this run only.
    return GivenKey(secrets.token_hex(KEY_BYTES).encode())


def _next(path: Path) -> Path:
    return path.with_name(path.name + ".new")


def _row(connection: Connection, name: KeyName, *, lock: bool = False) -> Row[Any] | None:
    query = select(KEYS).where(KEYS.c.name == name)
    return connection.execute(query.with_for_update() if lock else query).one_or_none()


def _opens(row: Row[Any], name: KeyName, given: GivenKey) -> bool:
    return hmac.compare_digest(bytes(row.check_value), given.check_value(name))
