"""What can be wrong with a PostgreSQL store, and what it says; never a part of its URL that is secret."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from reconciler.errors import ReconcilerError, SettingsError, StoreError
from reconciler.store import maintenance, schema
from reconciler.store.database import Store, open_store
from tests.postgres import PASSWORD, Cluster

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def opened(url: str, *, write: bool = True) -> Store:
    return open_store(url, now=lambda: NOW, write=write)


def refusal(action: Callable[[], object]) -> tuple[str, str | None]:
    with pytest.raises(ReconcilerError) as caught:
        action()
    everything = "".join(map(repr, (caught.value, caught.value.message, caught.value.hint, caught.value.__cause__)))
    assert PASSWORD not in everything
    assert "canary" not in everything
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value.message, caught.value.hint


def shown(url: str) -> str:
    return "postgresql://" + url.partition("@")[2]


def test_a_store_is_shown_without_user_and_password(postgres_url: str) -> None:
    with opened(postgres_url + "?application_name=canary") as store:
        assert store.shown == shown(postgres_url)
        assert repr(store) == f"Store({shown(postgres_url)})"


def test_a_wrong_password_is_said_to_be_one(postgres_url: str) -> None:
    wrong = postgres_url.replace(PASSWORD, "canary-wrong")
    assert refusal(lambda: opened(wrong)) == (
        f"the store {shown(postgres_url)} refuses this user or password",
        "check the user and the password in `RECONCILER_STORE`",
    )


def test_a_database_that_is_not_there_is_said_to_be_missing(postgres_server: Cluster) -> None:
    url = postgres_server.url("nothing")
    assert refusal(lambda: opened(url, write=False)) == (
        f"the store {shown(url)} has no such database",
        "create it, or correct the name in `RECONCILER_STORE`",
    )


def test_a_server_that_is_not_there_is_said_to_be_out_of_reach() -> None:
    with socket.socket() as closed:  # bound, and not listening
        closed.bind(("127.0.0.1", 0))
        url = f"postgres://user:{PASSWORD}@127.0.0.1:{closed.getsockname()[1]}/db"
        assert refusal(lambda: opened(url)) == (
            f"the store {shown(url)} cannot be reached, or the connection broke",
            "is the server up, and is it this host and port?",
        )


def test_a_missing_driver_is_said_with_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.store.postgres.find_spec", lambda name: None)
    message, hint = refusal(lambda: opened(f"postgresql://user:{PASSWORD}@127.0.0.1/db"))
    assert message == "the setting `store` names PostgreSQL, and its driver is not installed"
    assert hint == "pip install 'reconciler[postgres]'"


@pytest.mark.parametrize("options", ["nonsense=canary", "keepalives=canary", "sslmode=canary"])
def test_options_that_the_driver_refuses_end_in_a_message(postgres_url: str, options: str) -> None:
    refusal(lambda: opened(f"{postgres_url}?{options}"))


def test_a_user_without_rights_is_told_what_to_grant(postgres_server: Cluster, postgres_url: str) -> None:
    database = postgres_url.rpartition("/")[2]
    role = f"r{database}"
    postgres_server.psql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")
    url = postgres_url.replace("//postgres:", f"//{role}:")
    try:
        assert refusal(lambda: opened(url)) == (
            f"the store {shown(url)} does not allow this to this user",
            "grant CREATE and USAGE on the schema, and rights on its tables",
        )
        with opened(url, write=False) as store:
            assert store.empty
    finally:
        postgres_server.psql(f"DROP ROLE {role}")


def test_a_connection_that_breaks_ends_in_a_message_and_the_next_one_works(
    postgres_server: Cluster, postgres_url: str
) -> None:
    database = postgres_url.rpartition("/")[2]
    ours = f"datname = '{database}' AND application_name = 'reconciler'"

    def cut(store: Store) -> None:
        with store.begin() as connection:
            connection.execute(text("SELECT 1"))
            postgres_server.psql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {ours}")
            connection.execute(text("SELECT 1"))

    with opened(postgres_url) as store:
        message, _ = refusal(lambda: cut(store))
        assert message in (
            f"the store {store.shown} is shutting down; this step was not recorded",
            f"the store {store.shown} cannot be reached, or the connection broke",
        )
        assert maintenance.check(store) == []


def test_reading_cannot_write_even_by_mistake(postgres_url: str) -> None:
    opened(postgres_url).close()
    with (
        opened(postgres_url, write=False) as store,
        pytest.raises(StoreError, match="is read-only"),
        store.read() as connection,
    ):
        connection.execute(text("DELETE FROM receipts"))


@pytest.mark.parametrize("write", [True, False])
def test_a_newer_store_is_refused(postgres_url: str, write: bool) -> None:
    with opened(postgres_url) as store, store.begin() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    assert refusal(lambda: opened(postgres_url, write=write)) == (
        f"the store {shown(postgres_url)} was made by a newer reconciler (schema 9999; this one knows"
        f" {schema.VERSIONS[-1]}); nothing was changed",
        "upgrade reconciler",
    )


def test_commits_wait_for_the_disk_and_every_statement_has_a_deadline(postgres_url: str) -> None:
    wanted = {
        "synchronous_commit": "on",
        "statement_timeout": "1min",
        "lock_timeout": "30s",
        "idle_in_transaction_session_timeout": "5min",
    }
    with opened(postgres_url) as store, store.begin() as connection:
        assert {it: connection.execute(text(f"SHOW {it}")).scalar() for it in wanted} == wanted


def test_a_url_without_a_database_is_a_wrong_setting() -> None:
    with pytest.raises(SettingsError, match="names no database"):
        opened("postgresql://user@127.0.0.1")
