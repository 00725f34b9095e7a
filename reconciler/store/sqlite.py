"""The SQLite side of ``database``: the file, the connections, and what its errors mean."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.exc import DBAPIError

from reconciler.errors import StoreError

APPLICATION_ID: Final = 0x52434C52
"""``RCLR`` in the file header: tells our files from those of other programs."""

BUSY_SECONDS: Final = 10.0
"""How long a write waits for another process's transaction."""

_IMMEDIATE: Final = "reconciler_immediate"


def prepare(path: Path, *, write: bool) -> bool:
    """Whether the file is there, after making it (0600, its folder 0700) where ``write`` asks for it.

    Refuses folders, special files and files of another user. A file that others may read is closed to them.
    """
    try:
        if write:
            _create(path)
        try:
            found = path.stat()
        except FileNotFoundError:
            return False
        _refuse_odd(path, found)
        if stat.S_IMODE(found.st_mode) & 0o077:
            _close_to_others(path)
    except OSError as error:
        raise StoreError(
            f"the store {path} cannot be opened: {os.strerror(error.errno or 0)}; nothing was changed"
        ) from None
    return True


def _create(path: Path) -> None:
    missing = [it for it in path.absolute().parents if not it.exists()]
    for folder in reversed(missing):
        folder.mkdir(mode=0o700, exist_ok=True)
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        return


def _refuse_odd(path: Path, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise StoreError(f"the store {path} is a folder, not a file", hint="name a file: sqlite:///PATH/store.db")
    if not stat.S_ISREG(found.st_mode):
        raise StoreError(f"the store {path} is not a regular file")
    if found.st_uid != os.geteuid():
        raise StoreError(
            f"the store {path} belongs to another user (uid {found.st_uid}; this process is uid {os.geteuid()});"
            " nothing was changed",
            hint="run as the user who owns it, or change its owner",
        )


def _close_to_others(path: Path) -> None:
    for it in (path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")):
        try:
            it.chmod(0o600)
        except FileNotFoundError:
            continue
        except OSError:
            raise StoreError(f"the store {path} may be read by other users", hint=f"chmod 600 {path}") from None


def engine(path: Path, *, write: bool) -> Engine:
    """Connections to the file with our settings on each of them."""
    made = create_engine(
        "sqlite://",
        creator=lambda: _connect(path, write=write),
        poolclass=_pool(),
        hide_parameters=True,
    )

    @event.listens_for(made, "begin")
    def begin(connection: Connection) -> None:
        immediate = connection.get_execution_options().get(_IMMEDIATE, False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")

    return made


def _pool() -> Any:
    from sqlalchemy.pool import QueuePool  # the dialect's choice for `sqlite://` is one for memory

    return QueuePool


def for_writing(connection: Connection) -> None:
    """Take the write lock at the start of the transaction, so that it never fails half way."""
    connection.execution_options(**{_IMMEDIATE: True})


def _connect(path: Path, *, write: bool) -> sqlite3.Connection:
    # SQLite waits for locks by itself, but not for these two: another process that turns WAL on, or closes the file
    # as its last user, at this very moment.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return _opened(path, write=write)
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY") or time.monotonic() > deadline:
                raise
            threading.Event().wait(0.01)


def _opened(path: Path, *, write: bool) -> sqlite3.Connection:
    where = quote(str(path.absolute()))
    if write:
        return _configured(f"file:{where}?mode=rw", path, write=True)
    try:
        return _configured(f"file:{where}?mode=ro", path, write=False)
    except sqlite3.OperationalError as error:
        # On a read-only file system SQLite cannot make the shared memory that WAL needs. Without a WAL there is
        # nothing to share: the file can be read as it stands.
        log = path.with_name(path.name + "-wal")
        name = error.sqlite_errorname
        if not name.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY")) or (log.exists() and log.stat().st_size):
            raise
        return _configured(f"file:{where}?mode=ro&immutable=1", path, write=False)


def _configured(uri: str, path: Path, *, write: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, check_same_thread=False, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA foreign_keys = ON")
        if not write:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            return connection
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON")
        if connection.execute("PRAGMA application_id").fetchone()[0] == 0 and _has_tables(connection):
            return connection  # another program's: leave every byte of it alone; ``refuse_foreign`` says so
        mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                f"the store {path} lies on a file system where SQLite cannot share memory",
                hint="use a local disk, or PostgreSQL",
            )
    except BaseException:
        connection.close()
        raise
    return connection


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def refuse_foreign(connection: Connection, shown: str) -> None:
    """Raise ``StoreError`` for a database that another program made."""
    made_by = connection.execute(text("PRAGMA application_id")).scalar_one()
    tables = connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar_one()
    if made_by != APPLICATION_ID and (tables or made_by):
        raise StoreError(f"the store {shown} is the database of another program; nothing was changed")


_MEANING: Final = (
    ("SQLITE_FULL", "cannot be written: the disk is full; this step was not recorded", "free some space"),
    ("SQLITE_IOERR", "cannot be read or written: input/output error; this step was not recorded", "is the disk full?"),
    ("SQLITE_CORRUPT", "is damaged", "run `reconciler store check`, then restore a backup"),
    ("SQLITE_NOTADB", "is not a database; nothing was changed", "name another file in the setting `store`"),
    ("SQLITE_READONLY", "is read-only; this step was not recorded", "check the file's and the folder's permissions"),
    ("SQLITE_PERM", "is read-only; this step was not recorded", "check the file's and the folder's permissions"),
    ("SQLITE_BUSY", "is locked by another process; this step was not recorded", "wait for it to end, then repeat"),
    ("SQLITE_LOCKED", "is locked by another process; this step was not recorded", "wait for it to end, then repeat"),
    ("SQLITE_PROTOCOL", "lies on a file system without working locks", "use a local disk, or PostgreSQL"),
    ("SQLITE_NOLFS", "has outgrown its file system", "use another disk"),
    ("SQLITE_CANTOPEN", "cannot be opened", "check the file's and the folder's permissions"),
)


def explain(error: DBAPIError) -> tuple[str, str | None]:
    """What happened, to follow ``the store PATH``, and what to do. Never the database's own text."""
    name = str(getattr(error.orig, "sqlite_errorname", None) or type(error.orig).__name__)
    for prefix, what, hint in _MEANING:
        if name.startswith(prefix):
            return what, hint
    return f"refused a statement ({name}); this step was not recorded", None
