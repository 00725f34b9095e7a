"""Opening a store and running transactions in it.

``open_store`` takes ``sqlite:///PATH`` or ``postgresql://…``. A store opened for writing is created and migrated by
itself; one opened for reading never creates or changes anything, and is empty where there is nothing yet. Whatever the
database says comes out as ``errors.StoreError`` that holds neither a value nor anything of the URL that may be secret.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from sqlalchemy import URL, Connection, Engine, create_engine, inspect, make_url, select, table, text
from sqlalchemy import column as sql_column
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from reconciler.errors import InternalError, SettingsError, StoreError
from reconciler.store import postgres, schema, sqlite
from reconciler.store.migrate import migrate

_VERSION = table(schema.VERSION_TABLE, sql_column("version_num"))


class Store:
    """An open store. Close it, or use it as a context manager; safe to share between threads."""

    def __init__(
        self, engine: Engine, *, shown: str, now: Callable[[], datetime], writable: bool, path: Path | None, empty: bool
    ) -> None:
        self._engine = engine
        self._writing = threading.Lock()
        self._writer: int | None = None
        self.shown = shown
        """How messages name the store: a path, or host and database."""
        self.now = now
        self.writable = writable
        self.path = path
        """The file of an SQLite store; None with PostgreSQL."""
        self.empty = empty
        """Opened for reading, and there is nothing yet."""

    def __repr__(self) -> str:
        return f"Store({self.shown})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def close(self) -> None:
        """Close every connection. Calling it twice is harmless."""
        self._engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction for writing: all of it is durable after the block, or none of it where the block raises.

        On SQLite one writer at a time; do not open a second one inside the block, and make no request inside it.
        """
        if not self.writable:
            raise InternalError(f"the store {self.shown} was opened for reading only")
        if self.dialect == "postgresql":
            with self._translated(), self._engine.begin() as connection:
                yield connection
            return
        me = threading.get_ident()
        if self._writer == me:
            raise InternalError("a transaction was opened inside another one")
        with self._writing:
            self._writer = me
            try:
                with self._translated(), self._engine.connect() as connection:
                    sqlite.for_writing(connection)
                    with connection.begin():
                        yield connection
            finally:
                self._writer = None

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One snapshot: everything read in the block is of the same moment."""
        with self._translated(), self._engine.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin():
                yield connection

    @contextmanager
    def _translated(self) -> Iterator[None]:
        with translated(self.shown, self.dialect):
            yield


@contextmanager
def translated(shown: str, dialect: str) -> Iterator[None]:
    """Turn what the database raises into a ``StoreError``; the original is dropped, since it may hold values."""
    try:
        yield
    except UnicodeDecodeError:  # bytes in the file that no text of ours has
        raise StoreError(
            f"the store {shown} is damaged: it holds text that is none",
            hint="run `reconciler store check`, then restore a backup",
        ) from None
    except DBAPIError as error:
        explain = postgres.explain if dialect == "postgresql" else sqlite.explain
        what, hint = explain(error)
        raise StoreError(f"the store {shown} {what}", hint=hint) from None
    except SQLAlchemyError as error:
        raise StoreError(f"the store {shown} cannot be used ({type(error).__name__})") from None


def open_store(url: str, *, now: Callable[[], datetime], write: bool) -> Store:
    """Open the store that ``url`` names.

    ``write=True`` creates and migrates it where needed. ``write=False`` changes nothing: a store that is not there gives
    an empty one, an older schema is refused with the command that migrates it. Raises ``SettingsError`` for a URL that
    cannot be used and ``StoreError`` for a store that cannot.
    """
    parsed = _parse(url)
    if parsed.get_backend_name() == "postgresql":
        return _open_postgres(parsed, now=now, write=write)
    return _open_sqlite(parsed, now=now, write=write)


def _parse(url: str) -> URL:
    hint = "sqlite:///PATH or postgresql://USER@HOST/DATABASE"
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise SettingsError("the setting `store` is not a URL", hint=hint) from None
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        if not parsed.database:
            raise SettingsError("the setting `store` names no database", hint=hint)
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername != "sqlite":
        raise SettingsError("the setting `store` names a database that is not supported", hint=hint)
    if not parsed.database or parsed.database == ":memory:" or parsed.host or parsed.query:
        raise SettingsError("the setting `store` names no SQLite file", hint="sqlite:///PATH, without host or options")
    return parsed


def _open_sqlite(url: URL, *, now: Callable[[], datetime], write: bool) -> Store:
    path = Path(url.database or "")
    shown = str(path)
    exists = sqlite.prepare(path, write=write)
    if not exists and not write:
        return _nothing_yet(shown, now=now, path=path)
    engine = sqlite.engine(path, write=write)
    store = Store(engine, shown=shown, now=now, writable=write, path=path, empty=False)
    return _checked(store, write=write)


def _open_postgres(url: URL, *, now: Callable[[], datetime], write: bool) -> Store:
    shown = postgres.shown(url)
    store = Store(postgres.engine(url, write=write), shown=shown, now=now, writable=write, path=None, empty=False)
    return _checked(store, write=write)


def _nothing_yet(shown: str, *, now: Callable[[], datetime], path: Path | None) -> Store:
    """An empty store in memory that nobody can write to."""
    engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    schema.METADATA.create_all(engine)
    return Store(engine, shown=shown, now=now, writable=False, path=path, empty=True)


def _checked(store: Store, *, write: bool) -> Store:
    """The store once its schema is known to be ours and current; closed where it is not."""
    try:
        version = _version(store)
        if version == schema.VERSIONS[-1]:
            return store
        if version is not None and version not in schema.VERSIONS:
            raise StoreError(
                f"the store {store.shown} was made by a newer reconciler (schema {version}; this one knows"
                f" {schema.VERSIONS[-1]}); nothing was changed",
                hint="upgrade reconciler",
            )
        if write:
            with store.begin() as connection:
                migrate(connection)
            return store
        if version is None:
            store.close()
            return _nothing_yet(store.shown, now=store.now, path=store.path)
        raise StoreError(
            f"the store {store.shown} has an older schema ({version}; this reconciler needs {schema.VERSIONS[-1]})",
            hint="run `reconciler store migrate`",
        )
    except BaseException:
        store.close()
        raise


def _version(store: Store) -> str | None:
    """The schema version of a store of ours; None where the database is empty."""
    with store.read() as connection:
        if store.dialect == "sqlite":
            sqlite.refuse_foreign(connection, store.shown)
        if not inspect(connection).has_table(schema.VERSION_TABLE):
            return None
        return connection.execute(select(_VERSION.c.version_num)).scalar()


def integrity(store: Store) -> list[str]:
    """What the database itself finds wrong with its file; nothing with PostgreSQL, which checks its own pages."""
    if store.dialect != "sqlite":
        return []
    with store.read() as connection:
        found = [str(row[0]) for row in connection.execute(text("PRAGMA integrity_check(20)"))]
    return [] if found == ["ok"] else [f"the file is damaged: {it}" for it in found]
