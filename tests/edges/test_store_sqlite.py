"""What can be wrong with an SQLite store, and what it says."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from reconciler.core.records import FieldReceipt, Intent, ObjectReceipt
from reconciler.errors import InternalError, SettingsError, StoreError
from reconciler.store import audit, journal, maintenance, receipts, schema
from reconciler.store.database import Store, open_store

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "store.db"


def opened(path: Path, *, write: bool = True) -> Store:
    return open_store(f"sqlite:///{path}", now=lambda: NOW, write=write)


def receipt(number: int, size: int = 1) -> ObjectReceipt:
    return ObjectReceipt(
        kind="group",
        business=number,
        slug=f"b{number:05}",
        group_id=number,
        at=NOW,
        plan_id="plan-1",
        fields=tuple(FieldReceipt(f"p{n}", "0f" * 16, NOW, "plan-1") for n in range(size)),
    )


def filled(path: Path, count: int = 200) -> None:
    with opened(path) as store, store.begin() as connection:
        receipts.put_objects(connection, [receipt(n) for n in range(count)])
        audit.append(connection, {"operation": "apply"}, at=NOW)


def refusal(path: Path, *, write: bool) -> str:
    with pytest.raises(StoreError) as caught:
        opened(path, write=write).close()
    return caught.value.message


def test_a_new_store_and_its_folders_are_closed_to_others_whatever_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "store.db"
    before = os.umask(0)
    try:
        with opened(path) as store, store.begin() as connection:
            receipts.put_object(connection, receipt(1))
            modes = {it.name: it.stat().st_mode & 0o777 for it in path.parent.iterdir()}
    finally:
        os.umask(before)
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}
    assert [it.stat().st_mode & 0o777 for it in (path.parent, path.parent.parent)] == [0o700, 0o700]


def test_reading_makes_neither_file_nor_folder(path: Path) -> None:
    with opened(path, write=False) as store:
        assert store.empty
    assert not path.parent.exists()


def test_every_connection_is_durable_and_checked(path: Path) -> None:
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "trusted_schema": 0}
    with opened(path) as store, store.read() as one, store.read() as two:
        for connection in (one, two):
            found = {key: connection.execute(text(f"PRAGMA {key}")).scalar() for key in wanted}
            assert found == wanted


def test_a_store_that_others_could_read_is_closed_to_them(path: Path) -> None:
    filled(path)
    for write in (True, False):
        path.chmod(0o644)
        opened(path, write=write).close()
        assert path.stat().st_mode & 0o777 == 0o600


def test_an_empty_file_becomes_a_store_and_reads_as_an_empty_one(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    with opened(path, write=False) as store:
        assert store.empty
    assert path.stat().st_size == 0
    filled(path)


@pytest.mark.parametrize("write", [True, False])
def test_a_text_file_is_refused_and_left_alone(path: Path, write: bool) -> None:
    path.parent.mkdir()
    path.write_text("version: 1\n" * 500)
    assert refusal(path, write=write) == f"the store {path} is not a database; nothing was changed"
    assert path.read_text() == "version: 1\n" * 500


@pytest.mark.parametrize("write", [True, False])
def test_a_folder_or_a_pipe_is_refused(path: Path, write: bool) -> None:
    path.mkdir(parents=True)
    assert refusal(path, write=write) == f"the store {path} is a folder, not a file"
    path.rmdir()
    os.mkfifo(path)
    assert refusal(path, write=write) == f"the store {path} is not a regular file"


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be opened: " in refusal(tmp_path / "file" / "store.db", write=True)


@pytest.mark.parametrize("write", [True, False])
def test_the_database_of_another_program_is_refused_and_left_alone(path: Path, write: bool) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (a)")
    other.commit()
    other.close()
    before = path.read_bytes()
    assert refusal(path, write=write) == (f"the store {path} is the database of another program; nothing was changed")
    assert path.read_bytes() == before


@pytest.mark.parametrize("write", [True, False])
def test_a_newer_store_is_refused(path: Path, write: bool) -> None:
    filled(path)
    with opened(path) as store, store.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    assert refusal(path, write=write) == (
        f"the store {path} was made by a newer reconciler (schema 9999; this one knows {schema.VERSIONS[-1]});"
        " nothing was changed"
    )


def test_an_older_store_is_refused_for_reading_with_the_command_that_migrates(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(path)
    monkeypatch.setattr(schema, "VERSIONS", (*schema.VERSIONS, "9999"))
    with pytest.raises(StoreError, match="has an older schema") as caught:
        opened(path, write=False)
    assert caught.value.hint == "run `reconciler store migrate`"


def test_a_damaged_header_or_first_page_is_refused(path: Path) -> None:
    filled(path)
    whole = path.read_bytes()
    path.write_bytes(b"X" * 16 + whole[16:])
    assert refusal(path, write=True) == f"the store {path} is not a database; nothing was changed"
    path.write_bytes(whole[:100] + b"\xff" * 300 + whole[400:])
    assert refusal(path, write=True) == f"the store {path} is damaged"


def test_flipped_bytes_are_found_or_harmless_and_never_a_traceback(path: Path) -> None:
    filled(path)
    with opened(path, write=False) as store, store.read() as connection:
        expected = receipts.recorded(connection)
    whole = path.read_bytes()
    found = 0
    for at in range(4096, len(whole), len(whole) // 60):
        path.write_bytes(whole[:at] + bytes(it ^ 0xFF for it in whole[at : at + 64]) + whole[at + 64 :])
        for leftover in path.parent.glob("store.db-*"):
            leftover.unlink()
        try:
            with opened(path, write=False) as store:
                if maintenance.check(store):
                    found += 1
                    continue
                with store.read() as connection:
                    assert receipts.recorded(connection) == expected
        except StoreError:
            found += 1
    assert found > 10


def test_a_record_that_cannot_be_read_is_named_by_check(path: Path) -> None:
    filled(path)
    with opened(path) as store:
        assert maintenance.check(store) == []
        with store.begin() as connection:
            connection.execute(text("UPDATE receipts SET fields = '[{]' WHERE business = 7"))
            connection.execute(text("UPDATE audit SET entry = '{}'"))
            journal.open_intent(connection, Intent("i1", "plan-1", "c1", "group", 7, "skin", "G+", NOW))
        assert maintenance.check(store) == [
            "a receipt cannot be read",
            "intent i1 (G+, skin, plan plan-1) has no outcome; run apply again",
            "the audit chain is broken: record 1 is not what was written",
        ]
        with pytest.raises(StoreError, match="holds a receipt that cannot be read"), store.read() as connection:
            receipts.recorded(connection)


def integrity(path: Path) -> list[str]:
    with opened(path) as store:
        return maintenance.check(store)


def put_until_it_fails(store: Store) -> tuple[int, str]:
    """How many receipts were recorded, one transaction each, before the first that was not, and its message."""
    for number in range(10_000, 12_000):
        try:
            with store.begin() as connection:
                receipts.put_object(connection, receipt(number, size=50))
        except StoreError as error:
            return number - 10_000, error.message
    raise AssertionError("nothing failed")


def test_a_full_disk_is_said_once_and_loses_nothing_before_it(path: Path) -> None:
    filled(path)
    with opened(path) as store:
        with store.begin() as connection:
            connection.execute(text("PRAGMA max_page_count = 120"))
        done, message = put_until_it_fails(store)
        assert message == f"the store {path} cannot be written: the disk is full; this step was not recorded"
        with store.read() as connection:
            assert len(receipts.objects(connection)) == 200 + done
    assert integrity(path) == []


def test_a_file_size_limit_ends_in_a_message_and_loses_nothing_before_it(path: Path) -> None:
    filled(path)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with opened(path) as store:
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
            done, message = put_until_it_fails(store)
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            with store.read() as connection:
                assert len(receipts.objects(connection)) == 200 + done
            with store.begin() as connection:
                receipts.put_object(connection, receipt(20_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert message.startswith(f"the store {path} cannot be ")
    assert message.endswith("this step was not recorded")
    assert integrity(path) == []


def test_a_writer_waits_for_another_process_and_then_says_who_is_in_the_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reconciler.store.sqlite.BUSY_SECONDS", 0.2)
    filled(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        with opened(path) as store:
            with pytest.raises(StoreError) as caught, store.begin() as connection:
                receipts.put_object(connection, receipt(1))
            with store.read() as connection:
                assert len(receipts.objects(connection)) == 200
    finally:
        other.close()
    assert caught.value.message == f"the store {path} is locked by another process; this step was not recorded"


def test_a_transaction_inside_another_is_a_defect_not_a_deadlock(path: Path) -> None:
    with opened(path) as store, store.begin(), pytest.raises(InternalError, match="inside another"), store.begin():
        pass


WRITE_AND_DIE = """
    import os, signal, sys
    from datetime import UTC, datetime
    from sqlalchemy import text
    from reconciler.store.database import open_store
    now = lambda: datetime(2026, 11, 24, tzinfo=UTC)
    store = open_store("sqlite:///" + sys.argv[1], now=now, write=True)
    with store.begin() as connection:
        connection.execute(text("DELETE FROM receipts WHERE business >= 100"))
    with store.begin() as connection:
        connection.execute(text("PRAGMA cache_spill = 1"))
        connection.execute(text("UPDATE receipts SET slug = 'half done'"))
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_process_killed_inside_a_transaction_leaves_all_before_it_and_none_of_it(path: Path) -> None:
    filled(path)
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(WRITE_AND_DIE), str(path)], timeout=30, check=False)
    assert killed.returncode == -signal.SIGKILL
    with opened(path, write=False) as store, store.read() as connection:
        assert [it.slug for it in receipts.objects(connection)] == [f"b{n:05}" for n in range(100)]
    assert integrity(path) == []


MIGRATE_AND_DIE = """
    import os, signal, sys
    from datetime import UTC, datetime
    from reconciler.store import database
    from reconciler.store.migrate import migrate
    def half(connection):
        migrate(connection)
        os.kill(os.getpid(), signal.SIGKILL)
    database.migrate = half
    database.open_store("sqlite:///" + sys.argv[1], now=lambda: datetime(2026, 11, 24, tzinfo=UTC), write=True)
"""


def test_a_process_killed_while_it_makes_the_store_leaves_one_that_can_be_made(path: Path) -> None:
    script = textwrap.dedent(MIGRATE_AND_DIE)
    killed = subprocess.run([sys.executable, "-c", script, str(path)], timeout=30, check=False)
    assert killed.returncode == -signal.SIGKILL
    with opened(path, write=False) as store:
        assert store.empty
    filled(path)
    assert integrity(path) == []


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that every user can reach, for a process that is not root."""
    folder = Path("/tmp") / f"reconciler-store-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


AS_NOBODY = """
    import os, sys
    import alembic.command, encodings.idna, sqlalchemy.dialects.sqlite, sqlite3
    from datetime import UTC, datetime
    from reconciler.errors import StoreError
    from reconciler.store import receipts
    from reconciler.store.database import open_store
    if os.geteuid() == 0:  # after the imports: the interpreter may lie where only root can read
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    url = "sqlite:///" + sys.argv[1]
    def attempt(write):
        try:
            with open_store(url, now=lambda: datetime(2026, 11, 24, tzinfo=UTC), write=write) as store:
                with store.read() as connection:
                    return f"{len(receipts.objects(connection))} receipts"
        except StoreError as error:
            return error.message.replace(sys.argv[1], "PATH")
    print(attempt(False))
    print(attempt(True))
"""


def said_to_nobody(path: Path) -> list[str]:
    """What a user without privileges hears when opening a store for reading, then for writing."""
    words = [sys.executable, "-c", textwrap.dedent(AS_NOBODY), str(path)]
    done = subprocess.run(words, timeout=30, check=True, capture_output=True, text=True, cwd="/")
    return done.stdout.splitlines()


def give(path: Path) -> None:
    if os.geteuid() == 0:
        for it in (path.parent, *path.parent.iterdir()):
            os.chown(it, 65534, 65534)


def test_a_read_only_folder_can_be_read_and_refuses_to_be_written(world: Path) -> None:
    path = world / "folder" / "store.db"
    filled(path)
    give(path)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert said_to_nobody(path) == ["200 receipts", "the store PATH is read-only; this step was not recorded"]
    finally:
        path.parent.chmod(0o700)


def test_a_folder_where_nothing_can_be_made_is_said_to_be_so(world: Path) -> None:
    folder = world / "folder"
    folder.mkdir()
    give(folder / "store.db")
    folder.chmod(0o500)
    said = said_to_nobody(folder / "store.db")
    folder.chmod(0o700)
    assert said == ["0 receipts", "the store PATH cannot be opened: Permission denied; nothing was changed"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_a_store_of_another_user_is_refused(path: Path) -> None:
    filled(path)
    os.chown(path, 65534, 65534)
    for write in (True, False):
        assert refusal(path, write=write) == (
            f"the store {path} belongs to another user (uid 65534; this process is uid 0); nothing was changed"
        )


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "the setting `store` is not a URL"),
        ("store.db", "the setting `store` is not a URL"),
        ("sqlite://", "the setting `store` names no SQLite file"),
        ("sqlite:///:memory:", "the setting `store` names no SQLite file"),
        ("sqlite://host/store.db", "the setting `store` names no SQLite file"),
        ("sqlite:///store.db?mode=ro", "the setting `store` names no SQLite file"),
        ("mysql://user:canary@host/db", "the setting `store` names a database that is not supported"),
        ("postgresql+psycopg2://user:canary@host/db", "the setting `store` names a database that is not supported"),
        ("postgresql://user:canary@host:port/db", "the setting `store` is not a URL"),
    ],
)
def test_a_setting_that_names_no_store_is_refused_without_being_repeated(url: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_store(url, now=lambda: NOW, write=True)
    assert caught.value.message == message


def test_a_relative_path_and_odd_characters_in_it_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a b", "50%", "ä#ö", "what&that"):
        filled(Path(name) / "store.db", count=1)
        assert (tmp_path / name / "store.db").exists()
        with opened(Path(name) / "store.db", write=False) as store, store.read() as connection:
            assert len(receipts.objects(connection)) == 1
