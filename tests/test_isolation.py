"""The suite's own promises: nothing leaves this machine, and nothing of the surroundings comes in."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import NetworkBlocked

ROOT = Path(__file__).parents[1]


def test_connecting_beyond_loopback_is_refused() -> None:
    with socket.socket() as it, pytest.raises(NetworkBlocked, match=r"192\.0\.2\.1"):
        it.connect(("192.0.2.1", 80))


def test_a_datagram_beyond_loopback_is_refused() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as it, pytest.raises(NetworkBlocked, match=r"192\.0\.2\.1"):
        it.sendto(b"x", ("192.0.2.1", 53))


def test_looking_up_a_name_is_refused() -> None:
    with pytest.raises(NetworkBlocked, match=r"example\.com"):
        socket.getaddrinfo("example.com", 443)


def test_loopback_is_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname(), 5):
        pass


def test_a_test_sees_no_setting_of_its_surroundings(tmp_path: Path) -> None:
    probe = tmp_path / "test_probe.py"
    probe.write_text(
        "import os\n"
        "def test_it():\n"
        "    assert [k for k in os.environ if k.startswith('RECONCILER_') or k in ('CI', 'https_proxy')] == []\n"
    )
    surroundings = os.environ | {"RECONCILER_STORE": "x", "CI": "true", "https_proxy": "x"}
    options = ["-q", "-p", "no:cacheprovider", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(probe)],
        cwd=ROOT,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout
