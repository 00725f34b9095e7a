"""A wrong key is refused, a rotated one changes no fingerprint, and no key lies in the store, on both databases."""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select, update

from reconciler.errors import SettingsError, StoreError
from reconciler.store import keys
from reconciler.store.crypto import Fingerprints, Sealer
from reconciler.store.database import Store, open_store
from reconciler.store.schema import KEYS

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
FIRST = "first-key-c4n4ry-0123456789abcdefghijklm"
SECOND = "second-key-c4n4ry-0123456789abcdefghijkl"


def given(text: str) -> keys.GivenKey:
    return keys.parse_key(text, named="RECONCILER_RECEIPT_KEY")


def test_the_first_key_becomes_the_stores_and_another_one_is_refused(store: Store) -> None:
    inner = keys.inner_key(store, "receipt", given(FIRST))
    assert keys.inner_key(store, "receipt", given(f"  {FIRST}\n")) == inner
    with pytest.raises(StoreError) as caught:
        keys.inner_key(store, "receipt", given(SECOND))
    assert caught.value.message == f"the store {store.shown} was made with another receipt key; nothing was changed"


def test_receipt_and_ledger_keys_are_apart_even_where_the_same_key_is_given(store: Store) -> None:
    assert keys.inner_key(store, "receipt", given(FIRST)) != keys.inner_key(store, "ledger", given(FIRST))


def test_a_store_that_is_not_there_yet_gives_the_fingerprints_that_it_will_have(store_url: str) -> None:
    with open_store(store_url, now=lambda: NOW, write=False) as nothing:
        before = keys.inner_key(nothing, "receipt", given(FIRST))
    with open_store(store_url, now=lambda: NOW, write=True) as made:
        assert keys.inner_key(made, "receipt", given(FIRST)) == before


def test_rotation_keeps_every_fingerprint_and_refuses_the_old_key(store: Store) -> None:
    inner = keys.inner_key(store, "receipt", given(FIRST))
    with store.begin() as connection:
        keys.rekey(connection, "receipt", given(FIRST), given(SECOND), store=store)
    assert keys.inner_key(store, "receipt", given(SECOND)) == inner
    with pytest.raises(StoreError, match="another receipt key"):
        keys.inner_key(store, "receipt", given(FIRST))


def test_rotation_with_a_wrong_old_key_or_without_any_changes_nothing(store: Store) -> None:
    with pytest.raises(StoreError, match="no receipt key yet"), store.begin() as connection:
        keys.rekey(connection, "receipt", given(FIRST), given(SECOND), store=store)
    inner = keys.inner_key(store, "receipt", given(FIRST))
    with pytest.raises(StoreError, match="the old key is not the receipt key"), store.begin() as connection:
        keys.rekey(connection, "receipt", given(SECOND), given(FIRST), store=store)
    assert keys.inner_key(store, "receipt", given(FIRST)) == inner


def test_a_damaged_wrapped_key_is_said_to_be_damaged(store: Store) -> None:
    keys.inner_key(store, "receipt", given(FIRST))
    with store.begin() as connection:
        connection.execute(update(KEYS).values(wrapped=b"x" * 60))
    with pytest.raises(StoreError, match="the receipt key in the store is damaged"):
        keys.inner_key(store, "receipt", given(FIRST))


def test_no_key_lies_in_the_store_in_any_form(store: Store) -> None:
    inner = keys.inner_key(store, "receipt", given(FIRST))
    with store.begin() as connection:
        keys.rekey(connection, "receipt", given(FIRST), given(SECOND), store=store)
    with store.read() as connection:
        dump = repr(connection.execute(select(KEYS)).all()).encode()
    if store.path is not None:
        for it in store.path.parent.iterdir():
            dump += it.read_bytes()
    for secret in (FIRST.encode(), SECOND.encode(), inner):
        for form in (secret, base64.b64encode(secret)[:40], secret.hex().encode(), repr(secret)[2:-1].encode()):
            assert form not in dump


@pytest.mark.parametrize("wrong", ["", "short", "x" * 64, "0123456789abcdef0123456789abcde", "ab" * 40])
def test_a_key_that_is_too_short_or_too_plain_is_refused_without_being_repeated(wrong: str) -> None:
    with pytest.raises(SettingsError) as caught:
        given(wrong)
    assert caught.value.message == "RECONCILER_RECEIPT_KEY is no key: it needs 32 random characters or more"


def test_reprs_hold_no_key() -> None:
    assert [repr(it) for it in (given(FIRST), Fingerprints(b"k" * 32), Sealer(b"k" * 32))] == [
        "GivenKey(…)",
        "Fingerprints(…)",
        "Sealer(…)",
    ]


def test_a_key_file_is_made_once_closed_to_others_and_reused(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "made" / "store.receipt.key"
    first = keys.file_key(store, "receipt", path)
    assert keys.file_key(store, "receipt", path) == first
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [it.name for it in path.parent.iterdir()] == ["store.receipt.key"]


def test_a_lost_key_file_is_not_replaced_by_another_key(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "store.receipt.key"
    keys.inner_key(store, "receipt", keys.file_key(store, "receipt", path))
    path.unlink()
    with pytest.raises(StoreError, match="is gone, and the store"):
        keys.file_key(store, "receipt", path)
    assert not path.exists()


def test_reading_makes_no_key_file(store_url: str, tmp_path: Path) -> None:
    path = tmp_path / "store.receipt.key"
    with open_store(store_url, now=lambda: NOW, write=False) as nothing:
        keys.inner_key(nothing, "receipt", keys.file_key(nothing, "receipt", path))
    assert not path.exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "store.receipt.key"
    keys.load_or_create_key(path)
    path.chmod(mode)
    with pytest.raises(StoreError, match="may be read by other users"):
        keys.load_key(path)


def test_a_key_file_that_is_a_folder_a_pipe_or_binary_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    (tmp_path / "short").write_bytes(b"\xff\xfe")
    (tmp_path / "short").chmod(0o600)
    for name, error in (("folder", StoreError), ("pipe", StoreError), ("short", SettingsError)):
        with pytest.raises(error):
            keys.load_key(tmp_path / name)


def test_a_rotated_key_file_opens_the_same_inner_key(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "store.receipt.key"
    old = keys.file_key(store, "receipt", path)
    inner = keys.inner_key(store, "receipt", old)
    keys.rekey_file(store, "receipt", path)
    new = keys.file_key(store, "receipt", path)
    assert new != old
    assert keys.inner_key(store, "receipt", new) == inner
    assert [it.name for it in tmp_path.glob("*.key*")] == ["store.receipt.key"]


@pytest.mark.parametrize("committed", [True, False])
def test_a_rotation_killed_between_store_and_file_is_put_right(store: Store, tmp_path: Path, committed: bool) -> None:
    path, fresh = tmp_path / "store.receipt.key", tmp_path / "store.receipt.key.new"
    old = keys.file_key(store, "receipt", path)
    inner = keys.inner_key(store, "receipt", old)
    new = keys.load_or_create_key(fresh)
    if committed:
        with store.begin() as connection:
            keys.rekey(connection, "receipt", old, new, store=store)
    found = keys.file_key(store, "receipt", path)
    assert found == (new if committed else old)
    assert keys.inner_key(store, "receipt", found) == inner
    assert keys.load_key(path) == found
    keys.rekey_file(store, "receipt", path)
    assert keys.inner_key(store, "receipt", keys.file_key(store, "receipt", path)) == inner


def test_fingerprints_are_stable_keyed_and_bound_to_their_path() -> None:
    prints = Fingerprints(bytes(range(32)))
    assert prints.of("properties.practice.id", "x") == "#" + prints.full("properties.practice.id", "x")[:8]
    assert len(prints.full("a", "b")) == 32
    others = {
        prints.full("a", "bc"),
        prints.full("ab", "c"),
        prints.full("", "abc"),
        prints.full("abc", ""),
        Fingerprints(bytes(32)).full("a", "bc"),
    }
    assert len(others) == 5
    assert prints.full("a", "\ud800")


def test_a_sealed_payload_opens_only_with_its_key_in_its_place_and_unchanged() -> None:
    sealer = given(FIRST).sealer("ledger")
    sealed = sealer.seal(b"payload", b"row 1")
    assert sealer.open(sealed, b"row 1") == b"payload"
    assert sealer.seal(b"payload", b"row 1") != sealed
    assert b"payload" not in sealed
    with pytest.raises(StoreError, match="another key"):
        given(SECOND).sealer("ledger").open(sealed, b"row 1")
    with pytest.raises(StoreError, match="not where it was written"):
        sealer.open(sealed, b"row 2")
    for at in range(5, len(sealed)):
        with pytest.raises(StoreError, match="damaged"):
            sealer.open(sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :], b"row 1")
    for size in range(len(sealed)):
        with pytest.raises(StoreError):
            sealer.open(sealed[:size], b"row 1")
