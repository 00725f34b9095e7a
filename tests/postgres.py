"""A private PostgreSQL cluster for the test session: started on first use, stopped and removed at its end.

Any test may ask for ``postgres_url``: the URL of an empty database of its own, with a password in it; or for
``postgres_store_url``: one that is a new store already. Without PostgreSQL the test is skipped; where ``CI=true`` it
fails instead.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest

from reconciler.store.database import open_store

PASSWORD = "canary-5up3r"  # made up here, for the cluster that this process makes
TIMEOUT = 60.0
REQUIRED = os.environ.get("CI") == "true"  # read once, before conftest hides it from the tests


class Cluster:
    """A server on 127.0.0.1 with one superuser, ``postgres``."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self._folder = Path(tempfile.mkdtemp(prefix="reconciler-pg-"))
        self._log = self._folder / "log"
        self.port = 0
        # The server refuses to run as root: then it runs as the user whom its package made, or as nobody.
        self._as: list[str] = []
        if os.geteuid() == 0:
            names = {it.pw_name for it in pwd.getpwall()}
            user = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
            self._as = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
            os.chown(self._folder, user.pw_uid, user.pw_gid)

    def start(self) -> None:
        secret = self._folder / "password"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        data = str(self._folder / "data")
        words = [
            "-U",
            "postgres",
            "--auth=scram-sha-256",
            f"--pwfile={secret}",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        self._run("initdb", "-D", data, *words)
        for attempt in range(5):
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", 0))
                self.port = probe.getsockname()[1]
            options = {
                "port": self.port,
                "listen_addresses": "127.0.0.1",
                "unix_socket_directories": self._folder,
                "fsync": "off",
                "full_page_writes": "off",
                "shared_buffers": "32MB",
                "max_connections": 60,
            }
            line = " ".join(f"-c {key}={value}" for key, value in options.items())
            try:
                self._run("pg_ctl", "-D", data, "-l", str(self._log), "-w", "-t", "30", "-o", line, "start")
                return
            except subprocess.CalledProcessError:  # somebody else took the port
                if attempt == 4:
                    raise

    def stop(self) -> None:
        try:
            self._run("pg_ctl", "-D", str(self._folder / "data"), "-m", "immediate", "-w", "stop")
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def psql(self, statement: str, *, database: str = "postgres") -> str:
        """Run one statement as the superuser and return what it says, unaligned."""
        words = ["-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database, "-XAtc", statement]
        return self._run("psql", *words)

    def url(self, database: str) -> str:
        return f"postgresql://postgres:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    @contextmanager
    def database(self, *, template: str = "template1") -> Iterator[str]:
        """The name of a new database, which is gone after the block. Nobody may be connected to the template."""
        name = f"t{uuid4().hex}"
        self.psql(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield name
        finally:
            self.psql(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, program: str, *words: str) -> str:
        # Output goes to a file, not a pipe: the server would inherit the pipe and keep it open.
        with tempfile.TemporaryFile("w+") as out:
            subprocess.run(
                [*self._as, str(self._binaries / program), *words],
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.environ.get("PATH", ""), "PGPASSWORD": PASSWORD, "LC_ALL": "C"},
                timeout=TIMEOUT,
            )
            out.seek(0)
            return out.read().strip()


def _binaries() -> Path | None:
    found = [it for it in Path("/usr/lib/postgresql").glob("*/bin") if (it / "initdb").exists()]
    if found:
        return max(found, key=lambda it: float(it.parent.name))
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Cluster]:
    binaries = _binaries()
    if binaries is None:
        if REQUIRED:
            pytest.fail("PostgreSQL is not installed, and CI must not skip its tests")
        pytest.skip("PostgreSQL is not installed")
    cluster = Cluster(binaries)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def postgres_url(postgres_server: Cluster) -> Iterator[str]:
    with postgres_server.database() as name:
        yield postgres_server.url(name)


@pytest.fixture(scope="session")
def postgres_template(postgres_server: Cluster) -> Iterator[str]:
    """The name of a database that is a new store: copying it is quicker than making each from nothing."""
    with postgres_server.database() as name:
        open_store(postgres_server.url(name), now=lambda: datetime.now(UTC), write=True).close()
        yield name


@pytest.fixture
def postgres_store_url(postgres_server: Cluster, postgres_template: str) -> Iterator[str]:
    with postgres_server.database(template=postgres_template) as name:
        yield postgres_server.url(name)
